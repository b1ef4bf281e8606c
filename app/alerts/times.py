"""When a message may go out: digests and quiet hours, in the zone of who reads them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gputape.store.errors import BadInput

DIGEST = re.compile(r"daily ([0-9]{1,2}:[0-9]{2})(?: (\S+))?")
QUIET = re.compile(r"([0-9]{1,2}:[0-9]{2})\s?[-–]\s?([0-9]{1,2}:[0-9]{2})(?: (\S+))?")


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"there is no time zone {name!r}: write Europe/Berlin") from None


def _time(words: str) -> time:
    try:
        return time.fromisoformat(words.zfill(5))
    except ValueError:
        raise BadInput(f"{words!r} is no time of day: write 09:00") from None


@dataclass(frozen=True, slots=True)
class Digest:
    """Once a day, at a time of day on the wall."""

    at: time
    zone: ZoneInfo

    @classmethod
    def read(cls, words: str) -> "Digest":
        """Read `daily 09:00 Europe/Berlin`. Raises `BadInput`."""
        found = DIGEST.fullmatch(words.strip())
        if not found:
            raise BadInput(f"{words!r} is no digest: write daily 09:00 Europe/Berlin")
        return cls(_time(found[1]), _zone(found[2]))

    def after(self, now: datetime) -> datetime:
        """Return the first such moment after `now`, in UTC.

        On the day the clock is put forward, a time that does not exist is as long after midnight
        as it would be; on the day it is put back, the first of the two counts: once a day always.
        """
        day = now.astimezone(self.zone).date() - timedelta(days=1)
        while True:
            moment = datetime.combine(day, self.at, self.zone).astimezone(UTC)
            if moment > now:
                return moment
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a time of day until another, over midnight if need be."""

    start: time
    end: time
    zone: ZoneInfo

    @classmethod
    def read(cls, words: str) -> "QuietHours":
        """Read `22:00-07:00 Europe/Berlin`. Raises `BadInput`."""
        found = QUIET.fullmatch(words.strip())
        if not found or found[1] == found[2]:
            raise BadInput(f"{words!r} are no quiet hours: write 22:00-07:00 Europe/Berlin")
        return cls(_time(found[1]), _time(found[2]), _zone(found[3]))

    def until(self, now: datetime) -> datetime:
        """Return `now` outside the quiet hours, inside them their end, in UTC."""
        local = now.astimezone(self.zone).timetz().replace(tzinfo=None)
        inside = (
            self.start <= local < self.end
            if self.start < self.end
            else local >= self.start or local < self.end
        )
        return Digest(self.end, self.zone).after(now) if inside else now
