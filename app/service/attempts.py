"""What the tape's scan log says of each job's tries."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gputape.app.service.breaker import Course

if TYPE_CHECKING:
    import duckdb

# A try of a job is its scans of one run. One that was left to others says nothing.
COURSES = """
with tries as (
    select provider || case
            when list_contains($groups::varchar[], provider || '/' || split_part(part, '/', -1))
            then '/' || split_part(part, '/', -1) else '' end as job,
        run_id, min(started_at) as began, bool_or(status in ('ok', 'unchanged')) as good,
        max_by(status, scan_id) as status, max_by(sentence, scan_id) as sentence
    from scan where origin = 'live'
        and status in ('ok', 'unchanged', 'unreachable', 'refused', 'changed')
    group by job, run_id
), answered as (
    select job, max(began) filter (where good) as good_at from tries group by job
)
select job, max(began), any_value(good_at),
    count(*) filter (where not good and (good_at is null or began > good_at)),
    max_by(status, began), max_by(sentence, began)
from tries join answered using (job) group by job
"""


def courses(con: "duckdb.DuckDBPyConnection", groups: Iterable[str]) -> Mapping[str, Course]:
    """Return the course of each job by name: `aws`, or `aws/reserved` where that is in `groups`."""
    rows = con.execute(COURSES, {"groups": list(groups)}).fetchall()
    return {
        job: Course(
            asked_at=asked_at,
            good_at=good_at,
            failures=failures,
            status=status if failures else None,
            sentence=sentence if failures else None,
        )
        for job, asked_at, good_at, failures, status, sentence in rows
    }
