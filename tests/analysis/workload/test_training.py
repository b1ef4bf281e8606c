"""Training time: known runs inside the intervals, orders that must hold, goals on unseen rows."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gputape.analysis.workload.accelerator import meant, peak_flop_s
from gputape.analysis.workload.constants import constants
from gputape.analysis.workload.mfu import bits, cell, cell_family
from gputape.analysis.workload.mlperf import lora_minutes
from gputape.analysis.workload.models import model, sized
from gputape.analysis.workload.training import Training, gpu_hours, run_mfu, tokens_s_gpu
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus

ROOT = Path(__file__).resolve().parents[3]
CALIB = ROOT.parent / "shared" / "workload" / "calib"
needs_rows = pytest.mark.skipif(not CALIB.exists(), reason="needs the folder of measured rows")
LLAMA = model("llama-3.1-8b")


def bench(name: str) -> ModuleType:
    """Return a module of the bench folder, which is a folder of scripts."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "bench"))


def step(gpu: str, shape: str = "llama-3.1-8b", **figures: Any) -> float:
    """Return tokens/s of one GPU of a step."""
    job = Training(**{"model": model(shape), "tokens": 1, "seq_len": 4096} | figures)
    return tokens_s_gpu(job, meant(gpu)).point


def test_a_published_run_lies_in_its_interval() -> None:
    """DeepSeek-V3's pre-training, 2.664 million H800-hours for 14.8T tokens (arXiv 2412.19437)."""
    job = Training(model=model("deepseek-v3"), tokens=14.8e12, precision="fp8")
    hours = gpu_hours(job, meant("H800-SXM5-80GB"), 2048)
    assert hours.low < 2_664_000 < hours.high
    assert hours.point == pytest.approx(2_664_000, rel=0.25)


def test_gpt_3_takes_longer_than_its_peak_allows() -> None:
    """279,558 A100-hours at 100 %; an honest estimate is two to four times that."""
    job = Training(model=sized(175e9), tokens=300e9, seq_len=2048)
    hours = gpu_hours(job, meant("A100"), 1024)
    ideal = 300e9 * 6 * 175e9 / 312e12 / 3600
    assert 2 * ideal < hours.point < 4 * ideal


def test_faster_cards_take_fewer_hours() -> None:
    """V100, A100, H100, B200: each needs less time for the same step."""
    speeds = [step(name) for name in ("V100", "A100", "H100", "B200", "GB300")]
    assert speeds == sorted(speeds)


@pytest.mark.parametrize("gpu", ["H100", "B200", "GB200", "GB300", "MI355X"])
def test_narrower_products_are_faster(gpu: str) -> None:
    """8 bits beat 16, and 4 bits beat 8 where the part has them."""
    speeds = [step(gpu, precision=name) for name in ("bf16", "fp8", "fp4")]
    assert speeds[0] < speeds[1]
    assert speeds[1] <= speeds[2]


def test_a_precision_that_a_part_lacks_is_not_faster() -> None:
    """An A100 has no FP8: a job that asks for it runs in 16 bits."""
    assert step("A100", precision="fp8") == step("A100", precision="bf16")
    assert bits(Training(model=LLAMA, tokens=1, precision="fp8"), meant("A100")) == 16


def test_a_sparse_model_runs_at_lower_utilisation() -> None:
    """Routing costs: Mixtral's 12.9B active run slower than a dense 13B."""
    assert step("H100", "mixtral-8x7b") < step("H100", "llama-2-13b")


def test_longer_sequences_are_slower() -> None:
    """Attention grows with the sequence, so tokens per second fall."""
    assert step("A100", seq_len=2048) > step("A100", seq_len=8192) > step("A100", seq_len=65_536)


def test_lora_is_faster_than_full_fine_tuning() -> None:
    """4·N instead of 6·N."""
    lora = gpu_hours(Training(model=LLAMA, tokens=1e9, method="lora"), meant("H100"), 8)
    full = gpu_hours(Training(model=LLAMA, tokens=1e9, method="full"), meant("H100"), 8)
    assert 0.5 < lora.point / full.point < 0.9


def test_gpu_hours_grow_with_tokens_and_nodes() -> None:
    """Twice the tokens take twice the hours; many nodes take a little more than one."""
    job = Training(model=LLAMA, tokens=1e9, method="full")
    twice = Training(model=LLAMA, tokens=2e9, method="full")
    h100 = meant("H100")
    assert gpu_hours(twice, h100, 8).point == pytest.approx(2 * gpu_hours(job, h100, 8).point)
    assert 1 < gpu_hours(job, h100, 512).point / gpu_hours(job, h100, 8).point < 1.15


def test_many_nodes_say_what_they_assume_of_the_network() -> None:
    """Beyond one NVLink domain the interconnect is an assumption, inside it is none."""
    job = Training(model=LLAMA, tokens=1e9)
    names = [a.name for a in gpu_hours(job, meant("GB200"), 72, nvlink_domain=72).assumptions]
    assert "interconnect" not in names
    assert "interconnect" in [a.name for a in gpu_hours(job, meant("H100"), 16).assumptions]


def test_every_part_with_a_rate_has_an_estimate() -> None:
    """No GPU that states a 16-bit rate is left without tokens per second."""
    rated = [gpu for gpu in gpus().values() if gpu.bf16_tflops or gpu.fp16_tflops]
    assert len(rated) > 80
    for gpu in rated:
        for shape in ("llama-3.1-8b", "mixtral-8x7b"):
            found = tokens_s_gpu(Training(model=model(shape), tokens=1), gpu)
            assert 0 < found.low < found.point < found.high


def test_a_part_nobody_measured_has_a_wider_interval() -> None:
    """A cell by analogy is less sure than one with rows."""
    job = Training(model=LLAMA, tokens=1)
    sure, unsure = (tokens_s_gpu(job, meant(name)) for name in ("A100", "Trainium2"))
    assert unsure.high / unsure.low > sure.high / sure.low


def test_relatives_share_a_cell() -> None:
    """An H200 is an H100 with more memory; an unknown card is a workstation's."""
    assert cell_family(meant("H200")) == "h100"
    assert cell_family(meant("RTX-4090")) == "geforce"
    assert cell_family(meant("L40S")) == "workstation"


def test_every_cited_utilisation_says_where_from() -> None:
    """No cell without a source, none outside what hardware can do."""
    cells = [c for name, c in constants().items() if name.startswith("training.mfu.")]
    assert len(cells) > 60
    assert all(c.source and 0.05 < c.value < 1.5 for c in cells)


def test_run_utilisation_is_below_the_steps() -> None:
    """A whole run delivers less than its steps promise."""
    for name in ("A100", "H100", "B200", "TPU-v5p"):
        job = Training(model=model("llama-3.1-70b"), tokens=1e12)
        assert run_mfu(job, meant(name)).point < cell(job, meant(name)).value


def test_names_that_tables_use() -> None:
    """Spellings of MLPerf and of benchmark tables mean the parts they say."""
    for said, id_ in (
        ("NVIDIA Blackwell GPU (B200-SXM-180GB)", "b200-sxm-180"),
        ("NVIDIA Blackwell Ultra GPU (GB300)", "gb300-279"),
        ("AMD Instinct MI325X 256GB HBM3E", "mi325x-256"),
        ("Intel(R) Gaudi(R) 2 AI Accelerator", "gaudi2"),
        ("A100", "a100-sxm-80"),
        ("TPU-v5e", "tpu-v5e"),
        ("H100-SXM5-96GB", "h100-sxm-80"),
    ):
        assert meant(said).id == id_
    with pytest.raises(BadInput, match="gputape gpus"):
        meant("Ascend 910B")


def test_utilisation_is_of_the_dense_16_bit_peak() -> None:
    """Not of the sparse figure that datasheets print in bold."""
    assert peak_flop_s(meant("H100")) == 989e12


def test_lora_minutes_of_known_systems() -> None:
    """MLPerf v5.1: 8 MI325X take about 21 minutes, 8 B200 about 9.5."""
    assert lora_minutes(meant("MI325X"), 8, 8, "v5.1").point == pytest.approx(21, rel=0.1)
    assert lora_minutes(meant("B200"), 8, 8, "v5.1").point == pytest.approx(9.5, rel=0.15)


def test_lora_minutes_fall_with_gpus_and_rounds() -> None:
    """More GPUs are faster but not in proportion; a later round is no slower."""
    h100 = meant("H100")
    one, many = (lora_minutes(h100, n, 8, "v4.0").point for n in (8, 64))
    assert many < one < many * 8
    assert lora_minutes(h100, 8, 8, "v5.0").point <= one


def test_rounds_that_are_none_are_refused() -> None:
    """A round is called v and two numbers."""
    with pytest.raises(BadInput, match=r"v5\.1"):
        lora_minutes(meant("H100"), 8, 8, "spring")


@needs_rows
def test_goals_on_unseen_groups() -> None:
    """Median errors on groups that a fit had not seen: run 25 %, step 15 %, LoRA 10 %."""
    ridge, fit = bench("ridge"), bench("fit_training")
    goals = {"training.run_fit": 0.25, "training.step": 0.15, "training.lora": 0.10}
    for each in fit.fits(CALIB):
        left = ridge.missed(each.samples, each.penalty)
        assert ridge.error(left) <= goals[each.table]
        assert sum(abs(x) <= 0.6931 for x in left) / len(left) >= 0.9


@needs_rows
def test_intervals_cover_unseen_groups() -> None:
    """Between 75 and 90 % of unseen rows lie in intervals drawn from the others."""
    accuracy, fit = bench("accuracy_training"), bench("fit_training")
    for each in fit.fits(CALIB):
        assert 0.75 <= accuracy.covered(each) <= 0.90


@needs_rows
def test_the_checkpoint_multiplier_meets_every_simulated_case() -> None:
    """27 cases, none off by 1 %."""
    misses = bench("accuracy_training").checkpoint_misses(CALIB)
    assert len(misses) == 27
    assert max(miss for _, miss in misses) <= 0.01


@needs_rows
def test_the_fitted_file_is_what_the_script_writes() -> None:
    """Nobody edits the fitted constants by hand."""
    fit = bench("fit_training")
    assert fit.OUT.read_text(encoding="utf-8") == fit.document(CALIB)
