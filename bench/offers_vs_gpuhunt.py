"""One question to 100,000 offers, in a fresh process: `gputape offers` and gpuhunt 0.1.34.

The question: the cheapest A100 of 80 GB per GPU-hour, 50 rows. gpuhunt's "A100" is SXM and
PCIe alike, so ours is asked for both; the answers are compared before anything is timed.
The tape holds a history of ten prices per series beside the current ones; gpuhunt has none.
gpuhunt reads its catalogue in both ways it has: CSV from a folder (GPUHUNT_CATALOG_DIR), and
the published form, a zip per provider (GPUHUNT_CATALOG_URL); the ratio is to the faster.

    python bench/offers_vs_gpuhunt.py build FOLDER SERIES PRICE_ROWS
"""

import json
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Cost, Line, cost, faster, in_turn, python

if TYPE_CHECKING:
    import pyarrow as pa

    from gputape.store.record import Recorder

SERIES, PRICE_ROWS = 100_000, 1_000_000
ASKED = ("--gpu", "a100-sxm-80", "--gpu", "a100-pcie-80", "--limit", "50")
CATALOG = """
import gpuhunt
catalog = gpuhunt.Catalog(balance_resources=False, auto_reload=False)
{load}
found = catalog.query(gpu_name="A100", min_gpu_memory=80, max_gpu_memory=80)
found.sort(key=lambda item: item.price / item.gpu_count)
{show}
"""
SHOWN = 'print(*found[:50], sep="\\n")'
PRICED = "print([round(item.price / item.gpu_count, 6) for item in found[:50]])"
VERSION = "20261121-1"
# its own name for ours; the last two are names it knows, for sellers it does not
CATALOGS = {
    "aws": "aws",
    "azure": "azure",
    "gcp": "gcp",
    "lambda_labs": "lambdalabs",
    "oracle": "oci",
    "coreweave": "nebius",
    "fluidstack": "verda",
}
EMPTY = ("cloudrift", "runpod")


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Build both stores in a child, check that they agree, and time both."""
    sizes = (int(SERIES * scale), int(PRICE_ROWS * scale))
    cost(python(__file__, "build", folder, *sizes))
    _agree(folder)
    found = in_turn(
        {
            "ours": lambda: _ours(folder, *ASKED),
            "folder": lambda: _folder(folder, SHOWN),
            "zip": lambda: _zip(folder, SHOWN),
        },
        repeats,
    )
    ours, theirs = found["ours"], min(found["folder"], found["zip"], key=lambda c: c.wall_s)
    size = f"{sizes[0]:,} series, {sizes[1]:,} prices"
    return [
        faster(f"offers cold, gpuhunt, wall ({size})", ours.wall_s, theirs.wall_s, "s", 5),
        faster("offers cold, gpuhunt, CPU", ours.cpu_s, theirs.cpu_s, "CPU s", 40),
        faster("offers cold, gpuhunt from zip, CPU", ours.cpu_s, found["zip"].cpu_s, "CPU s"),
        faster("offers cold, gpuhunt, peak memory", ours.peak_mib, theirs.peak_mib, "MiB"),
    ]


def _ours(folder: Path, *words: str) -> Cost:
    tape = folder / "tape.duckdb"
    return cost(python("-m", "gputape.app.cli.main", "offers", "--db", tape, *words))


def _folder(folder: Path, show: str) -> Cost:
    script = CATALOG.format(load="", show=show)
    return cost(python("-c", script), {"GPUHUNT_CATALOG_DIR": str(folder / "csv")})


def _zip(folder: Path, show: str) -> Cost:
    script = CATALOG.format(load="catalog.load()", show=show)
    return cost(python("-c", script), {"GPUHUNT_CATALOG_URL": (folder / "v3").as_uri()})


def _agree(folder: Path) -> None:
    rows = json.loads(_ours(folder, *ASKED, "--format", "json").said)
    ours = [round(row["usd_gpu_hour"], 5) for row in rows]
    for theirs in (_folder(folder, PRICED), _zip(folder, PRICED)):
        if not ours or ours != [round(price, 5) for price in json.loads(theirs.said)]:
            raise SystemExit(f"the two do not answer the same: {ours}, {theirs.said}")


# -- building both stores, in a child -----------------------------------------------------


def build(folder: Path, series: int, price_rows: int) -> None:
    """Record the same offers as a tape of many scans, and write them as gpuhunt's catalogue."""
    from market import SHARES, offers

    from gputape.app.collecting import open_recorder

    end = datetime.now(UTC)
    with open_recorder(folder / "tape.duckdb", end) as recorder:
        for slug, share in SHARES.items():
            table = offers(slug, round(series * share))
            more = round(price_rows * share) - table.num_rows
            write_catalog(folder, slug, _record(recorder, slug, table, more, end))
        rows = recorder.con.execute("select count(*) from price_log").fetchall()[0][0]
    for name in EMPTY:
        _write(folder, name, [])
    if rows != price_rows:
        raise SystemExit(f"{rows} price rows, not {price_rows}")


def _record(
    recorder: "Recorder", slug: str, table: "pa.Table", more: int, end: datetime
) -> "pa.Table":
    """Record every way to buy once, then spot hour by hour until `more` prices are added."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from market import moved

    parts = {part: table.filter(pc.equal(table["part"], part))
             for part in ("on_demand", "spot", "reserved")}  # fmt: skip
    spot = parts["spot"]
    hours = -(-more // spot.num_rows)
    for part, rows in parts.items():
        recorder.record_table(scan(slug, part, end - timedelta(hours=hours)), rows)
    for hour in range(hours):
        spot = moved(spot, range(min(spot.num_rows, more)), hour)
        more -= min(spot.num_rows, more)
        recorder.record_table(scan(slug, "spot", end - timedelta(hours=hours - 1 - hour)), spot)
    for part in ("on_demand", "reserved"):
        recorder.record_table(scan(slug, part, end, status="unchanged"), None)
    return pa.concat_tables([parts["on_demand"], spot, parts["reserved"]])


def scan(slug: str, part: str, at: datetime, status: str = "ok") -> Any:
    """Return one scan of a part at a moment."""
    from gputape.store.scan import Scan

    return Scan(
        run_id=int(at.timestamp()), provider=slug, part=part, started_at=at, finished_at=at,
        observed_at=at, status=status, parser_revision=1, normaliser="bench",
    )  # fmt: skip


def write_catalog(folder: Path, slug: str, table: "pa.Table") -> None:
    """Write offers as gpuhunt's own `dump` does, dearest last, as it publishes them."""
    from gputape.store.gpus import gpus

    known = gpus()
    rows = sorted(table.to_pylist(), key=lambda row: row["price"])
    _write(folder, CATALOGS[slug], [_item(slug, row, known[row["gpu"]]) for row in rows])


def _item(slug: str, row: dict[str, Any], gpu: Any) -> Any:
    import gpuhunt

    vendors = {vendor.value: vendor for vendor in gpuhunt.AcceleratorVendor}
    return gpuhunt.CatalogItem(
        provider=CATALOGS[slug],
        instance_name=row["sku"],
        location=row["zone"] or row["region"],
        price=float(row["price"]),
        cpu=int(row["vcpus"] or 0),
        memory=float(row["memory_gib"] or 0),
        gpu_count=max(1, int(row["gpu_count"])),  # it knows no fractions
        gpu_name=gpu.family.upper(),
        gpu_memory=float(gpu.memory_gib),
        gpu_vendor=vendors.get(gpu.vendor.lower(), gpuhunt.AcceleratorVendor.NVIDIA),
        spot=row["option"] == "spot",
        disk_size=None,
        # what it has no column for
        provider_data={"term": f"{row['term_months']}m {row['payment']}"}
        if row["term_months"] else {},
    )  # fmt: skip


def _write(folder: Path, name: str, items: list[Any]) -> None:
    from gpuhunt._internal import storage

    csv = folder / "csv" / f"{name}.csv"
    csv.parent.mkdir(exist_ok=True)
    storage.dump(items, str(csv))
    release = folder / "v3" / name / VERSION
    release.mkdir(parents=True)
    release.with_name("version").write_text(VERSION)
    with zipfile.ZipFile(release / "catalog.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(csv, csv.name)


if __name__ == "__main__":
    build(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
