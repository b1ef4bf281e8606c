"""What one try to deliver came to."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

LONGEST_WAIT = timedelta(hours=24)
PASSING = frozenset({408, 425, 429})
"""Answers of the 400s that say later, not never (RFC 9110, RFC 8470, RFC 6585)."""


class Outcome(NamedTuple):
    """`sent`; `refused` for ever; `failed`, or `unknown` (it may have arrived): to be retried."""

    kind: Literal["sent", "refused", "failed", "unknown"]
    said: str = ""
    """One line, without secrets."""
    retry_after: timedelta | None = None


SENT = Outcome("sent")


def of_status(status: int, retry_after: str | None, host: str, now: datetime) -> Outcome:
    """Return what an HTTP answer means.

    2xx is taken; 4xx is refused for ever, except 408, 425 and 429; 3xx is not followed and, like
    everything else, tried again.
    """
    if 200 <= status < 300:
        return SENT
    said = f"HTTP {status} from {host}"
    if 300 <= status < 400:
        return Outcome("failed", f"{said}: redirects are not followed")
    if 400 <= status < 500 and status not in PASSING:
        return Outcome("refused", said)
    return Outcome("failed", said, waiting(retry_after, now))


def waiting(retry_after: str | None, now: datetime) -> timedelta | None:
    """Return how long a Retry-After asks to wait, at most a day: seconds or a date (RFC 9110)."""
    words = (retry_after or "").strip()
    if words.isascii() and words.isdigit():
        return min(timedelta(seconds=int(words[:9])), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(words)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta()), LONGEST_WAIT)
