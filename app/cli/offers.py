"""`offers`: what a GPU hour costs."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from gputape.analysis.offers import INCLUDES, SORTS, Answer, Question
from gputape.app.cli.output import db_option, format_options, shown, write
from gputape.app.cli.words import Count, Moment, Money, Span, Term

# what a person reads; the machine formats have every column
TABLE = (
    "gpu", "usd_gpu_hour", "provider", "sku", "gpu_count", "option", "tier", "term_months",
    "region", "usd_hour", "note",
)  # fmt: skip
NOTHING, TOO_OLD, TRUE = 4, 5, 6


@click.command()
@click.option("--gpu", "gpus", multiple=True, help="An id, a family (h100) or a glob; repeatable.")
@click.option("--provider", "providers", multiple=True, help="A provider's slug; repeatable.")
@click.option("--option", type=click.Choice(["on_demand", "reserved", "spot"]))
@click.option("--tier", help="savings_plan, convertible, cluster, …")
@click.option("--term", type=Term(), help="Commitment: 12, 12m or 1y.")
@click.option("--region", help="A prefix (us-east) or a continent (europe, asia, …).")
@click.option("--count", type=Count(), help="GPUs in one sku: 8, or 8+ for at least 8.")
@click.option("--memory-min", type=Money(), metavar="GIB", help="At least so much per GPU.")
@click.option("--max-price", type=Money(), metavar="USD", help="At most, per GPU-hour.")
@click.option("--max-age", type=Span(), help="Leave out what was last seen before that: 6h, 2d.")
@click.option("--as-of", type=Moment(), help="The state at a moment: 2026-08-01[T06:00].")
@click.option("--as-recorded", is_flag=True, help="As it was believed at --as-of, uncorrected.")
@click.option("--include", help=f"Also show, with commas: {', '.join(INCLUDES)}.")
@click.option("--sort", type=click.Choice(list(SORTS)), default="usd-gpu-hour", show_default=True)
@click.option("--limit", type=click.IntRange(0, 10**9), help="At most so many rows.")
@click.option("--fail-below", type=Money(), metavar="USD", help="Exit 6 when an offer is cheaper.")
@format_options
@db_option
def offers(
    db: Path, fmt: str, output: Path | None, fail_below: Decimal | None, **asked: Any
) -> None:
    """What a GPU hour costs now, or at a moment, cheapest first.

    By default: current, firm, whole-GPU offers. The last line says how old the answer is and
    what it leaves out.

    \b
    gputape offers --gpu h100 --option spot --region europe
    gputape offers --gpu a100-sxm-80 --count 8 --as-of 2026-08-01
    """
    from gputape.analysis import offers as analysis
    from gputape.analysis.views import check_providers
    from gputape.store.tape import reading

    question = _question(asked)
    if question.as_recorded and not question.as_of:
        raise click.UsageError("--as-recorded needs --as-of: what is believed now is the default")
    now = datetime.now(UTC)
    with reading(db) as con:
        check_providers(con, asked["providers"])
        answer = analysis.offers(con, question, now)
    _show(answer, fmt, output)
    if not answer.rows and question.limit != 0:
        raise click.exceptions.Exit(TOO_OLD if "too old" in answer.as_of.left_out else NOTHING)
    cheapest = answer.as_of.cheapest_usd_gpu_hour
    if fail_below is not None and cheapest is not None and cheapest < fail_below:
        raise click.exceptions.Exit(TRUE)


def _question(asked: dict[str, Any]) -> Question:
    from gputape.store.gpus import select

    count, at_least = asked["count"] or (None, False)
    return Question(
        gpus=select(asked["gpus"]) if asked["gpus"] else None,
        providers=frozenset(asked["providers"]) if asked["providers"] else None,
        option=asked["option"],
        tier=asked["tier"],
        term_months=asked["term"],
        region=asked["region"],
        count=count,
        at_least_count=at_least,
        memory_min_gib=asked["memory_min"],
        max_usd_gpu_hour=asked["max_price"],
        max_age=asked["max_age"],
        as_of=asked["as_of"],
        as_recorded=asked["as_recorded"],
        include=_include(asked["include"]),
        sort=asked["sort"],
        limit=asked["limit"],
    )


def _include(words: str | None) -> frozenset[str]:
    found = frozenset(word.strip() for word in (words or "").split(",") if word.strip())
    if unknown := sorted(found - set(INCLUDES)):
        raise click.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(INCLUDES)}", param_hint="--include"
        )
    return found


def _show(answer: Answer, fmt: str, output: Path | None) -> None:
    if fmt in ("table", "md"):
        rows = [_for_people(dict(zip(answer.columns, row, strict=True))) for row in answer.rows]
        if rows:
            write(rows, TABLE, fmt, output)
        click.echo(str(answer.as_of))
        return
    write(answer.rows, answer.columns, fmt, output)
    click.echo(str(answer.as_of), err=True)


def _for_people(row: dict[str, Any]) -> list[Any]:
    seen: datetime = row["last_seen"]
    notes = [
        row["state"] if row["state"] != "firm" else None,
        row["reason"],
        f"now says {shown(row['held_price'])} {row['currency']}, unconfirmed"
        if row["held_price"]
        else None,
        "source failed" if row["standing"] == "source failed" else None,
        f"stale: seen {seen:%Y-%m-%d %H:%M}" if row["stale"] else None,
        "derived" if row["derived"] else None,
        f"via {row['relay']}" if row["relay"] else None,
        f"{row['payment']} upfront" if row["payment"] else None,
        "not available" if row["available"] is False else None,
    ]
    row["note"] = "; ".join(note for note in notes if note)
    return [row[column] for column in TABLE]
