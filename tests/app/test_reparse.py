"""A parser's fix goes through the archive: the past is corrected, and nothing has moved."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gputape.app import collecting
from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import normaliser
from gputape.scrapers.normalise import normalise
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.store import tape
from gputape.store.offer import Option
from gputape.store.scan import Listing, PageRow, Scan

START = datetime(2026, 3, 1, tzinfo=UTC)
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


@dataclass
class PerNode:
    """An adapter that read the price of a GPU as the price of its node, and then was fixed."""

    REVISION: int = 1
    PROVIDER: Provider = field(
        default_factory=lambda: Provider(
            slug="lambda_labs", name="x", prices_at="x", terms_url="x",
            options=frozenset({Option.ON_DEMAND}),
        )
    )  # fmt: skip

    def fetch(self, http: Http, /) -> None:
        """Never asks."""

    def parse(self, pages: Sequence[Page], /) -> Iterable[Quote]:
        """Read one price of a node of two."""
        price = pages[0].json()["price"] * (2 if self.REVISION > 1 else 1)
        yield Quote(sku="node", option=Option.ON_DEMAND, price=price, gpu="H100 SXM", gpu_count=2,
                    region="us")  # fmt: skip


class House:
    """A tape of hours on which that adapter's page was seen."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.archive = Archive(tape.Place(db).archive)

    def saw(self, hour: int, price: int) -> str:
        """Archive and record the page of an hour; return its hash."""
        at = START + timedelta(hours=hour)
        with self.archive.receive(1000) as body:
            body.write(json.dumps({"price": price}).encode())
        row = PageRow(method="GET", url="https://x/", status=200, fetched_at=at, etag=None,
                      last_modified=None, sha256=body.sha256, bytes=body.size)  # fmt: skip
        page = Page(url="https://x/", fetched_at=at, read=lambda: self.archive.read(row.sha256))
        offers = normalise("lambda_labs", PerNode().parse([page]), at).offers
        scan = Scan(run_id=1, provider="lambda_labs", part="pricing", started_at=at, finished_at=at,
                    observed_at=at, status="ok", parser_revision=1, normaliser=normaliser(),
                    pages=(row,), stands_s=7200)  # fmt: skip
        with collecting.open_recorder(self.db, at) as recorder:
            recorder.record(scan, Listing(offers=offers))
        return row.sha256

    def reread(self, *period: datetime, **rest: Any) -> collecting.Reread:
        plan = collecting.Plan(adapters=[PerNode(REVISION=2)], db=self.db)
        return collecting.reparse(plan, *(period or EVER), **rest)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with tape.reading(self.db) as con:
            return con.execute(sql).fetchall()

    def prices(self) -> list[int]:
        rows = self.ask("select price::int from v_prices order by valid_from")
        return [price for (price,) in rows]


@pytest.fixture
def house(tmp_path: Path) -> House:
    seen = House(tmp_path / "tape.duckdb")
    for hour, price in enumerate((4, 4, 5, 5, 4)):
        seen.saw(hour, price)
    return seen


def test_the_whole_past_is_read_as_the_fixed_parser_reads_it(house: House) -> None:
    """Every look is corrected at its own moment, and the moves that were seen stay moves."""
    moves = "select event, old_price::int, price::int from v_changes order by changed_at"
    assert house.ask(moves) == [("new", None, 4), ("price", 4, 5), ("price", 5, 4)]
    assert house.reread() == collecting.Reread(looks=5, corrections=3)
    assert house.prices() == [8, 10, 8]
    assert house.ask(moves) == [("new", None, 8), ("price", 8, 10), ("price", 10, 8)]
    recorded = house.ask("select price::int from prices_as_recorded() order by valid_from")
    assert recorded == [(4,), (5,), (4,)]
    assert house.ask(
        "select count(*), bool_and(replaces is not null) from price_log where origin = 'correction'"
    ) == [(3, True)]
    assert house.ask("select count(*) from scan where corrects in (select scan_id from scan)") == [
        (5,)
    ]


def test_reading_anew_twice_changes_nothing_more(house: House) -> None:
    """What the fixed parser has read it does not read again, and forced it finds the same."""
    house.reread()
    assert house.reread() == collecting.Reread(alike=5)
    assert house.reread(force=True) == collecting.Reread(looks=5)
    assert house.prices() == [8, 10, 8]


def test_a_period_is_corrected_from_the_look_it_began_with(house: House) -> None:
    """What is outside stays as it was read, and the border is no move."""
    hours = [START + timedelta(hours=hour) for hour in (2.5, 3.5)]
    assert house.reread(*hours).looks == 2  # that of hour 2, with which it begins, and of hour 3
    assert house.prices() == [4, 10, 4]
    rows = house.ask("select price::int, origin from v_prices order by valid_from")
    assert rows == [(4, "live"), (10, "correction"), (4, "live")]


def test_the_border_after_a_period_is_no_move(house: House) -> None:
    """The look after the period saw what it saw before, in the old reading."""
    house.reread(START, START + timedelta(hours=0.5))
    assert house.prices() == [8, 4, 5, 4]
    moves = house.ask("select event, old_price::int, price::int from v_changes order by changed_at")
    assert moves == [("new", None, 8), ("price", 4, 5), ("price", 5, 4)]


def test_a_look_whose_bytes_are_lost_stands_as_it_was_read(house: House) -> None:
    """The others are corrected, and the lost one is counted."""
    lost = house.saw(5, 6)
    house.saw(6, 7)
    house.archive.path(lost).unlink()
    done = house.reread()
    assert (done.looks, done.lost) == (6, 1)
    assert house.prices() == [8, 10, 8, 6, 14]


def test_days_follow_a_correction(house: House) -> None:
    """The daily chart is of the corrected past."""
    low = "select low_usd_gpu_hour::double, high_usd_gpu_hour::double from v_daily"
    assert house.ask(low) == [(2.0, 2.5)]
    house.reread()
    assert house.ask(low) == [(4.0, 5.0)]
