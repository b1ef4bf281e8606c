"""An import put together: the format's reader, the judge, the tape, and a summary of what came."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from gputape.app.collecting import open_recorder
from gputape.scrapers.archive import Archive
from gputape.scrapers.imported import Door
from gputape.scrapers.importers.registry import importer, source
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.store import tape
from gputape.store.offer import Origin
from gputape.store.record import Recorder
from gputape.store.scan import Counts, Listing, Scan

KNOWN = """
select s.provider, s.part, s.observed_at, p.sha256,
    max_by({'revision': s.parser_revision, 'normaliser': s.normaliser, 'scan_id': s.scan_id},
        s.scan_id)
from scan s join page p using (scan_id) where p.method = 'IMPORT' group by all
"""
HELD = """
select case when reason like 'unit change%' then reason when reason like '%went missing at once'
    then reason else regexp_replace(reason, '[0-9.]+', '…', 'g') end as why, count(*)
from price_log where scan_id >= $1 and state = 'suspect' group by why order by 2 desc, 1
"""


@dataclass(slots=True)
class Summary:
    """What an import came to."""

    snapshots: int = 0
    known: int = 0
    """Snapshots that the tape had already, read by the same reader and judge: nothing changed."""
    counts: Counts = field(default_factory=Counts)
    quotes: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    reject_examples: dict[str, str] = field(default_factory=dict)
    defects: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, int] = field(default_factory=dict)
    """Why prices were held back, and how many."""
    providers: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def add(self, snapshot: Snapshot, listing: Listing, counts: Counts) -> None:
        """Count one snapshot that was recorded."""
        self.snapshots += 1
        self.quotes += len(snapshot.quotes)
        self.providers.add(snapshot.provider)
        at = snapshot.observed_at
        self.first = min(self.first or at, at)
        self.last = max(self.last or at, at)
        for name in Counts.__slots__:
            setattr(self.counts, name, getattr(self.counts, name) + getattr(counts, name))
        for reject in listing.rejects:
            self.rejects[reject.reason] += 1
            self.reject_examples.setdefault(reject.reason, reject.sentence)


class Watch(Protocol):
    """Who watches an import: a progress bar, plain lines, a test."""

    def __call__(self, snapshot: Snapshot, done: int, /) -> None:
        """Show that a snapshot was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What one import should do."""

    fmt: str
    path: Path
    db: Path
    options: ImportOptions
    now: datetime
    dry_run: bool = False


def run(plan: ImportPlan, watch: Watch) -> Summary:
    """Read, judge, record; a dry run does all of it in a copy that is thrown away.

    Raises `BadInput` when the path holds nothing of the format.
    """
    if not plan.dry_run:
        return _run(plan, watch)
    with TemporaryDirectory(prefix="gputape-dry-run-") as folder:
        copy = Path(folder) / plan.db.name
        if plan.db.exists():
            shutil.copyfile(plan.db, copy)  # the published copy: nobody holds it for writing
        return _run(replace(plan, db=copy), watch)


def _run(plan: ImportPlan, watch: Watch) -> Summary:
    module, kept_by = importer(plan.fmt), source(plan.fmt, plan.options)
    snapshots = _begun(module.snapshots(plan.path, plan.options))
    summary = Summary()
    with open_recorder(plan.db, plan.now) as recorder:
        recorder.note_source(kept_by.slug, _about(kept_by), plan.now)
        run_id = int(plan.now.timestamp() * 1_000_000)
        archive = Archive(tape.Place(plan.db).archive)
        door = Door(kept_by, module.REVISION, run_id, plan.now, archive)
        begin = recorder.next_id()
        known = _known(recorder)
        for done, snapshot in enumerate(snapshots, 1):
            _take(snapshot, door, recorder, known, summary)
            watch(snapshot, done)
        summary.held = dict(recorder.con.execute(HELD, [begin]).fetchall())
    return summary


def _begun(snapshots: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """Read the first snapshot before the tape is opened: a wrong path makes no tape."""
    first = next(snapshots, None)

    def all_of_them() -> Iterator[Snapshot]:
        if first:
            yield first
            yield from snapshots

    return all_of_them()


def _take(
    snapshot: Snapshot, door: Door, recorder: Recorder, known: dict[Any, Any], summary: Summary
) -> None:
    for kind, places in snapshot.defects.items():
        summary.defects[kind] += places
    scan = door.scan(snapshot)
    was = known.get(_identity(scan))
    if was and (was["revision"], was["normaliser"]) == (scan.parser_revision, scan.normaliser):
        summary.known += 1
        return
    if was:
        scan = replace(scan, origin=Origin.CORRECTION, corrects=was["scan_id"])
    listing = door.listing(snapshot)
    summary.add(snapshot, listing, recorder.record(scan, listing))


def _identity(scan: Scan) -> tuple[object, ...]:
    return (scan.provider, scan.part, scan.observed_at, scan.pages[0].sha256)


def _known(recorder: Recorder) -> dict[Any, Any]:
    """Return which snapshots the tape has, and who read and judged them last."""
    return {tuple(key): last for *key, last in recorder.con.execute(KNOWN).fetchall()}


def _about(kept_by: ImportSource) -> tuple[str, str, str, str]:
    return kept_by.name, kept_by.url, kept_by.licence, kept_by.attribution
