"""No two snapshots of one provider at one moment: each is a scan of its own."""

from datetime import datetime, timedelta

INSTANT = timedelta(microseconds=1)
SAME_TIME = "two snapshots at one time: the later name counts as a microsecond later"


class Moments:
    """Every provider's last moment; they are asked for in the order of time."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}

    def apart(self, provider: str, moment: datetime) -> tuple[datetime, bool]:
        """Return a moment that the provider does not have yet, and whether it was moved."""
        last = self._last.get(provider)
        moved = last is not None and moment <= last
        self._last[provider] = last + INSTANT if last is not None and moved else moment
        return self._last[provider], moved
