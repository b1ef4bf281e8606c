"""What one GPU holds while training: weights, gradients, optimizer, activations, logits.

training_memory(job, n_gpus=8)                    GiB per GPU, ZeRO-3, full checkpointing
parts(job, Setup(n_gpus=64, sharding="zero1"))    the same by part, in bytes
"""

import math
from dataclasses import dataclass
from typing import Literal

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Assumption, Estimate, within
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.work import Training
from gputape.store.errors import BadInput

Sharding = Literal["ddp", "zero1", "zero2", "zero3"]
Checkpointing = Literal["none", "selective", "full"]

GIB = 2**30
BYTE, WHOLE_BITS = 8, 16

OPTIMIZERS: dict[str, tuple[float, float, float]] = {
    "adamw": (2, 2, 12),  # mixed precision: an FP32 copy of the weights and two moments
    "adamw_fp32_grad": (2, 4, 12),  # 18 bytes: Megatron and DeepSpeed sum gradients in FP32
    "adamw_fp32": (4, 4, 8),
    "adamw_bf16": (2, 2, 4),
    "adamw_8bit": (2, 2, 2),  # bitsandbytes: two moments of one byte
    "adamw_8bit_master": (2, 2, 6),
    "paged_adamw_8bit": (2, 0, 0),  # moments on the host, gradients used as they come
    "paged_adamw": (2, 2, 0),
    "adafactor": (2, 2, 0.1),
    "lion": (2, 2, 2),
    "sgd": (2, 2, 0),
    "sgd_momentum": (2, 2, 2),
    "muon": (2, 2, 8),
}
"""Bytes a parameter of weights, gradients and optimizer: ZeRO, arXiv 1910.02054, section 3."""

ADAPTER_STATE, PAGED_STATE = 16, 8
"""Bytes a trained adapter weight: as full mixed precision training; paged, its moments are away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a training job is laid out over GPUs."""

    n_gpus: int = 1
    micro_batch: int = 1
    sharding: Sharding = "zero3"
    checkpointing: Checkpointing = "full"
    tensor_parallel: int = 1
    sequence_parallel: bool = True
    optimizer: str = "adamw"
    frozen_bits: float = 16
    """Width of the weights that LoRA leaves alone; QLoRA's are always 4 bits."""
    trains_embeddings: bool = False
    """LoRA with the embedding and output layers trained whole beside it."""

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise BadInput(f"no optimizer is called {self.optimizer!r}; {', '.join(OPTIMIZERS)}")
        if min(self.n_gpus, self.micro_batch, self.tensor_parallel) < 1:
            raise BadInput("GPUs, micro-batch and tensor parallelism are at least 1")
        if self.n_gpus % self.tensor_parallel:
            raise BadInput("tensor parallelism must divide the number of GPUs")

    @property
    def replicas(self) -> int:
        """The data-parallel degree, over which ZeRO divides."""
        return self.n_gpus // self.tensor_parallel


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes of one GPU by what they hold."""

    states: float
    """Weights, gradients and optimizer, sharded."""
    gathered: float
    """Whole layers that a sharded run fetches before it needs them."""
    activations: float
    logits: float
    fixed: float
    """CUDA context, workspaces, communication buffers."""

    @property
    def total(self) -> float:
        """All of it, in bytes."""
        return self.states + self.gathered + self.activations + self.logits + self.fixed


def parts(job: Training, setup: Setup) -> Parts:
    """Return what one GPU holds at the peak of a step, by part, in bytes."""
    tokens = setup.micro_batch * job.seq_len
    return Parts(
        states=states_bytes(job, setup),
        gathered=_gathered(job, setup),
        activations=tokens * activation_bytes_token(job, setup),
        logits=tokens
        * job.model.vocab
        * constant("memory.logit_bytes").value
        / setup.tensor_parallel,
        fixed=constant("memory.fixed_gib").value * GIB,
    )


def states_bytes(job: Training, setup: Setup) -> float:
    """Return the bytes of weights, gradients and optimizer on one GPU, by method and ZeRO stage."""
    model, cut = job.model, setup.tensor_parallel
    if job.method in ("lora", "qlora"):
        base = frozen_bytes(model, 4 if job.method == "qlora" else setup.frozen_bits)
        each = PAGED_STATE if setup.optimizer.startswith("paged") else ADAPTER_STATE
        trained = adapter_params(model) * each + _embeddings(job, setup)
        sharded = setup.replicas if setup.sharding == "zero3" else 1
        return (base / sharded + trained / _shards(setup)[2]) / cut
    weights, gradients, optimizer = (model.params * per for per in OPTIMIZERS[setup.optimizer])
    reference = 2 * model.params if job.method == "dpo" else 0.0
    teacher = 2 * job.teacher.params if job.teacher and job.method == "distill" else 0.0
    z = _shards(setup)
    return ((weights + reference + teacher) / z[0] + gradients / z[1] + optimizer / z[2]) / cut


def _shards(setup: Setup) -> tuple[int, int, int]:
    """Return over how many GPUs weights, gradients and optimizer are divided."""
    stage = {"ddp": 0, "zero1": 1, "zero2": 2, "zero3": 3}[setup.sharding]
    n = setup.replicas
    return (n if stage >= 3 else 1, n if stage >= 2 else 1, n if stage >= 1 else 1)


def frozen_bytes(model: Model, bits: float) -> float:
    """Return the bytes of weights that are not trained; embeddings are never below 16 bits.

    Below 8 bits each takes its scales too: NF4 with blocks of 64 is 0.5 + 4/64 bytes, double
    quantised 0.516 (QLoRA, arXiv 2305.14314).
    """
    if bits <= 0:
        raise BadInput("bits of a weight must be above 0")
    kept = min(model.embeddings, model.params / 2) if bits < WHOLE_BITS else 0.0
    each = constant("memory.four_bit_bytes").value * bits / 4 if bits < BYTE else bits / BYTE
    return each * (model.params - kept) + 2.0 * kept


def adapter_params(model: Model) -> float:
    """Return the weights of adapters: a share of the model, as rank 32 on every layer has."""
    return constant("memory.adapter_share").value * model.active


def _embeddings(job: Training, setup: Setup) -> float:
    each = constant("memory.trained_embedding_bytes").value
    return each * job.model.embeddings if setup.trains_embeddings else 0.0


def _gathered(job: Training, setup: Setup) -> float:
    """Return the layers in flight of ZeRO-3 and FSDP: two, and the embeddings, at 16 bits."""
    if setup.sharding != "zero3" or setup.replicas == 1:
        return 0.0
    width = constant("memory.four_bit_bytes").value if job.method == "qlora" else 2.0
    layer = (job.model.params - job.model.embeddings) / job.model.layers
    return (2 * width * layer + job.model.embeddings * 2) / setup.tensor_parallel


def layer_bytes_token(job: Training) -> float:
    """Return bytes per token that one layer keeps when nothing is recomputed, FlashAttention on.

    Korthikanti et al. (arXiv 2205.05198) count 34 bytes of the hidden width for a GPT with a 4h
    wide MLP, 16 of them in the MLP. A gated MLP keeps gate, product and activation; frozen
    weights need no inputs kept.
    """
    model = job.model
    inside = model.ffn or 4 * model.hidden
    if model.sparse and model.top_k and model.ffn:
        inside = model.ffn * (model.top_k + 1)
    keys = 4 * (model.kv_heads / model.heads)
    attention = model.hidden * (constant("memory.attention_bytes").value + keys)
    return attention + inside * constant(f"memory.mlp_bytes.{_mlp(model)}").value


def _mlp(model: Model) -> str:
    """Tell a gated MLP (three matrices, width not 4h) from a plain one."""
    return "plain" if model.ffn is None or model.ffn == 4 * model.hidden else "gated"


def activation_bytes_token(job: Training, setup: Setup) -> float:
    """Return bytes per token of all layers' activations on one GPU.

    Full checkpointing keeps a layer's 16-bit input and one layer in work; selective keeps the
    products' results, about half of everything (torchtitan's per-op policy).
    """
    model, whole = job.model, layer_bytes_token(job)
    if setup.checkpointing == "none":
        kept = model.layers * whole
    elif setup.checkpointing == "selective":
        kept = model.layers * whole * constant("memory.selective_share").value
    else:
        kept = model.layers * 2 * model.hidden + whole
    split = setup.tensor_parallel if setup.sequence_parallel else 1
    return kept / split


def korthikanti_bytes(
    model: Model,
    seq_len: int,
    micro_batch: int,
    tensor_parallel: int = 1,
    *,
    sequence: bool = False,
) -> float:
    """Return bytes of one layer's activations without FlashAttention or recomputation.

    sbh(34 + 5as/h); with tensor parallelism sbh(10 + 24/t + 5as/ht); with sequence parallelism
    all of it over t (arXiv 2205.05198, equations 1, 2 and 4).
    """
    t, sbh = tensor_parallel, seq_len * micro_batch * model.hidden
    scores = 5 * model.heads * seq_len / model.hidden
    if sequence:
        return sbh * (34 + scores) / t
    return sbh * (10 + 24 / t + scores / t)


def training_memory(
    job: Training,
    n_gpus: int,
    *,
    micro_batch: int | None = None,
    sharding: Sharding = "zero3",
    checkpointing: bool = True,
    tensor_parallel: int = 1,
    optimizer: str = "adamw",
) -> Estimate:
    """Return the peak memory of one GPU in GiB; the micro-batch is the job's unless stated."""
    setup = Setup(
        n_gpus=n_gpus,
        micro_batch=micro_batch or job.micro_batch,
        sharding=sharding,
        checkpointing="full" if checkpointing else "none",
        tensor_parallel=tensor_parallel,
        optimizer=optimizer,
    )
    return memory_estimate(job, setup)


def memory_estimate(job: Training, setup: Setup) -> Estimate:
    """Return the sum of the parts in GiB, with the interval of published measurements."""
    spread = constant("memory.interval")
    said = f"{setup.optimizer}, {setup.sharding}, checkpointing {setup.checkpointing}"
    return within(
        parts(job, setup).total / GIB,
        "GiB per GPU",
        spread.ratios,
        Assumption("training memory", said, "ZeRO, arXiv 1910.02054; arXiv 2205.05198"),
        spread.assumption,
    )


def largest_params(memory_bytes: float, bytes_param: float) -> float:
    """Return the most parameters that a card trains at so many bytes each, activations left out."""
    if bytes_param <= 0:
        raise BadInput("bytes of a parameter must be above 0")
    return math.floor(memory_bytes / bytes_param)
