"""What stood at the end of each day, series by series: what a spread or an index is made of.

    for day in days(con, Closes(gpus=frozenset({"h100-sxm-80"})), first, last, now):
        day.standing        the series that stood then, with their prices

Three questions to the store for the whole period, whatever its length; `standing_at` asks for
one moment by another road, so that the two can be held against each other.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP as HALF_UP
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from gputape.store.literal import filled
from gputape.store.offer import PRICE_STEP
from gputape.store.rates import Rates

if TYPE_CHECKING:
    import duckdb

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closes:
    """Which series; None means any. Derived prices and fractions of a GPU are never among them."""

    gpus: frozenset[str]
    option: str | None = None
    tier: str | None = None
    any_tier: bool = False
    """Otherwise `tier` is exact, and None is the plain one."""
    term_months: int | None = None
    market: str | None = None
    """`list` is everything that is no marketplace."""


@dataclass(frozen=True, eq=False)  # one object a series, so that what it is is told once
class Series:
    """One thing whose price moves, and what we understand it to be."""

    series_id: int
    provider: str
    sku: str
    region: str
    zone: str | None
    option: str
    tier: str | None
    term_months: int | None
    payment: str | None
    source: str | None
    gpu: str
    gpu_count: Decimal
    relay: str | None
    market: str
    part: str

    @cached_property
    def words(self) -> str:
        """All that names it, in a line without the tape's own numbers."""
        parts = (self.provider, self.sku, self.region, self.zone, self.option, self.tier,
                 self.term_months, self.payment, self.source, self.gpu,
                 f"{self.gpu_count.normalize():f}", self.relay, self.market)  # fmt: skip
        return "|".join("" if part is None else str(part) for part in parts)

    @cached_property
    def resold(self) -> bool:
        """Whether the price was printed by somebody else than its seller."""
        return bool(self.relay or self.source) or self.market == "broker"


@dataclass(frozen=True, slots=True)
class Standing:
    """A series and its price at the end of a day."""

    series: Series
    price: Decimal
    """Native, for the whole sku, per hour."""
    currency: str
    usd_gpu_hour: Decimal | None
    """None where no exchange rate is known."""
    revision: int
    """Of the parser that read it."""
    readings: int = 0
    """How often, so far, our reading of it changed and nothing was seen to move."""


@dataclass(frozen=True)
class Day:
    """All that stood at the end of a day, or now if it is not over."""

    day: date
    at: datetime
    standing: tuple[Standing, ...]

    @cached_property
    def voting(self) -> list[Standing]:
        """Without what others say of a seller that speaks for itself, and what brokers resell."""
        speaking = {s.series.provider for s in self.standing if not s.series.resold}
        return [
            s for s in self.standing
            if not s.series.resold
            or (s.series.market != "broker" and s.series.provider not in speaking)
        ]  # fmt: skip


PLACED = """
    select s.series_id, s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months,
        s.payment, s.source, f.gpu, f.gpu_count, f.relay, coalesce(p.market, 'list') as market,
        f.part
    from series s join facts_of($gpus, $known) f using (series_id)
    left join v_providers p on p.provider = s.provider
    where f.derived is null and f.gpu_count >= 1 and s.option = coalesce($option, s.option)
        and ($any_tier or s.tier is not distinct from $tier)
        and ($term is null or s.term_months = $term)
        and ($market is null or (coalesce(p.market, 'list') = 'marketplace')
            = ($market = 'marketplace'))
"""
# of the readings of one moment the newest counts; only corrections there: nothing was seen to move
CHANGED = """
with asked as (select series_id from asked_series),
reading as (
    select series_id, observed_at, arg_max_null(price, scan_id) as price,
        arg_max(currency, scan_id) as currency, bool_and(origin = 'correction') as reread
    from price_log where state <> 'suspect' and observed_at >= $first and observed_at < $end
        and series_id in (select series_id from asked)
    group by series_id, observed_at
)
select null::date as day, series_id, price, currency, 0 as rereads
from firm_at($first - interval 1 microsecond, null)
where series_id in (select series_id from asked)
union all
select (observed_at at time zone 'UTC')::date as day, series_id,
    arg_max_null(price, observed_at) as price, arg_max(currency, observed_at),
    count(*) filter (where reread)
from reading group by all
"""
# the last look at each part on each day, and the last before the period
LOOKED = """
select provider, part, case when observed_at >= $first
        then (observed_at at time zone 'UTC')::date end as day,
    max(observed_at) as seen, arg_max(coalesce(stands_s, 7200), (observed_at, scan_id)) as stands_s,
    arg_max(parser_revision, (observed_at, scan_id)) as revision
from scan where status in ('ok', 'unchanged') and observed_at < $end
    and ($known is null or scan_id <= $known)
    and (provider, part) in (select (provider, part) from asked_series)
group by all
"""


class Look(NamedTuple):
    """The last look at a part."""

    seen: datetime
    stands_s: int
    revision: int

    def covers(self, day: date, at: datetime) -> bool:
        """Say whether what it listed counts on a day that ends `at`."""
        return self.seen >= midnight(day) or self.seen + timedelta(seconds=self.stands_s) >= at


def days(
    con: "duckdb.DuckDBPyConnection", asked: Closes, first: date, last: date, now: datetime
) -> Iterator[Day]:
    """Yield every day from `first` to `last`; where nothing was seen nothing stands."""
    last = min(last, now.date())
    values = _values(asked) | {"first": midnight(first), "end": min(midnight(last + DAY), now)}
    placed = _place(con, values)
    changed = defaultdict(list)
    for day, *change in con.execute(filled(CHANGED, values)).fetchall():
        changed[day].append(change)
    looked = _looks(con, values)
    rates = Rates.of(con)
    current: dict[int, tuple[Decimal, str, int]] = {}
    looks: dict[tuple[str, str], Look] = {}
    for day in (None, *(first + n * DAY for n in range((last - first).days + 1))):
        for series_id, price, currency, rereads in changed.get(day, ()):
            readings = current.get(series_id, (None, "", 0))[2] + rereads
            current[series_id] = (price, currency, readings)
        looks |= looked.get(day, {})
        if day:
            at = min(midnight(day + DAY), now)
            yield Day(day, at, tuple(_standing(placed, current, looks, rates, day, at)))


def standing_at(
    con: "duckdb.DuckDBPyConnection", asked: Closes, at: datetime, recorded: datetime | None = None
) -> Day:
    """Return what stood at a moment, as the store's own state of that moment tells it.

    `recorded`: with nothing that was recorded later, no import and no correction.
    """
    day = (at - timedelta(microseconds=1)).date()
    known = _micros(recorded) if recorded else None
    values = _values(asked) | {"first": midnight(day), "end": at, "known": known}
    placed = _place(con, values)
    rows = con.execute(
        filled("select series_id, price, currency from offers_known($gpus, $at, $known) "
               "where state not in ('gone', 'unpriced')",
               values | {"at": at - timedelta(microseconds=1)})  # the end of a day is not in it
    ).fetchall()  # fmt: skip
    looked = _looks(con, values)
    looks = looked.get(None, {}) | looked.get(day, {})
    current = {series_id: (price, currency, 0) for series_id, price, currency in rows
               if series_id in placed}  # fmt: skip
    return Day(day, at, tuple(_standing(placed, current, looks, Rates.of(con), day, at)))


def _standing(
    placed: Mapping[int, Series],
    current: Mapping[int, tuple[Decimal | None, str, int]],
    looks: Mapping[tuple[str, str], Look],
    rates: Rates,
    day: date,
    at: datetime,
) -> Iterator[Standing]:
    covering = {part: look for part, look in looks.items() if look.covers(day, at)}
    for series_id, (price, currency, readings) in current.items():
        series = placed[series_id]
        look = covering.get((series.provider, series.part))
        if look is None or price is None:
            continue
        rate = rates.usd(currency, day)
        gpu_hour = rate and (price * rate / series.gpu_count).quantize(PRICE_STEP, HALF_UP)
        yield Standing(series, price, currency, gpu_hour, look.revision, readings)


def _place(con: "duckdb.DuckDBPyConnection", values: dict[str, Any]) -> dict[int, Series]:
    con.execute(filled(f"create or replace temp table asked_series as {PLACED}", values))
    return {row[0]: Series(*row) for row in con.execute("from asked_series").fetchall()}


def _looks(
    con: "duckdb.DuckDBPyConnection", values: dict[str, Any]
) -> dict[date | None, dict[tuple[str, str], Look]]:
    found: dict[date | None, dict[tuple[str, str], Look]] = defaultdict(dict)
    for provider, part, day, *look in con.execute(filled(LOOKED, values)).fetchall():
        found[day][provider, part] = Look(*look)
    return found


def _values(asked: Closes) -> dict[str, Any]:
    return {
        "gpus": sorted(asked.gpus), "option": asked.option, "tier": asked.tier,
        "any_tier": asked.any_tier, "term": asked.term_months, "market": asked.market,
        "known": None,
    }  # fmt: skip


def midnight(day: date) -> datetime:
    """Return the moment a day begins, UTC."""
    return datetime.combine(day, time(), UTC)


def _micros(moment: datetime) -> int:
    """Return a moment as the ids of scans count: microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def without_readings(day: Day, rereads: Mapping[int, int]) -> Day:
    """Return a day whose series carry how often they were read anew since another day."""
    known = tuple(replace(s, readings=rereads.get(s.series.series_id, 0)) for s in day.standing)
    return replace(day, standing=known)


def reread_between(
    con: "duckdb.DuckDBPyConnection", since: datetime, until: datetime
) -> dict[int, int]:
    """Return how often each series was read anew in between while nothing was seen to move."""
    return dict(
        con.execute(filled(
            "select series_id, count(*) from (select series_id, observed_at from price_log "
            "where state <> 'suspect' and observed_at >= $since and observed_at < $until "
            "group by all having bool_and(origin = 'correction')) group by series_id",
            {"since": since, "until": until},
        )).fetchall()
    )  # fmt: skip
