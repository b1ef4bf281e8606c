"""`tokens`: what a million hosted tokens cost, beside which one's own GPUs must be cheaper."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import db_option, format_options, write
from gputape.app.cli.words import Moment, Money

if TYPE_CHECKING:
    from gputape.analysis.tokens import BreakEven, Hosted, HostedPrice

NOTHING = 4
COLUMNS = (
    "usd_per_million", "usd_per_million_input", "usd_per_million_output",
    "usd_per_million_cached_input", "host", "model", "context", "tier_from", "source",
    "observed_at", "stale",
)  # fmt: skip
TABLE = (
    "usd_per_million", "usd_per_million_input", "usd_per_million_output", "host", "model", "source",
    "observed_at",
)  # fmt: skip


class Mix(click.ParamType["tuple[float, float]"]):
    """3:1, tokens in to tokens out."""

    name = "in:out"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the two numbers."""
        if isinstance(value, tuple):
            return value
        try:
            given, taken = map(float, value.split(":"))
        except ValueError:
            self.fail(f"{value!r} is no mix: write 3:1, three tokens in to one out", param, ctx)
        return given, taken


@click.command()
@click.argument("model")
@click.option("--mix", type=Mix(), default="3:1", show_default=True, help="Tokens in to out.")
@click.option("--as-of", type=Moment(), help="As the tape knew it then: 2026-08-01[T06:00].")
@click.option("--node-price", type=Money(), metavar="USD", help="Break-even: a node's hour.")
@click.option("--tokens-s", type=float, help="Break-even: what the node can do, in and out.")
@format_options
@db_option
def tokens(
    db: Path, fmt: str, output: Path | None, model: str, mix: tuple[float, float],
    as_of: datetime | None, node_price: Decimal | None, tokens_s: float | None,
) -> None:  # fmt: skip
    """What hosts take for a million tokens of MODEL, cheapest first.

    From the tape (`gputape collect` asks OpenRouter once a day) and from genai-prices, a table
    that says no dates. Free, batch and routed prices are left out and counted.

    \b
    gputape tokens llama-3.1-70b --mix 10:1
    gputape tokens llama-3.3-70b --node-price 20 --tokens-s 12000
    """
    from gputape.analysis.tokens import break_even, cheapest, hosted
    from gputape.analysis.workload.models import model as shape

    if (node_price is None) != (tokens_s is None):
        raise click.UsageError("a break-even needs both --node-price and --tokens-s")
    wanted, moment = shape(model), as_of or datetime.now(UTC)
    with _tape(db) as con:
        found = hosted(con, wanted, moment)
    prices = sorted(found.prices, key=lambda one: (one.usd_per_million(*mix), one.host, one.model))
    _show(prices, mix, fmt, output)
    click.echo(_as_of(found, wanted.id), err=fmt not in ("table", "md"))
    best = cheapest(prices, *mix)
    if best is None:
        raise click.exceptions.Exit(NOTHING)
    if node_price is not None and tokens_s is not None:
        even = break_even(node_price, tokens_s, best.usd_per_million(*mix))
        click.echo(_said(even, best, mix), err=fmt not in ("table", "md"))


def _tape(db: Path) -> Any:
    """Return a reader of the tape; without one the embedded table answers alone."""
    from contextlib import nullcontext

    from gputape.store.errors import NoTape
    from gputape.store.tape import reading

    try:
        return reading(db)
    except NoTape:
        return nullcontext()


def _show(
    prices: "list[HostedPrice]", mix: tuple[float, float], fmt: str, output: Path | None
) -> None:
    names = TABLE if fmt in ("table", "md") else COLUMNS
    rows = [
        [one.usd_per_million(*mix), *(getattr(one, name) for name in names[1:])] for one in prices
    ]
    if rows or fmt not in ("table", "md"):
        write(rows, names, fmt, output)


def _as_of(found: "Hosted", model: str) -> str:
    seen = [one.observed_at for one in found.prices if one.observed_at]
    undated = [one.source for one in found.prices if not one.observed_at]
    words = [
        f"{len(found.prices)} hosted prices of {model}",
        f"seen {min(seen):%Y-%m-%d %H:%M} to {max(seen):%Y-%m-%d %H:%M} UTC" if seen else "",
        f"{sum(one.stale for one in found.prices)} stale" if seen else "",
        f"{len(undated)} undated, of {undated[0]}" if undated else "",
        *(f"left out {n} {reason}" for reason, n in sorted(found.left_out.items())),
    ]
    return "; ".join(filter(None, words))


def _said(even: "BreakEven", best: "HostedPrice", mix: tuple[float, float]) -> str:
    usd = best.usd_per_million(*mix)
    return (
        f"break-even with {best.host} at ${usd:.4f} a million: "
        f"{even.tokens_day / 1_000_000:,.0f} million tokens a day "
        f"({even.tokens_s:,.0f} a second on average, {even.share_of_capacity:.0%} of the node)"
        + ("" if even.reachable else ": more than the node can do, so the host stays cheaper")
    )
