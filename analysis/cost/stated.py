"""What a job is: what is to be done, on what model, and how it may be bought."""

from dataclasses import dataclass, field
from typing import Literal

from gputape.analysis.workload.models import Model, model
from gputape.analysis.workload.work import Method, Training

Kind = Literal["train", "finetune", "batch", "serve"]
OPTIONS = ("on_demand", "spot", "reserved")
USUAL_SEQUENCE = 4096
QUARTER_HOURS = 90 * 24.0
"""Nobody waits longer for a pre-training run, unless a deadline says so."""
MOST_NODES = 512
"""Of a pre-training run, unless stated: 4,096 GPUs in nodes of 8."""


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
    """Of one run; None is no limit, and 90 days for pre-training."""
    budget_usd: float | None = None
    """Of all runs."""
    runs: float = 1
    """Tries that a result takes, one after another."""
    setup_hours: float = 0
    """Paid and idle before each run."""
    disk_gib: float = 0
    """Kept while runs last."""
    egress_gib: float = 0
    """That leave after each run; of a service, in a month."""
    interruption: str | None = None
    """Of spot instances: `5%/month`, `10%/day`, `2%/hour`; None is what is published."""
    save_minutes: float | None = None
    restart_minutes: float = 10
    gpus: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    region: str | None = None
    include: tuple[str, ...] = ()
    """What is left out otherwise: `limits.INCLUDES`."""

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

    @property
    def trained(self) -> TrainWork:
        """The work of training and fine-tuning."""
        if isinstance(self.work, TrainWork):
            return self.work
        raise TypeError(f"a {self.kind} job trains nothing")

    @property
    def training(self) -> Training:
        """The same as the physics takes it."""
        work = self.trained
        return Training(
            model=self.model, tokens=work.tokens, seq_len=self.seq_len, method=work.method,
            epochs=work.epochs, padding=work.padding, precision=work.precision,
            teacher=model(work.teacher) if work.teacher else None, micro_batch=work.micro_batch,
        )  # fmt: skip

    @property
    def seq_len(self) -> int:
        """Tokens of a training sequence."""
        longest = self.model.max_context or USUAL_SEQUENCE
        return self.trained.seq_len or min(USUAL_SEQUENCE, longest)

    @property
    def max_nodes(self) -> int:
        """How many instances one run may spread over."""
        return self.buy.max_nodes or (MOST_NODES if self.kind == "train" else 1)

    @property
    def deadline_hours(self) -> float | None:
        """How long one run may take, set-up included; None is as long as it likes."""
        usual = QUARTER_HOURS if self.kind == "train" else None
        return self.buy.deadline_hours or usual
