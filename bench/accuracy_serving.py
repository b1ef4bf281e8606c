"""How well serving is predicted: every model on every part from the others, on measured rows.

python bench/accuracy_serving.py CALIB      a folder with the four inference tables
"""

import sys
from pathlib import Path

import fit_serving
import numpy as np
from log_fit import Array, Seen, interval

GOALS = {"online": 0.30, "offline": 0.25, "single": 0.20, "prompt": 0.20}
WHAT = {
    "online": "online time per token",
    "offline": "offline throughput",
    "single": "batch-1 decode",
    "prompt": "batch-1 prompt reading",
}


def report(calib: Path) -> list[tuple[str, str]]:
    """Return lines of what is predicted and how well, measured on rows left out of the fit."""
    return [(WHAT[name], line(calib, name)) for name in WHAT]


def line(calib: Path, name: str) -> str:
    """Return one set's figures: left out by model and part, and by the whole model."""
    by_group, by_model, every = fit_serving.errors(calib, name)
    judged = np.array([row.table != "mlperf" for row in every])
    by_group, by_model = by_group[judged], by_model[judged]
    rows = [row for row in every if row.table != "mlperf"]
    covered = coverage(by_group, rows)
    return (
        f"median error {median(by_group):.1%} with the part left out, {median(by_model):.1%} with"
        f" the model left out (goal {GOALS[name]:.0%}); within 2x"
        f" {np.mean(np.abs(by_group) < np.log(2)):.0%}; 80 % interval covers {covered:.0%}"
        f" (goal 75-90 %); {len(rows)} rows"
    )


def median(residuals: Array) -> float:
    """Return the median of |predicted/measured − 1| of log errors."""
    return float(np.median(np.abs(np.expm1(residuals))))


def coverage(residuals: Array, rows: list[Seen]) -> float:
    """Return the share of rows inside an interval that was made without their group."""
    groups = np.array(["/".join(row.group) for row in rows])
    inside = []
    for group in sorted(set(groups)):
        low, high = interval(residuals[groups != group])
        ratio = np.exp(residuals[groups == group])
        inside += list((low <= ratio) & (ratio <= high))
    return float(np.mean(inside))


if __name__ == "__main__":
    for what, figures in report(Path(sys.argv[1])):
        print(f"{what}: {figures}")
