"""What articles printed and what is right, where the two differ."""

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gputape.analysis.spread import Spread


@cache
def _printed() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(Path(__file__).with_name("printed.toml").read_text("utf-8"))


def notes_on_spread(found: "Spread") -> list[str]:
    """Return what must be said of a spread that is an article's own table, and of nothing else."""
    known = {(best.source, best.last_seen.date()) for best in found.bests}
    return [
        row["note"] for row in _printed()["spread"]
        if known == {(row["source"], row["day"])}
        and (row["gpu"], row["option"]) == (found.gpu, found.option)
    ]  # fmt: skip


def note_on_example(name: str) -> str:
    """Return what must be said of a figure of the article's example, or nothing."""
    return next((row["note"] for row in _printed()["example"] if row["name"] == name), "")
