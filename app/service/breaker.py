"""When a source is asked again: its cadence while it answers, a growing pause while it does not.

Nothing is remembered here. `Course` is what the tape's scan log says of the tries, and the
jitter follows from the name and the moment, so that a restart comes to the same next time.

    0 failures          every cadence
    1 … OPENS - 1       5 min, 10, 20 … up to a cadence, when it can not be reached;
                        a cadence, when it answers, but nothing that we can use
    OPENS and more      the breaker is open: a probe after 2 cadences, 4, 8 … up to a day
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

OPENS = 5
FIRST = timedelta(minutes=5)
LONGEST = timedelta(days=1)
JITTER = 0.05  # of a pause, either way
EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a job's tries went. A try fails when no part of it answers."""

    asked_at: datetime | None = None
    """When the last try began; None when there was none."""
    good_at: datetime | None = None
    """When the last try that answered began."""
    failures: int = 0
    """Tries since then that failed."""
    status: str | None = None
    """What the last failure was: unreachable, refused, changed."""
    sentence: str | None = None
    """And what it said."""

    def answered(self, at: datetime) -> "Course":
        """Return the course after a try that answered."""
        return Course(asked_at=at, good_at=at)

    def failed(self, at: datetime, status: str, sentence: str | None) -> "Course":
        """Return the course after one that did not."""
        return Course(asked_at=at, good_at=self.good_at, failures=self.failures + 1,
                      status=status, sentence=sentence)  # fmt: skip

    @property
    def breaker(self) -> str:
        """Say `closed`, `retrying` or `open`."""
        return "closed" if not self.failures else "open" if self.failures >= OPENS else "retrying"


def pause(course: Course, cadence: timedelta) -> timedelta:
    """Return how long to wait after the last try began, without jitter."""
    n = course.failures
    if n == 0:
        return cadence
    if n >= OPENS:
        return min(cadence * (1 << min(n - OPENS + 1, 16)), max(LONGEST, cadence))
    if course.status == "unreachable":
        return min(FIRST * (1 << (n - 1)), cadence)
    return cadence


def next_ask(
    name: str, course: Course, cadence: timedelta, not_before: datetime | None = None
) -> datetime:
    """Return when a job is due; `not_before` is what the source itself asked for."""
    if course.asked_at is None:
        return not_before or EVER
    # not a secret: the same after a restart
    spread = Random(f"{name} {course.asked_at.isoformat()}").uniform(-JITTER, JITTER)  # noqa: S311
    due = course.asked_at + pause(course, cadence) * (1 + spread)
    return max(due, not_before) if not_before else due
