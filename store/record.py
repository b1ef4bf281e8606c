"""Writing: one scan becomes rows, in one transaction, and only what changed is added.

    record ──▶ compare with what was known (pricelog) ──▶ log, facts, side log, scan, pages
           ──▶ when a day is over: roll it up; when much was written: take a frame (roll)

A look older than its part's newest is recorded into the past (past), when it was imported or
read anew; the schedule never looks back. Nothing in the file is ever updated.
In a lake others write too: what they wrote of a provider is learned before its next scan.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from gputape.store.errors import BadInput, Busy, Damaged
from gputape.store.known import NOW, know, know_again
from gputape.store.offer import Origin
from gputape.store.past import Past
from gputape.store.pricelog import PriceLog
from gputape.store.roll import Roller
from gputape.store.rows import append, offer_table
from gputape.store.scan import OK, UNCHANGED, Counts, Listing, Scan
from gputape.store.sidelog import SideLog
from gputape.store.today import keep_today
from gputape.store.turns import FRAMES, PATIENCE_S, Alone

T = TypeVar("T")
STANDS_S = 7200  # how long a price stands unseen when its source does not say
LONGEST_S = 31 * 86_400  # and at the most
REWRITES = frozenset({Origin.IMPORT, Origin.CORRECTION})  # what may be recorded into the past
NEWEST = """
select provider, part, last_seen from looks_at('infinity'::timestamptz, null)
where last_seen is not null
"""
LAST_IDS = """
select provider, max(id) from (select provider, scan_id as id from scan
    union all select provider, roll_id from rolled) group by provider
"""
LAST_ID = """
select greatest((select max(scan_id) from scan where provider = $1),
    (select max(roll_id) from rolled where provider = $1), 0), (select count(*) from frame)
"""


class Recorder:
    """The verbs of a writer. Give it a connection from `tape.writing`.

    In a lake also the turns that it takes among others.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, turns: Alone | None = None) -> None:
        self.con = con
        self._turns = turns or Alone(con)
        self._load()

    def _load(self) -> None:
        """Know what the tape says, as if it had just been opened."""
        con = self.con
        self._turns.begin_to_know()
        know(con, NOW, None, None)
        self._newest: dict[tuple[str, str], datetime] = {
            (provider, part): at for provider, part, at in con.execute(NEWEST).fetchall()
        }
        self._log = PriceLog(con)
        self._side = SideLog(con)
        self._past = Past(con)
        self._outdated: set[str] = set()
        self._roller = Roller(con)
        self._last_ids: dict[str, int] = dict(con.execute(LAST_IDS).fetchall())
        frame = self._one("select coalesce(max(frame_id), 0) from frame")
        self._last_id = max(frame, *self._last_ids.values(), 0)
        self._last_scan = self._last_id
        self._frames = self._one("select count(*) from frame")

    @contextmanager
    def turn(self, provider: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Write a provider's rows, knowing what others wrote of it."""
        with self._turns.turn(provider, patience_s=patience_s):
            if self._turns.others_wrote(provider):
                self._catch_up(provider)
            if self._turns.shared and not self._log.knows(provider):
                self._number(provider)
            yield

    def _catch_up(self, provider: str) -> None:
        last, frames = self.con.execute(LAST_ID, [provider]).fetchall()[0]
        if last != self._last_ids.get(provider, 0):
            self._know_again(provider, last)
        if frames != self._frames:
            self._frames = frames
            self._roller.recount()

    def _number(self, provider: str) -> None:
        """Give a provider its share of ids, as the only one who gives any."""
        with self._turns.sole("numbers") as ours:
            if not ours:
                raise Busy("another collector is numbering providers: try again")
            self._whole(lambda: self._log.know_numbers(provider))

    def _know_again(self, provider: str, last: int) -> None:
        know_again(self.con, provider)
        self._newest |= {
            (provider, part): at
            for _, part, at in self.con.execute(f"{NEWEST} and provider = ?", [provider]).fetchall()
        }
        for log in (self._log, self._side, self._roller):
            log.know_again(provider)
        self._past.forget()
        self._outdated.discard(provider)
        self._last_ids[provider] = last
        self._last_id = max(self._last_id, last)

    # -- a scan ---------------------------------------------------------------------------

    def record(self, scan: Scan, listing: Listing | None = None, *, alone: bool = True) -> Counts:
        """Add one scan whole, or nothing of it, and return what it came to.

        `listing` is what an `ok` scan listed; any other status adds only the scan's own row.
        Not `alone`: the looks after it are read anew too, and `rejoin` comes after the last.
        """
        offers = listing and offer_table(listing.offers, scan.part)
        return self.record_table(scan, offers, listing, alone=alone)

    def record_table(
        self,
        scan: Scan,
        incoming: pa.Table | None,
        listing: Listing | None = None,
        *,
        alone: bool = True,
    ) -> Counts:
        """Do as `record`, with the offers as an Arrow table shaped as `offer_table` makes it.

        `n` counts the rows from 0, and `part` is the scan's own. Raises `BadInput` for a look
        of the schedule that is older than its part's newest.
        """
        with self.turn(scan.provider):
            past = self._is_past(scan)
            scan_id = self.next_id(scan.finished_at, scan.provider)

            def write() -> Counts:
                counts = self._write(scan, scan_id, incoming, listing or Listing(), past=past)
                if past and alone:
                    self._past.rejoin(scan, scan_id, scan_id)
                return counts

            try:
                counts = self._whole(write)
            except BaseException as error:
                raise _sentence(error, scan) from error
            self._last_scan = self._last_ids[scan.provider] = scan_id
            self._after(scan, past=past)
        return counts

    def _is_past(self, scan: Scan) -> bool:
        newest = self._newest_look(scan)
        if not newest or scan.observed_at >= newest or scan.status not in (OK, UNCHANGED):
            return False
        if scan.origin not in REWRITES:
            raise BadInput(
                f"{scan.provider} {scan.part}: a look at {scan.observed_at:%Y-%m-%d %H:%M} can not "
                f"be recorded after one at {newest:%Y-%m-%d %H:%M}: record them in order"
            )
        return True

    def _newest_look(self, scan: Scan) -> datetime | None:
        """Return when what this scan lists was looked at last.

        Another part of an imported provider may list the same series.
        """
        if scan.origin is not Origin.IMPORT:
            return self._newest.get((scan.provider, scan.part))
        looks = (at for (provider, _), at in self._newest.items() if provider == scan.provider)
        return max(looks, default=None)

    def next_id(self, now: datetime | None = None, provider: str | None = None) -> int:
        """Return the microseconds of a moment, or one more than any id so far.

        Where others write, the next after it that ends in the provider's number.
        """
        moment = int(now.timestamp() * 1_000_000) if now else 0
        number = self._log.number_of(provider)
        self._last_id = self._turns.next_id(max(self._last_id + 1, moment), number)
        return self._last_id

    def _write(
        self, scan: Scan, scan_id: int, incoming: pa.Table | None, listing: Listing, *, past: bool
    ) -> Counts:
        counts = Counts(rejects=len(listing.rejects))
        before = self._rows_of_log() if scan.status == OK else 0
        if scan.status == OK and incoming is not None:
            self._know(scan, past=past)
            counts = self._log.add(scan, scan_id, incoming, listing, past=past)
            self._side.add(scan, scan_id, listing, past=past)
        elif scan.status == UNCHANGED:
            counts.unchanged = self._log.listed(scan)
        self._add_scan(scan, scan_id, counts)
        rows = self._rows_of_log() - before if scan.status == OK else 0
        self._note_written(scan, scan_id, rows, counts.new)
        return counts

    def _know(self, scan: Scan, *, past: bool) -> None:
        if past:
            self._past.go_to(scan)
            self._outdated.add(scan.provider)
            return
        self._past.forget()
        if scan.provider in self._outdated:
            know_again(self.con, scan.provider)
            self._outdated.discard(scan.provider)

    def _note_written(self, scan: Scan, scan_id: int, rows: int, series: int) -> None:
        """Void what this scan contradicts: frames after it, days that were rolled."""
        if scan.status in (OK, UNCHANGED):
            stands = timedelta(seconds=_stands_s(scan))
            self._roller.touch(scan.provider, scan.observed_at, scan.observed_at + stands, scan_id)
        if self._log.understood_anew:
            self._roller.touch_series(scan.provider, scan_id)
        self._roller.wrote(rows, series)
        if self._roller.framed_at and scan.observed_at <= self._roller.framed_at:
            self._roller.void(scan.observed_at)

    def _after(self, scan: Scan, *, past: bool) -> None:
        """Do what a commit makes due; imports and corrections wait for `settle`."""
        if scan.status in (OK, UNCHANGED) and not past:
            self._newest[scan.provider, scan.part] = scan.observed_at
            if scan.origin not in REWRITES:
                self._keep_up(scan)
        if scan.origin is not Origin.IMPORT:
            self._checkpoint()

    def _keep_up(self, scan: Scan) -> None:
        if self._roller.due(scan.provider, scan.observed_at):
            self._roll(scan.provider, scan.observed_at.astimezone(UTC).date(), scan.finished_at)
        if self._roller.frame_due:
            self._frame()

    def _roll(self, provider: str, until: date, now: datetime) -> None:
        roll_id = self.next_id(now, provider)
        self._whole(lambda: self._roller.roll(provider, until, roll_id))
        self._last_ids[provider] = roll_id

    # -- looking back ---------------------------------------------------------------------

    def rejoin(self, scan: Scan, first: int) -> None:
        """Set right what readings of old bytes since scan `first` changed, after the last of them.

        `scan` is the last correction of its part; looks after it were not read anew.
        """
        last = self._last_scan
        with self.turn(scan.provider):
            if self._is_past(scan):
                self._whole(lambda: self._past.rejoin(scan, first, last))
                self._past.forget()

    def settle(self, now: datetime) -> None:
        """Roll every day that is over and take the frames that are due."""
        until = now.astimezone(UTC).date()
        if self._roller.frame_due:  # before the days, which begin at a frame
            self._frame()
        for provider in self._roller.behind(until):
            with suppress(Busy), self.turn(provider, patience_s=0):
                if provider in self._roller.behind(until):  # nobody else did it meanwhile
                    self._roll(provider, until, now)
        with self._turns.sole("today") as ours:
            if ours:
                self._whole(lambda: keep_today(self.con))
        self._checkpoint()

    def _frame(self) -> None:
        """Take the frames that are due, unless others write: then it can wait."""
        with self._turns.sole(FRAMES) as ours:
            if not ours:
                return
            if self._turns.shared:
                self._roller.recount()
                frame = self._one("select coalesce(max(frame_id), 0) from frame")
                self._last_id = max(self._last_id, frame)
            if self._roller.frame_due:
                self._whole(lambda: self._roller.take_frames(self.next_id))

    def _whole(self, work: Callable[[], T]) -> T:
        """Do something in a transaction of its own."""
        try:
            return self._turns.whole(work, self._load)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Undo, and know again what the tape says; a broken connection knows nothing more."""
        with suppress(duckdb.Error):
            self.con.rollback()
            self._load()

    def _checkpoint(self) -> None:
        if self._turns.shared:  # a lake is tidied once a day
            return
        try:
            self.con.execute("checkpoint")
        except duckdb.Error as error:
            line = str(error).splitlines()[0]
            raise Damaged(
                f"recorded, but the tape can not be tidied ({line}): free disk space"
            ) from error

    # -- everything beside prices ---------------------------------------------------------

    def _add_scan(self, scan: Scan, scan_id: int, counts: Counts) -> None:
        size = sum(page.bytes for page in scan.pages if not page.context)
        append(self.con, "scan", [(
            scan_id, scan.run_id, scan.provider, scan.part, scan.started_at, scan.finished_at,
            scan.observed_at, scan.status, scan.sentence, scan.quotes, counts.offers,
            counts.rejects, counts.suspects, counts.unchanged, counts.new, counts.changed,
            counts.gone, size, scan.parser_revision, scan.normaliser, scan.next_effective_at,
            scan.origin, _stands_s(scan), scan.complete, scan.corrects, scan.source,
        )])  # fmt: skip
        append(self.con, "page", [
            (scan_id, n, p.context, p.method, p.url, p.status, p.fetched_at, p.etag,
             p.last_modified, p.sha256, p.bytes)
            for n, p in enumerate(scan.pages)
        ])  # fmt: skip

    def note_facts(
        self, generation: str, gpus: Sequence[Sequence[Any]], providers: Sequence[Sequence[Any]],
        now: datetime,
    ) -> None:  # fmt: skip
        """Keep GPU and provider facts in the tape, once for each generation of them."""

        def note() -> None:
            newest = self.con.execute("select max_by(generation, noted_at) from gpu").fetchall()
            if newest != [(generation,)]:
                append(self.con, "gpu", [(generation, now, *row) for row in gpus])
                append(self.con, "provider", [(generation, now, *row) for row in providers])

        with self._turns.sole("facts") as ours:
            if ours:
                self._turns.whole(note, lambda: None)

    def note_source(
        self, slug: str | None, about: tuple[str, str, str, str], now: datetime
    ) -> None:
        """Keep who kept what is imported (name, address, licence, attribution) when it is news."""
        with self._turns.sole("facts"):
            known = self.con.execute(
                "select name, url, licence, attribution from v_sources where source = ?", [slug]
            )
            if slug and known.fetchall() != [about]:
                append(self.con, "source", [(slug, now, *about)])

    def _rows_of_log(self) -> int:
        return self._one("select count(*) from price_log")

    def _one(self, sql: str, parameters: object = None) -> int:
        return int(self.con.execute(sql, parameters).fetchall()[0][0])


def _stands_s(scan: Scan) -> int:
    return min(scan.stands_s or STANDS_S, LONGEST_S)


def _sentence(error: BaseException, scan: Scan) -> BaseException:
    """Return what to raise: a value that the tape can not hold is the scan's fault, not ours."""
    if isinstance(error, (duckdb.DataError, ValueError, OverflowError)):
        line = str(error).splitlines()[0]
        return BadInput(f"{scan.provider} {scan.part} says what no tape can hold ({line})")
    return error
