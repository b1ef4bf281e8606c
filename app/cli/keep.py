"""`backup`, `restore`, `compact`, `check`: keeping what was collected."""

from dataclasses import astuple, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gputape.app.cli.output import db_option, format_options, write

if TYPE_CHECKING:
    from gputape.store.backup import Kept

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Replace FILE when it is there already.")
@click.option("--archive", is_flag=True, help="Also the raw bytes, into a folder beside FILE.")
@db_option
def backup(db: Path, file: Path, force: bool, archive: bool) -> None:  # noqa: FBT001
    """Copy the tape to FILE, while a collection runs or not, and read it back.

    The copy is a tape itself: `gputape offers --db FILE` answers from it.

    \b
    Example: gputape backup /mnt/disk/tape-2026-11-21.duckdb --archive
    """
    from gputape.store.backup import backup as copy

    kept = copy(db, file, force=force, archive=archive)
    click.echo(f"{file}: {_said(kept)}; read back, and equal to {db}")
    if archive:
        click.echo(f"{file.with_suffix('.archive')}: {kept.bodies:,} bodies added")


@click.command()
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Also when the present tape has scans that FILE lacks.")
@db_option
def restore(db: Path, file: Path, force: bool) -> None:  # noqa: FBT001
    """Put the backup FILE in the tape's place, and read it back.

    What --force replaces is kept beside the tape, under a dated name.
    """
    from gputape.store.backup import restore as put

    kept = put(file, db, datetime.now(UTC), force=force)
    click.echo(f"{db}: {_said(kept)}; read back, and equal to {file}")
    if kept.bodies:
        click.echo(f"{db.with_suffix('.archive')}: {kept.bodies:,} bodies added")
    if kept.replaced:
        click.echo(f"the tape that was there is {kept.replaced}")


@click.command()
@db_option
def compact(db: Path) -> None:
    """Rewrite the tape without what nothing reads any more, and sweep the archive.

    The archive is swept when the configuration says `keep_days` under `[archive]`.
    """
    from gputape.store.compact import compact as rewrite

    done = rewrite(db, datetime.now(UTC))
    gone = done.rows_before - done.rows_after
    click.echo(
        f"{db}: {done.bytes_before:,} bytes before, {done.bytes_after:,} after; "
        f"{gone:,} rows of {done.rows_before:,} gone"
    )
    _sweep(db)


def _sweep(db: Path) -> None:
    from gputape.scrapers.archive import Archive
    from gputape.scrapers.retention import sweep
    from gputape.store.tape import Place, writing

    archive = Place(db).archive
    if not archive.is_dir():
        return
    now = datetime.now(UTC)
    with writing(db, now) as con:
        swept = sweep(con, Archive(archive), now, _keep())
    click.echo(f"{archive}: {swept.files:,} bodies gone, {swept.bytes:,} bytes")


@click.command()
@click.option("--archive/--no-archive", default=True, show_default=True,
              help="Whether the raw bytes are there.")  # fmt: skip
@click.option("--deep", is_flag=True, help="Every frame, every day, every byte of the archive.")
@format_options
@db_option
def check(db: Path, archive: bool, deep: bool, fmt: str, output: Path | None) -> None:  # noqa: FBT001
    """Walk the tape's invariants and name what is wrong; exit 1 when something is."""
    from gputape.scrapers.archive import Archive
    from gputape.scrapers.retention import inspect
    from gputape.store.check import Depth, Finding, unpublished
    from gputape.store.check import check as walk
    from gputape.store.places import archive_of
    from gputape.store.tape import reading

    now = datetime.now(UTC)
    with reading(db) as con:
        found = walk(con, Depth.DEEP if deep else Depth.USUAL)
        if archive:
            folder = Archive(archive_of(db))
            found += inspect(con, folder, now, _keep(), deep=deep)
    if finding := unpublished(db, now):
        found.append(finding)
    if found or fmt != "table":
        columns = [field.name for field in fields(Finding)]
        write([astuple(finding) for finding in found], columns, fmt, output)
    if found:
        click.echo(f"{len(found)} of the rules do not hold", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{db}: all is as it should be", err=True)


def _keep() -> timedelta | None:
    """Return how long raw bytes are kept; None is for ever."""
    from gputape.app import config

    settings, _ = config.load()
    return settings.archive.keep


def _said(kept: "Kept") -> str:
    newest = f"{kept.newest:%Y-%m-%d %H:%M}" if kept.newest else "none"
    return f"{kept.rows:,} rows, {kept.bytes:,} bytes, newest look {newest}"
