"""`buy`: rent, or a card of one's own."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.ending import ages, finish, rounded
from gputape.app.cli.output import db_option, format_options, shown
from gputape.app.cli.shares import Amount, Share
from gputape.app.cli.words import Moment, Money
from gputape.store.offer import half_up

if TYPE_CHECKING:
    from gputape.analysis.buy import Figure, Purchase
    from gputape.analysis.workload.figure import Estimate

BUY = (
    "against", "market_usd_gpu_hour", "provider", "sku", "own_usd_gpu_hour", "own_low", "own_high",
    "break_even_utilisation", "break_even_low", "break_even_high", "verdict",
)  # fmt: skip
FIGURES = ("figure", "value", "unit", "working", "note")


@click.command()
@click.argument("gpu", required=False)
@click.option("--utilisation", type=Share(), default="1", show_default=True,
              help="Of the hours of its life, those in which it works.")  # fmt: skip
@click.option("--years", type=Amount(), help="How long it is used.")
@click.option("--card-price", "card_usd", type=Amount(), help="USD for a card.")
@click.option("--server-overhead", type=Amount(), help="Server / cards: 1.64.")
@click.option("--interconnect", "interconnect_share", type=Share(),
              help="The network's share of a cluster's price: 0.19.")  # fmt: skip
@click.option("--cluster", is_flag=True, help="With a fast network between machines.")
@click.option("--tdp", "tdp_w", type=Amount(), help="Watts of a card.")
@click.option("--tdp-fraction", type=Share(), help="Of them drawn at work: 0.75.")
@click.option("--server-power", "chip_to_server_power", type=Amount(), help="Server / cards: 1.5.")
@click.option("--pue", type=Amount(), help="Building / servers: 1.25, hyperscalers 1.10.")
@click.option("--usd-kwh", type=Amount(), help="USD per kWh.")
@click.option("--operations", type=Share(), help="A year, of the hardware's price: 0.125.")
@click.option("--staff", "staff_usd_year", type=Amount(), help="USD a year for one GPU.")
@click.option("--resale", "resale_share", type=Share(), help="Of the price, got back at the end.")
@click.option("--against", type=Money(), metavar="USD", help="A price to compare with, per hour.")
@click.option("--as-of", type=Moment(), help="Offers at a moment: 2026-08-01[T06:00].")
@click.option("--explain", is_flag=True, help="The working of each figure, and its sources.")
@click.option("--example", is_flag=True, help="An article's example: 700 W against 300 W.")
@format_options
@db_option
def buy(
    db: Path, fmt: str, output: Path | None, gpu: str | None, utilisation: float,
    cluster: bool, against: Decimal | None, as_of: datetime | None,  # noqa: FBT001  # click's way
    explain: bool, example: bool, **stated: float | None,  # noqa: FBT001  # same
) -> None:  # fmt: skip
    """Rent or buy: what an hour of a GPU of one's own costs, and from which use on it pays.

    What is not stated is a constant with its source (--explain). Compared with the cheapest
    on-demand and reserved prices on the tape, or with --against.

    \b
    gputape buy h100-sxm-80 --years 3 --utilisation 50%
    gputape buy a100 --card-price 15000 --explain
    gputape buy --example
    """
    from gputape.analysis import buy as analysis
    from gputape.store.errors import BadInput

    if example:
        finish(_figures(analysis.example()), FIGURES, fmt, output, [])
        return
    if not gpu:
        raise BadInput("which GPU? gputape buy h100-sxm-80, or --example for an article's")
    card = analysis.named(gpu)
    bought = analysis.purchase(
        card, utilisation=utilisation, cluster=cluster,
        stated={name: value for name, value in stated.items() if value is not None},
    )  # fmt: skip
    own = analysis.hourly(bought)
    markets, line = ([("stated", against, None, None)], "") if against else (
        _markets(db, gpu, as_of))  # fmt: skip
    if explain:
        finish(_figures(analysis.working(bought)), FIGURES, fmt, output, _sources(own))
        return
    rows = [[*_compared(bought, own, *market)] for market in markets]
    cost = (
        f"{card.id}: {_range(own)} {own.unit} at {utilisation:.0%} use over "
        f"{bought.years.point:g} years (80 % interval)"
    )
    finish(rows, BUY, fmt, output, [cost, line] if line else [cost])


def _markets(
    db: Path, gpu: str, as_of: datetime | None
) -> tuple[list[tuple[str, Decimal, str, str]], str]:
    """Return the cheapest offer of each way to rent it, and how old that is."""
    from gputape.analysis.offers import COLUMNS, Question, offers
    from gputape.store.gpus import resolve, select
    from gputape.store.tape import reading

    meant = resolve(gpu)
    gpus = frozenset({meant.id, *meant.either}) if meant else select([gpu])
    found: list[tuple[str, Decimal, str, str]] = []
    seen: list[tuple[datetime, bool]] = []
    with reading(db) as con:
        for option in ("on_demand", "reserved"):
            asked = Question(gpus=gpus, option=option, as_of=as_of, limit=1)
            for row in offers(con, asked, datetime.now(UTC)).rows:
                offer = dict(zip(COLUMNS, row, strict=True))
                seen.append((offer["last_seen"], offer["stale"]))
                term = f" {offer['term_months']} months" if offer["term_months"] else ""
                if offer["usd_gpu_hour"] is not None:
                    found.append((option + term, offer["usd_gpu_hour"], offer["provider"],
                                  offer["sku"]))  # fmt: skip
    return found, ages(seen, "cheapest offers")


def _compared(
    bought: "Purchase", own: "Estimate", against: str, price: Decimal, provider: str | None,
    sku: str | None,
) -> list[Any]:  # fmt: skip
    from gputape.analysis.buy import break_even

    even = break_even(bought, float(price))
    shares = [rounded(x, 3) for x in (even.point, even.low, even.high)] if even else [None] * 3
    return [against, price, provider, sku, rounded(own.point, 4), rounded(own.low, 4),
            rounded(own.high, 4), *shares, _buy_or_rent(own, even, float(price))]  # fmt: skip


def _buy_or_rent(own: "Estimate", even: "Estimate | None", price: float) -> str:
    if even is None:
        return "rent: electricity alone costs more"
    if own.low > price:
        return "rent" if even.low <= 1 else "rent, whatever its use"
    return "buy" if own.high < price else "too near to say"


def _range(found: "Estimate") -> str:
    point, low, high = (shown(rounded(x, 2)) for x in (found.point, found.low, found.high))
    return f"{point} ({low} to {high})"


def _figures(figures: "list[Figure]") -> list[list[Any]]:
    return [[f.name, half_up(Decimal(str(f.value)), 4), f.unit, f.working, f.note]
            for f in figures]  # fmt: skip


def _sources(own: "Estimate") -> list[str]:
    return [f"total, 80 % interval: {_range(own)} {own.unit}",
            *(f"{a.name} = {a.value}: {a.source}" for a in own.assumptions)]  # fmt: skip
