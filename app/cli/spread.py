"""`spread`: how far sellers of the same thing are apart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.ending import ages, chosen, finish
from gputape.app.cli.output import db_option, format_options, shown
from gputape.app.cli.words import Moment, Span
from gputape.store.offer import half_up

if TYPE_CHECKING:
    from gputape.analysis.spread import Anomaly, Best, Kind, Spread

NAMED = 5  # anomalies under a table; all are rows of their own with --anomalies
OPTIONS = click.Choice(["on_demand", "reserved", "spot"])
SPREAD = (
    "gpu", "option", "tier", "term_months", "sellers", "low_usd_gpu_hour", "low_provider",
    "low_region", "low_sku", "high_usd_gpu_hour", "high_provider", "high_region", "high_sku",
    "ratio", "flag", "average_usd_gpu_hour", "differences", "oldest", "newest",
)  # fmt: skip
SPREAD_TABLE = (
    "gpu", "option", "tier", "term_months", "sellers", "low_usd_gpu_hour", "low_provider",
    "high_usd_gpu_hour", "high_provider", "ratio", "flag", "average_usd_gpu_hour", "differences",
)  # fmt: skip
ANOMALIES = (
    "provider", "option", "tier", "term_months", "gpu", "usd_gpu_hour", "stronger",
    "stronger_usd_gpu_hour", "ratio",
)  # fmt: skip
BESIDE = ("provider", "option", "tier", "term_months", "gpu", "usd_gpu_hour", "other",
          "other_usd_gpu_hour", "ratio")  # fmt: skip
HISTORY = ("day", "gpu", "option", "tier", "term_months", "sellers", "low_usd_gpu_hour",
           "low_provider", "high_usd_gpu_hour", "high_provider", "ratio", "flag")  # fmt: skip


@click.command()
@click.argument("gpu", required=False)
@click.option("--option", type=OPTIONS)
@click.option("--as-of", type=Moment(), help="The state at a moment: 2026-08-01[T06:00].")
@click.option("--history", type=Span(), help="Day by day instead: 90d. Needs a GPU.")
@click.option(
    "--anomalies", is_flag=True, help="Only GPUs that cost nearly a stronger one's price."
)
@click.option("--against", metavar="GPU", help="Each seller's price of GPU beside this other one.")
@click.option("--fewest", type=click.IntRange(1), default=5, show_default=True,
              help="Sellers, for an average to be shown.")  # fmt: skip
@format_options
@db_option
def spread(
    db: Path, fmt: str, output: Path | None, gpu: str | None, option: str | None,
    as_of: datetime | None, history: timedelta | None, anomalies: bool,  # noqa: FBT001  # click's way
    against: str | None, fewest: int,
) -> None:  # fmt: skip
    """How far sellers of the same thing are apart: dearest over cheapest, each with its best.

    Same GPU, option, tier and term. `flagged` from 1.5 times, `loud` from 3. What else the two
    differ in stands beside it. A seller's GPU that costs nearly what its own stronger one costs
    is named below.

    \b
    gputape spread h100 --option on_demand
    gputape spread a100-sxm-80 --history 90d
    gputape spread a100-sxm-40 --against a10-24
    """
    from gputape.analysis import spread as analysis
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    now = datetime.now(UTC)
    gpus = select([gpu]) if gpu else None
    if (history or against) and not gpus:
        raise click.UsageError("--history and --against need a GPU: gputape spread h100 …")
    with reading(db) as con:
        if history:
            end = min(as_of or now, now)
            days = analysis.spread_history(con, gpus or frozenset(), option,
                                           (end - history).date(), end.date(), end)  # fmt: skip
            _show_history(list(days), fmt, output)
            return
        beside = select([against]) if against else analysis.stronger(gpus or frozenset())
        asked = gpus | beside if gpus else None
        found = analysis.bests(con, as_of or now, gpus=asked, option=option)
    if against:
        pairs = [
            _beside(*pair, other)
            for one in sorted(gpus or ())
            for other in sorted(select([against]))
            for pair in analysis.beside(found, one, other)
        ]
        finish(pairs, BESIDE, fmt, output, [_ages(found)])
        return
    odd = [a for a in analysis.anomalies(found) if gpus is None or a.kind.gpu in gpus]
    if anomalies:
        finish([_odd(a) for a in odd], ANOMALIES, fmt, output, [_ages(found)])
        return
    wide = [s for s in analysis.spreads(found) if gpus is None or s.gpu in gpus]
    _show_spreads(wide, odd, fewest, fmt, output)


def _show_spreads(
    wide: "list[Spread]", odd: "list[Anomaly]", fewest: int, fmt: str, output: Path | None
) -> None:
    from gputape.analysis.printed import notes_on_spread

    rows = [_spread(s, fewest, "\n" if fmt == "table" else "; ") for s in wide]
    notes = [f"{s.gpu} {s.option}: {note}" for s in wide for note in notes_on_spread(s)]
    notes += [_sentence(a) for a in sorted(odd, key=lambda a: a.ratio)[:NAMED]]
    if len(odd) > NAMED:
        notes.append(f"and {len(odd) - NAMED} more like these: gputape spread --anomalies")
    loud = sum(s.flag == "loud" for s in wide)
    flagged = sum(s.flag == "flagged" for s in wide)
    names = chosen(fmt, SPREAD_TABLE, SPREAD)
    line = (
        f"{_ages({s.kind: s.bests for s in wide})}; {flagged} flagged (1.5x), {loud} loud (3x)"
        if wide
        else "nothing matched: nobody, or only one seller"
    )
    table = [[row[name] for name in names] for row in rows]
    finish(table, names, fmt, output, [*(f"! {note}" for note in notes), line])


def _spread(found: "Spread", fewest: int, between: str) -> dict[str, Any]:
    from gputape.analysis.spread import differences

    low, high = found.bests[0], found.bests[-1]
    seen = [best.last_seen for best in found.bests]
    return {
        **found.kind._asdict(), "sellers": found.sellers,
        "low_usd_gpu_hour": low.usd_gpu_hour, "low_provider": low.provider,
        "low_region": low.region, "low_sku": low.sku,
        "high_usd_gpu_hour": high.usd_gpu_hour, "high_provider": high.provider,
        "high_region": high.region, "high_sku": high.sku,
        "ratio": half_up(found.ratio, 2), "flag": found.flag,
        "average_usd_gpu_hour": found.average(fewest),
        "differences": between.join(differences(found)),
        "oldest": min(seen), "newest": max(seen),
    }  # fmt: skip


def _sentence(found: "Anomaly") -> str:
    own = f"{found.stronger} at {shown(found.stronger_best.usd_gpu_hour)}"
    return (
        f"{found.best.provider}: {found.kind.gpu} {found.kind.option} at "
        f"{shown(found.best.usd_gpu_hour)} is nearly its own {own} ({half_up(found.ratio, 2)}x)"
    )


def _odd(found: "Anomaly") -> list[Any]:
    kind = found.kind
    return [found.best.provider, kind.option, kind.tier, kind.term_months, kind.gpu,
            found.best.usd_gpu_hour, found.stronger, found.stronger_best.usd_gpu_hour,
            half_up(found.ratio, 2)]  # fmt: skip


def _beside(kind: "Kind", one: "Best", two: "Best", other: str) -> list[Any]:
    return [one.provider, kind.option, kind.tier, kind.term_months, kind.gpu, one.usd_gpu_hour,
            other, two.usd_gpu_hour, half_up(one.usd_gpu_hour / two.usd_gpu_hour, 2)]  # fmt: skip


def _show_history(days: list[Any], fmt: str, output: Path | None) -> None:
    from gputape.analysis.spread import flag

    rows = [[d.day, *d.kind, d.sellers, d.low_usd_gpu_hour, d.low_provider, d.high_usd_gpu_hour,
             d.high_provider, half_up(d.ratio, 2), flag(d.ratio)] for d in days]  # fmt: skip
    line = f"as of {days[-1].day}: {len({d.day for d in days})} days since {days[0].day}" if (
        days) else "nothing matched"  # fmt: skip
    finish(rows, HISTORY, fmt, output, [line])


def _ages(found: "dict[Kind, tuple[Best, ...]]") -> str:
    every = [best for sellers in found.values() for best in sellers]
    return ages([(best.last_seen, best.stale) for best in every], "sellers' best")
