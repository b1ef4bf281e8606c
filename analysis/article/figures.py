"""Every figure of the source articles that a program can compute, beside what was printed.

    for printed, values in figures(con):      con: a tape of the article's table of 2023-04-07
        printed.id, printed.printed, values, printed.verdict, printed.note

The words stand in `figures.toml`; the numbers come from the functions that answer everybody's
questions (`physics.py`, `money.py`). A figure that was printed wrong never comes without its note.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from gputape.analysis.article.money import MONEY
from gputape.analysis.article.physics import PHYSICS
from gputape.analysis.article.table import DAY, Computed, Table, Value
from gputape.analysis.printed import note_on_example, notes_on_spread
from gputape.analysis.spread import bests

if TYPE_CHECKING:
    import duckdb

COMPUTED: Mapping[str, Computed] = {**PHYSICS, **MONEY}
EXAMPLES = {
    "F35": "energy a year",
    "F37": "two cards against an A100, FP32 accumulation",
}
"""Figures of `gputape buy --example`, whose notes are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A figure as an article prints it, and what is to be said of it."""

    id: str
    article: str
    printed: str
    verdict: str
    """`right`, or in a word what it is instead."""
    note: str = ""


def figures(con: "duckdb.DuckDBPyConnection") -> Iterator[tuple[Printed, list[Value]]]:
    """Yield each figure with what is computed for it, in their order."""
    table = Table(bests(con, DAY))
    for id_, entry in _entries().items():
        note = entry.get("note") or _noted_elsewhere(id_, table)
        yield Printed(**{**entry, "id": id_, "note": note}), COMPUTED[id_](table)


@cache
def _entries() -> Mapping[str, dict[str, str]]:
    return tomllib.loads(files(__package__).joinpath("figures.toml").read_text("utf-8"))


def _noted_elsewhere(id_: str, table: Table) -> str:
    """Return the note that the same figure has where it is asked for elsewhere."""
    if id_ == "F25":
        return "; ".join(notes_on_spread(table.spread("a100-80", "reserved")))
    return note_on_example(EXAMPLES[id_]) if id_ in EXAMPLES else ""
