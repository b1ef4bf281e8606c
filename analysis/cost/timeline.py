"""What the same job would have cost on each day of the tape.

    found = timeline(con, job, first, last, now)
    found.days[-1].usd, found.lowest_in        today's cost, and for how many days it is the lowest

Only prices move: physics is today's for every day, and so is how often spot is taken back. A
price counts on a day when its part was seen on it, or stood until its end; nothing is carried
over a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.closes import midnight
from gputape.analysis.cost.choice import choices
from gputape.analysis.cost.money import pay
from gputape.analysis.cost.rank import SHAPES
from gputape.analysis.cost.sold import place
from gputape.analysis.cost.stated import Job
from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

DAY = timedelta(days=1)
FEW, MORE = 256, 8
# Ways by the least that they can have cost: on the lowest price of the period. At a dollar an hour
# `factor` is what a price counts by; of two ways the lesser is the cheaper at any price, unless a
# disk makes hours themselves cost.
ABLE = """
create or replace temp table able as
with way as (
    select p.series_id, p.way, s.provider, s.part, p.factor, p.factor_low, p.factor_high,
        coalesce(p.extra_usd, 0) as extra
    from paid p join sold s using (series_id) where p.unfit is null
    qualify $disk or row_number() over (partition by series_id order by factor, instances) = 1
),
entry as (
    select series_id, price, currency from firm_at($first - interval 1 microsecond, null)
    where state = 'firm'
    union all
    select series_id, price, currency from price_log
    where state = 'firm' and observed_at >= $first and observed_at < $end
),
lowest as (
    select series_id, currency, min(price)::double as price from entry
    where series_id in (select series_id from way) group by all
),
rates as (
    select currency, min(usd_per_unit)::double as rate from fx
    where day > date '{first}' - 8 and day < date '{end}' group by currency
),
floors as (
    select l.series_id,
        round(min(l.price * case when l.currency = 'USD' then 1 else x.rate end), 6) as usd_hour
    from lowest l left join rates x using (currency) group by l.series_id
)
select w.*, f.usd_hour * w.factor + w.extra as floor_usd,
    row_number() over (order by floor_usd, w.series_id, w.way) as place
from way w join floors f using (series_id) where f.usd_hour is not null
"""
# when each part was seen; `until`: how long that stood
SEEN = """
create or replace temp table seen as
with look as (
    select provider, part, (observed_at at time zone 'UTC')::date as day,
        observed_at + to_seconds(coalesce(stands_s, 7200)) as until
    from scan
    where status in ('ok', 'unchanged') and observed_at < $end
        and observed_at >= $first - interval 32 days
        and (provider, part) in (select (provider, part) from able)
)
select distinct provider, part, unnest(generate_series(greatest(day, date '{first}'),
    greatest(day, case when until >= $end then date '{end}'
        else (until at time zone 'UTC')::date end - 1), interval 1 day))::date as day
from look
"""
DAYS = """
with few as (from able where place <= {most}),
entry as (
    select series_id, date '{first}' as day, observed_at, scan_id, state, price, currency,
        available
    from firm_at($first - interval 1 microsecond, null)
    where series_id in (select series_id from few)
    union all
    select series_id, (observed_at at time zone 'UTC')::date, observed_at, scan_id, state, price,
        currency, available
    from price_log
    where state <> 'suspect' and observed_at >= $first and observed_at < $end
        and series_id in (select series_id from few)
),
-- the last reading of a series on a day stands until the day of its next
closed as (
    select series_id, day, max_by({{'state': state, 'price': price, 'currency': currency,
        'available': available}}, moment(observed_at, scan_id)) as r
    from entry group by series_id, day
),
span as (
    select series_id, r.price as price, r.currency as currency, day,
        r.state = 'firm' and r.price is not null
            and (r.available is not false or $unavailable) as sold,
        coalesce(lead(day) over (partition by series_id order by day), date '{end}') as until
    from closed
),
standing as (
    select series_id, currency, price::double as price,
        unnest(range(day, until, interval 1 day))::date as day
    from span where sold
),
dollars as (
    select s.day, s.series_id,
        round(s.price * case when s.currency = 'USD' then 1 else x.rate end, 6) as usd_hour
    from standing s left join rates_by_day() x on x.currency = s.currency and x.day = s.day
),
costing as (
    select d.day, f.series_id, f.way, d.usd_hour * f.factor + f.extra as usd,
        d.usd_hour * f.factor_low + f.extra as low, d.usd_hour * f.factor_high + f.extra as high
    from dollars d join few f using (series_id)
    semi join seen on seen.provider = f.provider and seen.part = f.part and seen.day = d.day
),
best as (
    select day, min_by({{'usd': usd, 'low': low, 'high': high, 'series_id': series_id, 'way': way}},
        (usd, high, series_id)) as b
    from costing where usd is not null group by day
)
select day, b.usd, b.low, b.high, s.provider, s.sku, s.region, s.option, s.gpu, s.gpu_count,
    p.instances
from best join sold s on s.series_id = b.series_id
join paid p on p.series_id = b.series_id and p.way = b.way
order by day
"""
BEYOND = """
select (select count(distinct day) from seen),
    (select min(floor_usd) from able where place > {most})
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
    end = min(midnight(last + DAY), now)
    place(con, job, now, end, ever=True)
    chosen = choices(job, con.execute(SHAPES).fetchall())
    pay(con, job, chosen.rows)
    values = {"first": midnight(first), "end": end, "disk": job.buy.disk_gib > 0,
              "unavailable": "unavailable" in job.buy.include}  # fmt: skip
    budget = Decimal(str(job.buy.budget_usd or "Infinity"))
    days = [_day(row) for row in _cheapest(con, values, first, last + DAY)]
    return Timeline([day for day in days if day.usd <= budget])


def _cheapest(
    con: "duckdb.DuckDBPyConnection", values: dict[str, Any], first: date, end: date
) -> list[tuple[Any, ...]]:
    """Return the cheapest of each day, asked of few offers, and of more while others may beat it.

    A year of the log holds millions of prices of offers that never were the cheapest.
    """

    def said(sql: str, most: int = 0) -> list[tuple[Any, ...]]:
        words = sql.format(first=first, end=end, most=most)
        return con.execute(filled(words, values)).fetchall()

    said(ABLE)
    said(SEEN)
    most = FEW
    while True:
        rows = said(DAYS, most)
        ((days, beyond),) = said(BEYOND, most)
        if beyond is None or (len(rows) == days and all(row[1] <= beyond for row in rows)):
            return rows
        most *= MORE


def _day(row: Sequence[Any]) -> OneDay:
    day, *money = row[:4]
    usd, low, high = (Decimal(repr(amount)) for amount in money)
    provider, sku, region, option, gpu, gpu_count, instances = row[4:]
    return OneDay(
        day=day, usd=usd, usd_low=low, usd_high=high, provider=provider, sku=sku, region=region,
        option=option, gpu=gpu, gpu_count=gpu_count, instances=instances,
    )  # fmt: skip
