"""Constants with their sources: cited ones by hand, fitted ones by `bench/fit_*.py`.

    constant("serving.reserve_gib").value        one number
    constant("mfu.h100.bf16").rows               how many rows a fitted one rests on

`constants_*.toml` are written by people and say where each number was read; `fitted_*.toml` are
written by the scripts and say on how many rows and with which error. No other module holds a
number of its own that is not the definition of a unit or part of a formula.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from gputape.analysis.workload.figure import Assumption


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A number with its unit, its 80 % interval as ratios of it, and its source."""

    name: str
    value: float
    unit: str = ""
    ratios: tuple[float, float] = (1.0, 1.0)
    """The truth lies, four times in five, between these multiples of the value."""
    rows: int | None = None
    """How many measured rows it was fitted on."""
    source: str

    @property
    def assumption(self) -> Assumption:
        """The constant as a line of what an estimate rests on."""
        on = f", {self.rows} measured rows" if self.rows else ""
        return Assumption(self.name, f"{self.value:g} {self.unit}".strip(), self.source + on)


@cache
def constants() -> Mapping[str, Constant]:
    """Every constant by its dotted name."""
    found: dict[str, Constant] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if file.name.startswith(("constants", "fitted")) and file.name.endswith(".toml"):
            found |= dict(_flat(tomllib.loads(file.read_text("utf-8"))))
    return MappingProxyType(found)


def _flat(table: dict[str, Any], path: str = "") -> list[tuple[str, Constant]]:
    if "value" in table:
        given = table | {"ratios": tuple(table.get("ratios", (1.0, 1.0)))}
        return [(path, Constant(name=path, **given))]
    return [
        pair
        for name, inner in table.items()
        for pair in _flat(inner, f"{path}.{name}" if path else name)
    ]


def constant(name: str) -> Constant:
    """Return a constant by its dotted name."""
    return constants()[name]
