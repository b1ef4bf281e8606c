"""Which listed price is news, and which must wait: the rules, as one join each.

A price is held back (`suspect`) when it moved more than `JUMP` at once, when a large share
of a part moved together, when a spot price is far above on demand, or when `normalise`
doubted it. The same price in a later fetch makes it firm. A series that is missing is `gone`
only after a complete scan, and when most of a part is missing at once, only after a second.
A history whose looks are far apart (`$sparse`) has no "at once": the price before it does
not stand any more.
"""

from gputape.store.rows import FACTS, KEY

AGREE = 0.1  # a second fetch within ±10 % of the first agrees with it
JUMP = 0.6  # a move beyond ±60 % waits for a second fetch
MASS_MOVE = 0.10  # a move that counts towards "many at once"
MASS_SHARE = 0.3  # of the part's priced series …
MASS_LEAST = 20  # … and at least so many, wait for a second fetch
DEAR_SPOT = 1.5  # a spot price so many times its on-demand price waits too
LOSS_SHARE = 0.5  # more of the part's series missing at once wait for a second fetch; exactly …
LOSS_LEAST = 10  # … half waits too where it is so many: a list that was cut in the middle
UNIT_LEAST = 5  # so many prices divided (or multiplied) by exactly their GPU count …
UNIT_SHARE = 0.3  # … and so many of the part's that moved: the unit changed, not the price
UNIT_EXACT = 1e-5

NUMBERS = 1024  # providers that a tape can number: series_id = n * NUMBERS + the provider's

SAME_KEY = " and ".join(f"i.{column} is not distinct from s.{column}" for column in KEY)
FACT_HASH = f"hash({', '.join(FACTS)})"

FIRM = "verdict in ('new', 'changed', 'confirmed', 'settled', 'noted')"
HELD = "verdict in ('doubtful', 'jumped')"
# a series that its part listed when last seen: with a price, without one, or not yet believed
LISTED = "(s.state in ('firm', 'unpriced') or s.held)"

# What is listed against what was known, kept only where it is not the same: most of it is.
SEEN = f"""
create or replace temp table seen as
select * from (
select i.n, s.series_id, s.fact_hash is distinct from i.fact_hash as understood_anew,
    case when i.suspect is null and s.currency <> i.currency then 'now priced in ' || i.currency
        else i.suspect end as suspect,
    abs(i.price / nullif(s.price, 0) - 1)::double as move,
    s.price as old_price, s.scan_id as replaced,
    s.part = i.part and {LISTED} as was_listed, s.held_origin,
    case
        -- not known yet, or not yet known at this moment of the past
        when s.series_id is null or s.state is null and not s.held
            then case when i.suspect is null then 'new' else 'doubtful' end
        when s.state = 'firm' and round(s.price, 6) = round(i.price, 6) and s.currency = i.currency
            and s.upfront is not distinct from i.upfront
            and s.available is not distinct from i.available
            then case when s.held then 'settled'
                -- the first look of its own that says what a correction said before it
                when s.origin = 'correction' and $origin <> 'correction' then 'noted'
                else 'same' end
        when s.held_reason like 'unit change%' and s.held_currency = i.currency
            and abs(i.price / s.held_price - 1) <= {JUMP} then 'same'
        when s.held and round(s.held_price, 6) = round(i.price, 6)
            and s.held_currency = i.currency
            and ($origin = 'correction' or s.held_at >= $observed_at) then 'same'
        when $origin = 'correction'
            then case when i.suspect is null then 'changed' else 'doubtful' end
        when s.held and i.suspect is null and $sparse then 'changed'
        when s.held and s.held_currency = i.currency and s.held_at < $observed_at
            and abs(i.price / s.held_price - 1) <= {AGREE} then 'confirmed'
        when s.state = 'firm' and round(s.price, 6) = round(i.price, 6)
            and s.currency = i.currency then 'noted'
        when i.suspect is not null or s.state = 'firm' and s.currency <> i.currency then 'doubtful'
        when s.state = 'firm' and move > {JUMP} and not $sparse then 'jumped'
        else 'changed'
    end as verdict
from (select *, {FACT_HASH} as fact_hash from incoming) i
left join (from {{state}} where provider = $provider) s on {SAME_KEY}
) where verdict <> 'same' or understood_anew or not was_listed
"""

# What the tape must hear of, whole: `listed_news` are the rows of `incoming` that `seen` names.
NEWS = f"""
create or replace temp table news as
select coalesce(s.series_id,
        ($next + row_number() over (order by s.series_id is null desc, i.n)) * {NUMBERS} + $number)
        as series_id,
    s.series_id is null as unknown, s.understood_anew, s.verdict, s.move, s.suspect,
    s.held_origin, s.old_price, s.replaced, i.* exclude (n, suspect), {FACT_HASH} as fact_hash
from seen s join listed_news i using (n)
"""

# Spot prices far above the same sku's on-demand price, listed now or known before.
DEAR = f"""
update news set verdict = 'doubtful', suspect = printf('%.2f times the on-demand price', ratio)
from (
    select i.series_id as dear, i.price / max(o.price) as ratio
    from news i join (
        select sku, region, price, currency from news where option = 'on_demand'
        union all
        select sku, region, price, currency from {{state}}
        where provider = $provider and option = 'on_demand' and state = 'firm'
    ) o on o.sku = i.sku and o.region = i.region and o.currency = i.currency
    where i.option = 'spot' and i.verdict in ('new', 'changed')
    group by i.series_id, i.price having ratio > {DEAR_SPOT}
)
where series_id = dear
"""

# A source that begins to print per GPU what it printed per instance, or the reverse.
BY_GPU_COUNT = f"""verdict in ('changed', 'jumped', 'doubtful') and gpu_count > 1 and (
    abs(price::double * gpu_count::double / old_price::double - 1) < {UNIT_EXACT}
    or abs(price::double / (old_price::double * gpu_count::double) - 1) < {UNIT_EXACT})
"""
UNIT = f"""
update news set verdict = 'doubtful',
    suspect = printf('unit change: %d prices moved by exactly their GPU count at once', $moved)
where {BY_GPU_COUNT}
"""

# Many series of a part that move together wait, as each would alone.
MANY = f"""
update news set verdict = 'jumped',
    suspect = printf('%d of %d prices of this part moved at once', $moved, $known)
where verdict = 'changed' and move > {MASS_MOVE}
"""

# Listed before and not now, and what becomes of it. `$many`: too many at once to be believed.
# A correction reads old bytes: it can not be the second look that a held series waits for.
MISSING = f"""
create or replace temp table missing as
select s.series_id, s.currency, s.state as was, s.held,
    s.held and s.held_price is null as held_gone, s.held_at < $observed_at as later,
    s.scan_id as replaced, u.reason, u.n is not null as listed
from {{state}} s
left join unjudged u on {SAME_KEY.replace("i.", "u.")}
where s.provider = $provider and s.part = $part and {LISTED}
    and not exists (from incoming i where {SAME_KEY})
"""
LEAVING = """
create or replace temp table leaving as
select * from (
    select *, case
        when listed then case
            when reason = 'no_price' and (was is distinct from 'unpriced' or held) then 'unpriced'
        end
        when $origin = 'correction' then case when not held_gone then 'gone' end
        when held_gone and later or not $many then 'gone'
        when not held_gone then 'suspect'
    end as state
    from missing
) where state is not null
"""
