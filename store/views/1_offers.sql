-- What people ask. Made anew by every version of the program, so that a view can be improved
-- without a migration. Prices in `usd_…` columns are before tax. Times are UTC.

-- GPU facts as the program that last wrote this tape knew them.
create or replace view v_gpu_facts as
select * exclude (generation, noted_at) from gpu qualify noted_at = max(noted_at) over ();

-- Providers likewise.
create or replace view v_providers as
select * exclude (generation, noted_at) from provider qualify noted_at = max(noted_at) over ();

-- Who kept what was imported, under which licence.
create or replace view v_sources as
select source, name, url, licence, attribution from source
qualify noted_at = max(noted_at) over (partition by source);

-- Orders rows by time, and rows of one time by the order of recording.
create or replace macro moment(observed_at, scan_id) as
    epoch_us(observed_at)::hugeint * 9223372036854775808::hugeint + scan_id;

-- The newest frame at or before a moment that nothing contradicts.
create or replace macro frame_of(t) as (
    select max_by(frame_id, moment_at) from frame
    where moment_at <= t and frame_id not in (select frame_id from frame where void)
);
create or replace macro frame_moment(t) as coalesce((
    select max(moment_at) from frame
    where moment_at <= t and frame_id not in (select frame_id from frame where void)
), '-infinity'::timestamptz);

-- Rows of the log that suffice to know every series at a moment; `k`: with no more than had
-- been recorded by then (a scan_id; null is all), which no frame knows.
create or replace macro entries(t, k) as table
select series_id, observed_at, scan_id, state, price, currency, upfront, available, reason, origin
from frame_price where k is null and frame_id = frame_of(t)
union all
select series_id, observed_at, scan_id, state, price, currency, upfront, available, reason, origin
from price_log
where observed_at <= t and (k is null or scan_id <= k)
    and observed_at > case when k is null then frame_moment(t) else '-infinity'::timestamptz end;

-- The price of every series at a moment: its newest row that is not held back. Two steps,
-- because ordering whole rows takes seven times as long as ordering their times.
create or replace macro firm_at(t, k) as table
with top as (
    select series_id, max(observed_at) as observed_at,
        max_by(scan_id, moment(observed_at, scan_id)) as scan_id
    from entries(t, k) where state <> 'suspect' group by series_id
)
select e.* from entries(t, k) e join top using (series_id, observed_at, scan_id)
where e.state <> 'suspect';

-- What is held back at a moment: the newest row of a series, where it is not to be used yet.
create or replace macro held_at(t, k) as table
with top as (
    select series_id, max_by({'state': state, 'price': price, 'currency': currency,
        'upfront': upfront, 'available': available, 'reason': reason, 'origin': origin,
        'observed_at': observed_at, 'scan_id': scan_id}, moment(observed_at, scan_id)) as r
    from entries(t, k)
    where series_id in (select series_id from entries(t, k) where state = 'suspect')
    group by series_id
)
select series_id, unnest(r) from top where r.state = 'suspect';

-- What each series was understood to be: the newest understanding counts, for all its history.
create or replace macro facts_of(gpus, k) as table
with top as (
    select series_id, max(scan_id) as scan_id from series_fact
    where k is null or scan_id <= k group by series_id
)
select f.* from series_fact f join top using (series_id, scan_id)
where gpus is null or list_contains(gpus, f.gpu);

-- When each part was last seen, when asking for it last failed, how long its prices stand.
create or replace macro looks_at(t, k) as table
with looks as (
    select provider, part, last_seen, last_failed, stands_s
    from frame_look where k is null and frame_id = frame_of(t)
    union all
    select provider, part, case when status in ('ok', 'unchanged') then observed_at end,
        case when status in ('unreachable', 'refused', 'changed') then observed_at end,
        case when status in ('ok', 'unchanged') then stands_s end
    from scan
    where observed_at <= t and (k is null or scan_id <= k)
        and observed_at > case when k is null then frame_moment(t) else '-infinity'::timestamptz end
)
select provider, part, max(last_seen) as last_seen, max(last_failed) as last_failed,
    max_by(stands_s, last_seen) as stands_s
from looks group by provider, part;

-- The state of every series at a moment; of some GPUs only, when `gpus` is a list.
create or replace macro offers_known(gpus, t, k) as table
with
facts as (from facts_of(gpus, k)),
firm as (from firm_at(t, k) where gpus is null or series_id in (select series_id from facts)),
held as (from held_at(t, k) where gpus is null or series_id in (select series_id from facts)),
-- few are held back: joined apart, for a join of all would be built on the wrong side.
-- A held-back price is a row of its own only where nothing firm is known yet
row_state as (
    select series_id, price, currency, upfront, available, state, reason,
        observed_at as since, scan_id, origin, null as held_price, null as held_reason
    from firm where series_id not in (select series_id from held)
    union all
    select series_id, f.price, f.currency, f.upfront, f.available, f.state, f.reason,
        f.observed_at, f.scan_id, f.origin, h.price, h.reason
    from held h join firm f using (series_id)
    union all
    select series_id, price, currency, upfront, available, state, reason, observed_at, scan_id,
        origin, null, null
    from held where series_id not in (select series_id from firm)
),
looks as (from looks_at(t, k)),
whole as (select provider, last_failed from looks where part = '*'),
earlier as (
    select series_id, min(first_seen) as first_seen from series_earlier
    where k is null or scan_id <= k group by series_id
),
rates as (
    select currency, max_by(usd_per_unit, day) as usd_per_unit
    from fx where day <= (least(t, now()) at time zone 'UTC')::date
        and day > (least(t, now()) at time zone 'UTC')::date - 8
    group by currency
),
placed as (
    select r.*, s.* exclude (series_id) replace (coalesce(e.first_seen, s.first_seen) as first_seen),
        f.* exclude (series_id, scan_id),
        coalesce(c.last_seen, r.since) as last_seen, b.market,
        greatest(c.last_failed, w.last_failed) as last_failed,
        -- in microseconds: subtracting TIMESTAMPTZs asks the calendar, 2 us a row
        epoch_us(least(t, now())) - epoch_us(coalesce(c.last_seen, r.since))
            > 1_000_000::bigint * coalesce(c.stands_s, 2 * b.cadence_s, 7200) as stale
    from row_state r
    join series s using (series_id)
    join facts f using (series_id)
    left join earlier e using (series_id)
    left join looks c on c.provider = s.provider and c.part = f.part
    left join whole w on w.provider = s.provider
    left join v_providers b on b.provider = s.provider
)
select
    p.provider, p.sku, p.region, p.zone, p.option, p.tier, p.term_months, p.payment, p.source,
    p.gpu,
    g.family, g.memory_gib as gpu_memory_gib,
    p.gpu_count,
    p.price, p.currency,
    -- dollars apart: a product of two DECIMALs is 128 bits wide and 50 times slower to cast
    case when p.currency = 'USD' then p.price::decimal(18,6)
         else try_cast(p.price * x.usd_per_unit as decimal(18,6)) end as usd_hour,
    case when p.currency = 'USD' then try_cast(p.price / p.gpu_count as decimal(18,6))
         else try_cast(p.price * x.usd_per_unit / p.gpu_count as decimal(18,6))
         end as usd_gpu_hour,
    p.upfront,
    p.vcpus, p.memory_gib,
    p.available,
    p.derived, p.relay,
    p.market,
    p.state, p.reason,
    p.held_price, p.held_reason,
    p.since,
    p.first_seen,
    p.last_seen,
    p.stale,
    -- what is known of it beside the price: the first that is true
    case when p.state in ('gone', 'unpriced') then p.state
         when p.last_failed > p.last_seen then 'source failed'
         when p.stale then 'not seen'
         when p.last_seen > p.since then 'unchanged'
         else 'changed' end as standing,
    p.origin,
    p.part, p.source_sku,
    p.scan_id, p.series_id
from placed p
left join v_gpu_facts g on g.gpu = p.gpu
left join rates x on x.currency = p.currency;

create or replace macro offers_of(gpus, t) as table from offers_known(gpus, t, null);

create or replace macro offers_at(t) as table from offers_known(null::varchar[], t, null);

-- What was believed at a moment: nothing that was recorded, imported or corrected later.
create or replace macro offers_as_recorded(t) as table
from offers_known(null::varchar[], t, epoch_us(t));

-- Every series as it stands now.
create or replace view v_offers as from offers_at('infinity'::timestamptz);
