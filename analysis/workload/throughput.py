"""How fast a model is served: tokens per second, time per token, time to the first token.

    offline(model, gpu, 8, "fp8", n_in=1000, n_out=1000)      as many sequences as fit
    decode_batch1(model, gpu, 1, "bf16", n_in=1, n_out=2048)  one sequence alone

A time is the sum of the ideal times of `steptime.py`, each times a fitted multiple, times what
the engine and the generation of the part add. Sets of multiples were fitted apart
(`losses.py`). A set's interval is that of its cross-validation: every model on every part
predicted from the others.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Assumption, Estimate, once, within
from gputape.analysis.workload.layout import NODE, Layout, domain, spread
from gputape.analysis.workload.losses import doubt, fit, rated, timed, traits_of
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import Precision, parsed, supports
from gputape.analysis.workload.serving_memory import room
from gputape.analysis.workload.steptime import Work, prompt_terms, steady, terms
from gputape.analysis.workload.work import decode_flop_token
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

IN_TURN = frozenset({"llama.cpp", "exllamav2", "transformers"})
"""Engines that deal layers out to GPUs which then work one after another."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How one replica serves at one batch."""

    tokens_s: Estimate
    """Output tokens per second of the whole replica."""
    tpot_ms: Estimate
    """Time per output token of one sequence."""
    ttft_ms: Estimate
    """Time to the first token without a queue."""
    batch: int
    assumptions: tuple[Assumption, ...]


def step_seconds(
    work: Work,
    batch: float,
    n_in: float,
    n_out: float,
    *,
    regime: str,
    engine: str,
    version: str = "",
) -> float:
    """Return the time of one step of a busy server, prompts that enter included, in seconds."""
    ideal = steady(work, batch, n_in, n_out)
    return fit(regime).seconds(ideal, traits_of(work, engine, version))


def single_seconds(work: Work, n_in: float, n_out: float, engine: str) -> tuple[float, float]:
    """Return the time per token of one sequence alone, and of reading its prompt, in seconds."""
    traits = traits_of(work, engine)
    step = fit("single").seconds(terms(work, 1, n_in + n_out / 2), traits)
    return step, fit("single").seconds(prompt_terms(work, 1, n_in), traits)


def prompt_seconds(work: Work, n_in: float, engine: str) -> float:
    """Return the time in which llama.cpp and its kind read one prompt, in seconds.

    Products run with FP16 sums where the part is faster that way; layers dealt out to n GPUs
    overlap in part, which the fitted factor per doubling says.
    """
    model = work.model
    rate = work.gpu.fp16acc16_tflops or work.gpu.fp16_tflops
    if rate is None:
        raise BadInput(f"the FP16 rate of {work.gpu.id} is not known")
    flops = n_in * decode_flop_token(model, n_in / 2)
    ideal = {"prefill": flops / (float(rate) * 1e12)}
    doublings = math.log2(work.layout.gpus)
    halved: float = fit("prompt").base["doubling"] ** doublings
    return fit("prompt").seconds(ideal, traits_of(work, engine)) * halved


def work_of(
    model: Model,
    gpu: Gpu,
    n_gpus: int,
    precision: str | Precision,
    context: float,
    *,
    engine: str | None = None,
    layout: Layout | None = None,
) -> Work:
    """Return checked work; a precision the part lacks or too long a context raises BadInput."""
    exact = parsed(precision) if isinstance(precision, str) else precision
    if model.encoder:
        raise BadInput(f"{model.name} is an encoder and writes no tokens; name a decoder")
    if n_gpus < 1:
        raise BadInput("a replica has at least 1 GPU")
    if not supports(gpu, exact.name):
        raise BadInput(f"{gpu.name} has no {exact.name} arithmetic; bf16 or int4 weights would run")
    if model.max_context and context > model.max_context:
        raise BadInput(
            f"{context:g} tokens are more than the {model.max_context} that {model.name} takes"
        )
    narrow = exact.name in ("fp8", "fp4") and (engine or "").startswith("tensorrt")
    chosen = layout or spread(model, gpu, n_gpus)
    return Work(model, gpu, chosen, exact, 8.0 if narrow else 16.0)


def most(work: Work, n_in: float, n_out: float) -> float:
    """Return the sequences that fit at once, at the length they have on the average.

    Sequences of a running batch are at every age, so that they take in + 0.75·out, not in + out:
    the share with the least cross-validated error of 0.5, 0.75 and 1.
    """
    length = n_in + constant("serving.batch_length").value * n_out
    fits = room(work.model, work.gpu, work.layout, work.precision.bits, length, work.kv_bits)
    return min(fits, constant("serving.batch_cap").value * work.layout.data)


def offline(
    model: Model,
    gpu: Gpu,
    n_gpus: int,
    precision: str | Precision,
    n_in: float,
    n_out: float,
    *,
    batch: int | None = None,
    engine: str | None = None,
    layout: Layout | None = None,
) -> Throughput:
    """Return the highest throughput of `n_gpus`, as one group or as several copies.

    Without a layout the fastest is taken of those that fit. A model that does not fit raises
    BadInput.
    """
    if n_in < 0 or n_out < 1:
        raise BadInput("n_in is at least 0 and n_out at least 1 token")
    name = engine or "any"
    works = [
        work_of(model, gpu, n_gpus, precision, n_in + n_out, engine=engine, layout=each)
        for each in ([layout] if layout else layouts(model, gpu, n_gpus))
    ]
    rates = [(offline_rate(work, n_in, n_out, batch, name), work) for work in works]
    (rate, full), work = max(rates, key=lambda pair: pair[0][0])
    if rate <= 0:
        raise BadInput(
            f"{model.name} at {works[0].precision.name} does not fit on {n_gpus} x {gpu.name}"
        )
    return stated(work, full, n_in, n_out, regime="offline", engine=name)


def layouts(model: Model, gpu: Gpu, gpus: int) -> Iterable[Layout]:
    """Return the layouts worth trying: copies of every size, each in one domain or in stages."""
    for copies in (c for c in range(1, gpus + 1) if gpus % c == 0):
        size = gpus // copies
        inner = spread(model, gpu, size)
        yield Layout(gpus=gpus, tensor=inner.tensor, pipeline=inner.pipeline, copies=copies)
        if domain(gpu) == 1 and 1 < size <= NODE and model.heads % size == 0:
            yield Layout(gpus=gpus, tensor=size, copies=copies)


def offline_rate(
    work: Work, n_in: float, n_out: float, batch: float | None, engine: str
) -> tuple[float, float]:
    """Return output tokens/s of all copies, and the batch of all; zeros when nothing fits."""
    copies = work.layout.copies
    alone = one_copy(work)
    each = batch / copies if batch else most(alone, n_in, n_out)
    if each < 1 and not batch:
        return 0.0, 0.0
    seconds = step_seconds(alone, each, n_in, n_out, regime="offline", engine=engine)
    return copies * each / seconds, copies * each


def one_copy(work: Work) -> Work:
    """Return the work of one of several copies."""
    layout = work.layout
    if layout.copies == 1:
        return work
    inner = Layout(
        gpus=layout.gpus // layout.copies,
        tensor=layout.tensor,
        data=layout.data,
        pipeline=layout.pipeline,
        experts=layout.experts,
    )
    return Work(work.model, work.gpu, inner, work.precision, work.kv_bits)


def stated(
    work: Work, batch: float, n_in: float, n_out: float, *, regime: str, engine: str
) -> Throughput:
    """Return how a replica serves at a batch, with its intervals."""
    copies = work.layout.copies
    alone = one_copy(work)
    seconds = step_seconds(alone, batch / copies, n_in, n_out, regime=regime, engine=engine)
    error = doubt(regime, work, engine)
    rests = (
        Assumption("layout", f"{work.layout.name} of {work.layout.gpus} GPUs", "chosen"),
        Assumption("kv cache", f"{work.kv_bits:g} bits", "usual for the engine"),
        Assumption("batch", f"{batch:.0f} sequences", "free memory, or stated"),
    )
    return Throughput(
        tokens_s=rated(seconds, batch, "tokens/s", error).because(*rests),
        tpot_ms=timed(seconds, error),
        ttft_ms=first_token(alone, batch / copies, n_in, n_out, engine),
        batch=int(batch),
        assumptions=once((error.assumption, *rests)),
    )


def first_token(work: Work, batch: float, n_in: float, n_out: float, engine: str) -> Estimate:
    """Return the time to the first token: the prompt read alone, then one step of the batch."""
    found = constant("serving.online.ttft")
    traits = traits_of(work, engine)
    prompt = fit("online").seconds(prompt_terms(work, 1, n_in), traits)
    step = step_seconds(work, batch, n_in, n_out, regime="online", engine=engine)
    point = (prompt + step) * found.value * 1e3
    return within(point, "ms", found.ratios, found.assumption)


def decode_batch1(
    model: Model,
    gpu: Gpu,
    n_gpus: int,
    precision: str | Precision,
    n_in: float,
    n_out: float,
    *,
    engine: str | None = None,
) -> Estimate:
    """Return tokens/s that one sequence alone is written at."""
    name = engine or "any"
    layout = in_turn(n_gpus) if name in IN_TURN else None
    work = work_of(model, gpu, n_gpus, precision, n_in + n_out, engine=engine, layout=layout)
    step, _ = single_seconds(work, n_in, n_out, name)
    return rated(step, 1, "tokens/s", doubt("single", work, name))


def in_turn(gpus: int) -> Layout:
    """Return layers dealt out to GPUs that work one after another."""
    return Layout(gpus=gpus, pipeline=gpus)
