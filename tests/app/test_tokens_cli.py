"""`gputape tokens`: hosted prices, their age, and the volume from which a node pays."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gputape.app.cli.tokens import COLUMNS, TABLE, tokens


@pytest.fixture
def ask(tape: Path) -> Iterator[Any]:
    """Run the verb on the recorded tape, as of a day after its list."""

    def run(*words: object, db: Path = tape) -> Result:
        day = () if "--as-of" in words else ("--as-of", "2026-07-28")
        return CliRunner().invoke(tokens, [*map(str, words), *day, "--db", str(db)])

    return run


def test_the_cheapest_stands_first(ask: Any) -> None:
    """Rows rise by the price of the mix, tape and table together, each with its source."""
    rows = json.loads(ask("llama-3.1-70b", "--format", "json").stdout)
    mixed = [row["usd_per_million"] for row in rows]

    assert list(rows[0]) == list(COLUMNS)
    assert mixed == sorted(mixed)
    assert {row["source"].split()[0] for row in rows} == {"openrouter", "genai-prices"}


def test_the_mix_decides(ask: Any) -> None:
    """All input is the input price, all output the output price."""
    for mix, column in (("1:0", "usd_per_million_input"), ("0:1", "usd_per_million_output")):
        said = ask("llama-3.3-70b", "--mix", mix, "--format", "csv").stdout
        rows = list(csv.DictReader(io.StringIO(said)))
        assert rows
        assert all(float(row["usd_per_million"]) == float(row[column]) for row in rows)


def test_the_last_line_says_how_old_it_is(ask: Any) -> None:
    """Seen when, how many undated and by whom, what was left out and why."""
    lines = ask("llama-3.1-70b").stdout.splitlines()

    assert lines[0].split() == list(TABLE)
    assert "hosted prices of llama-3.1-70b; seen 2026-07-27 00:00 to" in lines[-1]
    assert "undated, of genai-prices " in lines[-1]
    assert "left out 1 deprecated" in lines[-1]


def test_a_machine_reads_rows_alone(ask: Any) -> None:
    """With a machine's format the talk is on stderr."""
    ran = ask("llama-3.1-70b", "--format", "jsonl")

    assert all(json.loads(line) for line in ran.stdout.splitlines())
    assert "undated" in ran.stderr


def test_the_break_even_is_a_sentence(ask: Any) -> None:
    """$20 an hour against the recorded 0.40 are 1,200 million tokens a day."""
    ran = ask("llama-3.1-70b", "--node-price", "20", "--tokens-s", "20000")

    assert (
        "break-even with openrouter at $0.4000 a million: 1,200 million tokens a day "
        "(13,889 a second on average, 69% of the node)" in ran.stdout
    )


def test_a_slow_node_never_pays(ask: Any) -> None:
    """Where the node can not do so much, that is said."""
    ran = ask("llama-3.1-70b", "--node-price", "20", "--tokens-s", "1000")

    assert "more than the node can do, so the host stays cheaper" in ran.stdout


def test_without_a_tape_the_table_answers(ask: Any, tmp_path: Path) -> None:
    """Nothing has to be collected first."""
    ran = ask("llama-3.1-70b", db=tmp_path / "none.duckdb")

    assert ran.exit_code == 0
    assert "seen" not in ran.stdout.splitlines()[-1]


def test_a_model_that_nobody_hosts_is_4(ask: Any) -> None:
    """An empty answer has its exit code."""
    ran = ask("bert-large")

    assert ran.exit_code == 4
    assert ran.stdout == "0 hosted prices of bert-large\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("llama-3.1-70b", "--mix", "3"), "is no mix: write 3:1"),
        (("llama-3.1-70b", "--node-price", "20"), "needs both --node-price and --tokens-s"),
    ],
)
def test_wrong_words_are_usage(ask: Any, words: tuple[str, ...], said: str) -> None:
    """A wrong word ends with 2 and what would be right."""
    ran = ask(*words)

    assert ran.exit_code == 2
    assert said in ran.stderr


def test_an_unknown_model_names_the_nearest(ask: Any) -> None:
    """A misspelt name is refused with names like it."""
    ran = ask("lama-3.1-70b")

    assert "did you mean llama-3.1-70b" in str(ran.exception)
