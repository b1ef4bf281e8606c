"""What serving a model keeps in memory: weights, the cache of keys and values, a reserve.

weights_gib(model("llama-3.1-70b"), 4.15)                 34 GiB
serving_memory(model("llama-3.1-8b"), 16, batch=32, context=4096, n_gpus=1)
largest_batch(model("llama-3.1-8b"), gpu, 1, 8, n_in=1000, n_out=1000)
"""

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.layout import Layout, spread
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.steptime import kv_shards, other_bits_of, routed, seen
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

GIB = 2**30


def weights_gib(model: Model, bits: float) -> float:
    """Return the weights in GiB at so many bits each, scales counted in the bits."""
    if bits <= 0:
        raise BadInput("bits of a weight must be above 0")
    return model.params * bits / 8 / GIB


def kv_gib(model: Model, batch: float, context: float, kv_bits: float = 16) -> float:
    """Return the cache of `batch` sequences of `context` tokens in GiB, kept once.

    2·L·H_kv·d_h values a token; latent attention L·576 (arXiv 2405.04434); a sliding layer
    keeps its window only.
    """
    if batch < 0 or context < 0:
        raise BadInput("a batch and a context are at least 0")
    return batch * model.kv_bytes_token * seen(model, context) * kv_bits / 16 / GIB


def weights_gpu_gib(model: Model, bits: float, layout: Layout) -> float:
    """Return the weights that one GPU of a layout holds, in GiB.

    Experts are cut over all GPUs; attention is kept once in each data parallel group.
    """
    inside = routed(model)
    other = (model.params - inside) * other_bits_of(model, bits)
    held = inside * bits / layout.gpus + other / (layout.tensor * layout.pipeline)
    return held / 8 / GIB


def kv_gpu_gib(model: Model, layout: Layout, context: float, kv_bits: float) -> float:
    """Return the cache in GiB that one sequence of the replica takes on the average GPU."""
    shards = kv_shards(model, layout.tensor) * layout.pipeline * layout.data
    return kv_gib(model, 1, context, kv_bits) / shards


def serving_memory(
    model: Model, bits: float, batch: float, context: float, n_gpus: int, kv_bits: float = 16
) -> Estimate:
    """Return what one of `n_gpus` tensor parallel GPUs holds in GiB: weights, cache and reserve."""
    layout = Layout(gpus=n_gpus, tensor=n_gpus)
    overhead, reserve = constant("serving.weight_overhead"), constant("serving.reserve_gib")
    kept = batch * kv_gpu_gib(model, layout, context, kv_bits)
    weights = weights_gpu_gib(model, bits, layout)
    point = weights * overhead.value + kept + reserve.value
    low = weights * overhead.value * overhead.ratios[0] + kept + reserve.value * reserve.ratios[0]
    high = weights * overhead.value * overhead.ratios[1] + kept + reserve.value * reserve.ratios[1]
    ratios = (low / point, high / point)
    return within(point, "GiB per GPU", ratios, overhead.assumption, reserve.assumption)


def free_gib(model: Model, gpu: Gpu, layout: Layout, bits: float) -> float:
    """Return the GiB of one GPU left for the cache; negative when the weights do not fit."""
    usable = float(gpu.memory_gib) * constant("serving.memory_share").value
    weights = weights_gpu_gib(model, bits, layout) * constant("serving.weight_overhead").value
    return usable - weights - constant("serving.reserve_gib").value


def largest_batch(
    model: Model,
    gpu: Gpu,
    n_gpus: int,
    bits: float,
    n_in: float,
    n_out: float,
    kv_bits: float = 16,
) -> int:
    """Return how many sequences fit at once, each at its full length; 0 when none does."""
    layout = spread(model, gpu, n_gpus)
    return int(room(model, gpu, layout, bits, n_in + n_out, kv_bits))


def room(
    model: Model, gpu: Gpu, layout: Layout, bits: float, context: float, kv_bits: float
) -> float:
    """Return how many sequences of a context fit in the memory that a layout leaves."""
    free = free_gib(model, gpu, layout, bits)
    each = kv_gpu_gib(model, layout, max(context, 1.0), kv_bits)
    if free <= 0:
        return 0.0
    return free / each if each else float("inf")
