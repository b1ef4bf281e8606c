"""How well the physics meets measured rows that its constants had not seen.

Medians, shares within 1.5 and 2 times, and how many rows the 80 % intervals cover; from
`accuracy_training.py` and `accuracy_serving.py`, which say how rows are left out. The rows are
not part of the program: `--calib` names their folder.

    python bench/physics.py CALIB
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from measure import Judged, cost, python

CALIB = Path(__file__).resolve().parents[2] / "shared/workload/calib"
COVERED = (0.75, 0.90)
NEEDED = "training_runs.csv"


def measure(calib: Path, _folder: Path, _scale: float, _repeats: int) -> list[Judged]:
    """Fit and judge in a child; without the measured rows, say that they are needed."""
    if not (calib / NEEDED).is_file():
        return [Judged("physics needs the measured rows: --calib FOLDER", "")]
    found = json.loads(cost(python(Path(__file__), calib)).said)
    return [Judged(**line) for line in found]


def judged(calib: Path) -> Iterator[Judged]:
    """Yield what is judged of training, then of serving."""
    yield from training(calib)
    yield from serving(calib)


def training(calib: Path) -> Iterator[Judged]:
    """Yield each regression's errors on groups it had not seen, then checkpoints and memory."""
    import accuracy_training as accuracy  # noqa: PLC0415  # numpy, in the child only

    for fit in accuracy.fits(calib):
        kind, goal = accuracy.KINDS[fit.table]
        left = accuracy.missed(fit.samples, fit.penalty)
        yield from lines(
            kind, len(left), (accuracy.error(left), goal),
            (accuracy.share(left, 1.5), accuracy.share(left, 2)), accuracy.covered(fit),
        )  # fmt: skip
    worst = max(miss for _, miss in accuracy.checkpoint_misses(calib))
    yield at_most("checkpoint multiplier, worst case", worst, accuracy.CHECKPOINT_GOAL)
    ratios = accuracy.memory_ratios()
    near = sum(abs(ratio - 1) <= accuracy.NEAR for ratio in ratios) / len(ratios)
    yield Judged(f"memory, within 25 % of {len(ratios)} published rows", f"{near:.0%}", "",
                 f">= {accuracy.MEMORY_GOAL:.0%}", met=near >= accuracy.MEMORY_GOAL)  # fmt: skip


def serving(calib: Path) -> Iterator[Judged]:
    """Yield each set's errors with the part left out, and the median with the model left out."""
    import accuracy_serving as accuracy  # noqa: PLC0415  # numpy, in the child only
    import numpy as np  # noqa: PLC0415  # same

    for name, what in accuracy.WHAT.items():
        by_group, by_model, every = accuracy.fit_serving.errors(calib, name)
        mine = np.array([row.table != "mlperf" for row in every])
        rows = [row for row in every if row.table != "mlperf"]
        by_group, by_model = by_group[mine], by_model[mine]
        near = [float(np.mean(np.abs(by_group) < np.log(times))) for times in (1.5, 2)]
        yield from lines(
            what, len(rows), (accuracy.median(by_group), accuracy.GOALS[name]),
            (near[0], near[1]), accuracy.coverage(by_group, rows),
        )  # fmt: skip
        yield at_most(f"{what}, median error, model left out",
                      accuracy.median(by_model), accuracy.GOALS[name])  # fmt: skip


def lines(
    what: str, rows: int, error: tuple[float, float], near: tuple[float, float], covered: float
) -> Iterator[Judged]:
    """Yield the median error with its goal, and what the intervals cover with theirs."""
    low, high = COVERED
    yield at_most(f"{what}, median error on {rows} unseen rows", *error,
                  f"{near[0]:.0%} in 1.5x, {near[1]:.0%} in 2x")  # fmt: skip
    yield Judged(f"{what}, covered by 80 % intervals", f"{covered:.0%}", "",
                 f"{low:.0%} to {high:.0%}", met=low <= covered <= high)  # fmt: skip


def at_most(what: str, error: float, goal: float, more: str = "") -> Judged:
    """Return a line whose share is to be small."""
    return Judged(what, f"{error:.1%}", more, f"<= {goal:.0%}", met=error <= goal)


if __name__ == "__main__":
    print(json.dumps([asdict(line) for line in judged(Path(sys.argv[1]))]))
