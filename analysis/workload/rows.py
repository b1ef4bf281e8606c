"""Cells of a table of jobs, read: numbers, words, years, and the shape of a row's model."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gputape.analysis.workload.constants import constants
from gputape.analysis.workload.models import Model, find, fold, sized
from gputape.store.errors import BadInput

Row = Mapping[str, str]

NOTHING = {"", "nan", "none", "n/a", "null", "-"}
SIZE = re.compile(r"(?<![a-z0-9.])(?:e|x)?(\d+(?:\.\d+)?)\s?([bmt])(?![a-z0-9])", re.IGNORECASE)
ACTIVE = re.compile(r"(?<![a-z0-9])a(\d+(?:\.\d+)?)\s?b(?![a-z0-9])", re.IGNORECASE)
UNIT = {"m": 1e6, "b": 1e9, "t": 1e12}


def word(row: Row, name: str) -> str:
    """Return a cell's text, or an empty string when it says nothing."""
    text = str(row.get(name) or "").strip()
    return "" if text.casefold() in NOTHING else text


def number(row: Row, name: str) -> float | None:
    """Return a cell's number, or None when it says nothing; words raise BadInput."""
    text = word(row, name).replace(",", "")
    try:
        return float(text) if text else None
    except ValueError:
        raise BadInput(f"{name} is {text!r}; a number would be right") from None


def year(row: Row, name: str) -> float | None:
    """Return a date as a year: 2025.5 for `2025-07`, and the middle of a year alone."""
    if not (stated := re.match(r"(\d{4})(?:-(\d\d))?", word(row, name))):
        return None
    return float(stated[1]) + ((int(stated[2]) - 1) / 12 if stated[2] else 0.5)


def shape(name: str, total: float | None = None, active: float | None = None) -> Model:
    """Return a model's shape: published by name, else from its parameters, else from its name.

    Stated parameters go before published ones. A name that tells no size raises BadInput.
    """
    plain = re.sub(r"\s*\(.*?\)|,.*$", "", name).strip()
    known = find(name) or find(plain)
    if total is None and known is None:
        total, active = _published(plain) or _told(plain)
    if known is None:
        assert total is not None  # noqa: S101 - told above, or raised
        return replace(sized(total, _within(active, total)), name=plain)
    if total is None:
        return known
    return replace(known, params=round(total), active=round(_within(active, total) or total))


def _within(active: float | None, total: float) -> float | None:
    return min(active, total) if active else None


def _published(name: str) -> tuple[float, float] | None:
    path = f"training.sizes.{fold(name)}"
    total, active = (constants().get(f"{path}.{part}") for part in ("total", "active"))
    return (total.value, active.value) if total and active else None


def _told(name: str) -> tuple[float, float | None]:
    """Return the parameters that a name tells: `Qwen3_235B_a22B`, `GPT 22B`."""
    words = name.replace("_", " ").replace("-", " ")
    if not (size := SIZE.search(words)):
        raise BadInput(f"no shape is known of {name!r}, and no parameters are stated")
    active = ACTIVE.search(words)
    return float(size[1]) * UNIT[size[2].casefold()], float(active[1]) * 1e9 if active else None
