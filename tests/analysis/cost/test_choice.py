"""Of the ways of a shape, those that are priced."""

from decimal import Decimal
from typing import Any

import pytest

from gputape.analysis.cost.choice import Choice, choices, in_time, joined, wall
from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.ways import Misfit, ways
from gputape.store.gpus import gpus

EIGHT = ("h100-sxm-80", Decimal(8))
SMALL = {"name": "llama-3.1-8b"}


def run(**buy: Any) -> Job:
    return job({"kind": "train", "model": SMALL, "work": {"tokens": 1e11}, "buy": buy})


def rows(found: Choice) -> list[tuple[Any, ...]]:
    return [(row[2], row[4], row[5], row[6]) for row in found.rows]


def test_alone_and_the_smallest_that_is_joined() -> None:
    """A run goes on one instance, or on the fewest that a network joins."""
    assert rows(choices(run(), [(*EIGHT, "none")])) == [
        ("none", 1, False, None), ("none", 2, True, None)
    ]  # fmt: skip


def test_a_deadline_takes_more() -> None:
    """Half the time of two instances takes four or more, and one alone is too slow."""
    two = ways(run(), gpus()[EIGHT[0]], EIGHT[1])
    assert not isinstance(two, Misfit)
    hasty = run(deadline_hours=two[1].hours.point / 2)

    assert rows(choices(hasty, [(*EIGHT, "none")])) == [("none", 8, True, None)]


def test_a_deadline_that_none_keeps() -> None:
    """What is too slow in every way is counted as such."""
    assert rows(choices(run(deadline_hours=0.001), [(*EIGHT, "none")])) == [
        ("none", 1, False, "slower than the deadline")
    ]


def test_set_up_counts_against_the_deadline() -> None:
    """Hours before the run are hours of waiting."""
    assert in_time(run(deadline_hours=10, setup_hours=2), 8)
    assert not in_time(run(deadline_hours=10, setup_hours=2), 8.01)


def test_interruptions_count_against_the_deadline() -> None:
    """Capacity that is taken back needs more instances for the same deadline."""
    two = ways(run(), gpus()[EIGHT[0]], EIGHT[1])
    assert not isinstance(two, Misfit)
    tight = run(deadline_hours=two[1].hours.point * 1.0001, interruption="50%/day")
    kept = choices(tight, [(*EIGHT, "none"), (*EIGHT, "gcp")])

    assert rows(kept) == [("none", 2, True, None), ("gcp", 4, True, None)]
    assert all(row[7] <= tight.buy.deadline_hours for row in kept.rows if tight.buy.deadline_hours)


def test_a_rate_that_nobody_knows_is_an_error() -> None:
    """A rate without an entry is never taken for capacity that stays."""
    with pytest.raises(KeyError):
        choices(run(), [(*EIGHT, "aws 99")])


def test_replicas_need_no_network() -> None:
    """A batch on four instances is not joined; a run is."""
    batch = job({"kind": "batch", "model": SMALL, "buy": {"max_nodes": 4},
                 "work": {"requests": 1e6, "input_tokens": 10, "output_tokens": 10}})  # fmt: skip
    found = choices(batch, [(*EIGHT, "none")])

    assert [row[4] for row in found.rows] == [1, 2, 4]
    assert not any(joined(batch, way) for way in found.ways)
    assert [wall(batch, way, None) for way in found.ways] == [way.hours for way in found.ways]
