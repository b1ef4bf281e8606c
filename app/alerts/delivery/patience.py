"""How long to wait before the next try, and when to give up (alerts.md 5.2, 9)."""

from datetime import timedelta
from random import Random

FIRST = timedelta(seconds=30)
LONGEST = timedelta(hours=1)
TOTAL = timedelta(hours=24)
"""From the first failure on."""
JITTER = 0.25


def delay(failures: int, retry_after: timedelta | None, chance: Random) -> timedelta:
    """Return 30 s · 2ⁿ⁻¹ after n failures, ± 25 %, at most an hour; never less than was asked."""
    doubled = FIRST * (1 << min(max(failures, 1) - 1, 16))
    jittered = min(doubled, LONGEST) * chance.uniform(1 - JITTER, 1 + JITTER)
    return max(min(jittered, LONGEST), retry_after or timedelta())
