"""What is derived from the log, derived again: the present, frames, days rolled up.

In other words than the views use, and from the bare log.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from gputape.store.literal import filled
from gputape.store.rules import Depth, Rule

if TYPE_CHECKING:
    import duckdb

FRAMES_SAMPLED = 4
DAYS_SAMPLED = 6
DAYS_AT_ONCE = 31

# -- the present ----------------------------------------------------------------------------

COLUMNS = "observed_at, scan_id, state, price, currency, upfront, available, reason, origin"
# every series' newest row that is not held back, and the newest of all where it is; two steps,
# because ordering whole rows of a year takes 40 times as long as ordering their times
REPLAYED = f"""
latest as (
    select series_id, state = 'suspect' as held, max(observed_at) as observed_at
    from price_log where observed_at <= $until group by series_id, held
),
newest as (
    select p.series_id, l.held, max_by(
        struct_pack({", ".join(f"{c} := p.{c}" for c in COLUMNS.split(", "))}), p.scan_id) as r
    from price_log p join latest l on l.series_id = p.series_id
        and l.observed_at = p.observed_at and l.held = (p.state = 'suspect')
    group by p.series_id, l.held
),
replayed as (
    select n.series_id, n.held, n.r from newest n
    left join newest f on f.series_id = n.series_id and not f.held
    where not n.held or f.series_id is null
        or row(n.r.observed_at, n.r.scan_id) > row(f.r.observed_at, f.r.scan_id)
)
"""
PRESENT = f"""
with {REPLAYED},
held as (from replayed where held),
expected as (
    select n.series_id, n.r.state, n.r.price, n.r.currency, n.r.upfront, n.r.available,
        n.r.observed_at as since, n.r.scan_id, h.r.price as held_price,
        h.r.reason as held_reason
    from replayed n left join held h using (series_id) where not n.held
    union all
    select h.series_id, h.r.state, h.r.price, h.r.currency, h.r.upfront, h.r.available,
        h.r.observed_at, h.r.scan_id, null, null
    from held h anti join (from replayed where not held) f on f.series_id = h.series_id
),
said as (
    select series_id, state, price, currency, upfront, available, since, scan_id, held_price,
        held_reason
    from v_offers
),
differing as (
    (from expected except all from said) union all (from said except all from expected)
)
select s.provider, s.sku, d.since as seen,
    concat(d.state, ' at ', coalesce(d.price::varchar, 'no price')) as detail
from differing d left join series s using (series_id)
"""
PRESENT_STATE = Rule(
    "present",
    "series stand otherwise in `v_offers` than the log says",
    PRESENT.replace("$until", "timestamptz 'infinity'"),
    Depth.USUAL,
)

# -- frames ---------------------------------------------------------------------------------

STANDING = """
select frame_id, moment_at from frame
where frame_id not in (select frame_id from frame where void) order by moment_at desc, frame_id
"""
FRAME = f"""
with {REPLAYED},
expected as (select series_id, unnest(r) from replayed),
held as (select series_id, {COLUMNS} from frame_price where frame_id = $frame),
differing as (
    (from expected except all from held) union all (from held except all from expected)
)
select s.provider, s.sku, d.observed_at as seen,
    concat(d.state, ' at ', coalesce(d.price::varchar, 'no price')) as detail
from differing d left join series s using (series_id)
"""
LOOKS = """
with expected as (
    select provider, part,
        max(observed_at) filter (where status in ('ok', 'unchanged')) as last_seen,
        max(observed_at) filter (where status in ('unreachable', 'refused', 'changed'))
            as last_failed,
        max_by(stands_s, observed_at) filter (where status in ('ok', 'unchanged')) as stands_s
    from scan where observed_at <= $until group by provider, part
),
held as (
    select provider, part, last_seen, last_failed, stands_s from frame_look
    where frame_id = $frame
),
differing as (
    (from expected except all from held) union all (from held except all from expected)
)
select provider, null::varchar as sku, last_seen as seen, 'part ' || part as detail
from differing
"""
LOOSE_FRAMES = Rule(
    "frames",
    "rows belong to a frame that there is not",
    "select null::varchar as provider, null::varchar as sku, null::timestamptz as seen, "
    "printf('frame %d', frame_id) as detail from (select frame_id from frame_price union all "
    "select frame_id from frame_look) p anti join frame f using (frame_id)",
)


def frames(con: "duckdb.DuckDBPyConnection", *, deep: bool) -> Iterator[Rule]:
    """Yield the rules of the frames that are asked: the newest, and some or all of the others."""
    standing = con.execute(STANDING).fetchall()
    for frame_id, moment_at in standing if deep else spread(standing, FRAMES_SAMPLED):
        values = {"until": moment_at, "frame": frame_id}
        of = f"the frame of {moment_at:%Y-%m-%d %H:%M}"
        yield Rule("frame", f"series stand otherwise in {of} than the log says",
                   filled(FRAME, values))  # fmt: skip
        yield Rule("frame looks", f"parts were looked at otherwise in {of} than the scans say",
                   filled(LOOKS, values))  # fmt: skip


# -- days -----------------------------------------------------------------------------------

# days in their newest roll that nothing was written into since, nor understood anew
SETTLED = """
create or replace temp table settled_day as
with newest as (select provider, day, max(roll_id) as roll_id from rolled group by provider, day),
first_fact as (select series_id, min(scan_id) as scan_id from series_fact group by series_id),
relearnt as (
    select s.provider, max(f.scan_id) as scan_id from series_fact f
    join first_fact a on a.series_id = f.series_id and f.scan_id > a.scan_id
    join series s on s.series_id = f.series_id group by s.provider
)
select n.* from newest n left join relearnt r using (provider)
where coalesce(r.scan_id, 0) <= n.roll_id and not exists (
    from touched t where t.provider = n.provider and n.day between t.first_day and t.last_day
        and t.scan_id > n.roll_id)
"""
DAYS = """
with asked as (from settled_day where day >= $first and day < $end),
kept as (
    select d.* exclude (roll_id) from daily d join asked using (provider, day, roll_id)
),
anew as (
    select d.* from days_of(null, $first, $end) d semi join asked using (provider, day)
),
differing as (
    select k.day is null as lacks, a.day is null as surplus, coalesce(k.provider, a.provider)
        as provider, coalesce(k.gpu, a.gpu) as gpu, coalesce(k.day, a.day) as day
    from kept k full join anew a on k.day = a.day and k.provider = a.provider
        and k.source is not distinct from a.source and k.gpu = a.gpu and k.option = a.option
        and k.tier is not distinct from a.tier
        and k.term_months is not distinct from a.term_months and k.currency = a.currency
    where k.day is null or a.day is null
        or (k.open, k.low, k.high, k.close, k.series) <> (a.open, a.low, a.high, a.close, a.series)
        or abs(k.mean - a.mean) > 1e-6 * a.mean or abs(k.hours - a.hours) > 1e-3
        or abs(k.series_hours - a.series_hours) > 1e-3
)
select provider, gpu as sku, day::timestamp at time zone 'UTC' as seen,
    case when lacks then 'not rolled' when surplus then 'not in the log' else 'other figures' end
        as detail
from differing
"""
UNROLLED = Rule(
    "days",
    "days of a provider are over, were looked at, and are not rolled up",
    """
    with looked as (
        select distinct provider, (observed_at at time zone 'UTC')::date as day from scan
        where status in ('ok', 'unchanged')
    ),
    until as (select provider, max(day) as day, max(roll_id) as roll_id from rolled group by all)
    select l.provider, null::varchar as sku, l.day::timestamp at time zone 'UTC' as seen,
        'rolled until ' || u.day as detail
    from looked l join until u on u.provider = l.provider and l.day < u.day
    anti join rolled r on r.provider = l.provider and r.day = l.day
    where not exists (
        from touched t where t.provider = l.provider and l.day between t.first_day and t.last_day
            and t.scan_id > u.roll_id)
    """,
    Depth.USUAL,
)


def days(con: "duckdb.DuckDBPyConnection", *, deep: bool) -> Iterator[Rule]:
    """Yield the rules of the rolled days that are asked: all, or some of them."""
    con.execute(SETTLED)
    rolled = [
        day
        for (day,) in con.execute("select distinct day from settled_day order by day").fetchall()
    ]
    for first, end in _runs(rolled) if deep else _runs(spread(rolled, DAYS_SAMPLED), 1):
        sql = DAYS.replace("$first", f"date '{first}'").replace("$end", f"date '{end}'")
        yield Rule("daily", "days were rolled up otherwise than the log says", sql)


def _runs(days: list[date], length: int = DAYS_AT_ONCE) -> Iterator[tuple[date, date]]:
    """Yield spans of so many days, [first, end), that hold all of these days."""
    end = date.min
    for day in days:
        if day >= end:
            end = day + timedelta(days=length)
            yield day, end


def spread(rows: list[Any], count: int) -> list[Any]:
    """Return so many of the rows, the first and the last among them, evenly."""
    if len(rows) <= count:
        return rows
    return [rows[i * (len(rows) - 1) // (count - 1)] for i in range(count)]


DERIVED = (PRESENT_STATE, LOOSE_FRAMES, UNROLLED)
