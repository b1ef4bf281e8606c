"""The articles' figures of work, time, memory and energy: how each is computed."""

from collections.abc import Mapping

from gputape.analysis.article.table import Computed, Table, Value
from gputape.analysis.workload.accelerator import peak_flop_s
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.memory import (
    GIB,
    OPTIMIZERS,
    Setup,
    largest_params,
    states_bytes,
)
from gputape.analysis.workload.models import Model, model, sized
from gputape.analysis.workload.precision import stored_bits
from gputape.analysis.workload.serving_memory import weights_gib
from gputape.analysis.workload.throughput import decode_batch1
from gputape.analysis.workload.work import (
    Training,
    decode_flop_token,
    optimal_tokens,
    pretraining_flop,
    request_flop,
    saved_by_distilling,
    train_flop_token,
    training_flop,
)
from gputape.store.gpus import gpus

BERT, GPT_J, GPT_3 = sized(340e6), sized(6e9), sized(175e9)
WORDS, GPT_J_TOKENS, GPT_3_TOKENS = 3.3e9, 402e9, 300e9
"""What the article trains them on."""
PROMPT, ROUND = 1024, 1000
"""The tokens it says it counts, and those it counts."""
PRINTED_FLOP = 3.14e23
"""Of GPT-3, as it prints it."""
HOUR_S, YEAR_H = 3600, 8760


# -- work ------------------------------------------------------------------------------------------


def _trained(shape: Model, tokens: float) -> Computed:
    return lambda _: [Value("6·N·D", pretraining_flop(shape, tokens, None), "FLOP")]


def _bert(_: Table) -> list[Value]:
    return [
        Value("3.3 billion", pretraining_flop(BERT, WORDS, None), "FLOP"),
        Value("3.3 million", pretraining_flop(BERT, WORDS / 1000, None), "FLOP"),
    ]


def _bert_really(_: Table) -> list[Value]:
    tokens = constant("article.bert.tokens").value
    words = constant("text.words_per_token").value
    job = Training(model=model("bert-large"), tokens=tokens / 40, epochs=40, seq_len=512)
    return [
        Value("tokens of 3.3 billion words", WORDS / words, "tokens"),
        Value("once through them", pretraining_flop(BERT, WORDS / words, None), "FLOP"),
        Value("as it was trained, 40 times through", training_flop(job), "FLOP"),
    ]


def forward_flop(shape: Model, tokens: float) -> float:
    """Return the FLOP of so many tokens without attention: the article's 2·n·p."""
    return tokens * decode_flop_token(shape, 0)


def _inferred(shape: Model) -> Computed:
    return lambda _: [
        Value(f"{tokens:,} tokens", forward_flop(shape, tokens), "FLOP")
        for tokens in (ROUND, PROMPT)
    ]


def _in_and_out(_: Table) -> list[Value]:
    return [
        Value("1,000 tokens in and 1,000 out", request_flop(GPT_3, ROUND, ROUND), "FLOP"),
        Value("without attention", forward_flop(GPT_3, 2 * ROUND), "FLOP"),
    ]


def _thrice(_: Table) -> list[Value]:
    return [Value("6·N / 2·N", train_flop_token(GPT_3, None) / decode_flop_token(GPT_3, 0), "x")]


def _longer(_: Table) -> list[Value]:
    whole = pretraining_flop(GPT_3, GPT_3_TOKENS, None)
    return [Value("training / a prompt", whole / forward_flop(GPT_3, PROMPT), "x")]


def _data(_: Table) -> list[Value]:
    return [Value("300 billion tokens / 1,024", GPT_3_TOKENS / PROMPT, "x")]


def _range(_: Table) -> list[Value]:
    llama = pretraining_flop(model("llama-3.1-405b"), 15.6e12, None)
    return [
        Value("BERT", pretraining_flop(BERT, WORDS, None), "FLOP"),
        Value("Llama 3.1 405B", llama, "FLOP"),
    ]


def _exponential(_: Table) -> list[Value]:
    one, two = sized(7e9), sized(14e9)
    same = [pretraining_flop(shape, 1e12, None) for shape in (one, two)]
    fitting = [pretraining_flop(shape, optimal_tokens(shape), None) for shape in (one, two)]
    return [
        Value("twice the parameters, same tokens", same[1] / same[0], "x"),
        Value("twice the parameters, 20 tokens each", fitting[1] / fitting[0], "x"),
    ]


def _optimal(_: Table) -> list[Value]:
    tokens = optimal_tokens(GPT_3)
    return [
        Value("20 a parameter", tokens, "tokens"),
        Value("work", pretraining_flop(GPT_3, tokens, None), "FLOP"),
    ]


def _adapted(_: Table) -> list[Value]:
    whole = pretraining_flop(GPT_3, GPT_3_TOKENS, None)
    job = Training(model=sized(7e9), tokens=50e6, method="lora", seq_len=1)
    return [
        Value("175B from scratch", whole, "FLOP"),
        Value("7B by LoRA on 50M tokens", training_flop(job), "FLOP"),
        Value("ratio", whole / training_flop(job), "x"),
    ]


# -- time ------------------------------------------------------------------------------------------


def ideal_hours(flop: float, gpu: str) -> float:
    """Return the hours of one GPU at its whole 16-bit peak, which no run reaches."""
    return flop / peak_flop_s(gpus()[gpu]) / HOUR_S


def _cpu(_: Table) -> list[Value]:
    seconds = forward_flop(GPT_3, ROUND) / 3e9
    return [Value("at 3 GFLOP/s", seconds, "s"), Value("that is", seconds / HOUR_S, "hours")]


def _cores(_: Table) -> list[Value]:
    hertz, cores, each = (
        constant(f"article.a100.{name}").value
        for name in ("boost_hz", "tensor_cores", "flop_core_cycle")
    )
    return [
        Value("512 cores x 128", 512 * 128 * hertz / 1e12, "TFLOPS"),
        Value("432 cores x 512", cores * each * hertz / 1e12, "TFLOPS"),
        Value("its maker's figure", peak_flop_s(gpus()["a100-40"]) / 1e12, "TFLOPS"),
    ]


def _second(_: Table) -> list[Value]:
    return [Value("at its peak", ideal_hours(forward_flop(GPT_3, ROUND), "a100-40") * HOUR_S, "s")]


def _decades(_: Table) -> list[Value]:
    years = ideal_hours(PRINTED_FLOP, "a100-40") / YEAR_H
    return [Value("at 100 %", years, "years"), Value("at 40 %", years / 0.4, "years")]


def _served(_: Table) -> list[Value]:
    h100 = gpus()["h100-sxm-80"]
    alone = decode_batch1(model("llama-3.1-8b"), h100, 1, "bf16", 1000, 500)
    return [
        Value("Llama 3.1 8B on an H100, a token", 1000 / alone.point, "ms"),
        Value("an H100's day", float(h100.tdp_w or 0) * 24 / 1000, "kWh"),
    ]


# -- memory ----------------------------------------------------------------------------------------


def _weights(_: Table) -> list[Value]:
    return [Value(f"{bits} bits", weights_gib(GPT_3, bits) * GIB / 1e9, "GB") for bits in (32, 16)]


def _states(_: Table) -> list[Value]:
    weights, _gradients, moments = OPTIMIZERS["adamw_fp32"]
    job = Training(model=GPT_3, tokens=1, method="full")
    whole = {
        name: states_bytes(job, Setup(sharding="ddp", optimizer=name)) / 1e12
        for name in ("adamw", "adamw_fp32_grad")
    }
    return [
        Value("8 bytes a parameter", GPT_3.params * moments / 1e12, "TB"),
        Value("with FP32 weights, 12", GPT_3.params * (moments + weights) / 1e12, "TB"),
        Value("mixed precision, 16", whole["adamw"], "TB"),
        Value("with FP32 gradients, 18", whole["adamw_fp32_grad"], "TB"),
    ]


def _small_card(_: Table) -> list[Value]:
    weights, _gradients, moments = OPTIMIZERS["adamw_fp32"]
    rule = weights + moments
    mixed = {name: sum(OPTIMIZERS[name]) for name in ("adamw", "adamw_fp32_grad")}
    return [
        Value("by its own rule, 12 bytes", largest_params(12e9, rule) / 1e9, "billion parameters"),
        Value("16 bytes", largest_params(12e9, mixed["adamw"]) / 1e9, "billion parameters"),
        Value("18 bytes", largest_params(12e9, mixed["adamw_fp32_grad"]) / 1e9,
              "billion parameters"),
        Value("a 4B model by its rule", 4e9 * rule / 1e9, "GB"),
    ]  # fmt: skip


def _gaming_card(_: Table) -> list[Value]:
    card = float(gpus()["rtx-4090-24"].memory_gib) * constant("serving.memory_share").value
    free = (card - constant("serving.reserve_gib").value) * GIB
    each = stored_bits("int4") / 8 * constant("serving.weight_overhead").value
    return [Value("4 bits, no cache", largest_params(free, each) / 1e9, "billion parameters")]


# -- speed of software and energy ------------------------------------------------------------------


def _quantised(_: Table) -> list[Value]:
    a100 = gpus()["a100-sxm-80"]
    found = []
    for name, count in (("qwen2.5-7b", 1), ("qwen2.5-72b", 2)):
        wide, narrow = (
            decode_batch1(model(name), a100, count, bits, 1, 2048, engine="vllm").point
            for bits in ("bf16", "gptq-int4")
        )
        found.append(Value(f"{name}, 16 to 4 bits", narrow / wide, "x"))
    return found


def _software(_: Table) -> list[Value]:
    then, now = (constant(f"article.llama70b.trtllm_{year}").value for year in (2023, 2025))
    return [Value("Llama 70B on an H100, 2023 to 2025", now / then, "x")]


def _tokens(_: Table) -> list[Value]:
    return [
        Value("a token", constant("text.characters_per_token").value, "characters"),
        Value("a token", constant("text.words_per_token").value, "words"),
    ]


def _distilled(_: Table) -> list[Value]:
    return [Value("7B for 70B", saved_by_distilling(sized(7e9), sized(70e9)), "of the work")]


def _homes(_: Table) -> list[Value]:
    home = constant("article.home_mwh_year").value
    gpt_3 = constant("article.gpt3.energy_mwh").value
    llama = constant("article.llama405b.gpu_hours").value
    llama_mwh = llama * float(gpus()["h100-sxm-80"].tdp_w or 0) / 1e6
    return [
        Value("GPT-3", gpt_3 / home, "homes a year"),
        Value("Llama 3.1 405B", llama_mwh / home, "homes a year"),
        Value("Llama 3.1 405B", llama_mwh, "MWh"),
    ]


PHYSICS: Mapping[str, Computed] = {
    "F01": _bert, "F02": _bert_really, "F03": _trained(GPT_J, GPT_J_TOKENS),
    "F04": _trained(GPT_3, GPT_3_TOKENS), "F05": _inferred(BERT), "F06": _inferred(GPT_J),
    "F07": _inferred(GPT_3), "F08": _in_and_out, "F09": _thrice, "F10": _data, "F11": _longer,
    "F12": _cpu, "F13": _cores, "F14": _second, "F15": _weights, "F16": _states,
    "F17": _small_card, "F23": _decades, "F40": _quantised, "F41": _software, "F42": _tokens,
    "F43": _optimal, "F48": _distilled, "F49": _adapted, "F51": _homes, "F55": _gaming_card,
    "F57": _range, "F58": _exponential, "F59": _served,
}  # fmt: skip
