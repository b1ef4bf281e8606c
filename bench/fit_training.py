"""Fit what corrects the cited utilisations of training, on measured rows, and say how well.

    python bench/fit_training.py DIR          a folder with training_throughput.csv and its kin

Writes `analysis/workload/fitted_training.toml`. The forms are ridge regressions on logarithms,
so that a group with few rows keeps its cited value; intervals are quantiles of what a fit misses
on groups of rows (a model on a GPU, a run, a submission) that it had not seen.
"""

import argparse
import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles

from ridge import Sample, error, fitted, interval, missed

from gputape.analysis.workload import constants as store
from gputape.analysis.workload.accelerator import meant, peak_flop_s
from gputape.analysis.workload.mfu import attention, cell, flop_s, named, small, traits
from gputape.analysis.workload.mlperf import SAMPLES, baseline_minutes, lora_traits, rounds
from gputape.analysis.workload.rows import Row, number, shape, word
from gputape.analysis.workload.rows_training import throughput_job, uncheckpointed
from gputape.analysis.workload.training import run_base, run_traits
from gputape.analysis.workload.work import Training, flop_token

OUT = Path(__file__).resolve().parents[1] / "analysis" / "workload" / "fitted_training.toml"
HEAD = "# Written by bench/fit_training.py from measured rows; do not edit.\n"

STEP = {"intercept": 10, "year_sparse": 1, "year_dense": 1, "sequence": 4, "uncheckpointed": 1,
        "full": 2, "lora": 2, "qlora": 2, "model": 1}  # fmt: skip
"""Weights of squares: of about as many rows as the cited value counts for."""
RUN = {"intercept": 4, "size": 4, "sparse": 2}
LORA = {
    "intercept": 0.01,
    "scale": 0.3,
    "batch_gpu": 0.5,
    "round": 0.5,
    "generation": 0.1,
    "gpu": 0.3,
}


@dataclass(frozen=True, slots=True)
class Fit:
    """One regression: its table in the file, its rows and the weights of its coefficients."""

    table: str
    samples: list[Sample]
    weights: Mapping[str, float]
    source: str

    def penalty(self, name: str) -> float | None:
        """Return a coefficient's weight by the first part of its name."""
        return self.weights.get(name.split(".", maxsplit=1)[0])


def rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield the rows of one table."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def steps(folder: Path, *, sparse: bool | None = None) -> list[Sample]:
    """Return the measured steps: what their cell and size leave to explain."""
    found = []
    for row in rows(folder, "training_throughput.csv"):
        measured = number(row, "tokens_per_s_per_accel")
        if measured is None:
            continue
        gpu = meant(word(row, "accelerator"))
        job, _ = throughput_job(row, gpu)
        job = replace(job, attention=attention(job, gpu))
        expected = flop_s(gpu, cell(job, gpu).value * small(job)) / flop_token(job)
        found.append(
            Sample(
                math.log(measured / expected),
                traits(job, gpu, checkpointing=not uncheckpointed(row)),
                (named(job), gpu.family, job.model.sparse),
            )
        )
    return [s for s in found if sparse is None or s.group[2] == sparse]  # type: ignore[index]


def runs(folder: Path) -> list[Sample]:
    """Return the measured runs: what their family's figure leaves to explain."""
    found = []
    for row in rows(folder, "training_runs.csv"):
        hours, tokens = number(row, "accel_hours"), number(row, "tokens")
        if hours is None or tokens is None:
            continue
        gpu = meant(word(row, "accelerator"))
        model = shape(word(row, "model"), number(row, "params_total"), number(row, "params_active"))
        job = Training(model=model, tokens=tokens, precision=word(row, "precision") or None)
        utilisation = 6 * model.active * tokens / (hours * 3600 * peak_flop_s(gpu))
        spread = ((number(row, "n_accel") or 512) / 512) ** store.constant(
            "training.scaling_power"
        ).value
        left = math.log(utilisation / run_base(job, gpu).value / spread)
        found.append(Sample(left, run_traits(job), (word(row, "org"), gpu.family, model.active)))
    return found


def submissions(folder: Path) -> Iterator[tuple[Row, float, float, float]]:
    """Yield rows of llama2_70b_lora with their minutes, GPUs and global batch."""
    for row in rows(folder, "mlperf_training.csv"):
        minutes, gpus, batch = (number(row, n) for n in ("olympic_mean_min", "gpus", "gbs"))
        if word(row, "benchmark") == "llama2_70b_lora" and minutes and gpus and batch:
            yield row, minutes, gpus, batch


def samples_power(folder: Path) -> float:
    """Return how samples to the target grow with the global batch: their slope in logarithms."""
    pairs = [
        (
            math.log(max(1.0, batch / 8)),
            math.log((number(row, "median_samples") or SAMPLES) / SAMPLES),
        )
        for row, _, _, batch in submissions(folder)
    ]
    return sum(x * y for x, y in pairs) / sum(x * x for x, _ in pairs)


def lora(folder: Path, power: float) -> list[Sample]:
    """Return the measured submissions: what samples, GPUs and peak leave to explain."""
    found = []
    for row, minutes, gpus, batch in submissions(folder):
        gpu = meant(word(row, "accel"))
        expected = baseline_minutes(gpu, gpus, batch, power)
        had = lora_traits(gpu, gpus, batch, rounds(word(row, "round")))
        found.append(
            Sample(
                math.log(minutes / expected),
                had,
                (word(row, "org"), word(row, "system"), word(row, "round")),
            )
        )
    return found


def diffusion_hours(folder: Path) -> list[float]:
    """Return the A100-hours of runs without tokens."""
    return [
        hours
        for row in rows(folder, "training_runs.csv")
        if not word(row, "tokens")
        and (hours := number(row, "accel_hours"))
        and re.search("diffusion", word(row, "model"), re.IGNORECASE)
    ]


def fits(folder: Path) -> list[Fit]:
    """Return every regression of the file."""
    return [
        Fit("training.step", steps(folder), STEP, "training_throughput.csv"),
        Fit("training.run_fit", runs(folder), RUN, "training_runs.csv"),
        Fit(
            "training.lora",
            lora(folder, samples_power(folder)),
            LORA,
            "mlperf_training.csv, llama2_70b_lora",
        ),
    ]


def entry(
    name: str, value: float, unit: str, rows: int, source: str, ratios: Sequence[float] = ()
) -> str:
    """Return one table of the file."""
    keys = [f"value = {value:.4g}", f'unit = "{unit}"', f"rows = {rows}", f'source = "{source}"']
    if ratios:
        keys.insert(2, f"ratios = [{ratios[0]:.4g}, {ratios[1]:.4g}]")
    return "\n".join((f"[{name}]", *keys, ""))


def seen_by(fit: Fit, name: str) -> int:
    """Return on how many rows a coefficient rests."""
    return sum(1 for sample in fit.samples if sample.traits.get(name))


def written(fit: Fit) -> list[str]:
    """Return a regression's coefficients, and its interval from rows it had not seen."""
    source = f"bench/fit_training.py on {fit.source}: coefficient of the logarithm"
    found = fitted(fit.samples, fit.penalty)
    lines = [
        entry(f"{fit.table}.{name}", value, "", seen_by(fit, name), source)
        for name, value in found.items()
        if seen_by(fit, name)
    ]
    return lines + [
        entry(f"{fit.table}.{name}", 1, "x", len(left), told(fit.source, left), interval(left))
        for name, left in intervals(fit).items()
    ]


def told(source: str, left: Sequence[float]) -> str:
    """Return where an interval comes from, with the median error on unseen groups."""
    return (
        f"bench/fit_training.py on {source}: 80 % of unseen groups; median error {error(left):.1%}"
    )


def intervals(fit: Fit) -> dict[str, list[float]]:
    """Return what a fit misses on unseen groups, dense and sparse steps apart."""
    left = missed(fit.samples, fit.penalty)
    if fit.table != "training.step":
        return {"interval": left}
    pairs = list(zip(fit.samples, left, strict=True))
    return {
        f"interval_{kind}": [x for s, x in pairs if s.group[2] == sparse]  # type: ignore[index]
        for kind, sparse in (("dense", False), ("sparse", True))
    }


def document(folder: Path) -> str:
    """Return the whole file."""
    hours = diffusion_hours(folder)
    tenths = quantiles(hours, n=10, method="inclusive")
    middle = median(hours)
    counted = len(list(submissions(folder)))
    extra = [
        entry("training.lora.samples_power", samples_power(folder), "power of batch / 8", counted,
              "bench/fit_training.py on mlperf_training.csv, median_samples"),
        entry("training.diffusion.a100_hours", middle, "A100-hours", len(hours),
              "bench/fit_training.py on training_runs.csv: median of Stable Diffusion runs",
              (tenths[0] / middle, tenths[8] / middle)),
    ]  # fmt: skip
    return "\n".join([HEAD, *extra, *(line for fit in fits(folder) for line in written(fit))])


def main() -> None:
    """Fit, write, and print the error on unseen groups of each regression."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of measured rows")
    folder = parser.parse_args().folder
    OUT.write_text(document(folder), encoding="utf-8")
    for fit in fits(folder):
        left = missed(fit.samples, fit.penalty)
        print(f"{fit.table}: {len(left)} rows, median error of unseen groups {error(left):.1%}")


if __name__ == "__main__":
    main()
