"""Sizes that people type: 70B, 15T, 300k, 1.5e12, 1,000,000."""

import math
import re
from typing import Any

import click

UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12, "p": 10**15}
SIZE = re.compile(
    r"(?P<figure>[0-9]+(?:[,_][0-9]{3})*(?:\.[0-9]*)?|\.[0-9]+)(?P<power>e[+-]?[0-9]{1,3})?"
    r"\s*(?P<unit>[kmbgtp]?)",
    re.IGNORECASE,
)
MOST = 1e30
"""Above every count that is meant: 1e30 tokens are more than all text."""


class Size(click.ParamType["float"]):
    """A count with or without a unit: 15T, 70B, 1.5e12, 300k, 4096."""

    name = "size"

    def __init__(self, *, zero: bool = False, example: str = "15T, 70B, 300k or 1.5e12") -> None:
        self.zero = zero
        """Whether 0 is meant by somebody."""
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a finite number above 0, or from 0."""
        size = value if isinstance(value, (int, float)) else read(str(value))
        if size is None:
            self.fail(f"{value!r} is no number: write {self.example}", param, ctx)
        if not math.isfinite(size) or size > MOST:
            self.fail(f"{value!r} is more than is meant: write {self.example}", param, ctx)
        if size < 0 or (size == 0 and not self.zero):
            least = "at least 0" if self.zero else "above 0"
            self.fail(f"{value!r} must be {least}: write {self.example}", param, ctx)
        return size


class WholeSize(Size):
    """A whole count: 8192, 8k (8,000), 128K tokens."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return an int."""
        size = super().convert(value, param, ctx)
        if size != int(size):
            self.fail(f"{value!r} must be a whole number", param, ctx)
        return int(size)


def read(text: str) -> float | None:
    """Return the number that a text means; negative ones too, to be refused as such."""
    bare = text.strip()
    sign = -1.0 if bare.startswith("-") else 1.0
    found = SIZE.fullmatch(bare.removeprefix("-"))
    if not found:
        return None
    digits = re.sub("[,_]", "", found["figure"]) + (found["power"] or "")
    return sign * float(digits) * UNITS[found["unit"].casefold()]
