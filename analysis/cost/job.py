"""A job as people state it: what is to be done, and how it may be bought. Also as a file.

    kind = "finetune"
    [model]
    name = "llama-3.1-70b"
    [work]
    method = "lora"
    tokens = 50e6
    [buy]
    options = ["on_demand", "spot"]
    deadline_hours = 36

`from_toml(to_toml(job)) == job`. Unknown keys are refused with the nearest known one.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from gputape.analysis.workload.models import FIGURES, Model, model, sized
from gputape.analysis.workload.precision import parsed
from gputape.analysis.workload.work import Method, Training
from gputape.store.errors import BadInput

T = TypeVar("T")
Kind = Literal["train", "finetune", "batch", "serve"]
OPTIONS = ("on_demand", "spot", "reserved")
USUAL_SEQUENCE = 4096
PERIODS_HOURS = {"month": 720.0, "day": 24.0, "hour": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainWork:
    """Pre-training or fine-tuning, apart from the model."""

    tokens: float
    """Of the data set, once through."""
    method: Method = "pretrain"
    seq_len: int | None = None
    """None is 4,096, or the model's context where that is shorter."""
    epochs: float = 1
    padding: float = 0
    precision: str | None = None
    """None is 16 bits."""
    teacher: str | None = None
    micro_batch: int = 1
    optimizer: str = "adamw"
    sharding: Literal["ddp", "zero1", "zero2", "zero3"] = "zero3"
    checkpointing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWork:
    """Requests that nobody waits for."""

    requests: float
    input_tokens: float
    output_tokens: float
    precision: str | None = None
    """None is the narrowest floating format that each GPU computes in."""
    engine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeWork:
    """People who wait."""

    requests_s: float
    """At the peak."""
    input_tokens: float
    output_tokens: float
    tpot_ms: float = 50
    """Longest time per output token: 50 ms is 20 tokens a second, faster than one reads."""
    ttft_ms: float = 2000
    spike: float = 1
    """How far demand jumps above the stated peak before more can be started."""
    spare: int = 0
    load: float = 0.4
    """Average demand over the peak's; what the price per token is reckoned at."""
    precision: str | None = None
    engine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Buying:
    """How capacity may be bought."""

    options: tuple[str, ...] = ("on_demand", "spot")
    term_months: int | None = None
    """The longest commitment that suits; allows reserved offers."""
    utilisation: float = 1
    """The share of a commitment that is used: the rest is paid too."""
    max_nodes: int | None = None
    """None is 1, and 512 for pre-training."""
    network: Literal["known", "any"] = "known"
    """Whether several nodes may be offers whose interconnect nobody stated."""
    deadline_hours: float | None = None
    budget_usd: float | None = None
    runs: float = 1
    """Tries that a result takes."""
    setup_hours: float = 0
    """Paid and idle before each run."""
    disk_gib: float = 0
    egress_gib: float = 0
    interruption: str | None = None
    """Of spot instances: `5%/month`, `10%/day`, `2%/hour`; None is what is published."""
    save_minutes: float | None = None
    restart_minutes: float = 10
    gpus: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    region: str | None = None
    include: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        """Options that may be bought; a term allows reserved ones."""
        return frozenset(self.options) | ({"reserved"} if self.term_months else set())


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, on what model, and how it may be bought."""

    kind: Kind
    model: Model
    work: TrainWork | BatchWork | ServeWork
    buy: Buying = field(default_factory=Buying)
    said: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The tables it was read from."""

    @property
    def training(self) -> Training:
        """The same as the physics takes it; only of training and fine-tuning."""
        work = self.work
        assert isinstance(work, TrainWork)  # noqa: S101 - a kind has its work
        return Training(
            model=self.model, tokens=work.tokens, seq_len=self.seq_len, method=work.method,
            epochs=work.epochs, padding=work.padding, precision=work.precision,
            teacher=model(work.teacher) if work.teacher else None, micro_batch=work.micro_batch,
        )  # fmt: skip

    @property
    def seq_len(self) -> int:
        """Tokens of a training sequence."""
        assert isinstance(self.work, TrainWork)  # noqa: S101 - a kind has its work
        return self.work.seq_len or min(USUAL_SEQUENCE, self.model.max_context or USUAL_SEQUENCE)

    @property
    def max_nodes(self) -> int:
        """How many instances it may spread over."""
        return self.buy.max_nodes or (512 if self.kind == "train" else 1)


WORK: Mapping[str, type[TrainWork | BatchWork | ServeWork]] = {
    "train": TrainWork, "finetune": TrainWork, "batch": BatchWork, "serve": ServeWork,
}  # fmt: skip


def job(tables: Mapping[str, Any]) -> Job:
    """Return the job that tables describe, each checked; raises BadInput with one sentence."""
    _known(tables, ("kind", "model", "work", "buy"), "a job")
    kind: Any = tables.get("kind")
    if kind not in WORK:
        raise BadInput(f"kind is {kind!r}: one of {', '.join(WORK)} would be right")
    words = dict(tables.get("work", {}))
    if kind == "finetune":
        words.setdefault("method", "lora")
    made = Job(
        kind=kind,
        model=_model(tables.get("model", {})),
        work=_filled(WORK[kind], words, "work"),
        buy=_filled(Buying, tables.get("buy", {}), "buy"),
        said=tables,
    )
    _check(made)
    return made


def read(path: Path) -> Job:
    """Return the job that a file holds."""
    try:
        return job(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BadInput(f"can not read the job {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def to_toml(made: Job) -> str:
    """Return the file of a job: what was said, nothing of what was assumed."""
    lines = [f'kind = "{made.kind}"']
    for name in ("model", "work", "buy"):
        if table := made.said.get(name):
            lines += ["", f"[{name}]", *(f"{key} = {_value(table[key])}" for key in table)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _model(table: Mapping[str, Any]) -> Model:
    _known(table, ("name", *(FIGURES - {"id", "name", "assumed", "source"})), "model")
    if not table:
        raise BadInput("a job needs a model: --model llama-3.1-8b, or figures: --params 7B")
    figures = {key: value for key, value in table.items() if key != "name"}
    if "params" not in figures:
        if figures:
            raise BadInput("a model stated by figures needs params: --params 7B")
        return model(str(table["name"]))
    params, active = float(figures.pop("params")), figures.pop("active", None)
    return sized(params, None if active is None else float(active), **figures)


def _filled(made: type[T], table: Mapping[str, Any], where: str) -> T:
    """Return a dataclass from a table, numbers as numbers."""
    known = {one.name: one for one in fields(made)}  # type: ignore[arg-type]  # any dataclass
    _known(table, known, where)
    missing = [
        name for name, one in known.items()
        if one.default is MISSING and one.default_factory is MISSING and name not in table
    ]  # fmt: skip
    if missing:
        raise BadInput(f"{where} says no {missing[0]}: --{missing[0].replace('_', '-')} would")
    return made(**{name: _typed(known[name].type, value, f"{where}.{name}")
                   for name, value in table.items()})  # fmt: skip


def _typed(kind: Any, value: Any, where: str) -> Any:
    """Return a value as its field wants it, or refuse it."""
    plain = {one for one in (get_args(kind) or (kind,)) if one is not type(None)}
    if kind is tuple or getattr(kind, "__origin__", None) is tuple:
        words = [value] if isinstance(value, str) else list(value)
        return tuple(str(one) for one in words)
    if plain & {int, float}:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise BadInput(f"{where} is {value!r}: a number would be right")
        return float(value) if float in plain else int(value)
    if plain == {bool} and not isinstance(value, bool):
        raise BadInput(f"{where} is {value!r}: true or false would be right")
    choices = [one for one in plain if isinstance(one, str)]
    if choices and value not in choices:
        raise BadInput(f"{where} is {value!r}: one of {', '.join(sorted(choices))} would be right")
    return value


def _known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise BadInput(f"{where} is no table")
    for name in table.keys() - set(names):
        near = get_close_matches(name, list(names), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadInput(f"{where} knows no {name!r}{hint}")


# -- what can not be -------------------------------------------------------------------------------


def _check(made: Job) -> None:
    buy, work = made.buy, made.work
    for name in buy.options:
        if name not in OPTIONS:
            raise BadInput(f"option {name!r}: one of {', '.join(OPTIONS)} would be right")
    if "reserved" in buy.options and not buy.term_months:
        raise BadInput("reserved capacity needs the term that suits: --term 12m")
    if not 0 < buy.utilisation <= 1:
        raise BadInput("a utilisation is a share above 0, at most 1: --utilisation 0.6")
    below = [
        name for name in ("runs", "max_nodes", "deadline_hours", "budget_usd", "term_months")
        if (value := getattr(buy, name)) is not None and value <= 0
    ]  # fmt: skip
    below += [name for name in ("setup_hours", "disk_gib", "egress_gib") if getattr(buy, name) < 0]
    if below:
        raise BadInput(f"{below[0]} can not be {getattr(buy, below[0]):g}")
    if buy.interruption:
        interruption(buy.interruption)
    if work.precision:
        parsed(work.precision)
    if isinstance(work, TrainWork):
        _check_training(made, work)
    else:
        _check_tokens(made.model, work)


def _check_training(made: Job, work: TrainWork) -> None:
    if work.method not in get_args(Method):
        raise BadInput(f"no method {work.method!r}: {', '.join(get_args(Method))}")
    if made.kind == "train" and work.method not in ("pretrain", "distill"):
        raise BadInput(f"{work.method} is fine-tuning: `cost finetune --method {work.method}`")
    if made.kind == "finetune" and work.method == "pretrain":
        raise BadInput("pre-training is `cost train`")
    _check_context(made.model, made.seq_len)
    made.training  # noqa: B018 - its own checks of tokens, epochs, padding


def _check_tokens(shape: Model, work: BatchWork | ServeWork) -> None:
    asked = work.requests if isinstance(work, BatchWork) else work.requests_s
    if asked <= 0 or work.input_tokens < 0 or work.output_tokens < 1:
        raise BadInput("requests are above 0, input tokens at least 0, output tokens at least 1")
    if isinstance(work, ServeWork) and not 0 < work.load <= 1:
        raise BadInput("load is the average over the peak, above 0 and at most 1: --load 0.4")
    if shape.encoder:
        raise BadInput(f"{shape.name} is an encoder: it writes no tokens")
    _check_context(shape, work.input_tokens + work.output_tokens)


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
    if not 0 <= number < 1 or period.strip() not in PERIODS_HOURS:
        raise BadInput(f"interruption {words!r}: 5%/month, 10%/day or 2%/hour would be right")
    return number, PERIODS_HOURS[period.strip()]
