"""A person's own SQL on a sealed connection: answers, and refusals that say what they refuse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.sql import ask
from gputape.store.errors import BadInput
from gputape.store.tape import reading


@pytest.fixture
def con(tape: Path) -> Iterator[Any]:
    """A sealed reader of the recorded tape."""
    with reading(tape, sealed=True) as opened:
        yield opened


def test_an_answer_has_rows_and_names(con: Any) -> None:
    """Rows are tuples, columns the names that the query gives."""
    table = ask(con, "select 1 as one, null as nothing")

    assert (table.rows, list(table.columns)) == ([(1, None)], ["one", "nothing"])


def test_of_several_questions_the_last_is_answered(con: Any) -> None:
    """As in any SQL shell that prints the last."""
    assert ask(con, "select 1; select 2 as b").rows == [(2,)]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("insert into gpu select * from gpu", "insert"),
        ("create temp table x as select 1", "create"),
        ("copy gpu to 'x'", "copy"),
        ("explain analyze copy gpu to 'x'", "copy"),
        ("EXPLAIN\nANALYZE copy gpu to 'x'", "copy"),
        ("explain /* */ analyze copy gpu to 'x'", "explain|Parser Error|copy"),
        ("attach 'x'", "attach"),
        ("set threads = 1", "set"),
        ("prepare a as copy gpu to 'x'", "prepare"),
        ("select 1; load httpfs", "load"),
        ("begin", "transaction"),
        ("call pragma_version()", "call"),
    ],
)
def test_a_refusal_names_the_statement(con: Any, query: str, kind: str) -> None:
    """What would change something is refused by its kind before it runs."""
    with pytest.raises(BadInput, match=kind):
        ask(con, query)


@pytest.mark.parametrize("query", ["", " \n", ";", "-- only a comment"])
def test_nothing_asked(con: Any, query: str) -> None:
    """An empty query is told where to look."""
    with pytest.raises(BadInput, match="the query is empty"):
        ask(con, query)
