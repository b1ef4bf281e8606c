"""How much longer a job takes on capacity that is taken back, by what is published of that.

AWS publishes the share of instances interrupted in a month, by bucket; Google says 5 to 15 % a
day; Azure states an hourly rate that its price list does not carry. A seller that says nothing is
taken as Google's middle, and the answer says so.
"""

from dataclasses import dataclass

from gputape.analysis.cost.limits import interruption
from gputape.analysis.cost.stated import Job, TrainWork
from gputape.analysis.cost.ways import Way
from gputape.analysis.workload.checkpoint import Interruptions, save_hours, slowdown
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.figure import Assumption, Estimate, exact

BUCKETS = {"aws 0": 0.025, "aws 5": 0.075, "aws 10": 0.125, "aws 15": 0.175, "aws 20": 0.25}
"""Spot Advisor's buckets by their lower end in percent, each at its middle; the last is open."""
PUBLISHED = "Spot Advisor: share interrupted in 30 days"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one instance is taken back, and who says so."""

    name: str
    per: Interruptions
    source: str


def rates(job: Job) -> dict[str, Rate | None]:
    """Return the rates that offers of a job may have, by the name that `sold` gives them."""
    names = ("gcp", "azure", "unknown", *BUCKETS)
    if job.buy.interruption:
        stated = Rate("stated", _per(*interruption(job.buy.interruption)), "stated")
        return {"none": None, **dict.fromkeys(names, stated)}
    day, hour = constant("cost.preemption_share_day"), constant("cost.eviction_share_hour")
    daily = Interruptions.per_day(day.value)
    published: dict[str, Rate | None] = {
        name: Rate(name, Interruptions.per_month(share), PUBLISHED)
        for name, share in BUCKETS.items()
    }
    return published | {
        "none": None,
        "gcp": Rate("gcp", daily, day.source),
        "azure": Rate("azure", Interruptions.per_hour(hour.value), hour.source),
        "unknown": Rate("unknown", daily, f"not published; as {day.source}"),
    }


def _per(share: float, hours: float) -> Interruptions:
    month, day = 720.0, 24.0
    if hours == month:
        return Interruptions.per_month(share)
    return Interruptions.per_day(share) if hours == day else Interruptions.per_hour(share)


def multiplier(job: Job, way: Way, rate: Rate | None) -> Estimate:
    """Return wall time over work on spot capacity, expected, with its 5-95 % band.

    A training run loses what it did since its last save; a batch loses the requests in hand and
    the minutes of a restart, replica by replica. Without a rate, of capacity that stays: 1.
    """
    if rate is None or job.kind == "serve":
        return exact(1, "x")
    often = f"{rate.name}: {rate.per.rate_hour:.2g} an hour of one instance"
    said = Assumption("interruptions", often, rate.source)
    restart = job.buy.restart_minutes / 60
    together = way.instances if isinstance(job.work, TrainWork) else 1
    save = _save_hours(job, way) if isinstance(job.work, TrainWork) else 0.0
    mtbf = rate.per.mtbf_hours(together)
    return slowdown(mtbf, save, restart, max(way.hours.point, 1e-3)).because(said)


def _save_hours(job: Job, way: Way) -> float:
    """Return the hours one save takes: stated, else a full state over the disk's bandwidth."""
    if job.buy.save_minutes is not None:
        return job.buy.save_minutes / 60
    lora = job.trained.method in ("lora", "qlora")
    share = constant("cost.adapter_share").value if lora else 1.0
    written = constant("cost.save_gb_s").value * way.instances
    return save_hours(job.model.params * share, written)
