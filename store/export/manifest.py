"""What an export says of itself: from which tape, what is in it, and under whose licences."""

import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gputape.store.export.columnar import PARTITIONS, columns
from gputape.store.export.tables import UNITS, Table
from gputape.store.places import Where

if TYPE_CHECKING:
    import duckdb

NAME = "manifest.json"
CHUNK = 1 << 20
NUMBERS = ("decimal", "float", "double", "smallint", "integer", "bigint")
STORED = {
    "parquet": "types are DuckDB's; times are microseconds in UTC; partitions are in the paths",
    "csv": 'NULL is nothing, an empty text is ""; times are ISO 8601 in UTC',
    "jsonl": "money is a number with all its digits, for a decimal; times are ISO 8601 in UTC",
    "sqlite": "money is REAL, exact to 15 digits by Decimal(repr(x)); times are ISO 8601 in UTC; "
    "booleans are 0 and 1",
}
NOTES = (
    "Prices are before tax, as they were listed when they were fetched, without any warranty.",
    "Intervals are half-open, and whole where the period cuts them; valid_to is null for the last.",
    "What was held back and not believed, and what could not be read, is not in an export.",
)


def about_tape(con: "duckdb.DuckDBPyConnection", tape: Where) -> dict[str, Any]:
    """Return which tape it was and how new; its folder is nobody's business."""
    ((schema,),) = con.execute("select max(number) from migration").fetchall()
    ((oldest, newest),) = con.execute(
        "select min(observed_at), max(observed_at) from scan where status in ('ok', 'unchanged')"
    ).fetchall()
    return {
        "name": tape.name if isinstance(tape, Path) else "lake",
        "schema": schema,
        "oldest_look_at": oldest and iso(oldest),
        "newest_look_at": newest and iso(newest),
    }


def about_table(
    con: "duckdb.DuckDBPyConnection", table: Table, sql: str, rows: int, fmt: str
) -> dict[str, Any]:
    """Return what a table is, how many rows it has, and its columns with units."""
    partitions = PARTITIONS.get(table.name, []) if fmt == "parquet" else []
    found = columns(con, sql)
    found += [(name, "integer") for name in partitions if name not in dict(found)]
    return {
        "row_is": table.what,
        "rows": rows,
        "narrowed_by": table.filters,
        **({"partitioned_by": partitions} if partitions else {}),
        "columns": [_column(*pair) for pair in found],
    }


def _column(name: str, kind: str) -> dict[str, str]:
    unit = UNITS.get(name) if kind.startswith(NUMBERS) else None
    return {"name": name, "type": kind} | ({"unit": unit} if unit else {})


def about_sources(
    con: "duckdb.DuckDBPyConnection", counted: dict[str | None, dict[str, int]]
) -> list[dict[str, Any]]:
    """Return who kept the imported rows that are in it, with licence and attribution.

    What the tape does not know of a source is null: ask before you pass its rows on.
    """
    known = {row[0]: row[1:] for row in con.execute(
        "select source, name, url, licence, attribution from v_sources"
    ).fetchall()}  # fmt: skip
    words = ("name", "url", "licence", "attribution")
    return [
        {"source": source, **dict(zip(words, known.get(source, (None,) * 4), strict=True)),
         "rows": rows}
        for source, rows in sorted(counted.items(), key=lambda pair: pair[0] or "")
    ]  # fmt: skip


def about_files(stage: Path, files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return path, size and SHA-256 of each file, and see to it that it is on the disk."""
    return [
        {"path": file.relative_to(stage).as_posix(), "bytes": file.stat().st_size,
         "sha256": _sha256(file)}
        for file in sorted(files)
    ]  # fmt: skip


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
    return digest.hexdigest()


def program() -> str:
    """Return who wrote it."""
    return f"gputape {version('gputape')}"


def iso(moment: datetime) -> str:
    """Return a moment in UTC as ISO 8601 spells it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
