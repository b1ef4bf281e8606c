"""`import`: a history that others kept becomes a part of this one."""

import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import db_option
from gputape.app.cli.words import Moment

if TYPE_CHECKING:
    from gputape.app.importing import Summary

NOTHING = 4
KEPT = "what was recorded stays, for the rest "
PLACES_SHOWN = 3  # of each kind of defect
PLACE_WIDTH = 120


@click.command("import")
@click.argument("fmt", metavar="FORMAT")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--observed-at", type=Moment(), help="When a file was true that does not say so.")
@click.option("--map", "map_file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A TOML file that says which column is what (csv).")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN",
              help="A line of such a map; FIELD==VALUE is for all rows. Repeatable.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would come of it, and change nothing.")
@click.option("--progress/--no-progress", default=None, help="Default: on a terminal.")
@db_option
def import_(
    db: Path, fmt: str, path: Path, observed_at: datetime | None, map_file: Path | None,
    columns: tuple[str, ...], dry_run: bool, progress: bool | None,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """Bring in PATH, a history that others kept in FORMAT.

    Formats: skypilot, gpurentalprices, gcosts, fsdl, gpuhunt, aws-spot-history, aws-offer, csv,
    article. The same file twice changes nothing, and an older one slots into the past. Imported
    prices are series of their own beside the provider's word, and never raise an alert.

    \b
    gputape import skypilot skypilot-catalog/ --dry-run
    gputape import csv prices.csv --column provider==aws --column price=price_usd
    """
    from gputape.app import importing
    from gputape.scrapers.importers.snapshot import ImportOptions

    options = ImportOptions(observed_at=observed_at, columns=_map(map_file, columns))
    plan = importing.ImportPlan(
        fmt=fmt, path=path, db=db, options=options, now=datetime.now(UTC), dry_run=dry_run
    )
    try:
        with _watch(progress) as watch:
            summary = importing.run(plan, watch)
    except KeyboardInterrupt:
        click.echo(f"interrupted: {'' if dry_run else KEPT}run it again", err=True)
        raise
    _say(summary, dry_run=dry_run)
    click.echo("dry run: nothing was changed" if dry_run else f"tape: {db}", err=True)
    if not summary.snapshots and not summary.known:
        raise click.exceptions.Exit(NOTHING)


def _map(file: Path | None, lines: tuple[str, ...]) -> dict[str, Any]:
    """Return the column map of a file, with single lines over it."""
    from gputape.store.errors import BadInput

    try:
        columns = tomllib.loads(file.read_text("utf-8")) if file else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML: {error}") from None
    for line in lines:
        field, equals, column = line.partition("=")
        if not equals:
            raise click.UsageError(f"--column {line!r}: write FIELD=COLUMN, or FIELD==VALUE")
        columns[field.strip()] = column.strip()
    return columns


@contextmanager
def _watch(progress: bool | None) -> Iterator[Callable[[Any, int], None]]:  # noqa: FBT001
    """Show a bar on a terminal, nothing elsewhere: the summary says it all."""
    if not (progress if progress is not None else sys.stderr.isatty()):
        yield lambda _snapshot, _done: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    line = (SpinnerColumn(), TextColumn("{task.completed} snapshots"),
            TextColumn("{task.description}"), TimeElapsedColumn())  # fmt: skip
    with Progress(*line, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda snapshot, done: bar.update(
            task, completed=done,
            description=f"{snapshot.provider} {snapshot.observed_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip


def _say(summary: "Summary", *, dry_run: bool) -> None:
    """Print the summary: what came, what was known, what is wrong with the files."""
    counts = summary.counts
    would = "would bring" if dry_run else "brought"
    span = f", {summary.first:%Y-%m-%d} to {summary.last:%Y-%m-%d}" if summary.last else ""
    click.echo(
        f"{summary.snapshots} snapshots of {len(summary.providers)} providers{span}"
        + (f"; {summary.known} known already" if summary.known else "")
    )
    click.echo(
        f"{summary.quotes} rows {would} {counts.new} new prices, {counts.changed} changes, "
        f"{counts.gone} gone, {counts.suspects} held back; {counts.rejects} rejected"
    )
    for reason, count in summary.rejects.most_common():
        click.echo(f"  rejected {count}: {reason}: {summary.reject_examples[reason]}")
    for why, count in summary.held.items():
        click.echo(f"  held back {count}: {why}")
    for kind, places in sorted(summary.defects.items()):
        shown = "; ".join(shorten(place, PLACE_WIDTH) for place in places[:PLACES_SHOWN])
        more = f"; and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
        click.echo(f"  {kind} ({len(places)}): {shown}{more}")
