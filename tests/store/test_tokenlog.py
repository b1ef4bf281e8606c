"""Hosted token prices on the tape: a row a change, any moment, and an older tape that grows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.store import tape
from gputape.store.contents import contents
from gputape.store.copying import copy
from gputape.store.errors import BadInput
from gputape.store.offer import Origin
from gputape.store.record import Recorder
from gputape.store.scan import Counts, Listing, Scan, TokenRow

START = datetime(2025, 11, 1, tzinfo=UTC)  # in the past: ages are never beyond now
Row = tuple[Any, ...]


def token(model: str = "a", price_in: str = "1", **more: Any) -> TokenRow:
    said: dict[str, Any] = {
        "host": None, "price_out": Decimal(2), "price_cached": None, "currency": "USD",
        "context": 8192, "tier_from": None, "hub_id": None,
    }  # fmt: skip
    return TokenRow(model=model, price_in=Decimal(price_in), **{**said, **more})


class Told:
    """A tape, and a list that is looked at day by day."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.day = 0

    def look(self, *tokens: TokenRow, **more: Any) -> Counts:
        """Record the next day's look."""
        self.day += 1
        at = START + timedelta(days=self.day)
        said: dict[str, Any] = {
            "run_id": 1, "provider": "lists", "part": "models", "started_at": at,
            "finished_at": at, "observed_at": at, "status": "ok", "parser_revision": 1,
            "normaliser": "1", "stands_s": 172_800,
        }  # fmt: skip
        return self.recorder.record(Scan(**{**said, **more}), Listing(tokens=tokens))

    def log(self) -> list[Row]:
        """Return (model, input price, state, day) of every row, oldest first."""
        return self.ask(
            "select model, price_in::double, state, day(observed_at) - 1 from token_price "
            "order by observed_at, scan_id, model"
        )

    def at(self, day: int) -> list[Row]:
        """Return (model, input price) as the list stood at a day's end."""
        moment = START + timedelta(days=day, hours=23)
        return self.recorder.con.execute(
            "select model, usd_per_million_input::double from tokens_at($at::timestamptz) "
            "order by 1",
            {"at": moment},
        ).fetchall()

    def ask(self, sql: str) -> list[Row]:
        return self.recorder.con.execute(sql).fetchall()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """An empty tape."""
    with tape.writing(tmp_path / "tape.duckdb", START) as con:
        yield Told(Recorder(con))


def test_a_row_is_a_change(told: Told) -> None:
    """A first price, another price, a model that went and one that came back: nothing between."""
    told.look(token("a"), token("b"))
    told.look(token("a"), token("b"))
    told.look(token("a", "1.5"))
    told.look(token("a", "1.5"), token("b"))

    assert told.log() == [
        ("a", 1.0, "listed", 1), ("b", 1.0, "listed", 1), ("a", 1.5, "listed", 3),
        ("b", None, "gone", 3), ("b", 1.0, "listed", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("fact", [{"price_out": Decimal(3)}, {"price_cached": Decimal("0.1")},
                                  {"context": 1}, {"tier_from": 9}, {"hub_id": "x/y"}])  # fmt: skip
def test_any_fact_that_differs_is_a_change(told: Told, fact: dict[str, Any]) -> None:
    """Not only the input price is news."""
    told.look(token())
    told.look(token(**fact))

    assert len(told.log()) == 2


def test_hosts_of_one_model_are_apart(told: Told) -> None:
    """The same model at two hosts has two prices."""
    told.look(token(host="x"), token(price_in="3", host="y"))
    told.look(token(host="x"), token(price_in="4", host="y"))

    assert [row[1] for row in told.log()] == [1.0, 3.0, 4.0]


def test_any_moment_can_be_asked(told: Told) -> None:
    """Each day answers as it stood then; before the first look nothing was known."""
    told.look(token("a"), token("b"))
    told.look(token("a", "1.5"))

    assert told.at(0) == []
    assert told.at(1) == [("a", 1.0), ("b", 1.0)]
    assert told.at(2) == told.at(9) == [("a", 1.5)]
    assert told.ask("select model from v_tokens") == [("a",)]


def test_a_list_that_is_not_whole_takes_nothing_away(told: Told) -> None:
    """What an incomplete look does not list may still be sold."""
    told.look(token("a"), token("b"))
    told.look(token("a"), complete=False)

    assert told.at(2) == [("a", 1.0), ("b", 1.0)]


def test_a_look_that_failed_says_nothing(told: Told) -> None:
    """A refused list leaves its prices standing, with the age of the last good look."""
    told.look(token())
    told.look(status="refused", sentence="no")
    told.look(status="unchanged")

    assert told.ask("select day(since) - 1, day(last_seen) - 1 from v_tokens") == [(1, 3)]
    assert len(told.log()) == 1


def test_a_price_grows_old(told: Told) -> None:
    """Two days after its last look a daily list is stale, and not a second before."""
    told.look(token())
    seen = START + timedelta(days=1)
    ages = [
        told.recorder.con.execute(
            "select stale from tokens_at($at::timestamptz)",
            {"at": seen + timedelta(seconds=172_800 + after)},
        ).fetchall()
        for after in (0, 1)
    ]

    assert ages == [[(False,)], [(True,)]]


def test_what_was_read_anew_is_no_move(told: Told) -> None:
    """A correction stands at the time of its look, and its origin says what it is."""
    told.look(token())
    at = START + timedelta(days=1)
    told.look(token(price_in="0.5"), origin=Origin.CORRECTION, observed_at=at)

    assert told.log() == [("a", 1.0, "listed", 1), ("a", 0.5, "listed", 1)]
    assert told.ask("select origin from token_price order by scan_id") == [
        ("live",), ("correction",),
    ]  # fmt: skip
    assert told.at(1) == [("a", 0.5)]


def test_a_scan_that_breaks_leaves_nothing(told: Told) -> None:
    """Half of a look is never recorded, and the next one is compared with what was."""
    told.look(token())
    with pytest.raises(BadInput, match="lists models says what no tape can hold"):
        told.look(token("a"), token("b", "1e30"))
    told.look(token("a"), token("b"))

    assert [row[0] for row in told.log()] == ["a", "b"]


def test_another_process_goes_on_where_one_ended(tmp_path: Path) -> None:
    """A new recorder knows what the tape says: the same list adds nothing."""
    for _ in range(2):
        with tape.writing(tmp_path / "tape.duckdb", START) as con:
            told = Told(Recorder(con))
            told.day = len(told.ask("from scan"))
            told.look(token("a"), token("b"))
    with tape.writing(tmp_path / "tape.duckdb", START) as con:
        assert con.execute("select count(*) from token_price").fetchall() == [(2,)]


def test_what_others_recorded_is_learned(told: Told) -> None:
    """After `know_again` a price that another collector wrote is no news."""
    told.look(token())
    told.ask("update token_price set price_in = 9")
    told.recorder._side.know_again("lists")
    told.look(token(price_in="9"))

    assert told.log() == [("a", 9.0, "listed", 1)]


def test_a_tape_of_the_older_version_grows(tmp_path: Path) -> None:
    """Schema 2 becomes 3 with nothing lost, by a reader alone, and takes prices from then on."""
    path = tmp_path / "tape.duckdb"
    with tape.writing(path, START) as con:
        Told(Recorder(con)).look()
        con.execute("drop view v_tokens; drop macro table tokens_at; drop table token_price")
        con.execute("delete from migration where number = 3")
        con.execute("comment on view v_offers is 'an older program'")
        tape.publish(con, path)
    with tape.reading(path) as con:
        assert con.execute("from v_tokens").fetchall() == []
        assert con.execute("select count(*) from scan").fetchall() == [(1,)]
    with tape.writing(path, START) as con:
        told = Told(Recorder(con))
        told.day = 1
        told.look(token())
        assert told.ask("select model from v_tokens") == [("a",)]
        assert told.ask("select count(*) from migration where number = 3") == [(1,)]


def test_a_copy_has_them(tmp_path: Path) -> None:
    """Prices of tokens are copied with the tape."""
    with tape.writing(tmp_path / "tape.duckdb", START) as con:
        Told(Recorder(con)).look(token())
        tape.publish(con, tmp_path / "tape.duckdb")
    copy(tmp_path / "tape.duckdb", tmp_path / "copy.duckdb", START)
    with tape.reading(tmp_path / "copy.duckdb") as con:
        assert contents(con)['"main"."token_price"'][0] == 1
