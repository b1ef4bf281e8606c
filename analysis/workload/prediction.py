"""What a row of a table of jobs is answered with."""

from dataclasses import dataclass

from gputape.analysis.workload.figure import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A predicted figure with its 80 % interval, or no figure and the reason in `note`."""

    predicted: float | None
    low: float | None
    high: float | None
    unit: str
    note: str


def predicted(estimate: Estimate, note: str = "") -> Prediction:
    """Return an estimate as the answer to a row."""
    return Prediction(
        predicted=estimate.point,
        low=estimate.low,
        high=estimate.high,
        unit=estimate.unit,
        note=note,
    )


def unpredicted(unit: str, why: str) -> Prediction:
    """Return no figure, and the reason."""
    return Prediction(predicted=None, low=None, high=None, unit=unit, note=why)
