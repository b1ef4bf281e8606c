"""Throughput: the working of the source articles, properties, and input that cannot be served."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gputape.analysis.workload.layout import Layout
from gputape.analysis.workload.models import model, sized
from gputape.analysis.workload.precision import parsed
from gputape.analysis.workload.steptime import Work, prompt_terms, steady, terms, touched
from gputape.analysis.workload.throughput import decode_batch1, offline
from gputape.analysis.workload.work import prefill_flop, request_flop
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus

H100 = gpus()["h100-sxm-80"]
A100 = gpus()["a100-sxm-80"]


def work(name: str, tensor: int = 1) -> Work:
    """Return a model in 8 bits on H100s."""
    return Work(model(name), H100, Layout(gpus=tensor, tensor=tensor), parsed("fp8"))


@pytest.mark.parametrize(("params", "printed"), [(340e6, 680e9), (6e9, 12e12), (175e9, 350e12)])
def test_the_article_counted_1000_tokens_and_not_1024(params: float, printed: float) -> None:
    """2·N·n gives its figures at n = 1,000; at the 1,024 of its text they are 2.4 % higher."""
    assert 2 * params * 1000 == pytest.approx(printed)
    assert 2 * params * 1024 == pytest.approx(printed * 1.024)


def test_a_request_pays_for_input_and_output() -> None:
    """The article's rule counts tokens once; 1,000 in and 1,000 out of GPT-3 are 7.0e14 FLOP."""
    both = request_flop(model("gpt-3-175b"), 1000, 1000)
    assert both == pytest.approx(7.0e14, rel=0.02)
    assert prefill_flop(model("gpt-3-175b"), 1000) == pytest.approx(both / 2, rel=0.02)


def test_a_pass_of_gpt_3_takes_a_second_on_an_a100_at_its_peak() -> None:
    """350e12 FLOP over 312e12 a second: 1.12 s; 32.4 hours at one FLOP a cycle of 3 GHz."""
    gpt3 = sized(175e9, layers=96, hidden=12288, heads=96)
    ideal = prompt_terms(Work(gpt3, A100, Layout(gpus=1), parsed("bf16")), 1, 1000)["prefill"]
    assert ideal == pytest.approx(1.12, rel=0.02)
    assert pytest.approx(32.4, abs=0.05) == 350e12 / 3e9 / 3600


def test_training_is_about_a_billion_times_a_prompt() -> None:
    """3 x 300 billion tokens over 1,024: 8.8e8, which the article rounds to a billion."""
    assert pytest.approx(8.8e8, rel=0.01) == 3 * 300e9 / 1024


def test_1000_tokens_of_gpt_3_overlap_the_article_s_price() -> None:
    """1.12 s of an A100 at $0.88 to $5.12 an hour: $0.00027 to $0.0016, not $0.0002 to $0.0014."""
    low, high = (1.122 * rate / 3600 for rate in (0.88, 5.12))
    assert (low, high) == pytest.approx((0.00027, 0.0016), rel=0.02)
    assert low < 0.0014
    assert high > 0.0002


def test_deepseek_s_decode_node_costs_30_cents_a_million() -> None:
    """14,800 tokens/s of eight H800 at $2 an hour (open-infra-index, day 6)."""
    assert pytest.approx(0.30, abs=0.005) == 8 * 2 / (14_800 * 3600) * 1e6


def test_four_bits_are_less_than_four_times_faster() -> None:
    """Linear in bits is an upper bound: a 7B gains 1.5 to 2.2x on vLLM, 1.83x measured."""
    speed = [
        decode_batch1(model("qwen2.5-7b"), A100, 1, name, 1, 2048, engine="vllm").point
        for name in ("bf16", "GPTQ-Int4")
    ]
    assert 1.5 < speed[1] / speed[0] < 2.2


@pytest.mark.parametrize("name", ["llama-3.1-8b", "mixtral-8x7b", "gpt-oss-120b"])
def test_a_larger_batch_never_lowers_tokens_a_second(name: str) -> None:
    """Time per step grows with the batch, but slower than the batch does."""
    found = [offline(model(name), H100, 4, "fp8", 500, 500, batch=4**k) for k in range(2, 6)]
    assert all(a.tokens_s.point <= b.tokens_s.point * 1.0001 for a, b in pairwise(found))
    assert all(a.tpot_ms.point <= b.tpot_ms.point for a, b in pairwise(found))


def test_a_wider_group_reads_faster_and_talks_more() -> None:
    """Tensor parallelism cuts weights and adds traffic and hops."""
    one, eight = (terms(work("llama-3.1-8b", t), 8, 1000) for t in (1, 8))
    assert eight["weights"] == pytest.approx(one["weights"] / 8)
    assert one["traffic"] == one["hops"] == 0
    assert eight["traffic"] > 0
    assert eight["hops"] > 0


def test_stages_of_a_pipeline_read_their_weights_for_every_small_batch() -> None:
    """Pipeline parallelism divides cache and products and never the time to read weights."""
    one = work("llama-3.1-8b")
    four = replace(one, layout=Layout(gpus=4, pipeline=4))
    whole, staged = terms(one, 64, 1000), terms(four, 64, 1000)
    assert staged["weights"] == whole["weights"]
    assert staged["compute"] == pytest.approx(whole["compute"] / 4)
    assert terms(four, 1, 1000)["kv"] == terms(one, 1, 1000)["kv"]


def test_a_batch_touches_ever_more_experts() -> None:
    """One token reads 8 of 256, a thousand read all: 1 − (1 − k/E)^B."""
    shape = model("deepseek-v3")
    assert touched(shape, 1) == pytest.approx(8 / 256)
    assert touched(shape, 1000) == pytest.approx(1)
    assert all(touched(shape, n) < touched(shape, 2 * n) for n in (1, 8, 64))


def test_prompts_that_enter_slow_the_step() -> None:
    """Short answers behind long prompts pay for a prompt every few steps."""
    short, long = (steady(work("llama-3.1-8b"), 32, 4096, n) for n in (128, 1024))
    assert short["prefill"] == pytest.approx(8 * long["prefill"])


@pytest.mark.parametrize("gpu", ["b200-sxm-180", "mi300x-192", "l4-24", "gaudi3", "tpu-v6e"])
def test_every_kind_of_part_gets_a_figure_with_its_doubt(gpu: str) -> None:
    """Parts and engines that nobody measured get pooled constants and a wider interval."""
    found = offline(model("llama-3.1-8b"), gpus()[gpu], 1, "bf16", 500, 500)
    width = found.tokens_s.high / found.tokens_s.low
    seen = offline(model("llama-3.1-8b"), H100, 1, "bf16", 500, 500, engine="tensorrt-llm")
    assert found.tokens_s.point > 0
    assert width > seen.tokens_s.high / seen.tokens_s.low
    assert any(a.name == "layout" for a in found.assumptions)


def test_the_ends_of_rate_and_time_belong_together() -> None:
    """The shortest time per token is that of the highest rate: batch over tokens a second."""
    found = offline(model("llama-3.1-8b"), H100, 1, "fp8", 500, 500, batch=64)
    assert found.tpot_ms.low == pytest.approx(64e3 / found.tokens_s.high)
    assert found.tpot_ms.high == pytest.approx(64e3 / found.tokens_s.low)


def test_a_faster_part_serves_faster() -> None:
    """Llama 3.1 8B: B200 before H200 before H100 before A100 before L4."""
    names = ("b200-sxm-180", "h200-sxm-141", "h100-sxm-80", "a100-sxm-80", "l4-24")
    rates = [
        offline(model("llama-3.1-8b"), gpus()[name], 1, "bf16", 500, 500).tokens_s.point
        for name in names
    ]
    assert rates == sorted(rates, reverse=True)


def test_two_small_copies_may_beat_one_wide_group() -> None:
    """An 8B that fits on one GPU is served as eight copies, not cut in eight."""
    found = offline(model("llama-3.1-8b"), H100, 8, "fp8", 500, 500)
    assert any(a.name == "layout" and "x8" in a.value for a in found.assumptions)


@pytest.mark.parametrize(
    ("gpu", "precision", "n_in", "why"),
    [
        ("h100-sxm-80", "fp4", 100, "has no fp4 arithmetic"),
        ("a100-sxm-80", "fp8", 100, "has no fp8 arithmetic"),
        ("h100-sxm-80", "bf16", 100, "does not fit on 1 x"),
        ("h100-sxm-80", "fp8", 200_000, "more than the 131072"),
        ("h100-sxm-80", "fp8", -1, "at least 0"),
    ],
)
def test_what_cannot_be_served_is_refused(gpu: str, precision: str, n_in: int, why: str) -> None:
    """A sentence says what is wrong."""
    with pytest.raises(BadInput, match=why):
        offline(model("llama-3.1-70b"), gpus()[gpu], 1, precision, n_in, 100)


def test_an_encoder_writes_nothing() -> None:
    """BERT has no tokens per second."""
    with pytest.raises(BadInput, match="encoder"):
        offline(model("bert-large"), H100, 1, "bf16", 100, 100)
