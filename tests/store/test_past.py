"""Looks recorded later than the looks after them: the past is richer, the present is as it was."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from gputape.store import tape
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Counts, Listing, Reject, Scan

START = datetime(2026, 3, 1, tzinfo=UTC)
SEEN = (
    "select sku, price::double, state, valid_from, valid_to from v_prices order by sku, valid_from"
)


def offer(sku: str = "a", price: str = "10", count: int = 1) -> Offer:
    key = SeriesKey(provider="aws", sku=sku, region="r", option=Option.ON_DEMAND, source="kept")
    return Offer(key=key, gpu="h100-sxm-80", gpu_count=Decimal(count), price=Decimal(price))


class History:
    """A tape that is told of hours in any order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open = tape.writing(path, START)
        self.con = self.open.__enter__()
        self.recorder = Recorder(self.con)
        self.said = 0

    def close(self) -> None:
        self.open.__exit__(None, None, None)

    def told(
        self, hour: float, *offers: Offer, origin: Origin = Origin.IMPORT, **rest: Any
    ) -> Counts:
        """Record what was listed at an hour; it is told a minute after whatever was told before."""
        self.said += 1
        now = START + timedelta(days=200, minutes=self.said)
        words: dict[str, Any] = {
            "run_id": 1, "provider": "aws", "part": "import/kept", "started_at": now,
            "finished_at": now, "observed_at": START + timedelta(hours=hour), "status": "ok",
            "parser_revision": 1, "normaliser": "1", "origin": origin, "stands_s": 48 * 3600,
        }  # fmt: skip
        listing = Listing(offers=offers, rejects=rest.pop("rejects", ()))
        alone = rest.pop("alone", True)
        return self.recorder.record(Scan(**{**words, **rest}), listing, alone=alone)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def prices_at(self, hour: float) -> dict[str, tuple[float | None, str]]:
        at = START + timedelta(hours=hour)
        return {
            sku: (price, standing)
            for sku, price, standing in self.ask(
                f"select sku, price::double, standing from offers_at(timestamptz '{at}')"
            )
        }


@pytest.fixture
def h(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path / "tape.duckdb")
    yield history
    history.close()


def test_an_older_snapshot_slots_in_and_the_present_stays(h: History) -> None:
    """What the older one changes is right until the next look, which saw what it saw."""
    h.told(0, offer(price="10"))
    h.told(20, offer(price="10"))
    now = h.ask("select price, state, since < last_seen from v_offers")
    h.told(10, offer(price="12"))
    assert h.ask("select price, state, since < last_seen from v_offers where true") != []
    assert h.ask("select price, state from v_offers") == [row[:2] for row in now]
    assert [h.prices_at(hour)["a"][0] for hour in (5, 15, 25)] == [10, 12, 10]
    assert h.ask("select event, price::int from v_changes order by changed_at") == [
        ("new", 10), ("price", 12), ("price", 10),
    ]  # fmt: skip


def test_a_series_that_only_the_older_snapshot_lists_is_gone_at_the_next_look(h: History) -> None:
    """The next look was complete and did not list it."""
    h.told(20, offer("b"))
    h.told(10, offer("a"), offer("b"))
    assert h.prices_at(15) == {"a": (10, "changed"), "b": (10, "changed")}
    assert h.prices_at(25)["a"] == (None, "gone")
    assert h.ask("select first_seen from v_offers where sku = 'b'") == [
        (START + timedelta(hours=10),)
    ]


def test_what_a_partial_look_does_not_list_is_not_gone(h: History) -> None:
    """A file that lists only changes says nothing of the rest."""
    h.told(0, offer("a"), offer("b"))
    assert h.told(5, offer("a", "11"), complete=False).gone == 0
    h.told(2, offer("c"), complete=False)
    assert {sku: standing for sku, (_, standing) in h.prices_at(6).items()} == {
        "a": "changed", "b": "unchanged", "c": "unchanged",
    }  # fmt: skip


SNAPSHOTS = {
    0: (offer("a", "10"), offer("b", "5")),
    10: (offer("a", "11"), offer("b", "5"), offer("c", "3")),
    20: (offer("a", "11"), offer("c", "3.5")),
    30: (offer("a", "10"), offer("b", "5"), offer("c", "3.5")),
}


@pytest.mark.parametrize("order", list(permutations(SNAPSHOTS)), ids=str)
def test_the_order_of_importing_does_not_matter(h: History, order: tuple[int, ...]) -> None:
    """Every order of four snapshots ends in the same history, to the interval."""
    for hour in order:
        h.told(hour, *SNAPSHOTS[hour])
    h.recorder.settle(START + timedelta(days=100))
    found = h.ask(
        "select sku, price::double, state, date_diff('hour', timestamptz '2026-03-01', valid_from) "
        "from (select *, lag((price, state)) over (partition by sku order by valid_from) as old "
        "from v_prices) where (price, state) is distinct from old order by sku, valid_from"
    )
    assert found == [
        ("a", 10, "firm", 0), ("a", 11, "firm", 10), ("a", 10, "firm", 30),
        ("b", 5, "firm", 0), ("b", None, "gone", 20), ("b", 5, "firm", 30),
        ("c", 3, "firm", 10), ("c", 3.5, "firm", 20),
    ]  # fmt: skip
    daily = h.ask(
        "select day, low_usd_gpu_hour::double, high_usd_gpu_hour::double, series, hours "
        "from v_daily order by day"
    )
    assert [(str(day), low, high, n, hours) for day, low, high, n, hours in daily] == [
        ("2026-03-01", 3, 11, 3, 24), ("2026-03-02", 3.5, 11, 3, 24),
        ("2026-03-03", 3.5, 10, 3, 24), ("2026-03-04", 3.5, 10, 3, 6),
    ]  # fmt: skip


def test_a_schedule_never_looks_back(h: History) -> None:
    """A live look older than its part's newest is refused in one sentence."""
    h.told(10, offer(), origin=Origin.LIVE)
    with pytest.raises(BadInput, match="record them in order"):
        h.told(5, offer(), origin=Origin.LIVE)


def test_the_provider_s_own_word_is_a_series_of_its_own(h: History) -> None:
    """A relay's record of a price and the provider's are two witnesses, never spliced."""
    own = Offer(key=SeriesKey(provider="aws", sku="a", region="r", option=Option.ON_DEMAND),
                gpu="h100-sxm-80", gpu_count=Decimal(1), price=Decimal(12))  # fmt: skip
    h.told(10, own, part="r/on_demand", origin=Origin.LIVE)
    h.told(0, offer(price="10"))
    h.told(5, offer(price="11"))
    assert h.ask("select source, price::int from v_offers order by 2") == [("kept", 11), (None, 12)]


def test_a_unit_that_switches_overnight_is_held_for_good_and_said_once(h: History) -> None:
    """Eight series at exactly an eighth of their price: the unit changed, not the market."""
    before = [offer(f"s{i}", str(80 + 8 * i), 8) for i in range(8)]
    after = [offer(f"s{i}", str(10 + i), 8) for i in range(8)]
    h.told(0, *before)
    assert h.told(24, *after).suspects == 8
    assert h.told(48, *after).suspects == 0
    assert h.told(72, *after).suspects == 0
    assert h.ask("select min(price)::int, max(price)::int from v_offers") == [(80, 136)]
    assert h.ask(
        "select count(*), count(distinct reason) from price_log where state = 'suspect'"
    ) == [(8, 1)]
    assert h.ask("select count(*) from v_changes where event = 'price'") == [(0,)]
    h.told(96, *before)
    assert h.ask("select count(*) from v_offers where held_price is not null") == [(0,)]


def test_a_reading_done_anew_corrects_the_past_and_points_to_what_it_replaces(h: History) -> None:
    """Default views show the corrected past; what was believed then can still be asked."""
    h.told(0, offer(price="10"))
    h.told(10, offer(price="12"))
    ids = [scan for (scan,) in h.ask("select scan_id from scan order by scan_id")]
    h.told(0, offer(price="20"), origin=Origin.CORRECTION, corrects=ids[0])
    h.told(10, offer(price="24"), origin=Origin.CORRECTION, corrects=ids[1])
    assert h.ask("select price::int from v_prices order by valid_from") == [(20,), (24,)]
    assert h.ask("select price::int from prices_as_recorded() order by valid_from") == [
        (10,),
        (12,),
    ]
    assert h.ask("select replaces from price_log where origin = 'correction' order by 1") == [
        (ids[0],), (ids[1],),
    ]  # fmt: skip
    changes = h.ask(
        "select event, old_price::int, price::int, origin from v_changes order by changed_at"
    )
    assert changes == [("new", None, 20, "import"), ("price", 20, 24, "import")]


def test_what_was_believed_at_a_moment_can_be_asked(h: History) -> None:
    """Nothing that was recorded later stands in it."""
    h.told(0, offer(price="10"))
    believed = h.ask("select now_us from (select max(scan_id) as now_us from scan)")[0][0]
    h.told(1, offer(price="12"))
    h.told(0, offer(price="20"), origin=Origin.CORRECTION)
    then = datetime.fromtimestamp(believed / 1e6, UTC)
    assert h.ask(f"select price::int from offers_as_recorded(timestamptz '{then}')") == [(10,)]
    assert h.ask("select price::int from v_offers") == [(12,)]


def test_a_correction_of_a_period_ends_where_reading_anew_ended(h: History) -> None:
    """The first look that was not read anew stands as it was said, and no move is made of it."""
    for hour in (0, 10, 20):
        h.told(hour, offer(price="10"))
    first = h.recorder._last_id + 1
    h.told(0, offer(price="20"), origin=Origin.CORRECTION, alone=False)
    h.told(10, offer(price="20"), origin=Origin.CORRECTION, alone=False)
    last = Scan(run_id=1, provider="aws", part="import/kept", started_at=START, finished_at=START,
                observed_at=START + timedelta(hours=10), status="ok", parser_revision=2,
                normaliser="1", origin=Origin.CORRECTION)  # fmt: skip
    h.recorder.rejoin(last, first)
    assert [h.prices_at(hour)["a"][0] for hour in (5, 15, 25)] == [20, 20, 10]
    assert h.ask("select event from v_changes") == [("new",)]


def test_rejects_of_an_older_file_are_seen_then_and_not_now(h: History) -> None:
    """Nothing is lost, and the present's rejects are the present's."""
    no = Reject(key=offer("z").key, reason="unknown_gpu", sentence="add it", quote_json="{}")
    h.told(10, offer())
    h.told(5, offer(), rejects=[no])
    assert h.ask("select sku, present, sentence from v_rejects") == [("z", False, "add it")]


# -- days and frames ------------------------------------------------------------------------------


def test_a_day_is_rolled_again_when_something_is_recorded_into_it(h: History) -> None:
    """`v_daily` follows the past as it grows."""
    low = "select day, low_usd_gpu_hour::int, hours from v_daily order by day limit 1"
    for hour in (0, 30, 60):
        h.told(hour, offer(price="10"))
    h.recorder.settle(START + timedelta(days=60))
    assert h.ask(low) == [(START.date(), 10, 24)]
    h.told(12, offer(price="8"))
    h.recorder.settle(START + timedelta(days=60))
    assert h.ask(low) == [(START.date(), 8, 24)]
    assert h.ask("select count(*) from v_rolled where day = date '2026-03-01'") == [(1,)]


@pytest.mark.slow
def test_frames_change_no_answer(h: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a frame every few rows, every moment is answered as without any; late rows void them."""
    monkeypatch.setattr("gputape.store.roll.FRAME_LEAST", 3)
    monkeypatch.setattr("gputape.store.roll.FRAME_EVERY", 0)
    hours = list(range(0, 240, 12))
    for n, hour in enumerate(hours):
        h.told(hour, offer("a", str(10 + n % 3)), *[offer("b")] * (n % 4 != 3))
        h.recorder.settle(START + timedelta(days=60))
    taken = h.ask("select count(*) from frame")[0][0]
    assert taken > 5
    with_frames = [h.prices_at(hour + 1) for hour in hours]
    h.told(100, offer("c", "7"))
    assert h.ask("select count(*) from frame where void")[0][0] > 0
    h.recorder.settle(START + timedelta(days=60))
    again = [h.prices_at(hour + 1) for hour in hours]
    h.con.execute("delete from frame")
    bare = [h.prices_at(hour + 1) for hour in hours]
    assert again == bare
    assert [{k: v for k, v in at.items() if k != "c"} for at in bare[:8]] == with_frames[:8]
