"""What the same job would have cost on each day of the tape.

    found = timeline(con, job, first, last, now)
    found.days[-1].usd, found.lowest_in        today's cost, and for how many days it is the lowest

Physics is today's for every day: only prices move. A price counts on a day when its part was seen
on it, or stood until its end; nothing is carried over a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.closes import midnight
from gputape.analysis.cost.choice import choices
from gputape.analysis.cost.job import Job
from gputape.analysis.cost.rank import SHAPES, network_values, paid
from gputape.store.gpus import select
from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

DAY = timedelta(days=1)

# every series that was ever sold, at a dollar an hour: what a job costs on it is then the factor
# by which its price counts
EVER = """
create or replace temp table priced as
select s.series_id, s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months,
    s.payment, f.gpu, f.gpu_count, 1::double as usd_hour, null::timestamptz as last_seen,
    false as stale, coalesce(b.market, 'list') as market, f.relay, null::boolean as available,
    n.gbit_s, f.part,
    case when s.option <> 'spot' then 'none'
        when s.provider = 'aws' and i.low_percent is not null then 'aws ' || i.low_percent
        when s.provider in ('gcp', 'azure') then s.provider else 'unknown' end as rate,
    null::varchar as left_out
from series s
join facts_of($gpus, null) f using (series_id)
left join v_providers b on b.provider = s.provider
left join (values {networks}) n(provider, sku, gbit_s)
    on n.provider = s.provider and n.sku = s.sku
left join v_interruptions i on s.option = 'spot' and i.provider = s.provider and i.sku = s.sku
    and i.region = s.region
where f.gpu_count >= 1 and (f.derived is null or $derived) and list_contains($allowed, s.option)
    and (s.option <> 'reserved' or s.term_months <= $term)
    and ($marketplace or coalesce(b.market, 'list') <> 'marketplace')
    and ($providers is null or list_contains($providers, s.provider))
    and ($region is null or starts_with(lower(s.region), $region))
"""
DAYS = """
with able as (
    select r.series_id, r.provider, p.part, r.usd - coalesce(r.extra_usd, 0) as factor,
        coalesce(r.extra_usd, 0) as extra
    from ranked r join priced p using (series_id) where r.why is null
),
entry as (
    select series_id, date '{first}' as day, observed_at, scan_id, state, price, currency
    from firm_at($first - interval 1 microsecond, null)
    where series_id in (select series_id from able)
    union all
    select series_id, (observed_at at time zone 'UTC')::date, observed_at, scan_id, state, price,
        currency
    from price_log
    where state <> 'suspect' and observed_at >= $first and observed_at < $end
        and series_id in (select series_id from able)
),
-- the last reading of a series on a day stands until the day of its next
closed as (
    select series_id, day, max_by({{'state': state, 'price': price, 'currency': currency}},
        moment(observed_at, scan_id)) as r
    from entry group by series_id, day
),
span as (
    select series_id, r.price as price, r.currency as currency, r.state as state, day,
        coalesce(lead(day) over (partition by series_id order by day), date '{end}') as until
    from closed
),
standing as (
    select a.provider, a.part, s.series_id, s.currency, s.price::double * a.factor as native,
        a.extra, unnest(range(s.day, s.until, interval 1 day))::date as day
    from span s join able a using (series_id) where s.state = 'firm' and s.price is not null
),
seen as (
    select distinct provider, part, unnest(generate_series(
        greatest((observed_at at time zone 'UTC')::date, date '{first}'),
        greatest((observed_at at time zone 'UTC')::date, ((observed_at
            + to_seconds(coalesce(stands_s, 7200))) at time zone 'UTC')::date - 1),
        interval 1 day))::date as day
    from scan
    where status in ('ok', 'unchanged') and observed_at < $end
        and observed_at >= $first - interval 32 days
),
rates as (
    select currency, day + after::integer as day, max_by(usd_per_unit, day)::double as rate
    from fx, range(8) d(after) group by all
),
dollars as (
    select s.day, s.series_id,
        s.native * case when s.currency = 'USD' then 1 else x.rate end + s.extra as usd
    from standing s
    semi join seen using (provider, part, day)
    left join rates x on x.currency = s.currency and x.day = s.day
),
best as (
    select day, min(usd) as usd, arg_min(series_id, usd) as series_id, count(usd) as offers
    from dollars where usd is not null group by day
)
select b.day, b.usd, b.usd * r.usd_low / r.usd, b.usd * r.usd_high / r.usd, r.provider, r.sku,
    r.region, r.option, r.gpu, r.gpu_count, r.instances, b.offers
from best b join ranked r using (series_id) order by b.day
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDay:
    """The cheapest way to run the job at the end of a day. USD before tax."""

    day: date
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    provider: str
    sku: str
    region: str
    option: str
    gpu: str
    gpu_count: Decimal
    instances: int
    offers: int
    """Offers that could run it on that day."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A job's cost day by day; a day on which nothing was seen is absent."""

    days: list[OneDay]

    @property
    def lowest_in(self) -> int:
        """For how many days, counted back from the last, nothing was cheaper; 1 is that day."""
        if not self.days:
            return 0
        last = self.days[-1]
        cheaper = [one.day for one in self.days[:-1] if one.usd < last.usd]
        since = max(cheaper) if cheaper else self.days[0].day - DAY
        return (last.day - since).days


def timeline(
    con: "duckdb.DuckDBPyConnection", job: Job, first: date, last: date, now: datetime
) -> Timeline:
    """Return what the job would have cost at the end of each day from `first` to `last`."""
    last = min(last, now.date())
    buy = job.buy
    con.execute(filled(EVER.format(networks=network_values()), {
        "gpus": sorted(select(buy.gpus)) if buy.gpus else None,
        "providers": sorted(buy.providers) if buy.providers else None,
        "region": buy.region.casefold() if buy.region else None,
        "allowed": sorted(buy.allowed), "term": buy.term_months or 0,
        "derived": "derived" in buy.include, "marketplace": "marketplace" in buy.include,
    }))  # fmt: skip
    chosen = choices(job, con.execute(SHAPES).fetchall())
    paid(con, job, chosen.rows)
    words = DAYS.format(first=first, end=last + DAY)
    values = {"first": midnight(first), "end": min(midnight(last + DAY), now)}
    rows = con.execute(filled(words, values)).fetchall()
    return Timeline([_day(row) for row in rows])


def _day(row: Sequence[Any]) -> OneDay:
    day, *money = row[:4]
    usd, low, high = (Decimal(repr(amount)) for amount in money)
    provider, sku, region, option, gpu, gpu_count, instances, offers = row[4:]
    return OneDay(
        day=day, usd=usd, usd_low=low, usd_high=high, provider=provider, sku=sku, region=region,
        option=option, gpu=gpu, gpu_count=gpu_count, instances=instances, offers=offers,
    )  # fmt: skip
