"""Snapshots that others kept, judged as a live page is: from quotes to what the tape records."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import normaliser
from gputape.scrapers.importers.snapshot import ImportSource, Snapshot
from gputape.scrapers.normalise import Verdict, normalise
from gputape.scrapers.quote import Quote
from gputape.store.offer import Origin, SeriesKey
from gputape.store.scan import Listing, PageRow, Scan

SCHEME = "import:"


@dataclass(slots=True)
class Door:
    """Where snapshots of one source enter: bytes to the archive, quotes to the judge."""

    source: ImportSource
    revision: int
    run_id: int
    now: datetime
    archive: Archive
    priced: set[SeriesKey]
    """Series that the tape knows a price of, at whatever time."""
    _kept: tuple[str, str, int] = ("", "", 0)
    """The file that was archived last: its name, hash and size. Many snapshots share one."""
    _slug: str = field(init=False)

    def __post_init__(self) -> None:
        self._slug = self.source.slug or "own"

    def scan(self, snapshot: Snapshot) -> Scan:
        """Return the scan that a snapshot stands for; its bytes are in the archive then."""
        part = snapshot.part or f"import/{self._slug}"
        return Scan(
            run_id=self.run_id,
            provider=snapshot.provider,
            part=part,
            started_at=self.now,
            finished_at=self.now,
            observed_at=snapshot.observed_at,
            status="ok",
            quotes=len(snapshot.quotes),
            parser_revision=self.revision,
            normaliser=normaliser(),
            origin=Origin.IMPORT,
            stands_s=2 * int(self.source.cadence.total_seconds()),
            complete=snapshot.complete,
            source=self.source.slug,
            pages=(self._page(snapshot),),
        )

    def listing(self, snapshot: Snapshot) -> Listing:
        """Return what a snapshot listed, judged."""
        relay = self.source.name if self.source.slug else None
        quotes = [q if q.relay else replace(q, relay=relay) for q in snapshot.quotes]
        verdict = self._judged(snapshot, quotes)
        self.priced.update(offer.key for offer in verdict.offers)
        blank = self._judged(snapshot, snapshot.blank).rejects
        unpriced = [reject for reject in blank if reject.key in self.priced]
        return Listing(offers=verdict.offers, rejects=verdict.rejects + unpriced)

    def _judged(self, snapshot: Snapshot, quotes: Sequence[Quote]) -> Verdict:
        return normalise(snapshot.provider, quotes, snapshot.observed_at, self.source.slug)

    def _page(self, snapshot: Snapshot) -> PageRow:
        if self._kept[0] != snapshot.file:
            body = snapshot.read()
            sha256 = hashlib.sha256(body).hexdigest()
            if not self.archive.path(sha256).exists():
                with self.archive.receive(max_bytes=len(body)) as entry:
                    entry.write(body)
            self._kept = (snapshot.file, sha256, len(body))
        _, sha256, size = self._kept
        return PageRow(
            method="IMPORT",
            url=f"{SCHEME}{self._slug}/{snapshot.file}",
            status=200,
            fetched_at=self.now,
            etag=None,
            last_modified=None,
            sha256=sha256,
            bytes=size,
        )
