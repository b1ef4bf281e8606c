"""How one shape of offer can run a job: how many instances, how many hours, or why it can not.

    ways(job, gpu, 8)     [Way(instances=1, hours=…), Way(instances=2, …)], or Misfit("memory")

A shape is a GPU and how many of it one instance has. Every offer of one shape runs the job alike,
so that physics is asked once for each. Instances double: 1, 2, 4, …, up to what is allowed.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

from gputape.analysis.cost.stated import BatchWork, Job, ServeWork, TrainWork
from gputape.analysis.workload.figure import Estimate, exact
from gputape.analysis.workload.layout import NODE, domain
from gputape.analysis.workload.memory import training_memory
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import best_precision, parsed, peak_tflops, supports
from gputape.analysis.workload.serving import replicas, serve
from gputape.analysis.workload.throughput import Throughput, offline
from gputape.analysis.workload.training import Training, gpu_hours
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu, gpus

USABLE = 0.96
"""Of a card's memory: the driver keeps some (an 80 GiB H100 reports 79.1 usable of 81,559 MiB)."""
SIZES = (1, 2, 4, 8, 16)
"""GPUs of one replica, beside all of an instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run a job on one shape."""

    gpu: str
    gpu_count: Decimal
    instances: int
    hours: Estimate
    """Wall time of one run; of a service one hour, as uncertain as its number of instances."""
    notes: tuple[str, ...] = ()
    served: Throughput | None = None
    """One replica, of a batch or a service."""
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a shape can not run a job, in a few words that offers are counted by."""

    reason: str


def ways(job: Job, gpu: Gpu, gpu_count: Decimal) -> list[Way] | Misfit:
    """Return every way that a shape can run a job, the fewest instances first."""
    if gpu_count != gpu_count.to_integral_value() or gpu_count < 1:
        return Misfit("fraction")
    try:
        found = list(_ways(job, gpu, int(gpu_count)))
    except BadInput as error:
        return Misfit(str(error))
    except _CanNotError as why:
        return Misfit(str(why))
    return found or Misfit("too little memory")


class _CanNotError(Exception):
    """A reason that ends the search."""


def _ways(job: Job, gpu: Gpu, count: int) -> Iterator[Way]:
    if isinstance(job.work, TrainWork):
        return _train(job, job.work, gpu, count)
    if isinstance(job.work, BatchWork):
        return _batch(job, job.work, gpu, count)
    return _serve(job, job.work, gpu, count)


def _doubling(most: int) -> Iterator[int]:
    instances = 1
    while instances <= most:
        yield instances
        instances *= 2


# -- training --------------------------------------------------------------------------------------


def _train(job: Job, work: TrainWork, gpu: Gpu, count: int) -> Iterator[Way]:
    _check_arithmetic(work, gpu)
    training, degrees = job.training, _degrees(job, gpu, count)
    for instances in _doubling(job.max_nodes):
        total = count * instances
        if notes := _fits(training, work, gpu, total, degrees):
            yield Way(
                gpu=gpu.id, gpu_count=Decimal(count), instances=instances, notes=notes,
                hours=_run_hours(training, gpu.id, total),
            )  # fmt: skip


def _check_arithmetic(work: TrainWork, gpu: Gpu) -> None:
    precision = parsed(work.precision or "bf16").name
    if not supports(gpu, precision) and not (work.precision is None and supports(gpu, "fp16")):
        raise _CanNotError(f"no {precision}")
    if gpu.family.startswith("inferentia"):
        raise _CanNotError("made for inference only")
    if gpu.bf16_tflops is None and gpu.fp16_tflops is None:
        raise _CanNotError("no 16-bit arithmetic that is known")


@lru_cache(maxsize=8192)  # 8 x 1, 4 x 2 and 1 x 8 are alike: a market has each of them
def _run_hours(training: Training, gpu: str, total: int) -> Estimate:
    part = gpus()[gpu]
    whole = gpu_hours(training, part, total, nvlink_domain=min(domain(part) or 1, NODE))
    return whole.map(lambda hours: hours / total, "hours")


def _fits(
    training: Training, work: TrainWork, gpu: Gpu, total: int, degrees: list[int]
) -> tuple[str, ...]:
    """Return how the job is laid out on so many GPUs; nothing when their memory is too little."""
    most = float(gpu.memory_gib) * USABLE
    for tensor in degrees:
        needed = _memory(training, work, total, tensor)
        if needed.point <= most:
            tight = ("memory is tight",) if needed.high > most else ()
            spread = f"{work.sharding}" + (f", tensor parallel {tensor}" if tensor > 1 else "")
            used = f"{needed.point:.0f} of {gpu.memory_gib:.0f} GiB a GPU"
            return (used, spread, *tight, *needs(gpu))
    return ()


def _degrees(job: Job, gpu: Gpu, count: int) -> list[int]:
    inside = min(domain(gpu), count, NODE)
    return [t for t in (1, 2, 4, 8) if t <= inside and count % t == 0 and job.model.heads % t == 0]


@lru_cache(maxsize=4096)  # every GPU asks it: memory needed is that of the job
def _memory(training: Training, work: TrainWork, total: int, tensor: int) -> Estimate:
    return training_memory(
        training, total, micro_batch=work.micro_batch, sharding=work.sharding,
        checkpointing=work.checkpointing, tensor_parallel=tensor, optimizer=work.optimizer,
    )  # fmt: skip


# -- inference -------------------------------------------------------------------------------------


def _batch(job: Job, work: BatchWork, gpu: Gpu, count: int) -> Iterator[Way]:
    precision = _precision(work.precision, gpu)
    able = [
        (each, served) for each in _sizes(count)
        if (served := _fastest(job.model, work, gpu.id, each, precision))
    ]  # fmt: skip
    if not able:
        return
    each, served = max(able, key=lambda one: one[1].tokens_s.point * (count // one[0]))
    copies = count // each
    tokens = work.requests * work.output_tokens
    for instances in _doubling(job.max_nodes):
        rate = served.tokens_s * (copies * instances * 3600)
        yield Way(
            gpu=gpu.id, gpu_count=Decimal(count), instances=instances, served=served,
            replicas=copies * instances, notes=(precision, _copies(copies, each), *needs(gpu)),
            hours=rate.map(lambda hourly: tokens / hourly, "hours").because(*served.assumptions),
        )  # fmt: skip


@lru_cache(maxsize=4096)  # two replicas of 4 in an instance of 8 are as fast as one in one of 4
def _fastest(
    model: Model, work: BatchWork | ServeWork, gpu: str, each: int, precision: str
) -> Throughput | None:
    """Return the highest throughput of a replica of so many GPUs; None when it does not fit."""
    with suppress(BadInput):  # it says that the model does not fit
        served = offline(
            model, gpus()[gpu], each, precision, work.input_tokens, work.output_tokens,
            engine=work.engine,
        )  # fmt: skip
        return served if served.batch else None
    return None


def _serve(job: Job, work: ServeWork, gpu: Gpu, count: int) -> Iterator[Way]:
    precision = _precision(work.precision, gpu)
    found = [
        _service(work, gpu, count, each, precision, served)
        for each in _sizes(count)
        if (served := _in_time(job.model, work, gpu.id, each, precision))
    ]
    if found:
        yield min(found, key=lambda way: way.instances)
    elif any(_fastest(job.model, work, gpu.id, each, precision) for each in _sizes(count)):
        raise _CanNotError("too slow for the targets")


@lru_cache(maxsize=4096)
def _in_time(
    model: Model, work: ServeWork, gpu: str, each: int, precision: str
) -> Throughput | None:
    """Return how a replica of so many GPUs serves within the targets, or None."""
    return serve(
        model, gpus()[gpu], each, precision, work.input_tokens, work.output_tokens,
        tpot_ms=work.tpot_ms, ttft_ms=work.ttft_ms, engine=work.engine,
    )  # fmt: skip


def _service(
    work: ServeWork, gpu: Gpu, count: int, each: int, precision: str, served: Throughput
) -> Way:
    """Return the replicas that hold the peak, and the hour of their instances."""
    speed = served.tokens_s
    needed, most, least = (
        replicas(work.requests_s, replace(served, tokens_s=exact(rate, "tokens/s")),
                 work.output_tokens, spike=work.spike, spare=work.spare)
        for rate in (speed.point, speed.low, speed.high)
    )  # fmt: skip
    instances, dear, cheap = (-(-copies // (count // each)) for copies in (needed, most, least))
    hour = Estimate(point=1, low=cheap / instances, high=dear / instances, unit="hours")
    return Way(
        gpu=gpu.id, gpu_count=Decimal(count), instances=instances, served=served, replicas=needed,
        notes=(precision, _copies(needed, each), *needs(gpu)),
        hours=hour.because(*served.assumptions),
    )  # fmt: skip


def _copies(copies: int, each: int) -> str:
    return f"{copies} replica{'s' if copies > 1 else ''} of {each} GPU{'s' if each > 1 else ''}"


def needs(gpu: Gpu) -> tuple[str, ...]:
    """Return what a part wants of the software, where it is not CUDA."""
    return {"AMD": ("needs ROCm",), "AWS": ("needs Neuron",), "Google": ("needs XLA",),
            "Intel": ("needs Intel's own stack",)}.get(gpu.vendor, ())  # fmt: skip


def _sizes(count: int) -> list[int]:
    """Return how many GPUs one replica may take: powers of two that divide an instance, or all."""
    return sorted({n for n in SIZES if count % n == 0} | {count})


def _precision(stated: str | None, gpu: Gpu) -> str:
    """Return what a part computes in; a part that lacks it, or whose figures do, can not."""
    chosen = best_precision(gpu) if stated is None else stated
    name = parsed(chosen).name
    if not supports(gpu, name):
        raise _CanNotError(f"no {name}")
    if gpu.bandwidth_gb_s is None:
        raise _CanNotError("memory bandwidth not known")
    if peak_tflops(gpu, name) is None:
        raise _CanNotError("rate of arithmetic not known")
    return chosen
