"""How one shape of offer can run a job: how many instances, how many hours, or why it can not.

    ways(job, gpu, 8)     [Way(instances=1, hours=…), Way(instances=2, …)], or Misfit("memory")

A shape is a GPU and how many of it one instance has. Every offer of one shape runs the job alike,
so that physics is asked once for each.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from gputape.analysis.cost.job import BatchWork, Job, ServeWork, TrainWork
from gputape.analysis.workload.figure import Assumption, Estimate, exact
from gputape.analysis.workload.layout import NODE, domain
from gputape.analysis.workload.memory import training_memory
from gputape.analysis.workload.precision import best_precision, parsed, supports
from gputape.analysis.workload.serving import replicas, serve
from gputape.analysis.workload.throughput import Throughput, offline
from gputape.analysis.workload.training import gpu_hours
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

USABLE = 0.96
"""Of a card's memory: the driver keeps some (an 80 GiB H100 reports 79.1 usable of 81,559 MiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run a job on one shape."""

    gpu: str
    gpu_count: Decimal
    instances: int
    hours: Estimate
    """Wall time of one run; of a service, one hour."""
    notes: tuple[str, ...] = ()
    served: Throughput | None = None
    """One replica, of a batch or a service."""
    replicas: int = 1

    @property
    def instance_hours(self) -> Estimate:
        """All instances together."""
        return self.hours * self.instances

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What the hours rest on."""
        return self.hours.assumptions


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a shape can not run a job, in a few words that offers are counted by."""

    reason: str


def ways(job: Job, gpu: Gpu, gpu_count: Decimal) -> list[Way] | Misfit:
    """Return every way that a shape can run a job, the fewest instances first."""
    if gpu_count != gpu_count.to_integral_value() or gpu_count < 1:
        return Misfit("a fraction of a GPU")
    try:
        found = list(_KINDS[job.kind](job, gpu, int(gpu_count)))
    except BadInput as error:
        return Misfit(str(error))
    except _CanNotError as why:
        return Misfit(str(why))
    return found or Misfit("too little memory")


class _CanNotError(Exception):
    """A reason that ends the search."""


# -- training --------------------------------------------------------------------------------------


def _train(job: Job, gpu: Gpu, count: int) -> Iterator[Way]:
    work = job.work
    assert isinstance(work, TrainWork)  # noqa: S101 - a kind has its work
    precision = parsed(work.precision or "bf16").name
    if not supports(gpu, precision) and not (work.precision is None and supports(gpu, "fp16")):
        raise _CanNotError(f"no {precision}")
    if gpu.family.startswith("inferentia"):
        raise _CanNotError("made for inference only")
    if gpu.bf16_tflops is None and gpu.fp16_tflops is None:
        raise _CanNotError("no 16-bit arithmetic that is known")
    instances = 1
    while instances <= job.max_nodes:
        if notes := _fits(job, work, gpu, count, instances):
            total = count * instances
            whole = gpu_hours(job.training, gpu, total, nvlink_domain=min(domain(gpu) or 1, NODE))
            yield Way(
                gpu=gpu.id, gpu_count=Decimal(count), instances=instances, notes=notes,
                hours=whole.map(lambda hours, n=total: hours / n, "hours"),  # type: ignore[misc]
            )  # fmt: skip
        instances *= 2


def _fits(job: Job, work: TrainWork, gpu: Gpu, count: int, instances: int) -> tuple[str, ...]:
    """Return how the job is laid out on so many GPUs; nothing when their memory is too little."""
    total = count * instances
    most = float(gpu.memory_gib) * USABLE
    for tensor in _degrees(job, gpu, count):
        needed = _memory(job, total, tensor)
        if needed.point <= most:
            tight = ("memory is tight",) if needed.high > most else ()
            spread = f"{work.sharding}" + (f", tensor parallel {tensor}" if tensor > 1 else "")
            used = f"{needed.point:.0f} of {gpu.memory_gib:.0f} GiB a GPU"
            return (used, spread, *tight, *needs(gpu))
    return ()


def _degrees(job: Job, gpu: Gpu, count: int) -> list[int]:
    inside = min(domain(gpu), count, NODE)
    return [t for t in (1, 2, 4, 8) if t <= inside and count % t == 0 and job.model.heads % t == 0]


@lru_cache(maxsize=4096)
def _memory_of(training: object, total: int, tensor: int, work: TrainWork) -> Estimate:
    return training_memory(
        training,  # type: ignore[arg-type]  # hashed above as what it is
        total,
        micro_batch=work.micro_batch, sharding=work.sharding, checkpointing=work.checkpointing,
        tensor_parallel=tensor, optimizer=work.optimizer,
    )  # fmt: skip


def _memory(job: Job, total: int, tensor: int) -> Estimate:
    work = job.work
    assert isinstance(work, TrainWork)  # noqa: S101 - a kind has its work
    return _memory_of(job.training, total, tensor, work)


# -- inference -------------------------------------------------------------------------------------


def _batch(job: Job, gpu: Gpu, count: int) -> Iterator[Way]:
    work = job.work
    assert isinstance(work, BatchWork)  # noqa: S101 - a kind has its work
    precision = _precision(work.precision, gpu)
    able = _able(job, work, gpu, count)
    if not able:
        return
    each, served = max(able, key=lambda one: one[1].tokens_s.point * (count // one[0]))
    copies = count // each
    tokens = work.requests * work.output_tokens
    instances = 1
    while instances <= job.max_nodes:
        rate = served.tokens_s * (copies * instances * 3600)
        yield Way(
            gpu=gpu.id, gpu_count=Decimal(count), instances=instances, served=served,
            replicas=copies * instances, notes=(precision, _copies(copies, each), *needs(gpu)),
            hours=rate.map(lambda hourly: tokens / hourly, "hours").because(*served.assumptions),
        )  # fmt: skip
        instances *= 2


def _able(
    job: Job, work: BatchWork | ServeWork, gpu: Gpu, count: int
) -> list[tuple[int, Throughput]]:
    """Return the sizes of a replica in which the model fits, each with its highest throughput."""
    found = []
    for each in _sizes(count):
        with suppress(BadInput):  # it says that the model does not fit
            served = offline(
                job.model, gpu, each, _precision(work.precision, gpu), work.input_tokens,
                work.output_tokens, engine=work.engine,
            )  # fmt: skip
            found.append((each, served))
    return [(each, served) for each, served in found if served.batch]


def _serve(job: Job, gpu: Gpu, count: int) -> Iterator[Way]:
    work = job.work
    assert isinstance(work, ServeWork)  # noqa: S101 - a kind has its work
    precision = _precision(work.precision, gpu)
    best: Way | None = None
    fits = _able(job, work, gpu, count)
    for each, _ in fits:
        served = serve(job.model, gpu, each, precision, work.input_tokens, work.output_tokens,
                       tpot_ms=work.tpot_ms, ttft_ms=work.ttft_ms, engine=work.engine)  # fmt: skip
        if served is None:
            continue
        needed = replicas(work.requests_s, served, work.output_tokens,
                          spike=work.spike, spare=work.spare)  # fmt: skip
        instances = -(-needed // (count // each))
        if best is None or instances < best.instances:
            best = Way(
                gpu=gpu.id, gpu_count=Decimal(count), instances=instances, served=served,
                replicas=needed, notes=(precision, _copies(needed, each), *needs(gpu)),
                hours=exact(1, "hours", *served.assumptions),
            )  # fmt: skip
    if best:
        yield best
    elif fits:
        raise _CanNotError("too slow for the targets")


def _copies(copies: int, each: int) -> str:
    return f"{copies} replica{'s' if copies > 1 else ''} of {each} GPU{'s' if each > 1 else ''}"


def needs(gpu: Gpu) -> tuple[str, ...]:
    """Return what a part wants of the software, where it is not CUDA."""
    return {"AMD": ("needs ROCm",), "AWS": ("needs Neuron",), "Google": ("needs XLA",),
            "Intel": ("needs Intel's own stack",)}.get(gpu.vendor, ())  # fmt: skip


def _sizes(count: int) -> list[int]:
    """Return how many GPUs one replica may take: powers of two that divide an instance."""
    return [n for n in (1, 2, 4, 8, 16) if n <= count and count % n == 0] or [count]


def _precision(stated: str | None, gpu: Gpu) -> str:
    if stated is None:
        return best_precision(gpu)
    name = parsed(stated).name
    if not supports(gpu, name):
        raise _CanNotError(f"no {name}")
    return stated


_KINDS = {"train": _train, "finetune": _train, "batch": _batch, "serve": _serve}
