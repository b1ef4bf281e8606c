"""Rows of tables of training measurements, read as jobs and answered with predictions.

    predict("train-run", row)           GPU-hours of the whole run
    predict("train-throughput", row)    tokens per second and GPU of a step
    predict("mlperf-lora", row)         minutes of MLPerf's llama2_70b_lora
    predict("memory", row)              gigabytes (10^9 bytes) of one GPU

Only what was set is read, never what was measured.
"""

import re

from gputape.analysis.workload.accelerator import meant
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.memory_rows import memory
from gputape.analysis.workload.mlperf import lora_minutes
from gputape.analysis.workload.prediction import Prediction, predicted, unpredicted
from gputape.analysis.workload.rows import Row, number, shape, word, year
from gputape.analysis.workload.training import gpu_hours, tokens_s_gpu
from gputape.analysis.workload.work import Method, Training
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

METHODS: dict[str, Method] = {
    "full": "full", "sft": "full", "lora": "lora", "qlora": "qlora", "q-lora": "qlora",
    "dpo": "dpo", "distill": "distill",
}  # fmt: skip
UNITS = {
    "train-run": "GPU-hours",
    "train-throughput": "tokens/s/GPU",
    "mlperf-lora": "minutes",
    "memory": "GB per GPU",
}
DIFFUSION = re.compile(r"stable diffusion|sdxl|diffusion", re.IGNORECASE)
SEQUENCE = 4096  # of most rows that state one
NARROW_SINCE = 2025  # a table of NVIDIA's that names no precision is of 8-bit runs from then on


def predict(kind: str, row: Row) -> Prediction:
    """Return the prediction of one row of a kind; one that has none says why in its note."""
    answers = {
        "train-run": train_run,
        "train-throughput": train_throughput,
        "mlperf-lora": mlperf_lora,
        "memory": memory,
    }
    if kind not in answers:
        raise BadInput(f"no kind is called {kind!r}; one of {', '.join(answers)}")
    try:
        estimate, note = answers[kind](row)
    except BadInput as problem:
        return unpredicted(UNITS[kind], str(problem))
    return predicted(estimate, note)


def train_run(row: Row) -> tuple[Estimate, str]:
    """Return the GPU-hours of a row of `training_runs.csv`."""
    name = word(row, "model")
    gpu = meant(word(row, "accelerator"))
    total, tokens = number(row, "params_total"), number(row, "tokens")
    if tokens is None and DIFFUSION.search(name):
        return _diffusion(gpu), "no tokens to count: as published runs of Stable Diffusion, by peak"
    if tokens is None:
        raise BadInput("tokens is empty; the work of a run is 6·N·D")
    model = shape(name, total, number(row, "params_active"))
    job = Training(
        model=model,
        tokens=tokens,
        seq_len=int(number(row, "seq_len") or SEQUENCE),
        precision=word(row, "precision") or None,
    )
    estimate = gpu_hours(job, gpu, int(number(row, "n_accel") or 512))
    return estimate, f"whole run on {gpu.id}, {model.active / 1e9:.3g}B active parameters"


def _diffusion(gpu: Gpu) -> Estimate:
    """Return the A100-hours of a Stable Diffusion run, scaled by the 16-bit peak."""
    hours = constant("training.diffusion.a100_hours")
    rate = gpu.fp16_tflops or gpu.bf16_tflops
    if rate is None:
        raise BadInput(f"the 16-bit rate of {gpu.name} is not known")
    scale = 312 / float(rate)
    return within(hours.value * scale, "GPU-hours", hours.ratios, hours.assumption)


def train_throughput(row: Row) -> tuple[Estimate, str]:
    """Return the tokens per second and GPU of a row of `training_throughput.csv`."""
    gpu = meant(word(row, "accelerator"))
    job, note = throughput_job(row, gpu)
    return tokens_s_gpu(job, gpu, checkpointing=not uncheckpointed(row)), note


def uncheckpointed(row: Row) -> bool:
    """Tell whether a row says that every activation is kept."""
    return word(row, "act_ckpt").casefold() in ("false", "no", "none ", "off", "0")


def throughput_job(row: Row, gpu: Gpu) -> tuple[Training, str]:
    """Return the job of a row of `training_throughput.csv`, and what was assumed."""
    model = shape(word(row, "model"), number(row, "params_total"), number(row, "params_active"))
    when = year(row, "date") or 2026.0
    precision = word(row, "precision")
    narrow = not precision and when >= NARROW_SINCE and gpu.fp8_tflops is not None
    method = METHODS.get(word(row, "phase").casefold(), "pretrain")
    job = Training(
        model=model,
        tokens=1,
        seq_len=int(number(row, "seq_len") or (SEQUENCE if method == "pretrain" else 2048)),
        method=method,
        precision=precision or ("fp8" if narrow and method == "pretrain" else None),
        measured_at=when,
    )
    assumed = [] if precision else [f"precision not stated: {job.precision or '16 bits'} assumed"]
    assumed += [] if word(row, "seq_len") else [f"sequences of {job.seq_len} assumed"]
    return job, "; ".join(assumed)


def mlperf_lora(row: Row) -> tuple[Estimate, str]:
    """Return the minutes of a row of `mlperf_training.csv` of the benchmark llama2_70b_lora."""
    benchmark = word(row, "benchmark")
    if benchmark and "lora" not in benchmark:
        raise BadInput(f"{benchmark} is another benchmark; this kind answers llama2_70b_lora")
    gpu = meant(word(row, "accel"))
    gpus = number(row, "gpus") or (number(row, "nodes") or 1) * (number(row, "per_node") or 8)
    return lora_minutes(gpu, gpus, number(row, "gbs"), word(row, "round") or "v5.1"), ""
