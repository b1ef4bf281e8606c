"""Of the ways a shape can run a job, the ones worth pricing: alone on one instance, or joined.

An offer with a network goes either way; one without goes alone. Among several instances the
fewest that keep the deadline are the cheapest, for utilisation falls as they grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gputape.analysis.cost.job import Job, TrainWork
from gputape.analysis.cost.spot import Rate, multiplier, rates
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.analysis.workload.figure import Estimate, combined
from gputape.store.gpus import gpus

Shape = tuple[str, Decimal, str]
"""GPU, GPUs of one instance, name of the rate at which it is taken back."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be priced."""

    rows: list[tuple[Any, ...]]
    """gpu, gpu_count, rate, number of the way, instances, joined, reason, hours, low, high."""
    ways: list[Way]
    every: dict[tuple[str, Decimal], list[Way]]
    """All ways of each shape, for the frontier."""


def choices(job: Job, shapes: Sequence[Shape]) -> Choice:
    """Return the ways of each shape and rate, or the reason for none."""
    known, found = rates(job), Choice([], [], {})
    able = {(gpu, count): ways(job, gpus()[gpu], count) for gpu, count, _ in shapes}
    for gpu, count, rate in shapes:
        of_shape = able[gpu, count]
        if isinstance(of_shape, Misfit):
            found.rows.append((gpu, count, rate, -1, 1, False, of_shape.reason, 0.0, 0.0, 0.0))
            continue
        found.every[gpu, count] = of_shape
        _add(found, job, (gpu, count, rate), of_shape, known.get(rate))
    return found


def _add(found: Choice, job: Job, shape: Shape, of_shape: list[Way], rate: Rate | None) -> None:
    timed = [(way, wall(job, way, rate)) for way in of_shape]
    deadline = job.buy.deadline_hours
    kept = [(way, hours) for way, hours in timed if deadline is None or hours.point <= deadline]
    if not kept:
        found.rows.append((*shape, -1, 1, False, "slower than the deadline", 0.0, 0.0, 0.0))
        return
    alone = [pair for pair in kept if pair[0].instances == 1]
    several = [pair for pair in kept if pair[0].instances > 1]
    for way, hours in (*alone[:1], *several[:1]):
        joined = way.instances > 1 and isinstance(job.work, TrainWork)
        numbers = (hours.point, hours.low, hours.high)
        found.rows.append((*shape, len(found.ways), way.instances, joined, None, *numbers))
        found.ways.append(way)


def wall(job: Job, way: Way, rate: Rate | None) -> Estimate:
    """Return wall hours of one run with what interruptions cost; of a service one hour."""
    if job.kind == "serve":
        return way.hours
    return combined(way.hours, multiplier(job, way, rate), "hours")
