"""Full Stack Deep Learning's cloud GPU tables: kept by hand, 2022 to 2025, 30 clouds.

Source: https://github.com/the-full-stack/website (docs/cloud-gpus/cloud-gpus.csv and
serverless-gpus.csv), MIT. Unit: US dollars per hour and instance (`On-demand`, `Spot`,
`Per-Hour`); `Per-GPU` is only held against it. The time is the commit's, in the file's name.
Oddities: a row without `Name` is told from its sisters by its GPUs, CPUs and memory alone, so
these are its sku; `GPU RAM` is a total in some rows and per GPU in others; GCP's n1 machines take
any GPU, so the GPU is part of their sku; the serverless table is a part of its own.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from gputape.scrapers import money
from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import SAME_TIME, Moments
from gputape.scrapers.importers.sellers import slug
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="fsdl",
    name="Full Stack Deep Learning",
    url="https://fullstackdeeplearning.com/cloud-gpus/",
    licence="MIT",
    attribution="Cloud GPU tables by The Full Stack, fullstackdeeplearning.com, MIT.",
    cadence=timedelta(days=30),  # 36 versions in 32 months
)
REVISION = 1

Row = Mapping[str, str]
CENT = Decimal("0.011")  # both figures are rounded to the cent: 0.635 is printed as 0.64
PER_GPU = "Per-GPU prices that contradict the instance's price, which is used"
NO_INSTANCE_PRICE = "Per-GPU prices without the instance's, not used"
LEFT_OUT = "rows without a seller or a GPU, left out"
MAY_LACK = ("Name", "GPUs", "GPU RAM", "vCPUs", "RAM", "Per-GPU", "Spot")
ATTACHES = re.compile(r"n1-")  # GCP
MEMORY = re.compile(r"\s*\(\s*(\d+)\s*GB\s*\)")


@dataclass(frozen=True, slots=True)
class Table:
    """One of the two tables, by the names of its columns."""

    seller: str
    price: str
    part: str | None
    tier: str | None


TABLES = (
    Table("Cloud", "On-demand", None, None),
    # a cloud that is in both tables would lose its series in one by a scan of the other
    Table("Vendor", "Per-Hour", f"import/{SOURCE.slug}/serverless", "serverless"),
)


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per file, table and cloud."""
    files = [(file, table) for file in kept.listed(path, ".csv") if (table := _table(file))]
    if not files:
        raise BadInput(f"{path} has no Cloud and no Vendor column: give a table of {SOURCE.url}")
    kept.check_one_moment((file for file, _ in files), options)
    for observed_at, file, table, flaws in _in_time(files, path, options):
        name = kept.called(file, path)
        listed = _listed(file, table, name, flaws)
        for provider, quotes in listed.items():
            yield Snapshot(
                provider=provider,
                observed_at=observed_at,
                quotes=quotes,
                file=name,
                read=file.read_bytes,
                part=table.part,
                defects=flaws.take(),
            )


def _table(file: Path) -> Table | None:
    header = kept.text(file).partition("\n")[0].strip().split(",")
    return next((t for t in TABLES if {t.seller, "GPU Type", t.price} <= set(header)), None)


def _in_time(
    files: list[tuple[Path, Table]], path: Path, options: ImportOptions
) -> Iterator[tuple[datetime, Path, Table, Flaws]]:
    """Order the files by the time in their name; several of a minute stay in their order."""
    dated = [(_when(file, options), file, table) for file, table in files]
    moments = Moments()
    for minute, file, table in sorted(dated, key=lambda item: (item[0], kept.stem(item[1]))):
        flaws = Flaws()
        when, moved = moments.apart(table.seller, minute)
        if moved:
            flaws.add(SAME_TIME, kept.called(file, path))
        yield when, file, table, flaws


def _when(file: Path, options: ImportOptions) -> datetime:
    when = options.observed_at or kept.named_moment(file)
    if when is None:
        raise BadInput(f"{file.name} has no time in its name: say --observed-at")
    return when


def _listed(file: Path, table: Table, name: str, flaws: Flaws) -> dict[str, list[Quote]]:
    listed: dict[str, list[Quote]] = defaultdict(list)
    rows = csv.DictReader(io.StringIO(kept.text(file)))
    for line, raw in enumerate(rows, start=2):
        row = dict.fromkeys(MAY_LACK, "")
        row |= {key: (value or "").strip() for key, value in raw.items() if isinstance(key, str)}
        place = f"{name}:{line}"
        if not (row[table.seller] and row["GPU Type"]):
            flaws.add(LEFT_OUT, place)
            continue
        listed[slug(row[table.seller])] += _quotes(row, table, place, flaws)
    for provider, quotes in listed.items():
        flaws.note_two_prices(quotes, f"{name}: {provider}")
    return listed


def _quotes(row: Row, table: Table, place: str, flaws: Flaws) -> Iterator[Quote]:
    """Yield the row's price and, where one is printed, its spot price."""
    provider = slug(row[table.seller])
    quote = flaws.by_facts(provider, _quote(row, table), place, _name_in_facts(provider, row))
    _hold_against_per_gpu(row, table, place, flaws)
    for option, column in ((Option.ON_DEMAND, table.price), (Option.SPOT, "Spot")):
        if option is Option.ON_DEMAND or row[column]:
            price = flaws.dusted(row[column], place)
            yield replace(quote, option=option, price=price)


def _quote(row: Row, table: Table) -> Quote:
    return Quote(
        sku=_sku(row),
        option=Option.ON_DEMAND,
        price=row[table.price],
        region="unstated",
        tier=table.tier,
        gpu=row["GPU Type"],
        gpu_memory_gib=_memory(row),
        gpu_count=row["GPUs"],
        vcpus=_amount(row["vCPUs"]),
        memory_gib=_amount(row["RAM"]),
    )


def _sku(row: Row) -> str:
    """Return the machine's name, or what tells a nameless row from its sisters."""
    gpus = f"{row['GPUs']}x " + MEMORY.sub(r" (\1 GB)", row["GPU Type"])
    name = row["Name"]
    if name:
        return f"{name} + {gpus}" if ATTACHES.match(name) else name
    if not MEMORY.search(row["GPU Type"]):
        gpus += f" ({row['GPU RAM'].removesuffix('GB')} GB in all)"
    return f"{gpus}, {row['vCPUs']} vCPUs, {row['RAM']} GB"


def _name_in_facts(provider: str, row: Row) -> str | None:
    """Return Azure's technical name: the table prints "NC24ads A100 v4"."""
    name = row["Name"]
    return "Standard_" + name.replace(" ", "_") if provider == "azure" else None


def _memory(row: Row) -> Decimal | None:
    """Return a GPU's memory from the total, where the GPU's name does not say it."""
    total, count = _amount(row["GPU RAM"].removesuffix("GB")), _amount(row["GPUs"])
    return total / count if total and count and not MEMORY.search(row["GPU Type"]) else None


def _amount(text: str) -> Decimal | None:
    """Return a number, or None for "variable" and "4-6", which are none."""
    try:
        return money.count(text)
    except money.Unreadable:
        return None


def _hold_against_per_gpu(row: Row, table: Table, place: str, flaws: Flaws) -> None:
    price, count, per_gpu = _figure(row[table.price]), _amount(row["GPUs"]), _figure(row["Per-GPU"])
    if per_gpu and price is None:
        flaws.add(NO_INSTANCE_PRICE, f"{place}: {row['Per-GPU']}")
    elif per_gpu and price and count and abs(price / count - per_gpu) > CENT:
        flaws.add(PER_GPU, f"{place}: {row[table.price]} for {row['GPUs']}, {row['Per-GPU']} each")


def _figure(text: str) -> Decimal | None:
    try:
        return money.figure(text)
    except money.Unreadable:
        return None
