"""Rows of a SkyPilot catalogue file: columns by name in any order, and quotes from them.

A price is for the whole instance in USD. Zone rows repeat their region's list price: one quote
for each price that a region is said to have. A blank price is not known, and no zero.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from gputape.scrapers.importers.flaws import TWO_PRICES, Flaws
from gputape.scrapers.importers.skypilot_gpu_info import memory
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.instances import instance
from gputape.store.offer import Option

RELAY = "SkyPilot catalogue"
NEEDED = {"instancetype", "acceleratorname", "acceleratorcount", "price"}
SHORT = 10  # characters: too few for ten decimals
# Scaleway's rows are its own, in euros: "EUR in my case" (skypilot-catalog#54, 2023-12-26)
CURRENCIES = {"scaleway": "EUR"}
TIERS = {"_SECURE": "secure", "_COMMUNITY": "community"}  # how RunPod's types end

Identity: TypeAlias = tuple[str | None, str | None, Decimal | None]

CUT = "rows that are cut short, left out"
TWICE = "rows that stand there twice"
DISAGREE = "zones of one region with different list prices"


class Row(NamedTuple):
    """One line as printed, "" where the file has no such column."""

    sku: str
    gpu: str
    gpus: str
    vcpus: str
    memory_gib: str
    info: str
    price: str
    spot: str
    region: str
    zone: str
    line: int
    tier: str | None
    derived: str | None


COLUMNS = (
    "instancetype", "acceleratorname", "acceleratorcount", "vcpus", "memorygib", "gpuinfo",
    "price", "spotprice", "region", "availabilityzone",
)  # fmt: skip


def rows(text: str, flaws: Flaws) -> Iterator[Row]:
    """Yield every row. A header may come again: GCP's hosts are joined to its accelerators.

    Raises `BadInput` when the first line is no header of ours.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    pick, width = None, 0
    try:
        for cells in reader:
            if pick is None or "InstanceType" in cells:
                pick, width = _picker(cells), len(cells)
            elif len(cells) == width:
                cells.append("")
                yield Row._make((*pick(cells), reader.line_num, None, None))
            elif cells:
                flaws.add(CUT, f"line {reader.line_num}")
    except csv.Error as error:
        raise BadInput(str(error)) from None
    if pick is None:
        raise BadInput("it is empty")


def _picker(header: list[str]) -> Callable[[list[str]], tuple[str, ...]]:
    """Return what picks our columns: `GPUInfo` and `GpuInfo` are one, "" is the last cell."""
    at = {name.strip().casefold(): index for index, name in reversed(list(enumerate(header)))}
    if missing := NEEDED - at.keys():
        raise BadInput(f"it has no column {', '.join(sorted(missing))}")
    zone = next((name for name in at if name.startswith("availabilityzone")), "")
    at["availabilityzone"] = at.get(zone, len(header))
    return itemgetter(*(at.get(name, len(header)) for name in COLUMNS))


def quotes(
    provider: str, found: Iterable[Row], flaws: Flaws
) -> tuple[Sequence[Quote], Sequence[Quote]]:
    """Return each series' price once, and a second time when it is said to have another.

    A machine that no zone of a region has any price for is quoted without one. Apart: places
    whose spot price is blank, for those who know that they had one.
    """
    reading, priced = _Reading(provider, flaws), list[Quote]()
    for row in found:
        if row.gpu and row.sku:
            priced += reading.of(row)
    priced += reading.unpriced()
    return priced, list(reading.blank_spots())


class _Reading:
    """What one file has said so far."""

    def __init__(self, provider: str, flaws: Flaws) -> None:
        self.provider, self.flaws = provider, flaws
        self.rows: dict[tuple[str, str, str], tuple[str, str]] = {}
        self.listed: dict[tuple[str, str], list[str]] = {}
        self.spots: dict[tuple[str, str, str], list[str]] = {}
        self.blank: dict[tuple[str, str], Row] = {}
        self.blank_spot: dict[tuple[str, str, str], Row] = {}
        self.identities: dict[tuple[str, str, str, str], Identity] = {}

    def of(self, row: Row) -> Iterator[Quote]:
        """Yield what a row says that was not said before."""
        key, series = (row.sku, row.region, row.zone), (row.sku, row.region)
        again = key in self.rows
        if again:
            same = self.rows[key] == (row.price, row.spot)
            self.flaws.add(TWICE if same else TWO_PRICES, _place(row))
        self.rows[key] = (row.price, row.spot)
        if row.price and _is_new(self.listed.setdefault(series, []), row.price):
            if len(self.listed[series]) > 1 and not again:
                self.flaws.add(DISAGREE, _place(row))
            yield self.quote(row, Option.ON_DEMAND)
        if not row.spot:
            self.blank_spot[key] = row
        elif _is_new(self.spots.setdefault(key, []), row.spot):
            yield self.quote(row, Option.SPOT)
        if not row.price and not row.spot:
            self.blank[series] = row

    def unpriced(self) -> Iterator[Quote]:
        """Yield what is listed without a price: it is sold, nobody says for how much."""
        for series, row in self.blank.items():
            if series not in self.listed:
                yield self.quote(row, Option.ON_DEMAND)

    def blank_spots(self) -> Iterator[Quote]:
        """Yield where a machine stands without a spot price in every row of its place."""
        for key, row in self.blank_spot.items():
            if key not in self.spots:
                yield self.quote(row, Option.SPOT)

    def quote(self, row: Row, option: Option) -> Quote:
        """Return one price of a row."""
        spot = option is Option.SPOT
        price = row.spot if spot else row.price
        gpu, count, gib = self.identity(row)
        return Quote(
            sku=row.sku,
            option=option,
            price=price if len(price) <= SHORT else self.flaws.dusted(price, _place(row)),
            region=row.region,
            zone=row.zone if spot else None,
            tier=row.tier or _tier(self.provider, row.sku),
            currency=CURRENCIES.get(self.provider, "USD"),
            gpu=gpu,
            gpu_count=count,
            gpu_memory_gib=gib,
            vcpus=row.vcpus,
            memory_gib=row.memory_gib,
            derived=row.derived,
            relay=RELAY,
        )

    def identity(self, row: Row) -> Identity:
        """Return GPU, count and memory; none of them where the instance facts know better."""
        words = (row.sku, row.gpu, row.gpus, row.info)
        if words not in self.identities:
            told = memory(self.provider, row.gpu, row.gpus, row.info)
            if told.flaw:
                self.flaws.add(told.flaw, f"{row.sku}: {row.info}")
            wrong = _contradictions(self.provider, row.sku, row.gpu, row.gpus)
            for kind, place in wrong or ():
                self.flaws.add(kind, place)
            count = row.gpus.removesuffix(".0")
            known = wrong is not None
            self.identities[words] = (None, None, None) if known else (row.gpu, count, told.gib)
        return self.identities[words]


def _is_new(said: list[str], price: str) -> bool:
    """Whether a series was not said to cost this much; "3.40" and "3.4" are one."""
    if price in said or (said and any(_same(price, other) for other in said)):
        return False
    said.append(price)
    return True


def _same(one: str, other: str) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _place(row: Row) -> str:
    return f"line {row.line}: {row.sku} {row.zone or row.region}"


def _tier(provider: str, sku: str) -> str | None:
    if provider != "runpod":
        return None
    return next((tier for end, tier in TIERS.items() if sku.endswith(end)), None)


@lru_cache(maxsize=8192)
def _contradictions(
    provider: str, sku: str, gpu: str, count: str
) -> tuple[tuple[str, str], ...] | None:
    """Return in what a row contradicts the instance facts; None when there are no facts."""
    if instance(provider, sku) is None:
        return None
    seen = Flaws()
    said = Quote(sku=sku, option=Option.ON_DEMAND, price=None, gpu=gpu, gpu_count=count)
    seen.by_facts(provider, said, "rows")
    return tuple((kind, place) for kind, places in seen.seen.items() for place in places)
