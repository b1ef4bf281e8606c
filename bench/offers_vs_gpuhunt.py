"""One question to 100,000 offers, in a fresh process: `gputape offers` and gpuhunt 0.1.34.

The question: the cheapest A100 of 80 GB per GPU-hour, 50 rows. gpuhunt's "A100" is any of
them, so ours is asked for every kind; the answers are compared before anything is timed.
The tape holds ten prices per series, the past with the present; a catalogue has the present.
gpuhunt reads its catalogue in the two ways it has: CSV from a folder (GPUHUNT_CATALOG_DIR), and
the published form, a zip per provider (GPUHUNT_CATALOG_URL). The ratio is to the faster one.
"""

import json
from pathlib import Path

from measure import Cost, Line, cost, faster, gputape, in_turn, python, slower

SERIES = 100_000
PRICES_EACH, PRICES_EACH_SMALL = 10, 2  # per series; a small run is a trial, and many scans long
WALL_TIMES, CPU_TIMES = 5, 40
ASKED = ("--gpu", "a100-*80", "--limit", "50")
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


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Build both stores in a child, check that they agree, and time both."""
    series = int(SERIES * scale)
    sizes = (series, series * (PRICES_EACH if scale >= 1 else PRICES_EACH_SMALL))
    cost(python(Path(__file__).with_name("catalogs.py"), folder, *sizes))
    _agree(folder)
    found = in_turn(
        {
            "ours": lambda: _ours(folder),
            "folder": lambda: _folder(folder, SHOWN),
            "zip": lambda: _zip(folder, SHOWN),
        },
        repeats,
    )
    ours, zipped = found["ours"], found["zip"]
    theirs = min(found["folder"], zipped, key=lambda run: run.wall_s)
    size = f"{sizes[0]:,} series, {sizes[1]:,} prices"
    return [
        faster(f"offers cold, gpuhunt, wall ({size})", ours.wall_s, theirs.wall_s, "s", WALL_TIMES),
        faster("offers cold, gpuhunt, CPU", ours.cpu_s, theirs.cpu_s, "CPU s", CPU_TIMES),
        faster("offers cold, gpuhunt from zip, CPU", ours.cpu_s, zipped.cpu_s, "CPU s"),
        slower("offers cold, gpuhunt, peak memory", ours.peak_mib, theirs.peak_mib, "MiB"),
    ]


def _ours(folder: Path, *more: str) -> Cost:
    return cost(gputape("offers", "--db", folder / "tape.duckdb", *ASKED, *more))


def _folder(folder: Path, show: str) -> Cost:
    script = CATALOG.format(load="", show=show)
    return cost(python("-c", script), {"GPUHUNT_CATALOG_DIR": str(folder / "csv")})


def _zip(folder: Path, show: str) -> Cost:
    script = CATALOG.format(load="catalog.load()", show=show)
    return cost(python("-c", script), {"GPUHUNT_CATALOG_URL": (folder / "v3").as_uri()})


def _agree(folder: Path) -> None:
    """See that all three answer the same prices, to the rounding of a float."""
    rows = json.loads(_ours(folder, "--format", "json").said)
    ours = [row["usd_gpu_hour"] for row in rows]
    for run in (_folder(folder, PRICED), _zip(folder, PRICED)):
        theirs = json.loads(run.said)
        pairs = zip(ours, theirs, strict=True)
        if not ours or any(abs(one - other) > 2e-6 for one, other in pairs):
            raise SystemExit(f"the two do not answer the same: {ours}, {theirs}")
