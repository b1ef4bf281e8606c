"""Machines out of Google's Billing Catalog, which prices their parts and never a machine.

A row names a part, how it is bought and where, all in one sentence:

    A2 Instance Core running in Americas
    Spot Preemptible A3 Instance Ram running in Frankfurt
    Nvidia Tesla A100 80GB GPU attached to Spot Preemptible VMs running in Netherlands
    Commitment v1: G2 Cpu in Americas for 1 Year
    SSD backed Local Storage in Milan
    A4 Nvidia B200 (1 gpu slice) running in Americas

A machine is composed only when every one of its parts has a price there, in one currency: a
machine without its GPU or its disk is not a cheap machine.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from gputape.scrapers.quote import Quote
from gputape.store.instances import Instance
from gputape.store.offer import HOURS_PER_MONTH, Option


class Terms(NamedTuple):
    """How a part is bought."""

    option: Option
    term_months: int | None = None


class Part(NamedTuple):
    """One part's price for `hours` of one unit; the newest, then the dearest, compares highest."""

    since: str
    price: Decimal
    hours: int
    currency: str
    sku_id: str


Row: TypeAlias = Mapping[str, Any]
Shelf: TypeAlias = dict[str, Part]
"""The parts sold in one place on the same terms, by name."""
Bill: TypeAlias = list[tuple[tuple[str, ...], Decimal]]
"""What a machine is made of: the spellings of a part, and how many units of it."""

# other products that share the words of a part
OTHER_PRODUCT = re.compile(
    r"DWS|Calendar Mode|Reserved|Capacity Optimized|Sole Tenancy|Custom|Premium|Suspended"
    r"|VM state|vWS|Virtual Workstation",
    re.IGNORECASE,
)
SPOT = re.compile(r"\bSpot\b|\bPreemptible\b", re.IGNORECASE)
# "for 1 Year", "for 3 Year" and "for 3 Years"; 5 years have the usage type "Commit"
COMMITMENT = re.compile(r"^Commitment\b.* for (?P<years>[13]) Years?$")
COMMIT_MONTHS = {"Commit1Yr": 12, "Commit3Yr": 36}
PREFIX = re.compile(r"^(Commitment v\d: |Spot Preemptible )")
PLACE = re.compile(r" (running in|attached to|in) .*$", re.IGNORECASE)
TPU = re.compile(r"TPU(V\d|\d)\w*", re.IGNORECASE)  # "TpuV5e", "TPU7x"

HOURS = {"h": 1, "GiBy.h": 1, "GiBy.mo": HOURS_PER_MONTH}
SSD = ("SSD backed Local Storage", "Local SSD")
HOSTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "a2-highgpu": ("A2", ("Nvidia Tesla A100",)),
    "a2-megagpu": ("A2", ("Nvidia Tesla A100",)),
    "a2-ultragpu": ("A2", ("Nvidia Tesla A100 80GB",)),
    "a3-highgpu": ("A3", ("Nvidia H100 80GB",)),
    "a3-megagpu": ("A3Plus", ("Nvidia H100 80GB Plus", "Nvidia H100 80GB Mega")),
    "a3-ultragpu": ("A3Ultra", ("H200 141GB", "Nvidia H200 141GB")),
    "g2-standard": ("G2", ("Nvidia L4",)),
    "g4-standard": ("G4", ("RTX 6000 96GB",)),
}
"""The family of a machine type: its host's series, the spellings of its GPU."""
WHOLE: Mapping[str, tuple[str, ...]] = {
    "a4-highgpu": ("A4 Nvidia B200 (1 gpu slice)",),
    "ct5lp-hightpu": ("TpuV5e",),
    "ct5p-hightpu": ("TpuV5p",),
    "ct6e-standard": ("TpuV6e",),
    "tpu7x-standard": ("TPU7x",),
}
"""A slice or chip of these is priced with its share of the host."""
EIGHTH = ("1/8 vGPU no lssd",)  # the same: g4-standard-6 is one, -12 two, -24 four

SUM_OF_PARTS = "sum of GPU, core, RAM and SSD prices"
SUM_OF_WHOLE = "sum of slice or chip prices, host included"


def quotes(rows: Iterable[Row], machines: Mapping[str, Instance]) -> Iterator[Quote]:
    """Yield every machine that can be composed, and TPU chips of no known machine, by region."""
    bills = {sku: bill for sku, machine in machines.items() if (bill := needs(machine))}
    names = {name for bill in bills.values() for names, _ in bill for name in names}
    for (region, terms), shelf in shelves(rows, names).items():
        say = partial(
            Quote,
            region=region,
            option=terms.option,
            term_months=terms.term_months,
            tier="cud" if terms.term_months else None,
        )
        yield from (
            quote for sku, bill in bills.items() if (quote := compose(say, sku, bill, shelf))
        )
        for name, part in shelf.items():
            if name not in names:  # a TPU of a new generation
                yield say(
                    sku=name,
                    price=part.price,
                    currency=part.currency,
                    gpu=name,
                    gpu_count=1,
                    source_sku=part.sku_id,
                )


def shelves(rows: Iterable[Row], names: Container[str]) -> dict[tuple[str, Terms], Shelf]:
    """Sort the rows of those parts, and of TPUs, by place and terms."""
    found = defaultdict[tuple[str, Terms], Shelf](dict)
    for row in rows:
        name = name_of(row["description"])
        if name not in names and not TPU.fullmatch(name):
            continue
        if (terms := terms_of(row)) and (part := part_of(row)):
            for region in row.get("serviceRegions") or ():
                shelf = found[region, terms]
                shelf[name] = max(shelf.get(name, part), part)
    return found


def name_of(description: str) -> str:
    """Cut a sentence down to its part: "A3 Core", "Nvidia H100 80GB", "Local SSD"."""
    name = PLACE.sub("", PREFIX.sub("", description))
    return name.replace(" Instance", "").replace(" Cpu", " Core").removesuffix(" GPU")


def terms_of(row: Row) -> Terms | None:
    """Say how a row is bought: the sentence decides, the usage type fills in."""
    text, usage = row["description"], row["category"].get("usageType")
    if OTHER_PRODUCT.search(text):
        return None
    if text.startswith("Commitment") or usage in COMMIT_MONTHS:
        found = COMMITMENT.match(text)
        months = int(found["years"]) * 12 if found else COMMIT_MONTHS.get(usage)
        return Terms(Option.RESERVED, months) if months else None
    if SPOT.search(text) or usage == "Preemptible":
        return Terms(Option.SPOT)  # B200 spot rows carry the usage type OnDemand
    return Terms(Option.ON_DEMAND) if usage == "OnDemand" else None


def part_of(row: Row) -> Part | None:
    """Return the last tier of the newest price, when its unit is one we can add up."""
    info = (row.get("pricingInfo") or [{}])[-1]
    expression = info.get("pricingExpression", {})
    hours = HOURS.get(expression.get("usageUnit"))
    if not hours or not expression.get("tieredRates"):
        return None
    money = expression["tieredRates"][-1]["unitPrice"]
    return Part(
        since=info.get("effectiveTime") or "",
        price=Decimal(money.get("units") or 0) + Decimal(money.get("nanos") or 0).scaleb(-9),
        hours=hours,
        currency=money["currencyCode"],
        sku_id=row["skuId"],
    )


def needs(machine: Instance) -> Bill | None:
    """List the parts of a machine type; None when it is not known how it is billed."""
    family = machine.sku.rpartition("-")[0]
    if family == "g4-standard" and machine.gpu_count < 1:
        return [(EIGHTH, machine.gpu_count * 8)]
    if family in WHOLE:
        return [(WHOLE[family], machine.gpu_count)]
    if family not in HOSTS or machine.vcpus is None or machine.memory_gib is None:
        return None
    series, gpu = HOSTS[family]
    bill: Bill = [
        (gpu, machine.gpu_count),
        ((f"{series} Core",), machine.vcpus),
        ((f"{series} Ram",), machine.memory_gib),
    ]
    return [*bill, (SSD, machine.local_ssd_gib)] if machine.local_ssd_gib else bill


def compose(say: Callable[..., Quote], sku: str, bill: Bill, shelf: Shelf) -> Quote | None:
    """Add a bill up; None when a part has no price here or they mix currencies."""
    parts = [part for names, _ in bill if (part := pick(shelf, names))]
    if len(parts) < len(bill) or len({part.currency for part in parts}) > 1:
        return None
    price = sum(
        (part.price * units / part.hours for part, (_, units) in zip(parts, bill, strict=True)),
        Decimal(),
    )
    return say(
        sku=sku,
        price=price,
        currency=parts[0].currency,
        derived=SUM_OF_PARTS if len(bill) > 1 else SUM_OF_WHOLE,
        source_sku="+".join(part.sku_id for part in parts),
    )


def pick(shelf: Shelf, names: Iterable[str]) -> Part | None:
    """Return a part under the first of its spellings; a part for nothing is a preview."""
    return next((shelf[name] for name in names if name in shelf and shelf[name].price), None)
