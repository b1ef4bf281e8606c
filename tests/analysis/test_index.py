"""A price level, and an index that moves when prices do and at no other time."""

import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.index import Asked, Point, index, quantile, verify
from gputape.store import tape as store
from gputape.store.offer import Origin

sys.path.insert(0, str(Path(__file__).parent))
from markets import GPU, Market, at, offer, scan

NOW = datetime(2026, 3, 31, tzinfo=UTC)
D = Decimal
LISTS = {"one": "list", "two": "list", "three": "list", "four": "list"}


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """A market of three sellers on the first of March."""
    return Market(tmp_path / "tape.duckdb").day(at(1), one="2.00", two="3.00", three="4.00")


def points(told: Market, last: int = 5, **asked: Any) -> dict[int, Point]:
    with store.reading(told.db) as con:
        found = index(con, Asked(gpu=GPU, **asked), date(2026, 3, 1), date(2026, 3, last), NOW)
    return {p.day.day: p for p in found}


def indices(told: Market, last: int = 5, **asked: Any) -> dict[int, float | None]:
    return {
        day: None if p.index is None else round(p.index, 4)
        for day, p in points(told, last, **asked).items()
    }


def test_the_base_is_a_hundred_and_the_level_a_median(market: Market) -> None:
    """On the first day the index is 100 and linked to nothing."""
    first = points(market, 1)[1]

    assert (first.index, first.link, first.linked_to) == (100, None, None)
    assert (first.level_usd_gpu_hour, first.sellers, first.series) == (3, 3, 3)
    assert (first.low_usd_gpu_hour, first.high_usd_gpu_hour, first.spread) == (2, 4, 2)
    assert (first.p10_usd_gpu_hour, first.p90_usd_gpu_hour) == (D("2.2"), D("3.8"))


def test_all_prices_up_a_tenth(market: Market) -> None:
    """Everybody asks 10 % more: 110."""
    market.day(at(2), one="2.20", two="3.30", three="4.40")

    assert indices(market, 2) == {1: 100, 2: 110}


def test_a_link_is_a_geometric_mean(market: Market) -> None:
    """+10 %, -10 % and nothing make the cube root of 0.99."""
    market.day(at(2), one="2.20", two="2.70", three="4.00")

    assert indices(market, 2)[2] == round(100 * 0.99 ** (1 / 3), 4)


def test_links_are_chained(market: Market) -> None:
    """110 on the second day and 10 % less on the third are 99."""
    market.day(at(2), one="2.20", two="3.30", three="4.40")
    market.day(at(3), one="1.98", two="2.97", three="3.96")

    assert indices(market, 3) == {1: 100, 2: 110, 3: 99}


def test_a_seller_that_joins_moves_the_level_alone(market: Market) -> None:
    """A cheap newcomer is a price nobody can compare yet."""
    market.day(at(2), one="2.00", two="3.00", three="4.00", four="1.00")
    found = points(market, 2)

    assert found[2].index == 100
    assert (found[1].level_usd_gpu_hour, found[2].level_usd_gpu_hour) == (3, D("2.5"))
    assert (found[2].sellers, found[2].matched) == (4, 3)


def test_a_seller_that_is_not_seen_leaves_the_index_alone(market: Market) -> None:
    """One that nobody could ask that day has no price that day, and comes back without a jump."""
    market.day(at(2), one="2.00", two="3.00", three="4.00", four="8.00")
    market.day(at(3), one="2.00", two="3.00", three="4.00")
    market.day(at(4), one="2.00", two="3.00", three="4.00", four="8.00")

    assert indices(market, 4) == dict.fromkeys((1, 2, 3, 4), 100)
    assert [p.sellers for p in points(market, 4).values()] == [3, 4, 3, 4]


def test_two_sellers_are_no_market(market: Market) -> None:
    """Below three there is neither level nor index but a reason, and the link reaches back."""
    market.day(at(2), one="2.20", two="3.30")
    market.day(at(3), one="2.40", two="3.60", three="4.80")
    found = points(market, 3)

    assert (found[2].level_usd_gpu_hour, found[2].index, found[2].spread) == (None, None, None)
    assert found[2].reason == "2 sellers, 3 are the fewest"
    assert (found[3].linked_to, round(found[3].index or 0, 4)) == (date(2026, 3, 1), 120)


def test_three_sellers_of_whom_two_are_new_make_no_link(market: Market) -> None:
    """A link rests on sellers that stood on both days; there is a level all the same."""
    new = [(scan(name, at(2)), [offer(name, "5.00", "other")]) for name in ("two", "three")]
    market.day(at(2), one="2.00").tell(*new)
    found = points(market, 2)

    assert (found[2].index, found[2].level_usd_gpu_hour) == (None, 5)
    assert found[2].reason == "1 seller on both days, 3 are the fewest"


def test_a_day_without_a_look_says_so(market: Market) -> None:
    """Nothing is carried over a day on which nobody looked."""
    market.day(at(3), one="2.20", two="3.30", three="4.40")
    found = points(market, 3)

    assert (found[2].reason, found[2].index, found[2].series) == ("nothing was seen", None, 0)
    assert found[3].index == pytest.approx(110)


def test_a_correction_at_the_newest_look_is_no_price_change(market: Market) -> None:
    """A parser that reads the old bytes otherwise moves the level and never the index."""
    market.day(at(2), one="2.00", two="3.00", three="4.00")
    fixed = scan("one", at(2), parser_revision=2, origin=Origin.CORRECTION)
    market.tell((fixed, [offer("one", "2.40")]))
    market.day(at(3), revision=2, one="2.40").day(at(3), two="3.00", three="4.00")
    found = points(market, 3, fewest=2)

    assert [p.index for p in found.values()] == [100, 100, 100]
    assert [p.low_usd_gpu_hour for p in found.values()] == [2, D("2.4"), D("2.4")]
    assert [p.matched for p in found.values()] == [0, 2, 3]


def test_a_new_fact_at_the_same_revision_is_no_price_change(market: Market) -> None:
    """A correction without a new parser (a GPU fact) is known by its rows and links nothing."""
    market.day(at(2), one="2.00", two="3.00", three="4.00")
    fixed = scan("one", at(2), origin=Origin.CORRECTION)
    market.tell((fixed, [offer("one", "2.40")]))
    found = points(market, 2, fewest=2)

    assert (found[2].index, found[2].matched) == (100, 2)


def test_a_new_parser_links_nothing_on_its_first_day(market: Market) -> None:
    """What two revisions read is not compared, though the price moved in between; later it is."""
    market.day(at(2), revision=2, one="2.40").day(at(2), two="3.00", three="4.00")
    market.day(at(3), revision=2, one="2.64").day(at(3), two="3.00", three="4.00")
    found = points(market, 3, fewest=2)

    assert (found[2].index, found[2].matched) == (100, 2)
    assert (round(found[3].index or 0, 4), found[3].matched) == (round(100 * 1.1 ** (1 / 3), 4), 3)


def test_a_price_stands_as_long_as_its_source_says(market: Market) -> None:
    """A list that stands three days counts on the days between two looks, and not longer."""
    for name in ("one", "two", "three"):
        market.tell((scan(name, at(2), stands_s=3 * 86_400), [offer(name, "5.00")]))
    found = points(market, 7)

    assert [day for day, p in found.items() if p.sellers == 3] == [1, 2, 3, 4]
    assert found[5].reason == "nothing was seen"


def test_a_history_read_anew_keeps_its_moves(market: Market) -> None:
    """When all looks were corrected alike, what was seen to move still moves the index."""
    market.day(at(2), one="2.20", two="3.30", three="4.40")
    for day, price in ((1, "2.40"), (2, "2.64")):
        fixed = scan("one", at(day), parser_revision=2, origin=Origin.CORRECTION)
        market.tell((fixed, [offer("one", price)]))
    found = points(market, 2)

    assert (round(found[2].index or 0, 6), found[2].matched) == (110, 3)


def test_a_moving_euro_is_no_price_change(tmp_path: Path) -> None:
    """Native prices are compared; the level is in dollars."""
    market = Market(tmp_path / "t.duckdb")
    for day in (1, 2):
        market.tell(*((scan(name, at(day)), [offer(name, "2.00", currency="EUR")])
                      for name in ("one", "two", "three")),
                    rates={date(2026, 3, day): f"1.{day}"})  # fmt: skip
    found = points(market, 2)

    assert [p.index for p in found.values()] == [100, 100]
    assert [p.level_usd_gpu_hour for p in found.values()] == [D("2.2"), D("2.4")]


def test_marketplaces_and_lists_are_apart(market: Market) -> None:
    """Each has an index of its own; the default one is of lists."""
    kinds = LISTS | {"bazaar": "marketplace", "souk": "marketplace", "fair": "marketplace"}
    cheap = ((scan(name, at(1)), [offer(name, "1.00")]) for name in ("bazaar", "souk", "fair"))
    market.tell(*cheap, kinds=kinds)

    assert points(market, 1)[1].level_usd_gpu_hour == 3
    assert points(market, 1, market="marketplace")[1].level_usd_gpu_hour == 1


def test_a_seller_votes_once_and_for_itself(market: Market) -> None:
    """A relay's word of a seller does not vote beside its own; a broker never does."""
    relayed = [offer("one", "2.00"), offer("one", "1.00", source="cat", relay="a catalogue")]
    market.tell(
        (scan("one", at(2)), relayed),
        (scan("two", at(2)), [offer("two", "3.00")]),
        (scan("three", at(2)), [offer("three", "4.00", relay="a catalogue")]),
        (scan("middle", at(2)), [offer("middle", "0.50")]),
        kinds=LISTS | {"middle": "broker"},
    )
    found = points(market, 2)[2]

    assert (found.sellers, found.series, found.low_usd_gpu_hour) == (3, 5, 2)


@pytest.mark.parametrize(
    ("weight", "expected"), [("series", 1.1 ** (2 / 4)), ("seller", 1.1 ** (1 / 3))]
)
def test_what_counts_alike(tmp_path: Path, weight: str, expected: float) -> None:
    """Two series of one seller that rise count twice by series and once by seller."""
    market = Market(tmp_path / "t.duckdb")
    for day, price in ((1, "2.00"), (2, "2.20")):
        market.tell((scan("one", at(day)), [offer("one", price), offer("one", price, "b")]),
                    (scan("two", at(day)), [offer("two", "3.00")]),
                    (scan("three", at(day)), [offer("three", "3.00")]))  # fmt: skip

    assert points(market, 2, weight=weight)[2].index == pytest.approx(100 * expected)


@pytest.mark.parametrize(
    "kind",
    [{"option": "spot"}, {"tier": "cluster"}, {"gpu_count": D("0.5")}, {"derived": "a half"}],
)
def test_only_like_is_in_it(market: Market, kind: dict[str, Any]) -> None:
    """Another option or tier, a slice, a computed price: none of them is a constituent."""
    market.tell((scan("four", at(1)), [offer("four", "1.00", **kind)]))

    assert points(market, 1)[1].series == 3


def test_a_quantile_lies_between_neighbours() -> None:
    """As a ruler between the ranked values; of one value it is that value."""
    assert quantile([D(1), D(2), D(4)], D("0.75")) == 3
    assert quantile([D(5)], D("0.9")) == 5


# -- the proof --------------------------------------------------------------------------------


def proof(market: Market, day: int, recorded: datetime | None = None) -> Any:
    with store.reading(market.db) as con:
        return verify(con, Asked(gpu=GPU), date(2026, 3, day), date(2026, 3, 1), NOW, recorded)


def test_every_point_holds(market: Market) -> None:
    """The store's state of each day gives the same constituents, level and link as the log."""
    market.day(at(2), one="2.20", two="2.70", three="4.00", four="9.00")
    market.day(at(3), one="2.20", two="2.70")
    market.day(at(5), one="2.00", two="2.70", three="4.40", four="9.00")
    fixed = scan("four", at(5), parser_revision=2, origin=Origin.CORRECTION)
    market.tell((fixed, [offer("four", "8.00")]))

    for day in (1, 2, 3, 4, 5):
        assert proof(market, day).differences == []
    assert len(proof(market, 5).found.standing) == 4


def test_a_price_that_was_recorded_later_changes_the_hash(market: Market) -> None:
    """What a point is made of is not replaced in silence; as it was known then it holds."""
    market.day(at(2), one="2.20", two="3.30", three="4.40")
    published = proof(market, 2).point.constituents
    with store.reading(market.db) as con:
        (known,) = con.execute("select make_timestamptz(max(scan_id)) from scan").fetchone() or ()
    fixed = scan("one", at(2), parser_revision=2, origin=Origin.CORRECTION)
    market.tell((fixed, [offer("one", "2.30")]))

    assert proof(market, 2).again.constituents != published
    assert proof(market, 2).differences == []
    assert proof(market, 2, known).again.constituents == published
    assert "level" not in " ".join(proof(market, 2, known).differences)


def test_a_point_that_does_not_hold_says_in_what(market: Market) -> None:
    """Each of constituents, level, link and sellers is compared."""
    held = proof(market, 1)
    other = replace(held.again, constituents="x", level_usd_gpu_hour=D(1), link=2.0, sellers=9)

    said = replace(held, again=other).differences
    assert [line.partition(":")[0] for line in said] == [
        "constituents", "level", "link", "sellers"
    ]  # fmt: skip


def test_the_hash_is_of_words_and_prices(tmp_path: Path) -> None:
    """Two tapes that were told the same in another order agree; another price or day does not."""
    one, two = Market(tmp_path / "one.duckdb"), Market(tmp_path / "two.duckdb")
    one.day(at(1), one="2.00", two="3.00", three="4.00")
    two.day(at(1), three="4.00", two="3.00").day(at(1), one="2.00")
    other = Market(tmp_path / "other.duckdb").day(at(1), one="2.00", two="3.00", three="4.01")
    hashes = [points(m, 1)[1].constituents for m in (one, two, other)]

    assert hashes[0] == hashes[1] != hashes[2]
    assert (
        points(one.day(at(2), one="2.00", two="3.00", three="4.00"), 2)[2].constituents
        not in hashes
    )


def test_a_day_on_which_nothing_stood_has_no_proof(market: Market) -> None:
    """Before the tape began there is no point."""
    with store.reading(market.db) as con:
        assert verify(con, Asked(gpu=GPU), date(2026, 2, 1), date(2026, 1, 1), NOW) is None
