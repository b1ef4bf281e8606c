"""What a question of the Python API gets: rows that are asked for when first needed, then kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gputape.store.errors import BadInput, Damaged, TapeError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from gputape.store.places import Where


class Source:
    """An open tape that lends connections, and says in our words what DuckDB says."""

    def __init__(self, con: "duckdb.DuckDBPyConnection", path: "Where") -> None:
        self._con = con
        self.path = path

    def close(self) -> None:
        """Close the file; answers that are already there stay."""
        self._con.close()

    @contextmanager
    def cursor(self, *, asked: bool) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Lend a connection of its own to one question: one connection has one open answer."""
        with self.in_words(asked=asked), self._con.cursor() as cursor:
            cursor.execute("use tape; set timezone = 'UTC'")
            yield cursor

    @contextmanager
    def in_words(self, *, asked: bool) -> Iterator[None]:
        """Say what DuckDB says in a sentence of ours; `asked`: it was somebody's own SQL."""
        import duckdb  # noqa: PLC0415  # same

        try:
            yield
        except duckdb.ConnectionException:
            raise TapeError(f"{self.path} is closed: open it again to ask more") from None
        except duckdb.OutOfMemoryException:
            raise TapeError(
                "the answer is larger than memory: ask for less, or in batches"
            ) from None
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise self._sentence(error, asked=asked) from None

    def _sentence(self, error: "duckdb.Error", *, asked: bool) -> Exception:
        import duckdb  # noqa: PLC0415  # same

        line = str(error).strip().splitlines()[0]
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            return Damaged(f"{self.path} can not be read ({line}): restore a copy")
        if asked:
            return BadInput(str(error).strip().replace("\n", "\n  "))
        if isinstance(error, duckdb.IOException):
            return Damaged(f"{self.path} can not be read ({line}): restore a copy")
        if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            return Damaged(
                f"{self.path} lacks what this version asks for ({line}): run a command on it "
                "where it may be written, so that it is brought up to date"
            )
        return error


class Rows:
    """The rows of one question, asked of the tape when first needed and then kept."""

    def __init__(self, source: Source, sql: str, *, asked: bool = False) -> None:
        self._source = source
        self._sql = sql
        self._asked = asked

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order; nothing is computed for them."""
        with self._source.cursor(asked=self._asked) as con:
            return tuple(con.sql(self._sql).columns)

    @cached_property
    def _kept(self) -> "pa.Table":
        with self._source.cursor(asked=self._asked) as con:
            return con.sql(self._sql).to_arrow_table()

    def arrow(self) -> "pa.Table":
        """Return a `pyarrow.Table`: exact decimal128, timestamp[us, UTC]."""
        return self._kept

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict a row: exact `Decimal`, aware `datetime` in UTC, None where unknown."""
        rows: list[dict[str, Any]] = self._kept.to_pylist()
        return rows

    def df(self, *, exact: bool = False) -> "pd.DataFrame":
        """Return a `pandas.DataFrame`, with times as datetime64[us, UTC].

        Money is the nearest float64, which `Decimal(repr(x))` turns back into what was printed
        up to 15 digits; `exact` has `Decimal` objects instead, slower and never rounded.
        """
        from gputape.store.frames import data_frame  # noqa: PLC0415  # pandas: 0.4 s

        return data_frame(self._kept, exact=exact)

    def batches(self, size: int = 100_000) -> "Iterator[pa.RecordBatch]":
        """Yield Arrow record batches of so many rows, keeping none: for very long answers."""
        with self._source.cursor(asked=self._asked) as con:
            yield from con.sql(self._sql).to_arrow_reader(size)

    def __len__(self) -> int:
        return int(self._kept.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._kept.to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()

    def __repr__(self) -> str:
        many = f"{len(self)} " if "_kept" in self.__dict__ else ""
        return f"<{many}rows of {', '.join(self.columns)}>"
