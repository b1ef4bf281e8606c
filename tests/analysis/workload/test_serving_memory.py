"""Memory of serving: published sizes of caches and weights, and what fits."""

import pytest

from gputape.analysis.workload.layout import Layout, read, spread
from gputape.analysis.workload.models import Model, model, sized
from gputape.analysis.workload.serving_memory import (
    GIB,
    free_gib,
    kv_gib,
    kv_gpu_gib,
    largest_batch,
    serving_memory,
    weights_gib,
)
from gputape.analysis.workload.steptime import routed
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus

MIB = 2**20


@pytest.mark.parametrize(
    ("name", "mib"),
    [("llama-3.1-8b", 0.125), ("llama-3.1-70b", 0.3125), ("llama-3.1-405b", 0.492)],
)
def test_cache_of_a_token_is_that_of_the_configuration(name: str, mib: float) -> None:
    """2 x layers x KV heads x head size x 2 bytes."""
    assert kv_gib(model(name), 1, 1) * GIB / MIB == pytest.approx(mib, abs=0.0005)


def test_hf_blog_prints_twice_the_cache_of_405b() -> None:
    """Its 0.984 GB per 1,000 tokens counts 16 KV heads; the configuration has 8."""
    assert kv_gib(model("llama-3.1-405b"), 1, 1000) * GIB / MIB / 1000 == pytest.approx(
        0.984 / 2, abs=0.001
    )


def test_latent_attention_keeps_576_numbers_a_layer_on_every_gpu() -> None:
    """DeepSeek-V3: 61 x 576 x 2 bytes, 70 kB a token, not cut by tensor parallelism."""
    shape = model("deepseek-v3")
    assert kv_gib(shape, 1, 1) * GIB == 61 * 576 * 2
    eight = kv_gpu_gib(shape, Layout(gpus=8, tensor=8), 1000, 16)
    assert eight == kv_gpu_gib(shape, Layout(gpus=1), 1000, 16)


def test_grouped_heads_are_cut_no_further_than_their_number() -> None:
    """Eight KV heads over sixteen GPUs: each GPU still keeps one whole head."""
    shape = model("llama-3.1-70b")
    one = kv_gpu_gib(shape, Layout(gpus=1), 1000, 16)
    assert kv_gpu_gib(shape, Layout(gpus=8, tensor=8), 1000, 16) == pytest.approx(one / 8)
    assert kv_gpu_gib(shape, Layout(gpus=16, tensor=16), 1000, 16) == pytest.approx(one / 8)


def test_sliding_layers_keep_their_window_only() -> None:
    """gpt-oss: half the layers look back 128 tokens."""
    shape = model("gpt-oss-120b")
    token = shape.kv_bytes_token / GIB
    assert kv_gib(shape, 1, 128) == pytest.approx(128 * token)
    assert kv_gib(shape, 1, 10_000) == pytest.approx((10_000 + 128) / 2 * token)


def test_gpt_3_weighs_700_gb_only_in_32_bits() -> None:
    """The article's 700 GB holds for FP32; served in 16 bits it is 350 GB."""
    gpt3 = model("gpt-3-175b")
    assert weights_gib(gpt3, 32) * GIB == 700e9
    assert weights_gib(gpt3, 16) * GIB == 350e9


def test_a_24_gb_card_serves_about_40b_at_four_bits() -> None:
    """24 GB over 0.55 bytes a weight is 44B less cache: 32B fits a 4090 and 70B does not."""
    card = gpus()["rtx-4090-24"]
    assert largest_batch(sized(32e9), card, 1, 4.15, 512, 128) >= 1
    assert largest_batch(model("llama-3.1-70b"), card, 1, 4.15, 512, 128) == 0


def test_routed_weights_follow_from_total_and_active() -> None:
    """Mixtral 8x7B: 45 of its 47 billion weights lie in experts."""
    mixtral = model("mixtral-8x7b")
    assert routed(mixtral) == pytest.approx(45.07e9, rel=0.01)
    assert routed(model("llama-3.1-8b")) == 0


def test_more_memory_never_lowers_the_batch() -> None:
    """H100 80, H200 141 and MI300X 192 hold ever more sequences; longer ones ever fewer."""
    shape = model("llama-3.1-70b")
    parts = [gpus()[id_] for id_ in ("h100-sxm-80", "h200-sxm-141", "mi300x-192")]
    batches = [largest_batch(shape, part, 2, 8, 1000, 1000) for part in parts]
    assert 0 < batches[0] < batches[1] < batches[2]
    longer = [largest_batch(shape, parts[1], 2, 8, n_in, 1000) for n_in in (100, 1000, 10_000)]
    assert longer[0] > longer[1] > longer[2] > 0
    assert largest_batch(shape, parts[1], 2, 8, 1000, 1000, kv_bits=8) >= 2 * longer[1]


def test_memory_of_a_gpu_adds_up() -> None:
    """Llama 3.1 8B in 16 bits with 32 x 4,096 tokens: 15.4 + 16 + 2 GiB; two GPUs halve it."""
    shape = model("llama-3.1-8b")
    one = serving_memory(shape, 16, 32, 4096, 1)
    assert one.point == pytest.approx(14.96 * 1.03 + 16 + 2, abs=0.05)
    two = serving_memory(shape, 16, 32, 4096, 2)
    assert two.point == pytest.approx((one.point - 2) / 2 + 2, abs=0.01)
    assert one.low < one.point < one.high
    assert {a.name for a in one.assumptions} == {"serving.weight_overhead", "serving.reserve_gib"}


def test_what_does_not_fit_leaves_less_than_nothing() -> None:
    """405B in 8 bits is more than four H100s hold, and less than eight H200s."""
    shape = model("llama-3.1-405b")
    h100, h200 = gpus()["h100-sxm-80"], gpus()["h200-sxm-141"]
    assert free_gib(shape, h100, Layout(gpus=4, tensor=4), 8) < 0
    assert free_gib(shape, h200, Layout(gpus=8, tensor=8), 8) > 0


@pytest.mark.parametrize(
    ("gpu", "gpus_", "tensor", "pipeline"),
    [("h100-sxm-80", 8, 8, 1), ("h100-sxm-80", 16, 8, 2), ("l40s-48", 4, 1, 4)],
)
def test_tensor_parallelism_stays_inside_a_fast_domain(
    gpu: str, gpus_: int, tensor: int, pipeline: int
) -> None:
    """Eight GPUs of a server share heads; beyond, and over PCIe, layers are dealt out."""
    found = spread(model("llama-3.1-70b"), gpus()[gpu], gpus_)
    assert (found.tensor, found.pipeline) == (tensor, pipeline)


def test_tensor_parallelism_divides_the_heads() -> None:
    """Qwen2.5-7B has 28 heads: on eight GPUs four share them, twice."""
    found = spread(model("qwen2.5-7b"), gpus()["h100-sxm-80"], 8)
    assert (found.tensor, found.pipeline) == (4, 2)


def test_words_of_a_table_are_a_layout() -> None:
    """TP2PP2 of four GPUs, and attention data parallel with experts."""
    assert read("TP2PP2", 4) == Layout(gpus=4, tensor=2, pipeline=2)
    assert read("DEP8", 8) == Layout(gpus=8, data=8, experts=8)
    assert read("", 8) is None


@pytest.mark.parametrize("bits", [0, -4])
def test_impossible_widths_are_refused(bits: float) -> None:
    """A weight takes more than no bits."""
    tiny: Model = sized(1e9)
    with pytest.raises(BadInput, match="above 0"):
        weights_gib(tiny, bits)
