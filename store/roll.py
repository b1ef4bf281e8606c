"""Days rolled up and frames taken: what keeps a question about years from reading years.

Both follow from the log and can be made again from it at any time. A day of a provider is
rolled when it is over, and again when something is recorded into it later. A frame is taken
when so much was written since the last that questions would notice.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from gputape.store.literal import literal

if TYPE_CHECKING:
    import duckdb

FRAME_LEAST = 100_000  # rows of the log; a shorter one is read whole in milliseconds
FRAME_EVERY = 6  # times the number of series: a frame then costs a sixth of the log it spares
FRAME_LAG = timedelta(hours=1)  # parts of one collection are recorded within this of each other
ROLL_DAYS = 31  # rolled in one statement

# days that a look covered, or the prices that stood after it
COVERED = """
select distinct unnest(generate_series((observed_at at time zone 'UTC')::date,
    ((observed_at + to_seconds(coalesce(stands_s, 7200))) at time zone 'UTC')::date,
    interval 1 day))::date as day
from scan where provider = $provider and status in ('ok', 'unchanged')
    and observed_at >= (select min(day) from wanted)::timestamptz - interval 32 days
"""
OPEN_DAYS = f"""
with newest as (
    select day, max(roll_id) as roll_id from rolled where provider = $provider group by day
),
again as (
    select distinct day from (
        select unnest(generate_series(first_day, last_day, interval 1 day))::date as day, scan_id
        from touched where provider = $provider
    ) t left join newest n using (day) where t.scan_id > coalesce(n.roll_id, 0)
),
wanted as (
    select unnest(generate_series($since::date, $until::date - 1, interval 1 day))::date as day
    union select day from again where day < $until
)
select w.day, c.day is not null as covered
from wanted w left join ({COVERED}) c using (day) order by w.day
"""


UNTIL = "select provider, max(day) + 1 from rolled {where} group by provider"
TOUCHED = """
select distinct t.provider from (from touched {where}) t
where t.scan_id > coalesce(
    (select max(roll_id) from rolled r where r.provider = t.provider), 0)
"""


class Roller:
    """Knows up to which day each provider is rolled, and how much was written since a frame."""

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self._con = con
        self._until: dict[str, date] = dict(con.execute(UNTIL.format(where="")).fetchall())
        self._touched = {
            provider for (provider,) in con.execute(TOUCHED.format(where="")).fetchall()
        }
        self.recount()

    def know_again(self, provider: str) -> None:
        """Know what others rolled of a provider, and wrote into its rolled days."""
        where = f"where provider = {literal(provider)}"
        self._until.pop(provider, None)
        self._until |= dict(self._con.execute(UNTIL.format(where=where)).fetchall())
        self._touched.discard(provider)
        found = self._con.execute(TOUCHED.format(where=where)).fetchall()
        self._touched |= {provider for (provider,) in found}

    def recount(self) -> None:
        """Know which frame is the newest, and how much was written since."""
        self.framed_at = self._framed_at()
        self._rows = self._one(
            "select count(*) from price_log "
            "where observed_at > frame_moment('infinity'::timestamptz)"
        )
        self._series = self._one("select count(*) from series")

    # -- days -----------------------------------------------------------------------------

    def touch(self, provider: str, first: datetime, last: datetime, scan_id: int) -> None:
        """Note that days which may be rolled already were written into."""
        days = [moment.astimezone(UTC).date() for moment in (first, last)]
        if days[0] < self._until.get(provider, date.min):
            self._con.execute("insert into touched values (?, ?, ?, ?)", [provider, *days, scan_id])
            self._touched.add(provider)

    def touch_series(self, provider: str, scan_id: int) -> None:
        """Note the whole past of series that a scan understood to be another GPU."""
        rows = self._con.execute(
            "select min(s.first_seen), max(now()) from series_fact n "
            "join series_fact o using (series_id) join series s using (series_id) "
            "where n.scan_id = $id and o.scan_id < $id "
            "and (n.gpu, n.gpu_count) is distinct from (o.gpu, o.gpu_count)",
            {"id": scan_id},
        ).fetchall()
        for first, last in rows:
            if first:
                self.touch(provider, first, last, scan_id)

    def due(self, provider: str, observed_at: datetime) -> bool:
        """Whether a look begins a day, so that days before it are over."""
        day = observed_at.astimezone(UTC).date()
        return provider not in self._until or self._until[provider] < day

    def roll(self, provider: str, until: date, roll_id: int) -> None:
        """Write the days before `until` that are not written yet, or were written into since."""
        con = self._con
        since = self._until.get(provider) or self._first_day(provider) or until
        days = con.execute(
            OPEN_DAYS, {"provider": provider, "since": since, "until": until}
        ).fetchall()
        for first, end in _runs([day for day, covered in days if covered]):
            con.execute(
                f"insert into daily by name select {roll_id}::bigint as roll_id, d.* "
                f"from days_of('{provider}', date '{first}', date '{end}') d"
            )
        if days:
            values = ", ".join(f"('{provider}', date '{day}', {roll_id})" for day, _ in days)
            con.execute(f"insert into rolled values {values}")
        self._until[provider] = max(until, since)
        self._touched.discard(provider)

    def _first_day(self, provider: str) -> date | None:
        found: date | None = self._con.execute(
            "select min((observed_at at time zone 'UTC')::date) from scan where provider = ? "
            "and status in ('ok', 'unchanged')",
            [provider],
        ).fetchall()[0][0]
        return found

    def behind(self, until: date) -> list[str]:
        """Return providers with days before `until` that are not rolled."""
        rows = self._con.execute("select distinct provider from scan").fetchall()
        return sorted(
            provider
            for (provider,) in rows
            if provider in self._touched or self._until.get(provider, date.min) < until
        )

    # -- frames ---------------------------------------------------------------------------

    def wrote(self, rows: int, series: int) -> None:
        """Count what was added to the log."""
        self._rows += rows
        self._series += series

    @property
    def frame_due(self) -> bool:
        """Whether so much was written since the last frame that questions would notice."""
        return self._rows >= self._enough

    @property
    def _enough(self) -> int:
        return max(FRAME_LEAST, FRAME_EVERY * self._series)

    def void(self, since: datetime) -> None:
        """Void the frames at and after a moment that something was recorded for."""
        self._con.execute(
            "insert into frame select frame_id, moment_at, true from frame "
            "where moment_at >= ? and frame_id not in (select frame_id from frame where void)",
            [since],
        )
        self.framed_at = self._framed_at()
        self._rows = self._one(
            "select count(*) from price_log "
            "where observed_at > frame_moment('infinity'::timestamptz)"
        )

    def take_frames(self, next_id: Callable[[], int]) -> None:
        """Take frames wherever enough was written since the one before."""
        newest = self._con.execute("select max(observed_at) from scan").fetchall()[0][0]
        days = self._con.execute(
            "select (observed_at at time zone 'UTC')::date as day, count(*) from price_log "
            "where observed_at > frame_moment('infinity'::timestamptz) group by day order by day"
        ).fetchall()
        rows = 0
        for day, count in days:
            rows += count
            at = min(datetime.combine(day, time(), UTC) + timedelta(days=1), newest - FRAME_LAG)
            if rows >= self._enough and (self.framed_at is None or at > self.framed_at):
                self._take(next_id(), at)
                rows = 0
        self._rows = rows

    def _take(self, frame_id: int, at: datetime) -> None:
        columns = (
            "series_id, observed_at, scan_id, state, price, currency, upfront, available, reason, "
            "origin"
        )
        self._con.execute(
            f"insert into frame_price select {frame_id}, {columns} from ("
            f"select {columns} from firm_at($at, null) "
            f"union all select {columns} from held_at($at, null)) order by series_id",
            {"at": at},
        )
        self._con.execute(
            f"insert into frame_look select {frame_id}, provider, part, last_seen, last_failed, "
            "stands_s from looks_at($at, null)",
            {"at": at},
        )
        self._con.execute("insert into frame values (?, ?, false)", [frame_id, at])
        self.framed_at = at

    def _framed_at(self) -> datetime | None:
        found: datetime | None = self._con.execute(
            "select max(moment_at) from frame "
            "where frame_id not in (select frame_id from frame where void)"
        ).fetchall()[0][0]
        return found

    def _one(self, sql: str) -> int:
        return int(self._con.execute(sql).fetchall()[0][0])


def _runs(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Yield [first, end) for each run of days that follow one another, in pieces."""
    first = end = None
    for day in days:
        if first and day == end and (day - first).days < ROLL_DAYS:
            end = day + timedelta(days=1)
            continue
        if first and end:
            yield first, end
        first, end = day, day + timedelta(days=1)
    if first and end:
        yield first, end
