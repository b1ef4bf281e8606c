"""How well training estimates meet measured rows, for `make bench`.

    report(Path("calib"))        [("train-run", "18 rows, median error 14 %, …"), …]

Regressions are judged on groups of rows that their fit had not seen. The checkpoint multiplier
has no fitted constant and is compared as it is. Of memory there are no rows to fit on: its
constants are cited, and were settled with the published rows of `tests/` in view.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from fit_training import Fit, fits, intervals, rows
from ridge import error, interval, missed

from gputape.analysis.workload.checkpoint import daly_hours, multiplier, young_hours
from gputape.analysis.workload.memory_rows import memory
from gputape.analysis.workload.rows import number, word

KINDS = {
    "training.run_fit": ("train-run", 0.25),
    "training.step": ("train-throughput", 0.15),
    "training.lora": ("mlperf-lora", 0.10),
}
CHECKPOINT_GOAL, NEAR, MEMORY_GOAL = 0.01, 0.25, 0.85
PUBLISHED = Path(__file__).resolve().parents[1] / "tests/analysis/workload/published_memory.csv"


def report(calib: Path) -> list[tuple[str, str]]:
    """Return a line for each kind: its name and its errors on unseen rows beside the goal."""
    lines = [(KINDS[fit.table][0], line(fit)) for fit in fits(calib)]
    worst = [miss for _, miss in checkpoint_misses(calib)]
    said = (
        f"{len(worst)} cases, median {median(worst):.2%}, worst {max(worst):.2%} "
        f"(goal <= {CHECKPOINT_GOAL:.0%})"
    )
    return [*lines, ("checkpoint multiplier", said), ("memory", memory_line())]


def memory_line() -> str:
    """Return how published measurements of memory are met."""
    ratios = memory_ratios()
    near = sum(abs(ratio - 1) <= NEAR for ratio in ratios) / len(ratios)
    middle = median(abs(ratio - 1) for ratio in ratios)
    return (
        f"{len(ratios)} published rows, {near:.0%} within 25 % (goal >= {MEMORY_GOAL:.0%}), "
        f"median error {middle:.1%}"
    )


def memory_ratios() -> list[float]:
    """Return predicted over measured of each published row of memory."""
    published = rows(PUBLISHED.parent, PUBLISHED.name)
    return [memory(row)[0].point / float(row["measured_gb"]) for row in published]


def line(fit: Fit) -> str:
    """Return one regression's errors on unseen groups as a sentence."""
    left = missed(fit.samples, fit.penalty)
    return (
        f"{len(left)} rows, median error {error(left):.1%} (goal <= {KINDS[fit.table][1]:.0%}), "
        f"{share(left, 1.5):.0%} within 1.5x, {share(left, 2):.0%} within 2x, "
        f"intervals cover {covered(fit):.0%}"
    )


def share(left: Sequence[float], factor: float) -> float:
    """Return the share of misses within a factor."""
    return sum(abs(x) <= math.log(factor) for x in left) / len(left)


def covered(fit: Fit) -> float:
    """Return the share of unseen rows inside an interval drawn from the others' misses."""
    inside = [hit for left in intervals(fit).values() for hit in _left_out(left)]
    return sum(inside) / len(inside)


def _left_out(left: Sequence[float]) -> Iterator[bool]:
    for i, x in enumerate(left):
        low, high = interval([*left[:i], *left[i + 1 :]])
        yield math.log(low) <= x <= math.log(high)


def checkpoint_misses(calib: Path) -> list[tuple[str, float]]:
    """Return by how much each multiplier misses the simulated one."""
    rules = {"Young": young_hours, "Daly": daly_hours}
    found = []
    for row in rows(calib, "checkpoint_models.csv"):
        mtbf, save, restart, simulated = (
            number(row, name) or math.nan
            for name in ("mtbf_h", "checkpoint_min", "restart_min", "multiplier_montecarlo")
        )
        rule = word(row, "interval_rule")
        step = rules[rule](mtbf, save / 60) if rule in rules else 1.0
        ours = multiplier(mtbf, step, save / 60, restart / 60)
        found.append((f"{mtbf:g} h, {rule}", abs(ours / simulated - 1)))
    return found


if __name__ == "__main__":
    for kind, sentence in report(Path(sys.argv[1])):
        print(f"{kind}: {sentence}")
