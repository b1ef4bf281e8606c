"""What a scan does to the tape: news is added, doubt waits, nothing is edited."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.store import tape
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.remember import memory
from gputape.store.scan import Counts, InterruptionRow, Listing, PageRow, Reject, Scan

START = datetime(2026, 11, 1, tzinfo=UTC)


class Tape:
    """A tape, and one provider's part that is scanned hour by hour."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.hour = 0.0

    def scan(self, *offers: Offer, after_hours: float = 1, **rest: Any) -> Counts:
        """Record a complete scan that listed these offers."""
        self.hour += after_hours
        at = START + timedelta(hours=self.hour)
        listing = Listing(offers=offers, rejects=rest.pop("rejects", ()),
                          interruptions=rest.pop("interruptions", ()))  # fmt: skip
        words: dict[str, Any] = {
            "run_id": 1, "provider": "lambda_labs", "part": "pricing", "started_at": at,
            "finished_at": at, "observed_at": at, "status": "ok", "parser_revision": 1,
            "normaliser": "1",
        }  # fmt: skip
        return self.recorder.record(Scan(**{**words, **rest}), listing)

    def prices(self, sku: str = "a") -> list[tuple[Any, ...]]:
        """Return (price, state) of a sku's log, oldest first."""
        return self.ask(
            f"select price::double, state from price_log join series using (series_id) "
            f"where sku = '{sku}' order by observed_at, scan_id"
        )

    def now(self, sku: str = "a") -> tuple[Any, ...]:
        """Return (price, state, price held back) as the view for people says it."""
        (row,) = self.ask(
            f"select price::double, state, held_price::double from v_offers where sku = '{sku}'"
        )
        return row

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.recorder.con.execute(sql).fetchall()


def offer(sku: str = "a", price: str = "10", **rest: Any) -> Offer:
    option = rest.pop("option", Option.ON_DEMAND)
    term = rest.pop("term_months", None)
    key = SeriesKey(provider="lambda_labs", sku=sku, region="us", option=option, term_months=term)
    words = {"gpu": "h100-sxm-80", "gpu_count": Decimal(8), "price": Decimal(price), **rest}
    return Offer(key=key, **words)


def many(n: int, price: str = "10") -> list[Offer]:
    return [offer(f"s{i}", price) for i in range(n)]


@pytest.fixture
def t(tmp_path: Path) -> Iterator[Tape]:
    with tape.writing(tmp_path / "tape.duckdb", START) as con:
        yield Tape(Recorder(con))


def test_a_first_price_is_new_and_firm(t: Tape) -> None:
    """A series appears with its first price."""
    assert t.scan(offer()) == Counts(offers=1, new=1)
    assert t.now() == (10.0, "firm", None)


def test_an_unchanged_price_adds_no_row(t: Tape) -> None:
    """The log grows by changes, not by looks."""
    t.scan(offer())
    assert t.scan(offer()) == Counts(offers=1, unchanged=1)
    assert t.prices() == [(10.0, "firm")]


def test_prices_within_a_millionth_are_the_same_price(t: Tape) -> None:
    """Float dust of a provider is no change."""
    t.scan(offer(price="21.957642"))
    assert t.scan(offer(price="21.9576420004")).unchanged == 1


def test_a_moderate_move_is_a_change_at_once(t: Tape) -> None:
    """A fall of 10 % needs no second witness on the tape."""
    t.scan(offer())
    assert t.scan(offer(price="9")).changed == 1
    assert t.now() == (9.0, "firm", None)


def test_a_jump_waits_for_a_second_fetch(t: Tape) -> None:
    """A fall of 90 % is shown beside the firm price, and believed when it is seen again."""
    t.scan(offer())
    assert t.scan(offer(price="1")).suspects == 1
    assert t.now() == (10.0, "firm", 1.0)
    assert t.scan(offer(price="1")).changed == 1
    assert t.now() == (1.0, "firm", None)


def test_a_jump_that_returns_was_never_a_price(t: Tape) -> None:
    """A glitch leaves a suspect row behind and no change."""
    t.scan(offer())
    t.scan(offer(price="1"))
    assert t.scan(offer()).unchanged == 1
    assert t.now() == (10.0, "firm", None)
    assert t.ask("select event from v_changes where event <> 'new'") == []


def test_the_same_fetch_is_no_second_witness(t: Tape) -> None:
    """Bytes of the same moment can not confirm themselves."""
    t.scan(offer())
    t.scan(offer(price="1"))
    t.scan(offer(price="1"), after_hours=0)
    assert t.now() == (10.0, "firm", 1.0)


def test_a_doubted_first_price_is_suspect_until_seen_again(t: Tape) -> None:
    """What normalise doubts is kept apart from what is firm."""
    doubted = offer(price="0.1", suspect="outside its band")
    t.scan(doubted)
    assert t.now()[1] == "suspect"
    t.scan(doubted)
    assert t.now() == (0.1, "firm", None)


def test_two_jumps_to_different_prices_confirm_nothing(t: Tape) -> None:
    """A second fetch must agree, not merely be another surprise."""
    t.scan(offer())
    t.scan(offer(price="1"))
    t.scan(offer(price="2"))
    assert t.now() == (10.0, "firm", 2.0)


def test_many_moves_at_once_wait(t: Tape) -> None:
    """A unit that changes overnight moves every price together: held, then believed."""
    t.scan(*many(30))
    assert t.scan(*many(30, "8")).suspects == 30
    assert t.ask("select count(*) from v_offers where price = 10") == [(30,)]
    assert t.scan(*many(30, "8")).changed == 30


def test_a_spot_price_far_above_on_demand_waits(t: Tape) -> None:
    """Spot at twice the on-demand price of the same sku is doubted."""
    counts = t.scan(offer(), offer(price="20", option=Option.SPOT))
    assert (counts.new, counts.suspects) == (1, 1)


def test_a_series_that_is_no_longer_listed_is_gone(t: Tape) -> None:
    """Gone is said once, and coming back is said too."""
    t.scan(offer("a"), offer("b"), offer("c"))
    assert t.scan(offer("b"), offer("c")).gone == 1
    assert t.scan(offer("b"), offer("c")).gone == 0
    assert t.now("a")[1] == "gone"
    assert t.scan(offer("a"), offer("b"), offer("c")).changed == 1
    events = t.ask("select event from v_changes where sku = 'a' order by changed_at")
    assert events == [("new",), ("gone",), ("back",)]


def test_most_of_a_part_missing_at_once_waits(t: Tape) -> None:
    """A list that loses most of its rows is believed the second time."""
    t.scan(*many(30))
    assert t.scan(*many(3)).gone == 0
    assert t.ask("select count(*) from v_offers where state = 'firm'") == [(30,)]
    assert t.scan(*many(3)).gone == 27


def test_a_failed_scan_leaves_every_price_as_it_was(t: Tape) -> None:
    """An error is a row in the scan log and nothing else."""
    t.scan(offer())
    t.scan(status="unreachable", sentence="no route")
    assert t.now() == (10.0, "firm", None)
    assert t.ask("select last_seen from v_offers") == [(START + timedelta(hours=1),)]


def test_an_unchanged_scan_confirms_the_whole_part(t: Tape) -> None:
    """Equal bytes make every price of the part as young as the look."""
    t.scan(offer("a"), offer("b"))
    assert t.scan(status="unchanged").unchanged == 2
    assert t.ask("select distinct last_seen from v_offers") == [(START + timedelta(hours=2),)]


def test_a_series_listed_without_a_price_is_unpriced_not_gone(t: Tape) -> None:
    """A price that turns into "contact sales" ends, and its series stays."""
    t.scan(offer())
    no = Reject(key=offer().key, reason="no_price", sentence="says 'N/A'", quote_json="{}")
    t.scan(rejects=[no])
    assert t.now() == (None, "unpriced", None)


def test_a_series_that_can_not_be_read_keeps_its_price(t: Tape) -> None:
    """An unknown spelling is our trouble: the price stands, and is not gone."""
    t.scan(offer())
    no = Reject(key=offer().key, reason="unknown_gpu", sentence="?", quote_json="{}")
    t.scan(rejects=[no])
    assert t.now() == (10.0, "firm", None)


def test_rejects_are_kept_once_with_first_and_last_seen(t: Tape) -> None:
    """A reject that stays adds no row; when it goes, that is kept too."""
    no = Reject(key=offer("z").key, reason="unknown_gpu", sentence="add it", quote_json='{"a": 1}')
    for _ in range(3):
        t.scan(offer(), rejects=[no])
    assert t.ask("select count(*) from reject") == [(1,)]
    assert t.ask("select scans, present, quote->>'a' from v_rejects") == [(3, True, "1")]
    t.scan(offer())
    assert t.ask("select scans, present, last_seen from v_rejects") == [
        (3, False, START + timedelta(hours=4))
    ]


def test_availability_is_noted_without_being_a_price_change(t: Tape) -> None:
    """Stock comes and goes; the price did not move."""
    t.scan(offer(available=True))
    assert t.scan(offer(available=False)).changed == 0
    assert t.ask("select available from v_offers") == [(False,)]
    assert t.ask("select event from v_changes where event = 'price'") == []


def test_a_better_alias_makes_no_new_series(t: Tape) -> None:
    """What we understand may change; the provider's words are the series."""
    t.scan(offer(gpu="h100-80"))
    assert t.scan(offer(gpu="h100-sxm-80")).new == 0
    assert t.ask("select gpu from v_offers") == [("h100-sxm-80",)]
    assert t.ask("select count(*) from series") == [(1,)]


def test_a_correction_is_never_a_price_move(t: Tape) -> None:
    """A fix of ours replaces what was believed, and `changes` does not hear of it."""
    t.scan(offer(price="80"))
    t.hour -= 1
    t.scan(offer(price="10"), origin=Origin.CORRECTION)
    assert t.now() == (10.0, "firm", None)
    assert t.ask("select price::double, valid_to from v_prices") == [(10.0, None)]
    t.scan(offer(price="10"))
    t.scan(offer(price="9"))
    moves = t.ask("select old_price::double, price::double from v_changes where event = 'price'")
    assert moves == [(10.0, 9.0)]


def test_intervals_of_a_series_meet_and_never_overlap(t: Tape) -> None:
    """Each price holds until the next one, and the last one holds still."""
    for price in ("10", "9", "9", "11"):
        t.scan(offer(price=price))
    rows = t.ask("select price::double, valid_from, valid_to from v_prices order by valid_from")
    hours = [START + timedelta(hours=h) for h in (1, 2, 4)]
    assert rows == [(10.0, hours[0], hours[1]), (9.0, hours[1], hours[2]), (11.0, hours[2], None)]


def test_the_state_at_any_moment_can_be_asked(t: Tape) -> None:
    """`offers_at(T)` knows what stood at T, held-back prices included."""
    t.scan(offer())
    t.scan(offer(price="1"))
    t.scan(offer(price="1"))
    at = "offers_at(timestamptz '2026-11-01 {}:30:00+00')"
    assert t.ask(f"select price::double from {at.format('01')}") == [(10.0,)]
    assert t.ask(f"select price::double, held_price::double from {at.format('02')}") == [
        (10.0, 1.0)
    ]
    assert t.ask(f"select price::double from {at.format('03')}") == [(1.0,)]
    assert t.ask(f"select * from {at.format('00')}") == []


DAY = "select day, open::double, low::double, high::double, close::double, mean, hours from daily"


def test_a_day_that_is_over_becomes_one_row(t: Tape) -> None:
    """Open, low, high, close per GPU-hour and the mean weighted by time, to the hour."""
    stands = {"stands_s": 86_400}
    t.scan(offer(price="80"), after_hours=0, **stands)  # 00:00
    t.scan(offer(price="72"), after_hours=6, **stands)  # 06:00
    t.scan(offer(price="96"), after_hours=6, **stands)  # 12:00
    assert t.ask("select count(*) from daily") == [(0,)]
    t.scan(offer(price="96"), after_hours=14, **stands)  # 02:00 of the next day
    assert t.ask(DAY) == [(date(2026, 11, 1), 10, 9, 12, 12, (60 + 54 + 144) / 24, 24.0)]
    t.scan(offer(price="96"))
    assert t.ask("select count(*) from daily") == [(1,)]


def test_hours_in_which_nobody_looked_are_not_covered(t: Tape) -> None:
    """A price stands unseen for as long as its source's cadence allows, and no longer."""
    t.scan(offer(price="80"), after_hours=0, stands_s=3 * 3600)  # covers 00:00 to 03:00
    t.scan(offer(price="120"), after_hours=20, stands_s=3 * 3600)  # 20:00 to 23:00
    t.scan(offer(price="120"), after_hours=10, stands_s=3 * 3600)
    assert t.ask(DAY) == [(date(2026, 11, 1), 10, 10, 15, 15, 12.5, 6.0)]


def test_the_daily_view_shows_days_before_they_are_over(t: Tape) -> None:
    """Today is in `v_daily`, as far as it has been seen and what was seen stands."""
    t.scan(offer(price="16"), after_hours=0)
    t.scan(offer(price="8"), after_hours=2)
    t.recorder.settle(START + timedelta(hours=2))
    (row,) = t.ask(
        "select low_usd_gpu_hour::double, close_usd_gpu_hour::double, mean_usd_gpu_hour::double, "
        "hours from v_daily"
    )
    assert row == (1.0, 1.0, 1.5, 4.0)


def test_a_reader_is_told_the_day_that_is_not_over(tmp_path: Path) -> None:
    """What is published holds today, also when its writer left before settling."""
    path = tmp_path / "tape.duckdb"
    daily = "select low_usd_gpu_hour::double, hours from v_daily"
    with tape.writing(path, START) as con:
        Tape(Recorder(con)).scan(offer(price="16"), after_hours=0)
        tape.publish(con, path)
        with tape.reading(path) as reader:
            assert reader.execute(daily).fetchall() == [(2.0, 2.0)]
        Tape(Recorder(con)).scan(offer(price="8"), after_hours=1)
    with tape.reading(path) as reader:  # publishes what the writer committed and left
        assert reader.execute(daily).fetchall() == [(1.0, 3.0)]


def test_a_part_s_gone_series_do_not_touch_another_part(t: Tape) -> None:
    """Gone is judged within a part: another region's list says nothing about this one."""
    t.scan(offer("a"), part="one")
    assert t.scan(offer("b"), part="two").gone == 0
    assert t.now("a")[1] == "firm"


@pytest.mark.parametrize(("lost", "gone"), [(9, 9), (10, 0), (11, 0)])
def test_a_list_that_is_cut_in_the_middle_says_nothing_of_the_rest(
    t: Tape, lost: int, gone: int
) -> None:
    """Of 20 series, ten or more that are missing at once wait for a second look."""
    every = [offer(f"s{n}") for n in range(20)]
    t.scan(*every)
    assert t.scan(*every[lost:]).gone == gone
    assert t.scan(*every[lost:]).gone == lost - gone


def test_interruption_figures_are_kept_when_they_change(t: Tape) -> None:
    """Published interruption buckets are facts of their own, a row a change."""
    row = InterruptionRow(sku="a", region="us", low_percent=5, high_percent=10, saving_percent=60)
    t.scan(interruptions=[row])
    t.scan(interruptions=[row])
    t.scan(interruptions=[replace(row, saving_percent=61)])
    assert t.ask("select saving_percent from interruption order by scan_id") == [(60,), (61,)]
    assert t.ask("select low_percent, high_percent, saving_percent from v_interruptions") == [
        (5, 10, 61)
    ]


def test_a_scan_that_fails_to_be_written_leaves_nothing(t: Tape) -> None:
    """A transaction is whole or not at all, and the recorder goes on."""
    t.scan(offer())
    too_many_digits = replace(offer("b"), price=Decimal(10) ** 12)
    with pytest.raises(Exception, match=r"."):
        t.scan(offer(price="9"), too_many_digits)
    assert t.prices() == [(10.0, "firm")]
    assert t.ask("select count(*) from scan") == [(1,)]
    assert t.scan(offer(price="9")).changed == 1


def test_a_recorder_that_is_opened_anew_knows_what_the_old_one_knew(tmp_path: Path) -> None:
    """What is held in memory is what the log says: reopening changes nothing."""
    path = tmp_path / "tape.duckdb"
    with tape.writing(path, START) as con:
        first = Tape(Recorder(con))
        first.scan(offer("a"), offer("b"), *many(3))
        first.scan(offer("a", "1"), offer("b"), *many(3))
    with tape.writing(path, START) as con:
        again = Tape(Recorder(con))
        again.hour = first.hour
        assert memory(con).parts["lambda_labs", "pricing"].pending == 1
        assert again.scan(offer("a", "1"), offer("b"), *many(3)).changed == 1


def test_every_provider_has_its_own_series_ids(tmp_path: Path) -> None:
    """Ids of two providers never meet, whoever came first."""
    with tape.writing(tmp_path / "tape.duckdb", START) as con:
        t = Tape(Recorder(con))
        t.scan(offer("a"), offer("b"))
        t.scan(replace(offer("a"), key=replace(offer("a").key, provider="aws")), provider="aws")
        ids = t.ask("select provider, series_id % 1024, count(*) from series group by all")
    assert sorted(ids) == [("aws", 2, 1), ("lambda_labs", 1, 2)]


# -- what a second reading of this code found ---------------------------------------------------


def correct(t: Tape, *offers: Offer, **rest: Any) -> Counts:
    """Read the last bytes anew."""
    return t.scan(*offers, after_hours=0, origin=Origin.CORRECTION, **rest)


def test_a_correction_is_no_second_witness(t: Tape) -> None:
    """Reading the same doubtful bytes again leaves the price held back."""
    t.scan(offer())
    t.scan(offer(price="100"))
    correct(t, offer(price="100"))
    assert t.now() == (10.0, "firm", 100.0)
    t.scan(offer(price="10"))
    assert t.now() == (10.0, "firm", None)


def test_a_correction_does_not_make_a_held_series_gone(t: Tape) -> None:
    """Bytes that lost most of a list say nothing new when they are read again."""
    t.scan(*many(10))
    t.scan(offer("s0"))
    assert correct(t, offer("s0")).gone == 0
    assert t.ask("select count(*) from v_offers where state = 'firm'") == [(10,)]


def test_a_correction_hides_no_move_of_the_price(t: Tape) -> None:
    """A move that was seen stays a move when its scan is corrected, to the corrected price."""
    t.scan(offer(price="10"))
    t.scan(offer(price="12"))
    correct(t, offer(price="12.5"))
    events = t.ask("select event, price::double from v_changes order by changed_at")
    assert events == [("new", 10.0), ("price", 12.5)]


def test_what_a_correction_first_said_is_no_news_when_it_is_confirmed(t: Tape) -> None:
    """A series that a fixed parser finds is not new on the market."""
    t.scan(offer("b"))
    correct(t, offer("b"), offer("a", "0.1", suspect="outside its band"))
    t.scan(offer("b"), offer("a", "0.1", suspect="outside its band"))
    assert t.now("a") == (0.1, "firm", None)
    assert t.ask("select sku from v_changes") == [("b",)]


def test_a_series_that_was_never_believed_makes_no_event(t: Tape) -> None:
    """Doubted at first sight and then gone: nothing moved."""
    t.scan(offer("a", "0.1", suspect="?"), offer("b"))
    t.scan(offer("b"))
    t.scan(offer("b"))
    assert t.ask("select sku from v_changes") == [("b",)]
    assert t.ask("select sku, state from v_offers order by 1") == [("a", "gone"), ("b", "firm")]


def test_an_unpriced_series_can_be_gone_too(t: Tape) -> None:
    """First without a price, then not listed any more."""
    no = Reject(key=offer("a").key, reason="no_price", sentence="N/A", quote_json="{}")
    t.scan(offer("a"), offer("b"), offer("c"))
    for _ in range(2):
        assert t.scan(offer("b"), offer("c"), rejects=[no]).suspects == 0
    assert len(t.prices("a")) == 2
    assert t.scan(offer("b"), offer("c")).gone == 1


def test_a_held_price_of_a_gone_series_does_not_wait_for_ever(t: Tape) -> None:
    """Gone, doubtfully back, gone again: nothing is pending."""
    t.scan(offer("a"), offer("b"), offer("c"))
    t.scan(offer("b"), offer("c"))
    t.scan(offer("b"), offer("c"), offer("a", "0.1", suspect="?"))
    t.scan(offer("b"), offer("c"))
    assert memory(t.recorder.con).parts["lambda_labs", "pricing"].pending == 0


def test_a_jump_that_drifts_is_believed(t: Tape) -> None:
    """A second fetch agrees when it is within a tenth of the first, and in its currency."""
    t.scan(offer(price="1"))
    t.scan(offer(price="2.01"))
    t.scan(offer(price="2.02", currency="EUR"))
    assert t.now()[0] == 1.0
    t.scan(offer(price="2.03", currency="EUR"))
    assert t.now()[0] == 2.03


def test_a_firm_price_stays_firm_when_only_its_stock_changes(t: Tape) -> None:
    """A price that was believed against doubt is not doubted again for its availability."""
    words = {"price": "0.1", "suspect": "outside its band"}
    t.scan(offer(**words, available=True))
    t.scan(offer(**words, available=True))
    t.scan(offer(**words, available=False))
    assert t.now() == (0.1, "firm", None)


def test_an_older_look_is_refused_after_a_younger_one(t: Tape) -> None:
    """Within a part, time runs forwards; nothing is written otherwise."""
    t.scan(offer())
    with pytest.raises(BadInput, match="record them in order"):
        t.scan(offer(price="9"), after_hours=-1)
    assert t.prices() == [(10.0, "firm")]


def test_a_day_is_a_day_of_utc_whatever_the_clock_s_zone(t: Tape) -> None:
    """23:00 in Tokyo belongs to the day that it is in Greenwich."""
    from datetime import timezone

    tokyo = timezone(timedelta(hours=9))
    for hour in (13, 16, 37):  # 22:00, 01:00 and 22:00 in Tokyo
        at = (START + timedelta(hours=hour)).astimezone(tokyo)
        t.scan(offer(), observed_at=at, finished_at=at, started_at=at)
    assert t.ask("select day from daily") == [(date(2026, 11, 1),)]


def test_the_same_reject_in_two_parts_is_two_rejects(t: Tape) -> None:
    """A reject belongs to its part: one may end while the other stands."""
    no = Reject(key=offer("z").key, reason="unknown_gpu", sentence="add it", quote_json="{}")
    t.scan(rejects=[no], part="one")
    t.scan(rejects=[no], part="two")
    t.scan(part="one")
    rows = t.ask("select part, present, sentence from v_rejects order by part")
    assert rows == [("one", False, "add it"), ("two", True, "add it")]


def test_the_validator_of_an_answer_belongs_to_its_body(t: Tape) -> None:
    """An ETag of older bytes is never sent for younger ones that came without."""

    def page(digest: str, etag: str | None) -> PageRow:
        return PageRow(method="GET", url="u", status=200, fetched_at=START, etag=etag,
                       last_modified=None, sha256=digest, bytes=1)  # fmt: skip

    t.scan(pages=(page("a", '"v1"'),))
    t.scan(pages=(page("b", None),))
    known = memory(t.recorder.con).answers["GET", "u"]
    assert (known.sha256, known.etag) == ("b", None)
