"""Every benchmark runs on a hundredth of its data; the figures themselves are not judged here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

RATIO = re.compile(r" ([0-9][0-9.e+]*) × (?:less|theirs)")
BENCH = Path(__file__).resolve().parents[1] / "bench"


def run(*words: str) -> list[str]:
    """Return the lines of comparison that a benchmark prints."""
    done = subprocess.run(
        [sys.executable, str(BENCH / "run.py"), "--scale", "0.01", "--repeats", "1", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    machine, header, *lines, total = done.stdout.splitlines()
    assert "cores" in machine
    assert header.startswith("what, against what")
    assert "medians of 1 run" in total
    return lines


def ratio(line: str) -> float:
    """Return the ratio that a line tells: "… 1.2 × less …"."""
    found = RATIO.search(line)
    assert found, line
    return float(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["record", "csv", "start", "import", "job"])
def test_a_benchmark_prints_a_ratio_for_each_comparison(name: str) -> None:
    """Each comparison is one line with its ratio."""
    lines = run("--only", name)
    assert lines
    assert all(ratio(line) > 0 for line in lines)


@pytest.mark.slow
def test_both_programs_give_the_same_answer_before_they_are_timed() -> None:
    """The comparison with gpuhunt ends in an error unless its prices are ours."""
    pytest.importorskip("gpuhunt")
    assert all(ratio(line) > 0 for line in run("--only", "offers"))


def test_without_measured_rows_physics_says_what_it_needs(tmp_path: Path) -> None:
    """The measured rows are no part of the program: one line asks for their folder."""
    (line,) = run("--only", "physics", "--calib", str(tmp_path))

    assert line == "physics needs the measured rows: --calib FOLDER"


@pytest.mark.slow
def test_physics_is_judged_on_measured_rows(shared: Path) -> None:
    """Each kind has a line with its median error, and one with what its intervals cover."""
    lines = run("--only", "physics", "--calib", str(shared / "workload/calib"))

    for kind in ("train-run", "train-throughput", "mlperf-lora", "online", "offline", "batch-1"):
        own = [line for line in lines if line.startswith(kind)]
        assert any("median error on" in line and "in 2x" in line for line in own), kind
        assert any("covered by 80 % intervals" in line for line in own), kind
    assert not any("NOT MET" in line and "median" in line for line in lines)


def test_every_benchmark_is_written_down() -> None:
    """The committed results have a line for each goal that `run.py` measures."""
    results = (BENCH / "RESULTS.md").read_text("utf-8")
    for what in ("offers cold", "record", "EC2 offer CSV", "gputape --help", "gputape offers"):
        assert f"\n| {what}" in results
