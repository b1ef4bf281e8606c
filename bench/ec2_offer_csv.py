"""An EC2 offer file of 230 MB: its accelerators' on-demand and reserved prices.

Ours is the adapter's own way: the body in the archive (zstd), read by `ec2_offer.csv_rows`
and made into quotes by `ec2_offer.quotes`. Theirs is pandas on the plain file: `read_csv` of
the same columns as text, then the same rows chosen. The file is made by `offer_file.py`.
"""

import json
from pathlib import Path

from measure import Cost, Line, cost, faster, in_turn, python, within

MEGABYTES = 230
CPU_S, PEAK_MIB = 0.8, 150.0
PANDAS = """
import pandas
from gputape.scrapers.ec2_offer import COLUMNS, NAMED_ACCELERATED
frame = pandas.read_csv({path!r}, skiprows=5, dtype=str, keep_default_na=False,
                        usecols=lambda name: name in COLUMNS)
chosen = frame[frame["Instance Type"].str.match(NAMED_ACCELERATED.pattern)
               & (frame["Tenancy"] == "Shared") & (frame["Operating System"] == "Linux")
               & (frame["Pre Installed S/W"] == "NA") & (frame["CapacityStatus"] == "Used")]
print(len(chosen[["SKU", "OfferTermCode"]].drop_duplicates()))
"""


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Make the file in a child, read it both ways in turn, in a fresh process each."""
    maker = Path(__file__).with_name("offer_file.py")
    made = json.loads(cost(python(maker, "build", folder, MEGABYTES * scale)).said)
    found = in_turn(
        {
            "ours": lambda: _checked(cost(python(maker, "ours", folder)), made["prices"]),
            "theirs": lambda: _checked(
                cost(python("-c", PANDAS.format(path=str(folder / "offer.csv")))), made["prices"]
            ),
        },
        repeats,
    )
    ours, theirs = found["ours"], found["theirs"]
    size = f"{made['mb']:.0f} MB, {made['lines']:,} lines, {made['share']:.1%} accelerators"
    return [
        within(f"EC2 offer CSV, pandas, CPU ({size})", ours.cpu_s, theirs.cpu_s, "CPU s", CPU_S),
        within("EC2 offer CSV, pandas, peak memory", ours.peak_mib, theirs.peak_mib, "MiB",
               PEAK_MIB),
        faster("EC2 offer CSV, pandas, wall", ours.wall_s, theirs.wall_s, "s"),
    ]  # fmt: skip


def _checked(run: Cost, prices: int) -> Cost:
    if int(run.said) != prices:
        raise SystemExit(f"{run.said.strip()} prices were read, not {prices}")
    return run
