"""Rules about more than one series: the best of many, the distance between sellers, an index.

A measure is one function: a rule and a moment give a figure with its evidence, or None. What a
measure was is kept (`trail`), so that it can be compared with itself; before the first time it is
asked of the past, a day at a time. Backtests ask it day by day too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gputape.app.alerts import machine
from gputape.app.alerts.condition import Condition, plain
from gputape.app.alerts.engine import Happened, Subject, terms
from gputape.app.alerts.observations import Run, median
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Ground, Kind, Seen, State
from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

    from gputape.analysis.cost.job import Job

SEED_POINTS = 60  # of a measure's past, at most
DAY = timedelta(days=1)
BEST = """
select provider, sku, region, usd_gpu_hour, series_id from offers_of($gpus, $at)
where state = 'firm' and usd_gpu_hour is not null and not stale and derived is null
    and available is not false and ($imported or origin <> 'import')
    and ($providers is null or list_contains($providers, provider))
    and starts_with(lower(region), $region)
    and option = coalesce($option, option) and coalesce(tier, '') = coalesce($tier, tier, '')
    and ($term is null or term_months = $term) and gpu_count >= $least
    and ($market = 'any' or ($market = 'firm') = (option <> 'spot'
        and coalesce(market, '') not in ('marketplace', 'broker')
        and coalesce(tier, '') <> 'community'))
order by usd_gpu_hour, provider, sku, region limit 1
"""
LISTED = "select state from offers_at($at) where series_id = $series"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure at a moment, with what it is made of."""

    value: Decimal
    who: str = ""
    """What the figure is of: the cheapest offer, the two sellers."""
    unit: str
    series_id: int | None = None


Measure = Callable[["duckdb.DuckDBPyConnection", Rule, datetime], Measured | None]


class Point(NamedTuple):
    """What a measure was."""

    at: datetime
    value: Decimal
    who: str


def best(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return the cheapest offer of the selection, USD per GPU-hour; others' tables left out."""
    return _best(con, rule, at, imported=False)


def best_of_all(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return the same with what was imported, for a backtest and a look at what is true."""
    return _best(con, rule, at, imported=True)


def _best(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime, *, imported: bool
          ) -> Measured | None:  # fmt: skip
    found = con.execute(filled(BEST, {
        "gpus": sorted(rule.gpus) if rule.gpus is not None else None, "at": at,
        "providers": list(rule.provider) or None, "region": (rule.region or "").casefold(),
        "option": rule.option, "tier": rule.tier, "term": rule.term_months,
        "least": rule.min_gpus or Decimal(0), "imported": imported, "market": rule.market,
    })).fetchone()  # fmt: skip
    if found is None:
        return None
    provider, sku, region, usd, series_id = found
    return Measured(value=usd, who=f"{provider} {sku} {region}", unit="usd_gpu_hour",
                    series_id=series_id)  # fmt: skip


def spread(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return how many times the cheapest seller's price the dearest asks."""
    from gputape.analysis.spread import spread as of  # noqa: PLC0415  # only rules of it need it

    (gpu,) = rule.gpus or ("",)
    found = of(con, gpu, rule.option or "on_demand", at)
    if found is None:
        return None
    who = f"{found.low_provider} to {found.high_provider}, {found.sellers} sellers"
    return Measured(value=found.ratio, who=who, unit="ratio")


def index(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return the index of a GPU; 100 on the first day of its window."""
    from gputape.analysis import index as module  # noqa: PLC0415  # same

    (gpu,) = rule.gpus or ("",)
    asked = module.Asked(gpu=gpu, option=rule.option or "on_demand", tier=rule.tier,
                  term_months=rule.term_months,
                  market="marketplace" if rule.market == "market" else "list")  # fmt: skip
    points = module.index(con, asked, BASE_DAY.date(), at.date(), at)
    last = points[-1] if points else None
    if last is None or last.index is None:
        return None
    return Measured(value=Decimal(str(round(last.index, 6))), unit="index",
                    who=f"{last.matched} series of {last.sellers} sellers")  # fmt: skip


BASE_DAY = datetime.fromisoformat("2026-01-01T00:00:00+00:00")  # 100, whenever the rule was made


def workload(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return what the job of a rule's file costs on the cheapest offer that can run it."""
    from gputape.analysis.cost.job import read  # noqa: PLC0415  # only rules of it need it

    return _cheapest(con, read(Path(rule.workload or "")), at)


def workload_of_all(con: "duckdb.DuckDBPyConnection", rule: Rule, at: datetime) -> Measured | None:
    """Return the same with imported prices among the offers."""
    from gputape.analysis.cost.job import read  # noqa: PLC0415  # same

    job = read(Path(rule.workload or ""))
    include = (*job.buy.include, "imported")
    return _cheapest(con, replace(job, buy=replace(job.buy, include=include)), at)


def _cheapest(con: "duckdb.DuckDBPyConnection", job: "Job", at: datetime) -> Measured | None:
    from gputape.analysis.cost.rank import rank  # noqa: PLC0415  # same

    found = rank(con, job, at, as_of=at, limit=1).best
    if found is None:
        return None
    offer = found.offer
    who = f"{offer['provider']} {offer['sku']} {offer['region']} {offer['option']}"
    usd = found.usd.quantize(CENT, ROUND_HALF_UP)
    return Measured(value=usd, who=who, unit="usd", series_id=offer["series_id"])


CENT = Decimal("0.01")
MEASURES: dict[str, Measure] = {
    "best": best, "spread": spread, "index": index, "workload": workload,
}  # fmt: skip
PLAYED: dict[str, Measure] = MEASURES | {"best": best_of_all, "workload": workload_of_all}
"""What a backtest and a check ask."""


def measure_of(rule: Rule, *, played: bool = False) -> Measure:
    """Return the measure of a rule's scope. Raises `BadInput` for a job file that is none."""
    if rule.scope == "workload":
        from gputape.analysis.cost.job import read  # noqa: PLC0415  # only rules of it need it

        read(Path(rule.workload or ""))
    return (PLAYED if played else MEASURES)[rule.scope]


def seed(con: "duckdb.DuckDBPyConnection", rule: Rule, measure: Measure, now: datetime
         ) -> list[Point]:  # fmt: skip
    """Return what a measure was before it was first asked, a day at a time, oldest first."""
    found = rule.condition
    if not found.relative:
        return []
    days = min(max(found.days or SEED_POINTS, terms(rule).min_days + 1), SEED_POINTS)
    moments = [now - DAY * back for back in range(days, 0, -1)]
    asked = [(at, measure(con, rule, at)) for at in moments]
    return [Point(at, m.value, m.who) for at, m in asked if m]


def judge(
    con: "duckdb.DuckDBPyConnection", rule: Rule, measured: Measured | None, trail: Sequence[Point],
    state: State, at: datetime, scan_id: int, last_series: int | None = None,
) -> Happened:  # fmt: skip
    """Take one figure through the machine."""
    left = bool(last_series and _left(con, last_series, at))
    seen = Seen(
        kind=Kind.PRICE if measured else Kind.MISSING,
        at=at,
        scan_id=scan_id,
        price=measured.value if measured else None,
        why=None if measured else "nobody offers it",
        offer_left=left,
        stood=2 if state.last_at is None else 1,
    )
    step = machine.step(terms(rule), state, seen,
                        lambda s, at_: _ground(rule.condition, trail, s, at_))  # fmt: skip
    subject = Subject(fingerprint=f"{rule.scope}:{rule.name}", words=_words(rule), provider="",
                      unit=measured.unit if measured else "")  # fmt: skip
    return Happened(rule=rule, subject=subject, at=at, seen=seen, step=step,
                    notes=_notes(measured, trail, left=left))  # fmt: skip


def _left(con: "duckdb.DuckDBPyConnection", series_id: int, at: datetime) -> bool:
    """Whether what was cheapest can not be rented any more."""
    found = con.execute(filled(LISTED, {"at": at, "series": series_id})).fetchone()
    return found is not None and found[0] in ("gone", "unpriced")


def _notes(measured: Measured | None, trail: Sequence[Point], *, left: bool) -> tuple[str, ...]:
    """Say whose figure it is; another seller's lower price is no cut of the one before."""
    if measured is None or not measured.who:
        return ()
    before = trail[-1].who if trail else measured.who
    if before == measured.who:
        return (measured.who,)
    was = f"{before} is gone" if left else f"before: {before}"
    return (f"{measured.who}, another offer and not a price cut ({was})",)


def _ground(found: Condition, trail: Sequence[Point], state: State, seen: Seen) -> Ground:
    if not found.relative:
        unit = "times the cheapest" if found.kind == "spread" else "the limit"
        text = f"{plain(found.figure)} {unit}" if found.kind == "spread" else (
            f"the limit of {plain(found.figure)}")  # fmt: skip
        return Ground(found.figure, text, previous=trail[-1].value if trail else None)
    start = seen.at - found.window if found.window else None
    points = [p for p in trail if p.at < seen.at and (start is None or p.at >= start)]
    if not points:
        return Ground(None, "no earlier figure")
    value, text = _reference(found, points, state)
    days = (seen.at - trail[0].at) / DAY
    return Ground(value, text, len(points), days, points[-1].value)


def _reference(found: Condition, points: Sequence[Point], state: State) -> tuple[Decimal, str]:
    values = [point.value for point in points]
    of_days = f"of {found.days} days" if found.days else "of all that is known"
    match found.reference:
        case "median":
            middle = median(Run(point.value, point.at, 1) for point in points)
            return middle or values[-1], f"the median {of_days}"
        case "max":
            return max(values), f"the highest {of_days}"
        case "low":
            return min(values), f"the lowest {of_days}"
        case "entry":
            return state.entry or values[0], "the figure when the rule began"
    return values[-1], "the figure before"


def _words(rule: Rule) -> str:
    name = {"best": "cheapest", "spread": "dearest over cheapest", "index": "index",
            "workload": "workload"}[rule.scope]  # fmt: skip
    what = Path(rule.workload).name if rule.workload else rule.selector_words()
    return f"{name} of {what}"
