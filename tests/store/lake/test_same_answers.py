"""The schema, the views and the recorder are one text for a file and for a lake."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gputape.store import lake, tape
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

NOW = datetime.now(UTC)


@pytest.fixture
def in_lake(lake_words: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with tape.writing(lake.parse(lake_words), NOW) as con:
        yield con


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with tape.writing(tmp_path / "tape.duckdb", NOW) as con:
        yield con


def names(con: duckdb.DuckDBPyConnection, kind: str) -> list[str]:
    found = con.execute(
        f"select {kind}_name from duckdb_{kind}s() where database_name = current_database() "
        "and not internal and not temporary order by all"
    )
    return [name for (name,) in found.fetchall()]


def rows(con: duckdb.DuckDBPyConnection, table: str) -> list[Any]:
    columns = [row[0] for row in con.execute(f"describe from {table}").fetchall()]
    order = ", ".join(f'"{column}"::varchar' for column in columns)
    return con.execute(f"from {table} order by {order}").fetchall()


def record(con: duckdb.DuckDBPyConnection, hour: int, *offers: tuple[str, str]) -> None:
    at = NOW - timedelta(days=4) + timedelta(hours=hour)
    scan = Scan(
        run_id=1, provider="acme", part="list", started_at=at, finished_at=at, observed_at=at,
        status="ok", quotes=len(offers), parser_revision=1, normaliser="1", origin=Origin.LIVE,
    )  # fmt: skip
    listed = [
        Offer(
            key=SeriesKey(provider="acme", sku=sku, region="eu-1", option=Option.ON_DEMAND),
            gpu="h100-sxm-80", gpu_count=Decimal(1), price=Decimal(price),
        )
        for sku, price in offers
    ]  # fmt: skip
    Recorder(con).record(scan, Listing(offers=listed))


@pytest.mark.slow
def test_the_same_scans_make_the_same_tape(
    in_file: duckdb.DuckDBPyConnection, in_lake: duckdb.DuckDBPyConnection
) -> None:
    """Recorded into a file and into a lake, every table and every view is the same, row by row."""
    for con in (in_file, in_lake):
        record(con, 0, ("a", "2.00"), ("b", "3.00"), ("c", "4.00"))
        record(con, 30, ("a", "2.00"), ("b", "3.30"), ("c", "9.99"))
        record(con, 60, ("a", "1.90"), ("c", "9.99"))

    for kind, most in (("table", 10), ("view", 8)):
        assert names(in_lake, kind) == names(in_file, kind)
        assert len(names(in_lake, kind)) > most
        for name in names(in_lake, kind):
            assert rows(in_lake, name) == rows(in_file, name), name
    asked = "offers_at(timestamptz '2100-01-01')"
    assert rows(in_lake, asked) == rows(in_file, asked) != []


@pytest.mark.slow
def test_a_tape_that_moves_to_a_lake_answers_as_before(
    kinds: Path, in_lake: duckdb.DuckDBPyConnection
) -> None:
    """All kinds of offers, copied table by table into a lake, are the same in every view."""
    with tape.reading(kinds) as con:
        tables = names(con, "table")
        in_lake.execute(f"attach '{kinds}' as origin (read_only)")
        for table in set(tables) - {"migration"}:
            in_lake.execute(f"insert into {table} by name from origin.{table}")
        in_lake.execute("detach origin")

        assert len(names(con, "view")) > 8
        for view in set(names(con, "view")) - {"v_daily", "v_days"}:  # today runs with the clock
            assert rows(in_lake, view) == rows(con, view), view
