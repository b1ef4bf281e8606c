"""`commit`: whether to bind oneself to a seller."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.ending import ages, chosen, finish, rounded
from gputape.app.cli.output import db_option, format_options
from gputape.app.cli.shares import Share
from gputape.app.cli.words import Moment, Span, Term
from gputape.store.offer import half_up

if TYPE_CHECKING:
    from gputape.analysis.commitment import Commitment, Fall, Plan

COMMIT = (
    "provider", "sku", "region", "gpu", "gpu_count", "tier", "term_months", "payment",
    "reserved_usd_gpu_hour", "upfront_usd_gpu", "recurring_usd_gpu_hour", "on_demand_usd_gpu_hour",
    "twin", "break_even_utilisation", "effective_usd_gpu_hour", "npv_usd_gpu", "npv_low_usd_gpu",
    "npv_high_usd_gpu", "spot_mean_usd_gpu_hour", "spot_days", "npv_spot_usd_gpu",
    "npv_spot_low_usd_gpu", "npv_spot_high_usd_gpu", "verdict", "last_seen", "stale",
)  # fmt: skip
COMMIT_TABLE = (
    "provider", "sku", "region", "term_months", "payment", "reserved_usd_gpu_hour",
    "on_demand_usd_gpu_hour", "break_even_utilisation", "effective_usd_gpu_hour", "npv_usd_gpu",
    "spot_mean_usd_gpu_hour", "npv_spot_usd_gpu", "verdict",
)  # fmt: skip


@click.command()
@click.argument("gpu")
@click.option("--term", type=Term(), help="Commitment: 12, 12m or 1y.  [default: all]")
@click.option("--provider", "providers", multiple=True, help="A provider's slug; repeatable.")
@click.option("--utilisation", type=Share(), default="1", show_default=True,
              help="Share of the term's hours in which the GPU works: 0.7 or 70%.")  # fmt: skip
@click.option("--discount", type=Share(), default="0", show_default=True,
              help="What money is worth a year: 0.08 or 8%.")  # fmt: skip
@click.option("--price-fall", type=Share(), help="Of on-demand prices a year: 0.2 or 20%.  "
              "[default: as the tape's index shows, else unknown]")  # fmt: skip
@click.option("--history", type=Span(), default="90d", show_default=True, help="Of the spot path.")
@click.option("--as-of", type=Moment(), help="The state at a moment: 2026-08-01[T06:00].")
@click.option("--limit", type=click.IntRange(1), help="At most so many rows.")
@format_options
@db_option
def commit(
    db: Path, fmt: str, output: Path | None, gpu: str, term: int | None,
    providers: tuple[str, ...], utilisation: float, discount: float, price_fall: float | None,
    history: timedelta, as_of: datetime | None, limit: int | None,
) -> None:  # fmt: skip
    """Whether to commit: break-even utilisation and present value of every reserved price.

    Against the same seller's on-demand price, and against spot as the tape saw it. Present values
    are per GPU over the whole term, in today's dollars: positive is what committing saves.

    \b
    gputape commit a100-sxm-80 --term 1y --utilisation 70% --discount 8%
    gputape commit h100 --provider aws --price-fall 0.2
    """
    from gputape.analysis import commitment as analysis
    from gputape.analysis.views import check_providers
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    stated = _stated(price_fall) if price_fall is not None else None
    base = analysis.Plan(utilisation=utilisation, discount=discount,
                         fall=stated or analysis.UNKNOWN)  # fmt: skip
    at = as_of or datetime.now(UTC)
    with reading(db) as con:
        check_providers(con, providers)
        found = analysis.commitments(con, select([gpu]), at, term_months=term,
                                     providers=providers, history=history)  # fmt: skip
        falls = {} if stated else analysis.price_falls(con, {c.gpu for c in found}, at)
    plans = {c.gpu: analysis.with_fall(base, falls.get(c.gpu, base.fall)) for c in found}
    rows = sorted((_commitment(c, plans[c.gpu]) for c in found), key=_by_npv)
    names = chosen(fmt, COMMIT_TABLE, COMMIT)
    line = ages([(c.last_seen, c.stale) for c in found], "reserved prices")
    finish([[row[n] for n in names] for row in rows[:limit]], names, fmt, output,
            [*_falls(plans), line])  # fmt: skip


def _stated(fall: float) -> "Fall":
    from gputape.analysis.commitment import Fall

    return Fall(fall, fall, fall, "stated")


def _by_npv(row: dict[str, Any]) -> tuple[Any, ...]:
    worth = row["npv_usd_gpu"]
    return (worth is None, -(worth or 0), row["provider"], row["sku"], row["region"],
            row["term_months"], row["payment"] or "")  # fmt: skip


def _commitment(found: "Commitment", plan: "Plan") -> dict[str, Any]:
    free, spot = found.npv(plan), found.npv_against_spot(plan)
    known = {name: getattr(found, name, None) for name in COMMIT}
    return known | {
        "recurring_usd_gpu_hour": half_up(found.recurring_usd_gpu_hour, 6),
        "break_even_utilisation": rounded(found.break_even_utilisation, 3),
        "effective_usd_gpu_hour": half_up(found.effective_usd_gpu_hour(plan), 6),
        **_three("npv", free), **_three("npv_spot", spot),
        "spot_mean_usd_gpu_hour": rounded(found.spot.mean if found.spot else None, 6),
        "spot_days": found.spot and len(found.spot.prices),
        "verdict": _verdict(found, free, plan),
    }  # fmt: skip


def _three(name: str, worth: tuple[float, float, float] | None) -> dict[str, Decimal | None]:
    names = (f"{name}_usd_gpu", f"{name}_low_usd_gpu", f"{name}_high_usd_gpu")
    return {n: rounded(x, 2) for n, x in zip(names, worth or (None,) * 3, strict=True)}


def _verdict(found: "Commitment", worth: tuple[float, float, float] | None, plan: "Plan") -> str:
    if worth is None:
        return "unknown: not sold on demand"
    even = found.break_even_utilisation
    if even is not None and even > 1:
        return "never: dearer than on demand"
    _, low, high = worth
    if high <= 0:
        return "on demand"
    if low <= 0:
        return "depends on how prices fall"
    return "commit" if plan.utilisation < 1 else "commit, if it always works"


def _falls(plans: "dict[str, Plan]") -> list[str]:
    return [
        f"{gpu}: on-demand prices fall {plan.fall.point:.1%} a year ({plan.fall.low:.1%} to "
        f"{plan.fall.high:.1%}), {plan.fall.basis}"
        if plan.fall.known
        else f"{gpu}: how on-demand prices will fall is {plan.fall.basis}"
        for gpu, plan in sorted(plans.items())
    ]
