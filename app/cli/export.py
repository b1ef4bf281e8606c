"""`export`: the tape in files that others read."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gputape.app.cli.output import db_option
from gputape.app.cli.words import SPAN, Span
from gputape.store import moments
from gputape.store.places import Where

NOTHING = 4
TARGETS = {"parquet": "gputape-parquet", "csv": "gputape-csv", "jsonl": "gputape-jsonl",
           "sqlite": "gputape.sqlite"}  # fmt: skip


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, resolve_path=True),
    help="A folder, or for sqlite a file; beside you when not given.",
)  # fmt: skip
@click.option(
    "--format", "fmt", type=click.Choice(list(TARGETS)), default="parquet", show_default=True
)
@click.option("--since", help="Leave out what ended before: 2026-08-01, or a span (90d).")
@click.option("--until", help="Leave out what began later; a bare date still counts.")
@click.option("--gpu", "gpus", multiple=True, help="An id, a family (h100) or a glob; repeatable.")
@click.option("--provider", "providers", multiple=True, help="A provider's slug; repeatable.")
@click.option("--table", "tables", multiple=True, help="Only this table (prices, …); repeatable.")
@click.option("--force", is_flag=True, help="Replace an export that is there.")
@click.option("--progress/--no-progress", default=None, help="Default: on a terminal.")
@db_option
def export(db: Where, output: Path | None, fmt: str, progress: bool | None, **asked: Any) -> None:  # noqa: FBT001  # click's way
    """The whole history, or a part of it, in files for other programs, with a manifest.

    \b
    gputape export -o history
    gputape export --format sqlite -o prices.sqlite --gpu h100 --since 90d
    """
    from gputape.analysis.views import check_providers
    from gputape.store.export.write import export as write
    from gputape.store.tape import reading

    now = datetime.now(UTC)
    plan = _plan(output or Path(TARGETS[fmt]).resolve(), fmt, asked, now)
    with reading(db) as con:
        check_providers(con, asked["providers"])
        with _watched(len(plan.names) + 1, progress) as watch:
            said = write(con, plan, db, now, watch)
    _tell(plan.target, said)
    rows = {name: table["rows"] for name, table in said["tables"].items()}
    if not rows.get("prices", sum(rows.values())):
        click.echo("nothing matched: the tables are empty", err=True)
        raise click.exceptions.Exit(NOTHING)


def _plan(target: Path, fmt: str, asked: dict[str, Any], now: datetime) -> Any:
    from gputape.store.export.write import Plan
    from gputape.store.gpus import select

    return Plan(
        target=target,
        fmt=fmt,
        since=_moment(asked["since"], moments.start, now),
        until=_moment(asked["until"], moments.end, now),
        gpus=select(asked["gpus"]) if asked["gpus"] else None,
        providers=frozenset(asked["providers"]) or None,
        tables=asked["tables"] or None,
        force=asked["force"],
    )


def _moment(words: str | None, read: Callable[[str], datetime], now: datetime) -> datetime | None:
    if words is None:
        return None
    if SPAN.fullmatch(words.strip()):
        span: timedelta = Span().convert(words, None, None)
        return now - span
    return read(words)


@contextmanager
def _watched(steps: int, progress: bool | None) -> Iterator[Callable[[str], object]]:  # noqa: FBT001
    """Show a bar on a terminal, and nothing elsewhere: the last line says it all."""
    if not (progress if progress is not None else sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=steps)

        def show(name: str) -> None:
            bar.update(task, description=name, advance=1)

        yield show


def _tell(target: Path, said: dict[str, Any]) -> None:
    """Say what came of it, and what may not be done without a word to somebody."""
    rows = ", ".join(
        f"{table['rows']:,} {name}" for name, table in said["tables"].items() if table["rows"]
    )
    size = sum(file["bytes"] for file in said["files"]) / 1e6
    sizes = f"{len(said['files'])} files, {size:,.1f} MB"
    click.echo(f"{target}: {sizes}" + (f"; {rows}" if rows else ""), err=True)
    for source in said["sources"]:
        name = source["name"] or source["source"] or "a source that nobody named"
        licence = source["licence"] or "licence unknown: ask before you pass it on"
        click.echo(f"imported rows of {name}: {licence}", err=True)
