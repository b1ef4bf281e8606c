-- Day by day.

-- The days from `first_day` until before `end_day` in the shape of `daily`, from the log; of one
-- provider, or of all with null.
-- A price counts while it is covered: from a look at its part that listed it until the next
-- look, and no longer than the part's prices stand unseen. Nothing is counted in between.
create or replace macro days_of(of_provider, first_day, end_day) as table
with
bound as (
    select first_day::timestamp at time zone 'UTC' as starts_at,
        end_day::timestamp at time zone 'UTC' as ends_at
),
placed as (
    select s.series_id, s.provider, s.source, s.option, s.tier, s.term_months,
        f.gpu, f.gpu_count::double as gpu_count
    from series s join facts_of(null::varchar[], null) f using (series_id)
    where of_provider is null or s.provider = of_provider
),
entry as (
    select series_id, observed_at, scan_id, price, currency
    from firm_at(first_day::timestamp at time zone 'UTC', null)
    union all
    select series_id, observed_at, scan_id, price, currency from price_log
    where state <> 'suspect' and observed_at > first_day::timestamp at time zone 'UTC'
        and observed_at < end_day::timestamp at time zone 'UTC'
),
-- of two readings of one moment the older lasts no time at all
span as (
    select series_id, price, currency,
        epoch_us(greatest(observed_at, starts_at)) as from_us,
        epoch_us(coalesce(lead(observed_at) over (
            partition by series_id order by observed_at, scan_id), ends_at)) as to_us
    from (from entry where series_id in (select series_id from placed)), bound
),
piece as (
    select series_id, price, currency, day, greatest(from_us, day * 86_400_000_000) as from_us,
        least(to_us, (day + 1) * 86_400_000_000) as to_us
    from (
        select *, unnest(range(from_us // 86_400_000_000, (to_us - 1) // 86_400_000_000 + 1)) as day
        from span where price is not null and to_us > from_us
    )
),
look as (
    select provider, part, last_seen as observed_at, stands_s
    from looks_at(first_day::timestamp at time zone 'UTC', null) where last_seen is not null
    union all
    select provider, part, observed_at, stands_s from scan
    where status in ('ok', 'unchanged')
        and observed_at > first_day::timestamp at time zone 'UTC'
        and observed_at < end_day::timestamp at time zone 'UTC'
),
open_look as (
    select provider, part, epoch_us(observed_at) as from_us,
        least(
            epoch_us(coalesce(lead(observed_at) over (
                partition by provider, part order by observed_at), ends_at)),
            epoch_us(observed_at) + 1_000_000::bigint * coalesce(stands_s, 7200),
            greatest(epoch_us(now()), epoch_us(observed_at))
        ) as to_us
    from look, bound
),
-- covered time of a part up to each look, so that any span's share is a difference of two
clock as (
    select provider, part, from_us, max(to_us) as to_us,
        coalesce(sum(max(to_us) - from_us) over (
            partition by provider, part order by from_us
            rows between unbounded preceding and 1 preceding), 0)::bigint as before_us
    from open_look group by provider, part, from_us
),
listed as (
    select distinct f.series_id, p.provider, f.part from series_fact f join placed p using (series_id)
),
timed as (
    select p.*, greatest(
            coalesce(c2.before_us + least(p.to_us, c2.to_us) - c2.from_us, 0)
            - coalesce(c1.before_us + least(p.from_us, c1.to_us) - c1.from_us, 0), 0) as covered_us
    from (select piece.*, provider, part from piece join listed using (series_id)) p
    asof left join clock c1
        on c1.provider = p.provider and c1.part = p.part and p.from_us >= c1.from_us
    asof left join clock c2
        on c2.provider = p.provider and c2.part = p.part and p.to_us >= c2.from_us
),
-- one day of one series; two parts may list it, and time is not covered twice
series_day as (
    select day, series_id, currency, arg_min(price, from_us) as open, min(price) as low,
        max(price) as high, arg_max(price, from_us) as close,
        sum(price::double * least(covered_us, to_us - from_us)) / sum(least(covered_us, to_us - from_us))
            as mean,
        least(sum(least(covered_us, to_us - from_us)) / 3.6e9, 24) as hours
    from timed where covered_us > 0 group by day, series_id, currency
)
select date '1970-01-01' + day::integer as day, provider, source, gpu, option, tier, term_months,
    currency,
    min(open::double / gpu_count)::decimal(18,9) as open,
    min(low::double / gpu_count)::decimal(18,9) as low,
    max(high::double / gpu_count)::decimal(18,9) as high,
    min(close::double / gpu_count)::decimal(18,9) as close,
    sum(mean / gpu_count * hours) / sum(hours) as mean,
    count(*)::integer as series, max(hours)::float as hours, sum(hours) as series_hours
from series_day join placed using (series_id)
group by all;

-- Days that are over and written down, each in its newest roll.
create or replace view v_rolled as
select d.* exclude (roll_id) from daily d
join (select provider, day, max(roll_id) as roll_id from rolled group by provider, day)
    using (provider, day, roll_id);

-- The first day that some provider's roll does not hold yet.
create or replace macro first_open_day() as (
    select coalesce(min(day) + 1, (select min((observed_at at time zone 'UTC')::date) from scan))
    from (
        select max(r.day) as day from (select distinct provider from scan) s
        left join rolled r using (provider) group by provider
    )
);

-- Day by day: the cheapest of each provider, GPU and option, and how far prices spread.
create or replace view v_daily as
with day_row as (
    from v_rolled
    union all by name
    select d.* from days_of(null, first_open_day(), (now() at time zone 'UTC')::date + 1) d
    anti join rolled r on r.provider = d.provider and r.day = d.day
),
unit as (
    select d.*, case when d.currency = 'USD' then 1 else x.usd_per_unit::double end as rate
    from day_row d asof left join fx x on x.currency = d.currency and d.day >= x.day
)
select day, provider, gpu, option,
    (min(open * rate))::decimal(18,6) as open_usd_gpu_hour,
    (min(low * rate))::decimal(18,6) as low_usd_gpu_hour,
    (max(high * rate))::decimal(18,6) as high_usd_gpu_hour,
    (min(close * rate))::decimal(18,6) as close_usd_gpu_hour,
    (sum(mean * rate * series_hours) / sum(series_hours))::decimal(18,6) as mean_usd_gpu_hour,
    sum(series)::integer as series, max(hours) as hours, sum(series_hours) as series_hours
from unit group by all;
