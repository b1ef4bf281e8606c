"""How one copy of a model is spread over GPUs.

spread(model, gpu, 8)          tensor parallel over NVLink, pipeline parallel over PCIe
read("TP4PP2", 8)              what a table calls it
"""

import re
from dataclasses import dataclass

from gputape.analysis.workload.models import Model
from gputape.store.gpus import Gpu

NODE = 8  # GPUs of one server, and of one NVLink or Infinity Fabric domain
RACK = 72  # GPUs of one NVLink domain of a GB200 or GB300 NVL72


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The degrees of parallelism of one replica."""

    gpus: int
    tensor: int = 1
    """GPUs that share one attention head group: tensor parallel."""
    data: int = 1
    """Groups with whole sequences of their own: attention data parallel."""
    pipeline: int = 1
    experts: int = 1
    """GPUs over which whole experts are dealt out: expert parallel."""
    copies: int = 1
    """Replicas side by side that share nothing."""

    @property
    def name(self) -> str:
        """As people write it: `TP4 PP2`."""
        parts = (
            ("TP", self.tensor),
            ("PP", self.pipeline),
            ("DP", self.data),
            ("EP", self.experts),
            ("x", self.copies),
        )
        return " ".join(f"{name}{degree}" for name, degree in parts if degree > 1) or "one GPU"


def domain(gpu: Gpu) -> int:
    """Return how many GPUs share one fast link domain: 72 for a rack, 8 for a server, 1 by PCIe."""
    if gpu.form_factor == "Superchip" and gpu.family.startswith("gb"):
        return RACK
    return NODE if linked(gpu) else 1


def linked(gpu: Gpu) -> bool:
    """Tell whether GPUs talk over a link of their own, all to all; bridges join only pairs."""
    return bool(gpu.scaleup_gb_s) and gpu.form_factor != "PCIe"


def nodes(gpu: Gpu, gpus: int) -> int:
    """Return how many servers, or racks, a count of GPUs takes."""
    return -(-gpus // max(NODE, domain(gpu)))


def spread(model: Model, gpu: Gpu, gpus: int) -> Layout:
    """Return the usual layout: tensor parallel inside a fast domain, pipeline parallel beyond.

    Tensor parallel divides the heads (Megatron-LM, arXiv 1909.08053), so its degree is the
    largest divisor of both the heads and the GPUs of a domain. Experts go with it.
    """
    most = min(gpus, max(1, min(domain(gpu), NODE)))
    tensor = max(t for t in range(1, most + 1) if gpus % t == 0 and model.heads % t == 0)
    return Layout(gpus=gpus, tensor=tensor, pipeline=gpus // tensor)


def read(words: str, gpus: int) -> Layout | None:
    """Return the layout that `TP4PP2`, `DEP8` or `EP (…)` means, or None when it says nothing."""
    degrees = {
        name.upper(): int(degree)
        for name, degree in re.findall(r"(TP|PP|DP|EP|DEP)\s?(\d+)", words, re.IGNORECASE)
    }
    if not degrees:
        return Layout(gpus=gpus, data=gpus, experts=gpus) if "EP" in words.upper() else None
    tensor, pipeline = degrees.get("TP", 1), degrees.get("PP", 1)
    data = degrees.get("DP") or degrees.get("DEP") or max(1, gpus // (tensor * pipeline))
    experts = degrees.get("EP") or degrees.get("DEP") or 1
    return Layout(gpus=gpus, tensor=tensor, data=data, pipeline=pipeline, experts=experts)
