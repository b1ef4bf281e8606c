"""The ideal times that one decoding step and one prefill are made of.

Every term is in seconds at the printed peak of the part: bytes over bandwidth, operations over
the dense rate, counts times a unit of time. A fitted multiple of each makes the real time
(`throughput.py`); a multiple of 1 would be a machine without losses. Roofline after Pope et al.,
arXiv 2211.05102, and JAX scaling book, "inference".
"""

import math
from dataclasses import dataclass

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.layout import Layout, domain, linked, nodes
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import Precision, peak_tflops
from gputape.analysis.workload.work import decode_flop_token
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

TERMS = (
    "weights",  # every weight outside the experts, read once a step
    "experts",  # the experts that the batch touches
    "kv",  # keys and values of every sequence
    "compute",  # products of the step
    "prefill",  # products of the prompts that share the GPU with the step
    "sparse_prefill",  # the same again when they pass through experts
    "traffic",  # partial sums over the links
    "layers",  # ten microseconds a layer: kernels that are too short to matter
    "sparse_layers",  # the same of layers with experts: routing and its many small kernels
    "hops",  # ten microseconds a layer and doubling of the group that must agree
    "across",  # the same where the group spans servers
    "sequences",  # ten microseconds a sequence: sampling, scheduling, detokenising
    "step",  # a millisecond a step
)
EIGHT = 8.0
TICK = 1e-5  # the unit of time of the counted terms, in seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What is served on what, all that the terms of its time depend on."""

    model: Model
    gpu: Gpu
    layout: Layout
    precision: Precision
    kv_bits: float = 16.0

    @property
    def link_bytes_s(self) -> float:
        """One way between two GPUs of the group, in B/s."""
        if self.layout.gpus > max(8, domain(self.gpu)):
            return constant("serving.network_gb_s").value * 1e9
        if linked(self.gpu):
            return float(self.gpu.scaleup_gb_s or 0) / 2 * 1e9
        return constant("serving.pcie_gb_s").value * 1e9

    @property
    def bandwidth(self) -> float:
        """Memory bandwidth of one GPU in B/s."""
        if self.gpu.bandwidth_gb_s is None:
            raise BadInput(f"the memory bandwidth of {self.gpu.id} is not known; name the variant")
        return float(self.gpu.bandwidth_gb_s) * 1e9

    @property
    def peak(self) -> float:
        """Dense rate of one GPU in the precision, in FLOP/s."""
        rate = peak_tflops(self.gpu, self.precision.name)
        if rate is None:
            raise BadInput(f"the rate of {self.gpu.id} is not known")
        return rate * 1e12


def routed(model: Model) -> float:
    """Return the weights that lie in experts.

    N = other + routed and N_active = other + routed·k/E give routed = (N − N_active)/(1 − k/E).
    """
    if not model.sparse or not model.experts or not model.top_k:
        return 0.0 if not model.sparse else float(model.params - model.active)
    share = model.top_k / model.experts
    return min(float(model.params), (model.params - model.active) / (1 - share))


def touched(model: Model, tokens: float) -> float:
    """Return the share of the experts that a batch of tokens reads: 1 − (1 − k/E)^tokens."""
    if not model.experts or not model.top_k:
        share = model.active / model.params
    else:
        share = model.top_k / model.experts
    spared: float = (1.0 - share) ** max(tokens, 1.0)
    return 1.0 - spared


def kv_step_bytes(model: Model, context: float, bits: float) -> float:
    """Return bytes of cache that one sequence reads a step; a sliding layer reads its window."""
    tokens = seen(model, context)
    return model.kv_bytes_token * tokens * bits / 16.0


def seen(model: Model, context: float) -> float:
    """Return the tokens of context that a layer reads on average."""
    if not model.window or not model.window_layers:
        return context
    sliding = model.window_layers / model.layers
    return context * (1 - sliding) + min(context, float(model.window)) * sliding


def kv_shards(model: Model, tensor: int) -> float:
    """Return into how many parts tensor parallelism cuts the cache: heads are not cut further.

    Latent attention has one head of cache, which every GPU of the group keeps (DeepSeek-V2,
    arXiv 2405.04434).
    """
    latent = model.kv_bytes_token < 4 * model.layers * model.kv_heads * model.head_dim
    return 1.0 if latent else float(min(tensor, model.kv_heads))


def terms(work: Work, batch: float, context: float) -> dict[str, float]:
    """Return the ideal times of one decoding step of `batch` sequences (the whole replica's)."""
    model, layout = work.model, work.layout
    each = batch / layout.data
    wide = layout.tensor * layout.data
    inside = routed(model)
    other = (model.params - inside) * other_bits_of(model, work.precision.bits) / 8
    experts = inside * touched(model, batch / layout.pipeline) * work.precision.bits / 8
    kv = each * kv_step_bytes(model, context, work.kv_bits) / kv_shards(model, layout.tensor)
    # pipeline stages hold 1/p of the layers and pass p small batches a step: weights are read
    # as often as without, cache and products once
    flops = batch * decode_flop_token(model, seen(model, context))
    stages = min(float(layout.pipeline), max(batch, 1.0))  # busy at once
    return {
        "weights": other / layout.tensor / work.bandwidth,
        "experts": experts / wide / work.bandwidth,
        "kv": kv / stages / work.bandwidth,
        "compute": flops / (wide * stages * work.peak),
        "prefill": 0.0,
        "sparse_prefill": 0.0,
        "traffic": each * traffic_bytes(work) / work.link_bytes_s / stages,
        **counted(work),
        "sequences": batch * TICK,
        "step": 1e-3,
    }


def counted(work: Work) -> dict[str, float]:
    """Return the times that hang on layers and hops alone."""
    depth = work.model.layers * TICK
    group = max(work.layout.tensor, work.layout.experts, work.layout.gpus // work.layout.pipeline)
    far = nodes(work.gpu, group)
    return {
        "layers": depth,
        "sparse_layers": depth if work.model.sparse else 0.0,
        "hops": depth * math.log2(min(group, 8)) if group > 1 else 0.0,
        "across": depth * math.log2(far) if far > 1 else 0.0,
    }


def other_bits_of(model: Model, bits: float) -> float:
    """Return the bits of a weight outside the experts, when those inside have `bits`.

    Four-bit checkpoints of sparse models keep attention wider (gpt-oss and NVIDIA's NVFP4
    DeepSeek-R1: 16 and 8 bits in their model cards).
    """
    return 12.0 if model.experts and bits < EIGHT else bits


def traffic_bytes(work: Work) -> float:
    """Return bytes that one token sends from each GPU: two all-reduces of h a layer at 16 bits.

    A ring sends 2(t − 1)/t of the sum (Megatron-LM, arXiv 1909.08053 section 3).
    """
    group = max(work.layout.tensor, work.layout.experts)
    if group == 1:
        return 0.0
    return 2 * work.model.layers * work.model.hidden * 2 * 2 * (group - 1) / group


def prompt_terms(work: Work, prompts: float, n_in: float) -> dict[str, float]:
    """Return the ideal times of reading `prompts` prompts of `n_in` tokens at once.

    2·N_active·n plus 2·L·h_a·n·(n seen): the causal half of the attention.
    """
    model, layout = work.model, work.layout
    flops = n_in * decode_flop_token(model, seen(model, n_in) / 2)
    tokens = prompts * n_in / layout.data
    products = prompts * flops / (layout.gpus * work.peak)
    return {
        "prefill": products,
        "sparse_prefill": products if model.sparse else 0.0,
        "traffic": tokens * traffic_bytes(work) / work.link_bytes_s / layout.pipeline,
    }


def steady(work: Work, batch: float, n_in: float, n_out: float) -> dict[str, float]:
    """Return the terms of a step of a busy server, where a prompt enters for each answer done.

    In n_out steps each of the `batch` places reads one prompt: 1/n_out of a prompt a place a step.
    """
    step = terms(work, batch, n_in + n_out / 2)
    prompt = prompt_terms(work, batch / max(n_out, 1.0), n_in)
    return {name: value + prompt.get(name, 0.0) for name, value in step.items()}
