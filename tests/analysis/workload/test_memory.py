"""Training memory, against papers' worked values and published measurements."""

import csv
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from gputape.analysis.workload.memory import (
    Setup,
    Sharding,
    frozen_bytes,
    korthikanti_bytes,
    largest_params,
    memory_estimate,
    parts,
    states_bytes,
    training_memory,
)
from gputape.analysis.workload.memory_rows import memory
from gputape.analysis.workload.models import model, sized
from gputape.analysis.workload.work import Training
from gputape.store.errors import BadInput

PUBLISHED = Path(__file__).with_name("published_memory.csv")
LLAMA = Training(model=model("llama-3.1-8b"), tokens=1, method="full", seq_len=2048)


def published() -> list[dict[str, str]]:
    """Return the published measurements: 141 rows of four projects, each with its source."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("sharding", "gigabytes"), [("ddp", 120), ("zero1", 31.4), ("zero2", 16.6), ("zero3", 1.9)]
)
def test_zero_stages_of_the_paper(sharding: Sharding, gigabytes: float) -> None:
    """7.5 billion parameters on 64 GPUs: the four figures of arXiv 1910.02054, figure 1."""
    job = Training(model=sized(7.5e9), tokens=1)
    held = states_bytes(job, Setup(n_gpus=64, sharding=sharding)) / 1e9
    assert held == pytest.approx(gigabytes, rel=0.02)


def test_weights_of_gpt_3() -> None:
    """F15: 175 billion weights are 700 GB in FP32, the article's figure, and 350 in FP16."""
    gpt = sized(175e9)
    assert frozen_bytes(gpt, 32) == 700e9
    assert frozen_bytes(gpt, 16) == 350e9


def test_training_gpt_3_takes_more_than_a_terabyte() -> None:
    """F16: 8 bytes a parameter are 1.4 TB; with weights and gradients 2.8 (16) to 3.15 (18)."""
    job = Training(model=sized(175e9), tokens=1)
    assert 175e9 * 8 == 1.4e12
    assert states_bytes(job, Setup(sharding="ddp")) == 2.8e12
    assert states_bytes(job, Setup(sharding="ddp", optimizer="adamw_fp32_grad")) == 3.15e12


def test_a_card_of_12_gb_trains_one_billion() -> None:
    """F17: the article says 4B; by its own rule of 8 + 4 bytes a 12 GB card trains 1.0B."""
    assert largest_params(12e9, 8 + 4) == 1e9
    assert largest_params(12e9, 16) == 0.75e9
    assert 4e9 * 12 == 48e9  # what 4B needs


def test_korthikanti_activations() -> None:
    """GPT-3 at 2,048 tokens: 34 + 5·96·2048/12288 = 114 bytes a position and hidden unit."""
    gpt = model("gpt-3-175b")
    sbh = 2048 * 12288
    assert korthikanti_bytes(gpt, 2048, 1) == pytest.approx(114 * sbh)
    assert korthikanti_bytes(gpt, 2048, 1, 8) == pytest.approx((10 + 3 + 10) * sbh)
    assert korthikanti_bytes(gpt, 2048, 1, 8, sequence=True) == pytest.approx(114 / 8 * sbh)


def test_qlora_of_65b_fits_48_gb() -> None:
    """QLoRA's headline: 65B fine-tuned on one card of 48 GB (arXiv 2305.14314)."""
    job = Training(model=model("llama-65b"), tokens=1, method="qlora", seq_len=512)
    paged = Setup(sharding="ddp", optimizer="paged_adamw")
    assert 38 < memory_estimate(job, paged).point < 48


def test_the_order_of_methods() -> None:
    """QLoRA takes less than LoRA, LoRA less than 8-bit Adam, and that less than mixed Adam."""
    setups = [
        (Training(model=LLAMA.model, tokens=1, method="qlora", seq_len=2048), "adamw"),
        (Training(model=LLAMA.model, tokens=1, method="lora", seq_len=2048), "adamw"),
        (LLAMA, "adamw_8bit"),
        (LLAMA, "adamw_bf16"),
        (LLAMA, "adamw"),
    ]
    held = [training_memory(job, 1, optimizer=name).point for job, name in setups]
    assert held == sorted(held)
    assert len(set(held)) == len(held)


def test_checkpointing_saves_activations() -> None:
    """None keeps more than selective, selective more than full."""
    held = [
        parts(LLAMA, Setup(checkpointing=kind)).activations
        for kind in ("full", "selective", "none")
    ]
    assert held == sorted(held)
    assert held[2] > 5 * held[0]


def test_tensor_parallelism_divides_everything_but_the_fixed_part() -> None:
    """Eight-way tensor parallelism with sequence parallelism leaves an eighth of each part."""
    one = parts(LLAMA, Setup(sharding="ddp"))
    eight = parts(LLAMA, Setup(sharding="ddp", n_gpus=8, tensor_parallel=8))
    for name in ("states", "activations", "logits"):
        assert getattr(eight, name) == pytest.approx(getattr(one, name) / 8)
    assert eight.fixed == one.fixed


def test_an_estimate_says_what_it_rests_on() -> None:
    """The interval is around the point, and the layout is among the assumptions."""
    held = training_memory(LLAMA, 8)
    assert held.low < held.point < held.high
    assert held.unit == "GiB per GPU"
    assert any("zero3" in said.value for said in held.assumptions)


def test_published_measurements() -> None:
    """Of 141 published rows at least 85 % are met within 25 %, the median within 10 %."""
    ratios = [memory(row)[0].point / float(row["measured_gb"]) for row in published()]
    assert len(ratios) == 141
    assert sum(abs(ratio - 1) <= 0.25 for ratio in ratios) / len(ratios) >= 0.85
    assert median(abs(ratio - 1) for ratio in ratios) <= 0.10


def test_published_measurements_lie_in_the_intervals() -> None:
    """Intervals of 80 % hold 75 to 92 % of the published rows."""
    inside = [
        held.low <= float(row["measured_gb"]) <= held.high
        for row in published()
        for held, _ in [memory(row)]
    ]
    assert 0.75 <= sum(inside) / len(inside) <= 0.92


def test_measurements_are_not_read() -> None:
    """A row without its measured column gets the same answer."""
    row = published()[0]
    assert memory(row) == memory({k: v for k, v in row.items() if k != "measured_gb"})


def test_a_row_that_ran_is_made_to_fit_its_card() -> None:
    """Full fine-tuning of 8B on a 24 GB card can only have used a lean optimizer, and says so."""
    row = {"model": "Llama-3.1-8B", "method": "full", "gpu": "RTX-4090", "seq_len": "2048"}
    held, note = memory(row)
    assert held.point <= 24 * 1.0738
    assert "paged_adamw_8bit" in note


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "guess"}, {"n_gpus": 0}, {"n_gpus": 8, "tensor_parallel": 3}]
)
def test_wrong_layouts_are_refused(wrong: dict[str, Any]) -> None:
    """A layout that can not be is refused with one sentence."""
    with pytest.raises(BadInput):
        Setup(**wrong)
