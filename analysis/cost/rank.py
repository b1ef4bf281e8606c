"""One job on every offer that can run it, cheapest first.

    ranked = rank(con, job, now)
    ranked.rows[0].usd, ranked.rows[0].hours      the cheapest: expected dollars, wall hours
    ranked.left_out                               {"too little memory": 812, …}

The store is asked once; physics once for each shape that its answer holds. Dollars are before
tax. Every offer is either ranked or counted in `left_out`, by the first reason, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.cost.choice import choices
from gputape.analysis.cost.money import pay
from gputape.analysis.cost.sold import place
from gputape.analysis.cost.stated import Job
from gputape.analysis.cost.ways import Way

if TYPE_CHECKING:
    import duckdb

SHAPES = """
select distinct gpu, gpu_count, rate from sold where left_out is null order by all
"""
# of the ways an offer may go, the one that can be gone, then the cheapest
RANKED = """
create or replace temp table ranked as
select *, coalesce(unfit, case when usd > {budget} then 'over the budget' end) as why
from paid qualify row_number() over (
    partition by series_id order by why is not null, usd, instances) = 1
"""
COLUMNS = (
    "usd", "usd_low", "usd_high", "hours", "low", "high", "provider", "sku", "region", "zone",
    "option", "tier", "term_months", "payment", "gpu", "gpu_count", "instances", "usd_hour",
    "extra_usd", "gbit_s", "billing_known", "relay", "available", "stale", "last_seen", "rate",
    "way", "series_id",
)  # fmt: skip
ROWS = """
select {columns} from ranked join sold using (series_id) where why is null {only}
order by usd, usd_high, provider, sku, region, series_id {limit}
"""
ONE_EACH = "qualify row_number() over (partition by provider order by usd, series_id) = 1"
AGES = """
select count(*), max(last_seen), min(last_seen), count(*) filter (where stale)
from ranked join sold using (series_id) where why is null
"""
LEFT_OUT = """
select why, count(*) from (
    select left_out as why from sold where left_out is not null
    union all select why from ranked where why is not null
) group by why order by count(*) desc, why
"""


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
    matched: int
    """Offers that can run it, before `limit` and `each_provider`."""
    newest: datetime | None
    oldest: datetime | None
    """When they were last seen."""
    stale: int
    left_out: dict[str, int]

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
    place(con, job, now, as_of)
    chosen = choices(job, con.execute(SHAPES).fetchall())
    pay(con, job, chosen.rows)
    con.execute(RANKED.format(budget=job.buy.budget_usd or "null"))
    rows = con.execute(ROWS.format(
        columns=", ".join(COLUMNS), only=ONE_EACH if each_provider else "",
        limit="" if limit is None else f"limit {limit}",
    )).fetchall()  # fmt: skip
    matched, newest, oldest, stale = con.execute(AGES).fetchall()[0]
    return Ranked(
        job=job, rows=[_priced(row, chosen.ways) for row in rows], matched=matched, newest=newest,
        oldest=oldest, stale=stale, left_out=dict(con.execute(LEFT_OUT).fetchall()),
    )  # fmt: skip


def _priced(cells: Sequence[Any], ways: Sequence[Way]) -> Priced:
    row = dict(zip(COLUMNS, cells, strict=True))
    usd, low, high = (Decimal(repr(row.pop(name))) for name in ("usd", "usd_low", "usd_high"))
    return Priced(
        usd=usd, usd_low=low, usd_high=high, hours=row.pop("hours"), hours_low=row.pop("low"),
        hours_high=row.pop("high"), way=ways[row.pop("way")], offer=row,
    )  # fmt: skip
