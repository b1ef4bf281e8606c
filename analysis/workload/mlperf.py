"""How many minutes MLPerf's fine-tuning takes: Llama 2 70B, LoRA of rank 16, 8,192 tokens.

lora_minutes(gpu, n_gpus=8, batch=8, when="v5.1")

Samples until the target quality grow with the global batch; the rest is a rate per GPU that falls
with the number of GPUs and rises with each round's software.
"""

import math

from gputape.analysis.workload.accelerator import peak_flop_s
from gputape.analysis.workload.constants import constant, constants
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.mfu import linear
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

SAMPLES = 3072
"""Sequences until the target at the reference global batch of 8 (MLPerf Training v5.1 results)."""
NODE = 8
PEAK = 1979e12
"""Of an H100 in 8 bits, in which submissions compute where the part can."""


def baseline_minutes(gpu: Gpu, n_gpus: float, batch: float, power: float) -> float:
    """Return what minutes are proportional to: samples over GPUs and their peaks.

    Samples until the target grow with a power of the global batch above the reference.
    """
    rate = float(gpu.fp8_tflops) * 1e12 if gpu.fp8_tflops else peak_flop_s(gpu)
    return float(max(1.0, batch / NODE) ** power * PEAK / rate / n_gpus)


def lora_traits(gpu: Gpu, n_gpus: float, batch: float, round_: float) -> dict[str, float]:
    """Return what of a submission corrects the baseline, by the coefficient's name."""
    generation = (gpu.architecture or gpu.vendor).casefold().replace(" ", "-").replace(".", "-")
    return {
        "intercept": 1.0,
        "scale": math.log(n_gpus / NODE),
        "batch_gpu": math.log(batch / n_gpus),
        f"round.{generation}": round_ - 2,
        f"generation.{generation}": 1.0,
        f"gpu.{gpu.id}": 1.0,
    }


def rounds(name: str) -> float:
    """Return the number of a round since v4.0: `v5.1` is 3."""
    try:
        major, minor = name.strip().casefold().removeprefix("v").split(".")
        return (int(major) - 4) * 2 + int(minor)
    except ValueError:
        raise BadInput(f"no MLPerf round is called {name!r}; v5.1 would be one") from None


def lora_minutes(
    gpu: Gpu, n_gpus: float, batch: float | None = None, when: str = "v5.1"
) -> Estimate:
    """Return the minutes to the target, with their 80 % interval."""
    if n_gpus < 1:
        raise BadInput("a benchmark runs on at least one GPU")
    whole = batch or max(NODE, n_gpus / NODE)
    correction = linear("training.lora", lora_traits(gpu, n_gpus, whole, rounds(when)))
    power = constant("training.lora.samples_power").value
    point = baseline_minutes(gpu, n_gpus, whole, power) * math.exp(correction)
    fit = constant("training.lora.interval")
    seen = f"training.lora.gpu.{gpu.id}" in constants()
    ratios = fit.ratios if seen else (fit.ratios[0] ** 2, fit.ratios[1] ** 2)
    return within(point, "minutes", ratios, fit.assumption)
