"""Which raw bodies the tape points to, and which of them it may still need."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

Connection: TypeAlias = "duckdb.DuckDBPyConnection"

# needed: read since a moment, or by the last scan of a part: any, one that was good, one that
# was read in full
BODIES = """
with last as (
    select unnest([
        max_by(scan_id, row(observed_at, scan_id)),
        max_by(scan_id, row(observed_at, scan_id)) filter (where status in ('ok', 'unchanged')),
        max_by(scan_id, row(observed_at, scan_id)) filter (where status = 'ok')
    ]) as scan_id
    from scan where scan_id in (select scan_id from page) group by provider, part
)
select p.sha256, max(p.fetched_at) as fetched_at, max_by(s.provider, p.fetched_at),
    max_by(p.url, p.fetched_at),
    $since is null or max(greatest(p.fetched_at, s.finished_at)) >= $since
        or bool_or(p.scan_id in (select scan_id from last)) as needed
from page p join scan s using (scan_id) group by p.sha256 order by fetched_at, p.sha256
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One body that the tape points to."""

    sha256: str
    fetched_at: datetime
    provider: str
    url: str
    needed: bool


def bodies(con: Connection, since: datetime | None) -> list[Kept]:
    """Return every body that a page points to, the oldest first.

    Needed are those that a scan since a moment read (None: all), and the last ones of a part.
    """
    return [Kept(*row) for row in con.execute(filled(BODIES, {"since": since})).fetchall()]
