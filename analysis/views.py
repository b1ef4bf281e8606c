"""The views for people: what they are called and what their columns mean."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from gputape.analysis.history import Table
from gputape.store.errors import BadInput

if TYPE_CHECKING:
    import duckdb

VIEWS = {
    "v_offers": "every series as it stands now, with its age",
    "v_prices": "full history, an interval a row",
    "v_daily": "a day a row for each provider, GPU and option",
    "v_changes": "what moved; never a correction",
    "v_scans": "every attempt at every part",
    "v_gpus": "accelerators, their facts, and what they cost now",
    "v_rejects": "quotes that could not become offers",
    "v_interruptions": "how often spot is taken back",
    "v_tokens": "what a million hosted tokens cost now",
    "v_providers": "who sells, and how often we look",
    "v_sources": "who kept what was imported, and under which licence",
}


def columns(con: "duckdb.DuckDBPyConnection") -> Table:
    """Return each view with its columns and types, a column a row."""
    rows = con.execute(
        "select table_name, column_name, lower(data_type) from duckdb_columns() "
        "where schema_name = 'main' and list_contains($views, table_name) "
        "order by list_position($views, table_name), column_index",
        {"views": list(VIEWS)},
    ).fetchall()
    return Table(
        [(view, VIEWS[view] if column == first else "", column, kind)
         for (view, column, kind), first in zip(rows, _firsts(rows), strict=True)],
        ("view", "what", "column", "type"),
    )  # fmt: skip


def _firsts(rows: list[tuple[str, str, str]]) -> list[str]:
    first: dict[str, str] = {}
    return [first.setdefault(view, column) for view, column, _ in rows]


def check_providers(con: "duckdb.DuckDBPyConnection", slugs: Iterable[str]) -> None:
    """Raise `BadInput` with the nearest name for a provider that the tape has never heard of."""
    known = [
        slug
        for (slug,) in con.execute(
            "select provider from v_providers union select provider from series order by 1"
        ).fetchall()
    ]
    for slug in slugs:
        if slug not in known:
            near = get_close_matches(slug.casefold(), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"this tape knows no provider {slug!r}: {hint}")
