"""The views for people: all of them, and each can be asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.views import VIEWS, columns
from gputape.store.tape import reading

INNER = {"v_gpu_facts", "v_rolled", "v_days"}  # other views are built on them


@pytest.fixture
def con(tape: Path) -> Iterator[Any]:
    """A reader of the recorded tape."""
    with reading(tape) as opened:
        yield opened


def test_the_list_is_every_view_for_people(con: Any) -> None:
    """`VIEWS` has each `v_…` view of the tape but those that others are built on."""
    found = con.execute(
        "select view_name from duckdb_views() where schema_name = 'main' and not internal"
    ).fetchall()

    assert set(VIEWS) == {name for (name,) in found} - INNER


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_asked(con: Any, view: str) -> None:
    """Each has columns and answers; only of imports the recorded tape holds none."""
    result = con.execute(f"from {view}")

    assert len(result.description) > 3
    assert bool(result.fetchall()) == (view != "v_sources")


def test_columns_come_view_by_view_in_their_order(con: Any) -> None:
    """A column a row; what the view is stands at its first column only."""
    table = columns(con)
    views = list(dict.fromkeys(row[0] for row in table.rows))
    offers = [row[2] for row in table.rows if row[0] == "v_offers"]

    assert table.columns == ("view", "what", "column", "type")
    assert views == list(VIEWS)
    assert [row[1] for row in table.rows if row[1]] == list(VIEWS.values())
    assert offers == [name for name, *_ in con.execute("from v_offers").description]


def test_money_is_decimal_in_every_view(con: Any) -> None:
    """No column in USD is a float."""
    kinds = {kind for _, _, name, kind in columns(con).rows if "usd" in name}

    assert kinds
    assert all(kind.startswith("decimal") for kind in kinds)


def test_now_and_the_end_of_time_are_the_same(con: Any) -> None:
    """`v_offers` is `offers_at` at infinity."""
    now = con.execute("from v_offers order by series_id").fetchall()

    assert con.execute("from offers_at('infinity') order by series_id").fetchall() == now


def test_a_series_is_one_row_of_offers(con: Any) -> None:
    """Nobody is listed twice."""
    assert con.execute("select count(*) - count(distinct series_id) from v_offers").fetchall() == [
        (0,)
    ]


def test_intervals_of_a_series_do_not_overlap(con: Any) -> None:
    """Each interval ends where the next begins."""
    assert not con.execute(
        "select valid_to, lead(valid_from) over (partition by series_id order by valid_from) as n "
        "from v_prices qualify valid_to is distinct from n"
    ).fetchall()
