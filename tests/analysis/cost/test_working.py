"""The working of a figure leads to the figure."""

import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from markets import Market, at, offer, scan

from gputape.analysis.cost.job import job
from gputape.analysis.cost.rank import Priced, rank
from gputape.analysis.cost.working import working
from gputape.store import tape as store
from gputape.store.offer import half_up


def explained(tmp_path: Path, words: dict[str, Any], **more: Any) -> tuple[Priced, list[str]]:
    eight = offer("aws", "20.00", "p5.48xlarge", gpu_count=Decimal(8), **more)
    market = Market(tmp_path / "tape.duckdb").tell((scan("aws", at(1)), [eight]))
    asked = job(words)
    with store.reading(market.db) as con:
        best = rank(con, asked, at(1)).best
    assert best
    return best, list(working(best, asked))


RUN = {"kind": "train", "model": {"name": "gpt-3-175b"}, "work": {"tokens": 300e9}}


def test_gpt_3_from_work_to_money(tmp_path: Path) -> None:
    """6·N·D of GPT-3 is 3.15e23 FLOP; hours by machines by price is the figure above."""
    best, lines = explained(tmp_path, RUN)
    text = "\n".join(lines)
    ((usd, machines, hours),) = re.findall(
        r"money: \$(\d+) an hour x (\d+) instances x ([\d.]+) hours in steps of 1 s", text
    )

    assert "6·N·D alone is 3.15e+23" in text
    assert lines[0] == f"How ${half_up(best.usd, 2):,} comes about:"
    assert float(usd) * float(machines) * float(hours) == pytest.approx(float(best.usd), rel=1e-3)


def test_a_network_that_is_known_is_not_assumed(tmp_path: Path) -> None:
    """What AWS states of its EFA is said, instead of what an offer seldom states."""
    _, lines = explained(tmp_path, RUN)

    assert "  network: 3200 Gbit/s an instance, 400 a GPU [facts.toml]" in lines
    assert not any("interconnect" in line for line in lines)


def test_spot_says_what_it_loses(tmp_path: Path) -> None:
    """Interruptions are in the hours, with their source."""
    buy = {"interruption": "20%/day", "options": ["spot"]}
    best, lines = explained(tmp_path, RUN | {"buy": buy}, option="spot")

    assert f"  with interruptions: {best.hours:.4g} hours" in lines
    assert any(line.startswith("  rests on interruptions = stated: 0.0093") for line in lines)


def test_extras_runs_and_idle_commitment(tmp_path: Path) -> None:
    """What multiplies or adds is in the line of the money."""
    buy = {"options": ["reserved"], "term_months": 12, "utilisation": 0.5, "runs": 3,
           "disk_gib": 1000, "setup_hours": 2}  # fmt: skip
    _, lines = explained(tmp_path, RUN | {"buy": buy}, option="reserved", term_months=12)
    (money,) = [line for line in lines if line.startswith("  money")]

    assert "with 2 of set-up in steps of 1 s x 3 runs / 0.5 used + $" in money


def test_a_service_is_an_hour(tmp_path: Path) -> None:
    """Speed, replicas, and the hour that they cost."""
    words = {"kind": "serve", "model": {"name": "llama-3.1-8b"},
             "work": {"requests_s": 40, "input_tokens": 1000, "output_tokens": 300}}  # fmt: skip
    best, lines = explained(tmp_path, words)
    text = "\n".join(lines)

    assert "tokens/s a replica" in text
    assert f"money: $20 an hour x {best.way.instances} instances x 1 hour = " in text
    assert "hours without interruptions" not in text
