"""Foreign prices: kept as printed, in dollars by a dated rate, or NULL."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httpx

from gputape.scrapers import ecb
from gputape.scrapers.adapter import Adapter, Http
from gputape.scrapers.page import Page
from gputape.scrapers.providers import oracle
from gputape.scrapers.quote import Quote
from gputape.scrapers.recording import Replay
from gputape.store.offer import Option, Origin

if TYPE_CHECKING:
    from tests.scrapers.conftest import House

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def european() -> Adapter:
    """Return a seller that prints euros."""

    def fetch(http: Http) -> None:
        with http.part("list"):
            http.get("https://a.example/")

    def parse(pages: Sequence[Page]) -> Iterable[Quote]:
        price = pages[0].json()["price"]
        yield Quote(sku="x", option=Option.ON_DEMAND, price=price, currency="EUR", gpu="H100 SXM")

    provider = replace(oracle.PROVIDER, slug="a", at_least=1)
    return cast("Adapter", SimpleNamespace(PROVIDER=provider, REVISION=1, fetch=fetch, parse=parse))


def test_a_foreign_price_has_dollars_by_the_rate_of_its_day_or_none(house: "House") -> None:
    """Without a rate usd_hour is NULL; with one it is price times rate; eight days later NULL."""
    house.clock.now = datetime(2023, 8, 28, 15, tzinfo=UTC)
    way = httpx.MockTransport(lambda _: httpx.Response(200, json={"price": "2.00"}))
    house.collect([european()], lambda _: way)
    assert house.ask("select price::double, currency, usd_hour from v_offers") == [
        (2.0, "EUR", None)
    ]
    house.collect([ecb], lambda _: Replay(FIXTURES, "ecb"), origin=Origin.REPLAY)
    in_time, late = "timestamptz '2023-08-29'", "timestamptz '2023-09-06'"
    assert house.ask(f"select usd_hour from offers_at({in_time})") == [(Decimal("2.161600"),)]
    assert house.ask(f"select usd_hour from offers_at({late})") == [(None,)]


def test_a_moving_rate_is_no_price_change(house: "House") -> None:
    """Changes are looked for in the currency that the provider prints."""
    way = httpx.MockTransport(lambda _: httpx.Response(200, json={"price": "2.00"}))
    house.collect([european()], lambda _: way)
    house.ask("insert into fx values ('2026-11-01', 'EUR', 1.10, 'ecb')")
    house.clock.turn(hours=1)
    house.ask("insert into fx values ('2026-11-02', 'EUR', 1.20, 'ecb')")
    house.collect([european()], lambda _: way)
    assert house.ask("select event from v_changes where event <> 'new'") == []


def test_rates_are_dollars_per_unit(house: "House") -> None:
    """The bank prints units per euro; the tape keeps dollars per unit, each day once."""
    for _ in range(2):
        house.collect([ecb], lambda _: Replay(FIXTURES, "ecb"), origin=Origin.REPLAY)
    rows = house.ask("select currency, usd_per_unit from fx order by 1")
    assert rows == [
        ("CHF", Decimal("1.130662203")),
        ("EUR", Decimal("1.080800000")),
        ("GBP", Decimal("1.259453475")),
        ("JPY", Decimal("0.006825387")),
        ("USD", Decimal("1.000000000")),
    ]
