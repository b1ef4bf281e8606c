"""Rent or buy: the method's check values, the article's example, and what may be asked."""

from dataclasses import replace
from typing import Any

import pytest

from gputape.analysis.buy import (
    DOUBTED,
    HOURS_PER_YEAR,
    Purchase,
    break_even,
    example,
    hourly,
    named,
    purchase,
    working,
)
from gputape.analysis.workload.constants import constants
from gputape.store.errors import BadInput


def h100(use: float = 1.0, *, cluster: bool = False, **stated: float) -> Purchase:
    return purchase(named("h100-sxm-80"), utilisation=use, cluster=cluster, stated=stated)


@pytest.mark.parametrize(("use", "usd"), [(1.0, 1.95), (0.5, 3.82)])
def test_an_h100_over_three_years(use: float, usd: float) -> None:
    """30,000 dollars over three years: $1.95 an hour at full use, $3.8 at half, upkeep aside."""
    found = hourly(h100(use, years=3, operations=0))

    assert round(found.point, 2) == usd
    assert found.low < found.point < found.high


def test_every_part_counts() -> None:
    """Operations, staff, a network, dearer power and fewer years each add; resale takes away."""
    plain = hourly(h100(years=3, operations=0)).point
    dearer = [
        hourly(h100(years=3)), hourly(h100(years=3, operations=0, staff_usd_year=1000)),
        hourly(h100(years=3, operations=0, cluster=True)), hourly(h100(years=2, operations=0)),
        hourly(h100(years=3, operations=0, usd_kwh=0.30)),
        hourly(h100(years=3, operations=0, tdp_w=1000)),
    ]  # fmt: skip

    assert all(found.point > plain for found in dearer)
    assert hourly(h100(years=3, operations=0, resale_share=0.2)).point < plain
    assert dearer[1].point == pytest.approx(plain + 1000 / HOURS_PER_YEAR)


def test_what_is_stated_has_no_doubt() -> None:
    """The interval narrows with each thing the asker knows, and is a point when all is known."""
    stated: dict[str, Any] = dict.fromkeys(DOUBTED, 1.0) | {
        "interconnect_share": 0.1, "resale_share": 0.0, "card_usd": 30_000.0,
    }  # fmt: skip
    some, every = hourly(h100(years=3, card_usd=30_000)), hourly(h100(**stated))

    assert some.high - some.low < (plain := hourly(h100())).high - plain.low
    assert every.low == every.point == every.high
    assert every.assumptions == ()


def test_break_even_is_where_the_hours_cost_the_same() -> None:
    """At the break-even utilisation an own hour costs the market's price."""
    even = break_even(h100(), 3.0)

    assert even
    assert hourly(h100(even.point)).point == pytest.approx(3.0)
    assert even.low < even.point < even.high


def test_cheap_market_hours_are_never_beaten() -> None:
    """Dearer than all the hours there are, or than the electricity alone."""
    even = break_even(h100(), 1.0)

    assert even
    assert even.point > 1
    assert break_even(h100(usd_kwh=2.0), 0.5) is None


def test_the_working_adds_up() -> None:
    """Write-off, operations, staff and power are the total, each with its numbers put in."""
    bought = h100(0.7, staff_usd_year=500)
    steps = {figure.name: figure for figure in working(bought)}
    parts = ("write-off", "operations", "staff", "power")

    assert sum(steps[p].value for p in parts) == pytest.approx(steps["total"].value)
    assert steps["total"].value == hourly(bought).point
    assert steps["power"].working == "700 W x 0.75 x 1.5 x 1.25 x 0.0826 USD/kWh"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("energy a year", 3504), ("energy in 3 years", 10_512), ("electricity in 3 years", 1051.2),
        ("cost of one card with it", 1.88), ("cost of two cards with it", 1.44),
        ("two cards against an A100, FP16 accumulation", 0.8744),
        ("two cards against an A100, FP32 accumulation", 0.4372),
        ("what 50M USD a year rents", 19.1e6), ("what that is", 2177),
    ],
)  # fmt: skip
def test_the_article_s_example(name: str, value: float) -> None:
    """700 W against 300 W, two cards against an A100, and what fifty million rent."""
    (found,) = [figure for figure in example() if figure.name == name]

    assert found.value == pytest.approx(value, rel=0.005)


def test_what_the_article_got_wrong_is_said() -> None:
    """3,500 kWh is one year's energy; the note stands beside the right figures."""
    notes = {figure.name: figure.note for figure in example()}

    assert "3,500 kWh over three years: that is one year's" in notes["energy a year"]
    assert notes["energy in 3 years"]
    assert notes["electricity in 3 years"] == ""


@pytest.mark.parametrize(
    ("word", "usd"),
    [("a100-40", 12_500), ("a100-sxm-80", 16_000), ("h100", 30_000), ("b200", 47_000)],
)
def test_known_cards(word: str, usd: float) -> None:
    """A card's price is known by its id, its family and memory, or its family."""
    assert purchase(named(word)).card_usd.point == usd


def test_a_card_without_a_price_is_refused() -> None:
    """The refusal says what to give and what is known."""
    with pytest.raises(
        BadInput, match=r"no card price of l4-24 is known: give --card-price \(known: a100"
    ):
        purchase(named("l4"))


@pytest.mark.parametrize("wrong", [{"utilisation": 0.0}, {"utilisation": 1.5}, {"tdp_w": 0.0}])
def test_what_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    """No use, more than all, no power: a sentence."""
    with pytest.raises(BadInput):
        replace(h100(), **wrong)


def test_an_unknown_card_is_refused_with_the_nearest() -> None:
    """As everywhere."""
    with pytest.raises(BadInput, match="no GPU is called 'h10'"):
        named("h10")


def test_every_constant_has_a_source_and_an_order() -> None:
    """Each constant of buying says where it was read, and its ratios hold 1 between them."""
    ours = [c for name, c in constants().items() if name.startswith(("buy.", "card."))]

    assert len(ours) > 10
    for found in ours:
        assert len(found.source) > 20
        assert found.ratios[0] <= 1 <= found.ratios[1]
