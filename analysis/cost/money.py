"""What a way costs on an offer: billed time, runs, idle commitment, disk and egress.

    usd = usd_hour x instances x billed hours x runs / share used + disk + egress

`PAID` says it in SQL for every offer at once, `usd` in Python for one; a test holds them together.
Time is billed in each seller's steps, with its least; a service is an hour of all its instances.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.cost.facts import RDMA_GBIT_S_GPU, UNKNOWN_STEP_S, Billing, billing
from gputape.analysis.cost.stated import Job
from gputape.analysis.cost.table import table
from gputape.store.literal import literal

if TYPE_CHECKING:
    import duckdb

HOURS_MONTH = 730
HAIR = 1e-9
"""Of a step: 3 hours reckoned as 3.0000000000000004 are billed as 3."""
PAID = """
create or replace temp table paid as
with way as ({ways}), bill as ({bills})
select s.series_id, w.way, w.instances, w.hours, w.low, w.high,
    coalesce(b.known, false) as billing_known,
    case when w.reason is not null then w.reason
        when w.joined and {strict} and s.gbit_s is null
            then 'network between instances not known'
        when w.joined and s.gbit_s < {rdma} * s.gpu_count
            then 'network between instances too slow' end as unfit,
    w.instances * {runs} / case when s.option = 'reserved' then {utilisation} else 1 end as many,
    many * {billed_hours} as factor,
    many * {billed_low} as factor_low,
    many * {billed_high} as factor_high,
    {disk_months} * b.disk + {egress} * b.egress as extra_usd,
    s.usd_hour * factor + coalesce(extra_usd, 0) as usd,
    s.usd_hour * factor_low + coalesce(extra_usd, 0) as usd_low,
    s.usd_hour * factor_high + coalesce(extra_usd, 0) as usd_high
from sold s
join way w on w.gpu = s.gpu and w.gpu_count = s.gpu_count and w.rate = s.rate
left join bill b on b.provider = s.provider
where s.left_out is null
"""
BILLED = """greatest(coalesce(b.least_s, {step}), ceil(({hours} + {setup}) * 3600
    / coalesce(b.step_s, {step}) - {hair}) * coalesce(b.step_s, {step})) / 3600"""
WAY = {"gpu": "varchar", "gpu_count": "decimal(18,6)", "rate": "varchar", "way": "integer",
       "instances": "integer", "joined": "boolean", "reason": "varchar", "hours": "double",
       "low": "double", "high": "double"}  # fmt: skip
BILL = {"provider": "varchar", "step_s": "integer", "least_s": "integer", "disk": "double",
        "egress": "double", "known": "boolean"}  # fmt: skip


def pay(con: "duckdb.DuckDBPyConnection", job: Job, ways: Sequence[tuple[Any, ...]]) -> None:
    """Make `paid` of `sold`: what the job costs on each offer in each way, or why it can not."""
    buy = job.buy
    bills = [
        (b.provider, b.step_s, b.least_s, b.disk_usd_gib_month, b.egress_usd_gib, b.known)
        for b in billing().values()
    ]
    con.execute(PAID.format(
        ways=table(WAY, ways), bills=table(BILL, bills), rdma=RDMA_GBIT_S_GPU,
        strict=literal(buy.network == "known"), utilisation=buy.utilisation, runs=_runs(job),
        billed_hours=_billed(job, "w.hours"), billed_low=_billed(job, "w.low"),
        billed_high=_billed(job, "w.high"), egress=_egress(job),
        disk_months=f"{buy.disk_gib * _runs(job) / HOURS_MONTH} * (w.hours + {_setup(job)})",
    ))  # fmt: skip


def _billed(job: Job, hours: str) -> str:
    if job.kind == "serve":
        return hours
    return BILLED.format(hours=hours, setup=_setup(job), step=UNKNOWN_STEP_S, hair=HAIR)


def usd(job: Job, instances: int, hours: float, offer: Mapping[str, Any]) -> Decimal:
    """Return the same for one offer: its `usd_hour`, `provider` and `option`."""
    facts = billing().get(offer["provider"], Billing(provider=offer["provider"]))
    steps = -(-((hours + _setup(job)) * 3600 / facts.step_s - HAIR) // 1)
    billed = hours if job.kind == "serve" else max(facts.least_s, steps * facts.step_s) / 3600
    used = job.buy.utilisation if offer["option"] == "reserved" else 1
    machines = offer["usd_hour"] * instances * billed * _runs(job) / used
    return Decimal(repr(machines + (extra_usd(job, hours, facts) or 0)))


def extra_usd(job: Job, hours: float, facts: Billing) -> float | None:
    """Return what disk and egress cost; None where a price of them is not known."""
    if facts.disk_usd_gib_month is None or facts.egress_usd_gib is None:
        return None
    months = (hours + _setup(job)) * _runs(job) / HOURS_MONTH
    disk = job.buy.disk_gib * months * facts.disk_usd_gib_month
    return disk + _egress(job) * facts.egress_usd_gib


def _egress(job: Job) -> float:
    """Return the GiB that leave, of all runs; of a service in an hour."""
    if job.kind == "serve":
        return job.buy.egress_gib / HOURS_MONTH
    return job.buy.egress_gib * job.buy.runs


def _runs(job: Job) -> float:
    return 1.0 if job.kind == "serve" else job.buy.runs


def _setup(job: Job) -> float:
    return 0.0 if job.kind == "serve" else job.buy.setup_hours
