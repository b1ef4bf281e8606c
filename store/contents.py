"""What a tape holds, told in a few numbers: equal numbers, equal rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

TABLES = """
select schema_name, table_name from duckdb_tables()
where database_name = current_database() and not internal and not temporary order by all
"""
Contents = dict[str, tuple[int, int]]
"""By table: how many rows, and the sum of their hashes, which no order of rows changes."""


def tables(con: "duckdb.DuckDBPyConnection") -> list[str]:
    """Return every table of the current database, as SQL spells its name."""
    return [f'"{schema}"."{name}"' for schema, name in con.execute(TABLES).fetchall()]


def contents(con: "duckdb.DuckDBPyConnection", kept: Mapping[str, str] | None = None) -> Contents:
    """Return what every table holds; of those in `kept`, only the rows that its words say."""
    words = {f'"main"."{name}"': f"where {condition}" for name, condition in (kept or {}).items()}
    return {name: summed(con, f"{name} t {words.get(name, '')}") for name in tables(con)}


def summed(con: "duckdb.DuckDBPyConnection", source: str) -> tuple[int, int]:
    """Return the number of rows of a source that is called `t`, and the sum of their hashes."""
    rows, total = con.execute(
        f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from {source}"
    ).fetchall()[0]
    return int(rows), int(total)


def rows_of(held: Contents) -> int:
    """Return how many rows there are in all."""
    return sum(rows for rows, _ in held.values())


def differing(one: Contents, other: Contents) -> list[str]:
    """Return the tables that do not hold the same."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
