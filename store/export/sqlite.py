"""All tables in one SQLite file, by Python's own sqlite3: for Datasette, sqlite-utils and SQL.

SQLite has no decimals. Money is REAL, so that it sorts and sums; `Decimal(repr(x))` gives back
what was printed up to 15 digits, which is every price below 1,000,000 an hour.
Times are ISO 8601 text of one width in UTC, so that their order is the order of time.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gputape.store.export.columnar import columns, texts
from gputape.store.export.slices import Slice
from gputape.store.export.tables import TABLES

if TYPE_CHECKING:
    import duckdb

FILE = "export.sqlite"
BATCH = 20_000
INDEXES = {
    "prices": ("gpu, option, valid_from", "provider, gpu", "series_id, valid_from"),
    "changes": ("changed_at", "gpu, changed_at"),
    "daily": ("gpu, option, day",),
    "series": ("gpu", "provider, sku"),
    "scans": ("provider, part, observed_at",),
    "pages": ("scan_id",),
    "interruptions": ("provider, sku, region",),
}
IMPORTED = (
    "select p.*, s.name as source_name, s.licence, s.attribution "
    "from prices p left join sources s using (source) "
    "where p.source is not null or p.origin = 'import'"
)
VIEWS = {
    "current_prices": (
        {"prices"},
        "select * from prices where valid_to is null and state = 'firm'",
    ),
    "imported_prices": ({"prices", "sources"}, IMPORTED),
}


def write(con: "duckdb.DuckDBPyConnection", name: str, pieces: list[Slice], stage: Path) -> int:
    """Add a table to the file, in batches, and return its rows."""
    found = columns(con, pieces[0].sql)
    with closing(opened(stage)) as db:
        db.execute(f"create table {name} ({', '.join(_column(name, *pair) for pair in found)})")
        put = f"insert into {name} values ({', '.join('?' * len(found))})"
        for piece in pieces:
            con.execute(_plain(con, piece.sql))
            while batch := con.fetchmany(BATCH):
                db.executemany(put, batch)
        for n, index in enumerate(INDEXES.get(name, ())):
            db.execute(f"create index {name}_{n} on {name} ({index})")
        db.commit()
        return int(db.execute(f"select count(*) from {name}").fetchone()[0])


def finish(stage: Path, manifest: dict[str, Any]) -> None:
    """Add the views, the columns with their units, and what the manifest knows by now."""
    with closing(opened(stage)) as db:
        for name, (needs, sql) in VIEWS.items():
            if needs <= manifest["tables"].keys():
                db.execute(f"create view {name} as {sql}")
        db.execute('create table columns ("table" text, "column" text, type text, unit text)')
        db.executemany(
            "insert into columns values (?, ?, ?, ?)",
            [
                (table, column["name"], column["type"], column.get("unit"))
                for table, about in manifest["tables"].items()
                for column in about["columns"]
            ],
        )
        db.execute("create table manifest (key text primary key, value json)")
        db.executemany(
            "insert into manifest values (?, ?)",
            [(key, json.dumps(value, ensure_ascii=False)) for key, value in manifest.items()],
        )
        db.execute("analyze")
        db.commit()


def opened(stage: Path) -> sqlite3.Connection:
    """Open the file fast: when this is cut it is thrown away whole."""
    db = sqlite3.connect(stage / FILE)
    db.execute("pragma journal_mode = off")
    db.execute("pragma synchronous = off")
    return db


def _plain(con: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """Return a query whose values Python's sqlite3 takes as they come."""
    sql = texts(con, sql)
    casts = [f"{name}::{to} as {name}" for name, kind in columns(con, sql) if (to := _cast(kind))]
    return f"select * replace ({', '.join(casts)}) from ({sql})" if casts else sql


def _cast(kind: str) -> str | None:
    if kind.startswith("decimal"):
        return "double"
    return {"boolean": "integer", "date": "varchar"}.get(kind)


def _column(table: str, name: str, kind: str) -> str:
    key = " primary key" if TABLES[table].key == name else ""
    if kind.startswith("decimal") or kind in ("float", "double"):
        return f"{name} real{key}"
    return f"{name} {'integer' if kind.endswith(('int', 'integer', 'boolean')) else 'text'}{key}"
