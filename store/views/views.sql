-- What people ask. Made anew by every version of the program, so that a view can be improved
-- without a migration. Prices in `usd_…` columns are before tax. Times are UTC.

-- GPU facts as the program that last wrote this tape knew them.
create or replace view v_gpu_facts as
select * exclude (generation, noted_at) from gpu qualify noted_at = max(noted_at) over ();

-- Providers likewise.
create or replace view v_providers as
select * exclude (generation, noted_at) from provider qualify noted_at = max(noted_at) over ();

-- Orders rows by time, and rows of one time by the order of recording.
create or replace macro moment(observed_at, scan_id) as
    epoch_us(observed_at)::hugeint * 9223372036854775808::hugeint + scan_id;

-- The state of every series at a moment, with what was known then; of some GPUs only, when
-- `gpus` is a list: then no more of the log is put in order than their series need.
create or replace macro offers_of(gpus, t) as table
with
asked as (
    select distinct series_id from series_fact
    where gpus is not null and list_contains(gpus, gpu)
),
known as (
    select
        series_id,
        -- newest firm knowledge, and the newest of all: they differ while a price is held back
        max_by({'price': price, 'currency': currency, 'upfront': upfront, 'available': available,
                'state': state, 'reason': reason, 'since': observed_at, 'scan_id': scan_id,
                'origin': origin}, moment(observed_at, scan_id))
            filter (where state <> 'suspect') as firm,
        max_by({'price': price, 'currency': currency, 'upfront': upfront, 'available': available,
                'state': state, 'reason': reason, 'since': observed_at, 'scan_id': scan_id,
                'origin': origin}, moment(observed_at, scan_id)) as latest
    from price_log
    where observed_at <= t and (gpus is null or series_id in (from asked))
    group by series_id
),
facts as (
    select series_id, max_by({'part': part, 'gpu': gpu, 'gpu_count': gpu_count, 'vcpus': vcpus,
                              'memory_gib': memory_gib, 'derived': derived, 'relay': relay,
                              'source_sku': source_sku}, scan_id) as fact
    from series_fact where gpus is null or series_id in (from asked)
    group by series_id
),
confirmed as (
    select provider, part, max(observed_at) as last_seen
    from scan where status in ('ok', 'unchanged') and observed_at <= t
    group by provider, part
),
rates as (
    select currency, max_by(usd_per_unit, day) as usd_per_unit
    from fx where day <= (least(t, now()) at time zone 'UTC')::date
        and day > (least(t, now()) at time zone 'UTC')::date - 8
    group by currency
),
row_state as (
    -- a held-back price is a row of its own only where nothing firm is known yet
    select series_id, coalesce(firm, latest) as p,
        firm is not null and latest.state = 'suspect' as held,
        latest.price as held_price, latest.reason as held_reason
    from known
)
select
    s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months, s.payment,
    f.fact.gpu as gpu,
    g.family, g.memory_gib as gpu_memory_gib,
    f.fact.gpu_count as gpu_count,
    r.p.price as price, r.p.currency as currency,
    -- dollars apart: a product of two DECIMALs is 128 bits wide and 50 times slower to cast
    case when r.p.currency = 'USD' then r.p.price::decimal(18,6)
         else try_cast(r.p.price * x.usd_per_unit as decimal(18,6)) end as usd_hour,
    case when r.p.currency = 'USD' then try_cast(r.p.price / f.fact.gpu_count as decimal(18,6))
         else try_cast(r.p.price * x.usd_per_unit / f.fact.gpu_count as decimal(18,6))
         end as usd_gpu_hour,
    r.p.upfront as upfront,
    f.fact.vcpus as vcpus, f.fact.memory_gib as memory_gib,
    r.p.available as available,
    f.fact.derived as derived, f.fact.relay as relay,
    b.market,
    r.p.state as state, r.p.reason as reason,
    case when r.held then r.held_price end as held_price,
    case when r.held then r.held_reason end as held_reason,
    r.p.since as since,
    s.first_seen,
    coalesce(c.last_seen, r.p.since) as last_seen,
    -- in microseconds: subtracting TIMESTAMPTZs asks the calendar, 2 us a row
    epoch_us(least(t, now())) - epoch_us(coalesce(c.last_seen, r.p.since))
        > 2_000_000::bigint * coalesce(b.cadence_s, 3600) as stale,
    r.p.origin as origin,
    f.fact.part as part, f.fact.source_sku as source_sku,
    r.p.scan_id as scan_id, s.series_id
from row_state r
join series s using (series_id)
join facts f using (series_id)
left join v_gpu_facts g on g.gpu = f.fact.gpu
left join confirmed c on c.provider = s.provider and c.part = f.fact.part
left join v_providers b on b.provider = s.provider
left join rates x on x.currency = r.p.currency;

create or replace macro offers_at(t) as table from offers_of(null::varchar[], t);

-- Every series as it stands now.
create or replace view v_offers as from offers_at('infinity'::timestamptz);

-- Full history as half-open intervals; what was held back and never confirmed is left out.
create or replace view v_prices as
with facts as (
    select series_id, max_by({'gpu': gpu, 'gpu_count': gpu_count}, scan_id) as fact
    from series_fact group by series_id
),
placed as (
    select s.* exclude (first_seen), f.fact.gpu as gpu, f.fact.gpu_count as gpu_count
    from series s join facts f using (series_id)
),
-- a series has one gpu, provider, sku and option: they stand in the windows only so that a
-- filter on them is applied before the log is sorted
kept as (
    select * from price_log join placed using (series_id) where state <> 'suspect'
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
    p.provider, p.sku, p.region, p.zone, p.option, p.tier, p.term_months, p.payment,
    p.gpu, p.gpu_count,
    p.price, p.currency,
    case when p.currency = 'USD' then p.price::decimal(18,6)
         else try_cast(p.price * x.usd_per_unit as decimal(18,6)) end as usd_hour,
    case when p.currency = 'USD' then try_cast(p.price / p.gpu_count as decimal(18,6))
         else try_cast(p.price * x.usd_per_unit / p.gpu_count as decimal(18,6))
         end as usd_gpu_hour,
    p.upfront, p.available, p.state, p.reason,
    p.observed_at as valid_from, p.valid_to,
    p.origin, p.scan_id, p.series_id
from spans p
asof left join fx x on x.currency = p.currency and p.day >= x.day;

-- What moved. A correction of our own reading is not a move, and so never here; it stands
-- between the row that it corrects and the next one, and hides neither.
create or replace view v_changes as
with priced as (
    select series_id, observed_at, scan_id, state, price, currency, origin,
        lag(state) over w as old_state, lag(price) over w as old_price,
        lag(currency) over w as old_currency, lag(observed_at) over w as old_since
    from price_log where state <> 'suspect'
    window w as (partition by series_id order by observed_at, scan_id)
),
facts as (
    select series_id, max_by({'gpu': gpu, 'gpu_count': gpu_count}, scan_id) as fact
    from series_fact group by series_id
)
select
    p.observed_at as changed_at,
    case when p.old_state is null then 'new'
         when p.state in ('gone', 'unpriced') then p.state
         when p.old_state in ('gone', 'unpriced') then 'back'
         else 'price' end as event,
    s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months, s.payment,
    f.fact.gpu as gpu, f.fact.gpu_count as gpu_count,
    p.old_price, p.price, p.currency,
    case when p.old_currency = p.currency
         then try_cast((p.price / p.old_price - 1) * 100 as decimal(12,2)) end as percent,
    try_cast(p.price / f.fact.gpu_count as decimal(18,6)) as gpu_hour,
    try_cast(p.old_price / f.fact.gpu_count as decimal(18,6)) as old_gpu_hour,
    p.old_since, p.origin, p.scan_id, p.series_id
from priced p
join series s using (series_id)
join facts f using (series_id)
where p.origin <> 'correction'
  and (p.old_state is not null or p.price is not null)
  and (p.old_state is distinct from p.state or p.old_price is distinct from p.price
       or p.old_currency is distinct from p.currency);

-- Days that `daily` does not hold yet, in its shape; of one part, or of all with nulls.
create or replace macro unrolled(of_provider, of_part) as table
with days as (
    select provider, part, (observed_at at time zone 'UTC')::date as day,
        max(observed_at) as last_look
    from scan where status in ('ok', 'unchanged')
        and (of_provider is null or provider = of_provider)
        and (of_part is null or part = of_part)
    group by all
),
last_day as (select provider, part, max(day) as day from days group by all),
open_days as (
    select d.*, d.day < l.day as over, d.day::timestamp at time zone 'UTC' as starts,
        (d.day + 1)::timestamp at time zone 'UTC' as ends
    from days d join last_day l using (provider, part)
    anti join rolled r on r.provider = d.provider and r.part = d.part and r.day = d.day
),
facts as (select series_id, max_by(part, scan_id) as part from series_fact group by series_id),
concerned as (
    select f.series_id from facts f join series s using (series_id)
    where (of_provider is null or s.provider = of_provider)
        and (of_part is null or f.part = of_part)
),
spans as (
    select series_id, price, observed_at as valid_from,
        coalesce(lead(observed_at) over w, 'infinity'::timestamptz) as valid_to,
        price is distinct from lag(price) over w as moved
    from (
        select * from price_log where state <> 'suspect' and series_id in (from concerned)
        qualify row_number() over (partition by series_id, observed_at order by scan_id desc) = 1
    )
    window w as (partition by series_id order by observed_at)
),
pieces as (
    select d.day, d.provider, d.part, p.series_id, p.price,
        greatest(p.valid_from, d.starts) as began,
        least(p.valid_to, case when d.over then d.ends else d.last_look end) as ended,
        p.moved and p.valid_from >= d.starts as moved
    from open_days d
    join facts f using (part)
    join series s on s.series_id = f.series_id and s.provider = d.provider
    join spans p on p.series_id = f.series_id
        and p.valid_from < d.ends and p.valid_to > d.starts
    where p.price is not null
),
weighed as (select *, greatest(epoch_us(ended) - epoch_us(began), 0) / 3.6e9 as hours from pieces)
select day, provider, part, series_id,
    arg_min(price, began) as open, min(price) as low, max(price) as high,
    arg_max(price, began) as close,
    coalesce(sum(price::double * hours) / nullif(sum(hours), 0), arg_max(price, began)::double)
        as mean,
    sum(hours)::float as hours, count(*) filter (where moved) as changes
from weighed group by all;

-- Day by day: the cheapest of each provider, GPU and option, and how far prices spread.
create or replace view v_daily as
with days as (
    select day, series_id, open, low, high, close, mean, hours from daily
    union all
    select day, series_id, open, low, high, close, mean, hours from unrolled(null, null)
),
facts as (
    select series_id, max_by({'gpu': gpu, 'gpu_count': gpu_count}, scan_id) as fact
    from series_fact group by series_id
),
money as (
    select series_id, max_by(currency, scan_id) as currency from price_log group by series_id
),
unit as (
    select d.*, f.fact.gpu as gpu, f.fact.gpu_count as n, s.provider, s.option,
        case when m.currency = 'USD' then 1 else x.usd_per_unit end as rate
    from days d
    join series s using (series_id) join facts f using (series_id) join money m using (series_id)
    asof left join fx x on x.currency = m.currency and d.day >= x.day
)
select day, provider, gpu, option,
    (min(open * rate / n))::decimal(18,6) as open_usd_gpu_hour,
    (min(low * rate / n))::decimal(18,6) as low_usd_gpu_hour,
    (max(high * rate / n))::decimal(18,6) as high_usd_gpu_hour,
    (min(close * rate / n))::decimal(18,6) as close_usd_gpu_hour,
    avg(mean * rate / n)::decimal(18,6) as mean_usd_gpu_hour,
    count(*) as series, max(hours) as hours
from unit group by all;

-- Every attempt at every part.
create or replace view v_scans as
select provider, part, status, sentence, observed_at, started_at,
    epoch(finished_at - started_at)::decimal(12,3) as duration_s,
    quotes, offers, rejects, suspects, unchanged, new, changed, gone, bytes,
    parser_revision, origin, run_id, scan_id
from scan;

-- Accelerators, with what is known of them and what they cost now.
create or replace view v_gpus as
with best as (
    select gpu, count(*) as offers, count(distinct provider) as providers,
        min(usd_gpu_hour) filter (where option = 'on_demand') as cheapest_on_demand_usd_gpu_hour
    from v_offers where state = 'firm' group by gpu
)
select g.*, coalesce(b.offers, 0) as offers, coalesce(b.providers, 0) as providers,
    b.cheapest_on_demand_usd_gpu_hour
from v_gpu_facts g left join best b using (gpu);

-- Quotes that could not become offers, and whether they are still there.
create or replace view v_rejects as
with runs as (
    select reject_key, min(seen_at) as first_seen, max(scan_id) filter (where present) as from_scan,
        max_by(present, scan_id) as present, max(seen_at) as turned_at,
        any_value(provider) as provider, any_value(part) as part, any_value(sku) as sku,
        max_by(reason, scan_id) as reason, max_by(sentence, scan_id) filter (where present) as sentence,
        max_by(quote, scan_id) filter (where present) as quote
    from reject group by reject_key
)
select r.provider, r.part, r.sku, r.reason, r.sentence, r.present, r.first_seen,
    case when r.present then max(c.observed_at) else r.turned_at end as last_seen,
    count(c.scan_id) as scans, r.quote
from runs r
left join scan c on c.provider = r.provider and c.part = r.part
    and c.status in ('ok', 'unchanged') and c.observed_at >= r.first_seen
    and (r.present or c.observed_at < r.turned_at)
group by r.provider, r.part, r.sku, r.reason, r.sentence, r.present, r.first_seen, r.turned_at,
    r.quote;

-- How often spot instances are taken back, as published: the newest of each.
create or replace view v_interruptions as
with newest as (
    select provider, sku, region, max(observed_at) as since,
        max_by({'low': low_percent, 'high': high_percent, 'saving': saving_percent}, scan_id) as r
    from interruption group by provider, sku, region
)
select provider, sku, region, r.low as low_percent, r.high as high_percent,
    r.saving as saving_percent, since
from newest;
