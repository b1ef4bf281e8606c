"""A GPU's price level, and an index of it that only moves when prices do.

Level: the median over sellers of their best price; one vote a seller. Index: chained
matched-model Jevons, base 100: from one day to the next the geometric mean of the price relatives
of the series that stood on both, read by the same revision of the parser (the Jevons index of
matched items; ILO and others, Consumer Price Index Manual, 2020, chapter 8). A seller that joins
or leaves, a new region, a correction of our own reading: none of them is a price relative.

Marketplaces and price lists are never in one index. Native prices are compared, so that a moving
euro is no price change. Fewer than three sellers are no market: the point is None with the reason,
and the next link reaches back to the last day that had a point.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from statistics import fmean, median
from typing import TYPE_CHECKING

from gputape.analysis.closes import (
    Closes,
    Day,
    Standing,
    days,
    reread_between,
    standing_at,
    without_readings,
)
from gputape.store.offer import half_up

if TYPE_CHECKING:
    import duckdb

METHOD = "1"  # of what a hash is made of, and of how a point is computed from it
BASE = 100.0
FEWEST = 3  # sellers
MARKETS = ("list", "marketplace")
WEIGHTS = ("series", "seller")
PLACES = 6  # of an index and a link: what two computers agree on


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One index: like for like, plain tier unless one is named."""

    gpu: str
    option: str = "on_demand"
    tier: str | None = None
    term_months: int | None = None
    market: str = "list"
    weight: str = "series"
    """What counts alike in a link: every matched series, or every seller's mean of them."""
    fewest: int = FEWEST

    @property
    def closes(self) -> Closes:
        """The series it is made of."""
        return Closes(gpus=frozenset({self.gpu}), option=self.option, tier=self.tier,
                      term_months=self.term_months, market=self.market)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An index on one day. What could not be said is None, and `reason` says why."""

    day: date
    at: datetime
    level_usd_gpu_hour: Decimal | None
    index: float | None
    link: float | None
    """Price relative since `linked_to`."""
    linked_to: date | None
    sellers: int
    series: int
    matched: int
    low_usd_gpu_hour: Decimal | None
    p10_usd_gpu_hour: Decimal | None
    p90_usd_gpu_hour: Decimal | None
    high_usd_gpu_hour: Decimal | None
    constituents: str
    """SHA-256 of what the day is made of."""
    reason: str | None

    @property
    def spread(self) -> Decimal | None:
        """Dearest seller / cheapest."""
        if self.low_usd_gpu_hour is None or self.high_usd_gpu_hour is None:
            return None
        return half_up(self.high_usd_gpu_hour / self.low_usd_gpu_hour, 2)


def index(
    con: "duckdb.DuckDBPyConnection", asked: Asked, first: date, last: date, now: datetime
) -> list[Point]:
    """Return a point for each day from the first on which anything stood; 100 on the first index.

    `first` is the base: the same first day gives the same figures whenever it is asked, unless
    something about those days was recorded since.
    """
    points: list[Point] = []
    anchor: tuple[Day, float] | None = None
    for day in days(con, asked.closes, first, last, now):
        if not day.standing and not points:
            continue
        point = _point(asked, day, anchor)
        points.append(point)
        if point.index is not None:
            anchor = (day, point.index)
    return points


def _point(asked: Asked, day: Day, anchor: tuple[Day, float] | None) -> Point:
    best = votes(day)
    ranked = sorted(best.values())
    link, matched, sellers = relative(asked, anchor[0], day) if anchor else (None, 0, 0)
    reason = _thin(asked, day, len(best), sellers if anchor else None)
    enough = len(best) >= asked.fewest
    value = None if reason else BASE if anchor is None else anchor[1] * (link or 1.0)
    return Point(
        day=day.day,
        at=day.at,
        level_usd_gpu_hour=half_up(median(ranked), 6) if enough else None,
        index=value,
        link=None if reason else link,
        linked_to=anchor[0].day if anchor else None,
        sellers=len(best),
        series=len(day.standing),
        matched=matched,
        low_usd_gpu_hour=ranked[0] if enough else None,
        p10_usd_gpu_hour=quantile(ranked, Decimal("0.1")) if enough else None,
        p90_usd_gpu_hour=quantile(ranked, Decimal("0.9")) if enough else None,
        high_usd_gpu_hour=ranked[-1] if enough else None,
        constituents=fingerprint(asked, day),
        reason=reason,
    )


def _thin(asked: Asked, day: Day, sellers: int, matched: int | None) -> str | None:
    if not day.standing:
        return "nothing was seen"
    if sellers < asked.fewest:
        return f"{_sellers(sellers)}, {asked.fewest} are the fewest"
    if matched is not None and matched < asked.fewest:
        return f"{_sellers(matched)} on both days, {asked.fewest} are the fewest"
    return None


def _sellers(count: int) -> str:
    return f"{count} seller{'' if count == 1 else 's'}"


def votes(day: Day) -> dict[str, Decimal]:
    """Return each seller's best, USD per GPU-hour.

    Its own word counts before what a relay says of it; a broker resells what others sell and has
    no vote.
    """
    best: dict[str, Decimal] = {}
    for standing in day.voting:
        price, seller = standing.usd_gpu_hour, standing.series.provider
        if price is not None:
            best[seller] = min(price, best.get(seller, price))
    return best


def relative(asked: Asked, before: Day, after: Day) -> tuple[float | None, int, int]:
    """Return the price relative between two days, and of how many series and sellers it is made.

    exp(mean of log p1/p0) over the series that stood on both at the same revision, in the same
    currency and size, whose reading did not change in between.
    """
    then = {s.series.series_id: s for s in before.voting}
    logs: dict[str, list[float]] = defaultdict(list)
    for now in after.voting:
        was = then.get(now.series.series_id)
        if was and _comparable(was, now):
            log = math.log(now.price / was.price) if now.price != was.price else 0.0
            logs[now.series.provider].append(log)
    if not logs:
        return None, 0, 0
    by_seller = [fmean(mine) for mine in logs.values()]
    every = by_seller if asked.weight == "seller" else [x for mine in logs.values() for x in mine]
    return math.exp(math.fsum(every) / len(every)), sum(map(len, logs.values())), len(logs)


def _comparable(was: Standing, now: Standing) -> bool:
    return (was.revision, was.readings, was.currency) == (now.revision, now.readings, now.currency)


def quantile(ranked: list[Decimal], share: Decimal) -> Decimal:
    """Return the value below which a share of ranked values lies, between neighbours in line."""
    place = share * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return half_up(ranked[below] + (ranked[above] - ranked[below]) * (place - below), 6)


# -- what a point is made of ----------------------------------------------------------------------


def constituent(standing: Standing) -> str:
    """Return a series, its price and who read it, in a line that no tape's own numbers are in."""
    return f"{standing.series.words}|{standing.price}|{standing.currency}|{standing.revision}"


def fingerprint(asked: Asked, day: Day) -> str:
    """Return the SHA-256 of all that stood on a day, whatever the order."""
    head = f"gputape index {METHOD} {asked.weight} {asked.fewest} {day.day}"
    lines = [head, *sorted(map(constituent, day.standing))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tag(standing: Standing) -> str:
    """Say whose word a constituent is: the seller's own, a relay's, a marketplace's."""
    series = standing.series
    if series.market == "marketplace":
        return "marketplace"
    if series.market == "broker":
        return "reseller"
    return f"printed by {series.relay or series.source}" if series.resold else "own"


# -- the proof ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """A point computed twice, by two roads through the tape."""

    point: Point
    again: Point
    found: Day
    """What the second road found: the constituents."""

    @property
    def differences(self) -> list[str]:
        """Say in what the two differ; nothing when the point holds."""
        pairs = (
            ("constituents", self.point.constituents, self.again.constituents),
            ("level", self.point.level_usd_gpu_hour, self.again.level_usd_gpu_hour),
            ("link", _shown(self.point.link), _shown(self.again.link)),
            ("sellers", self.point.sellers, self.again.sellers),
        )
        return [f"{what}: {a} against {b}" for what, a, b in pairs if a != b]


def _shown(value: float | None) -> float | None:
    return None if value is None else round(value, PLACES)


def verify(
    con: "duckdb.DuckDBPyConnection", asked: Asked, day: date, base: date, now: datetime,
    recorded: datetime | None = None,
) -> Proof | None:  # fmt: skip
    """Compute one day's point anew from the store's state at its end, or None if nothing stood.

    `index` reads the log of changes; this reads the state of the two moments that the link lies
    between. `recorded`: as it was known then, without later imports and corrections.
    """
    points = {point.day: point for point in index(con, asked, base, day, now)}
    point = points.get(day)
    if point is None:
        return None
    state = standing_at(con, asked.closes, point.at, recorded)
    if point.linked_to is None:
        return Proof(point, _point(asked, state, None), state)
    was = points[point.linked_to]
    before = standing_at(con, asked.closes, was.at, recorded)
    state = without_readings(state, reread_between(con, was.at, point.at))
    again = _point(asked, state, (before, was.index or BASE))
    return Proof(point, again, state)


def published(points: Iterable[Point]) -> Iterator[Point]:
    """Yield points whose index and link are rounded as they are published."""
    for point in points:
        yield replace(point, index=_shown(point.index), link=_shown(point.link))
