"""Rows of tables of serving measurements, read as jobs.

Only what was set is read, never what was measured.
"""

import re
from dataclasses import dataclass

from gputape.analysis.workload.accelerator import meant
from gputape.analysis.workload.constants import constants
from gputape.analysis.workload.layout import Layout, read, spread
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import Precision, best_precision, parsed
from gputape.analysis.workload.rows import Row, number, shape, word
from gputape.analysis.workload.steptime import Work
from gputape.analysis.workload.throughput import IN_TURN, in_turn
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu, resolve

MULTIPLE = re.compile(r"^(.*?\d\s?GB)[\s\u00a0x*×]+(\d+)$", re.IGNORECASE)  # "4090 24GB * 8"
NICKNAMES = {"llama 70b": "llama-2-70b"}  # the first LLaMA had no 70B (arXiv 2302.13971, Table 2)
DETAIL = re.compile(r"-?NPS\d.*$|\bHBM\d\w*|-\d+W$|\(.*\)", re.IGNORECASE)
# "MI300X-NPS1-SPX-192GB-750W", "MI325X 256GB HBM3e": MLPerf's names of a part and its setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one row asks: which work, at which batch and lengths, under which engine."""

    work: Work
    n_in: float
    n_out: float
    batch: float | None
    """Sequences at once in the whole replica; None is as many as fit."""
    engine: str
    version: str = ""
    notes: tuple[str, ...] = ()


def model_of(row: Row) -> Model:
    """Return the shape of a row's model: by name, else by its stated or told parameters."""
    name = word(row, "model") or word(row, "model_path")
    short = name.replace("3_1", "3.1") if word(row, "scenario") else name
    short = re.sub(r"-99(\.9)?$", "", short).rsplit("/", 1)[-1]
    short = NICKNAMES.get(short.casefold(), short)
    return shape(short, number(row, "params_total"), number(row, "params_active"))


def part(spelling: str) -> tuple[Gpu, int | None]:
    """Return the GPU that a row names and, when its name says so, how many of them."""
    text = spelling.strip()
    count = None
    if many := MULTIPLE.match(text):
        text, count = many[1], int(many[2])
    plain = DETAIL.sub("", text).strip(" -_")
    socket = re.sub(r"[-_ ]sxm$", "", plain)  # "a100_sxm": the family's server part
    for attempt in (text, plain, f"RTX {plain}", plain.replace("-", " "), f"{plain} 80GB"):
        if found := resolve(attempt):
            return meant(found.id), count  # of a bare "H100", the part that most servers have
    try:
        return meant(socket), count
    except BadInput:
        why = (
            f"no memory bandwidth is known of {spelling!r}: it is no GPU that is rented by the hour"
        )
        raise BadInput(why) from None


def precision_of(row: Row, gpu: Gpu, otherwise: str) -> tuple[Precision, tuple[str, ...]]:
    """Return the stated precision, or the usual one with a note that it was not stated."""
    if stated := word(row, "precision"):
        return parsed(stated, number(row, "bits")), ()
    name = best_precision(gpu) if otherwise == "best" else otherwise
    return parsed(name, number(row, "bits")), (f"precision not stated: {name} assumed",)


def kv_bits(row: Row, precision: Precision, engine: str) -> float:
    """Return bits of a cached value: as stated, else 8 with TensorRT-LLM and FP8 or FP4 weights.

    NVIDIA's FP8 and FP4 checkpoints carry an FP8 cache (TensorRT-LLM, perf-overview); vLLM and
    SGLang keep the cache in 16 bits unless told (`kv_cache_dtype` is `auto` by default).
    """
    if stated := word(row, "kv_precision"):
        return 8.0 if "8" in stated and "bf" not in stated.casefold() else 16.0
    narrow = precision.name in ("fp8", "fp4") and engine.startswith("tensorrt")
    return 8.0 if narrow else 16.0


def offline_job(row: Row) -> Job:
    """Return the job of a row of `inference_offline.csv`."""
    gpu, _ = part(word(row, "gpu"))
    model = model_of(row)
    gpus = int(number(row, "n_gpus") or 1)
    precision, notes = precision_of(row, gpu, "bf16")
    layout = read(word(row, "parallelism"), gpus) or spread(model, gpu, gpus)
    engine = engine_of(word(row, "framework"), word(row, "framework_version"))
    n_in, n_out = number(row, "isl"), number(row, "osl")
    if kv := re.search(r"kv length ([\d,]+)", word(row, "notes")):
        n_in, n_out = 0.0, 2 * float(kv[1].replace(",", ""))
        notes += ("a decode node: prompts are read elsewhere",)
    if n_in is None or n_out is None:
        raise BadInput("isl and osl are empty; a throughput needs both lengths")
    return Job(
        work=Work(model, gpu, layout, precision, kv_bits(row, precision, engine)),
        n_in=n_in,
        n_out=n_out,
        batch=number(row, "concurrency_or_batch"),
        engine=engine,
        notes=notes,
    )


def online_job(row: Row) -> Job:
    """Return the job of a row of `inference_online_silicon.csv`.

    `batch_size` counts the sequences of one attention group; groups of experts span all GPUs.
    """
    gpu, _ = part(word(row, "system"))
    model = model_of(row)
    precision, notes = precision_of(row, gpu, "bf16")
    degree = {
        name: int(number(row, name) or 1)
        for name in ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size", "gpus")
    }
    tensor, experts = degree["tp_size"], degree["moe_ep_size"]
    stated = tensor * degree["attention_dp_size"]
    gpus = max(stated, degree["gpus"], degree["moe_tp_size"] * experts)
    engine = engine_of(word(row, "backend"), word(row, "backend_version"))
    batch = number(row, "batch_size")
    if batch is None:
        raise BadInput("batch_size is empty; a time per token needs it")
    return Job(
        work=Work(
            model,
            gpu,
            Layout(gpus=gpus, tensor=tensor, data=gpus // tensor, experts=experts),
            precision,
            kv_bits(row, precision, engine),
        ),
        n_in=number(row, "isl") or 0.0,
        n_out=number(row, "osl") or 1.0,
        batch=batch * degree["attention_dp_size"],
        engine=engine,
        version=word(row, "backend_version"),
        notes=notes,
    )


def batch1_job(row: Row) -> Job:
    """Return the job of a row of `inference_batch1.csv`: one sequence at a time."""
    gpu, counted = part(word(row, "gpu"))
    model = model_of(row)
    gpus = counted or int(number(row, "n_gpus") or 1)
    precision, notes = precision_of(row, gpu, "fp16")
    engine = engine_of(word(row, "engine"), "")
    layout = in_turn(gpus) if engine in IN_TURN else Layout(gpus=gpus, tensor=gpus)
    return Job(
        work=Work(model, gpu, layout, precision, 16.0),
        n_in=number(row, "input_len") or 0.0,
        n_out=number(row, "output_len") or 128.0,
        batch=1.0,
        engine=engine,
        notes=notes,
    )


def mlperf_job(row: Row) -> Job:
    """Return the job of a language model's row of `mlperf_inference.csv`.

    Software that is not named is TensorRT-LLM on NVIDIA and vLLM on AMD, as in every named row.
    """
    model = model_of(row)
    gpu, _ = part(word(row, "gpu"))
    gpus = int(number(row, "n_gpus") or 1)
    precision, notes = precision_of(row, gpu, "best")
    usual = "tensorrt-llm" if gpu.vendor == "NVIDIA" else "vllm"
    engine = engine_of(word(row, "software"), "")
    name = mlperf_name(row)
    lengths = [constants().get(f"serving.mlperf.{name}.{side}") for side in ("n_in", "n_out")]
    if None in lengths:
        raise BadInput(f"the mean lengths of MLPerf's {word(row, 'model')} are not known in tokens")
    n_in, n_out = (found.value for found in lengths if found)
    return Job(
        work=Work(
            model,
            gpu,
            Layout(gpus=gpus),
            precision,
            kv_bits(row, precision, usual if engine == "other" else engine),
        ),
        n_in=n_in,
        n_out=n_out,
        batch=None,
        engine=usual if engine == "other" else engine,
        notes=notes,
    )


def mlperf_name(row: Row) -> str:
    """Return MLPerf's name of a model without its accuracy target: `llama3.1-8b`."""
    return re.sub(r"-99(\.9)?$", "", word(row, "model")).replace("3_1", "3.1")


ENGINES = (
    ("tensorrt|trt", "tensorrt-llm"),
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("llama.?cpp|gguf|ollama", "llama.cpp"),
    ("exllama", "exllamav2"),
    ("transformers|^hf|lit-?gpt", "transformers"),  # both run PyTorch's kernels one by one
)


def engine_of(name: str, version: str) -> str:
    """Return the engine's own name; TensorRT-LLM before 1.0 is another engine in speed."""
    folded = name.casefold()
    engine = next((known for words, known in ENGINES if re.search(words, folded)), "other")
    if engine == "tensorrt-llm" and version.startswith("0."):
        return "tensorrt-llm-0"
    return engine
