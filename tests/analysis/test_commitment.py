"""Whether a commitment is worth it: break-even, present value, twins, the spot path."""

import math
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.commitment import (
    UNKNOWN,
    Commitment,
    Fall,
    Plan,
    commitments,
    fall_of,
    price_fall,
)
from gputape.analysis.commitment import (
    Path as SpotPath,
)
from gputape.analysis.index import Point
from gputape.store import tape as store
from gputape.store.errors import BadInput

sys.path.insert(0, str(Path(__file__).parent))
from markets import ARTICLE_DAY, GPU, Market, article, at, offer, scan

D = Decimal
QUARTER = timedelta(days=90)


def commitment(**changed: Any) -> Commitment:
    plain = Commitment(
        provider="one", sku="r", region="eu", gpu=GPU, gpu_count=D(8), tier=None, term_months=12,
        payment=None, reserved_usd_gpu_hour=D("1.20"), upfront_usd_gpu=D(0),
        on_demand_usd_gpu_hour=D("2.00"), twin="the same sku", spot=None, last_seen=at(1),
        stale=False,
    )  # fmt: skip
    return replace(plain, **changed)


def asked(db: Path, when: datetime, gpus: set[str], **more: Any) -> list[Commitment]:
    with store.reading(db) as con:
        return commitments(con, frozenset(gpus), when, history=QUARTER, **more)


@pytest.mark.parametrize(
    ("gpu", "even"),
    [
        ("a100-80", {"aws": "0.586", "azure": "0.861", "coreweave": "0.814",
                     "lambda_labs": "0.907", "fluidstack": "0.799"}),
        ("a100-40", {"aws": "0.585", "azure": "0.829", "gcp": "0.352", "coreweave": "0.859",
                     "lambda_labs": "0.955", "fluidstack": "0.832"}),
    ],
)  # fmt: skip
def test_the_table_of_2023(tmp_path: Path, gpu: str, even: dict[str, str]) -> None:
    """Break-even utilisation of every reserved price of the published table."""
    found = asked(article(tmp_path / "t.duckdb").db, ARTICLE_DAY, {gpu})

    assert {c.provider: f"{c.break_even_utilisation:.3f}" for c in found} == even
    assert {c.twin for c in found} == {"the same sku"}


def test_without_a_discount_and_a_fall_it_is_arithmetic() -> None:
    """8,760 h at 0.80 less are 7,008 dollars; at 60 % use nothing is saved and below it is lost."""
    npv = [commitment().npv(Plan(utilisation=use)) for use in (1.0, 0.6, 0.5)]

    assert [round(worth[0], 2) for worth in npv if worth] == [7008, 0, -1752]


def test_an_upfront_is_paid_today() -> None:
    """All upfront costs the same without a discount, and more than month by month with one."""
    upfront = commitment(upfront_usd_gpu=D("10512"))
    plain, dear = Plan(), Plan(discount=0.1)

    assert upfront.recurring_usd_gpu_hour == 0
    assert upfront.present_cost(plain) == pytest.approx(commitment().present_cost(plain))
    assert upfront.present_cost(dear) == 10512 > commitment().present_cost(dear)
    assert commitment().present_cost(dear) == pytest.approx(
        sum(1.20 * 730 * 1.1 ** (-m / 12) for m in range(1, 13))
    )


def test_a_falling_price_eats_the_saving() -> None:
    """At 40 % less a year the point is in between, the low end where prices fall most."""
    worth = commitment().npv(Plan(fall=Fall(0.4, 0.2, 0.6, "stated")))
    still = commitment().npv(Plan())

    assert worth
    assert still
    assert worth[1] < worth[0] < worth[2] < still[0]
    assert worth[0] == pytest.approx(
        sum(2 * 730 * 0.6 ** ((m + 0.5) / 12) for m in range(12)) - 1.2 * 8760
    )


def test_what_nobody_sells_on_demand_has_no_present_value() -> None:
    """Then break-even and saving are unknown, not nought."""
    alone = commitment(on_demand_usd_gpu_hour=None)

    assert (alone.break_even_utilisation, alone.npv(Plan())) == (None, None)


@pytest.mark.parametrize("use", [0.0, 1.01, -1.0])
def test_a_utilisation_is_a_share(use: float) -> None:
    """More than all hours can not be used, and none make no price."""
    with pytest.raises(BadInput, match="share of the hours"):
        Plan(utilisation=use)


def test_twins_from_near_to_far(tmp_path: Path) -> None:
    """The same sku and region, else the same size, else the same GPU, else elsewhere, else none."""
    words = {"option": "reserved", "term_months": 12}
    listed = [
        offer("one", "2.00", "a"), offer("one", "1.10", "a", **words),
        offer("one", "1.20", "b", **words),
        offer("one", "9.00", "c", gpu_count=D(8), **words),
        offer("one", "1.30", "d", region="us", **words),
        offer("one", "1.40", "e", gpu="l4-24", **words),
    ]  # fmt: skip
    db = Market(tmp_path / "t.duckdb").tell((scan("one", at(2)), listed)).db
    found = {c.sku: c for c in asked(db, at(2, 13), {GPU, "l4-24"})}

    assert {sku: c.twin for sku, c in found.items()} == {
        "a": "the same sku", "b": "the same GPUs, same region", "c": "the same GPU, same region",
        "d": "the same GPU, any region", "e": "not sold on demand",
    }  # fmt: skip
    assert found["c"].break_even_utilisation == D("1.125") / 2


def test_an_upfront_of_a_whole_machine_is_shared(tmp_path: Path) -> None:
    """80,000 for eight GPUs are 10,000 each, in dollars."""
    reserved = offer("one", "16", "r", option="reserved", term_months=12, payment="partial",
                     gpu_count=D(8), upfront=D(80_000))  # fmt: skip
    db = Market(tmp_path / "t.duckdb").tell((scan("one", at(2)), [reserved])).db
    (found,) = asked(db, at(2, 13), {GPU})

    assert found.upfront_usd_gpu == 10_000
    assert found.recurring_usd_gpu_hour == pytest.approx(D(2 - 10_000 / 8760))


def test_a_term_that_nobody_sells(tmp_path: Path) -> None:
    """The refusal names the terms that are sold."""
    db = article(tmp_path / "t.duckdb").db
    with pytest.raises(BadInput, match="a term of 7 months: sold are 12"):
        asked(db, ARTICLE_DAY, {"a100-80"}, term_months=7)


def test_the_spot_path_is_what_was_seen(tmp_path: Path) -> None:
    """A price a day, the cheapest zone's; a day without a look has none."""
    market = Market(tmp_path / "t.duckdb")
    for day, east, west in ((1, "1.00", "1.10"), (2, "1.20", "1.10"), (4, "1.30", "1.40")):
        spot = [offer("one", east, option="spot", zone="a"),
                offer("one", west, option="spot", zone="b")]  # fmt: skip
        market.tell((scan("one", at(day), part="spot"), spot))
    reserved = offer("one", "0.90", option="reserved", term_months=12)
    market.tell((scan("one", at(4)), [reserved]))
    (found,) = asked(market.db, at(4, 13), {GPU})

    assert found.spot
    assert found.spot.prices == (D("1.00"), D("1.10"), D("1.30"))
    assert found.spot.mean == pytest.approx(3.4 / 3)


def test_against_spot_it_is_the_path_s_mean() -> None:
    """At the mean of the path; low where spot was cheapest, high where it was dearest."""
    path = SpotPath(prices=tuple(D(n) / 10 for n in range(5, 16)))
    worth = commitment(spot=path).npv_against_spot(Plan())

    assert path.interval == (0.6, 1.4)
    assert worth == pytest.approx(((1.0 - 1.2) * 8760, (0.6 - 1.2) * 8760, (1.4 - 1.2) * 8760))


# -- how prices fall --------------------------------------------------------------------------


def points(values: list[float], step: int = 30) -> list[Point]:
    blank = dict.fromkeys(Point.__slots__)
    return [
        Point(**blank | {"day": date(2025, 1, 1) + timedelta(days=n * step), "index": value})  # type: ignore[arg-type]
        for n, value in enumerate(values)
    ]


def test_a_steady_fall_is_found() -> None:
    """1 % in each block of 30 days is 11.5 % a year, without doubt."""
    found = fall_of(points([100 * 0.99**n for n in range(9)]))

    assert found.point == pytest.approx(1 - 0.99 ** (365 / 30))
    assert found.low == pytest.approx(found.high)
    assert found.basis.startswith("8 blocks of 30 days")


def test_a_wavering_price_is_uncertain_and_may_rise() -> None:
    """Up and down by a tenth: the interval holds a rise as well as a fall."""
    found = fall_of(points([100, 110, 100, 110, 100, 110, 100, 110]))

    assert found.low < 0 < found.high
    assert not math.isclose(found.low, found.high)


def test_half_a_year_is_the_least() -> None:
    """Six blocks are needed; five, or a gap, leave it unknown."""
    assert fall_of(points([100.0] * 7)).known
    assert fall_of(points([100.0] * 6)) is UNKNOWN
    assert fall_of(points([100.0] * 12, step=31)) is UNKNOWN
    assert fall_of([]) is UNKNOWN


def test_a_young_tape_knows_no_fall(tmp_path: Path) -> None:
    """Two days tell nothing of a year."""
    market = Market(tmp_path / "t.duckdb").day(at(1), one="2.00").day(at(2), one="1.90")
    with store.reading(market.db) as con:
        assert price_fall(con, GPU, datetime(2026, 3, 3, tzinfo=UTC), QUARTER) is UNKNOWN
