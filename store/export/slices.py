"""A table in pieces that fit into memory: the log of a year is sorted by parts, never at once.

DuckDB 1.5.5 holds all columns of a window in memory: 3 million intervals take more than 1 GB.
A range of series reaches through the windows of `v_prices` down to the log, and so bounds them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gputape.store.export.tables import GPU, PROVIDER, Table
from gputape.store.literal import filled, literal

if TYPE_CHECKING:
    import duckdb

ROWS = 1_000_000  # of the log in a slice, and one series more: passes with a limit of 0.5 GB

SLICES = f"""
with sized as (
    select s.provider, s.series_id, count(l.series_id) as n
    from series s join facts_of(null::varchar[], null) f using (series_id)
    join price_log l using (series_id)
    where {GPU} and {PROVIDER} group by s.provider, s.series_id
),
placed as (
    select *, (sum(n) over (partition by provider order by series_id) - n) // $rows as slice
    from sized
)
select provider, min(series_id), max(series_id) from placed
group by provider, slice order by provider, slice
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """One piece of a table; `provider` is whose rows it has, when they are one provider's."""

    sql: str
    provider: str | None = None


def slices(
    con: "duckdb.DuckDBPyConnection", table: Table, values: dict[str, object], rows: int = ROWS
) -> list[Slice]:
    """Return a table's question in pieces, in the order in which they are written."""
    sql = filled(table.sql, values)
    if not table.sliced:
        return [Slice(f"{sql} order by {table.order}")]
    found = con.execute(filled(SLICES, values | {"rows": rows})).fetchall()
    pieces = [
        Slice(
            f"select * from ({sql}) where provider = {literal(provider)} "
            f"and series_id >= {low} and series_id <= {high} order by {table.order}",
            provider,
        )
        for provider, low, high in found
    ]
    return pieces or [Slice(f"{sql} limit 0")]
