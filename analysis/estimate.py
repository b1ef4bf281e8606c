"""The physics of one job, without a price: work, time, speed and memory, each with its interval.

    training(Training(model=model("llama-3.1-8b"), tokens=15e12), gpu, 512)
    serving(Serving(model=model("llama-3.1-70b"), n_in=1000, n_out=500), gpu, 8)

Both return an `Answer`: lines in the order people read them, and what all of them rest on.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from gputape.analysis.jobrows import MOST_GPUS
from gputape.analysis.workload.accelerator import meant
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Assumption, Estimate, exact, once
from gputape.analysis.workload.layout import NODE, domain
from gputape.analysis.workload.memory import Setup, memory_estimate
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import best_precision, parsed, supports
from gputape.analysis.workload.serving_memory import room, serving_memory
from gputape.analysis.workload.steptime import Work
from gputape.analysis.workload.throughput import (
    Throughput,
    decode_batch1,
    layouts,
    offline,
    one_copy,
    stated,
    work_of,
)
from gputape.analysis.workload.training import gpu_hours, tokens_s_gpu
from gputape.analysis.workload.work import (
    Training,
    decode_flop_token,
    prefill_flop,
    training_flop,
)
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu, select

TRAINABLE = ("bf16", "fp16", "fp8", "fp4")
MOST_TRIED = 512
"""GPUs that a model which does not fit is tried on."""
WORK = Assumption(
    "work",
    "6·N·D when all weights are trained, 4·N·D for LoRA, and every pair of positions of attention",
    "Kaplan et al., arXiv 2001.08361; PaLM, arXiv 2204.02311, appendix B",
)
REQUEST = Assumption(
    "work of a request",
    "2·N a token, the causal half of the prompt's attention, 4·L·h·context a token written",
    "workload/work.py; Kaplan et al., arXiv 2001.08361, table 1",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure."""

    figure: str
    estimate: Estimate
    note: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The figures of one job on some GPUs."""

    model: Model
    gpu: Gpu
    gpus: int
    lines: tuple[Line, ...]
    common: tuple[Assumption, ...]
    """What every line rests on: what nobody stated."""

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What any line rests on, each once."""
        every = (a for line in self.lines for a in line.estimate.assumptions)
        return once((*self.common, *every))


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Requests of one kind to one replica, or to copies of it side by side."""

    model: Model
    n_in: float
    """Tokens of a prompt."""
    n_out: float
    """Tokens of an answer."""
    batch: int | None = None
    """Sequences at once on all GPUs; None is as many as give the highest throughput."""
    precision: str | None = None
    """None is the narrowest floating format that the GPU computes in."""
    engine: str | None = None


def gpu_named(word: str) -> Gpu:
    """Return the GPU that a word means: an id, a spelling, or a family for its server part.

    Raises BadInput with the nearest names.
    """
    with suppress(BadInput):
        return meant(word)
    found = sorted(select([word]))
    if len(found) > 1:
        raise BadInput(f"{word!r} is several GPUs: {', '.join(found[:8])}")
    return meant(found[0])


# -- training --------------------------------------------------------------------------------------


def training(job: Training, gpu: Gpu, gpus: int, setup: Setup | None = None) -> Answer:
    """Return work, GPU-hours, wall time, tokens/s of a step, and memory of one GPU.

    Raises BadInput for what can not be: a sequence longer than the model's context, a precision
    that the card lacks.
    """
    _check_gpus(gpus)
    _check_training(job, gpu)
    laid = setup or Setup(n_gpus=gpus)
    hours = gpu_hours(job, gpu, gpus, nvlink_domain=min(domain(gpu), NODE))
    memory = memory_estimate(job, laid)
    speed = tokens_s_gpu(job, gpu, checkpointing=laid.checkpointing != "none") * gpus
    return Answer(
        model=job.model,
        gpu=gpu,
        gpus=gpus,
        lines=(
            Line("work", exact(training_flop(job), "FLOP", WORK)),
            Line("GPU-hours", hours, "of the whole run, all GPUs together"),
            Line("wall time", hours.map(lambda total: total / gpus, "hours")),
            Line("speed", replace(speed, unit="tokens/s"), f"of a step, {_all(gpus)}"),
            Line("memory", memory, _fits(memory, gpu)),
        ),
        common=(*_shape(job.model), *_width(job, gpu)),
    )


def _check_gpus(gpus: int) -> None:
    if not 1 <= gpus <= MOST_GPUS:
        raise BadInput(f"a job runs on 1 to {MOST_GPUS:,} GPUs, not on {gpus:,}")


def _check_training(job: Training, gpu: Gpu) -> None:
    model = job.model
    if model.max_context and job.seq_len > model.max_context:
        raise BadInput(
            f"sequences of {job.seq_len:,} tokens are longer than the context of "
            f"{model.name}: at most {model.max_context:,}"
        )
    name = parsed(job.precision or _half(gpu)).name
    if name not in TRAINABLE:
        raise BadInput(f"nobody trains in {name} products: {', '.join(TRAINABLE)} would be right")
    if not supports(gpu, name):
        raise _lacks(gpu, name, TRAINABLE)


def _half(gpu: Gpu) -> str:
    return "bf16" if supports(gpu, "bf16") else "fp16"


def _lacks(gpu: Gpu, name: str, formats: tuple[str, ...]) -> BadInput:
    able = ", ".join(each for each in formats if supports(gpu, each))
    return BadInput(f"{gpu.id} has no {name} arithmetic: " + (
        f"it has {able}" if able else f"none of {', '.join(formats)}"
    ))  # fmt: skip


def _all(gpus: int) -> str:
    return "one GPU" if gpus == 1 else f"all {gpus} GPUs"


def _fits(memory: Estimate, gpu: Gpu) -> str:
    card = float(gpu.memory_gib)
    said = f"of {card:g} GiB"
    if memory.low > card:
        return f"{said}: does not fit"
    if memory.point > card:
        return f"{said}: will hardly fit"
    return f"{said}: tight" if memory.high > card else said


# -- serving ---------------------------------------------------------------------------------------


def serving(job: Serving, gpu: Gpu, gpus: int) -> Answer:
    """Return work of a request, tokens/s, times to and between tokens, and memory of one GPU.

    At the stated batch, else at the batch and the layout of the highest throughput. A model that
    does not fit raises BadInput, which says from how many GPUs on it does.
    """
    _check_gpus(gpus)
    if job.n_in < 0 or job.n_out < 1:
        raise BadInput("a request reads at least 0 tokens and writes at least 1")
    precision = _precision(job.precision, gpu)
    chosen = _fastest(job, precision, gpu, gpus)
    if chosen is None:
        raise BadInput(_too_large(job, precision, gpu, gpus))
    found, work = chosen
    return Answer(
        model=job.model,
        gpu=gpu,
        gpus=gpus,
        lines=tuple(_lines(job, found, work, gpus)),
        common=(
            *_shape(job.model),
            *_unstated("precision", job.precision, precision, "the narrowest it computes in"),
            *_unstated("engine", job.engine, "no one in particular", "name one: --engine vllm"),
        ),
    )


def _lines(job: Serving, found: Throughput, work: Work, gpus: int) -> Iterator[Line]:
    rate, inner = found.tokens_s, one_copy(work)
    context = job.n_in + constant("serving.batch_length").value * job.n_out
    memory = serving_memory(
        job.model,
        work.precision.bits,
        found.batch / work.layout.copies,
        context,
        inner.layout.gpus,
        work.kv_bits,
    )
    prompt = prefill_flop(job.model, job.n_in)
    answer = job.n_out * decode_flop_token(job.model, job.n_in + job.n_out / 2)
    alone = decode_batch1(
        job.model, work.gpu, inner.layout.gpus, work.precision, job.n_in, job.n_out,
        engine=job.engine,
    )  # fmt: skip
    yield Line("work of a prompt", exact(prompt, "FLOP", REQUEST))
    yield Line("work of an answer", exact(answer, "FLOP", REQUEST))
    at = f"{found.batch:,} at once" + (f", {work.layout.name}" if gpus > 1 else "")
    yield Line("speed", rate, f"written, {_all(gpus)}, {at}")
    yield Line(
        "GPU-hours",
        rate.map(lambda tokens_s: gpus * 1e6 / tokens_s / 3600, "GPU-hours"),
        "for a million tokens written",
    )
    yield Line("TTFT", found.ttft_ms, "to the first token, without a queue")
    yield Line("TPOT", found.tpot_ms, "between tokens")
    yield Line("speed alone", alone, "one sequence at a time")
    yield Line("memory", memory, _fits(memory, work.gpu))


def _precision(asked: str | None, gpu: Gpu) -> str:
    if asked is None:
        return best_precision(gpu)
    name = parsed(asked).name
    if not supports(gpu, name):
        raise _lacks(gpu, name, ("fp16", "bf16", "fp8", "fp4", "int8", "int4"))
    return asked


def _fastest(job: Serving, precision: str, gpu: Gpu, gpus: int) -> tuple[Throughput, Work] | None:
    """Return how the fastest layout that fits serves, or None when none fits."""
    found = list(_each(job, precision, gpu, gpus))
    return max(found, key=lambda pair: pair[0].tokens_s.point, default=None)


def _each(job: Serving, precision: str, gpu: Gpu, gpus: int) -> Iterator[tuple[Throughput, Work]]:
    for layout in layouts(job.model, gpu, gpus):
        work = work_of(
            job.model, gpu, gpus, precision, job.n_in + job.n_out,
            engine=job.engine, layout=layout,
        )  # fmt: skip
        if job.batch is None:
            with suppress(BadInput):  # it says that this layout does not fit
                yield _highest(job, work), work
        elif layout.copies <= job.batch and _holds(work, job):
            yield stated(
                work, job.batch, job.n_in, job.n_out,
                regime="online", engine=job.engine or "any",
            ), work  # fmt: skip


def _highest(job: Serving, work: Work) -> Throughput:
    return offline(
        work.model, work.gpu, work.layout.gpus, work.precision, job.n_in, job.n_out,
        engine=job.engine, layout=work.layout,
    )  # fmt: skip


def _holds(work: Work, job: Serving) -> bool:
    length = job.n_in + constant("serving.batch_length").value * job.n_out
    inner = one_copy(work)
    fits = room(
        work.model, work.gpu, inner.layout, work.precision.bits, length, work.kv_bits
    )  # fmt: skip
    return fits * work.layout.copies >= (job.batch or 1)


def _too_large(job: Serving, precision: str, gpu: Gpu, gpus: int) -> str:
    batch = f" with {job.batch:,} sequences at once" if job.batch else ""
    said = f"{job.model.name} at {precision}{batch} does not fit on {gpus} x {gpu.id}"
    more = gpus
    while (more := more * 2) <= MOST_TRIED:
        if _fastest(job, precision, gpu, more):
            return f"{said}; on {more} it does"
    return said if gpus * 2 > MOST_TRIED else f"{said}, nor on {more // 2}"


# -- what nobody stated ----------------------------------------------------------------------------


def _unstated(name: str, asked: str | None, taken: str, source: str) -> tuple[Assumption, ...]:
    return () if asked else (Assumption(name, taken, f"not stated: {source}"),)


def _width(job: Training, gpu: Gpu) -> tuple[Assumption, ...]:
    return _unstated("precision", job.precision, _half(gpu), "16 bits, which every card trains in")


def _shape(model: Model) -> tuple[Assumption, ...]:
    if not model.assumed:
        return (Assumption("shape", model.name, model.source),)
    shape = ", ".join(f"{name} {getattr(model, name):,}" for name in model.assumed)
    return (Assumption("shape", shape, "not stated: as dense models of its size usually are"),)
