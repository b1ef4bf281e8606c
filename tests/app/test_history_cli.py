"""`gputape history` and `gputape changes`: how prices went, and what moved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_gpu_is_shown_interval_by_interval(gputape: Run, kinds: Path) -> None:
    """A price that moved has two intervals, the second open and beginning where the first ends."""
    rows = gputape("history", "h100-sxm-80", "--format", "json", db=kinds).json
    before, after = [row for row in rows if row["sku"] == "mover"]

    assert (before["usd_gpu_hour"], after["usd_gpu_hour"]) == (3.2, 2.8)
    assert before["valid_to"] == after["valid_from"]
    assert after["valid_to"] is None


def test_a_series_that_went_ends_as_gone(gputape: Run, kinds: Path) -> None:
    """The last interval of what is no longer listed says `gone`, without a price."""
    rows = gputape("history", "h100", "--format", "json", db=kinds).json
    last = [row for row in rows if row["sku"] == "leaver"][-1]

    assert (last["state"], last["price"]) == ("gone", None)


def test_what_was_never_confirmed_is_no_history(gputape: Run, kinds: Path) -> None:
    """A price held back is not an interval."""
    rows = gputape("history", "h100", "--format", "json", db=kinds).json

    assert "dubious" not in {row["sku"] for row in rows}
    assert [row["price"] for row in rows if row["sku"] == "jumper"] == [2.5]


def test_a_sku_has_a_history_too(gputape: Run) -> None:
    """A word that is no GPU is looked for among the providers' own names."""
    rows = gputape("history", "p5.48xlarge", "--format", "json").json

    assert {row["sku"] for row in rows} == {"p5.48xlarge"}


def test_history_keeps_one_provider_and_option(gputape: Run) -> None:
    """`--provider` and `--option` narrow it."""
    rows = gputape("history", "a100", "--provider", "azure", "--option", "spot",
                   "--format", "json").json  # fmt: skip

    assert {(row["provider"], row["option"]) for row in rows} == {("azure", "spot")}


def test_history_looks_back_so_many_days(gputape: Run, kinds: Path) -> None:
    """An interval that ended before `--days` is left out, an open one stays."""
    rows = gputape("history", "h100", "--days", 30, "--format", "json", db=kinds).json

    assert "H100 80 GB" in {row["sku"] for row in rows}
    assert all((row["valid_to"] or "9") > row["valid_from"] for row in rows)


def test_history_tells_people_how_many_intervals(gputape: Run, kinds: Path) -> None:
    """The number of intervals goes to stderr, the table to stdout."""
    ran = gputape("history", "h100", db=kinds)

    assert ran.out.startswith("provider")
    assert f"{len(ran.out.splitlines()) - 1} intervals since " in ran.err


def test_history_of_nothing_is_4_and_names_the_nearest(gputape: Run) -> None:
    """A word that is neither GPU nor sku ends with 4 and what may have been meant."""
    ran = gputape("history", "h100-sxm-8")

    assert ran.code == 4
    assert ran.out == ""
    assert "no price of h100-sxm-8 in the last 90 days" in ran.err
    assert "did you mean h100-sxm-80" in ran.err


@pytest.mark.parametrize("days", ["0", "99999999", "x"])
def test_days_that_make_no_sense_are_usage(gputape: Run, days: str) -> None:
    """`--days` is a whole number of days up to a hundred years."""
    assert gputape("history", "h100", "--days", days).code == 2


# -- changes ----------------------------------------------------------------------------------


def test_a_move_has_both_prices_and_its_size(gputape: Run, kinds: Path) -> None:
    """3.20 to 2.80 is a fall of 12.5 %."""
    (row,) = gputape("changes", "--format", "json", db=kinds).json

    assert (row["sku"], row["event"], row["old_gpu_hour"], row["gpu_hour"], row["percent"]) == (
        "mover",
        "price",
        3.2,
        2.8,
        -12.5,
    )


def test_all_changes_are_also_what_came_and_went(gputape: Run, kinds: Path) -> None:
    """`--all` adds arrivals and departures."""
    rows = gputape("changes", "--all", "--format", "json", db=kinds).json
    events = {(row["sku"], row["event"]) for row in rows}

    assert {("leaver", "new"), ("leaver", "gone"), ("host-1", "new")} <= events
    assert "dubious" not in {sku for sku, _ in events}


def test_newest_change_first(gputape: Run) -> None:
    """Changes are listed from the newest."""
    rows = gputape("changes", "--all", "--since", "2025-01-01", "--format", "json").json
    moments = [row["changed_at"] for row in rows]

    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) > 3


@pytest.mark.parametrize("since", ["5m", "5min", "5 m"])
def test_changes_since_a_span(gputape: Run, kinds: Path, since: str) -> None:
    """The move of ten minutes ago is outside the last five."""
    ran = gputape("changes", "--since", since, db=kinds)

    assert ran.code == 4
    assert ran.err.startswith("nothing moved since 20")
    assert ran.out == ""


def test_changes_of_one_gpu_provider_and_option(gputape: Run) -> None:
    """`--gpu`, `--provider` and `--option` narrow it."""
    rows = gputape("changes", "--all", "--since", "2025-01-01", "--gpu", "l4", "--provider",
                   "gcp", "--option", "spot", "--format", "json").json  # fmt: skip

    assert {(row["gpu"], row["provider"], row["option"]) for row in rows} == {
        ("l4-24", "gcp", "spot")
    }


@pytest.mark.parametrize("since", ["garbage", "", "99999999d", "2026-13-01"])
def test_a_since_that_can_not_be_read_is_usage(gputape: Run, since: str) -> None:
    """The refusal shows what to write."""
    ran = gputape("changes", "--since", since)

    assert ran.code == 2
    assert "write 2026-08-01" in ran.err
