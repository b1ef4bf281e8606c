"""What every import format offers, and nothing more.

A module, not a class, as an adapter is: `SOURCE` (facts true without looking), `REVISION`
(rises when the same bytes are read differently) and `snapshots` (reads). It yields quotes in
the file's own words; `normalise` judges them and `record` compares them, as for a live run.
mypy checks each module against `Importer` where `registry.py` lists it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from gputape.scrapers.quote import Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSource:
    """Who kept a history, and what may be done with it."""

    slug: str | None
    """Kept in the key of every series it fills; None when the bytes are the provider's own."""
    name: str
    """Who printed the prices, as a person reads it: the offers' `relay`."""
    url: str
    licence: str
    """SPDX id, or one sentence when there is none."""
    attribution: str = ""
    """What has to stand beside the rows when they are passed on."""
    cadence: timedelta = timedelta(days=1)
    """How often it looked: a price stands unseen for twice as long, no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one file said about one provider at one moment."""

    provider: str
    """Slug; the same as the adapter's where there is one."""
    observed_at: datetime
    quotes: Sequence[Quote]
    file: str
    """What a person calls it: `aws/2023-12-01T2111.csv.gz`, `4f1d0c2:catalogs/v5/aws/vms.csv`."""
    read: Callable[[], bytes] = field(repr=False)
    """Returns the raw bytes, which go to the archive and whose hash knows the file again."""
    complete: bool = True
    """False when a series that is not listed may still be sold."""
    part: str | None = None
    """The provider's part; None is the source's own, `import/<slug>`."""
    blank: Sequence[Quote] = ()
    """Listed without a price. It is news only of a series that the tape knows a price of: it is
    unpriced then and not gone. Of the others it is nothing (Lambda's spot column is all blank)."""
    defects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What is wrong with the file, one sentence per kind → the places where it was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a person said beside the path."""

    observed_at: datetime | None = None
    """When the file was true; overrides what its name or its rows say."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The `csv` format's column map."""


class Importer(Protocol):
    """A format's module."""

    @property
    def SOURCE(self) -> ImportSource:  # noqa: N802  # a module constant seen as an attribute
        """Facts true without looking."""
        ...

    @property
    def REVISION(self) -> int:  # noqa: N802  # same
        """Rises when `snapshots` reads the same bytes differently."""
        ...

    def snapshots(self, path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
        """Yield every snapshot at `path`, in the order of time.

        Raises `BadInput` with one sentence when the path holds nothing of this format.
        """
        ...
