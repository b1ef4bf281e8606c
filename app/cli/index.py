"""`index`: where a GPU's price stands, and the proof of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.ending import chosen, finish
from gputape.app.cli.output import db_option, format_options, shown
from gputape.app.cli.words import Moment, Start, Term
from gputape.store.offer import half_up

if TYPE_CHECKING:
    from gputape.analysis.index import Point, Proof

DIFFERS = 1
OPTIONS = click.Choice(["on_demand", "reserved", "spot"])
POINTS = (
    "day", "gpu", "option", "market", "level_usd_gpu_hour", "index", "link", "linked_to",
    "sellers", "series", "matched", "low_usd_gpu_hour", "p10_usd_gpu_hour", "p90_usd_gpu_hour",
    "high_usd_gpu_hour", "spread", "reason", "constituents",
)  # fmt: skip
POINTS_TABLE = ("day", "gpu", "level_usd_gpu_hour", "index", "sellers", "matched",
                "p10_usd_gpu_hour", "p90_usd_gpu_hour", "spread", "reason",
                "constituents")  # fmt: skip
CONSTITUENTS = ("provider", "sku", "region", "zone", "payment", "gpu_count", "price", "currency",
                "usd_gpu_hour", "votes", "whose", "revision")  # fmt: skip


class IndexVerbs(click.Group):
    """`index GPU` and `index verify GPU DATE`: what is no verb is a GPU."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read a GPU, or a flag of one, as `show` and the rest."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=IndexVerbs, no_args_is_help=True)
def index() -> None:
    """Where a GPU's price stands: its level, and an index that only moves when prices do.

    \b
    gputape index h100-sxm-80 --days 90
    gputape index h100-sxm-80 --option spot --market marketplace
    gputape index verify h100-sxm-80 2026-08-22

    Level: the median over sellers of their best price, one vote a seller. Index: chained
    matched-model Jevons, base 100 on the first day shown (--base fixes it). Fewer than three
    sellers are no market: no figure then, and the reason. Corrections of our own reading,
    sellers that join and regions that open never move it.
    """


def _asked(command: Any) -> Any:
    """Add what says which index is meant."""
    for added in (
        db_option,
        format_options,
        click.option("--weight", type=click.Choice(["series", "seller"]), default="series",
                     show_default=True, help="What counts alike in a link."),
        click.option("--market", type=click.Choice(["list", "marketplace"]), default="list",
                     show_default=True, help="Never both in one index."),
        click.option("--term", type=Term(), help="Commitment of reserved prices: 12, 12m or 1y."),
        click.option("--tier", help="A variant with a price of its own; plain without."),
        click.option("--option", type=OPTIONS, default="on_demand", show_default=True),
    ):  # fmt: skip
        command = added(command)
    return command


@index.command()
@click.argument("gpu")
@click.option("--days", type=click.IntRange(1, 36_500), default=90, show_default=True)
@click.option("--base", type=Start(), help="The day that is 100.  [default: the first shown]")
@click.option("--as-of", type=Moment(), help="Up to a moment.  [default: now]")
@_asked
def show(
    db: Path, fmt: str, output: Path | None, gpu: str, days: int, base: datetime | None,
    as_of: datetime | None, option: str, tier: str | None, term: int | None, market: str,
    weight: str,
) -> None:  # fmt: skip
    """A GPU's level and index, day by day. `gputape index GPU` is short for it."""
    from gputape.analysis import index as analysis
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    now = min(as_of or datetime.now(UTC), datetime.now(UTC))
    first = now.date() - timedelta(days=days - 1)
    rows: list[list[Any]] = []
    with reading(db) as con:
        for id_ in sorted(select([gpu])):
            asked = _index(id_, option, tier, term, market, weight)
            start = min(base.date() if base else first, first)
            points = analysis.published(analysis.index(con, asked, start, now.date(), now))
            rows += [_point(p, id_, option, market) for p in points if p.day >= first]
    names = chosen(fmt, POINTS_TABLE, POINTS)
    places = [POINTS.index(name) for name in names]
    known = sum(row[POINTS.index("index")] is not None for row in rows)
    line = (
        f"as of {rows[-1][0]}: {known} of {len(rows)} points have an index; verify one with "
        f"`gputape index verify {rows[-1][1]} {rows[-1][0]}`"
        if rows
        else "nothing matched"
    )
    finish([[_short(row[i], fmt) for i in places] for row in rows], names, fmt, output, [line])


def _index(
    gpu: str, option: str, tier: str | None, term: int | None, market: str, weight: str
) -> Any:
    from gputape.analysis.index import Asked
    from gputape.store.errors import BadInput

    if (option == "reserved") is (term is None):
        raise BadInput(
            "an index of reserved prices needs its term: --term 12" if term is None
            else f"{option} prices have no term: leave out --term, or ask for --option reserved"
        )  # fmt: skip
    return Asked(gpu=gpu, option=option, tier=tier, term_months=term, market=market, weight=weight)


def _point(point: "Point", gpu: str, option: str, market: str) -> list[Any]:
    words = {"gpu": gpu, "option": option, "market": market}
    return [words.get(name) or getattr(point, name, None) for name in POINTS]


def _short(value: Any, fmt: str) -> Any:
    """Show a hash by its beginning and an index to two places, to people."""
    if fmt not in ("table", "md"):
        return value
    if isinstance(value, float):
        return half_up(Decimal(repr(value)), 2)
    return value[:12] if isinstance(value, str) and len(value) == 64 else value


@index.command()
@click.argument("gpu")
@click.argument("day", metavar="DATE", type=Start())
@click.option("--base", type=Start(), help="The day that is 100.  [default: 90 days before]")
@click.option("--hash", "published", help="What the point was published with, or its beginning.")
@click.option("--as-recorded", type=Moment(), help="As it was known then, uncorrected.")
@_asked
def verify(
    db: Path, fmt: str, output: Path | None, gpu: str, day: datetime, base: datetime | None,
    published: str | None, as_recorded: datetime | None, option: str, tier: str | None,
    term: int | None, market: str, weight: str,
) -> None:  # fmt: skip
    """Compute a point again from the tape's state of that day, and show what it is made of.

    The second computation reads other tables than the first. Ends with 1 when the two differ, or
    the hash is not the published one.
    """
    from gputape.analysis import index as analysis
    from gputape.store.errors import BadInput
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    ids = sorted(select([gpu]))
    if len(ids) > 1:
        raise BadInput(f"{gpu} is several GPUs, a point is of one: {', '.join(ids)}")
    asked = _index(ids[0], option, tier, term, market, weight)
    start: date = base.date() if base else day.date() - timedelta(days=89)
    with reading(db) as con:
        proof = analysis.verify(con, asked, day.date(), start, datetime.now(UTC), as_recorded)
    _show_proof(proof, ids[0], published, fmt, output)


def _show_proof(
    proof: "Proof | None", gpu: str, published: str | None, fmt: str, output: Path | None
) -> None:
    from gputape.analysis.index import constituent, tag

    if proof is None:
        finish([], CONSTITUENTS, fmt, output, [f"no series of {gpu} stood on that day"])
        return
    voting = {id(s) for s in proof.found.voting}
    rows = [
        [s.series.provider, s.series.sku, s.series.region, s.series.zone, s.series.payment,
         s.series.gpu_count, s.price, s.currency, s.usd_gpu_hour, id(s) in voting, tag(s),
         s.revision]
        for s in sorted(proof.found.standing, key=constituent)
    ]  # fmt: skip
    found, wrong = proof.again.constituents, proof.differences
    if published and not found.startswith(published.casefold()):
        wrong.append(f"hash: published {published}, computed {found}")
    verdict = "DIFFERS in " + "; ".join(wrong) if wrong else "holds"
    point = proof.again
    link = "none" if point.link is None else f"{point.link:.6f} since {point.linked_to}"
    line = (
        f"as of {point.at:%Y-%m-%d %H:%M} UTC: level {shown(point.level_usd_gpu_hour) or 'none'}, "
        f"link {link}, {point.sellers} sellers, sha256 {found}: {verdict}"
    )
    reasons = [f"! {point.reason}"] if point.reason else []
    finish(rows, CONSTITUENTS, fmt, output, [*reasons, line])
    if wrong:
        raise click.exceptions.Exit(DIFFERS)
