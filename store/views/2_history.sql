-- How prices went.

-- Full history as half-open intervals; what was held back and never confirmed is left out.
-- `recorded`: as it was said at the time, without the corrections of our own reading.
create or replace macro prices_of(recorded) as table
with placed as (
    select s.* exclude (first_seen), f.gpu, f.gpu_count
    from series s join facts_of(null::varchar[], null) f using (series_id)
),
-- a series has one gpu, provider, sku and option: they stand in the windows only so that a
-- filter on them is applied before the log is sorted
kept as (
    select * from price_log join placed using (series_id)
    where state <> 'suspect' and not (recorded and origin = 'correction')
    qualify row_number() over (
        partition by gpu, provider, sku, option, series_id, observed_at order by scan_id desc) = 1
),
spans as (
    select *, lead(observed_at) over (
            partition by gpu, provider, sku, option, series_id order by observed_at) as valid_to,
        (observed_at at time zone 'UTC')::date as day
    from kept
)
select
    p.provider, p.sku, p.region, p.zone, p.option, p.tier, p.term_months, p.payment, p.source,
    p.gpu, p.gpu_count,
    p.price, p.currency,
    case when p.currency = 'USD' then p.price::decimal(18,6)
         when x.day > p.day - 8 then try_cast(p.price * x.usd_per_unit as decimal(18,6))
         end as usd_hour,
    case when p.currency = 'USD' then try_cast(p.price / p.gpu_count as decimal(18,6))
         when x.day > p.day - 8
         then try_cast(p.price * x.usd_per_unit / p.gpu_count as decimal(18,6))
         end as usd_gpu_hour,
    p.upfront, p.available, p.state, p.reason,
    p.observed_at as valid_from, p.valid_to,
    p.origin, p.replaces, p.scan_id, p.series_id
from spans p
asof left join fx x on x.currency = p.currency and p.day >= x.day;

create or replace view v_prices as from prices_of(false);

create or replace macro prices_as_recorded() as table from prices_of(true);

-- What moved after `a` and until `b`. A correction of our own reading is not a move, and so
-- never here: of the readings of one moment the newest counts, and it is a move only if
-- something was seen to move then and it differs from the newest reading of the moment before.
create or replace macro changes_between(a, b) as table
with
entry as (
    select series_id, observed_at, scan_id, state, price, currency, origin,
        origin <> 'correction' as seen, restated
    from price_log where state <> 'suspect' and observed_at > a and observed_at <= b
    union all
    select series_id, observed_at, scan_id, state, price, currency, origin, false, null
    from firm_at(a, null)
    where series_id in (select series_id from price_log where observed_at > a and observed_at <= b)
),
reading as (
    select * exclude (seen), max(case when seen then origin end) over (
            partition by series_id, observed_at) as seen_as
    from entry
    qualify row_number() over (partition by series_id, observed_at order by scan_id desc) = 1
),
priced as (
    select *, lag(state) over w as old_state, lag(observed_at) over w as old_since,
        -- read by a later parser than this row was: not to be compared
        case when lag(origin) over w = 'correction' and lag(scan_id) over w > scan_id
                and lag(restated) over w is not true then null
             else lag(price) over w end as old_price,
        lag(currency) over w as old_currency
    from reading
    window w as (partition by series_id order by observed_at)
)
select
    p.observed_at as changed_at,
    case when p.state in ('gone', 'unpriced') then p.state
         when p.old_state is null then 'new'
         when p.old_state in ('gone', 'unpriced') then 'back'
         else 'price' end as event,
    s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months, s.payment, s.source,
    f.gpu as gpu, f.gpu_count as gpu_count,
    p.old_price, p.price, p.currency,
    case when p.old_currency = p.currency
         then try_cast((p.price / p.old_price - 1) * 100 as decimal(12,2)) end as percent,
    try_cast(p.price / f.gpu_count as decimal(18,6)) as gpu_hour,
    try_cast(p.old_price / f.gpu_count as decimal(18,6)) as old_gpu_hour,
    p.old_since, p.seen_as as origin, p.scan_id, p.series_id
from priced p
join series s using (series_id)
join facts_of(null::varchar[], null) f using (series_id)
where p.seen_as is not null and not (p.old_state is null and p.state = 'gone')
    and (p.old_state is distinct from p.state
        or p.state = 'firm' and (p.old_price, p.old_currency) is distinct from (p.price, p.currency));

create or replace view v_changes as from changes_between('-infinity'::timestamptz, 'infinity'::timestamptz);
