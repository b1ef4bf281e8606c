"""What the tape knew before a collection began: enough to ask politely and skip the known."""

from datetime import datetime
from typing import TYPE_CHECKING

from gputape.store.literal import literal
from gputape.store.scan import Answer, LastScan, Memory, PageRow

if TYPE_CHECKING:
    import duckdb

PARTS = """
with last as (
    select provider, part, max_by(scan_id, moment(observed_at, scan_id)) as scan_id
    from scan where status in ('ok', 'unchanged') and {whose} group by all
),
-- an unchanged scan read nothing: revisions and counts are those of the scan it confirms
read as (
    select provider, part, max_by(
        {'revision': parser_revision, 'normaliser': normaliser, 'next': next_effective_at,
         'quotes': quotes}, moment(observed_at, scan_id)) as r
    from scan where status = 'ok' and {whose} group by all
),
pages as (
    select scan_id, list({'method': method, 'url': url, 'status': status,
        'fetched_at': fetched_at, 'etag': etag, 'last_modified': last_modified,
        'sha256': sha256, 'bytes': bytes, 'context': context} order by ordinal) as pages
    from page semi join last using (scan_id) group by scan_id
),
held as (
    select s.provider, f.part, count(*) as pending
    from held_at('infinity'::timestamptz, null) h
    join series s using (series_id) join facts_of(null::varchar[], null) f using (series_id)
    group by all
)
select provider, part, s.observed_at, coalesce(h.pages, []), r.r.revision, r.r.normaliser,
    r.r.next, r.r.quotes, coalesce(w.pending, 0), scan_id
from last join scan s using (provider, part, scan_id) join read r using (provider, part)
left join pages h using (scan_id) left join held w using (provider, part)
"""
ANSWERS = """
with newest as (
    select method, url, max_by(
        {'etag': etag, 'last_modified': last_modified, 'sha256': sha256, 'bytes': bytes,
         'fetched_at': fetched_at}, scan_id::hugeint * 100000 + ordinal) as a
    from page where status in (200, 304) group by method, url
)
select method, url, a.etag, a.last_modified, a.sha256, a.bytes, a.fetched_at from newest
"""


LOOKS = """
with read as (
    from scan where status = 'ok' and origin in ('live', 'replay') and provider = $provider
        and observed_at <= $until
),
-- what stood when the period began was said by the look before it
begun as (
    select part, max(observed_at) as observed_at from read where observed_at <= $since group by part
),
anew as (
    select corrects as scan_id, max_by({'r': parser_revision, 'n': normaliser}, scan_id) as by
    from scan where corrects is not null group by corrects
),
pages as (
    select scan_id, list({'method': method, 'url': url, 'status': status,
        'fetched_at': fetched_at, 'etag': etag, 'last_modified': last_modified,
        'sha256': sha256, 'bytes': bytes, 'context': context} order by ordinal) as pages
    from page semi join read using (scan_id) group by scan_id
)
select r.part, r.observed_at, coalesce(p.pages, []), coalesce(a.by.r, r.parser_revision),
    coalesce(a.by.n, r.normaliser), r.next_effective_at, r.quotes, 0, r.scan_id
from read r left join begun b using (part)
left join anew a using (scan_id) left join pages p using (scan_id)
where r.observed_at >= coalesce(b.observed_at, $since::timestamptz)
order by r.part, r.observed_at, r.scan_id
"""


def looks(
    con: "duckdb.DuckDBPyConnection", provider: str, since: datetime, until: datetime
) -> list[tuple[str, LastScan]]:
    """Return a provider's looks of a period, part by part in the order of time.

    Each with who read its bytes last; also, for each part, the look that the period began with.
    """
    words = {"provider": provider, "since": since, "until": until}
    return [
        (part, LastScan(at, tuple(PageRow(**page) for page in pages), *rest))
        for part, at, pages, *rest in con.execute(LOOKS, words).fetchall()
    ]


def memory(con: "duckdb.DuckDBPyConnection", provider: str | None = None) -> Memory:
    """Return the last good scan of every part and the last whole answer of every address.

    Only the parts of a provider, when one is named.
    """
    parts = _parts(con, f"provider = {literal(provider)}" if provider else "true")
    if provider:
        return Memory(parts)
    answers = {
        (method, url): Answer(*rest) for method, url, *rest in con.execute(ANSWERS).fetchall()
    }
    return Memory(parts, answers)


def _parts(con: "duckdb.DuckDBPyConnection", whose: str) -> dict[tuple[str, str], LastScan]:
    return {
        (provider, part): LastScan(at, tuple(PageRow(**page) for page in pages), *rest)
        for provider, part, at, pages, *rest in con.execute(
            PARTS.replace("{whose}", whose)
        ).fetchall()
    }
