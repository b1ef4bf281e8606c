"""A collection as a whole: side by side, each in its own failure, and corrections kept apart."""

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from gputape.scrapers.adapter import Adapter, Http, Provider
from gputape.scrapers.http import Skip
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.store.offer import Option, Origin

if TYPE_CHECKING:
    from tests.scrapers.conftest import House


def seller(slug: str, **rest: Any) -> Adapter:
    """Return a provider whose one page is JSON {sku: price}."""
    provider = Provider(
        slug=slug, name=slug, prices_at="", terms_url="", options=frozenset(Option), at_least=1
    )

    def fetch(http: Http) -> None:
        for part in rest.get("parts", ("list",)):
            with http.part(part):
                http.get(f"https://{slug}.example/{part}")

    def parse(pages: Sequence[Page]) -> Iterable[Quote]:
        for sku, price in pages[0].json().items():
            yield Quote(sku=sku, option=Option.ON_DEMAND, price=price, gpu="H100 SXM")

    words = {
        "PROVIDER": replace(provider, **rest.get("facts", {})),
        "REVISION": 1, "fetch": fetch, "parse": parse,
    }  # fmt: skip
    return cast("Adapter", SimpleNamespace(**(words | rest.get("words", {}))))


def says(prices: dict[str, str], **headers: str) -> httpx.MockTransport:
    """Answer every request with a price list; honour If-None-Match."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "etag" in headers and request.headers.get("if-none-match") == headers["etag"]:
            return httpx.Response(304, headers=headers)
        return httpx.Response(200, json=prices, headers=headers)

    return httpx.MockTransport(answer)


def statuses(house: "House") -> list[tuple[object, ...]]:
    return house.ask("select provider, part, status, origin from scan order by scan_id")


def test_providers_are_asked_side_by_side(house: "House") -> None:
    """Three providers that wait for each other all answer: none stands in another's way."""
    meeting = threading.Barrier(3, timeout=10)

    def answer(_: httpx.Request) -> httpx.Response:
        meeting.wait()
        return httpx.Response(200, json={"a": "2.5"})

    outcomes = house.collect([seller(s) for s in "abc"], lambda _: httpx.MockTransport(answer))
    assert sorted(o.scan.provider for o in outcomes) == ["a", "b", "c"]
    assert all(o.scan.status == "ok" for o in outcomes)


def test_one_provider_s_bad_day_is_its_own(house: "House") -> None:
    """A provider that refuses, and one whose shape changed, leave the third alone."""
    ways: dict[str, httpx.BaseTransport] = {
        "a": httpx.MockTransport(lambda _: httpx.Response(403)),
        "b": httpx.MockTransport(lambda _: httpx.Response(200, json=["no", "dict"])),
        "c": says({"x": "2.5"}),
    }
    house.collect([seller(s) for s in ways], lambda slug: ways[slug])
    words = {provider: status for provider, _, status, _ in statuses(house)}
    assert words == {"a": "refused", "b": "changed", "c": "ok"}


def test_one_part_fails_alone(house: "House") -> None:
    """A part that can not be reached costs its own prices and no other's."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/west":
            return httpx.Response(404)
        return httpx.Response(200, json={"a": "2.5"})

    house.collect([seller("a", parts=("east", "west"))], lambda _: httpx.MockTransport(answer))
    assert [(part, status) for _, part, status, _ in statuses(house)] == [
        ("east", "ok"),
        ("west", "unreachable"),
    ]


def test_a_part_that_another_collector_has_is_left_to_it(house: "House") -> None:
    """It is not asked and not recorded, only said; its prices count as listed all the same."""
    asked: list[str] = []
    given: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"a": "2.5"})

    outcomes = house.collect(
        [seller("a", parts=("east", "west"), facts={"at_least": 3})],
        lambda _: httpx.MockTransport(answer),
        claim=lambda part: Skip("fresh: 3 min ago", quotes=2) if part == "east" else None,
        done=lambda *part: given.append(part),
    )
    said = {o.scan.part: (o.scan.status, o.scan.sentence, o.failed) for o in outcomes}

    assert asked == ["/west"]
    assert said == {"east": ("skipped", "fresh: 3 min ago", False), "west": ("ok", None, False)}
    assert statuses(house) == [("a", "west", "ok", "live")]
    assert given == [("a", "west")]


def test_a_part_is_given_back_whatever_it_came_to(house: "House") -> None:
    """Who holds a part for a run lets go of it when it failed, too."""
    given: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.url.path == "/west" else 200, json={"a": "2.5"})

    house.collect(
        [seller("a", parts=("east", "west"))],
        lambda _: httpx.MockTransport(answer),
        done=lambda *part: given.append(part),
    )

    assert given == [("a", "east"), ("a", "west")]


def test_a_bug_in_fetch_is_one_provider_s_changed_index(house: "House") -> None:
    """An exception outside a part becomes a scan of the whole provider, not a crash."""

    def fetch(http: Http) -> None:
        raise KeyError("locations")

    broken = seller("a", words={"fetch": fetch})
    house.collect([broken, seller("b")], lambda _: says({"x": "2.5"}))
    assert {(p, part, status) for p, part, status, _ in statuses(house)} == {
        ("a", "*", "changed"),
        ("b", "list", "ok"),
    }


def test_equal_bytes_are_not_read_again(house: "House") -> None:
    """A second answer with the same hash is `unchanged`, and `parse` is not called."""
    calls = []
    plain = seller("a")

    def parse(pages: Sequence[Page]) -> Iterable[Any]:
        calls.append(1)
        return plain.parse(pages)

    counting = seller("a", words={"parse": parse})
    for _ in range(3):
        house.collect([counting], lambda _: says({"x": "2.5"}))
        house.clock.turn(hours=1)
    assert len(calls) == 1
    assert [status for *_, status, _ in statuses(house)] == ["ok", "unchanged", "unchanged"]


def test_a_conditional_request_confirms_without_a_body(house: "House") -> None:
    """A 304 refers to the bytes we have, and the series are confirmed."""
    for _ in range(2):
        house.collect([seller("a")], lambda _: says({"x": "2.5"}, etag='"v1"'))
        house.clock.turn(hours=1)
    pages = house.ask("select status, sha256 from page order by scan_id")
    assert [status for status, _ in pages] == [200, 304]
    assert len({digest for _, digest in pages}) == 1
    assert [status for *_, status, _ in statuses(house)] == ["ok", "unchanged"]


def test_bytes_that_are_gone_from_the_archive_are_asked_for_again(house: "House") -> None:
    """Without the body, no conditional request is made."""
    house.collect([seller("a")], lambda _: says({"x": "2.5"}, etag='"v1"'))
    for body in (house.folder / "archive").rglob("*.zst"):
        body.unlink()
    house.clock.turn(hours=1)
    house.collect([seller("a")], lambda _: says({"x": "2.5"}, etag='"v1"'))
    assert house.ask("select status from page order by scan_id") == [(200,), (200,)]


def test_a_parser_s_fix_is_a_correction_and_the_move_beside_it_a_change(house: "House") -> None:
    """New parser and new price in one run: old bytes are corrected first, then the price moves."""

    def halved(pages: Sequence[Page]) -> Iterable[Quote]:
        for sku, price in pages[0].json().items():
            half = str(Decimal(price) / 2)
            yield Quote(sku=sku, option=Option.ON_DEMAND, price=half, gpu="H100 SXM")

    wrong = seller("a")
    right = seller("a", words={"REVISION": 2, "parse": halved})
    house.collect([wrong], lambda _: says({"x": "20"}))
    house.clock.turn(hours=1)
    house.collect([wrong], lambda _: says({"x": "20"}))
    house.clock.turn(hours=1)
    house.collect([right], lambda _: says({"x": "19"}))
    assert [(status, origin) for *_, status, origin in statuses(house)] == [
        ("ok", "live"),
        ("unchanged", "live"),
        ("ok", "correction"),
        ("ok", "live"),
    ]
    moves = house.ask("select old_price::double, price::double from v_changes where event='price'")
    assert moves == [(10.0, 9.5)]


def test_equal_bytes_read_by_a_new_parser_make_only_a_correction(house: "House") -> None:
    """A fix alone moves no price, whatever it changes."""

    def double(pages: Sequence[Page]) -> Iterable[Quote]:
        for sku in pages[0].json():
            yield Quote(sku=sku, option=Option.ON_DEMAND, price="5.00", gpu="H100 SXM")

    house.collect([seller("a")], lambda _: says({"x": "2.5"}))
    house.clock.turn(hours=1)
    fixed = seller("a", words={"REVISION": 2, "parse": double})
    house.collect([fixed], lambda _: says({"x": "2.5"}))
    assert house.ask("select price::double from v_offers") == [(5.0,)]
    assert house.ask("select event from v_changes where event <> 'new'") == []


def test_fewer_prices_than_can_be_true_are_not_believed(house: "House") -> None:
    """A list that shrank below `at_least` is `changed`, and no series is gone."""
    strict = seller("a", facts={"at_least": 2})
    house.collect([strict], lambda _: says({"x": "2.5", "y": "2.6"}))
    house.clock.turn(hours=1)
    house.collect([strict], lambda _: says({"x": "2.5"}))
    assert [status for *_, status, _ in statuses(house)] == ["ok", "changed"]
    assert house.ask("select distinct state from v_offers") == [("firm",)]


def test_a_dated_price_takes_effect_without_new_bytes(house: "House") -> None:
    """The same bytes are read again once a date in them has passed."""
    start = house.clock.now + timedelta(hours=2)

    def dated(pages: Sequence[Page]) -> Iterable[Quote]:
        words: dict[str, Any] = {"sku": "x", "option": Option.ON_DEMAND, "gpu": "H100 SXM"}
        yield Quote(**words, price="2.5", valid_to=start)
        yield Quote(**words, price="2.6", valid_from=start)

    adapter = seller("a", words={"parse": dated})
    for _ in range(3):
        house.collect([adapter], lambda _: says({"x": "?"}))
        house.clock.turn(hours=1, minutes=1)
    assert [status for *_, status, _ in statuses(house)] == ["ok", "unchanged", "ok"]
    assert house.ask("select price::double from v_offers") == [(2.6,)]


def test_a_clock_that_was_set_back_does_not_turn_time_back(house: "House") -> None:
    """A live scan is never older than the one before it."""
    house.collect([seller("a")], lambda _: says({"x": "2.5"}))
    house.clock.turn(days=-30)
    house.collect([seller("a")], lambda _: says({"x": "2.6"}))
    assert house.ask("select count(distinct observed_at) from scan") == [(1,)]
    assert house.ask("select price::double from v_offers") == [(2.6,)]


def test_an_old_recording_is_not_mixed_into_a_younger_tape(house: "House") -> None:
    """Replaying the past over the present is skipped with a sentence."""
    house.collect([seller("a")], lambda _: says({"x": "2.5"}))
    house.clock.turn(days=-30)
    (outcome,) = house.collect([seller("a")], lambda _: says({"x": "1"}), origin=Origin.REPLAY)
    assert outcome.scan.status == "skipped"
    assert "give --db a file of its own" in (outcome.scan.sentence or "")
    assert not outcome.failed


def test_a_writer_that_fails_ends_the_collection_without_hanging(house: "House") -> None:
    """When nothing can be written, the threads end too."""

    class Full:
        def record(self, *_: object) -> Any:
            raise OSError("no space left on device")

    house.recorder = cast("Any", SimpleNamespace(con=house.recorder.con, record=Full().record))
    began = time.monotonic()
    with pytest.raises(OSError, match="no space"):
        house.collect(
            [seller("a", parts=[f"p{n}" for n in range(40)])], lambda _: says({"x": "2.5"})
        )
    assert time.monotonic() - began < 30


def test_every_price_opens_to_the_bytes_it_came_from(house: "House") -> None:
    """From an offer to its scan, to its page, to the body in the archive."""
    house.collect([seller("a")], lambda _: says({"x": "2.5"}))
    ((digest,),) = house.ask("select sha256 from v_offers join page using (scan_id)")
    from gputape.scrapers.archive import Archive

    assert json.loads(Archive(house.folder / "archive").read(str(digest))) == {"x": "2.5"}


def test_nothing_is_kept_of_a_body_that_was_cut(house: "House", tmp_path: Path) -> None:
    """A connection that breaks in the middle leaves no archive entry."""

    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b'{"x": '
            raise httpx.ReadError("connection reset")

    way = httpx.MockTransport(lambda _: httpx.Response(200, stream=Cut()))
    import stamina

    with stamina.set_testing(True, attempts=2):
        house.collect([seller("a")], lambda _: way)
    assert [status for *_, status, _ in statuses(house)] == ["unreachable"]
    assert list((house.folder / "archive").rglob("*")) == []
