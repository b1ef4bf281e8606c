"""How long training takes: one step at its utilisation, and a whole run with all that happens.

job = Training(model=model("llama-3.1-8b"), tokens=15e12, seq_len=8192)
tokens_s_gpu(job, gpu)                 what a benchmark of steps shows
gpu_hours(job, gpu, n_gpus=512)        what the run is billed, failures and restarts included
"""

import math
from dataclasses import replace

from gputape.analysis.workload.accelerator import peak_flop_s
from gputape.analysis.workload.constants import Constant, constant, constants
from gputape.analysis.workload.figure import Assumption, Estimate, within
from gputape.analysis.workload.mfu import (
    attention,
    cell,
    cell_family,
    flop_s,
    linear,
    small,
    step_mfu,
)
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.work import (
    Training,
    attention_flop_token,
    flop_token,
    training_flop,
)
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

__all__ = ["Training", "gpu_hours", "run_mfu", "tokens_s_gpu"]

TYPICAL_SEQUENCE = 4096
"""Runs of the run-level figures trained at 2k to 8k; only attention beyond this counts extra."""
TYPICAL_GPUS = 512
TYPICAL_SIZE = 2e10
BOUNDS = (1e9, 1e11)
"""Beyond these active parameters, size no longer changes the utilisation of a run."""


def tokens_s_gpu(
    job: Training, gpu: Gpu, *, checkpointing: bool = True, own_flop: float | None = None
) -> Estimate:
    """Return training tokens per second and GPU of a step: utilisation x peak / FLOP per token.

    `own_flop` are a model's own FLOP per token where its shape is not public.
    """
    counted = replace(job, attention=attention(job, gpu))
    per_token = own_flop or flop_token(counted)
    utilisation = step_mfu(job, gpu, checkpointing=checkpointing)
    said = Assumption(
        "training utilisation",
        f"{utilisation:.3g} of the 16-bit peak, {job.precision or '16 bits'}",
        cell(job, gpu).source,
    )
    kind = "sparse" if job.model.sparse else "dense"
    return within(
        flop_s(gpu, utilisation) / per_token,
        "tokens/s/GPU",
        _wider(ratios_of(f"training.step.interval_{kind}"), cell(job, gpu)),
        said,
    )


def ratios_of(name: str) -> tuple[float, float]:
    """Return the 80 % interval of a fit as ratios of the point, from rows it had not seen."""
    return constant(name).ratios


def _wider(fitted: tuple[float, float], cited: Constant) -> tuple[float, float]:
    """Return the fit's interval, or the cell's own where nobody has measured the part."""
    unseen = cited.source.startswith("no ")
    return (min(fitted[0], cited.ratios[0]), max(fitted[1], cited.ratios[1])) if unseen else fitted


def run_mfu(job: Training, gpu: Gpu, n_gpus: int | None = None) -> Estimate:
    """Return useful work (6·N·D) over GPU time times peak of a whole pre-training run.

    A family with public runs has a figure of its own; another takes its step-level figure times
    the run factor.
    """
    base = run_base(job, gpu)
    power = constant("training.scaling_power")
    spread = (n_gpus / TYPICAL_GPUS) ** power.value if n_gpus else 1.0
    point = base.value * spread * math.exp(linear("training.run_fit", run_traits(job)))
    fit = constant("training.run_fit.interval").ratios
    low, high = min(fit[0], base.ratios[0]), max(fit[1], base.ratios[1])
    return within(point, "of the 16-bit peak", (low, high), base.assumption)


def run_traits(job: Training) -> dict[str, float]:
    """Return what of a job corrects its family's run-level figure, by the coefficient's name."""
    size = min(max(job.model.active, BOUNDS[0]), BOUNDS[1])
    return {
        "intercept": 1.0,
        "size": math.log(size / TYPICAL_SIZE),
        "sparse": float(job.model.sparse),
    }


def run_base(job: Training, gpu: Gpu) -> Constant:
    """Return the cited run-level figure of a GPU's family, or its step-level one made smaller."""
    own = constants().get(f"training.run.{gpu.family}")
    own = own or constants().get(f"training.run.{cell_family(gpu)}")
    narrow = cell(job, gpu).value / cell(replace(job, precision=None), gpu).value
    if own:
        # runs in 8 bits save half of what their steps save: DeepSeek-V3 against V2 and 67B
        return replace(own, value=own.value * math.sqrt(narrow))
    factor = constant("training.run_factor")
    dense = cell(replace(job, model=_dense(job.model), precision=None), gpu)
    value = dense.value * factor.value * math.sqrt(narrow) * small(job)
    return replace(dense, value=value, source=f"{dense.source}; x {factor.value}: {factor.source}")


def _dense(model: Model) -> Model:
    """Return a dense model of the active size: what is lost to routing is a trait of the fit."""
    return replace(model, params=model.active, experts=None, top_k=None)


def gpu_hours(job: Training, gpu: Gpu, n_gpus: int, *, nvlink_domain: int = 8) -> Estimate:
    """Return the GPU-hours of a whole job on `n_gpus`, all GPUs together.

    T·n = C / (P·MFU). Pre-training takes the run-level utilisation, which holds restarts and
    idle hours; fine-tuning the step-level one with a factor for evaluation and saving. Beyond
    one NVLink domain the utilisation falls with a small power of the number of GPUs.
    """
    if n_gpus < 1:
        raise BadInput("a job runs on at least one GPU")
    if job.method == "pretrain":
        utilisation = run_mfu(job, gpu, n_gpus)
        work = job.positions * _beyond_typical(job)
    else:
        utilisation = _finetune_mfu(job, gpu, max(1.0, n_gpus / nvlink_domain))
        work = training_flop(replace(job, attention=attention(job, gpu)))
    rate = peak_flop_s(gpu) * 3600
    return utilisation.map(lambda mfu: work / (rate * mfu), "GPU-hours").because(
        *_links(n_gpus, nvlink_domain)
    )


def _beyond_typical(job: Training) -> float:
    usual = attention_flop_token(job.model, min(job.seq_len, TYPICAL_SEQUENCE), job.attention)
    return flop_token(job) - usual


def _finetune_mfu(job: Training, gpu: Gpu, domains: float) -> Estimate:
    factor, power = constant("training.finetune_factor"), constant("training.scaling_power")
    point = step_mfu(job, gpu) * factor.value * domains**power.value
    kind = "sparse" if job.model.sparse else "dense"
    fitted = _wider(ratios_of(f"training.step.interval_{kind}"), cell(job, gpu))
    low = math.exp(-math.hypot(math.log(fitted[0]), math.log(factor.ratios[0])))
    high = math.exp(math.hypot(math.log(fitted[1]), math.log(factor.ratios[1])))
    return within(
        point,
        "of the 16-bit peak",
        (low, high),
        cell(job, gpu).assumption,
        factor.assumption,
    )


def _links(n_gpus: int, domain: int) -> tuple[Assumption, ...]:
    if n_gpus <= domain:
        return ()
    said = (
        f"{n_gpus} GPUs in domains of {domain}: a fast network between them, 100-400 Gb/s per GPU"
    )
    return (Assumption("interconnect", said, "assumed: an offer seldom states it"),)
