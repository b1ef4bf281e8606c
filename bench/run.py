"""`make bench`: every comparison in one run, as ratios, with its goal.

Both sides of a ratio are measured in this run, in turn, several times; figures are medians, so
a machine that also does other work bends them less. Temporary files are removed at the end.

    python bench/run.py [--write] [--only NAME] [--repeats 5] [--scale 1] [--calib FOLDER]
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cold_start
import ec2_offer_csv
import job
import offers_vs_gpuhunt
import physics
import record_scan
import snapshots
import year
from measure import Judged, Line

BENCHMARKS: dict[str, Callable[[Path, float, int], Sequence[Line | Judged]]] = {
    "offers": offers_vs_gpuhunt.measure,
    "record": record_scan.measure,
    "csv": ec2_offer_csv.measure,
    "start": cold_start.measure,
    "year": year.measure,
    "import": snapshots.measure,
    "job": job.measure,
    "physics": partial(physics.measure, physics.CALIB),
}
HEADER = ("what, against what", "ours", "theirs", "ours takes", "goal", "")
PAGE = """# Results

Written by `python bench/run.py --write`.
Both sides of each ratio come from this one run, taken in turn.
Figures are medians of {repeats} runs; the load says how much else the machine had to do.
What a line compares, and how, is told at the head of its module in `bench/`.

{machine}

{table}
"""
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Run what is asked for, print a line for each comparison, write them when told to."""
    asked = arguments()
    began = time.monotonic()
    print(machine(), row(HEADER), sep="\n", flush=True)
    lines: list[Line | Judged] = []
    every = BENCHMARKS | {"physics": partial(physics.measure, asked.calib)}
    for name in asked.only or every:
        with tempfile.TemporaryDirectory(prefix="gputape-bench-") as folder:
            found = every[name](Path(folder), asked.scale, asked.repeats)
        for line in found:
            print(row(line.cells()), flush=True)
        lines += found
    print(f"{time.monotonic() - began:.0f} s; medians of {asked.repeats} run(s), in turn")
    if asked.write:
        RESULTS.write_text(report(lines, asked.repeats))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--write", action="store_true", help="also into bench/RESULTS.md")
    words.add_argument("--only", action="append", choices=BENCHMARKS, help="repeatable")
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument("--scale", type=float, default=1.0, help="0.01: a hundredth of the data")
    words.add_argument("--calib", type=Path, default=physics.CALIB, help="measured rows")
    return words.parse_args()


def row(cells: Sequence[str]) -> str:
    """Return one line for a terminal."""
    name, ours, theirs, ratio, goal, met = cells
    return f"{name:72} {ours:>12} {theirs:>12}  {ratio:24} {goal:15} {met}".rstrip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def machine() -> str:
    """Say where and with what this was measured."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in info.read_text().splitlines()
              if line.startswith("model name")] if info.exists() else []  # fmt: skip
    tools = ", ".join(f"{name} {_version(name)}" for name in ("duckdb", "gpuhunt", "pandas"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {models[0] if models else platform.processor()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {platform.system()}, "
        f"Python {platform.python_version()}, {tools}"
    )


def report(lines: Sequence[Line | Judged], repeats: int) -> str:
    """Return the results as a page."""
    cells = [HEADER, ("---",) * len(HEADER), *(line.cells() for line in lines)]
    table = "\n".join("| " + " | ".join(words) + " |" for words in cells)
    return PAGE.format(repeats=repeats, machine=machine(), table=table)


if __name__ == "__main__":
    main()
