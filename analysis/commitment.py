"""Is a commitment worth it: break-even utilisation and present value, against what stays free.

Break-even utilisation = reserved / on demand: a GPU used less of the time is cheaper on demand.
Present value: the commitment costs its upfront today and its recurring part every month, used or
not; on demand costs the hours used, at a price that may fall meanwhile; spot the same at the prices
the tape observed. All per GPU, in US dollars, months of 730 h, paid at their end.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gputape.analysis.closes import Closes, days
from gputape.analysis.index import Asked, Point, index
from gputape.store.errors import BadInput
from gputape.store.literal import filled
from gputape.store.offer import HOURS_PER_MONTH

if TYPE_CHECKING:
    import duckdb

TREND = timedelta(days=365)  # of on-demand prices, to tell how they fall
BLOCK_DAYS = 30
FEWEST_BLOCKS = 6
# Student's t that leaves one in ten on each side, by degrees of freedom
T80 = {5: 1.476, 6: 1.440, 7: 1.415, 8: 1.397, 9: 1.383, 10: 1.372, 11: 1.363}
T80_MORE = 1.363


@dataclass(frozen=True, slots=True)
class Fall:
    """How on-demand prices fall a year, as a share of them; below 0 they rise. An 80 % interval."""

    point: float
    low: float
    high: float
    basis: str
    known: bool = True


UNKNOWN = Fall(0.0, 0.0, 0.0, "unknown: today's price is taken for the whole term", known=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How somebody would use a GPU that they commit to."""

    utilisation: float = 1.0
    """Of the hours of the term, those in which it works."""
    discount: float = 0.0
    """A year, of money: what it would earn elsewhere."""
    fall: Fall = UNKNOWN

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise BadInput(
                f"a utilisation of {self.utilisation:g} can not be: it is a share of the "
                "hours, above 0 and at most 1"
            )
        if not -0.5 <= self.discount <= 1:
            raise BadInput(f"a discount of {self.discount:g} a year can not be meant: write 0.08")
        if not -1 <= self.fall.low <= self.fall.high < 1:
            raise BadInput(f"prices can not fall by {self.fall.point:g} a year: write 0.2 for 20 %")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What spot cost, day by day, as the tape saw it; USD per GPU-hour."""

    prices: tuple[Decimal, ...]

    @property
    def mean(self) -> float:
        """Of the days that were seen."""
        return fmean(map(float, self.prices))

    @property
    def interval(self) -> tuple[float, float]:
        """One day in ten was cheaper, one in ten dearer."""
        ranked = sorted(map(float, self.prices))
        return ranked[int(0.1 * (len(ranked) - 1))], ranked[math.ceil(0.9 * (len(ranked) - 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """One reserved price, and what the same seller asks without a commitment."""

    provider: str
    sku: str
    region: str
    gpu: str
    gpu_count: Decimal
    tier: str | None
    term_months: int
    payment: str | None
    reserved_usd_gpu_hour: Decimal
    """Upfront included, every hour of the term, used or not."""
    upfront_usd_gpu: Decimal
    on_demand_usd_gpu_hour: Decimal | None
    twin: str
    """What the on-demand price is of: the same sku, or the nearest that is sold."""
    spot: Path | None
    last_seen: datetime
    stale: bool

    @property
    def recurring_usd_gpu_hour(self) -> Decimal:
        """What is paid every hour beside the upfront."""
        return self.reserved_usd_gpu_hour - self.upfront_usd_gpu / (
            self.term_months * HOURS_PER_MONTH
        )

    @property
    def break_even_utilisation(self) -> Decimal | None:
        """Reserved / on demand; above 1 the commitment never pays."""
        if not self.on_demand_usd_gpu_hour:
            return None
        return self.reserved_usd_gpu_hour / self.on_demand_usd_gpu_hour

    def effective_usd_gpu_hour(self, plan: Plan) -> Decimal:
        """(upfront + recurring hours) / hours used."""
        return self.reserved_usd_gpu_hour / Decimal(repr(plan.utilisation))

    def present_cost(self, plan: Plan) -> float:
        """Return what the whole term costs, in today's dollars."""
        monthly = float(self.recurring_usd_gpu_hour) * HOURS_PER_MONTH
        paid = (monthly * worth for worth in _worth(plan.discount, self.term_months))
        return float(self.upfront_usd_gpu) + math.fsum(paid)

    def npv(self, plan: Plan) -> tuple[float, float, float] | None:
        """Return what committing saves against on demand: point, low, high; None without a price.

        In today's dollars per GPU over the term. Low is where prices fall most.
        """
        if self.on_demand_usd_gpu_hour is None:
            return None
        fall = plan.fall
        price, cost = float(self.on_demand_usd_gpu_hour), self.present_cost(plan)
        point, low, high = (
            hourly_present(price, plan, self.term_months, share) - cost
            for share in (fall.point, fall.high, fall.low)
        )
        return point, low, high

    def npv_against_spot(self, plan: Plan) -> tuple[float, float, float] | None:
        """Likewise against spot: at the mean of the path, where it was cheapest, and dearest."""
        if self.spot is None:
            return None
        cost = self.present_cost(plan)
        point, low, high = (
            hourly_present(price, plan, self.term_months, 0.0) - cost
            for price in (self.spot.mean, *self.spot.interval)
        )
        return point, low, high


def _worth(discount: float, months: int) -> list[float]:
    """Return what a dollar paid at the end of each month is worth today."""
    return [(1 + discount) ** (-month / 12) for month in range(1, months + 1)]


def hourly_present(usd_hour: float, plan: Plan, months: int, fall: float) -> float:
    """Return what the hours used cost over a term, in today's dollars.

    The price falls by a share `fall` a year; each month is paid at its middle's price.
    """
    hours = HOURS_PER_MONTH * plan.utilisation
    return math.fsum(
        usd_hour * (1 - fall) ** ((month + 0.5) / 12) * hours * worth
        for month, worth in enumerate(_worth(plan.discount, months))
    )


# -- from the tape --------------------------------------------------------------------------------

OFFERED = """
select provider, sku, region, gpu, gpu_count, option, tier, term_months, payment, source,
    usd_gpu_hour, (usd_gpu_hour::double * upfront::double / price::double)::decimal(18,6)
        as upfront_usd_gpu, last_seen, stale
from offers_of($gpus, $at)
where state = 'firm' and derived is null and gpu_count >= 1 and usd_gpu_hour is not null
    and not ((origin = 'import' or source is not null) and stale)
    and option <> 'spot' and (option = 'reserved' or tier is null)
    and list_contains($providers, provider) is not false
order by usd_gpu_hour, provider, sku, region, series_id
"""
NAMES = ("provider", "sku", "region", "gpu", "gpu_count", "option", "tier", "term_months",
         "payment", "source", "usd_gpu_hour", "upfront_usd_gpu", "last_seen", "stale")  # fmt: skip


def commitments(
    con: "duckdb.DuckDBPyConnection", gpus: frozenset[str], at: datetime, *,
    term_months: int | None = None, providers: Iterable[str] = (), history: timedelta,
) -> list[Commitment]:  # fmt: skip
    """Return every reserved price of some GPUs at a moment, with its twins.

    Raises `BadInput` for a term that nobody sells, naming those that are sold.
    """
    values = {"gpus": sorted(gpus), "at": at, "providers": sorted(providers) or None}
    rows = [
        dict(zip(NAMES, row, strict=True))
        for row in con.execute(filled(OFFERED, values)).fetchall()
    ]
    reserved = [row for row in rows if row["option"] == "reserved"]
    _check_term(term_months, {row["term_months"] for row in reserved})
    free = [row for row in rows if row["option"] == "on_demand"]
    paths = spot_paths(con, gpus, at, history)
    return [
        _commitment(row, free, paths) for row in reserved
        if term_months in (None, row["term_months"])
    ]  # fmt: skip


def _check_term(term: int | None, sold: set[int]) -> None:
    if term is not None and sold and term not in sold:
        raise BadInput(
            f"nobody on this tape sells a term of {term} months: "
            f"sold are {', '.join(map(str, sorted(sold)))}"
        )


def _commitment(
    row: dict[str, Any], free: list[dict[str, Any]],
    paths: Mapping[tuple[str, str, str], Path],
) -> Commitment:  # fmt: skip
    twin, what = _twin(row, free)
    return Commitment(
        **{name: row[name] for name in ("provider", "sku", "region", "gpu", "gpu_count", "tier",
                                        "term_months", "payment", "last_seen", "stale")},
        reserved_usd_gpu_hour=row["usd_gpu_hour"],
        upfront_usd_gpu=row["upfront_usd_gpu"] or Decimal(),
        on_demand_usd_gpu_hour=twin["usd_gpu_hour"] if twin else None,
        twin=what,
        spot=paths.get((row["provider"], row["sku"], row["region"])),
    )  # fmt: skip


NEAREST = (
    ("the same sku", ("provider", "source", "sku", "region")),
    ("the same GPUs, same region", ("provider", "source", "gpu", "gpu_count", "region")),
    ("the same GPU, same region", ("provider", "source", "gpu", "region")),
    ("the same GPU, any region", ("provider", "source", "gpu")),
)


def _twin(row: dict[str, Any], free: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """Return the cheapest on-demand price of the nearest thing that the same seller sells."""
    for what, names in NEAREST:
        for other in free:  # cheapest first
            if all(row[name] == other[name] for name in names):
                return other, what
    return None, "not sold on demand"


def spot_paths(
    con: "duckdb.DuckDBPyConnection", gpus: frozenset[str], until: datetime, history: timedelta
) -> dict[tuple[str, str, str], Path]:
    """Return the spot price at the end of each day, of each (provider, sku, region).

    The cheapest of its zones; days that nobody saw are left out.
    """
    asked = Closes(gpus=gpus, option="spot")
    found: dict[tuple[str, str, str], list[Decimal]] = defaultdict(list)
    for day in days(con, asked, (until - history).date(), until.date(), until):
        best: dict[tuple[str, str, str], Decimal] = {}
        for standing in day.standing:
            s, price = standing.series, standing.usd_gpu_hour
            key = (s.provider, s.sku, s.region)
            if price is not None:
                best[key] = min(price, best.get(key, price))
        for key, price in best.items():
            found[key].append(price)
    return {key: Path(prices=tuple(prices)) for key, prices in found.items()}


# -- how prices fall ------------------------------------------------------------------------------


def price_fall(
    con: "duckdb.DuckDBPyConnection", gpu: str, until: datetime, history: timedelta
) -> Fall:
    """Estimate by which share a GPU's on-demand prices fall a year, from the tape's own index.

    In blocks of 30 days: the mean of their logarithms, with Student's t on how they scatter.
    Below six blocks it is unknown.
    """
    first: date = (until - history).date()
    points = index(con, Asked(gpu=gpu, fewest=1), first, until.date(), until)
    return fall_of(points)


def fall_of(points: Sequence[Point]) -> Fall:
    """Return the fall a year that an index shows."""
    known = {p.day: p.index for p in points if p.index}
    if not known:
        return UNKNOWN
    newest = max(known)
    ends: list[float] = []
    while (day := newest - timedelta(days=BLOCK_DAYS * len(ends))) in known:
        ends.append(known[day])
    moves = [math.log(new / old) for new, old in pairwise(ends)]
    if len(moves) < FEWEST_BLOCKS:
        return UNKNOWN
    a_year = 365 / BLOCK_DAYS
    mean, doubt = fmean(moves) * a_year, stdev(moves) * a_year / math.sqrt(len(moves))
    doubt *= T80.get(len(moves) - 1, T80_MORE)
    point, low, high = (1 - math.exp(x) for x in (mean, mean + doubt, mean - doubt))
    return Fall(point, low, high,
                f"{len(moves)} blocks of {BLOCK_DAYS} days of this tape's index")  # fmt: skip


def price_falls(
    con: "duckdb.DuckDBPyConnection", gpus: Iterable[str], until: datetime,
    history: timedelta = TREND,
) -> dict[str, Fall]:  # fmt: skip
    """Return the fall a year of each GPU."""
    return {gpu: price_fall(con, gpu, until, history) for gpu in gpus}


def with_fall(plan: Plan, fall: Fall) -> Plan:
    """Return a plan that expects this fall."""
    return replace(plan, fall=fall)
