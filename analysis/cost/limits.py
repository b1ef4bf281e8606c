"""What a job can not be, each in one sentence that says what would be right."""

import math
from difflib import get_close_matches
from typing import get_args

from gputape.analysis.cost.stated import (
    OPTIONS,
    BatchWork,
    Buying,
    Job,
    ServeWork,
    TrainWork,
)  # fmt: skip
from gputape.analysis.workload.memory import OPTIMIZERS
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import parsed
from gputape.analysis.workload.work import Method
from gputape.store.errors import BadInput

PERIODS_HOURS = {"month": 720.0, "day": 24.0, "hour": 1.0}
INCLUDES = ("derived", "imported", "marketplace", "suspect", "unavailable")


def check(made: Job) -> None:
    """Raise BadInput for the first thing that can not be."""
    _check_buying(made.buy)
    work = made.work
    if work.precision:
        parsed(work.precision)
    if isinstance(work, TrainWork):
        _check_training(made, work)
    else:
        _check_tokens(made.model, work)


def _check_buying(buy: Buying) -> None:
    for name in buy.options:
        _one_of(name, OPTIONS, "option")
    for name in buy.include:
        _one_of(name, INCLUDES, "include")
    if "reserved" in buy.options and not buy.term_months:
        raise BadInput("reserved capacity needs the term that suits: --term 12m")
    if not 0 < buy.utilisation <= 1:
        raise BadInput("a utilisation is a share above 0, at most 1: --utilisation 0.6")
    _above(buy, "runs", "max_nodes", "deadline_hours", "budget_usd", "term_months")
    _from_nought(buy, "setup_hours", "disk_gib", "egress_gib", "save_minutes", "restart_minutes")
    if buy.interruption:
        interruption(buy.interruption)


def _one_of(word: str, known: tuple[str, ...], what: str) -> None:
    if word not in known:
        near = get_close_matches(word, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)} would be right"
        raise BadInput(f"{what} {word!r} is not known: {hint}")


def _above(found: object, *names: str) -> None:
    for name in names:
        value = getattr(found, name)
        if value is not None and value <= 0:
            raise BadInput(f"{name} is {value:g}: a number above 0 would be right")


def _from_nought(found: object, *names: str) -> None:
    for name in names:
        value = getattr(found, name)
        if value is not None and value < 0:
            raise BadInput(f"{name} is {value:g}: 0 or more would be right")


def _check_training(made: Job, work: TrainWork) -> None:
    _one_of(work.method, get_args(Method), "method")
    _one_of(work.optimizer, tuple(OPTIMIZERS), "optimizer")
    _above(work, "micro_batch")
    if made.kind == "train" and work.method not in ("pretrain", "distill"):
        raise BadInput(f"{work.method} is fine-tuning: `cost finetune --method {work.method}`")
    if made.kind == "finetune" and work.method == "pretrain":
        raise BadInput("pre-training is `cost train`")
    _check_context(made.model, made.seq_len)
    made.training  # noqa: B018 - its own checks of tokens, epochs, padding


def _check_tokens(shape: Model, work: BatchWork | ServeWork) -> None:
    asked = work.requests if isinstance(work, BatchWork) else work.requests_s
    if not asked > 0 or work.input_tokens < 0 or work.output_tokens < 1:
        raise BadInput("requests are above 0, input tokens at least 0, output tokens at least 1")
    if isinstance(work, ServeWork):
        _check_service(work)
    if shape.encoder:
        raise BadInput(f"{shape.name} is an encoder: it writes no tokens")
    _check_context(shape, work.input_tokens + work.output_tokens)


def _check_service(work: ServeWork) -> None:
    _above(work, "tpot_ms", "ttft_ms")
    _from_nought(work, "spare")
    if work.spike < 1:
        raise BadInput("a spike is a multiple of the peak, at least 1: --spike 3")
    if not 0 < work.load <= 1:
        raise BadInput("load is the average over the peak, above 0 and at most 1: --load 0.4")


def _check_context(shape: Model, tokens: float) -> None:
    if shape.max_context and tokens > shape.max_context:
        raise BadInput(
            f"{tokens:,.0f} tokens are more than {shape.name} has context: {shape.max_context:,}"
        )


def interruption(words: str) -> tuple[float, float]:
    """Return (share, hours of the period) of `5%/month`, `10%/day`, `2%/hour`."""
    share, _, period = words.partition("/")
    try:
        number = float(share.strip().removesuffix("%")) / 100
    except ValueError:
        number = -1
    if not (math.isfinite(number) and 0 <= number < 1) or period.strip() not in PERIODS_HOURS:
        raise BadInput(f"interruption {words!r}: 5%/month, 10%/day or 2%/hour would be right")
    return number, PERIODS_HOURS[period.strip()]
