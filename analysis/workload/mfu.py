"""Which share of its 16-bit peak a GPU does useful training work at: a cited cell, corrected.

A cell is a GPU family, dense or sparse, and the bits of the products. The corrections are the
coefficients that `bench/fit_training.py` writes; each multiplies a property of the job and acts
on the logarithm of the utilisation.
"""

import math
import re
from collections.abc import Mapping

from gputape.analysis.workload.accelerator import peak_flop_s
from gputape.analysis.workload.constants import Constant, constants
from gputape.analysis.workload.models import fold
from gputape.analysis.workload.work import Attention, Training
from gputape.store.gpus import Gpu

BILLION = 1e9

LIKE = {
    "a800": "a100", "a30": "a100", "h200": "h100", "h800": "h100", "gh200": "h100", "b100": "b200",
    "mi325x": "mi300x", "mi300a": "mi300x", "mi308x": "mi300x", "mi250x": "mi300x",
    "mi250": "mi300x", "mi210": "mi300x", "mi100": "mi300x", "mi350x": "mi355x",
    "gaudi3": "gaudi2", "gaudi1": "gaudi2", "trainium1": "trainium2", "trainium3": "trainium2",
    "v100s": "v100", "titan-v": "v100", "tpu-v2": "tpu-v3",
}  # fmt: skip
"""Families without a cell of their own, and those of the same silicon or generation."""

GEFORCE = re.compile(r"rtx-[2-5]0[5-9]0")
"""Families of gamers' cards, whose tensor cores halve with FP32 sums: `rtx-4090`, `rtx-3080-ti`."""

COUNTS_FULL = {("v100", 16), ("a100", 16), ("h100", 16), ("geforce", 16), ("workstation", 16)}
"""Dense cells whose sources count every pair of positions as attention; the rest count half."""


def cell_family(gpu: Gpu) -> str:
    """Return the family whose cells hold for a GPU: `h100` for an H200."""
    family = LIKE.get(gpu.family, gpu.family)
    if f"training.mfu.{family}.dense.bits16" in constants():
        return family
    return "geforce" if GEFORCE.match(gpu.family) else "workstation"


def bits(job: Training, gpu: Gpu) -> int:
    """Return the bits of the products: 16, 8 or 4, no fewer than the family has figures for."""
    stated = (job.precision or "").casefold()
    wanted = 4 if "fp4" in stated else 8 if "fp8" in stated or "int8" in stated else 16
    kind = "sparse" if job.model.sparse else "dense"
    known = [
        width
        for width in (4, 8, 16)
        if f"training.mfu.{cell_family(gpu)}.{kind}.bits{width}" in constants()
    ]
    return min((width for width in known if width >= wanted), default=16)


def cell(job: Training, gpu: Gpu) -> Constant:
    """Return the cited utilisation of a job's cell; a sparse one unheard of is half the dense."""
    kind = "sparse" if job.model.sparse else "dense"
    name = f"training.mfu.{cell_family(gpu)}.{kind}.bits{bits(job, gpu)}"
    return constants().get(name) or constants()["training.mfu.a100.sparse.bits16"]


def attention(job: Training, gpu: Gpu) -> Attention:
    """Return which half of attention the figure of a job's cell counts as work."""
    if job.model.sparse:
        return "causal"
    return "full" if (cell_family(gpu), bits(job, gpu)) in COUNTS_FULL else "causal"


def traits(job: Training, gpu: Gpu, *, checkpointing: bool = True) -> dict[str, float]:
    """Return what of a job corrects the utilisation of its cell, by the coefficient's name."""
    narrow = bits(job, gpu) < 16
    since = job.measured_at - 2026
    return {
        "intercept": 1.0,
        "year_sparse": since * (narrow and job.model.sparse),
        "year_dense": since * (narrow and not job.model.sparse),
        "sequence": math.log(max(1.0, job.seq_len / 4096)),
        "uncheckpointed": float(not checkpointing),
        job.method: float(job.method in ("full", "lora", "qlora")),
        f"model.{named(job)}": 1.0,
    }


def named(job: Training) -> str:
    """Return the folded name of a job's model, under which its own coefficient stands."""
    return fold(job.model.name if job.model.id == "stated" else job.model.id)


def linear(table: str, traits: Mapping[str, float]) -> float:
    """Return the sum of coefficients times traits; a coefficient that was never fitted is 0."""
    found = ((constants().get(f"{table}.{name}"), value) for name, value in traits.items())
    return sum(constant.value * value for constant, value in found if constant)


def small(job: Training) -> float:
    """Return the factor of models below a billion parameters, which wait on kernel launches."""
    power = constants()["training.small_model"].value
    return float(min(1.0, job.model.active / BILLION) ** power)


def step_mfu(job: Training, gpu: Gpu, *, checkpointing: bool = True) -> float:
    """Return the utilisation of a training step on few GPUs."""
    correction = linear("training.step", traits(job, gpu, checkpointing=checkpointing))
    return cell(job, gpu).value * small(job) * math.exp(correction)


def flop_s(gpu: Gpu, utilisation: float) -> float:
    """Return useful FLOP/s of one GPU at a utilisation of its 16-bit peak."""
    return peak_flop_s(gpu) * utilisation
