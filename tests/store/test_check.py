"""The invariants: a sound tape passes them all, and each is broken once and named."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.store import replay, roll, rules, tape
from gputape.store.check import Depth, check, unpublished
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.rules import RULES
from gputape.store.scan import InterruptionRow, Listing, PageRow, Reject, Scan, TokenRow

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
ONE = "(select min(series_id) from series)"
# what is done to a sound tape, by the rule that must say so
HARM = {
    "scan ids": "insert into scan from scan limit 1",
    "scan order": "insert into scan select * replace (1 as scan_id) from scan limit 1",
    "looks in order": """
        update scan set observed_at = '2000-01-01' where scan_id =
        (select max(scan_id) from scan where provider = 'acme' and origin = 'live')""",
    "scan.corrects": "update scan set corrects = 7 where origin = 'correction'",
    "page.scan_id": "update page set scan_id = 7",
    "reject.scan_id": "update reject set scan_id = 7",
    "interruption.scan_id": "update interruption set scan_id = 7",
    "token_price.scan_id": "update token_price set scan_id = 7",
    "token price": "update token_price set price_out = 0 where state = 'listed'",
    "series_fact.scan_id": "update series_fact set scan_id = 7",
    "counts": "delete from price_log where state = 'gone'",
    "price without scan": "update price_log set scan_id = 7 where state = 'suspect'",
    "price without series": "update price_log set series_id = 7 where state = 'suspect'",
    "replaces": "update price_log set replaces = 7 where replaces is not null",
    "another provider's scan": f"""
        update price_log set scan_id = (select min(scan_id) from scan where provider = 'bazaar')
        where series_id = {ONE}""",
    "moment of a price": "update price_log set observed_at = observed_at - interval 1 minute",
    "price": f"update price_log set price = null where state = 'firm' and series_id = {ONE}",
    "intervals": "insert into price_log from price_log limit 1",
    "v_prices": """
        create or replace view v_prices as
        select * replace (valid_from - interval 1 year as valid_to) from prices_of(false)""",
    "series ids": "insert into series from series limit 1",
    "series keys": "insert into series select * replace (9217 as series_id) from series limit 1",
    "series numbers": "update numbered set number = number + 7",
    "provider numbers": "update numbered set number = 1",
    "series without facts": f"delete from series_fact where series_id = {ONE}",
    "series without price": f"delete from price_log where series_id = {ONE}",
    "fact without series": f"delete from series where series_id = {ONE}",
    "facts": "insert into series_fact from series_fact limit 1",
    "first seen": "update series set first_seen = first_seen + interval 1 hour",
    "present": """
        update frame_price set price = price + 1
        where frame_id = (select max(frame_id) from frame where not void) and state = 'firm'""",
    "frames": "delete from frame",
    "frame": "update frame_price set price = price + 1 where state = 'firm'",
    "frame looks": "update frame_look set last_seen = last_seen - interval 1 second",
    "days": "delete from rolled where day = '2026-11-02'",
    "daily": "update daily set low = low / 2 where day = '2026-11-02'",
}


def offer(sku: str, price: str, provider: str = "acme", **more: Any) -> Offer:
    key = SeriesKey(provider=provider, sku=sku, region="eu", option=Option.ON_DEMAND)
    return Offer(key=key, gpu="h100-sxm-80", gpu_count=Decimal(8), price=Decimal(price), **more)


def record(recorder: Recorder, at: datetime, *offers: Offer, **more: Any) -> None:
    page = PageRow(
        method="GET", url="https://acme.example/prices", status=200, fetched_at=at, etag=None,
        last_modified=None, sha256=f"{at:%d%H}" * 16, bytes=10,
    )  # fmt: skip
    listing = Listing(offers=offers, rejects=more.pop("rejects", ()),
                      interruptions=more.pop("interruptions", ()),
                      tokens=more.pop("tokens", ()))  # fmt: skip
    words: dict[str, Any] = {
        "run_id": 1, "provider": "acme", "part": "list", "started_at": at, "finished_at": at,
        "observed_at": at, "status": "ok", "quotes": len(offers), "parser_revision": 1,
        "normaliser": "1", "pages": (page,),
    }  # fmt: skip
    recorder.record(Scan(**(words | more)), listing)


def tell(recorder: Recorder) -> None:
    """Record four days with all that can happen to a price, a frame or two, a correction."""
    words = {"sentence": "no GPU", "quote_json": "{}"}
    odd = Reject(key=offer("odd", "1").key, reason="unknown_gpu", **words)
    empty = Reject(key=offer("f", "1").key, reason="no_price", **words)
    risk = InterruptionRow(
        sku="a", region="eu", low_percent=5, high_percent=10, saving_percent=None
    )
    token = TokenRow(
        model="m", host=None, price_in=Decimal(1), price_out=Decimal(2), price_cached=None,
        currency="USD", context=None, tier_from=None, hub_id=None,
    )  # fmt: skip
    for hour in range(0, 80, 8):
        at = START + timedelta(hours=hour)
        listed = [offer("a", str(3 + hour % 4)), offer("b", "2")]
        listed += [offer("c", "4")] * (hour < 40) + [offer("f", "1.5")] * (hour < 70)
        listed += [offer("d", "5" if hour < 60 else "50")]
        listed += [offer("e", "0.1", suspect="0.1 is outside its band")] * (hour == 72)
        record(
            recorder,
            at,
            *listed,
            rejects=[odd] * (hour > 20) + [empty] * (hour > 70),
            interruptions=[risk],
            tokens=[token] if hour in (0, 16) else [],
        )
        sold = [offer("a", str(2 + hour % 3), "bazaar")]
        record(recorder, at, *sold, provider="bazaar", status="ok" if hour != 32 else "refused")
    last = recorder.con.execute("select max(scan_id) from scan where provider = 'acme'").fetchall()
    again = [offer(sku, price) for sku, price in (("a", "3"), ("b", "2.1"), ("d", "5"))]
    record(
        recorder, at, *again, rejects=[odd, empty], origin=Origin.CORRECTION, corrects=last[0][0]
    )
    recorder.settle(at)


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A sound tape with small frames, open for writing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roll, "FRAME_LEAST", 10)
        patch.setattr(roll, "FRAME_EVERY", 1)
        patch.setattr(roll, "FRAME_LAG", timedelta(hours=12))
        with tape.writing(tmp_path_factory.mktemp("told") / "tape.duckdb", START) as con:
            tell(Recorder(con))
            yield con


@pytest.fixture
def harmed(con: Any) -> Iterator[Any]:
    """The same, and whatever a test does to it is undone."""
    con.begin()
    yield con
    con.rollback()


def test_a_sound_tape_has_nothing_to_say(con: Any) -> None:
    """Whatever can happen to a price, no rule finds fault with what was recorded."""
    states = con.execute("select distinct state from price_log order by 1").fetchall()
    assert states == [("firm",), ("gone",), ("suspect",), ("unpriced",)]
    assert con.execute("select count(*) > 1 from frame where not void").fetchall() == [(True,)]
    assert con.execute("select count(distinct day) > 2 from daily").fetchall() == [(True,)]
    assert check(con, Depth.DEEP) == []


@pytest.mark.parametrize("rule", HARM)
def test_each_rule_is_seen_to_fail(harmed: Any, rule: str) -> None:
    """What was done to the tape is named by its rule, with a count and an example."""
    harmed.execute(HARM[rule])
    found = {finding.rule: finding for finding in check(harmed, Depth.DEEP)}

    assert rule in found
    assert found[rule].count > 0
    assert found[rule].finding.endswith(")")


def test_every_rule_was_broken() -> None:
    """No rule is there that no test has seen to fail."""
    names = {rule.name for rule in (*RULES, *replay.DERIVED)}
    assert names | {"frame", "frame looks", "daily", "intervals"} == set(HARM)


def test_a_long_log_is_asked_in_slices(harmed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubled rows are found in whichever slice they lie, and counted together."""
    monkeypatch.setattr(rules, "SLICE", 7)
    assert check(harmed) == []
    harmed.execute("insert into price_log select * from price_log where state <> 'suspect'")
    (count,) = harmed.execute(
        "select count(*) / 2 from price_log where state <> 'suspect'"
    ).fetchall()
    (found,) = [finding for finding in check(harmed) if finding.rule == "intervals"]
    assert found.count == count[0]


def test_a_finding_names_the_series_and_the_time(harmed: Any) -> None:
    """The example says whose price of which sku it is, and when it stood."""
    harmed.execute("update price_log set price = -1 where state = 'firm' and series_id in "
                   "(select series_id from series where sku = 'b')")  # fmt: skip
    (found,) = [finding for finding in check(harmed) if finding.rule == "price"]

    assert (found.provider, found.sku, found.seen) == ("acme", "b", START)
    assert found.count == 2
    assert found.finding == "prices are not what their state says (firm at -1.000000000)"


def test_each_count_of_a_scan_is_held_against_its_rows(harmed: Any) -> None:
    """New, changed, suspect and gone: one more or less of any is found."""
    for column in ("new", "changed", "unchanged", "suspects", "gone", "offers"):
        harmed.execute(f"update scan set {column} = {column} + 40 where status = 'ok'")
        assert "counts" in {finding.rule for finding in check(harmed)}, column
        harmed.execute(f"update scan set {column} = {column} - 40 where status = 'ok'")
    assert check(harmed) == []


def test_a_scan_that_failed_wrote_nothing(harmed: Any) -> None:
    """Rows of a scan that is not ok are rows that no count knows."""
    harmed.execute("update scan set status = 'refused' where provider = 'bazaar'")
    assert "counts" in {finding.rule for finding in check(harmed)}


def test_a_quick_look_reads_no_frames(harmed: Any) -> None:
    """What a copy is checked with leaves out what takes long."""
    harmed.execute("update frame_price set price = price + 1 where state = 'firm'")
    assert check(harmed, Depth.QUICK) == []


def test_a_day_that_was_written_into_since_is_no_finding(harmed: Any) -> None:
    """Days that wait to be rolled again, or that are understood otherwise now, are left out."""
    harmed.execute("update daily set low = low / 2")
    harmed.execute("insert into touched select provider, '2026-11-01', '2026-11-09', "
                   "max(roll_id) + 1 from rolled group by provider")  # fmt: skip
    assert check(harmed, Depth.DEEP) == []


def test_some_of_many_are_spread_evenly() -> None:
    """A sample has the first, the last and some between."""
    assert replay.spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert replay.spread([1, 2], 4) == [1, 2]


def test_a_file_that_can_not_be_read_to_its_end_is_a_finding(tmp_path: Path) -> None:
    """A block that was altered ends in one line, after what was found before it."""
    path = tmp_path / "tape.duckdb"
    with tape.writing(path, START) as con:
        record(Recorder(con), START, *(offer(f"s{n}", "1") for n in range(500)))
        tape.publish(con, path)
    body = bytearray(path.read_bytes())
    path.unlink()
    for place in range(3 * 4096 + 700, len(body), 4096):
        body[place] ^= 1
    path.write_bytes(body)
    said = []
    try:
        with tape.connect(path, read_only=True) as con:
            said = [finding.rule for finding in check(con)]
    except tape.Damaged:
        said = ["file"]
    assert said[-1] == "file"


def test_a_sound_writers_file_is_no_finding(tmp_path: Path) -> None:
    """Nothing is said of a file that opens, or that is not there."""
    path = tmp_path / "tape.duckdb"
    assert unpublished(path, START) is None
    with tape.writing(path, START) as con:
        tape.publish(con, path)
        assert unpublished(path, START) is None, "somebody writes"
    assert unpublished(path, START) is None


def test_a_writers_file_with_fewer_scans_is_a_finding(tmp_path: Path) -> None:
    """A writer's file that went back in time is told apart from a sound one."""
    path = tmp_path / "tape.duckdb"
    with tape.writing(path, START) as con:
        record(Recorder(con), START, offer("a", "1"))
        tape.publish(con, path)
        con.execute("delete from scan")
    finding = unpublished(path, START)
    assert finding
    assert (finding.rule, finding.count) == ("writer", 1)
