"""What interruptions cost: how often to save, and how much longer a run takes.

    rate = Interruptions.per_month(0.05)                    AWS's "<5%" bucket of an instance
    slowdown(rate.mtbf_hours(instances=8), save=5 / 60, restart=10 / 60, work=36)

All times are hours. The three clouds state three units: AWS's Spot Advisor the share of instances
interrupted in a month, Google's preemption a day, Azure's eviction rate an hour.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Estimate
from gputape.store.errors import BadInput

HOURS_MONTH, HOURS_DAY, HOURS_HOUR = 720.0, 24.0, 1.0
"""Spot Advisor's trailing month is 30 days."""


@dataclass(frozen=True, slots=True)
class Interruptions:
    """How often one instance is lost, per hour."""

    rate_hour: float

    @classmethod
    def _of(cls, share: float, period: float) -> "Interruptions":
        if not 0 <= share < 1:
            raise BadInput("an interruption rate is a share, 0 to below 1: 0.05 for 5 %")
        return cls(-math.log1p(-share) / period)

    @classmethod
    def per_month(cls, share: float) -> "Interruptions":
        """Return the rate of AWS's Spot Advisor: the share interrupted in 30 days."""
        return cls._of(share, HOURS_MONTH)

    @classmethod
    def per_day(cls, share: float) -> "Interruptions":
        """Return the rate of Google's preemptible VMs: the share preempted in a day."""
        return cls._of(share, HOURS_DAY)

    @classmethod
    def per_hour(cls, share: float) -> "Interruptions":
        """Return the rate of Azure's eviction history: the share evicted in an hour."""
        return cls._of(share, HOURS_HOUR)

    @classmethod
    def of_hardware(cls, gpus: int) -> "Interruptions":
        """Return what fails anyway, on demand too: one in so many GPU-hours (Llama 3)."""
        return cls(gpus / constant("interruption.gpu_hours_per_failure").value)

    def mtbf_hours(self, instances: int = 1) -> float:
        """Return the mean hours between interruptions of a job that loses with any instance."""
        rate = self.rate_hour * instances
        return math.inf if rate == 0 else 1 / rate


def young_hours(mtbf: float, save: float) -> float:
    """Return the hours of work between saves by Young (CACM 17, 1974): sqrt(2·C·M)."""
    return math.sqrt(2 * save * mtbf)


def daly_hours(mtbf: float, save: float) -> float:
    """Return the hours of work between saves by Daly (FGCS 22, 2006, eq. 37)."""
    if save >= 2 * mtbf:
        return mtbf
    half = save / (2 * mtbf)
    return math.sqrt(2 * save * mtbf) * (1 + math.sqrt(half) / 3 + half / 9) - save


def multiplier(mtbf: float, interval: float, save: float, restart: float) -> float:
    """Return wall time over work, expected, for interruptions without memory.

    e^(R/M)·M·(e^((τ+C)/M) - 1)/τ (Daly 2006); within 0.4 % of simulation over 27 cases.
    """
    if min(mtbf, interval) <= 0 or min(save, restart) < 0:
        raise BadInput("hours between interruptions and between saves must be above 0")
    if math.isinf(mtbf):
        return 1 + save / interval
    return math.exp(restart / mtbf) * mtbf * math.expm1((interval + save) / mtbf) / interval


def first_order(mtbf: float, interval: float, save: float, restart: float) -> float:
    """Return 1 + C/τ + (τ/2 + R)/M, the usual approximation: 7 % low when M is 2 hours."""
    return 1 + save / interval + (interval / 2 + restart) / mtbf


def slowdown(mtbf: float, save: float, restart: float, work: float) -> Estimate:
    """Return wall time over `work` hours of work at Daly's interval, with its 5-95 % band.

    `low` and `high` are the 5 % and 95 % of a Poisson number of interruptions, each losing a
    restart and a uniform part of an interval (Daly 2006, section 2).
    """
    if work <= 0:
        raise BadInput("the hours of work must be above 0")
    if math.isinf(mtbf):
        return Estimate(point=1, low=1, high=1, unit="x the work")
    interval = min(daly_hours(mtbf, save) if save > 0 else mtbf / 100, work)
    point = multiplier(mtbf, interval, save, restart)
    floor = 1 + save / interval
    interruptions = work * point / mtbf
    one = max(0.0, point - floor) * work / interruptions
    # a loss varies too, uniform over an interval: a Poisson count of larger units has the same
    # mean and variance as the sum of losses
    unit = one + (interval + save) ** 2 / 12 / one if one else 1.0
    few, many = (_poisson(share, interruptions * one / unit) for share in (0.05, 0.95))
    low, high = floor + few * unit / work, floor + many * unit / work
    return Estimate(point=point, low=min(low, point), high=max(high, point), unit="x the work")


def _poisson(share: float, mean: float) -> float:
    """Return the count that a share of Poisson draws stays at or below."""
    if mean > 100:
        return max(0.0, mean + NormalDist().inv_cdf(share) * math.sqrt(mean))
    count, term, total = 0, math.exp(-mean), math.exp(-mean)
    while total < share:
        count += 1
        term *= mean / count
        total += term
    return count


def checkpoint_bytes(params: float) -> float:
    """Return the bytes of a full state on disk: 14 a parameter (BLOOM, arXiv 2211.05100)."""
    return params * constant("interruption.checkpoint_bytes_param").value


def save_hours(params: float, write_gb_s: float) -> float:
    """Return the hours that one save takes at a write bandwidth in GB/s of all writers."""
    if write_gb_s <= 0:
        raise BadInput("the bandwidth of the disk must be above 0 GB/s")
    return checkpoint_bytes(params) / (write_gb_s * 1e9) / 3600
