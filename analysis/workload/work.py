"""How many floating-point operations a job takes. A multiply and an add are two.

pretraining_flop(model("gpt-3-175b"), 300e9, seq_len=None)      3.15e23, the plain 6·N·D
training_flop(Training(model=model("llama-3.1-8b"), tokens=50e6, method="lora"))
"""

from dataclasses import dataclass
from typing import Literal, get_args

from gputape.analysis.workload.models import Model
from gputape.store.errors import BadInput

Attention = Literal["full", "causal"]
Method = Literal["pretrain", "full", "lora", "qlora", "dpo", "distill", "rl"]

# FLOP per parameter and token: 2 forward, 2 for the gradients of inputs, 2 for those of weights
FORWARD, BACKWARD_INPUTS, BACKWARD_WEIGHTS = 2, 2, 2
TRAIN = FORWARD + BACKWARD_INPUTS + BACKWARD_WEIGHTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training job, apart from the GPUs it runs on."""

    model: Model
    tokens: float
    """Tokens of the data set, once through; of DPO those of both answers with their prompts."""
    seq_len: int = 4096
    method: Method = "pretrain"
    epochs: float = 1
    padding: float = 0
    """The share of positions that hold padding, 0 to below 1: packed data 0."""
    precision: str | None = None
    """What the products are taken in: `bf16`, `fp16`, `fp8`, `fp4`; None is 16 bits."""
    teacher: Model | None = None
    """Of distillation: whose answers are computed at every token."""
    rollout_tokens: float = 0
    """Of RL: tokens that the model generates itself, each at the cost of a forward pass."""
    attention: Attention = "full"
    recompute: bool = False
    """Count the second forward pass of full activation checkpointing: hardware FLOP."""
    micro_batch: int = 1
    """Sequences of one GPU at a time: a matter of memory, not of work."""
    measured_at: float = 2026.0
    """The year of the software, as in 2025.5; kernels of 8-bit and sparse training improve."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise BadInput(f"no method is called {self.method!r}; {', '.join(get_args(Method))}")
        if self.tokens <= 0 or self.epochs <= 0 or self.seq_len <= 0:
            raise BadInput("tokens, epochs and the sequence length must be above 0")
        if not 0 <= self.padding < 1:
            raise BadInput("padding is a share of the positions, 0 to below 1")
        if self.method == "distill" and self.teacher is None:
            raise BadInput("distillation needs a teacher: --teacher llama-3.1-70b")

    @property
    def positions(self) -> float:
        """Tokens computed: every epoch, padding too."""
        return self.tokens * self.epochs / (1 - self.padding)


def attention_flop_token(model: Model, seq_len: float, attention: Attention = "full") -> float:
    """Return FLOP per token of the scores of attention, forward and backward: 12·L·h_a·s.

    PaLM (arXiv 2204.02311, appendix B), MosaicML and Megatron count every pair of positions;
    `causal` counts the half that a causal mask leaves (MaxText since pull request 1988).
    """
    whole = 12 * model.layers * model.attention_dim * seq_len
    return whole / 2 if attention == "causal" else whole


def train_flop_token(model: Model, seq_len: float | None, attention: Attention = "full") -> float:
    """Return FLOP per token of training all weights: 6·N_active, and attention unless s is None."""
    scores = attention_flop_token(model, seq_len, attention) if seq_len else 0.0
    return TRAIN * model.active + scores


def pretraining_flop(
    model: Model, tokens: float, seq_len: float | None, attention: Attention = "full"
) -> float:
    """Return the FLOP of one pass over so many tokens (Kaplan et al., arXiv 2001.08361)."""
    return tokens * train_flop_token(model, seq_len, attention)


def megatron_flop_step(model: Model, batch: int, seq_len: int, *, recompute: bool = True) -> float:
    """Return the FLOP of one step as Megatron counts them for h wide GPTs with a 4h wide MLP.

    96·B·s·L·h²·(1 + s/6h + V/16Lh) with a second forward pass, 72 without (arXiv 2104.04473).
    """
    layers, hidden = model.layers, model.hidden
    terms = 1 + seq_len / (6 * hidden) + model.vocab / (16 * layers * hidden)
    return (96 if recompute else 72) * batch * seq_len * layers * hidden**2 * terms


def flop_token(job: Training) -> float:
    """Return FLOP per position of a job by its method.

    LoRA and QLoRA leave out the gradients of frozen weights: 4·N (MLPerf's llama2_70b_lora note);
    DPO runs the reference model too: 6 + 2; distillation adds the teacher's forward pass.
    """
    model = job.model
    scores = attention_flop_token(model, job.seq_len, job.attention)
    per_weight = {
        "lora": FORWARD + BACKWARD_INPUTS,
        "qlora": FORWARD + BACKWARD_INPUTS,
        "dpo": TRAIN + FORWARD,
    }.get(job.method, TRAIN)
    again = FORWARD * model.active + scores / 3 if job.recompute else 0.0
    reference = scores / 3 if job.method == "dpo" else 0.0
    return per_weight * model.active + scores + reference + again + _teacher(job)


def _teacher(job: Training) -> float:
    if job.teacher is None or job.method != "distill":
        return 0.0
    scores = attention_flop_token(job.teacher, job.seq_len, job.attention) / 3
    return FORWARD * job.teacher.active + scores


def training_flop(job: Training) -> float:
    """Return the FLOP of a whole job: epochs, padding and, for RL, its own rollouts."""
    rollouts = job.rollout_tokens * decode_flop_token(job.model, job.seq_len / 2)
    return job.positions * flop_token(job) + rollouts


def prefill_flop(model: Model, n_in: float) -> float:
    """Return the FLOP of reading a prompt: 2·N_active·n and the causal half of attention."""
    return FORWARD * model.active * n_in + 2 * model.layers * model.attention_dim * n_in**2


def decode_flop_token(model: Model, context: float) -> float:
    """Return the FLOP of one generated token behind so many: 2·N_active + 4·L·h_a·context."""
    return FORWARD * model.active + 4 * model.layers * model.attention_dim * context


def request_flop(model: Model, n_in: float, n_out: float) -> float:
    """Return the FLOP of one request: its prompt, then its answer token by token."""
    if n_in < 0 or n_out < 0:
        raise BadInput("a request has at least 0 tokens in and out")
    return prefill_flop(model, n_in) + n_out * decode_flop_token(model, n_in + n_out / 2)


def saved_by_distilling(student: Model, teacher: Model) -> float:
    """Return the share of inference work that a student saves: 1 - N_student/N_teacher."""
    return 1 - student.active / teacher.active


def optimal_tokens(model: Model) -> float:
    """Return 20 tokens a parameter (Chinchilla, arXiv 2203.15556, table 3, rounded)."""
    return 20.0 * model.active
