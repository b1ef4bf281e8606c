"""How an answer ends: its rows, what must be said of them, how old they are, and the code."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from gputape.app.cli.output import write
from gputape.store.offer import half_up

NOTHING = 4


def finish(
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str],
    fmt: str,
    output: Path | None,
    said: Iterable[str],
) -> None:
    """Write rows, then lines: with a person's table on stdout, beside a program's data on stderr.

    Ends with 4 when there are no rows.
    """
    people = fmt in ("table", "md")
    if rows or not people:
        write(rows, columns, fmt, output)
    for line in said:
        click.echo(line, err=not people)
    if not rows:
        raise click.exceptions.Exit(NOTHING)


def chosen(fmt: str, few: tuple[str, ...], every: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a format shows: a person reads few, a program all."""
    return few if fmt in ("table", "md") else every


def ages(seen: Sequence[tuple[datetime, bool]], what: str) -> str:
    """Say how old rows are, of (last seen, stale) of each."""
    if not seen:
        return "nothing matched"
    times = [moment for moment, _ in seen]
    return (
        f"as of {max(times):%Y-%m-%d %H:%M} UTC (oldest {min(times):%Y-%m-%d %H:%M}): "
        f"{len(seen)} {what}, {sum(stale for _, stale in seen)} stale"
    )


def rounded(value: float | Decimal | None, places: int) -> Decimal | None:
    """Round half-up; None stays."""
    return None if value is None else half_up(Decimal(str(value)), places)
