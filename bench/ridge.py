"""Least squares with a penalty, and what it misses on rows that it has not seen."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured row: what is left to explain, and by which traits."""

    left: float
    """Logarithm of measured over what is predicted without coefficients."""
    traits: Mapping[str, float]
    group: Hashable
    """Rows of one group are held out together and weigh together as the root of their number."""


Penalty = Callable[[str], float | None]
"""The weight of a coefficient's square; None leaves the trait out."""


def fitted(samples: Sequence[Sample], penalty: Penalty) -> dict[str, float]:
    """Return the coefficients that minimise the weighted squares plus penalties."""
    names = sorted({n for s in samples for n in s.traits if penalty(n) is not None})
    weight = _weights(samples)
    system = [
        [
            sum(
                w * s.traits.get(a, 0) * s.traits.get(b, 0)
                for s, w in zip(samples, weight, strict=True)
            )
            + ((penalty(a) or 0) if a == b else 0)
            for b in names
        ]
        + [sum(w * s.traits.get(a, 0) * s.left for s, w in zip(samples, weight, strict=True))]
        for a in names
    ]
    return dict(zip(names, _solved(system), strict=True))


def _weights(samples: Sequence[Sample]) -> list[float]:
    groups = [s.group for s in samples]
    return [groups.count(group) ** -0.5 for group in groups]


def _solved(system: list[list[float]]) -> list[float]:
    """Solve a system given with its right side as last column, by Gauss with pivots."""
    size = len(system)
    for i in range(size):
        pivot = max(range(i, size), key=lambda row: abs(system[row][i]))
        system[i], system[pivot] = system[pivot], system[i]
        for row in range(size):
            if row != i and (factor := system[row][i] / system[i][i]):
                system[row] = [x - factor * y for x, y in zip(system[row], system[i], strict=True)]
    return [system[i][size] / system[i][i] for i in range(size)]


def missed(samples: Sequence[Sample], penalty: Penalty) -> list[float]:
    """Return what is left of each sample by a fit without its group."""
    left: list[float] = []
    for group in dict.fromkeys(s.group for s in samples):
        known = fitted([s for s in samples if s.group != group], penalty)
        left += [
            s.left - sum(known.get(n, 0) * x for n, x in s.traits.items())
            for s in samples
            if s.group == group
        ]
    return left


def interval(left: Sequence[float]) -> tuple[float, float]:
    """Return the 10 and 90 % quantiles of misses as ratios, never inside 3 %."""
    tenths = quantiles(left, n=10)
    return min(0.97, math.exp(tenths[0])), max(1.03, math.exp(tenths[8]))


def error(left: Sequence[float]) -> float:
    """Return the median of |predicted / measured - 1|."""
    return median(abs(math.exp(-x) - 1) for x in left)
