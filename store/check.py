"""Walking the invariants: whether the tape still says what it was told.

Each rule is one question in SQL whose answer should be empty (`rules.py`). What is derived
from the log is derived once more in other words (`replay.py`): a frame, a roll of days or a
macro that went wrong does not vouch for itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gputape.store.errors import Busy, TapeError
from gputape.store.places import Where
from gputape.store.replay import DERIVED, days, frames
from gputape.store.rules import RULES, Depth, Rule, intervals
from gputape.store.tape import Place, connect, writing

if TYPE_CHECKING:
    import duckdb

__all__ = ("Depth", "Finding", "check", "unpublished")

# the count, and the earliest as the example
ASK = """
select count(*), min({'seen': seen, 'provider': provider, 'sku': sku, 'detail': detail})
from (%s) wrong
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that does not hold: how often, and where for example."""

    rule: str
    count: int
    finding: str
    provider: str | None = None
    sku: str | None = None
    seen: datetime | None = None


def check(con: "duckdb.DuckDBPyConnection", depth: Depth = Depth.USUAL) -> list[Finding]:
    """Return what is wrong with a tape, one finding for each rule that does not hold."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    found: dict[tuple[str, str], Finding] = {}
    try:
        for rule in _rules(con, depth):
            if finding := _ask(con, rule):
                before = found.setdefault((rule.name, rule.says), replace(finding, count=0))
                more = before.count + finding.count
                found[rule.name, rule.says] = replace(before, count=more)
    except duckdb.ProgrammingError:  # a mistake of ours
        raise
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        broken = Finding("file", 1, f"DuckDB can not read all of it ({line}): restore a copy")
        return [*found.values(), broken]
    return list(found.values())


def _rules(con: "duckdb.DuckDBPyConnection", depth: Depth) -> Iterator[Rule]:
    yield from (rule for rule in (*RULES, *DERIVED) if rule.depth <= depth)
    if depth > Depth.QUICK:
        deep = depth is Depth.DEEP
        yield from intervals(con)
        yield from frames(con, deep=deep)
        yield from days(con, deep=deep)


def _ask(con: "duckdb.DuckDBPyConnection", rule: Rule) -> Finding | None:
    count, example = con.execute(ASK.replace("%s", rule.sql)).fetchall()[0]
    if not count:
        return None
    words = f"{rule.says} ({example['detail']})"
    return Finding(rule.name, count, words, example["provider"], example["sku"], example["seen"])


def unpublished(path: Where, now: datetime) -> Finding | None:
    """Say what is wrong with the writer's file, when nobody holds it and we may open it.

    For `reading` answers from the published copy whatever became of the writer's.
    """
    if not isinstance(path, Path):
        return None
    place = Place(path)
    if not place.writer.exists():
        return None
    try:
        with writing(path, now, patience_s=0) as con, connect(path, read_only=True) as published:
            lost = len(_scans(published) - _scans(con))
    except (Busy, OSError):
        return None
    except TapeError as error:
        return Finding("writer", 1, f"what was written last can not be read: {error}")
    says = f"scans are published, but not in {place.writer}: move it away to go on without it"
    return Finding("writer", lost, says) if lost else None


def _scans(con: "duckdb.DuckDBPyConnection") -> set[int]:
    return {scan_id for (scan_id,) in con.execute("select scan_id from scan").fetchall()}
