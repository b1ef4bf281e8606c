"""gcosts: what every machine type of Google Cloud costs in every region, composed once a week.

Source: https://github.com/Cyclenerd/google-cloud-pricing-cost-calculator (Apache-2.0), since
2022-02: pricing.yml, or rows of it as CSV (instance, gpus, cpu, ram, region, hour, hour_spot,
month, month_1y, month_3y, month_spot), one dated file or a folder of them.
Unit: US dollars before tax for the whole machine, an hour on demand or spot, a month (730 h) under
a commitment of 1 or 3 years; local SSD that comes with the machine included. A blank is not known.
It is what the GCP adapter reads without a key, so pricing.yml goes through the adapter's reader,
and a CSV row gets the same words: tier `cud`, machine types as sku, no zones.
Oddities: a3-megagpu-8g lacks its GPU in some files (10.12 an hour), a2-ultragpu's commitments are
wrong from 2022-10 to 2024-08; `normalise` judges.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from gputape.scrapers.errors import Changed
from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import SAME_TIME, Moments
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.page import Page
from gputape.scrapers.providers import gcp
from gputape.scrapers.quote import Figure, Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="gcosts",
    name=gcp.RELAY,
    url=f"https://github.com/{gcp.RELAY}",
    licence="Apache-2.0",
    attribution="Prices composed by Google Cloud Platform Pricing and Cost Calculator, "
    "Nils Knieling, Apache-2.0.",
    cadence=timedelta(days=7),
)
REVISION = 1
PROVIDER = "gcp"

COLUMNS = ("instance", "gpus", "region", "hour")
STAMP = re.compile(r"^  timestamp: (\d+)$", re.MULTILINE)
SCALED = "scaled down from a whole GPU"

MALFORMED = "files that are no price list of gcosts, left out"
NO_TIME = "files with no time in their name, left out: give one file and --observed-at"
CUT = "rows that are cut short, left out"


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per file, in the order of time. Raises `BadInput`."""
    files, flaws = _files(path), Flaws()
    kept.check_one_moment(files, options)
    dated = []
    for file in files:
        if moment := options.observed_at or kept.named_moment(file) or _stamped(file):
            dated.append((moment, file))
        else:
            flaws.add(NO_TIME, kept.called(file, path))
    if not dated:
        raise BadInput(f"{path} does not say when it was true: give --observed-at")
    moments = Moments()
    for moment, file in sorted(dated, key=lambda of: (of[0], kept.stem(of[1]))):
        yield _snapshot(file, kept.called(file, path), moment, moments, flaws)


def _files(path: Path) -> list[Path]:
    found = list[Path]()
    for suffix in (".csv", ".yml", ".yaml"):
        try:
            found += kept.listed(path, suffix)
        except BadInput:
            continue
    if not found:
        raise BadInput(f"{path} is no file and no folder with *.csv or *.yml: give one of them")
    return list(dict.fromkeys(found))


def _stamped(file: Path) -> datetime | None:
    """Return when pricing.yml says it was made."""
    if ".csv" in file.suffixes:
        return None
    try:
        found = STAMP.search(kept.text(file))
    except BadInput:  # damaged: it can not say
        return None
    return datetime.fromtimestamp(int(found[1]), UTC) if found else None


def _snapshot(file: Path, name: str, moment: datetime, moments: Moments, flaws: Flaws) -> Snapshot:
    observed_at, moved = moments.apart(PROVIDER, moment)
    if moved:
        flaws.add(SAME_TIME, name)
    read = of_csv if ".csv" in file.suffixes else of_yaml
    quotes, whole = list[Quote](), False
    try:
        quotes = list(read(file, name, flaws))
        whole = CUT not in flaws.seen
    except (BadInput, Changed, csv.Error) as error:
        flaws.add(MALFORMED, f"{name}: {error}")
    flaws.note_two_prices(quotes, name)
    return Snapshot(
        provider=PROVIDER, observed_at=observed_at, quotes=quotes, file=name,
        read=file.read_bytes, complete=whole, defects=flaws.take(),
    )  # fmt: skip


def of_yaml(file: Path, name: str, flaws: Flaws) -> Iterator[Quote]:
    """Yield what pricing.yml says, read by the adapter that reads it every day."""
    page = Page(url=name, fetched_at=datetime.min.replace(tzinfo=UTC),
                read=partial(kept.unpacked, file))  # fmt: skip
    for quote in gcp.parse([page]):
        place = f"{name}: {quote.sku} {quote.region}"
        yield replace(quote, price=flaws.dusted(quote.price, place))


def of_csv(file: Path, name: str, flaws: Flaws) -> Iterator[Quote]:
    """Yield every price of every row. Raises `BadInput` without the columns."""
    reader = csv.DictReader(io.StringIO(kept.text(file), newline=""))
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        raise BadInput(f"it has no column {', '.join(sorted(missing))}")
    for row in reader:
        place = f"{name}: line {reader.line_num}"
        if None in row.values() or not row["instance"]:
            flaws.add(CUT, place)
        else:
            yield from _row(row, partial(flaws.dusted, place=place), flaws, place)


def _row(
    row: Mapping[str, str], dusted: Callable[[Figure], Figure], flaws: Flaws, place: str
) -> Iterator[Quote]:
    gpu, _, count = row["gpus"].partition("=")
    said = Quote(
        sku=row["instance"], option=Option.ON_DEMAND, price=None, region=row["region"],
        gpu=gpu, gpu_count=count, vcpus=row.get("cpu"), memory_gib=row.get("ram"),
        derived=SCALED if "." in count else None, relay=SOURCE.name,
    )  # fmt: skip
    said = flaws.by_facts(PROVIDER, said, place)
    for column, bought in gcp.KINDS.items():
        if bought and (price := row.get(column)):
            quote = replace(said, price=dusted(price), **bought)
            sold = quote.option is not Option.ON_DEMAND or not gcp.NOT_ON_DEMAND.fullmatch(said.sku)
            yield quote if sold else replace(quote, available=False)
