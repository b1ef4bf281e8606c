"""Rows in six formats: exact for programs, readable for people, plain in a pipe."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.app.cli.output import FORMATS, WRITERS, plain, shown, write

Run = Callable[..., Any]
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (Decimal("1.23456"), "1.2346"),
        (Decimal("0.00005"), "0.00005"),
        (Decimal("0.0000005"), "0.000001"),
        (Decimal("2.5"), "2.50"),
        (Decimal("2.125"), "2.125"),
        (Decimal(8), "8"),
        (Decimal("8.000000"), "8"),
        (Decimal("1234567.5"), "1,234,567.50"),
        (Decimal("-1.5"), "-1.50"),
        (Decimal("0.12345"), "0.1235"),
        (True, "yes"),
        (False, "no"),
        (42, "42"),
        (datetime(2026, 8, 1, 6, 5, 59, tzinfo=UTC), "2026-08-01 06:05"),
        (date(2026, 8, 1), "2026-08-01"),
        ("text", "text"),
    ],
)
def test_a_value_as_people_read_it(value: object, text: str) -> None:
    """Money to four places, rounded half up, grouped; times to the minute; nothing for NULL."""
    assert shown(value) == text


def test_a_name_can_not_steer_the_terminal() -> None:
    """Control characters in a provider's words are shown as question marks."""
    assert shown("H100\x1b[2J\x07\x9b1m\r") == "H100?[2J??1m?"


@pytest.mark.parametrize(
    ("value", "plainly"),
    [
        (Decimal("2.50"), 2.5),
        (Decimal("8.000"), 8),
        (datetime(2026, 8, 1, 6, tzinfo=UTC), "2026-08-01T06:00:00+00:00"),
        (date(2026, 8, 1), "2026-08-01"),
        (None, None),
        ("x", "x"),
    ],
)
def test_a_value_as_programs_read_it(value: object, plainly: object) -> None:
    """A Decimal is a number, a whole one an integer; a time is ISO 8601."""
    assert plain(value) == plainly
    assert type(plain(value)) is type(plainly)


@pytest.fixture
def rows() -> list[tuple[Any, ...]]:
    """Two rows with what is awkward: a bar, a quote, a comma, a line's end, NULL, accents."""
    return [("a|b", Decimal("1.5"), None), ('say "x", né\nnext', Decimal(20), "y")]


def written(rows: list[tuple[Any, ...]], fmt: str) -> str:
    out = io.StringIO()
    WRITERS[fmt](rows, ("name", "price", "note"), out)
    return out.getvalue()


def test_every_format_is_offered() -> None:
    """Each format but parquet, which wants a file, writes text."""
    assert set(FORMATS) == {*WRITERS, "parquet"}


def test_json_round_trips(rows: list[tuple[Any, ...]]) -> None:
    """JSON keeps text to the letter."""
    assert json.loads(written(rows, "json"))[1] == {
        "name": 'say "x", né\nnext', "price": 20, "note": "y",
    }  # fmt: skip


def test_jsonl_keeps_a_row_on_its_line(rows: list[tuple[Any, ...]]) -> None:
    """A line's end inside a value does not break the line."""
    assert [json.loads(line)["price"] for line in written(rows, "jsonl").splitlines()] == [1.5, 20]


def test_csv_round_trips(rows: list[tuple[Any, ...]]) -> None:
    """CSV quotes what needs it."""
    found = list(csv.reader(io.StringIO(written(rows, "csv"))))

    assert found[1:] == [["a|b", "1.5", ""], ['say "x", né\nnext', "20", "y"]]


def test_md_escapes_bars(rows: list[tuple[Any, ...]]) -> None:
    """A bar inside a cell is not the cell's end."""
    assert "| a\\|b | 1.50 |  |" in written(rows[:1], "md")


def test_a_table_aligns_numbers_to_the_right(rows: list[tuple[Any, ...]]) -> None:
    """Figures end below each other, words begin below each other, nothing trails."""
    assert written(rows, "table").splitlines() == [
        "name         price  note",
        "a|b           1.50",
        'say "x", né     20  y',
        "next",
    ]


def test_a_table_shows_whole_words(rows: list[tuple[Any, ...]]) -> None:
    """No cell is cropped, however long."""
    long = "x" * 500

    assert long in written([*rows, (long, Decimal(1), None)], "table")


def test_a_large_table_is_quick() -> None:
    """A hundred thousand rows are aligned in seconds, not minutes."""
    many = [(f"sku-{n}", Decimal(n), None) for n in range(100_000)]

    assert written(many, "table").count("\n") == 100_001


def test_parquet_keeps_columns_without_any_value(tmp_path: Path) -> None:
    """A column of NULLs and no rows at all are both written."""
    import pyarrow.parquet as pq

    write([(1, None)], ("a", "b"), "parquet", tmp_path / "one")
    write([], ("a", "b"), "parquet", tmp_path / "none")

    assert pq.read_table(tmp_path / "one").to_pylist() == [{"a": 1, "b": None}]
    assert pq.read_table(tmp_path / "none").column_names == ["a", "b"]


# -- a pipe and a terminal --------------------------------------------------------------------


def on_a_terminal(*words: object, **environment: str) -> str:
    """Return what the program writes to a terminal of 80 columns."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("gputape"), *map(str, words)],
        stdout=side,
        stderr=side,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment,
    )
    os.close(side)
    said = b""
    while chunk := _read(main):
        said += chunk
    process.wait()
    os.close(main)
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"TERM": "xterm-256color"}])
def test_a_pipe_gets_no_escape_sequence(
    program: Run, tape: Path, environment: dict[str, str]
) -> None:
    """Neither table nor talk is coloured when nobody looks."""
    ran = program("offers", "--limit", 5, "--db", tape, **environment)

    assert ran.code == 0
    assert ESCAPE not in ran.out + ran.err


def test_a_narrow_terminal_shows_every_price(home: Path, tape: Path) -> None:
    """80 columns crop nothing: the line wraps."""
    said = on_a_terminal("offers", "--gpu", "h100-sxm-80", "--limit", 5, "--db", tape)

    assert home
    assert "…" not in said
    assert said.count("h100-sxm-80") == 5
    assert "usd_gpu_hour" in said


def test_a_terminal_has_a_bold_header(home: Path, tape: Path) -> None:
    """Only the header is styled."""
    said = on_a_terminal("offers", "--limit", 1, "--db", tape)

    assert home
    assert said.startswith(f"{ESCAPE}[1mgpu ")
    assert ESCAPE not in said.split("note", 1)[1].partition("\n")[2]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_plain_terminal_stays_plain(home: Path, tape: Path, environment: dict[str, str]) -> None:
    """`NO_COLOR` and a dumb terminal get bare text."""
    assert home
    assert ESCAPE not in on_a_terminal("offers", "--limit", 1, "--db", tape, **environment)


def test_progress_moves_on_a_terminal_only(home: Path, root: Path, tmp_path: Path) -> None:
    """On a terminal a collection shows bars, with `--no-progress` lines."""
    words = ("collect", "oracle", "--replay", root / "fixtures", "--db", tmp_path / "t.duckdb")

    assert home
    assert f"{ESCAPE}[2K" in on_a_terminal(*words)
    assert f"{ESCAPE}[2K" not in on_a_terminal(*words, "--no-progress")


def test_progress_has_no_colour_where_none_is_wanted(
    home: Path, root: Path, tmp_path: Path
) -> None:
    """`NO_COLOR` leaves the bars their movement and takes their colour."""
    words = ("collect", "oracle", "--replay", root / "fixtures", "--db", tmp_path / "t.duckdb")

    assert home
    assert COLOUR.search(on_a_terminal(*words))
    assert not COLOUR.search(on_a_terminal(*words, NO_COLOR="1"))
