"""What is inside a machine type whose price list does not say: GPU, count, CPUs, memory.

One TOML file per provider in `instances/`, each with its source and the day it was checked.
A price for such a type needs no GPU in the quote: the sku is looked up here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

COUNT_STEP = Decimal("0.000001")  # a sixth of a GPU is 0.166667


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One machine type. What the source does not state is None."""

    sku: str
    gpu: str
    """A canonical id of `gpus.toml`."""
    gpu_count: Decimal
    vcpus: Decimal | None = None
    """Threads as the provider counts them."""
    memory_gib: Decimal | None = None
    local_ssd_gib: Decimal | None = None
    """Local disk that comes with the type and is billed with it."""
    part: str | None = None
    """The price list's part number (Oracle)."""
    preemptible: bool | None = None
    """Whether the type is sold preemptibly, where the source says so."""


@cache
def instances(provider: str) -> Mapping[str, Instance]:
    """Every known machine type of a provider; none when it has no file."""
    path = files("gputape.store.instances").joinpath(f"{provider}.toml")
    if not path.is_file():
        return MappingProxyType({})
    rows = tomllib.loads(path.read_text("utf-8"))["instances"]
    return MappingProxyType({sku: _instance(sku, row) for sku, row in rows.items()})


def instance(provider: str, sku: str) -> Instance | None:
    """Return the facts of one machine type, or None when it is not known."""
    return instances(provider).get(sku)


def _instance(sku: str, row: dict[str, Any]) -> Instance:
    amounts: dict[str, Any] = {
        name: Decimal(str(row[name]))
        for name in ("vcpus", "memory_gib", "local_ssd_gib")
        if name in row
    }
    return Instance(**row | amounts | {"sku": sku, "gpu_count": _count(row["gpu_count"])})


def _count(text: int | str) -> Decimal:
    """Read 8, "0.125" or "1/6"."""
    share = Fraction(text)
    count = Decimal(share.numerator) / share.denominator
    return count if share.denominator == 1 else count.quantize(COUNT_STEP)
