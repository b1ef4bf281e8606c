"""How prices went: what the questions narrow, and what is never among the answers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.history import CHANGE, INTERVAL, changes, history
from gputape.store import tape as store
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

NOW = datetime.now(UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
GPU = frozenset({"h100-sxm-80"})
KEY = SeriesKey(provider="acme", sku="one", region="eu", option=Option.ON_DEMAND)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def con(kinds: Path) -> Iterator[Any]:
    """A reader of the tape with one offer of each kind."""
    with store.reading(kinds) as opened:
        yield opened


def test_rows_have_the_columns_they_promise(con: Any) -> None:
    """`INTERVAL` and `CHANGE` name what comes."""
    intervals = history(con, since=LONG_AGO, gpus=GPU)
    moves = changes(con, since=LONG_AGO)

    assert (intervals.columns, len(intervals.rows[0])) == (INTERVAL, len(INTERVAL))
    assert (moves.columns, len(moves.rows[0])) == (CHANGE, len(CHANGE))


def test_neither_gpu_nor_sku_is_nothing(con: Any) -> None:
    """History is of something."""
    assert history(con, since=LONG_AGO).rows == []


def test_an_interval_that_ended_before_is_left_out(con: Any) -> None:
    """`since` the last look, only the present and what has just ended are left."""
    ends = [row[INTERVAL.index("valid_to")] for row in history(con, since=NOW, gpus=GPU).rows]

    assert ends
    assert all(end is None or end > NOW for end in ends)


@pytest.mark.parametrize("event", ["price", "new", "gone"])
def test_one_kind_of_change(con: Any, event: str) -> None:
    """`events` picks what is listed."""
    found = changes(con, since=LONG_AGO, events=[event]).rows

    assert {row[CHANGE.index("event")] for row in found} == {event}


def test_no_gpus_is_not_any_gpu(con: Any) -> None:
    """An empty set of GPUs matches no change, None every one."""
    assert changes(con, since=LONG_AGO, gpus=frozenset()).rows == []
    assert changes(con, since=LONG_AGO, gpus=None).rows


def test_a_correction_is_history_but_no_move(tmp_path: Path) -> None:
    """A fix of our own reading changes what the price was, and nobody is told that it moved."""
    db = tmp_path / "tape.duckdb"
    scan = Scan(run_id=1, provider="acme", part="list", started_at=FIRST, finished_at=FIRST,
                observed_at=FIRST, status="ok", parser_revision=1, normaliser="1")  # fmt: skip
    offer = Offer(key=KEY, gpu="h100-sxm-80", gpu_count=Decimal(1), price=Decimal(2))
    with store.writing(db, FIRST) as con:
        recorder = Recorder(con)
        recorder.record(scan, Listing(offers=[offer]))
        corrected = Listing(offers=[replace(offer, price=Decimal(3))])
        recorder.record(replace(scan, origin=Origin.CORRECTION), corrected)
        later = FIRST + timedelta(days=1)
        moved = Listing(offers=[replace(offer, price=Decimal("3.30"))])
        recorder.record(replace(scan, observed_at=later, finished_at=later), moved)
        store.publish(con, db)
    with store.reading(db) as con:
        prices = history(con, since=LONG_AGO, gpus=GPU).rows
        moves = changes(con, since=LONG_AGO).rows

    assert [row[INTERVAL.index("price")] for row in prices] == [3, Decimal("3.30")]
    assert [row[CHANGE.index("percent")] for row in moves] == [10]
