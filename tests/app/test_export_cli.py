"""`export` from the command line: what is asked, said, refused, and how it ends."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

Run = Callable[..., Any]


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_everything_by_default(gputape: Run, home: Path) -> None:
    """Without options it is Parquet beside you, whole, and stderr says what came of it."""
    ran = gputape("export")
    here = Path.cwd() / "gputape-parquet"

    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(f"{here}: ")
    assert "159 prices" in ran.err
    assert manifest(here)["filters"] == dict.fromkeys(("since", "until", "gpus", "providers"))
    with duckdb.connect() as con:
        (found,) = con.execute(f"select count(*) from '{here}/prices/**/*.parquet'").fetchall()
    assert found == (159,)


def test_a_part_of_it(gputape: Run, tmp_path: Path) -> None:
    """Options become the filters that the manifest says; a bare date is whole."""
    ran = gputape(
        "export", "-o", tmp_path / "out", "--format", "csv", "--gpu", "a100", "--provider", "aws",
        "--since", "2026-01-01", "--until", "2026-12-31", "--table", "prices", "--table", "gpus",
    )  # fmt: skip
    said = manifest(tmp_path / "out")

    assert ran.code == 0
    assert said["filters"]["since"] == "2026-01-01T00:00:00Z"
    assert said["filters"]["until"] == "2026-12-31T23:59:59.999999Z"
    assert said["filters"]["providers"] == ["aws"]
    assert {gpu[:4] for gpu in said["filters"]["gpus"]} == {"a100"}
    assert list(said["tables"]) == ["prices", "gpus"]
    assert (tmp_path / "out/prices.csv").exists()


def test_a_span(gputape: Run, tmp_path: Path) -> None:
    """`--since 90d` is ninety days before now."""
    from datetime import datetime, timedelta

    gputape("export", "-o", tmp_path / "out", "--since", "90d", "--table", "gpus")
    said = manifest(tmp_path / "out")
    since = datetime.fromisoformat(said["filters"]["since"])

    assert datetime.fromisoformat(said["exported_at"]) - since == timedelta(days=90)


def test_one_file_of_sqlite(gputape: Run, tmp_path: Path) -> None:
    """`-o` is the file, and the manifest lies beside it."""
    ran = gputape("export", "--format", "sqlite", "-o", tmp_path / "out.db")

    assert ran.code == 0
    with closing(sqlite3.connect(tmp_path / "out.db")) as lite:
        assert lite.execute("select count(*) from prices").fetchall() == [(159,)]
    assert (tmp_path / "out.db.manifest.json").exists()


def test_twice(gputape: Run, tmp_path: Path) -> None:
    """A target that is there is refused (2); `--force` replaces it."""
    words = ("export", "-o", tmp_path / "out", "--table", "gpus")
    codes = [gputape(*words).code, gputape(*words).code, gputape(*words, "--force").code]

    assert codes == [0, 2, 0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--gpu", "h1000"), "no GPU is called 'h1000'"),
        (("--provider", "awss"), "did you mean aws?"),
        (("--table", "price"), "there is no table 'price'"),
        (("--since", "lately"), "'lately' is no time"),
        (("--format", "xlsx"), "'xlsx' is not one of"),
    ],
)
def test_words_that_mean_nothing(
    words: tuple[str, str], sentence: str, gputape: Run, tmp_path: Path
) -> None:
    """They are refused (2) with what would be right, and nothing is written."""
    ran = gputape("export", "-o", tmp_path / "out", *words)

    assert ran.code == 2
    assert sentence in ran.err
    assert not (tmp_path / "out").exists()


def test_nothing_matched(gputape: Run, tmp_path: Path) -> None:
    """An export without a price ends with 4, and the manifest says what was asked for."""
    ran = gputape("export", "-o", tmp_path / "out", "--until", "2001-01-01")

    assert ran.code == 4
    assert "nothing matched" in ran.err
    assert manifest(tmp_path / "out")["tables"]["prices"]["rows"] == 0


def test_no_tape(gputape: Run, tmp_path: Path) -> None:
    """Where there is none, it says so (1)."""
    ran = gputape("export", "-o", tmp_path / "out", db=tmp_path / "none.duckdb")

    assert (ran.code, "there is no tape" in ran.err) == (1, True)


def test_a_bar_only_where_somebody_looks(gputape: Run, tmp_path: Path) -> None:
    """Away from a terminal there is one line; `--progress` shows the bar all the same."""
    plain = gputape("export", "-o", tmp_path / "one", "--table", "gpus")
    bar = gputape("export", "-o", tmp_path / "two", "--table", "gpus", "--progress")

    assert len(plain.err.splitlines()) == 1
    assert "100%" in bar.err


def test_imported_rows_are_named(gputape: Run, kinds: Path, tmp_path: Path) -> None:
    """Rows that somebody else kept are said with their licence, or that it is not known."""
    ran = gputape("export", "-o", tmp_path / "out", db=kinds)

    assert (
        "imported rows of a source that nobody named: licence unknown: ask before you pass it on"
    ) in ran.err
