"""An import put together: the format's reader, the judge, the tape, and a summary of what came."""

import shutil
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from gputape.app.collecting import open_recorder
from gputape.scrapers.archive import Archive
from gputape.scrapers.imported import Door
from gputape.scrapers.importers.registry import importer, source
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.store import tape
from gputape.store.errors import BadInput, NoTape
from gputape.store.offer import Option, Origin, SeriesKey
from gputape.store.places import Where, archive_of
from gputape.store.record import Recorder
from gputape.store.scan import Counts, Listing, Scan

KNOWN = """
select s.provider, s.part, s.observed_at, p.sha256,
    max_by({'revision': s.parser_revision, 'normaliser': s.normaliser, 'scan_id': s.scan_id},
        s.scan_id)
from scan s join page p using (scan_id) where p.method = 'IMPORT' group by all
"""
SERIES = """
select provider, sku, region, zone, option, tier, term_months, payment, source
from series where source is not distinct from ?
"""
HELD = """
select case when reason like 'unit change%' or reason like '%went missing at once'
    then concat(s.provider, ': ', reason, strftime(l.observed_at, ' on %Y-%m-%d'))
    else regexp_replace(reason, '[0-9.]+', '…', 'g') end as why, count(*)
from price_log l join series s using (series_id)
where l.scan_id >= $1 and l.state = 'suspect' group by why order by 2 desc, 1
"""
LEFT_OUT = "left out"  # in every kind of defect that costs rows or files
MISSING = "many series went missing at once, gone from then on"
MISSING_LEAST = 50  # fewer are a seller's own doing …
MISSING_SHARE = 0.1  # … and so is a smaller share; SkyPilot's fetcher lost 400 of 1,500 for weeks


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

    def know(self, snapshot: Snapshot) -> None:
        """Count one that the tape had; of what is wrong with it, say again only what it lost."""
        self.known += 1
        for kind, places in snapshot.defects.items():
            if LEFT_OUT in kind:
                self.defects[kind] += places

    def add(self, snapshot: Snapshot, listing: Listing, counts: Counts) -> None:
        """Count one snapshot that was recorded."""
        self.snapshots += 1
        for kind, places in snapshot.defects.items():
            self.defects[kind] += places
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
        self._note_missing(snapshot, counts)

    def _note_missing(self, snapshot: Snapshot, counts: Counts) -> None:
        before = counts.offers - counts.new + counts.gone
        if counts.gone > max(MISSING_LEAST, MISSING_SHARE * before):
            place = f"{snapshot.file}: {counts.gone} of {before} series of {snapshot.provider}"
            self.defects[MISSING].append(f"{place} on {snapshot.observed_at:%Y-%m-%d}")


class Watch(Protocol):
    """Who watches an import: a progress bar, plain lines, a test."""

    def __call__(self, snapshot: Snapshot, done: int, /) -> None:
        """Show that a snapshot was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What one import should do."""

    fmt: str
    path: Path
    db: Where
    options: ImportOptions
    now: datetime
    dry_run: bool = False


def run(plan: ImportPlan, watch: Watch) -> Summary:
    """Read, judge, record; a dry run does all of it in a copy that is thrown away.

    Raises `BadInput` when the path holds nothing of the format.
    """
    if not plan.dry_run:
        return _run(plan, watch)
    if not isinstance(plan.db, Path):
        raise BadInput("a dry run needs a file: give --db a copy of the lake (`gputape copy`)")
    with TemporaryDirectory(prefix="gputape-dry-run-") as folder:
        copy = Path(folder) / plan.db.name
        # `reading` publishes first what a killed writer left; nobody writes to the published copy
        with suppress(NoTape), tape.reading(plan.db):
            shutil.copyfile(plan.db, copy)
        return _run(replace(plan, db=copy), watch)


def _run(plan: ImportPlan, watch: Watch) -> Summary:
    module, kept_by = importer(plan.fmt), source(plan.fmt, plan.options)
    snapshots, summary = module.snapshots(plan.path, plan.options), Summary()
    first = next(snapshots, None)
    if first is None:  # as for a wrong path, no tape is made
        return summary
    with open_recorder(plan.db, plan.now) as recorder:
        recorder.note_source(kept_by.slug, _about(kept_by), plan.now)
        run_id = int(plan.now.timestamp() * 1_000_000)
        archive = Archive(archive_of(plan.db))
        priced = _series(recorder, kept_by.slug)
        door = Door(kept_by, module.REVISION, run_id, plan.now, archive, priced)
        begin = recorder.next_id()
        known = _known(recorder)
        for done, snapshot in enumerate(chain([first], snapshots), 1):
            _take(snapshot, door, recorder, known, summary)
            watch(snapshot, done)
        summary.held = dict(recorder.con.execute(HELD, [begin]).fetchall())
    return summary


def _take(
    snapshot: Snapshot, door: Door, recorder: Recorder, known: dict[Any, Any], summary: Summary
) -> None:
    scan = door.scan(snapshot)
    was = known.get(_identity(scan))
    if was and (was["revision"], was["normaliser"]) == (scan.parser_revision, scan.normaliser):
        summary.know(snapshot)
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


def _series(recorder: Recorder, slug: str | None) -> set[SeriesKey]:
    """Return every series of a source that the tape has had a price of."""
    found = recorder.con.execute(SERIES, [slug])
    names = [column[0] for column in found.description]
    rows = (dict(zip(names, row, strict=True)) for row in found.fetchall())
    return {SeriesKey(**row | {"option": Option(row["option"])}) for row in rows}


def _about(kept_by: ImportSource) -> tuple[str, str, str, str]:
    return kept_by.name, kept_by.url, kept_by.licence, kept_by.attribution
