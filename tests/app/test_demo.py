"""`gputape demo`: the whole way through the house, on sample data that says so."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.registry import ADAPTERS

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One demonstration in a home of its own, beside a real tape."""
    import os
    import subprocess
    import sys

    home = tmp_path_factory.mktemp("home")
    (home / "tape.duckdb").write_bytes(b"not to be touched")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GPUTAPE_")}
    ran = subprocess.run(
        [Path(sys.executable).with_name("gputape"), "demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=environment | {"GPUTAPE_HOME": str(home)},
    )
    return home, ran


def test_it_says_that_the_data_is_a_sample(shown: Any) -> None:
    """SAMPLE DATA stands first and last, and before it that these are not today's prices."""
    _, ran = shown
    lines = ran.stdout.splitlines()

    assert ran.returncode == 0, ran.stderr
    assert lines[0].startswith("SAMPLE DATA: ")
    assert "not today's prices" in lines[0]
    assert any(line.startswith("SAMPLE DATA ends.") for line in lines[-5:])


def test_it_shows_every_provider(shown: Any) -> None:
    """Each provider of the registry is listed with its offers, or said to list no price."""
    _, ran = shown
    first = {line.split()[0].rstrip(":") for line in ran.stdout.splitlines() if line.strip()}

    assert {found.PROVIDER.slug for found in ADAPTERS} <= first


def test_it_tells_how_far_sellers_were_apart(shown: Any) -> None:
    """In the table of 2023-04-07 the same A100 40 GB cost 4.10 at one and 1.10 at another."""
    _, ran = shown

    assert (
        "A100 40 GB, 2023-04-07: 1.10 at lambda_labs, 4.10 at aws: 3.73x apart among 7 sellers"
        in ran.stdout
    )


def test_it_prices_a_whole_job(shown: Any) -> None:
    """Three offers that can run it, cheapest first, each between the ends of its range."""
    _, ran = shown
    after = ran.stdout.split("A whole job: ")[1].splitlines()
    costs = [[float(cell) for cell in line.split()[:3]] for line in after[2:5]]

    assert len(costs) == 3
    assert [row[0] for row in costs] == sorted(row[0] for row in costs)
    assert all(low <= usd <= high for usd, low, high in costs)


def test_then_and_in_the_sample_stand_side_by_side(shown: Any) -> None:
    """The cheapest A100 80 GB of 2023 was 1.49, and its spot 1.25."""
    _, ran = shown
    rows = [line.split() for line in ran.stdout.splitlines() if line.startswith("A100 80 GB")]

    assert rows[0][3:6] == ["on_demand", "1.49", "fluidstack"]
    assert rows[1][3:6] == ["spot", "1.25", "gcp"]


def test_the_commands_it_proposes_run(shown: Any, gputape: Run) -> None:
    """Four commands end it; those that ask the sample give rows."""
    _, ran = shown
    proposed = re.findall(r"^  \S*gputape (.+)$", ran.stdout, re.MULTILINE)
    asking = [words for words in proposed if not words.startswith("collect")]

    assert len(proposed) == 4
    for words in asking:
        again = gputape(*shlex.split(words))
        assert again.code == 0
        assert len(again.out.splitlines()) > 3


def test_the_real_tape_is_not_touched(shown: Any) -> None:
    """The demonstration lives in files of its own."""
    home, _ = shown

    assert (home / "tape.duckdb").read_bytes() == b"not to be touched"
    assert {file.name for file in home.iterdir()} == {
        "tape.duckdb", "demo.duckdb", "demo.writer.duckdb", "demo.lock", "demo.archive",
    }  # fmt: skip


def test_nothing_is_said_on_stderr(shown: Any) -> None:
    """All of it is the answer."""
    _, ran = shown

    assert ran.stderr == ""


@pytest.mark.slow
def test_it_runs_again(shown: Any, program: Run) -> None:
    """A second demonstration in the same home starts afresh and prints the same."""
    home, ran = shown
    again = program("demo", GPUTAPE_HOME=str(home))

    assert (again.code, again.out) == (0, ran.stdout)


def test_it_wants_a_new_file(gputape: Run, tape: Path) -> None:
    """`--db` with a tape that exists is refused."""
    ran = gputape("demo", "--db", tape)

    assert ran.code == 2
    assert ran.err == f"gputape: {tape} exists: the demonstration wants a new file\n"
