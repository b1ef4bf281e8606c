"""A thousand snapshots of AWS's catalogue, imported: how many a second.

Grown from one small file in the documented shape (SkyPilot's columns): 1,500 rows a snapshot, a
tenth of the spot prices moved from one to the next. Drawn prices, nobody's.
Theirs is what pandas takes to read the same files and find which prices changed from file to
file, with nothing judged and nothing kept.
"""

import gzip
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measure import Line, cost, gputape, python, slower

from gputape.store.gpus import gpus
from gputape.store.instances import instances

SNAPSHOTS, ROWS = 1_000, 1_500
HEADER = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,"
    "Region,AvailabilityZone\n"
)
PANDAS = """
import sys, pandas
from pathlib import Path
last, moved = None, 0
for file in sorted(Path(sys.argv[1]).iterdir()):
    now = pandas.read_csv(file).set_index(["InstanceType", "AvailabilityZone"])["SpotPrice"]
    moved += 0 if last is None else int((now != last.reindex(now.index)).sum())
    last = now
print(moved)
"""


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:  # noqa: ARG001  # once is enough
    """Import so many snapshots once, and read them with pandas once."""
    count = max(3, int(SNAPSHOTS * scale))
    grow(folder / "aws", count)
    tape = folder / "tape.duckdb"
    ours = cost(gputape("import", "skypilot", folder / "aws", "--db", tape, "--no-progress"))
    theirs = cost(python("-c", PANDAS, folder / "aws"))
    name = f"import {count:,} AWS snapshots of {ROWS:,} rows, pandas reading them"
    a_second = count / ours.wall_s
    return [slower(f"{name} ({a_second:.1f} a second)", ours.wall_s, theirs.wall_s, "s")]


def grow(folder: Path, count: int) -> None:
    """Write so many daily files."""
    folder.mkdir()
    dice = random.Random(1)  # noqa: S311  # nothing secret: the same files every time
    rows = list(_rows(dice))
    for day in range(count):
        for row in rows:
            if dice.random() < 0.1:
                row[-3] = f"{float(row[-3]) * dice.uniform(0.97, 1.03):.4f}"
        name = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(days=day)
        body = HEADER + "".join(",".join(row) + "\n" for row in rows)
        (folder / f"{name:%Y-%m-%dT%H%M}.csv.gz").write_bytes(gzip.compress(body.encode(), 1))


def _rows(dice: random.Random) -> list[list[str]]:
    machines = list(instances("aws").values())
    rows = []
    for n in range(ROWS):
        machine, place = machines[n % len(machines)], n // len(machines)
        low, high = map(float, gpus()[machine.gpu].band_usd_gpu_hour)
        price = (low * high) ** 0.5 * float(machine.gpu_count)
        region, zone = f"place-{place // 3}", f"pl{place // 3}-az{place % 3 + 1}"
        rows.append([
            machine.sku, machine.gpu, str(machine.gpu_count), "8", "64", "", f"{price:.4f}",
            f"{price * dice.uniform(0.3, 0.6):.4f}", region, zone,
        ])  # fmt: skip
    return rows
