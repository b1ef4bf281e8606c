"""A person's own SQL, held to questions: nothing is written, not even beside the tape."""

import re
from typing import TYPE_CHECKING

from gputape.analysis.history import Table
from gputape.store.errors import BadInput

if TYPE_CHECKING:
    import duckdb

EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\b", re.IGNORECASE)
# functions that a select may call and that open files all the same (DuckDB 1.5.5)
LOGGING = re.compile(
    r"\b(?:enable_logging|disable_logging|write_log|enable_profiling)\b", re.IGNORECASE
)
PIVOTS = re.compile(r"\s*(?:pivot|unpivot|from|with|select)\b", re.IGNORECASE)
LOOKS = re.compile(r"\s*pragma\s+(?:table_info|show_tables|version|database_size)\b", re.IGNORECASE)
PIVOT = ""  # DuckDB gives the statements that a pivot becomes no text of their own


def ask(con: "duckdb.DuckDBPyConnection", query: str) -> Table:
    """Return the rows of a query on a sealed connection (`store.tape.reading`).

    Raises `BadInput` with DuckDB's own words, or with the kind of statement that is refused.
    """
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    try:
        _check(con, query)
        if _is_lake(con):
            _check_doors(con, query)
        result = con.execute(query)
        names = [column[0] for column in result.description or ()]
        return Table(result.fetchall(), names)
    except duckdb.Error as error:
        raise BadInput(str(error).strip().replace("\n", "\n  ")) from None


def _is_lake(con: "duckdb.DuckDBPyConnection") -> bool:
    found = con.execute("select 1 from duckdb_databases() where type = 'ducklake'")
    return bool(found.fetchall())


def _check_doors(con: "duckdb.DuckDBPyConnection", query: str) -> None:
    from gputape.store.lake import door  # noqa: PLC0415  # a file needs nothing of it

    if word := door(con, query):
        raise BadInput(f"{word} is refused: it would leave the tape for its catalogue")


def _check(con: "duckdb.DuckDBPyConnection", query: str) -> None:
    """Let only questions through: `select`, `from`, `describe`, `summarize`, `pivot`, `explain`.

    A sealed connection may still write to the database's own path and its log's
    (`allowed_paths`, DuckDB 1.5.5): `copy … to 'tape.duckdb'` would replace the tape, and so
    would `explain analyze copy …`.
    """
    from duckdb import StatementType  # noqa: PLC0415  # same

    if found := LOGGING.search(query):
        raise BadInput(f"{found[0]} is refused: it would write a file beside the tape")
    statements = con.extract_statements(query)
    if not statements:
        raise BadInput("the query is empty: `gputape sql --list` shows what can be asked")
    for statement in statements:
        inner = EXPLAIN.sub("", statement.query, count=1)
        if statement.type == StatementType.EXPLAIN and inner != statement.query:
            _check(con, inner)
        elif not _asks(statement):
            raise BadInput(f"{statement.type.name.lower()} is refused: the tape is only read here")


def _asks(statement: "duckdb.Statement") -> bool:
    from duckdb import StatementType  # noqa: PLC0415  # same

    if statement.type == StatementType.SELECT:
        return True
    if statement.type.name == "MULTI":  # what DuckDB 2.0 makes of a pivot
        return PIVOTS.match(statement.query) is not None
    if statement.type == StatementType.PRAGMA:  # what 2.0 calls what was a select in 1.5
        return LOOKS.match(statement.query) is not None
    pivots = (StatementType.CREATE, StatementType.TRANSACTION)
    return statement.query == PIVOT and statement.type in pivots
