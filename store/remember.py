"""What the tape knew before a collection began: enough to ask politely and skip the known."""

from typing import TYPE_CHECKING

from gputape.store.scan import Answer, LastScan, Memory, PageRow

if TYPE_CHECKING:
    import duckdb

PARTS = """
with last as (
    select provider, part, max_by(scan_id, moment(observed_at, scan_id)) as scan_id
    from scan where status in ('ok', 'unchanged') group by all
),
-- an unchanged scan read nothing: revisions and counts are those of the scan it confirms
read as (
    select provider, part, max_by(
        {'revision': parser_revision, 'normaliser': normaliser, 'next': next_effective_at,
         'quotes': quotes}, moment(observed_at, scan_id)) as r
    from scan where status = 'ok' group by all
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
    r.r.next, r.r.quotes, coalesce(w.pending, 0)
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


def memory(con: "duckdb.DuckDBPyConnection") -> Memory:
    """Return the last good scan of every part and the last whole answer of every address."""
    parts = {
        (provider, part): LastScan(at, tuple(PageRow(**page) for page in pages), *rest)
        for provider, part, at, pages, *rest in con.execute(PARTS).fetchall()
    }
    answers = {
        (method, url): Answer(*rest) for method, url, *rest in con.execute(ANSWERS).fetchall()
    }
    return Memory(parts, answers)
