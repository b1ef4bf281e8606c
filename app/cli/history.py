"""`history` and `changes`: how prices went, and what moved."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gputape.app.cli.output import db_option, format_options, write
from gputape.app.cli.words import SPAN, Span, Start

NOTHING = 4
HISTORY = ("provider", "sku", "region", "option", "tier", "term_months", "gpu_count",
           "usd_gpu_hour", "state", "valid_from", "valid_to", "origin")  # fmt: skip
SUMMARY = ("provider", "sku", "region", "option", "tier", "term_months", "gpu_count", "currency",
           "price", "low", "high", "mean", "all_time_low", "all_time_low_at", "hours_covered",
           "hours", "state")  # fmt: skip
CHANGES = ("changed_at", "event", "provider", "sku", "region", "option", "tier", "term_months",
           "gpu", "old_gpu_hour", "gpu_hour", "currency", "percent")  # fmt: skip


def _write(table: object, names: tuple[str, ...], fmt: str, output: Path | None) -> None:
    from gputape.analysis.history import Table

    assert isinstance(table, Table)  # noqa: S101  # narrows the type
    if fmt in ("table", "md") and not table.rows:
        return
    if fmt not in ("table", "md"):
        write(table.rows, table.columns, fmt, output)
        return
    places = [list(table.columns).index(name) for name in names]
    write([[row[i] for i in places] for row in table.rows], names, fmt, output)


@click.command()
@click.argument("what")
@click.option("--days", type=click.IntRange(1, 36_500), default=90, show_default=True)
@click.option("--option", type=click.Choice(["on_demand", "reserved", "spot"]))
@click.option("--provider")
@click.option("--as-recorded", is_flag=True, help="As it was said at the time, uncorrected.")
@click.option("--summary", is_flag=True, help="A row per series: low, high, mean, coverage.")
@format_options
@db_option
def history(
    db: Path, fmt: str, output: Path | None, what: str, days: int, option: str | None,
    provider: str | None, as_recorded: bool, summary: bool,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """How prices of WHAT went: a GPU id, a family, a glob, or a provider's sku.

    \b
    gputape history h100-sxm-80 --days 30 --option spot
    gputape history p5.48xlarge
    """
    from gputape.analysis import history as analysis
    from gputape.analysis.views import check_providers
    from gputape.store.errors import BadInput
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    try:
        gpus, unknown = select([what]), None
    except BadInput as error:
        gpus, unknown = frozenset(), error  # it may be a sku
    until = datetime.now(UTC)
    since = until - timedelta(days=days)
    with reading(db) as con:
        check_providers(con, [provider] if provider else [])
        if summary:
            table = analysis.summary(con, since=since, until=until, gpus=gpus,
                                     skus=frozenset({what}), option=option,
                                     provider=provider)  # fmt: skip
        else:
            table = analysis.history(con, since=since, gpus=gpus, skus=frozenset({what}),
                                     option=option, provider=provider,
                                     as_recorded=as_recorded)  # fmt: skip
    _write(table, SUMMARY if summary else HISTORY, fmt, output)
    if not table.rows:
        reason = f" ({unknown})" if unknown else ""
        click.echo(f"no price of {what} in the last {days} days{reason}", err=True)
        raise click.exceptions.Exit(NOTHING)
    word = "series" if summary else "intervals"
    click.echo(f"{len(table.rows)} {word} since {since:%Y-%m-%d}", err=True)


@click.command()
@click.option("--since", default="7d", show_default=True, help="A span (7d) or a time.")
@click.option("--gpu", "gpus", multiple=True, help="An id, a family or a glob; repeatable.")
@click.option("--provider")
@click.option("--option", type=click.Choice(["on_demand", "reserved", "spot"]))
@click.option("--all", "everything", is_flag=True, help="Also what came, went and came back.")
@format_options
@db_option
def changes(
    db: Path, fmt: str, output: Path | None, since: str, gpus: tuple[str, ...],
    provider: str | None, option: str | None, everything: bool,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """Which prices moved; corrections of our own reading are never among them.

    \b
    gputape changes --since 30d --gpu h100
    """
    from gputape.analysis import history as analysis
    from gputape.analysis.views import check_providers
    from gputape.store.gpus import select
    from gputape.store.tape import reading

    events = ("price", "new", "gone", "unpriced", "back") if everything else ("price",)
    start = _moment(since)
    with reading(db) as con:
        check_providers(con, [provider] if provider else [])
        table = analysis.changes(con, since=start, gpus=select(gpus) if gpus else None,
                                 provider=provider, option=option, events=events)  # fmt: skip
    _write(table, CHANGES, fmt, output)
    if not table.rows:
        click.echo(f"nothing moved since {start:%Y-%m-%d %H:%M} UTC", err=True)
        raise click.exceptions.Exit(NOTHING)
    click.echo(f"{len(table.rows)} changes since {start:%Y-%m-%d %H:%M} UTC", err=True)


def _moment(words: str) -> datetime:
    if SPAN.fullmatch(words.strip()):
        span: timedelta = Span().convert(words, None, None)
        return datetime.now(UTC) - span
    moment: datetime = Start().convert(words, None, None)
    return moment
