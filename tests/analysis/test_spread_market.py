"""How far sellers are apart: the table of 2023, what explains a distance, and how it went."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.printed import notes_on_spread
from gputape.analysis.spread import (
    Kind,
    Spread,
    anomalies,
    beside,
    bests,
    differences,
    flag,
    spread_history,
    spreads,
)
from gputape.store import tape as store

sys.path.insert(0, str(Path(__file__).parent))
from markets import ARTICLE_DAY, GPU, Market, article, at, offer, scan

NOW = datetime.now(UTC)
D = Decimal


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of the table of 2023-04-07, recorded by the recorder."""
    return article(tmp_path_factory.mktemp("printed") / "tape.duckdb").db


@pytest.fixture
def then(printed: Path) -> Iterator[dict[Kind, Any]]:
    """Every seller's best that day."""
    with store.reading(printed) as con:
        yield bests(con, ARTICLE_DAY)


def of(found: dict[Kind, Any], gpu: str, option: str) -> Spread:
    (only,) = (s for s in spreads(found) if (s.gpu, s.option) == (gpu, option))
    return only


@pytest.mark.parametrize(
    ("gpu", "option", "ratio", "flagged", "sellers"),
    [
        ("a100-40", "on_demand", "3.73", "loud", 7),
        ("a100-80", "on_demand", "3.44", "loud", 7),
        ("a10-24", "on_demand", "5.33", "loud", 4),
        ("a100-80", "spot", "1.80", "flagged", 3),
    ],
)
def test_the_table_of_2023(
    then: Any, gpu: str, option: str, ratio: str, flagged: str, sellers: int
) -> None:
    """Dearest over cheapest of the published table, and how loud that is."""
    found = of(then, gpu, option)

    assert (f"{found.ratio:.2f}", found.flag, found.sellers) == (ratio, flagged, sellers)


@pytest.mark.parametrize(
    ("gpu", "option", "average"),
    [("a100-80", "on_demand", "3.19"), ("a100-80", "reserved", "2.18"),
     ("a100-40", "on_demand", "2.62"), ("a100-40", "reserved", "1.75"),
     ("a100-80", "spot", "1.83"), ("a100-40", "spot", "1.42")],
)  # fmt: skip
def test_averages_are_half_up(then: Any, gpu: str, option: str, average: str) -> None:
    """1.415 is 1.42 and not 1.41; the mean of five reserved prices is 2.18 and not 2.27."""
    assert of(then, gpu, option).average(fewest=1) == D(average)


def test_an_average_of_few_is_withheld(then: Any) -> None:
    """Five sellers have an average, four have none unless it is asked for."""
    assert of(then, "a100-80", "reserved").average() == D("2.18")
    assert of(then, "a10-24", "on_demand").average() is None
    assert of(then, "a10-24", "on_demand").average(4) == D("1.70")


def test_a_misprint_of_the_article_is_named(then: Any) -> None:
    """Beside 2.18 stands that the article says 2.27, and why; beside other figures nothing."""
    (note,) = notes_on_spread(of(then, "a100-80", "reserved"))

    assert note.startswith(
        "the article's table gives an average of 2.27: that leaves out CoreWeave"
    )
    assert note.endswith("the mean of its five prices is 2.18")
    assert notes_on_spread(of(then, "a100-80", "on_demand")) == []


def test_the_same_prices_of_somebody_else_are_no_misprint(tmp_path: Path) -> None:
    """The note belongs to the article's table, not to the GPU."""
    listed = [(scan(name, ARTICLE_DAY), [offer(name, price, gpu="a100-80", option="reserved",
                                               term_months=12)])
              for name, price in (("aws", "3.00"), ("azure", "3.53"))]  # fmt: skip
    with store.reading(Market(tmp_path / "t.duckdb").tell(*listed).db) as con:
        (found,) = spreads(bests(con, ARTICLE_DAY))

    assert notes_on_spread(found) == []


def test_a_seller_s_own_gpus_beside_each_other(then: Any) -> None:
    """On AWS an A100 of 40 GB was 4.1 times an A10 on demand, 4.0 reserved, 2.5 on spot."""
    ratios = {
        kind.option: f"{one.usd_gpu_hour / two.usd_gpu_hour:.1f}"
        for kind, one, two in beside(then, "a100-40", "a10-24")
        if one.provider == "aws"
    }

    assert ratios == {"on_demand": "4.1", "reserved": "4.0", "spot": "2.5"}


def test_an_a10_at_nearly_the_price_of_an_a100(then: Any) -> None:
    """Azure's A10 is the one on-demand price that its own stronger GPU does not explain."""
    found = [a for a in anomalies(then) if a.kind.option == "on_demand"]

    assert [(a.best.provider, a.kind.gpu, a.stronger, f"{a.ratio:.2f}") for a in found] == [
        ("azure", "a10-24", "a100-40", "1.06")
    ]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [("1.49", None), ("1.4949", None), ("1.5", "flagged"), ("2.99", "flagged"), ("3", "loud")],
)
def test_how_loud_a_ratio_is(ratio: str, said: str | None) -> None:
    """Flagged from 1.5 times, loud from 3, on the two places that are shown."""
    assert flag(D(ratio)) == said


def test_only_like_is_compared(tmp_path: Path) -> None:
    """Another tier, another term and another GPU are other kinds."""
    ours = [offer("one", "2"), offer("one", "1", "c", tier="cluster"),
            offer("one", "1.5", "r", option="reserved", term_months=12)]  # fmt: skip
    theirs = [offer("two", "3"), offer("two", "1.2", "r", option="reserved", term_months=36),
              offer("two", "1.1", gpu="h100-pcie-80", sku="p")]  # fmt: skip
    market = Market(tmp_path / "t.duckdb").tell((scan("one", at(2)), ours),
                                                (scan("two", at(2)), theirs))  # fmt: skip
    with store.reading(market.db) as con:
        found = spreads(bests(con, at(2, 13)))

    assert [(s.kind, s.ratio) for s in found] == [(Kind(GPU, "on_demand", None, None), D("1.5"))]


def test_a_seller_s_own_word_counts_before_a_relay_s(tmp_path: Path) -> None:
    """What somebody else printed of a seller is no price of it while it speaks for itself."""
    said = [offer("one", "2"), offer("one", "1", source="cat", relay="a catalogue")]
    market = Market(tmp_path / "t.duckdb")
    market.tell((scan("one", at(2)), said), (scan("two", at(2)), [offer("two", "3")]))
    with store.reading(market.db) as con:
        (found,) = spreads(bests(con, at(2, 13)))

    assert found.low_usd_gpu_hour == 2


def test_what_else_they_differ_in_is_named(tmp_path: Path) -> None:
    """Node size, region, market, age, relay: each difference is a sentence, equality none."""
    cheap = offer("one", "1.00", region="us", relay="a catalogue")
    dear = offer("two", "24", gpu_count=D(8))
    market = Market(tmp_path / "t.duckdb").tell(
        (scan("one", at(1)), [cheap]), (scan("two", at(3)), [dear]),
        kinds={"one": "marketplace", "two": "list"},
    )  # fmt: skip
    with store.reading(market.db) as con:
        (found,) = spreads(bests(con, at(3, 13)))
    said = differences(found)

    assert said[:4] == [
        "node: 1 GPU against 8 GPUs",
        "region: us against eu",
        "market: marketplace against list",
        "one as printed by a catalogue",
    ]
    assert "one not seen since 2026-03-01 12:00" in said
    assert "links inside a node, as its maker says: 900 GB/s" in said
    assert said[-1] == "network between nodes: not in price lists"


def test_a_form_factor_that_nobody_stated_is_named(then: Any) -> None:
    """An "A100 40 GB" may be either part, and part of a spread may be just that."""
    said = differences(of(then, "a100-40", "on_demand"))

    assert "form factor not stated: a100-pcie-40 or a100-sxm-40" in said
    assert not [one for one in said if one.startswith(("node", "region", "market"))]


def test_history_says_what_each_day_said(tmp_path: Path) -> None:
    """Each day is the spread as of its end; one without a second seller is none."""
    market = Market(tmp_path / "t.duckdb")
    market.day(at(1), one="2.00")
    market.day(at(2), one="2.00", two="3.00")
    market.day(at(3), one="2.20", two="3.00", three="1.90")
    market.day(at(5), one="2.20", two="2.80", three="1.90")
    with store.reading(market.db) as con:
        days = list(spread_history(con, frozenset({GPU}), None, date(2026, 2, 27),
                                   date(2026, 3, 6), NOW))  # fmt: skip
        then = spreads(bests(con, at(4, 0)))[0]

    assert [(d.day.day, d.sellers, f"{d.ratio:.3f}") for d in days] == [
        (2, 2, "1.500"), (3, 3, "1.579"), (5, 3, "1.474")
    ]  # fmt: skip
    assert (days[1].low_provider, days[1].high_provider, days[1].ratio) == (
        then.low_provider, then.high_provider, then.ratio
    )  # fmt: skip
