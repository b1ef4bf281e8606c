"""An EC2 offer file that somebody kept: AWS's own bytes, read as the live adapter reads them.

Format: `scrapers/ec2_offer.py`, CSV or JSON, plain, .gz or .zst; a folder may hold many.
So an archived file fills the series that a live run fills: on demand and reserved. The file is
all that AWS says of a region's reserved prices, and may say that one is gone; the live on-demand
part reads another feed, and so this file is only a part of it.
"""

import gzip
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

from gputape.scrapers import csvpage, ec2_offer
from gputape.scrapers.errors import Changed
from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import SAME_TIME, Moments
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.page import Page
from gputape.scrapers.providers import aws
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug=None,
    name="AWS price list",
    url="https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html",
    licence="AWS says nothing about a licence: its service terms hold",
    cadence=timedelta(days=7),  # as often as a live run reads one (`groups` of the adapter)
)
REVISION = aws.REVISION
PUBLISHED = re.compile(r'"(?:Publication Date"\s*,|publicationDate"\s*:)\s*"([^"]+)"')
PARTS = {Option.ON_DEMAND: "on_demand", Option.RESERVED: "reserved"}


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per file, region and option."""
    files = _offer_files(path)
    kept.check_one_moment(files, options)
    moments = Moments()
    empty = True
    for published, file in sorted((_published(file, options), file) for file in files):
        for snapshot in _of_file(file, kept.called(file, path), published, moments):
            empty = False
            yield snapshot
    if empty:
        raise BadInput(f"{path} has no accelerator on demand or reserved: give a region that does")


def _offer_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for end in (".csv", ".json") for file in kept.found(path, end)]
    if not found:
        raise BadInput(f"{path} is no file and no folder with offer files: give one of them")
    return found


def _of_file(file: Path, name: str, published: datetime, moments: Moments) -> Iterator[Snapshot]:
    whole, quotes = _read(file, published)
    parts: dict[tuple[str, Option], list[Quote]] = defaultdict(list)
    for quote in quotes:
        parts[quote.region, quote.option].append(quote)
    alone = len({region for region, _ in parts}) == 1
    for (region, option), listed in sorted(parts.items()):
        flaws = Flaws()
        flaws.note_two_prices(listed, f"{name}: {region}")
        part = f"{region}/{PARTS[option]}"
        observed_at, moved = moments.apart(part, published)
        if moved:
            flaws.add(SAME_TIME, name)
        yield Snapshot(
            provider=aws.PROVIDER.slug,
            observed_at=observed_at,
            quotes=listed,
            file=name,
            read=file.read_bytes,
            part=part,
            complete=whole and alone and option is Option.RESERVED,
            defects=flaws.all(),
        )


def _read(file: Path, published: datetime) -> tuple[bool, list[Quote]]:
    """Return whether this is the document of the live part, and what the live adapter reads."""
    with _page(file, published) as page:
        try:
            quotes = [quote for quote in aws.parse([page]) if isinstance(quote, Quote)]
            return ec2_offer.is_offer_csv(page), [q for q in quotes if q.option in PARTS]
        except (Changed, KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadInput(f"{file} is no EC2 offer file ({error}): get it again") from None


def _published(file: Path, options: ImportOptions) -> datetime:
    """Return when AWS published it: in the CSV's third line, or near the JSON's first."""
    if options.observed_at:
        return options.observed_at
    with _page(file, datetime.now(UTC)) as page:
        found = PUBLISHED.search(csvpage.start(page).decode("utf-8-sig", "replace"))
    try:
        return kept.moment(found[1] if found else "")
    except ValueError:
        raise BadInput(f"{file} has no publication date: say --observed-at, or give an EC2 "
                       "offer file") from None  # fmt: skip


@contextmanager
def _page(file: Path, fetched_at: datetime) -> Iterator[Page]:
    """Open a file as the archive would; .gz is unpacked to the disk, for 300 MB stay there."""
    if file.suffix != ".gz":
        yield Page(file.name, fetched_at, lambda: kept.unpacked(file), path=file)
        return
    with NamedTemporaryFile(suffix=".csv") as unpacked:
        try:
            with gzip.open(file) as packed:
                shutil.copyfileobj(packed, unpacked)
        except (OSError, EOFError) as error:
            raise BadInput(f"{file} can not be read ({error}): get it again") from None
        unpacked.flush()
        plain = Path(unpacked.name)
        yield Page(file.name, fetched_at, plain.read_bytes, path=plain)
