"""The same offers twice: a tape of many scans, and the catalogue that gpuhunt reads.

python bench/catalogs.py FOLDER SERIES PRICE_ROWS
"""

import sys
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gpuhunt  # type: ignore[import-untyped]
from gpuhunt._internal import storage  # type: ignore[import-untyped]
from market import SHARES, offers, record_hours

from gputape.app.collecting import open_recorder
from gputape.store.gpus import gpus

VERSION = "20261121-1"
# gpuhunt's name for ours; it knows the last two sellers' names, which stand for two it does not
NAMES = {
    "aws": "aws",
    "azure": "azure",
    "gcp": "gcp",
    "lambda_labs": "lambdalabs",
    "oracle": "oci",
    "coreweave": "nebius",
    "fluidstack": "verda",
}
EMPTY = ("cloudrift", "runpod")  # it wants a file of each provider
VENDORS = {vendor.value: vendor for vendor in gpuhunt.AcceleratorVendor}


def main(folder: Path, series: int, price_rows: int) -> None:
    """Build both, and see that the tape holds exactly what was asked for."""
    with open_recorder(folder / "tape.duckdb", datetime.now(UTC)) as recorder:
        for slug, share in SHARES.items():
            table = offers(slug, round(series * share))
            more = round(price_rows * share) - table.num_rows
            current = record_hours(recorder, slug, table, more)
            # as its catalogues are published, cheapest first
            rows = sorted(current.to_pylist(), key=lambda row: row["price"])
            write(folder, NAMES[slug], [item(NAMES[slug], row) for row in rows])
        counted = "select (select count(*) from series), (select count(*) from price_log)"
        held = recorder.con.execute(counted).fetchall()[0]
    for name in EMPTY:
        write(folder, name, [])
    if held != (series, price_rows):
        raise SystemExit(f"{held} series and prices, not {series} and {price_rows}")


def item(name: str, row: dict[str, Any]) -> gpuhunt.CatalogItem:
    """Return an offer in gpuhunt's words."""
    gpu = gpus()[row["gpu"]]
    terms = {"months": row["term_months"], "payment": row["payment"]}  # it has no columns for them
    return gpuhunt.CatalogItem(
        provider=name,
        instance_name=row["sku"],
        location=row["zone"] or row["region"],
        price=float(row["price"]),
        cpu=int(row["vcpus"] or 0),
        memory=float(row["memory_gib"] or 0),
        gpu_count=max(1, int(row["gpu_count"])),  # nor for fractions
        gpu_name=gpu.family.upper(),
        gpu_memory=float(gpu.memory_gib),
        gpu_vendor=VENDORS.get(gpu.vendor.lower(), gpuhunt.AcceleratorVendor.NVIDIA),
        spot=row["option"] == "spot",
        disk_size=None,
        provider_data=terms if row["term_months"] else {},
    )


def write(folder: Path, name: str, items: Sequence[gpuhunt.CatalogItem]) -> None:
    """Write one provider's catalogue with gpuhunt's own code: the CSV, and the zip of it."""
    csv = folder / "csv" / f"{name}.csv"
    csv.parent.mkdir(exist_ok=True)
    storage.dump(items, str(csv))
    release = folder / "v3" / name / VERSION
    release.mkdir(parents=True)
    release.with_name("version").write_text(VERSION)
    with zipfile.ZipFile(release / "catalog.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(csv, csv.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
