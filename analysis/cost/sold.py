"""The offers that a job is asked of, and why some of them are out before any physics.

`sold` is a temporary table, a row an offer: what the tape says of it, how often it is taken back
(`rate`), how fast its instances are joined (`gbit_s`), and the first reason that leaves it out.
"""

from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from gputape.analysis.cost.facts import networks
from gputape.analysis.cost.stated import Job
from gputape.analysis.cost.table import table
from gputape.analysis.offers import FOREVER, Question, conditions, reasons
from gputape.analysis.views import check_providers
from gputape.store.errors import BadInput
from gputape.store.gpus import select
from gputape.store.literal import filled, literal
from gputape.store.regions import CONTINENTS

if TYPE_CHECKING:
    import duckdb

SOLD = """
create or replace temp table sold as
with placed as (
    select *, case when left_out_of_offers is not null then left_out_of_offers
        when not list_contains($allowed, option) then option || ', not asked for'
        when option = 'reserved' and term_months > $term then 'longer term'
        when available is false and not $unavailable then 'not available'
        when usd_hour is null then 'no rate of exchange' end as left_out
    from (select *, {reasons} as left_out_of_offers from {source} where {asked})
),
interrupted as (
    select provider, sku, region, max_by(low_percent, moment(observed_at, scan_id)) as low_percent
    from interruption where observed_at <= {at} group by all
),
network as ({networks})
select a.series_id, a.provider, a.sku, a.region, a.zone, a.option, a.tier, a.term_months,
    a.payment, a.part, a.gpu, a.gpu_count, a.usd_hour::double as usd_hour, a.last_seen, a.stale,
    a.relay, a.available, n.gbit_s, a.left_out,
    case when a.left_out is not null then null
        when a.option <> 'spot' then 'none'
        when a.provider = 'aws' and i.low_percent is not null then 'aws ' || i.low_percent
        when a.provider in ('gcp', 'azure') then a.provider else 'unknown' end as rate
from placed a
left join network n on n.provider = a.provider and n.sku = a.sku
left join interrupted i on a.option = 'spot' and i.provider = a.provider and i.sku = a.sku
    and i.region = a.region
"""
# every series that was ever sold, at a dollar an hour: what a job costs on it is then the factor
# by which its price counts
EVER = """(
    select s.*, f.* exclude (series_id, scan_id), 1 as usd_hour, 'firm' as state,
        'live' as origin, null::timestamptz as last_seen, false as stale,
        null::boolean as available, b.market
    from series s join facts_of($gpus, null) f using (series_id)
    left join v_providers b on b.provider = s.provider
)"""

TERMS = """
select distinct s.term_months from series s join facts_of($gpus, null) using (series_id)
where s.option = 'reserved' and ($providers is null or list_contains($providers, s.provider))
order by 1
"""


def place(
    con: "duckdb.DuckDBPyConnection",
    job: Job,
    now: datetime,
    as_of: datetime | None = None,
    *,
    ever: bool = False,
) -> None:
    """Make `sold`: the offers of now, of a moment, or of every series that there `ever` was.

    Raises BadInput for a seller, a region or a term that nobody has.
    """
    if job.buy.providers:
        check_providers(con, job.buy.providers)
    tests, values = conditions(_question(job))
    at = literal(as_of) if as_of else FOREVER
    sql = SOLD.format(
        source=EVER if ever else f"offers_known($gpus, {at}, null)", at=at,
        asked=" and ".join(tests) or "true", reasons=reasons(frozenset(job.buy.include)),
        networks=table({"provider": "varchar", "sku": "varchar", "gbit_s": "double"},
                       ((*key, speed) for key, speed in networks().items())),
    )  # fmt: skip
    con.execute(filled(sql, {"gpus": None} | values | {
        "at": as_of or now, "max_age": None, "allowed": sorted(job.buy.allowed),
        "term": job.buy.term_months or 0, "unavailable": "unavailable" in job.buy.include,
    }))  # fmt: skip
    _check_region(con, job)
    _check_term(con, job)


def _question(job: Job) -> Question:
    buy = job.buy
    return Question(
        gpus=select(buy.gpus) if buy.gpus else None,
        providers=frozenset(buy.providers) if buy.providers else None, region=buy.region,
    )  # fmt: skip


def _check_region(con: "duckdb.DuckDBPyConnection", job: Job) -> None:
    """Refuse a region of which the tape has no series at all."""
    word = (job.buy.region or "").strip().casefold()
    if not word or _words(con, "select 1 from sold limit 1"):
        return
    known = _words(con, "select distinct lower(region) from series order by 1")
    if any(one.startswith(word) for one in known) or word in CONTINENTS:
        return
    near = get_close_matches(word, sorted({*known, *CONTINENTS}), 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "us-east or europe would be one"
    raise BadInput(f"this tape knows no region {job.buy.region!r}: {hint}")


def _check_term(con: "duckdb.DuckDBPyConnection", job: Job) -> None:
    """Refuse a term that no seller ever had: of a moment without any, nothing is the answer."""
    buy = job.buy
    if buy.term_months is None:
        return
    sold = _words(con, filled(TERMS, {
        "gpus": sorted(select(buy.gpus)) if buy.gpus else None,
        "providers": sorted(buy.providers) or None,
    }))  # fmt: skip
    if not any(months <= buy.term_months for months in sold):
        have = f"sold are {', '.join(map(str, sold))} months" if sold else "none is sold at all"
        raise BadInput(
            f"nobody sells a commitment of at most {buy.term_months} months of these: {have}"
        )


def _words(con: "duckdb.DuckDBPyConnection", sql: str) -> list[Any]:
    return [word for (word,) in con.execute(sql).fetchall()]
