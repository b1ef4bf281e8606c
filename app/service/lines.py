"""A job with how it stands, and the trigger that asks it when it is due."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from gputape.app.service.asking import Tried
from gputape.app.service.breaker import Course, next_ask
from gputape.app.service.schedule import Job
from gputape.scrapers.collect import Outcome

LOG = logging.getLogger("gputape.service")
DUE = 0.8  # of a cadence, for `--once`: a timer comes a little early sometimes
OUR_FAULT = timedelta(minutes=1)  # before a job is tried again that our own disk or lock stopped
OUR_LONGEST = timedelta(hours=1)
AHEAD = timedelta(minutes=5)  # a clock that goes back so far was set


@dataclass(slots=True)
class Line:
    """A job with how it stands."""

    job: Job
    course: Course = field(default_factory=Course)
    not_before: datetime | None = None
    ours: int = 0
    """Runs in a row that ended for a reason of our own: the disk, the lock."""
    running_since: datetime | None = None
    runs: int = 0
    seconds: float = 0.0
    results: dict[str, int] = field(default_factory=dict)
    """Parts by the word of their scan."""
    last: Tried | None = None

    @property
    def due(self) -> datetime:
        """When it is asked next."""
        return next_ask(self.job.name, self.course, self.job.cadence, self.not_before)

    def due_at(self, now: datetime) -> datetime:
        """Return the same, by a clock that may have been set back since it was asked."""
        if self.course.asked_at and self.course.asked_at > now + AHEAD:
            return max(now, self.not_before or now)
        return self.due

    def is_due(self, now: datetime) -> bool:
        """Whether it is due for `--once`, which comes when a timer says, not when it is due."""
        if self.not_before and self.not_before > now:
            return False
        if self.course.asked_at and not self.course.failures and self.course.asked_at <= now:
            return now - self.course.asked_at >= DUE * self.job.cadence
        return self.due_at(now) <= now

    def put_off(self, now: datetime) -> None:
        """Try again soon what ended for a reason of our own, and later each time."""
        self.ours += 1
        self.not_before = now + min(OUR_FAULT * (1 << min(self.ours - 1, 16)), OUR_LONGEST)


class Due(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """A trigger that asks when a job is due; while it runs, a cadence later for the time being."""

    def __init__(self, due: Callable[[], datetime], cadence: timedelta) -> None:
        self._due, self._cadence = due, cadence

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the next time, never one that has been returned before."""
        due = self._due()
        if previous is None:
            return max(due, now)
        return due if due > max(previous, now) else max(previous, now) + self._cadence


def say(line: Line, before: Course, outcomes: Iterable[Outcome]) -> None:
    """Log what a run came to: a line for it, and one for each way in which parts failed."""
    name, course, outcomes = line.job.name, line.course, list(outcomes)
    counts = {word: sum(getattr(one.counts, word) for one in outcomes)
              for word in ("new", "changed", "gone", "suspects", "rejects")}  # fmt: skip
    said = {"parts": len(outcomes), "failed": sum(one.failed for one in outcomes)} | counts
    LOG.info("collected", extra={"job": name, **{k: v for k, v in said.items() if v},
                                 "next": line.due.isoformat(timespec="seconds")})  # fmt: skip
    reasons = {one.scan.status: one.scan for one in reversed(outcomes) if one.failed}
    for word, scan in reasons.items():
        LOG.warning("%s: %s", word, scan.sentence, extra={"job": name, "part": scan.part})
    if before.breaker != course.breaker:
        LOG.warning("breaker %s", course.breaker, extra={"job": name, "failures": course.failures})
