"""One job on every offer that can run it, cheapest first.

    ranked = rank(con, job, now)
    ranked.rows[0].usd, ranked.rows[0].hours      the cheapest: expected dollars, wall hours
    ranked.left_out                               {"too little memory": 812, …}

The store is asked once; physics once for each shape that its answer holds. Dollars are before
tax. Reserved capacity is paid whole and used in part; time is billed in each seller's steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.cost.choice import Choice, choices
from gputape.analysis.cost.facts import RDMA_GBIT_S_GPU, UNKNOWN_STEP_S, billing, networks
from gputape.analysis.cost.job import Job
from gputape.analysis.cost.ways import Way
from gputape.analysis.offers import AsOf, Question, offers
from gputape.store.gpus import select
from gputape.store.literal import literal

if TYPE_CHECKING:
    import duckdb

HOURS_MONTH = 730

# what an offer's price means for this job: the rate of interruptions and the network it has
PRICED = """
create or replace temp table priced as
select a.series_id, a.provider, a.sku, a.region, a.zone, a.option, a.tier, a.term_months,
    a.payment, a.gpu, a.gpu_count, a.usd_hour::double as usd_hour, a.last_seen, a.stale,
    a.market, a.relay, a.available, n.gbit_s,
    case when a.option <> 'spot' then 'none'
        when a.provider = 'aws' and i.low_percent is not null then 'aws ' || i.low_percent
        when a.provider in ('gcp', 'azure') then a.provider else 'unknown' end as rate,
    case when a.left_out is not null then a.left_out
        when not list_contains({allowed}, a.option) then a.option || ', not asked for'
        when a.option = 'reserved' and a.term_months > {term} then 'longer term'
        when a.usd_hour is null then 'no rate of exchange' end as left_out
from asked a
left join (values {networks}) n(provider, sku, gbit_s) using (provider, sku)
left join v_interruptions i on a.option = 'spot' and i.provider = a.provider and i.sku = a.sku
    and i.region = a.region
"""
SHAPES = """
select distinct gpu, gpu_count, rate from priced where left_out is null order by all
"""
RANKED = """
create or replace temp table ranked as
with billed as (
    select p.*, w.way, w.instances, w.joined, w.reason, w.hours, w.low, w.high,
        coalesce(b.step_s, {step}) as step_s, coalesce(b.least_s, {step}) as least_s,
        b.disk, b.egress, coalesce(b.known, false) as billing_known
    from priced p
    join (values {ways}) w(gpu, gpu_count, rate, way, instances, joined, reason, hours, low, high)
        using (gpu, gpu_count, rate)
    left join (values {billing}) b(provider, step_s, least_s, disk, egress, known) using (provider)
    where p.left_out is null
),
judged as (
    select *, case when reason is not null then reason
        when joined and {strict} and gbit_s is null then 'network between instances not known'
        when joined and gbit_s < {rdma} * gpu_count then 'network between instances too slow'
        end as why
    from billed
),
paid as (
    select *, case when option = 'reserved' then {utilisation} else 1 end as used,
        {billed_hours} as paid_hours, {billed_low} as paid_low, {billed_high} as paid_high,
        {disk} * disk * (hours + {setup}) / {month} + {egress} * egress as extra_usd
    from judged
)
select *, usd_hour * instances * paid_hours * {runs} / used + coalesce(extra_usd, 0) as usd,
    usd_hour * instances * paid_low * {runs} / used + coalesce(extra_usd, 0) as usd_low,
    usd_hour * instances * paid_high * {runs} / used + coalesce(extra_usd, 0) as usd_high
from paid
-- of the ways an offer may go, the one that can be gone, then the cheapest
qualify row_number() over (
    partition by series_id order by why is not null, usd, instances) = 1
"""
BILLED = "greatest(least_s, ceil(({hours} + {setup}) * 3600 / step_s) * step_s) / 3600"
COLUMNS = (
    "usd", "usd_low", "usd_high", "hours", "low", "high", "provider", "sku", "region", "zone",
    "option", "tier", "term_months", "payment", "gpu", "gpu_count", "instances", "usd_hour",
    "extra_usd", "gbit_s", "billing_known", "market", "relay", "available", "stale", "last_seen", "rate", "way",
    "series_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Priced:
    """One offer with what the job costs on it. USD before tax; of a service, an hour."""

    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    """80 % of the truth lies between; on spot, also over how often it is taken back."""
    hours: float
    """Wall hours of one run, expected; interruptions included."""
    hours_low: float
    hours_high: float
    offer: dict[str, Any]
    """What the tape says of it, by column."""
    way: Way

    @property
    def gpus(self) -> int:
        """GPUs altogether."""
        return int(self.way.gpu_count) * self.way.instances


@dataclass(frozen=True, slots=True)
class Ranked:
    """The offers that can run a job, cheapest first, and what was left out."""

    job: Job
    rows: list[Priced]
    as_of: AsOf
    left_out: dict[str, int]
    matched: int
    ways: dict[tuple[str, Decimal], list[Way]] = field(repr=False)
    """All ways of each shape, priced or not."""

    @property
    def best(self) -> Priced | None:
        """The cheapest."""
        return self.rows[0] if self.rows else None


def rank(
    con: "duckdb.DuckDBPyConnection",
    job: Job,
    now: datetime,
    *,
    as_of: datetime | None = None,
    limit: int | None = 20,
    each_provider: bool = False,
) -> Ranked:
    """Return what a job costs on each offer that can run it, cheapest first.

    `each_provider` keeps the cheapest of every seller. Raises BadInput for what nobody sells.
    """
    answer = offers(con, _question(job, as_of), now)
    con.execute(PRICED.format(
        allowed=literal(sorted(job.buy.allowed)), term=job.buy.term_months or 0,
        networks=network_values(),
    ))  # fmt: skip
    chosen = choices(job, con.execute(SHAPES).fetchall())
    paid(con, job, chosen.rows)
    left_out = _left_out(con)
    rows = _rows(con, chosen, _order(limit, each_provider=each_provider))
    matched = con.execute("select count(*) from ranked where why is null").fetchall()[0][0]
    return Ranked(job, rows, answer.as_of, left_out, matched, chosen.every)


def _question(job: Job, as_of: datetime | None) -> Question:
    buy = job.buy
    return Question(
        gpus=select(buy.gpus) if buy.gpus else None,
        providers=frozenset(buy.providers) if buy.providers else None,
        region=buy.region, include=frozenset(buy.include), as_of=as_of, limit=0,
    )  # fmt: skip


def paid(con: "duckdb.DuckDBPyConnection", job: Job, rows: Sequence[tuple[Any, ...]]) -> None:
    """Make `ranked` of `priced`: what the job costs on each offer, or why it does not run there."""
    buy = job.buy
    hours = {
        name: "hours" if job.kind == "serve" else BILLED.format(hours=column, setup=buy.setup_hours)
        for name, column in (("hours", "hours"), ("low", "low"), ("high", "high"))
    }
    facts = [
        (b.provider, b.step_s, b.least_s, b.disk_usd_gib_month, b.egress_usd_gib, b.known)
        for b in billing().values()
    ]
    nothing = ("", 0, "none", -1, 1, False, "", 0.0, 0.0, 0.0)  # an empty VALUES has no type
    con.execute(RANKED.format(
        ways=_values(rows or [nothing]), billing=_values(facts), step=UNKNOWN_STEP_S,
        strict=str(buy.network == "known").lower(), rdma=RDMA_GBIT_S_GPU,
        utilisation=buy.utilisation, runs=buy.runs, month=HOURS_MONTH, setup=buy.setup_hours,
        disk=buy.disk_gib, egress=buy.egress_gib, billed_hours=hours["hours"],
        billed_low=hours["low"], billed_high=hours["high"],
    ))  # fmt: skip
    if buy.budget_usd:
        con.execute(
            f"create or replace temp table ranked as select * replace (coalesce(why, case when "
            f"usd > {buy.budget_usd} then 'over the budget' end) as why) from ranked"
        )


def _order(limit: int | None, *, each_provider: bool) -> str:
    only = "qualify row_number() over (partition by provider order by usd, series_id) = 1"
    return (
        f"{only if each_provider else ''} order by usd, usd_high, provider, sku, region, series_id "
        + (f"limit {limit}" if limit is not None else "")
    )


def _rows(con: "duckdb.DuckDBPyConnection", chosen: Choice, order: str) -> list[Priced]:
    found = con.execute(
        f"select {', '.join(COLUMNS)} from ranked where why is null {order}"
    ).fetchall()
    return [_priced(dict(zip(COLUMNS, row, strict=True)), chosen.ways) for row in found]


def _priced(row: dict[str, Any], ways: Sequence[Way]) -> Priced:
    usd, low, high = (Decimal(repr(row.pop(name))) for name in ("usd", "usd_low", "usd_high"))
    return Priced(
        usd=usd, usd_low=low, usd_high=high, hours=row.pop("hours"), hours_low=row.pop("low"),
        hours_high=row.pop("high"), way=ways[row.pop("way")], offer=row,
    )  # fmt: skip


def _left_out(con: "duckdb.DuckDBPyConnection") -> dict[str, int]:
    """Return how many offers are not ranked, by the first reason."""
    rows = con.execute(
        "select why, count(*) from (select left_out as why from priced where left_out is not null "
        "union all select why from ranked where why is not null) group by why "
        "order by count(*) desc, why"
    ).fetchall()
    return dict(rows)


def network_values() -> str:
    """Return what is known of networks, as rows of SQL: provider, sku, Gbit/s of an instance."""
    return _values((*key, speed) for key, speed in networks().items())


def _values(rows: Iterable[Sequence[Any]]) -> str:
    return ", ".join(f"({', '.join(_literal(value) for value in row)})" for row in rows)


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value!r}::double" if isinstance(value, float) else literal(value)
