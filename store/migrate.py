"""How the tape's schema grows: each numbered file once, and the views made anew."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from gputape.store.errors import TooNew

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from gputape.store.places import Where

HERE = Path(__file__).parent  # importlib.resources costs 8 ms of a cold start
CREATE = re.compile(r"(create or replace )(view|macro)\b")


def migrate(con: "duckdb.DuckDBPyConnection", now: "datetime", path: "Where") -> None:
    """Bring the schema to this version: each numbered file once, and the views made anew."""
    con.execute(
        "create table if not exists migration "
        "(number integer not null, name varchar not null, applied_at timestamptz not null)"
    )
    known = schema()
    for number in to_do(con, path):
        con.begin()
        con.execute(known[number].read_text())
        con.execute("insert into migration values (?, ?, ?)", [number, known[number].name, now])
        con.commit()
    _views(con)
    if isinstance(path, Path):  # a lake's is dear, and done once a day
        con.execute("checkpoint")


@cache
def schema() -> dict[int, Path]:
    """Return the files that make the schema, by number."""
    files = (file for file in (HERE / "schema").iterdir() if file.name.endswith(".sql"))
    return {int(file.name[:3]): file for file in files}


def to_do(con: "duckdb.DuckDBPyConnection", path: "Where") -> list[int]:
    """Return the numbers of the schema that the tape does not have yet. Raises `TooNew`."""
    import duckdb  # noqa: PLC0415  # same

    done = set()
    with suppress(duckdb.CatalogException):  # nothing was ever written
        done = {row[0] for row in con.execute("select number from migration").fetchall()}
    known = schema()
    if ahead := done - set(known):
        raise TooNew(
            f"{path} has schema {max(ahead)}, this program knows {max(known)}: upgrade gputape"
        )
    return sorted(set(known) - done)


def _views(con: "duckdb.DuckDBPyConnection") -> None:
    if has_our_views(con):
        return
    con.begin()
    con.execute(_view_text())
    con.execute(f"comment on view v_offers is '{_view_mark()}'")
    con.commit()


def has_our_views(con: "duckdb.DuckDBPyConnection") -> bool:
    """Whether the tape's views are those of this program."""
    found = con.execute("select comment from duckdb_views() where view_name = 'v_offers'")
    return found.fetchall() == [(_view_mark(),)]


@cache
def _view_text() -> str:
    return "".join(file.read_text("utf-8") for file in sorted((HERE / "views").glob("*.sql")))


def _view_mark() -> str:
    return f"gputape {crc32(_view_text().encode()):08x}"


def own_views(con: "duckdb.DuckDBPyConnection") -> None:
    """Make our views for this connection alone, when a program with others wrote the tape."""
    if not has_our_views(con):
        con.execute(CREATE.sub(r"\1temp \2", _view_text()))
