-- Day by day.

-- Prices and how long each was covered, in microseconds, from `a` until before `b`; whole, or cut
-- at midnight (UTC). Of one provider and of some GPUs, or of all with nulls.
-- A price is covered from a look at its part that listed it until the next look, and no longer
-- than the part's prices stand unseen. Nothing is counted in between.
create or replace macro pieces_of(of_provider, gpus, a, b, by_day) as table
with
listed as (
    select distinct s.series_id, s.provider, f.part
    from series s join series_fact f using (series_id)
    where (of_provider is null or s.provider = of_provider)
        and (gpus is null or s.series_id in (select series_id from facts_of(gpus, null)))
),
entry as (
    select series_id, observed_at, scan_id, price, currency from firm_at(a, null)
    where series_id in (select series_id from listed)
    union all
    select series_id, observed_at, scan_id, price, currency from price_log
    where state <> 'suspect' and observed_at > a and observed_at < b
        and series_id in (select series_id from listed)
),
-- of two readings of one moment the older lasts no time at all
span as (
    select series_id, price, currency, epoch_us(greatest(observed_at, a)) as from_us,
        epoch_us(coalesce(lead(observed_at) over (
            partition by series_id order by observed_at, scan_id), b)) as to_us
    from entry
),
piece as (
    select series_id, price, currency, day,
        case when by_day then greatest(from_us, day * 86_400_000_000) else from_us end as from_us,
        case when by_day then least(to_us, (day + 1) * 86_400_000_000) else to_us end as to_us
    from (
        select *, unnest(case when by_day
            then range(from_us // 86_400_000_000, (to_us - 1) // 86_400_000_000 + 1)
            else [0::bigint] end) as day
        from span where price is not null and to_us > from_us
    )
),
look as (
    select provider, part, last_seen as observed_at, stands_s
    from looks_at(a, null) where last_seen is not null
    union all
    select provider, part, observed_at, stands_s from scan
    where status in ('ok', 'unchanged') and observed_at > a and observed_at < b
),
open_look as (
    select provider, part, epoch_us(observed_at) as from_us,
        least(
            epoch_us(coalesce(lead(observed_at) over (
                partition by provider, part order by observed_at), b)),
            epoch_us(observed_at) + 1_000_000::bigint * coalesce(stands_s, 7200),
            greatest(epoch_us(now()), epoch_us(observed_at))
        ) as to_us
    from look
),
-- covered time of a part up to each look, so that any span's share is a difference of two
clock as (
    select provider, part, from_us, max(to_us) as to_us,
        coalesce(sum(max(to_us) - from_us) over (
            partition by provider, part order by from_us
            rows between unbounded preceding and 1 preceding), 0)::bigint as before_us
    from open_look group by provider, part, from_us
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
)
-- two parts may list a series, and time is not covered twice
select series_id, day, price, currency, from_us, to_us,
    least(sum(covered_us), to_us - from_us)::bigint as covered_us
from timed where covered_us > 0
group by series_id, day, price, currency, from_us, to_us;

-- The days from `first_day` until before `end_day` in the shape of `daily`, from the log.
create or replace macro days_of(of_provider, first_day, end_day) as table
with
series_day as (
    select day, series_id, currency, arg_min(price, from_us) as open, min(price) as low,
        max(price) as high, arg_max(price, from_us) as close,
        sum(price::double * covered_us) / sum(covered_us) as mean, sum(covered_us) / 3.6e9 as hours
    from pieces_of(of_provider, null::varchar[], first_day::timestamp at time zone 'UTC',
        end_day::timestamp at time zone 'UTC', true)
    group by day, series_id, currency
),
placed as (
    select s.series_id, s.provider, s.source, s.option, s.tier, s.term_months,
        f.gpu, f.gpu_count::double as gpu_count
    from series s join facts_of(null::varchar[], null) f using (series_id)
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

-- Each series of some GPUs (all with null) from `a` until `b`: lows, highs, the mean weighted by
-- covered time, and how much of the time was covered. Native, for the whole sku, per hour.
create or replace macro summary_of(gpus, a, b) as table
with
inside as (
    select series_id, currency, min(price) as low, max(price) as high,
        min(from_us) filter (where covered_us > 0) as began_us,
        sum(price::double * covered_us) / sum(covered_us) as mean,
        sum(covered_us) / 3.6e9 as hours_covered
    from pieces_of(null, gpus, a, b, false) group by series_id, currency
),
ever as (
    select series_id, currency, min(price) as all_time_low, max(price) as all_time_high,
        arg_min(observed_at, (price, observed_at)) as all_time_low_at
    from price_log where state = 'firm' and series_id in (select series_id from inside)
        and (series_id, observed_at, scan_id) in (
            select series_id, valid_from, scan_id from v_prices where state = 'firm')
    group by series_id, currency
)
select o.provider, o.sku, o.region, o.zone, o.option, o.tier, o.term_months, o.payment, o.source,
    o.gpu, o.gpu_count, i.currency, o.first_seen, o.last_seen, o.state, o.price,
    i.low, i.high, i.mean::decimal(18,9) as mean, e.all_time_low, e.all_time_low_at,
    e.all_time_high, i.hours_covered::decimal(12,2) as hours_covered,
    ((epoch_us(b) - epoch_us(a)) / 3.6e9)::decimal(12,2) as hours,
    i.series_id
from inside i join ever e using (series_id, currency)
join offers_of(gpus, b) o on o.series_id = i.series_id;

-- Days that are over and written down, each in its newest roll.
create or replace view v_rolled as
select d.* exclude (roll_id) from daily d
join (select provider, day, max(roll_id) as roll_id from rolled group by provider, day)
    using (provider, day, roll_id);

-- The first day that some provider's roll does not hold yet.
create or replace macro first_open_day() as (
    select min(coalesce(r.day + 1, s.day))
    from (
        select provider, min((observed_at at time zone 'UTC')::date) as day from scan
        where status in ('ok', 'unchanged') group by provider
    ) s left join (select provider, max(day) as day from rolled group by provider) r using (provider)
);

-- The last day that any look covers.
create or replace macro last_covered_day() as (
    select max((last_seen + to_seconds(coalesce(stands_s, 7200))) at time zone 'UTC')::date
    from looks_at('infinity'::timestamptz, null)
);

-- Whether `today` knows every scan and every roll.
create or replace macro newest_id() as (
    greatest((select max(scan_id) from scan), (select max(roll_id) from rolled))
);
create or replace macro today_is_known() as (
    coalesce((select max(up_to_id) from today), 0) = coalesce(newest_id(), 0)
);

-- Like for like, day by day, the last up to the newest scan that was published: what `v_daily`
-- sums up. A day that was rolled since `today` was written is told by its roll.
create or replace view v_days as
select * from v_rolled
union all by name
select t.* exclude (up_to_id) from today t
anti join rolled r on r.provider = t.provider and r.day = t.day;

-- A rate of each currency for each day it holds: the week after its own. Joined by equality,
-- for an ASOF join sorts every row of a year.
create or replace macro rates_by_day() as table
select currency, day + after::integer as day, max_by(usd_per_unit, day)::double as rate
from fx, range(8) days(after) group by all;

-- Day by day: the cheapest of each provider, GPU and option, and how far prices spread. What others
-- kept (`source`) has rows of its own.
create or replace view v_daily as
with unit as (
    select d.*, case when d.currency = 'USD' then 1 else x.rate end as rate
    from v_days d left join rates_by_day() x on x.currency = d.currency and x.day = d.day
)
select day, provider, source, gpu, option,
    (min(open * rate))::decimal(18,6) as open_usd_gpu_hour,
    (min(low * rate))::decimal(18,6) as low_usd_gpu_hour,
    (max(high * rate))::decimal(18,6) as high_usd_gpu_hour,
    (min(close * rate))::decimal(18,6) as close_usd_gpu_hour,
    (sum(mean * rate * series_hours)
        / sum(series_hours) filter (where rate is not null))::decimal(18,6) as mean_usd_gpu_hour,
    sum(series)::integer as series, max(hours) as hours, sum(series_hours) as series_hours
from unit group by all;
