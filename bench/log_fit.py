"""Fitting sums of times with factors: T = Π f_all · Σ_k c_k · Π f_k · t_k.

Logarithms of all c and f have normal priors (shrinkage), and the loss is Cauchy's, since a few
measured rows are queues and not steps. Rows of a group count as the square root of their number.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

SCALE = 0.3  # residual of a logarithm beyond which a row counts less


@dataclass(frozen=True, slots=True)
class Seen:
    """One measured row: its ideal times, its real one, what factors hang on, its group."""

    ideal: dict[str, float]
    seconds: float
    traits: dict[str, str]
    group: tuple[str, str, str]
    table: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What is fitted: prior mean and spread of every term's multiple, and the factors."""

    name: str
    terms: dict[str, tuple[float, float]]
    factors: tuple[tuple[str, str, float], ...]
    """Term or `all`, trait, spread of the prior of its logarithm."""


@dataclass(frozen=True, slots=True)
class Design:
    """The rows as arrays: ideal times, log of real ones, and what every parameter touches."""

    ideal: Array
    target: Array
    weight: Array
    touches: list[tuple[int | None, Array]]
    """Of every factor: the term's column or None for all, and the rows it holds for."""
    names: list[tuple[str, str, str]]
    mean: Array
    spread: Array

    def pick(self, rows: Array) -> "Design":
        """Return the design of some rows only."""
        return replace(
            self,
            ideal=self.ideal[rows],
            target=self.target[rows],
            weight=self.weight[rows],
            touches=[(column, mask[rows]) for column, mask in self.touches],
        )

    def parts(self, at: Array) -> tuple[Array, Array]:
        """Return the real time of every term, and the logarithm of the whole."""
        terms = self.ideal.shape[1]
        logs = np.tile(at[:terms], (len(self.ideal), 1))
        whole = np.zeros(len(self.ideal))
        for (column, mask), value in zip(self.touches, at[terms:], strict=True):
            if column is None:
                whole += value * mask
            else:
                logs[:, column] += value * mask
        times = self.ideal * np.exp(logs)
        return times, np.log(times.sum(axis=1)) + whole

    def slope(self, times: Array) -> Array:
        """Return how the logarithm of the whole changes with every parameter."""
        share = times / times.sum(axis=1)[:, None]
        more = [
            (mask if column is None else share[:, column] * mask)[:, None]
            for column, mask in self.touches
        ]
        return np.hstack([share, *more])


def design(form: Form, rows: list[Seen]) -> Design:
    """Return the arrays of a form's rows."""
    columns = [name for name in form.terms if name != "doubling"]
    count = Counter(row.group for row in rows)
    touches: list[tuple[int | None, Array]] = []
    names, spreads = [], []
    for term, kind, spread in form.factors:
        for value in sorted({row.traits[kind] for row in rows}):
            mask = np.array([float(row.traits[kind] == value) for row in rows])
            touches.append((None if term == "all" else columns.index(term), mask))
            names.append((term, kind, value))
            spreads.append(spread)
    if "doubling" in form.terms:
        touches.append((None, np.array([math.log2(int(row.traits["gpus"])) for row in rows])))
        names.append(("base", "doubling", ""))
        spreads.append(form.terms["doubling"][1])
    priors = [form.terms[name] for name in columns]
    return Design(
        ideal=np.array([[row.ideal[name] for name in columns] for row in rows]),
        target=np.log([row.seconds for row in rows]),
        weight=np.array([count[row.group] ** -0.5 for row in rows]),
        touches=touches,
        names=names,
        mean=np.concatenate([np.log([mean for mean, _ in priors]), np.zeros(len(touches))]),
        spread=np.array([spread for _, spread in priors] + spreads),
    )


def solve(arrays: Design) -> Array:
    """Return the most likely parameters, by Levenberg and Marquardt's damped steps."""
    at, damping = arrays.mean.copy(), 1e-2
    cost = _cost(arrays, at)
    for _ in range(80):
        times, logs = arrays.parts(at)
        slope, residual = arrays.slope(times), logs - arrays.target
        weight = arrays.weight / (1 + (residual / SCALE) ** 2) / SCALE**2
        gradient = slope.T @ (weight * residual) + (at - arrays.mean) / arrays.spread**2
        curvature = (slope.T * weight) @ slope + np.diag(arrays.spread**-2.0)
        while damping < 1e8:
            damped = curvature + damping * np.diag(np.diag(curvature))
            step = np.clip(-np.linalg.solve(damped, gradient), -1, 1)
            if (lower := _cost(arrays, at + step)) <= cost:
                break
            damping *= 4
        else:
            return at
        done = cost - lower < 1e-6 * max(cost, 1.0)
        at, cost, damping = at + step, lower, max(damping / 4, 1e-6)
        if done:
            break
    return at


def _cost(arrays: Design, at: Array) -> float:
    residual = arrays.parts(at)[1] - arrays.target
    fitted = (arrays.weight * np.log1p((residual / SCALE) ** 2)).sum()
    return float(fitted + (((at - arrays.mean) / arrays.spread) ** 2).sum())


def left_out(arrays: Design, keys: list[object]) -> Array:
    """Return log(predicted/measured) of every row, predicted without the rows of its key."""
    labels = np.array([str(key) for key in keys])
    residual = np.zeros(len(labels))
    for label in sorted(set(labels)):
        out = labels == label
        at = solve(arrays.pick(~out))
        held = arrays.pick(out)
        residual[out] = held.parts(at)[1] - held.target
    return residual


def interval(residuals: Array) -> tuple[float, float]:
    """Return the ratios measured/predicted of a rate between which four rows in five lie."""
    low, high = np.exp(np.quantile(residuals, [0.1, 0.9]))
    return min(1.0, float(low)), max(1.0, float(high))
