"""Several recorders on one lake: each knows what the others wrote, and nothing of theirs meets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.app.sharing import together
from gputape.store import tape
from gputape.store.check import Depth, check
from gputape.store.errors import Busy
from gputape.store.lake import claim
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.places import archive_of, where
from gputape.store.record import Recorder
from gputape.store.roll import Roller
from gputape.store.scan import Counts, Listing, Reject, Scan, TokenRow
from gputape.store.turns import Together

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)


@dataclass
class Collector:
    """One of several who record into a lake."""

    recorder: Recorder
    turns: Together

    def look(
        self, provider: str, hour: float, *prices: tuple[str, str], part: str = "list", **more: Any
    ) -> Counts:
        at = START + timedelta(hours=hour)
        tokens = more.pop("tokens", ())
        scan = Scan(
            run_id=1, provider=provider, part=part, started_at=at, finished_at=at, observed_at=at,
            status=more.pop("status", "ok"), quotes=len(prices), parser_revision=1, normaliser="1",
            **more,
        )  # fmt: skip
        listed = [
            Offer(key=_key(provider, sku), gpu="h100-sxm-80", gpu_count=Decimal(1),
                  price=Decimal(price))
            for sku, price in prices if price != "?"
        ]  # fmt: skip
        rejects = [
            Reject(key=_key(provider, sku), reason="unknown gpu", sentence="?", quote_json="{}")
            for sku, price in prices if price == "?"
        ]  # fmt: skip
        return self.recorder.record(scan, Listing(offers=listed, rejects=rejects, tokens=tokens))

    def ask(self, sql: str) -> Any:
        return self.recorder.con.execute(sql).fetchall()


def _key(provider: str, sku: str) -> SeriesKey:
    return SeriesKey(provider=provider, sku=sku, region="eu-1", option=Option.ON_DEMAND)


@pytest.fixture
def collector(lake_words: str) -> Iterator[Callable[[], Collector]]:
    """Open the lake once more."""
    with ExitStack() as stack:

        def open_one() -> Collector:
            con = stack.enter_context(tape.writing(where(lake_words), START))
            turns, _ = stack.enter_context(_turns(lake_words, con))
            return Collector(Recorder(con, turns), turns)

        yield open_one


@contextmanager
def _turns(words: str, con: Any) -> Iterator[Any]:
    lake = where(words)
    assert not isinstance(lake, Path)
    with together(lake, con, []) as both:
        yield both


@pytest.mark.slow
def test_each_knows_what_the_other_recorded(collector: Callable[[], Collector]) -> None:
    """Two who look at one provider in turns add what is new, once, and see what is gone."""
    one, two = collector(), collector()
    one.look("acme", 0, ("a", "2.00"), ("b", "3.00"))

    assert two.look("acme", 1, ("a", "2.00"), ("b", "3.00")).unchanged == 2
    two.look("acme", 2, ("a", "2.20"), ("b", "3.00"), ("c", "4.00"))
    third = one.look("acme", 3, ("a", "2.20"), ("c", "4.00"), ("d", "?"))
    again = two.look("acme", 4, ("a", "2.20"), ("c", "4.00"), ("d", "?"))

    assert (third.unchanged, third.new, third.changed, third.gone) == (2, 0, 0, 1)
    assert (again.unchanged, again.new, again.rejects) == (2, 0, 1)
    assert one.ask("select sku, state from v_offers order by sku") == [
        ("a", "firm"), ("b", "gone"), ("c", "firm"),
    ]  # fmt: skip
    assert one.ask("select count(*), count(distinct series_id) from series") == [(3, 3)]
    assert one.ask("select count(*) from reject") == [(1,)]
    assert check(one.recorder.con, Depth.DEEP) == []


@pytest.mark.slow
def test_token_prices_of_one_are_known_to_the_other(collector: Callable[[], Collector]) -> None:
    """A list that two look at in turns has a row a change, and answers for any moment."""
    one, two = collector(), collector()
    cheap, dear = (
        TokenRow(model="m", host=None, price_in=Decimal(usd), price_out=Decimal(usd),
                 price_cached=None, currency="USD", context=None, tier_from=None, hub_id=None)
        for usd in (1, 2)
    )  # fmt: skip
    for hour, (who, tokens) in enumerate(
        [(one, [cheap]), (two, [cheap]), (one, [dear]), (two, [dear]), (one, []), (two, [])]
    ):
        who.look("list", hour, tokens=tokens)
    moment = START + timedelta(hours=3)
    then = two.recorder.con.execute(
        "select usd_per_million_input, since from tokens_at($at::timestamptz)", {"at": moment}
    ).fetchall()

    assert two.ask("select state, price_in from token_price order by scan_id") == [
        ("listed", 1), ("listed", 2), ("gone", None),
    ]  # fmt: skip
    assert then == [(Decimal(2), START + timedelta(hours=2))]
    assert two.ask("from v_tokens") == []
    assert check(two.recorder.con, Depth.DEEP) == []


@pytest.mark.slow
def test_nothing_that_is_numbered_meets(collector: Callable[[], Collector]) -> None:
    """Providers that are new to both get numbers of their own, and scans of one moment ids."""
    one, two = collector(), collector()
    for hour in range(2):
        one.look("acme", hour, ("a", "2.00"))
        two.look("bazaar", hour, ("a", "2.00"))
        two.look("acme", hour, ("a", "2.00"), part="other")
        one.look("bazaar", hour, ("a", "2.00"), status="refused")

    assert one.ask("select count(*), count(distinct number) from numbered") == [(2, 2)]
    assert one.ask("select count(*), count(distinct scan_id) from scan") == [(8, 8)]
    assert one.ask(
        "select distinct scan_id % 1024 = number from scan join numbered using (provider)"
    ) == [(True,)]
    apart = "select max(abs(scan_id - epoch_us(finished_at))) from scan"
    assert one.ask(apart)[0][0] <= 4 * 1024  # microseconds


@pytest.mark.slow
def test_a_look_that_the_other_overtook_is_refused(collector: Callable[[], Collector]) -> None:
    """What is older than another's newest look does not slip in behind it."""
    one, two = collector(), collector()
    one.look("acme", 0, ("a", "2.00"))
    two.look("acme", 5, ("a", "2.50"))

    with pytest.raises(Exception, match="can not be recorded after one at"):
        one.look("acme", 3, ("a", "2.00"))


@pytest.mark.slow
def test_days_are_rolled_once(
    collector: Callable[[], Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever settles first rolls what is over, of every provider that nobody else writes."""
    one, two = collector(), collector()
    for hour in (0, 1):
        one.look("acme", hour, ("a", "2.00"))
        two.look("bazaar", hour, ("a", "3.00"))
    now = datetime.now(UTC)
    rolled: list[str] = []
    roll = Roller.roll
    monkeypatch.setattr(Roller, "roll", lambda self, *a: (rolled.append(a[0]), roll(self, *a))[1])
    with two.recorder.turn("bazaar"):  # it is being written
        one.recorder.settle(now)
    two.recorder.settle(now)
    one.recorder.settle(now)

    assert sorted(rolled) == ["acme", "bazaar"]
    assert check(one.recorder.con, Depth.DEEP) == []


@pytest.mark.slow
def test_a_frame_waits_for_who_writes(
    collector: Callable[[], Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes a frame while another records; what is recorded before it later voids it."""
    monkeypatch.setattr("gputape.store.roll.FRAME_LEAST", 1)
    monkeypatch.setattr("gputape.store.roll.FRAME_EVERY", 0)
    one, two = collector(), collector()
    with two.recorder.turn("bazaar"):
        one.look("acme", 0, ("a", "2.00"))
        one.look("acme", 30, ("a", "2.10"))
        assert one.ask("select count(*) from frame") == [(0,)]
    one.look("acme", 60, ("a", "2.20"))
    assert one.ask("select count(*) > 0 from frame") == [(True,)]

    two.look("bazaar", 1, ("a", "9.00"), origin=Origin.IMPORT)
    assert one.ask("select bool_or(void) from frame") == [(True,)]
    moment = f"timestamptz '{START + timedelta(hours=2)}'"
    assert one.ask(f"select sku, price from offers_at({moment}) order by price") == [
        ("a", Decimal(2)), ("a", Decimal(9)),
    ]  # fmt: skip


def test_a_turn_is_waited_for_and_no_longer(
    collector: Callable[[], Collector], lake_words: str
) -> None:
    """A provider that another one is recording is busy after a while; others are not."""
    one, two = collector(), collector()
    with one.recorder.turn("acme"):
        with pytest.raises(Busy, match="record/acme"), two.turns.turn("acme", patience_s=0):
            pass
        with two.turns.turn("bazaar", patience_s=0):
            pass
        lake = where(lake_words)
        assert not isinstance(lake, Path)
        with claim(lake, "record/acme") as ours:
            assert not ours


def test_a_lake_s_raw_bytes_are_this_machine_s(
    lake_words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`GPUTAPE_ARCHIVE` says where they are, otherwise the data folder; a file has them beside."""
    monkeypatch.setenv("GPUTAPE_HOME", str(tmp_path))
    assert archive_of(where(lake_words)) == tmp_path / "lake.archive"
    monkeypatch.setenv("GPUTAPE_ARCHIVE", "/mnt/raw")
    assert archive_of(where(lake_words)) == Path("/mnt/raw")
    assert archive_of(tmp_path / "tape.duckdb") == tmp_path / "tape.archive"
