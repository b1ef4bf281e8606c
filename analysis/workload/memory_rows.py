"""Rows of a table of memory measurements, read as jobs.

A row exists because it ran: what it leaves unsaid is chosen so that it fits the card it names.
"""

from dataclasses import replace

from gputape.analysis.workload.accelerator import meant
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.memory import (
    GIB,
    OPTIMIZERS,
    WHOLE_BITS,
    Checkpointing,
    Setup,
    Sharding,
    frozen_bytes,
    memory_estimate,
    parts,
)
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.rows import Row, number, shape, word
from gputape.analysis.workload.work import Method, Training

SHARDINGS: dict[str, Sharding] = {
    "zero1": "zero1", "zero2": "zero2", "zero3": "zero3", "fsdp": "zero3", "fsdp2": "zero3",
    "full_shard": "zero3", "shard_grad_op": "zero2", "ddp": "ddp", "none": "ddp",
}  # fmt: skip
MIXED = ("adamw", "adamw_fp32_grad")
LEANER = ("adamw_bf16", "adamw_8bit", "paged_adamw_8bit")
"""What people fall back to when full fine-tuning does not fit, in their order."""
SEQUENCE = 512


def memory(row: Row) -> tuple[Estimate, str]:
    """Return the gigabytes (10^9 bytes) of one GPU of a row of a memory table."""
    model = shape(word(row, "model"), number(row, "params"))
    phase = word(row, "phase").casefold()
    if phase.startswith(("infer", "serv", "decod", "generat", "prefill")):
        estimate, note = _inference(model, row)
    else:
        estimate, note = _fitting(_job(model, row), _setup(row), row)
    return estimate.map(lambda gib: gib * GIB / 1e9, "GB per GPU"), note


def _job(model: Model, row: Row) -> Training:
    method, four_bit = word(row, "method").casefold(), number(row, "weight_bits") == 4
    kind: Method = "full" if not method or "full" in method else "pretrain"
    if "dpo" in method:
        kind = "dpo"
    elif "lora" in method or "adapter" in method:
        kind = "qlora" if "q" in method.split("lora")[0] or four_bit else "lora"
    return Training(
        model=model, tokens=1, method=kind, seq_len=int(number(row, "seq_len") or SEQUENCE)
    )


def _setup(row: Row) -> Setup:
    gpus = int(number(row, "n_gpus") or 1)
    return Setup(
        n_gpus=gpus,
        micro_batch=int(number(row, "micro_batch") or 1),
        sharding=_sharding(row, gpus),
        checkpointing=_checkpointing(row),
        optimizer=_optimizer(row),
        frozen_bits=number(row, "weight_bits") or WHOLE_BITS,
        trains_embeddings="emb" in word(row, "method").casefold(),
    )


def _sharding(row: Row, gpus: int) -> Sharding:
    said = word(row, "sharding").casefold().replace("-", "").replace(" ", "")
    for name, sharding in SHARDINGS.items():
        if name in said:
            return sharding
    return "zero3" if gpus > 1 else "ddp"


def _checkpointing(row: Row) -> Checkpointing:
    said = word(row, "act_ckpt").casefold()
    if "selective" in said:
        return "selective"
    return "none" if said in ("false", "no", "off", "0") else "full"


def _optimizer(row: Row) -> str:
    said = word(row, "optimizer").casefold().replace("-", "_")
    eight = "8" in said and "bit" in said
    if "paged" in said:
        return "paged_adamw_8bit" if eight else "paged_adamw"
    if "adam" in said or not said:
        width = number(row, "weight_bits")
        deepspeed = "zero" in word(row, "sharding").casefold()
        mixed = "adamw_fp32_grad" if deepspeed else "adamw"
        plain = "adamw_fp32" if width == 32 else mixed
        return "adamw_8bit" if eight else "adamw_bf16" if "bf16" in said else plain
    return next((name for name in OPTIMIZERS if name in said), "adamw")


def _fitting(job: Training, setup: Setup, row: Row) -> tuple[Estimate, str]:
    """Return the estimate of the first set-up that fits the card, no richer than the stated one."""
    said = word(row, "gpu")
    room = float(meant(said).memory_gib) * GIB if said else float("inf")
    tried = [setup]
    if job.method in ("full", "pretrain", "dpo") and setup.optimizer in MIXED:
        tried += [replace(setup, optimizer=name) for name in LEANER]
    chosen = next((each for each in tried if parts(job, each).total <= room), tried[-1])
    note = f"{chosen.optimizer}, {chosen.sharding}, checkpointing {chosen.checkpointing}"
    if chosen is not tried[0]:
        note += "; a richer optimizer would not fit the card"
    estimate = memory_estimate(job, chosen)
    if estimate.point > room / GIB:
        return estimate * (room / GIB / estimate.point), f"{note}; held to the card's memory"
    return estimate, note


def _inference(model: Model, row: Row) -> tuple[Estimate, str]:
    """Return what a plain engine holds on one GPU: weights, cache, a prompt's working set."""
    tokens = (number(row, "seq_len") or 0) * (number(row, "micro_batch") or 1)
    working = tokens * (6 * (model.ffn or 4 * model.hidden) + 4 * model.hidden)
    gpus = number(row, "n_gpus") or 1
    weights = frozen_bytes(model, number(row, "weight_bits") or WHOLE_BITS)
    whole = weights + tokens * model.kv_bytes_token + working
    point = whole / gpus / GIB + constant("memory.inference_gib").value
    spread = constant("memory.inference_interval")
    return within(
        point, "GiB per GPU", spread.ratios, spread.assumption
    ), "weights, cache and one prompt in work"
