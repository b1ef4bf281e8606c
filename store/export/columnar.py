"""Tables as Parquet, CSV and JSON lines, written by DuckDB itself without ever holding one whole.

Parquet is for engines: a folder a table, plain types (DECIMAL as INT64, microseconds in UTC),
data pages of version 1, prices apart by provider and by the year in which they began.
CSV and JSON lines are for everything else: a file a table, times as ISO 8601 text in UTC.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gputape.store.export.slices import Slice
from gputape.store.literal import literal

if TYPE_CHECKING:
    import duckdb

PARQUET = "format parquet, compression zstd, parquet_version v1"
CSV = "format csv, header true"
ISO = "%Y-%m-%dT%H:%M:%S.%fZ"
PARTITIONS = {"prices": ["provider", "year"]}
YEAR = "year(valid_from at time zone 'UTC')::integer"
CHUNK = 1 << 20

Writer = Callable[["duckdb.DuckDBPyConnection", str, list[Slice], Path], int]


def parquet(con: "duckdb.DuckDBPyConnection", name: str, pieces: list[Slice], stage: Path) -> int:
    """Write a table as a folder of Parquet files, and return its rows."""
    folder = stage / name
    folder.mkdir()
    write = _partitioned if name in PARTITIONS else _part
    return sum(write(con, piece, folder, n) for n, piece in enumerate(pieces))


def _part(con: "duckdb.DuckDBPyConnection", piece: Slice, folder: Path, n: int) -> int:
    return _copy(con, piece.sql, folder / f"part-{n}.parquet", PARQUET)


def _partitioned(con: "duckdb.DuckDBPyConnection", piece: Slice, folder: Path, n: int) -> int:
    target = folder / f"provider={quote(str(piece.provider), safe='')}"
    rows = _copy(
        con,
        f"select * exclude (provider), {YEAR} as year from ({piece.sql})",
        target,
        f"{PARQUET}, partition_by (year), overwrite_or_ignore true, "
        f"filename_pattern 'part-{n}-{{i}}'",
    )
    if target.exists() and not any(target.iterdir()):
        target.rmdir()
    return rows


def csv(con: "duckdb.DuckDBPyConnection", name: str, pieces: list[Slice], stage: Path) -> int:
    """Write a table as one CSV file: NULL is nothing, an empty text is `""`."""
    return _joined(con, pieces, stage / f"{name}.csv", CSV)


def jsonl(con: "duckdb.DuckDBPyConnection", name: str, pieces: list[Slice], stage: Path) -> int:
    """Write a table as one file of JSON lines; money is a number with all its digits."""
    return _joined(con, pieces, stage / f"{name}.jsonl", "format json")


def _joined(con: "duckdb.DuckDBPyConnection", pieces: list[Slice], target: Path, how: str) -> int:
    """Write each piece behind the one before: `copy` itself can not append."""
    rows, more = 0, target.with_suffix(".more")
    for n, piece in enumerate(pieces):
        rows += _copy(con, texts(con, piece.sql), more if n else target, how)
        if n:
            with target.open("ab") as file, more.open("rb") as rest:
                if how == CSV:
                    rest.readline()  # the header
                shutil.copyfileobj(rest, file, CHUNK)
            more.unlink()
    return rows


def texts(con: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """Return a query with its times as ISO 8601 text, all of one width."""
    names = [name for name, kind in columns(con, sql) if kind == "timestamp with time zone"]
    as_text = ", ".join(f"strftime({name} at time zone 'UTC', '{ISO}') as {name}" for name in names)
    return f"select * replace ({as_text}) from ({sql})" if names else sql


def columns(con: "duckdb.DuckDBPyConnection", sql: str) -> list[tuple[str, str]]:
    """Return the names and DuckDB types of a query's columns."""
    found = con.execute(f"describe {sql}").fetchall()
    return [(row[0], row[1].lower()) for row in found]


def _copy(con: "duckdb.DuckDBPyConnection", sql: str, target: Path, how: str) -> int:
    done = con.execute(f"copy ({sql}) to {literal(str(target))} ({how})").fetchall()
    return int(done[0][0])
