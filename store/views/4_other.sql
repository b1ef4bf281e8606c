-- What was looked at, what could not be read, what else is known.

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
        max_by(reason, scan_id) as reason, max_by(sentence, scan_id) filter (where sentence <> '') as sentence,
        max_by(quote, scan_id) filter (where quote <> 'null') as quote
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

-- What a million hosted tokens cost at a moment, by every list that was looked at by then.
create or replace macro tokens_at(t) as table
with newest as (
    select provider, model, host, max_by({'part': part, 'state': state, 'price_in': price_in,
        'price_out': price_out, 'price_cached': price_cached, 'currency': currency,
        'context': context, 'tier_from': tier_from, 'hub_id': hub_id, 'since': observed_at,
        'origin': origin, 'scan_id': scan_id}, moment(observed_at, scan_id)) as r
    from token_price where observed_at <= t group by provider, model, host
)
select n.provider, n.model, n.host, n.r.hub_id as hub_id,
    case when n.r.currency = 'USD' then n.r.price_in end as usd_per_million_input,
    case when n.r.currency = 'USD' then n.r.price_out end as usd_per_million_output,
    case when n.r.currency = 'USD' then n.r.price_cached end as usd_per_million_cached_input,
    n.r.context as context, n.r.tier_from as tier_from, n.r.since as since,
    coalesce(l.last_seen, n.r.since) as last_seen,
    epoch_us(least(t, now())) - epoch_us(coalesce(l.last_seen, n.r.since))
        > 1_000_000::bigint * coalesce(l.stands_s, 7200) as stale,
    n.r.origin as origin, n.r.scan_id as scan_id
from newest n
left join looks_at(t, null) l on l.provider = n.provider and l.part = n.r.part
where n.r.state = 'listed';

-- What they cost now.
create or replace view v_tokens as from tokens_at('infinity'::timestamptz);
