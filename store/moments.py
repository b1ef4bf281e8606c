"""Moments as people give them: a `datetime`, a `date`, or ISO 8601 text."""

from contextlib import suppress
from datetime import UTC, date, datetime, time

from gputape.store.errors import BadInput

When = datetime | date | str


def start(when: When) -> datetime:
    """Return the moment in UTC; a bare date is its beginning."""
    return _moment(when, time.min)


def end(when: When) -> datetime:
    """Return the moment in UTC; a bare date is its end, so that the whole day counts."""
    return _moment(when, time.max)


def _moment(when: When, of_day: time) -> datetime:
    if isinstance(when, str):
        return _read(when.strip(), of_day)
    if not isinstance(when, datetime):
        return datetime.combine(when, of_day, UTC)
    if when.utcoffset() is None:
        raise BadInput(f"{when} names no time zone: give it one, such as tzinfo=UTC")
    utc = when.astimezone(UTC)  # a pandas Timestamp stays one: SQL wants a plain datetime
    return datetime.combine(utc.date(), utc.time(), UTC)


def _read(text: str, of_day: time) -> datetime:
    """Read text; what names no zone is UTC, as everywhere on the command line."""
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(text), of_day, UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no time: write 2026-08-01 or 2026-08-01T06:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
