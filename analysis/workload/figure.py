"""A figure with its doubt: a point, an 80 % interval, and what it rests on."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Assumption:
    """One thing a figure rests on that nobody stated: a constant, or a guess in words."""

    name: str
    value: str
    """As a person reads it: `0.48 of BF16 peak`."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point with its 80 % interval: one in ten lies below `low`, one in ten above `high`."""

    point: float
    low: float
    high: float
    unit: str
    assumptions: tuple[Assumption, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high) and 0 <= self.low <= self.point <= self.high):
            raise ValueError(f"not an interval: {self.low} <= {self.point} <= {self.high}")

    def __mul__(self, factor: float) -> "Estimate":
        """Scale the point and the interval by an exact factor."""
        return self.map(lambda x: x * factor, self.unit)

    def map(self, function: Callable[[float], float], unit: str) -> "Estimate":
        """Pass the three numbers through a monotonic function; a falling one swaps the ends."""
        low, high = sorted((function(self.low), function(self.high)))
        return replace(self, point=function(self.point), low=low, high=high, unit=unit)

    def because(self, *assumptions: Assumption) -> "Estimate":
        """Add what the figure rests on, each once."""
        return replace(self, assumptions=once((*self.assumptions, *assumptions)))


def exact(value: float, unit: str, *assumptions: Assumption) -> Estimate:
    """Return a figure without doubt of its own: a count, or a formula over stated numbers."""
    return Estimate(point=value, low=value, high=value, unit=unit, assumptions=assumptions)


def within(
    point: float, unit: str, ratios: tuple[float, float], *assumptions: Assumption
) -> Estimate:
    """Return a point whose truth lies, four times in five, between two ratios of it."""
    low, high = ratios
    return Estimate(
        point=point,
        low=point * low,
        high=point * high,
        unit=unit,
        assumptions=assumptions,
    )


def combined(one: Estimate, other: Estimate, unit: str) -> Estimate:
    """Return the product of two figures whose doubts are independent: their logs add in square."""
    point = one.point * other.point
    if point == 0:
        return exact(0, unit, *one.assumptions, *other.assumptions)
    down, up = (
        math.exp(math.hypot(math.log(a), math.log(b)))
        for a, b in (
            (one.point / max(one.low, 1e-300), other.point / max(other.low, 1e-300)),
            (one.high / one.point, other.high / other.point),
        )
    )
    return Estimate(
        point=point, low=point / down, high=point * up, unit=unit,
        assumptions=once((*one.assumptions, *other.assumptions)),
    )  # fmt: skip


def once(assumptions: Iterable[Assumption]) -> tuple[Assumption, ...]:
    """Return assumptions in their order, each name once."""
    return tuple({a.name: a for a in reversed(list(assumptions))}.values())[::-1]
