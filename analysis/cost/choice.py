"""Of the ways a shape can run a job, the ones worth pricing: alone on one instance, or joined.

An offer with a network goes either way; one without goes alone. Of training the fewest instances
that keep the deadline are the cheapest, for utilisation falls as they grow; a batch on spot is a
little cheaper on many, for each loses less, so that all its ways are priced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gputape.analysis.cost.spot import Rate, multiplier, rates
from gputape.analysis.cost.stated import Job, TrainWork
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.analysis.workload.figure import Estimate, combined
from gputape.store.gpus import gpus

Shape = tuple[str, Decimal, str]
"""GPU, GPUs of one instance, name of the rate at which it is taken back."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be priced."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """gpu, gpu_count, rate, number of the way, instances, joined, reason, hours, low, high."""
    ways: list[Way] = field(default_factory=list)


def choices(job: Job, shapes: Sequence[Shape]) -> Choice:
    """Return the ways of each shape and rate, or the reason for none."""
    known, found = rates(job), Choice()
    able = {(gpu, count): able_ways(job, gpu, count) for gpu, count in {s[:2] for s in shapes}}
    for gpu, count, rate in shapes:
        of_shape = able[gpu, count]
        if isinstance(of_shape, Misfit):
            _refuse(found, (gpu, count, rate), of_shape.reason)
        else:
            _add(found, job, (gpu, count, rate), of_shape, known[rate])
    return found


def able_ways(job: Job, gpu: str, count: Decimal) -> list[Way] | Misfit:
    """Return the ways of a shape by the GPU's id; a tape may know parts that we do not."""
    part = gpus().get(gpu)
    return ways(job, part, count) if part else Misfit("a GPU that this program does not know")


def _refuse(found: Choice, shape: Shape, reason: str) -> None:
    found.rows.append((*shape, -1, 1, False, reason, 0.0, 0.0, 0.0))


def _add(found: Choice, job: Job, shape: Shape, of_shape: list[Way], rate: Rate | None) -> None:
    kept = _worth(job, of_shape, rate)
    if not kept:
        _refuse(found, shape, "slower than the deadline")
    for way, hours in kept:
        numbers = (hours.point, hours.low, hours.high)
        found.rows.append(
            (*shape, len(found.ways), way.instances, joined(job, way), None, *numbers)
        )
        found.ways.append(way)


def _worth(job: Job, of_shape: list[Way], rate: Rate | None) -> list[tuple[Way, Estimate]]:
    """Return the ways that keep the deadline; of those of training the smallest of each kind."""
    timed = [(way, wall(job, way, rate)) for way in of_shape]
    kept = [(way, hours) for way, hours in timed if in_time(job, hours.point)]
    if not isinstance(job.work, TrainWork):
        return kept
    apart = [pair for pair in kept if alone(pair[0])]
    together = [pair for pair in kept if not alone(pair[0])]
    return apart[:1] + together[:1]


def in_time(job: Job, hours: float) -> bool:
    """Tell whether a run of so many hours ends before the deadline, set-up included."""
    if job.kind == "serve" or job.deadline_hours is None:
        return True
    return hours + job.buy.setup_hours <= job.deadline_hours


def alone(way: Way) -> bool:
    """Tell whether a way takes one instance."""
    return way.instances == 1


def joined(job: Job, way: Way) -> bool:
    """Tell whether a way needs a network between its instances; replicas need none."""
    return not alone(way) and isinstance(job.work, TrainWork)


def wall(job: Job, way: Way, rate: Rate | None) -> Estimate:
    """Return wall hours of one run with what interruptions cost; of a service one hour."""
    if job.kind == "serve":
        return way.hours
    return combined(way.hours, multiplier(job, way, rate), "hours")
