"""A table of jobs in CSV, read as it was written: every column and row, in their order."""

import csv
import io
import sys
from pathlib import Path

from gputape.store.errors import BadInput


def read(where: str) -> tuple[list[str], list[list[str]]]:
    """Return the header of a file, or of stdin for `-`, and its rows, each as long as the header.

    A byte order mark, CRLF and quotes are read as spreadsheets write them. Raises BadInput for
    what is no table.
    """
    lines = csv.reader(io.StringIO(_text(where), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        rows = [
            _squared(row, len(header), f"{named(where)}, line {lines.line_num}")
            for row in lines if row
        ]  # fmt: skip
    except csv.Error as error:
        raise BadInput(f"{named(where)}, line {lines.line_num}, is no CSV: {error}") from None
    _check(header, named(where))
    return header, rows


def named(where: str) -> str:
    """Return how messages call a file, or stdin."""
    return "stdin" if where == "-" else where


def _text(where: str) -> str:
    try:
        if where == "-":
            return sys.stdin.read().removeprefix("\ufeff")
        return Path(where).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"can not read {where}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{named(where)} is not UTF-8: save it as CSV UTF-8") from None


def _squared(row: list[str], width: int, where: str) -> list[str]:
    """Return a row with as many cells as the header; what a short one leaves out is empty."""
    if len(row) > width:
        raise BadInput(f"{where} has {len(row)} cells, and the header {width}")
    return row + [""] * (width - len(row))


def _check(header: list[str], where: str) -> None:
    if not any(header):
        raise BadInput(f"{where} is empty: its first line would name the columns")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{where} has two columns {twice!r}")
