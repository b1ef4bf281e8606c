"""FLOP of training and inference, against the seed articles' figures and published formulas."""

from typing import Any

import pytest

from gputape.analysis.workload.accelerator import meant
from gputape.analysis.workload.models import Model, model, sized
from gputape.analysis.workload.work import (
    Method,
    Training,
    attention_flop_token,
    decode_flop_token,
    flop_token,
    megatron_flop_step,
    optimal_tokens,
    prefill_flop,
    pretraining_flop,
    request_flop,
    saved_by_distilling,
    train_flop_token,
    training_flop,
)
from gputape.store.errors import BadInput

BERT, GPT_J, GPT_3 = sized(340e6), sized(6e9), sized(175e9)
A100 = 312e12  # FLOP/s, dense BF16
LLAMA = model("llama-3.1-8b")


def test_bert_needs_billions_of_words_for_the_printed_figure() -> None:
    """F01: the article prints 6.73e18 FLOP for 3.3 million words; only 3.3 billion give that."""
    assert pretraining_flop(BERT, 3.3e9, None) == pytest.approx(6.732e18)
    assert pretraining_flop(BERT, 3.3e6, None) == pytest.approx(6.732e15)


def test_bert_really_ran_forty_epochs() -> None:
    """F02: a million steps of 131,072 tokens are 40 epochs: 2.7e20 FLOP, not 6.7e18."""
    job = Training(model=BERT, tokens=131_072e6 / 40, epochs=40, seq_len=1)
    assert training_flop(job) == pytest.approx(2.7e20, rel=0.02)


@pytest.mark.parametrize(
    ("shape", "tokens", "flop"),
    [(GPT_J, 402e9, 1.447e22), (GPT_3, 300e9, 3.150e23)],
)
def test_the_articles_training_figures_are_six_n_d(
    shape: Model, tokens: float, flop: float
) -> None:
    """F03, F04: 1.45e22 for GPT-J and 3.14e23 for GPT-3 (its exact 174.6 billion) are 6·N·D."""
    assert pretraining_flop(shape, tokens, None) == pytest.approx(flop, rel=0.005)


@pytest.mark.parametrize(
    ("shape", "printed"), [(BERT, 680e9), (GPT_J, 12e12), (GPT_3, 350e12)], ids=["bert", "j", "3"]
)
def test_the_articles_inference_figures_are_of_1000_tokens(shape: Model, printed: float) -> None:
    """F05-F07: 2·n·p gives the printed figures for n = 1,000, though the text says 1,024."""
    linear = 2 * shape.active
    assert 1000 * linear == pytest.approx(printed)
    assert 1024 * linear == pytest.approx(printed * 1.024)


def test_input_and_output_tokens_both_count() -> None:
    """F08: the rule 2·n·p counts n once; a request of 1,000 in and 1,000 out takes twice that."""
    both = request_flop(GPT_3, 1000, 1000)
    assert both == pytest.approx(7.0e14, rel=0.02)
    assert both > 7.0e14  # attention comes on top


def test_a_trained_token_costs_three_generated_ones() -> None:
    """F09: 6p against 2p."""
    assert train_flop_token(GPT_3, None) / (2 * GPT_3.active) == 3


def test_training_against_one_prompt() -> None:
    """F10, F11: 300 billion tokens are 2.93e8 prompts of 1,024, and 8.8e8 times their work."""
    assert pytest.approx(2.93e8, rel=0.03) == 300e9 / 1024
    prompt = 2 * GPT_3.active * 1024
    assert pretraining_flop(GPT_3, 300e9, None) / prompt == pytest.approx(8.8e8, rel=0.01)


def test_seconds_of_one_gpt_3_pass() -> None:
    """F12-F14: 32.4 h on a 3 GHz CPU, 1.12 s on an A100 of 432 (not 512) tensor cores."""
    one_pass = 1000 * 2 * GPT_3.active
    assert one_pass / 3e9 / 3600 == pytest.approx(32.4, rel=0.01)
    assert one_pass / A100 == pytest.approx(1.12, rel=0.02)
    assert pytest.approx(A100, rel=0.001) == 432 * 512 * 1.41e9
    assert A100 / 3 > 512 * 128 * 1.41e9  # the article's ingredients give 92 TFLOP/s


def test_one_gpu_takes_decades() -> None:
    """F23: GPT-3 on one A100 takes 32 years at its full peak, 80 at 40 % of it."""
    years = pretraining_flop(GPT_3, 300e9, None) / A100 / 3600 / 8766
    assert years == pytest.approx(31.9, rel=0.01)
    assert years / 0.4 == pytest.approx(80, rel=0.01)


def test_chinchilla_tokens() -> None:
    """F43: 20 tokens a parameter are 3.5 trillion for 175 billion, 3.7e24 FLOP."""
    assert optimal_tokens(GPT_3) == pytest.approx(3.5e12)
    assert pretraining_flop(GPT_3, optimal_tokens(GPT_3), None) == pytest.approx(3.7e24, rel=0.01)


def test_a_budget_in_flop() -> None:
    """F45: $100,000 at $2 an hour and 35 % of an H100's peak are 6.2e22 FLOP: 7B on 1.5T tokens."""
    flop = 100_000 / 2 * 3600 * 989e12 * 0.35
    assert flop == pytest.approx(6.2e22, rel=0.01)
    assert pretraining_flop(sized(7e9), 1.5e12, None) == pytest.approx(flop, rel=0.02)


def test_a_student_saves_the_share_it_is_smaller() -> None:
    """F48: 7B instead of 70B saves the article's 90 %."""
    assert saved_by_distilling(sized(7e9), sized(70e9)) == pytest.approx(0.9)


def test_lora_against_training_from_scratch() -> None:
    """F49: LoRA of 7B on 50 million tokens is 225,000 times less work than GPT-3 from scratch."""
    lora = Training(model=sized(7e9), tokens=50e6, seq_len=1, method="lora")
    assert training_flop(lora) == pytest.approx(1.4e18, rel=0.001)
    ratio = pretraining_flop(GPT_3, 300e9, None) / training_flop(lora)
    assert ratio == pytest.approx(225_000, rel=0.001)


def test_energy_of_a_run_in_homes() -> None:
    """F51: 30.84 million H100-hours at 700 W are 21.6 GWh, 2,037 homes of 10.6 MWh a year."""
    watts = meant("H100-SXM5-80GB").tdp_w
    assert watts is not None
    gwh = 30.84e6 * float(watts) / 1e9
    assert gwh == pytest.approx(21.6, rel=0.01)
    assert gwh * 1000 / 10.6 == pytest.approx(2037, rel=0.001)


def test_training_takes_quintillions() -> None:
    """F57: the article says "millions to trillions" of FLOP; even BERT's one epoch is 1e18."""
    assert pretraining_flop(BERT, 3.3e9, None) > 1e18
    assert pretraining_flop(model("llama-3.1-405b"), 15.6e12, None) == pytest.approx(
        3.8e25, rel=0.01
    )


@pytest.mark.parametrize(
    ("method", "per_weight"), [("pretrain", 6), ("full", 6), ("lora", 4), ("qlora", 4), ("dpo", 8)]
)
def test_flop_per_weight_of_a_method(method: Method, per_weight: float) -> None:
    """Frozen weights need no gradients of their own; DPO runs its reference model forward too."""
    job = Training(model=LLAMA, tokens=1, seq_len=1, method=method)
    assert flop_token(job) / LLAMA.active == pytest.approx(per_weight, rel=0.001)


def test_distillation_adds_the_teacher() -> None:
    """6 for every weight of the student, 2 for every one of the teacher."""
    teacher = model("llama-3.1-70b")
    job = Training(model=LLAMA, tokens=1, seq_len=1, method="distill", teacher=teacher)
    assert flop_token(job) == pytest.approx(6 * LLAMA.active + 2 * teacher.active, rel=0.001)


def test_a_sparse_model_works_with_its_active_weights() -> None:
    """DeepSeek-V3 takes 6 x 37 billion a token, not 6 x 671."""
    assert train_flop_token(model("deepseek-v3"), None) == 6 * 37e9


def test_attention_conventions() -> None:
    """Full counting is twice the causal one, and matters more than the weights at 128k tokens."""
    full = attention_flop_token(LLAMA, 8192)
    assert full == 12 * 32 * 4096 * 8192
    assert attention_flop_token(LLAMA, 8192, "causal") == full / 2
    assert attention_flop_token(LLAMA, 131_072) > 3 * train_flop_token(LLAMA, None)


def test_mpt_13b_flop_of_a_published_row() -> None:
    """llm-foundry prints 161 TFLOP/s at 1,016 tokens/s for 13B at 32k: full attention counted."""
    shape = sized(13_011_240_960, layers=40, hidden=5120, heads=40)
    assert 1016 * train_flop_token(shape, 32_768) == pytest.approx(161e12, rel=0.01)


def test_megatron_counts_the_same_for_gpt_3() -> None:
    """72·B·s·L·h²(…) of arXiv 2104.04473 and 6·N + 12·L·h·s agree within 1 %."""
    gpt = model("gpt-3-175b")
    ours = 1536 * 2048 * train_flop_token(gpt, 2048)
    assert megatron_flop_step(gpt, 1536, 2048, recompute=False) == pytest.approx(ours, rel=0.01)
    assert megatron_flop_step(gpt, 1, 2048) / megatron_flop_step(gpt, 1, 2048, recompute=False) == (
        pytest.approx(96 / 72)
    )


def test_epochs_and_padding_multiply_work() -> None:
    """Three epochs with a fifth of padding compute 3 / 0.8 of the tokens."""
    once = Training(model=LLAMA, tokens=1e6, method="full")
    padded = Training(model=LLAMA, tokens=1e6, method="full", epochs=3, padding=0.2)
    assert training_flop(padded) / training_flop(once) == pytest.approx(3.75)


def test_prefill_and_decode_meet() -> None:
    """Reading n tokens at once and one after another is the same work."""
    one_by_one = sum(decode_flop_token(LLAMA, i + 0.5) for i in range(1000))
    assert prefill_flop(LLAMA, 1000) == pytest.approx(one_by_one, rel=1e-9)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"tokens": -1}, "above 0"),
        ({"padding": 1.0}, "share"),
        ({"method": "distill"}, "teacher"),
        ({"method": "magic"}, "pretrain, full, lora"),
    ],
)
def test_wrong_jobs_are_told_what_is_right(wrong: dict[str, Any], says: str) -> None:
    """A job that can not be is refused with one sentence."""
    with pytest.raises(BadInput, match=says):
        Training(**({"model": LLAMA, "tokens": 1e9} | wrong))
