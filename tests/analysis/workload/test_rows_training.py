"""Rows of tables of training measurements: what is answered, what is refused, how fast."""

import time

import pytest

from gputape.analysis.workload.rows import shape
from gputape.analysis.workload.rows_training import predict
from gputape.store.errors import BadInput

RUN = {
    "model": "MPT-7B", "params_total": "6700000000.0", "params_active": "6700000000.0",
    "tokens": "1000000000000.0", "seq_len": "2048", "accelerator": "A100-SXM4-40GB",
    "n_accel": "440", "precision": "bf16",
}  # fmt: skip
STEP = {
    "model": "LLAMA3_8B", "params_total": "8030000000", "params_active": "8030000000",
    "accelerator": "GB200", "n_accel": "8", "precision": "FP8-CS", "seq_len": "8192",
    "act_ckpt": "", "phase": "pretrain", "date": "2025-11",
}  # fmt: skip
LORA = {
    "round": "v4.1", "benchmark": "llama2_70b_lora", "accel": "NVIDIA H200-SXM5-141GB",
    "nodes": "1", "per_node": "8", "gpus": "8", "gbs": "8",
}  # fmt: skip
MEMORY = {
    "model": "Qwen-7B", "params": "7720000000", "phase": "train", "method": "lora",
    "weight_bits": "16", "optimizer": "adamw", "act_ckpt": "true", "seq_len": "2048",
    "micro_batch": "1", "n_gpus": "1", "sharding": "", "gpu": "A100-SXM4-80GB",
}  # fmt: skip
ROWS = {"train-run": RUN, "train-throughput": STEP, "mlperf-lora": LORA, "memory": MEMORY}


@pytest.mark.parametrize(
    ("kind", "measured", "unit"),
    [
        ("train-run", 100_320, "GPU-hours"),
        ("train-throughput", 31_508, "tokens/s/GPU"),
        ("mlperf-lora", 24.03, "minutes"),
        ("memory", 23.8, "GB per GPU"),
    ],
)
def test_a_known_row_of_each_kind(kind: str, measured: float, unit: str) -> None:
    """A published row is met within 25 %, inside its interval, in the unit of its table."""
    found = predict(kind, ROWS[kind])
    assert found.predicted == pytest.approx(measured, rel=0.25)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= measured <= found.high
    assert found.unit == unit


@pytest.mark.parametrize("kind", ROWS)
def test_measured_columns_are_not_read(kind: str) -> None:
    """Filling every measured column with nonsense changes nothing."""
    measured = (
        "accel_hours", "wall_days", "reported_mfu", "reported_cost_usd", "mfu_note",
        "tokens_per_s_per_accel", "model_tflops_per_accel", "mfu_reported", "olympic_mean_min",
        "min_min", "max_min", "median_samples", "tokens_trained", "notes",
    )  # fmt: skip
    assert predict(kind, ROWS[kind] | dict.fromkeys(measured, "nonsense")) == predict(
        kind, ROWS[kind]
    )


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("train-run", {"tokens": ""}, "tokens is empty"),
        ("train-run", {"accelerator": "Cray-1"}, "no GPU is called 'Cray-1'"),
        (
            "train-throughput",
            {"model": "Mystery", "params_total": "", "params_active": ""},
            "no shape",
        ),
        ("train-throughput", {"n_accel": "8", "seq_len": "long"}, "a number would be right"),
        ("mlperf-lora", {"benchmark": "flux1"}, "another benchmark"),
        ("memory", {"optimizer": "adamw", "micro_batch": "-1"}, "at least 1"),
    ],
)
def test_a_row_that_can_not_be_predicted_says_why(
    kind: str, change: dict[str, str], says: str
) -> None:
    """No number and the reason in the note, never an exception and never a guess."""
    found = predict(kind, ROWS[kind] | change)
    assert (found.predicted, found.low, found.high) == (None, None, None)
    assert says in found.note


def test_a_diffusion_run_goes_by_published_runs() -> None:
    """Stable Diffusion has no tokens; its note says by what it is answered."""
    row = {"model": "Stable Diffusion 2.0 base", "accelerator": "A100", "n_accel": "8"}
    found = predict("train-run", row)
    assert found.predicted == pytest.approx(15_600, rel=0.05)
    assert "no tokens" in found.note


def test_a_blank_precision_is_assumed_and_said() -> None:
    """NVIDIA's table of 2025 names none and is of 8-bit runs; an A100 of 2023 runs in 16."""
    assert "fp8 assumed" in predict("train-throughput", STEP | {"precision": ""}).note
    old = STEP | {"precision": "", "accelerator": "A100-SXM4-80GB", "date": "2023-12"}
    assert "16 bits assumed" in predict("train-throughput", old).note


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("Qwen3_235B_a22B (tokendrop)", 235e9, 22e9),
        ("DeepSeekV3 (w/ MTP)", 671e9, 37e9),
        ("MT-NLG 530B, A100", 530e9, 530e9),
        ("Nemotron_3_Super", 120e9, 12e9),
        ("MaxText 16B", 16e9, 16e9),
    ],
)
def test_names_tell_sizes(name: str, total: float, active: float) -> None:
    """A row without parameters is read by its model's name."""
    found = shape(name)
    assert (found.params, found.active) == (pytest.approx(total), pytest.approx(active))


def test_an_unknown_kind_is_refused() -> None:
    """The four kinds are named."""
    with pytest.raises(BadInput, match="train-run, train-throughput, mlperf-lora, memory"):
        predict("guess", {})


def test_a_thousand_rows_take_less_than_two_seconds() -> None:
    """The goal of the issue, for the four kinds together."""
    began = time.perf_counter()
    for _ in range(250):
        for kind, row in ROWS.items():
            predict(kind, row)
    assert time.perf_counter() - began < 2
