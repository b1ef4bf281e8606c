"""Which number formats a GPU computes in, and what each costs in bytes and buys in speed.

    supports(gpu("a100-sxm-80"), "fp8")          False: Ampere has no FP8 unit
    parsed("GPTQ-Int4", 4.15)                    4-bit weights, 16-bit arithmetic

Compute capabilities are NVIDIA's (CUDA C++ Programming Guide, "Compute Capabilities"): BF16 from
8.0, FP8 from 8.9, FP4 from 10.0. Other makers' parts are judged by whether the maker states a
rate for the format (FP8 from MI300X, FP4 from MI350X).
"""

import re
from dataclasses import dataclass

from gputape.analysis.workload.constants import constant
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu

CAPABILITY = {"fp16": (5, 3), "bf16": (8, 0), "int8": (6, 1), "fp8": (8, 9), "fp4": (10, 0)}
"""Least compute capability whose arithmetic knows the format; int4 is a format of weights only."""

SPELLINGS = (
    (r"nvfp4|mxfp4|fp4", "fp4"),
    (r"fp8|e4m3|w8a8-?fp8", "fp8"),
    (r"awq|int4|uint4|nf4|fp4-dq|w4a16|gptq(?!.?int8)|q4|4-?bit", "int4"),
    (r"int8|w8a16|8-?bit|q8", "int8"),
    (r"q[2356]|exl2|gguf|iq\d", "int4"),
    (r"bf16|bfloat16|16-true|16-mixed", "bf16"),
    (r"fp16|f16|float16|half", "fp16"),
    (r"fp32|f32|float32|32-true", "fp32"),
)
FORMATS = (
    (r"gptq", "gptq"),
    (r"awq", "awq"),
    (r"exl2", "exl2"),
    (r"nf4|fp4-dq|bnb", "bitsandbytes"),
    (r"gguf|iq\d|q\d", "gguf"),
)
BITS = {"fp32": 32.0, "fp16": 16.0, "bf16": 16.0, "fp8": 8.0, "int8": 8.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How weights are stored, and in what the products are taken."""

    name: str
    """`bf16`, `fp16`, `fp8`, `fp4`, `int8`, `int4`."""
    bits: float
    """Stored bits a weight, scales included."""
    format: str
    """How the weights are packed, which decides the kernels: `gptq-int4`, `awq`, `gguf`, …; \
else the name, with the two 16-bit ones as one."""


def parsed(spelling: str, bits: float | None = None) -> Precision:
    """Return the precision that a spelling means: `fp8`, `GPTQ-Int4`, `Q4_K_M`, `EXL2 4.0`.

    `bits` is the stored width when the source states it. Nothing known raises BadInput.
    """
    folded = spelling.strip().casefold()
    name = next((name for pattern, name in SPELLINGS if re.search(pattern, folded)), None)
    if name is None:
        known = ", ".join((*BITS, "fp4", "int4"))
        raise BadInput(f"no precision is called {spelling!r}; one of {known}")
    return Precision(name=name, bits=bits or stored_bits(name), format=_format(folded, name))


def _format(folded: str, name: str) -> str:
    """Return the packing of a folded spelling."""
    packed = next((format_ for words, format_ in FORMATS if re.search(words, folded)), None)
    if packed == "gptq":
        return f"gptq-{name}"
    return packed or ("16-bit" if name in ("bf16", "fp16") else name)


def stored_bits(name: str) -> float:
    """Return the bits that one weight takes, scales included: 4.5 for NVFP4."""
    return BITS.get(name) or constant(f"serving.bits.{name}").value


def peak_tflops(gpu: Gpu, name: str) -> float | None:
    """Return the dense rate in which the products of a precision are taken, in 10^12 FLOP/s.

    Weights narrower than the arithmetic are widened first, so int4 computes at the 16-bit rate,
    and so does FP8 on a part without it (Marlin kernels, arXiv 2408.11743).
    """
    half = gpu.bf16_tflops or gpu.fp16_tflops or gpu.fp32_tflops
    native = {"fp8": gpu.fp8_tflops, "fp4": gpu.fp4_tflops, "fp32": gpu.fp32_tflops}.get(name)
    rate = native or (gpu.fp8_tflops if name == "fp4" else None) or half
    return None if rate is None else float(rate)


def supports(gpu: Gpu, name: str) -> bool:
    """Tell whether a GPU has arithmetic of its own for a precision; int4 weights suit every one."""
    if name in ("int4", "fp32"):
        return True
    if gpu.cuda_cc is not None and name in CAPABILITY:
        major, minor = gpu.cuda_cc.split(".")
        return (int(major), int(minor)) >= CAPABILITY[name]
    rates = {
        "bf16": gpu.bf16_tflops,
        "fp16": gpu.fp16_tflops,
        "fp8": gpu.fp8_tflops,
        "fp4": gpu.fp4_tflops,
        "int8": gpu.int8_tops,
    }
    return bool(rates.get(name))


def best_precision(gpu: Gpu) -> str:
    """Return the narrowest floating format that a GPU computes in: its fastest way to serve."""
    return next((name for name in ("fp4", "fp8", "bf16", "fp16") if supports(gpu, name)), "fp32")
