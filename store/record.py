"""Writing: one scan becomes rows, in one transaction, and only what changed is added.

    record ──▶ compare with what was known (pricelog) ──▶ log, facts, side log, scan, pages
           ──▶ when a day is over: roll it up; when much was written: take a frame (roll)

A look older than its part's newest is recorded into the past (past), when it was imported or
read anew; the schedule never looks back. Nothing in the file is ever updated.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from gputape.store.errors import BadInput, Damaged
from gputape.store.known import NOW, know, know_again
from gputape.store.offer import Origin
from gputape.store.past import Past
from gputape.store.pricelog import PriceLog
from gputape.store.roll import Roller
from gputape.store.rows import append, offer_table
from gputape.store.scan import OK, UNCHANGED, Counts, Listing, Scan
from gputape.store.sidelog import SideLog

STANDS_S = 7200  # how long a price stands unseen when its source does not say
LONGEST_S = 31 * 86_400  # and at the most
REWRITES = frozenset({Origin.IMPORT, Origin.CORRECTION})  # what may be recorded into the past


class Recorder:
    """The verbs of the one writer. Give it a connection from `tape.writing`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self._load()

    def _load(self) -> None:
        """Know what the tape says, as if it had just been opened."""
        con = self.con
        self._last_id = self._one(
            "select greatest((select max(scan_id) from scan), (select max(roll_id) from rolled), "
            "(select max(frame_id) from frame), 0)"
        )
        know(con, NOW, None, None)
        self._newest: dict[tuple[str, str], datetime] = {
            (provider, part): at
            for provider, part, at in con.execute(
                "select provider, part, last_seen from looks_at('infinity'::timestamptz, null) "
                "where last_seen is not null"
            ).fetchall()
        }
        self._log = PriceLog(con)
        self._side = SideLog(con)
        self._past = Past(con)
        self._outdated: set[str] = set()
        self._roller = Roller(con)

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
        past = self._is_past(scan)
        scan_id = self.next_id(scan.finished_at)
        try:
            self.con.begin()
            counts = self._write(scan, scan_id, incoming, listing or Listing(), past=past)
            if past and alone:
                self._past.rejoin(scan, scan_id, scan_id)
            self.con.commit()
        except BaseException as error:
            self._forget()
            raise _sentence(error, scan) from error
        self._after(scan, past=past)
        return counts

    def _is_past(self, scan: Scan) -> bool:
        newest = self._newest.get((scan.provider, scan.part))
        if not newest or scan.observed_at >= newest or scan.status not in (OK, UNCHANGED):
            return False
        if scan.origin not in REWRITES:
            raise BadInput(
                f"{scan.provider} {scan.part}: a look at {scan.observed_at:%Y-%m-%d %H:%M} can not "
                f"be recorded after one at {newest:%Y-%m-%d %H:%M}: record them in order"
            )
        return True

    def next_id(self, now: datetime | None = None) -> int:
        """Return the microseconds of a moment, or one more than any id so far."""
        moment = int(now.timestamp() * 1_000_000) if now else 0
        self._last_id = max(self._last_id + 1, moment)
        return self._last_id

    def _write(
        self, scan: Scan, scan_id: int, incoming: pa.Table | None, listing: Listing, *, past: bool
    ) -> Counts:
        counts = Counts(rejects=len(listing.rejects))
        before = self._rows_of_log()
        if scan.status == OK and incoming is not None:
            self._know(scan, past=past)
            counts = self._log.add(scan, scan_id, incoming, listing, past=past)
            self._side.add(scan, scan_id, listing, past=past)
        elif scan.status == UNCHANGED:
            counts.unchanged = self._log.listed(scan)
        self._add_scan(scan, scan_id, counts)
        self._note_written(scan, scan_id, self._rows_of_log() - before, counts.new)
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
            day = scan.observed_at.astimezone(UTC).date()
            self._whole(
                lambda: self._roller.roll(scan.provider, day, self.next_id(scan.finished_at))
            )
        if self._roller.frame_due:
            self._whole(self._take_frames)

    # -- looking back ---------------------------------------------------------------------

    def rejoin(self, scan: Scan, first: int) -> None:
        """Set right what readings of old bytes since scan `first` changed, after the last of them.

        `scan` is the last correction of its part; looks after it were not read anew.
        """
        if self._is_past(scan):
            self._whole(lambda: self._past.rejoin(scan, first, self._last_id))
            self._past.forget()

    def settle(self, now: datetime) -> None:
        """Roll every day that is over and take the frames that are due."""
        until = now.astimezone(UTC).date()
        for provider in self._roller.behind(until):
            self._whole(lambda p=provider: self._roller.roll(p, until, self.next_id(now)))  # type: ignore[misc]
        if self._roller.frame_due:
            self._whole(self._take_frames)
        self._whole(self._roller.keep_today)
        self._checkpoint()

    def _take_frames(self) -> None:
        self._last_id = self._roller.take_frames(self._last_id + 1)

    def _whole(self, work: Callable[[], None]) -> None:
        """Do something in a transaction of its own."""
        try:
            self.con.begin()
            work()
            self.con.commit()
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Undo, and know again what the tape says; a broken connection knows nothing more."""
        with suppress(duckdb.Error):
            self.con.rollback()
            self._load()

    def _checkpoint(self) -> None:
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
        newest = self.con.execute("select max_by(generation, noted_at) from gpu").fetchall()
        if newest == [(generation,)]:
            return
        self.con.begin()
        append(self.con, "gpu", [(generation, now, *row) for row in gpus])
        append(self.con, "provider", [(generation, now, *row) for row in providers])
        self.con.commit()

    def note_source(
        self, slug: str | None, about: tuple[str, str, str, str], now: datetime
    ) -> None:
        """Keep who kept what is imported (name, address, licence, attribution) when it is news."""
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
