"""A tape copied whole to another place: a file into a lake, a lake into a file, a file into one.

Table by table, in the order of the rows, in one transaction. Then both ends are read: each
table must hold the same rows, and what `check` finds there must be what it finds here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gputape.store.backup import put_bodies
from gputape.store.check import Depth, Finding, check
from gputape.store.contents import Contents, contents, differing, rows_of
from gputape.store.errors import BadInput, Damaged
from gputape.store.literal import literal
from gputape.store.places import Where, archive_of
from gputape.store.tape import publish, reading, writing

if TYPE_CHECKING:
    import duckdb

OWN = '"main"."migration"'  # says when this place, not the other one, was brought up to date


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    tables: int
    rows: int
    bodies: int
    """Raw bodies that were put beside it."""
    findings: list[Finding]
    """What is wrong with it: the same at both ends."""


def copy(
    source: Where, target: Where, now: datetime, *, force: bool = False, archive: bool = False
) -> Copied:
    """Copy everything, the raw bytes too when `archive`, and compare both ends.

    Raises `BadInput` when the target has scans and not `force`, which replaces them; `NoTape`,
    `Damaged`, `Busy`.
    """
    if str(source) == str(target):
        raise BadInput(f"{source} is both ends of the copy: give another place")
    if not (isinstance(source, Path) or isinstance(target, Path)):
        raise BadInput("a lake is copied into a file, and that into another lake")
    with reading(source) as con:  # brought up to date first, or refused
        findings = check(con, Depth.QUICK)
    held = _fill(source, target, now, force=force)
    with reading(target) as con:
        if wrong := differing(held, _contents(con)):
            raise Damaged(f"{target} does not hold the same {', '.join(wrong)}: copy again")
        if check(con, Depth.QUICK) != findings:
            raise Damaged(f"`gputape check` finds {target} otherwise than {source}: copy again")
    bodies = put_bodies(archive_of(source), archive_of(target)) if archive else 0
    return Copied(len(held), rows_of(held), bodies, findings)


def _fill(source: Where, target: Where, now: datetime, *, force: bool) -> Contents:
    """Put the source's rows in the target, and return what they came to."""
    with writing(target, now) as con:
        here = str(con.execute("select current_database()").fetchall()[0][0])
        if con.execute("from scan limit 1").fetchall() and not force:
            raise BadInput(f"{target} has scans already: give --force to replace them")
        with _beside(con, source), _transaction(con):
            held = _insert(con, here)
        publish(con, target)
    return held


@contextmanager
def _beside(con: "duckdb.DuckDBPyConnection", source: Where) -> Iterator[None]:
    """Attach the source as `origin`."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    if isinstance(source, Path):
        con.execute(f"attach {literal(str(source))} as origin (read_only)")
    else:
        from gputape.store.lake import lend  # noqa: PLC0415  # a file needs nothing of it

        lend(con, source, "origin")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # it is closed at the latest with the connection
            con.execute("detach origin")


@contextmanager
def _transaction(con: "duckdb.DuckDBPyConnection") -> Iterator[None]:
    con.begin()
    try:
        yield
        con.commit()
    except BaseException:
        con.rollback()
        raise


def _insert(con: "duckdb.DuckDBPyConnection", here: str) -> Contents:
    con.execute("use origin")
    held = _contents(con)
    con.execute(f'use "{here}"')
    for name in held:
        con.execute(f"delete from {name}")
        con.execute(f"insert into {name} by name select * from origin.{name}")
    return held


def _contents(con: "duckdb.DuckDBPyConnection") -> Contents:
    return {name: sums for name, sums in contents(con).items() if name != OWN}
