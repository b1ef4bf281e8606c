"""Rows on stdout in the format a person or a program asked for; talk goes to stderr."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from gputape.store.offer import half_up
from gputape.store.places import LAKE, where

FORMATS = ("table", "json", "jsonl", "csv", "parquet", "md")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a sku must not steer the terminal
Rows = Sequence[Sequence[Any]]
Command = TypeVar("Command", bound=Callable[..., Any])


class TapeName(click.Path):
    """Where a tape is: a file's path, or `ducklake:postgres:…` (`docs/scale.md`)."""

    name = "tape"

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave a lake's words alone. Raises `BadInput`, `NoLake`."""
        if isinstance(value, str) and value.startswith(LAKE):
            return where(value)
        return super().convert(value, param, ctx)


def db_option(command: Command) -> Command:
    """Add `--db`."""
    return click.option(
        "--db",
        type=TapeName(),
        envvar="GPUTAPE_DB",
        default=_default_tape,
        show_default="the data folder",
        help="The tape's file, or ducklake:postgres:…",
    )(command)


def _default_tape() -> Path:
    from gputape.store.places import default_tape

    return default_tape()


def format_options(command: Command) -> Command:
    """Add `--format` and `-o`."""
    command = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write to a file instead of stdout.",
    )(command)
    return click.option(
        "--format", "fmt", type=click.Choice(FORMATS), default="table", show_default=True
    )(command)


def write(rows: Rows, columns: Sequence[str], fmt: str, output: Path | None = None) -> None:
    """Write rows in a format; column names are the same in all of them."""
    if fmt == "parquet":
        _parquet(rows, columns, output)
        return
    with _open(output) as out:
        WRITERS[fmt](rows, columns, out)


@contextmanager
def _open(output: Path | None) -> Any:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        yield file


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: a Decimal is a number, a time is ISO 8601 in UTC."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def as_dicts(rows: Rows, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows as JSON objects."""
    return [{c: plain(v) for c, v in zip(columns, row, strict=True)} for row in rows]


def _json(rows: Rows, columns: Sequence[str], out: IO[str]) -> None:
    json.dump(as_dicts(rows, columns), out, indent=1, default=str, ensure_ascii=False)
    out.write("\n")


def _jsonl(rows: Rows, columns: Sequence[str], out: IO[str]) -> None:
    for row in as_dicts(rows, columns):
        out.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")


def _csv(rows: Rows, columns: Sequence[str], out: IO[str]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if v is None else plain(v) for v in row] for row in rows])


def _md(rows: Rows, columns: Sequence[str], out: IO[str]) -> None:
    lines = [columns, ["---:" if _is_number(rows, i) else "---" for i in range(len(columns))]]
    lines += [[shown(v).replace("|", "\\|") for v in row] for row in rows]
    for line in lines:
        out.write("| " + " | ".join(line) + " |\n")


def _table(rows: Rows, columns: Sequence[str], out: IO[str]) -> None:
    """Align columns; a long line wraps in the terminal, for a cropped price says nothing.

    By hand: rich takes 13 s for 200,000 rows, this 0.5 s.
    """
    lines = [list(columns), *([shown(value) for value in row] for row in rows)]
    cells = [line for row in lines for line in zip_longest(*_split(row), fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [str.rjust if _is_number(rows, i) else str.ljust for i in range(len(columns))]
    for n, line in enumerate(cells):
        words = (put(word, n) for put, word, n in zip(aligned, line, widths, strict=True))
        text = "  ".join(words).rstrip()
        out.write((text if n or not _styled(out) else click.style(text, bold=True)) + "\n")


def _split(row: Sequence[str]) -> list[list[str]]:
    return [cell.split("\n") for cell in row]


def _styled(out: IO[str]) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _parquet(rows: Rows, columns: Sequence[str], output: Path | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if output is None:
        raise click.UsageError("--format parquet needs -o FILE")
    pq.write_table(pa.table({c: [row[i] for row in rows] for i, c in enumerate(columns)}), output)


WRITERS: dict[str, Callable[[Rows, Sequence[str], IO[str]], None]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "md": _md,
}


def _is_number(rows: Rows, i: int) -> bool:
    return any(
        isinstance(row[i], int | float | Decimal) and row[i] is not True for row in rows[:20]
    )


def shown(value: Any) -> str:
    """Return a value as a person reads it: money to four places, half-up; times in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        text = f"{half_up(value, 4 if abs(value) >= Decimal('0.01') else 6):,f}"
        whole, _, places = text.partition(".")
        places = places.rstrip("0")
        return f"{whole}.{places:0<2}" if places else whole
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return CONTROL.sub("?", str(value))
