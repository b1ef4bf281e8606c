"""Rows of serving tables, and how well they are predicted from rows left out."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from gputape.analysis.workload.jobs_serving import online_job, part
from gputape.analysis.workload.rows_serving import diffusion, predict
from gputape.store.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]
CALIB = ROOT.parent / "shared" / "workload" / "calib"
needs_calib = pytest.mark.skipif(not CALIB.exists(), reason="needs the measured rows")

OFFLINE = {
    "model": "Llama 3.3 70B", "gpu": "H100-SXM5-80GB", "n_gpus": "2", "parallelism": "TP2",
    "precision": "fp8", "isl": "1000", "osl": "1000", "framework": "TensorRT-LLM",
    "framework_version": "1.0", "scenario": "offline max",
}  # fmt: skip
ONLINE = {
    "backend": "vllm", "backend_version": "0.18.0", "model_path": "Qwen/Qwen3-32B",
    "system": "h100_sxm", "precision": "fp8", "isl": "1024", "osl": "512", "batch_size": "16.0",
    "tp_size": "2.0", "attention_dp_size": "", "moe_tp_size": "1.0", "moe_ep_size": "1.0",
}  # fmt: skip
BATCH1 = {
    "model": "Llama-3-8B", "gpu": "4090 24GB", "precision": "Q4_K_M", "bits": "4.85",
    "output_len": "1024", "engine": "llama.cpp 2024-05",
    "tok_s_definition": "token generation, batch 1",
}  # fmt: skip
ROWS = {"offline": OFFLINE, "online": ONLINE, "batch1": BATCH1}
MEASURED = {
    "offline": ("inference_offline.csv", "out_tok_s_total"),
    "online": ("inference_online_silicon.csv", "silicon_tpot_ms"),
    "batch1": ("inference_batch1.csv", "tok_s"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_measured_columns_are_not_read(kind: str) -> None:
    """A row without its results, or with absurd ones, gets the same figure."""
    absurd = dict.fromkeys(
        ("out_tok_s_total", "out_tok_s_per_gpu", "silicon_tpot_ms", "silicon_ttft_ms", "tok_s",
         "gpu_mem_gb", "out_tok_s_per_user", "out_tok_s_per_gpu_est"), "1e99",
    )  # fmt: skip
    bare = predict(kind, ROWS[kind])
    assert bare.predicted is not None
    assert predict(kind, ROWS[kind] | absurd) == bare


@pytest.mark.parametrize(
    ("spelling", "id_", "count"),
    [
        ("4090 24GB  8", "rtx-4090-24", 8),
        ("4090 24GB * 8", "rtx-4090-24", 8),
        ("3080 10GB", "rtx-3080-10", None),
        ("RTX 4000 Ada 20GB  4", "rtx-4000-ada-20", 4),
        ("A100 PCIe 80GB", "a100-pcie-80", None),
        ("h200_sxm", "h200-sxm-141", None),
        ("a100_sxm", "a100-sxm-80", None),
        ("AMD Instinct MI300X-NPS1-SPX-192GB-750W", "mi300x-192", None),
        ("RTX-PRO-6000-Blackwell-Server", "rtx-pro-6000-server-96", None),
        ("H20-96GB", "h20-96", None),
    ],
)
def test_spellings_of_tables_name_parts_and_counts(
    spelling: str, id_: str, count: int | None
) -> None:
    """Tables put the number of GPUs behind the name."""
    gpu, many = part(spelling)
    assert (gpu.id, many) == (id_, count)


def test_an_apple_chip_has_a_reason_and_no_figure() -> None:
    """Nobody rents it as a GPU, so nothing is known of its bandwidth."""
    found = predict("batch1", BATCH1 | {"gpu": "M3 Max 40-Core GPU 64GB"})
    assert found.predicted is None
    assert "no memory bandwidth is known of 'M3 Max" in found.note


def test_a_batch_is_that_of_one_attention_group() -> None:
    """Sixteen groups of 16 sequences are 256 at once; blank means one group over all."""
    job = online_job(ONLINE | {"tp_size": "1.0", "attention_dp_size": "16.0"})
    assert job.batch == 256
    assert job.work.layout.data == 16
    assert online_job(ONLINE).batch == 16


def test_whole_time_counts_prompt_and_output() -> None:
    """(prompt+generated)/time is more than the decode rate by about (in + out)/out."""
    decode = BATCH1 | {"engine": "SGLang 0.4.6", "input_len": "6144", "output_len": "2048"}
    both = decode | {"tok_s_definition": "(prompt+generated)/time, batch 1"}
    rates = [predict("batch1", row).predicted or 0 for row in (decode, both)]
    assert 3.0 < rates[1] / rates[0] < 4.0


def test_reading_a_prompt_is_far_faster_than_writing() -> None:
    """llama.cpp reads thousands of tokens a second where it writes a hundred."""
    reads = BATCH1 | {"tok_s_definition": "PROMPT EVAL tok/s (prefill), 1024 tokens"}
    rates = [predict("batch1", row).predicted or 0 for row in (BATCH1, reads)]
    assert 20 < rates[1] / rates[0] < 200


def test_mlperf_s_waiting_people_cost_throughput() -> None:
    """Interactive below Server below Offline, with the cited shares."""
    row = {
        "round": "v5.1", "model": "llama2-70b-99", "gpu": "NVIDIA H200-SXM-141GB", "n_gpus": "8",
        "precision": "fp8", "software": "TensorRT 10.11", "units": "Tokens/s",
    }  # fmt: skip
    rates = [
        predict("offline", row | {"scenario": name}).predicted or 0
        for name in ("Offline", "Server", "Interactive")
    ]
    assert rates[1] / rates[0] == pytest.approx(0.92)
    assert rates[2] / rates[0] == pytest.approx(0.58)


def test_images_are_those_that_mlperf_measured() -> None:
    """SDXL has no FLOP rule: an unmeasured part gets a reason."""
    assert diffusion("h100-sxm-80").value == 2.05
    with pytest.raises(BadInput, match="nobody measured Stable Diffusion XL on t4-16"):
        diffusion("t4-16")


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("offline", {"isl": ""}, "isl and osl are empty"),
        ("offline", {"n_gpus": "1", "precision": "bf16", "parallelism": "TP1"}, "does not fit"),
        ("offline", {"precision": "posit"}, "no precision is called"),
        ("online", {"batch_size": ""}, "batch_size is empty"),
        ("online", {"model_path": "a/mystery"}, "no shape is known of 'mystery'"),
        ("batch1", {"gpu": "abacus"}, "no memory bandwidth is known"),
    ],
)
def test_a_row_that_cannot_be_predicted_says_why(
    kind: str, change: dict[str, str], why: str
) -> None:
    """No figure, and the reason in the note."""
    found = predict(kind, ROWS[kind] | change)
    assert found.predicted is None
    assert why in found.note


def test_an_unknown_table_is_refused() -> None:
    """The sentence names the three that are known."""
    with pytest.raises(BadInput, match="one of offline, online, batch1"):
        predict("training", OFFLINE)


@needs_calib
@pytest.mark.parametrize(("kind", "goal"), [("offline", 0.25), ("online", 0.30), ("batch1", 0.20)])
def test_measured_rows_are_met_within_the_goal(kind: str, goal: float) -> None:
    """Median error of the rows that the constants come from; nine in ten within 2x."""
    name, column = MEASURED[kind]
    with (CALIB / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    answers = [(predict(kind, row).predicted, float(row[column])) for row in rows]
    ratios = [point / measured for point, measured in answers if point is not None]
    assert len(ratios) > 100
    assert np.median(np.abs(np.array(ratios) - 1)) <= goal
    assert np.mean([0.5 <= ratio <= 2 for ratio in ratios]) > 0.9


@needs_calib
@pytest.mark.slow
@pytest.mark.parametrize(("name", "goal"), [("offline", 0.25), ("online", 0.30), ("single", 0.20)])
def test_rows_left_out_are_met_within_the_goal(
    name: str, goal: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model on each part predicted from the others: the goals, and the intervals cover."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import accuracy_serving
    import fit_serving

    assert "fit_serving" in sys.modules
    by_group, by_model, rows = fit_serving.errors(CALIB, name)
    assert accuracy_serving.median(by_group) <= goal
    assert accuracy_serving.median(by_model) <= goal
    assert 0.75 <= accuracy_serving.coverage(by_group, rows) <= 0.90


@needs_calib
@pytest.mark.slow
def test_the_fitted_constants_are_what_the_script_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody edited the file by hand, and the fit gives the same twice."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import fit_serving

    before = fit_serving.OUT.read_text()
    monkeypatch.setattr(fit_serving, "OUT", tmp_path / "fitted.toml")
    fit_serving.main(CALIB)
    assert (tmp_path / "fitted.toml").read_text() == before
