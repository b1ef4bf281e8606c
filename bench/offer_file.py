"""An EC2 offer file in the published shape, made and read.

Preamble and columns of 2020-10, every word quoted, one line per rate; 6 % of the lines are
about accelerators: each known type with one on-demand and twelve reserved prices, in four
systems, two tenancies and three capacity statuses.

    python bench/offer_file.py build FOLDER MEGABYTES | ours FOLDER
"""

import json
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, cycle, product
from pathlib import Path

from gputape.scrapers.archive import Archive
from gputape.scrapers.ec2_offer import csv_rows, quotes
from gputape.scrapers.page import Page
from gputape.store.instances import instances
from gputape.store.regions import places

PREAMBLE = (
    ("FormatVersion", "v1.0"),
    ("Disclaimer", "Made by bench/offer_file.py; no price in it is real."),
    ("Publication Date", "2020-10-19T20:48:02Z"),
    ("Version", "20201019204802"),
    ("OfferCode", "AmazonEC2"),
)
COLUMNS = (
    "SKU", "OfferTermCode", "RateCode", "TermType", "PriceDescription", "EffectiveDate",
    "StartingRange", "EndingRange", "Unit", "PricePerUnit", "Currency", "RelatedTo",
    "LeaseContractLength", "PurchaseOption", "OfferingClass", "Product Family", "serviceCode",
    "Location", "Location Type", "Instance Type", "Current Generation", "Instance Family",
    "vCPU", "Physical Processor", "Clock Speed", "Memory", "Storage", "Network Performance",
    "Processor Architecture", "Storage Media", "Volume Type", "Max Volume Size",
    "Max IOPS/volume", "Max IOPS Burst Performance", "Max throughput/volume", "Provisioned",
    "Tenancy", "EBS Optimized", "Operating System", "License Model", "Group",
    "Group Description", "Transfer Type", "From Location", "From Location Type", "To Location",
    "To Location Type", "usageType", "operation", "CapacityStatus", "Dedicated EBS Throughput",
    "ECU", "Elastic Graphics Type", "Enhanced Networking Supported", "GPU", "GPU Memory",
    "Instance", "Instance Capacity - 10xlarge", "Instance Capacity - 12xlarge",
    "Instance Capacity - 16xlarge", "Instance Capacity - 18xlarge",
    "Instance Capacity - 24xlarge", "Instance Capacity - 2xlarge",
    "Instance Capacity - 32xlarge", "Instance Capacity - 4xlarge",
    "Instance Capacity - 8xlarge", "Instance Capacity - 9xlarge", "Instance Capacity - large",
    "Instance Capacity - medium", "Instance Capacity - metal", "Instance Capacity - xlarge",
    "instanceSKU", "Intel AVX Available", "Intel AVX2 Available", "Intel Turbo Available",
    "Normalization Size Factor", "Physical Cores", "Pre Installed S/W", "Processor Features",
    "Product Type", "Resource Type", "serviceName", "Volume API Name",
)  # fmt: skip
FIRST = COLUMNS.index("Product Family")  # from here on a line tells the product, before it a rate
PLAIN_SYSTEMS = (("Linux", "NA"), ("RHEL", "NA"), ("SUSE", "NA"), ("Windows", "NA"))
SYSTEMS = (*PLAIN_SYSTEMS, *product(("Linux", "Windows"), ("SQL Web", "SQL Std", "SQL Ent")))
HELD = ("Used", "AllocatedCapacityReservation", "UnusedCapacityReservation")
SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
PAYMENTS = {
    "No Upfront": ("Hrs",),
    "Partial Upfront": ("Hrs", "Quantity"),
    "All Upfront": ("Hrs", "Quantity"),
}
# term code, length with payment and class, and the units of the term's rates: a line each
TERMS = tuple(
    (f"T{n:09d}", (years, payment, offering), PAYMENTS[payment])
    for n, (years, payment, offering) in enumerate(
        product(("1yr", "3yr"), PAYMENTS, ("standard", "convertible"))
    )
)
OTHERS = 6  # instance types for each accelerator


def read(folder: Path) -> None:
    """Read the archived body as the adapter does and print how many prices it has."""
    archive = Archive(folder / "archive")
    sha256 = (folder / "sha256").read_text()
    page = Page(
        url="https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/index.csv",
        fetched_at=datetime.now(UTC),
        read=lambda: archive.read(sha256),
        sha256=sha256,
        path=archive.path(sha256),
    )
    codes = {name: code for code, name in places("aws").items()}
    print(sum(1 for _ in quotes(csv_rows(page), instances("aws"), codes)))


def build(folder: Path, megabytes: float) -> None:
    """Write the file plain and into the archive; print what is in it as JSON."""
    lines: list[str] = []
    accelerators = about = size = 0
    for rates, accelerated in _types():
        lines += rates
        size += sum(map(len, rates))
        accelerators += accelerated
        about += len(rates) * accelerated
        if size >= megabytes * 1e6:
            break
    random.Random(2).shuffle(lines)  # noqa: S311  # in order it would pack too well
    body = "".join([*map(_line, PREAMBLE), _line(COLUMNS), *lines]).encode()
    (folder / "offer.csv").write_bytes(body)
    with Archive(folder / "archive").receive(2**31) as file:
        file.write(body)
    (folder / "sha256").write_text(file.sha256)
    print(json.dumps({"mb": len(body) / 1e6, "lines": len(lines), "share": about / len(lines),
                      "prices": accelerators * (1 + len(TERMS))}))  # fmt: skip


def _line(words: tuple[str, ...]) -> str:
    return ",".join(f'"{word}"' for word in words) + "\n"


def _types() -> Iterator[tuple[list[str], bool]]:
    """Yield the lines of one instance type after another, accelerators in between."""
    known = cycle(instances("aws").values())
    dice = random.Random(1)  # noqa: S311  # nothing secret: the same file every time
    names = (
        f"{letter}{generation}{kind}.{size}"
        for generation in count(4)
        for letter, kind, size in product("mcrtxihz", ("", "a", "g", "dn"), SIZES)
    )
    for n, name in enumerate(names):
        if n % OTHERS == 0:
            machine = next(known)
            yield _sold({"Instance Type": machine.sku, "Instance Family": "GPU instance",
                         "vCPU": f"{machine.vcpus}", "Memory": f"{machine.memory_gib} GiB",
                         "GPU": "8"}, PLAIN_SYSTEMS, dice), True  # fmt: skip
        yield _sold({"Instance Type": name, "Instance Family": "General purpose",
                     "vCPU": "8", "Memory": "32 GiB"}, SYSTEMS, dice), False  # fmt: skip


def _sold(
    about: dict[str, str], systems: Sequence[tuple[str, str]], dice: random.Random
) -> list[str]:
    """Return every rate of one instance type: each system, tenancy and capacity status."""
    lines = []
    for (system, software), tenancy, held in product(systems, ("Shared", "Dedicated"), HELD):
        sku = "".join(dice.choices("ABCDEFGHJKMNPQRSTUVWXYZ23456789", k=16))
        product_ = _product(about, system, software, tenancy, held)
        hourly = dice.uniform(0.05, 40)
        lines.append(_rate(sku, "JRTCKXETXF", ("", "", ""), "Hrs", hourly) + product_)
        if held == "Used":
            lines += [
                _rate(sku, code, terms, unit, hourly * (0.6 if unit == "Hrs" else 5000)) + product_
                for code, terms, units in TERMS
                for unit in units
            ]
    return lines


def _rate(sku: str, code: str, terms: tuple[str, str, str], unit: str, price: float) -> str:
    """Return the start of a line: which rate of which term, and what it costs."""
    words = (
        sku, code, f"{sku}.{code}.{'6YS6EN2CT7' if unit == 'Hrs' else '2TG2D8R56U'}",
        "Reserved" if terms[0] else "OnDemand",
        f"USD {price:.4f} per Linux/UNIX (Amazon VPC) instance-hour (or partial hour)"
        if unit == "Hrs" else "Upfront Fee",
        "2020-10-01", "0", "Inf", unit, f"{price:.10f}", "USD", "", *terms,
    )  # fmt: skip
    return _line(words).rstrip("\n") + ","


def _product(about: dict[str, str], system: str, software: str, tenancy: str, held: str) -> str:
    """Return the rest of a line: what is sold."""
    told = {
        "Product Family": "Compute Instance", "serviceCode": "AmazonEC2",
        "Location": "EU (Paris)", "Location Type": "AWS Region", "Current Generation": "Yes",
        "Physical Processor": "Intel Xeon Platinum 8259 (Cascade Lake)",
        "Clock Speed": "2.5 GHz", "Storage": "EBS only", "Network Performance": "25 Gigabit",
        "Processor Architecture": "64-bit", "Tenancy": tenancy, "Operating System": system,
        "License Model": "No License required",
        "usageType": f"EUW3-{'BoxUsage' if held == 'Used' else 'Reservation'}:"
                     f"{about['Instance Type']}",
        "operation": "RunInstances:0002" if system == "Windows" else "RunInstances",
        "CapacityStatus": held, "Dedicated EBS Throughput": "9500 Mbps", "ECU": "NA",
        "Enhanced Networking Supported": "Yes", "Intel AVX Available": "Yes",
        "Intel AVX2 Available": "Yes", "Intel Turbo Available": "Yes",
        "Normalization Size Factor": "16", "Pre Installed S/W": software,
        "Processor Features": "AVX; AVX2; Intel AVX; Intel AVX2; Intel AVX512; Intel Turbo",
        "serviceName": "Amazon Elastic Compute Cloud", **about,
    }  # fmt: skip
    return _line(tuple(told.get(column, "") for column in COLUMNS[FIRST:]))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", place, megabytes]:
            build(Path(place), float(megabytes))
        case ["ours", place]:
            read(Path(place))
