"""Which GPU a table of measurements means, and what it can compute at most.

meant("NVIDIA Blackwell GPU (B200-SXM-180GB)")      b200-sxm-180
meant("A100")                                       a100-sxm-80: a table that says no more
"""

import re
from functools import cache

from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu, families, gpus, resolve

DETAIL = re.compile(r"\bHBM\d\w*|\bNVL\d+\b|\(R\)|\bAI Accelerator\b|\d+W$", re.IGNORECASE)
"""What tables add to a part's name: its memory's kind, its rack, a trademark, its power."""


@cache
def meant(spelling: str) -> Gpu:
    """Return the one GPU that a spelling means; of a bare family the largest whole server part.

    Nothing known raises BadInput.
    """
    bare = DETAIL.sub(" ", spelling).strip()
    inside = re.findall(r"\(([^)]*)\)", spelling)
    outside = re.sub(r"\([^)]*\)", " ", bare)
    unsized = re.sub(r"[-\s]*\d+\s?GB\b", " ", outside)  # an H100 of 96 GB is one of ours of 80
    first = re.split(r"[/+,]| and ", outside)[0]  # a run on two parts: the one named first
    for words in (spelling, bare, *inside, outside, unsized, first):
        if found := resolve(words.strip()) or _family(words):
            return _whole(found)
    raise BadInput(f"no GPU is called {spelling!r}; `gputape gpus` lists them all")


def _family(words: str) -> Gpu | None:
    name = re.sub(r"[^a-z0-9]+", "-", words.casefold().replace("nvidia", "")).strip("-")
    parts = [gpus()[id_] for id_, family in families().items() if family == name]
    return max(parts, key=_rank, default=None)


def _rank(gpu: Gpu) -> tuple[bool, bool, float]:
    """Order the parts of a family: those with a rate, then not PCIe, then the most memory."""
    return _rate(gpu) is not None, gpu.form_factor != "PCIe", float(gpu.memory_gib)


def _whole(gpu: Gpu) -> Gpu:
    """Return the part itself, or the best of those it may be."""
    return max((gpus()[id_] for id_ in gpu.either), key=_rank, default=gpu)


def _rate(gpu: Gpu) -> float | None:
    rate = gpu.bf16_tflops or gpu.fp16_tflops or gpu.fp32_tflops
    return None if rate is None else float(rate)


def peak_flop_s(gpu: Gpu) -> float:
    """Return the dense 16-bit rate in FLOP/s, to which every utilisation here is relative."""
    rate = _rate(_whole(gpu))
    if rate is None:
        raise BadInput(f"the 16-bit rate of {gpu.name} is not known")
    return rate * 1e12
