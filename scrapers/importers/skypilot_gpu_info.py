"""What SkyPilot's `GpuInfo` says about the memory of one GPU: JSON, a Python literal, or a name.

The size is per GPU and the total is of all, or so it is meant. Seen: the total in both (Vast), the
size in both (Lambda), GiB in a field that is called MiB (RunPod, Shadeform), `null` in a literal.
"""

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from gputape.store.gpus import resolve

MIB = Decimal(1024)  # no GPU has less than 1 GiB, so a smaller figure is GiB
NEAR = Decimal("0.01")
IN_GIB = "GpuInfo's SizeInMiB holds GiB"
TOTAL_AS_SIZE = "GpuInfo's size is the total of all GPUs, read as such"
SIZE_AS_TOTAL = "GpuInfo's total is not count times size; the size is believed"
UNCLEAR = "GpuInfo's memory contradicts itself and is left out"


class Memory(NamedTuple):
    """One GPU's memory, if it can be told, and what is wrong with the words."""

    gib: Decimal | None = None
    flaw: str | None = None


@lru_cache(maxsize=8192)
def memory(provider: str, name: str, count: str, info: str) -> Memory:
    """Return the memory of one GPU. Where the words contradict, the name decides."""
    size, total = _figures(info)
    if size is None:
        return Memory()
    gpus = _number(count) or Decimal(1)
    flaw = IN_GIB if size < MIB else None
    each, every = _gib(size), _gib(total) if total is not None else None
    if gpus == 1 or (every is not None and abs(every - each * gpus) <= every * NEAR):
        return Memory(each, flaw)
    known = [gib for gib in (each, each / gpus) if resolve(name, gib, provider)]
    if len(known) != 1:
        return Memory(None, UNCLEAR)
    if known[0] != each:
        return Memory(known[0], TOTAL_AS_SIZE)
    return Memory(each, flaw or (SIZE_AS_TOTAL if every is not None else None))


def _gib(size: Decimal) -> Decimal:
    return size if size < MIB else size / MIB


def _figures(info: str) -> tuple[Decimal | None, Decimal | None]:
    """Return size and total as printed; `GpuMemory` of the first OCI files is neither."""
    said = _literal(info)
    gpus = said.get("Gpus")
    first = gpus[0] if isinstance(gpus, list) and gpus and isinstance(gpus[0], Mapping) else {}
    inside = first.get("MemoryInfo")
    size = inside.get("SizeInMiB") if isinstance(inside, Mapping) else None
    total = said.get("TotalGpuMemoryInMiB", first.get("TotalGpuMemoryInMiB"))
    return _number(size), _number(total)


def _literal(info: str) -> Mapping[str, Any]:
    if not info.startswith("{"):
        return {}
    said: Any = None
    try:
        said = json.loads(info, parse_float=Decimal)
    except (ValueError, RecursionError):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            said = ast.literal_eval(re.sub(r"\bnull\b", "None", info))
    return said if isinstance(said, Mapping) else {}


def _number(value: object) -> Decimal | None:
    with suppress(InvalidOperation):
        number = Decimal(str(value))
        return number if number.is_finite() and number > 0 else None
    return None
