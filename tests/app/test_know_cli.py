"""`gputape providers` and `gputape gpus`: what is known without asking anybody."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.registry import ADAPTERS
from gputape.store.gpus import gpus

Run = Callable[..., Any]


def test_every_provider_is_listed(gputape: Run) -> None:
    """The list is the registry, with the pages where people read prices and terms."""
    rows = gputape("providers", "--format", "json").json

    assert [row["provider"] for row in rows] == [found.PROVIDER.slug for found in ADAPTERS]
    assert all(row["prices_at"].startswith("https://") for row in rows)
    assert all(row["terms_url"].startswith("https://") for row in rows)


def test_who_is_off_says_why(gputape: Run) -> None:
    """An opt-in provider's reason is in the table that people see."""
    out = gputape("providers").out

    for found in ADAPTERS:
        if found.PROVIDER.opt_in:
            (line,) = [line for line in out.splitlines() if line.startswith(found.PROVIDER.slug)]
            assert "opt-in" in line
            assert found.PROVIDER.opt_in in line


def test_a_key_counts_as_set_from_a_file_too(gputape: Run, tmp_path: Path) -> None:
    """`…_FILE` is as good as the variable."""
    rows = gputape("providers", "--format", "json", LAMBDA_API_KEY_FILE=str(tmp_path)).json
    keys = {row["provider"]: row["keys"] for row in rows}

    assert keys["lambda_labs"] == "LAMBDA_API_KEY set"
    assert keys["gcp"] == "GCP_API_KEY not set"


def test_every_gpu_is_listed(gputape: Run) -> None:
    """Without words all of them."""
    rows = gputape("gpus", "--format", "json").json

    assert [row["gpu"] for row in rows] == list(gpus())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("h100-sxm-80",), {"h100-sxm-80"}),
        (("l4", "l40s"), {"l4-24", "l40s-48"}),
        (("mi300*",), {"mi300x-192", "mi300a-128"}),
    ],
)
def test_some_gpus(gputape: Run, words: tuple[str, ...], found: set[str]) -> None:
    """Words are ids, families and globs, and add up."""
    assert {row["gpu"] for row in gputape("gpus", *words, "--format", "json").json} == found


def test_an_unknown_gpu_names_the_nearest(gputape: Run) -> None:
    """A word that means none is usage."""
    ran = gputape("gpus", "h10")

    assert ran.code == 2
    assert "did you mean" in ran.err


def test_neither_needs_a_tape(gputape: Run, tmp_path: Path) -> None:
    """What is known without asking is also known without a tape."""
    assert gputape("providers", db=tmp_path / "none").code == 0
    assert gputape("gpus", db=tmp_path / "none").code == 0
