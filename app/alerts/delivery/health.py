"""How delivery is doing, for `gputape doctor` and `/metrics`."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.outbox import moment

BY_CHANNEL = """
select o.channel, count(*) filter (where o.state = 'waiting'),
    min(o.created_at) filter (where o.state = 'waiting'), count(*) filter (where o.state = 'dead'),
    max(o.sent_at) filter (where o.state = 'sent')
from outbox o group by o.channel
"""


class Health(NamedTuple):
    """One channel. Counts are of what the outbox still has: 90 days."""

    channel: str
    waiting: int = 0
    oldest: datetime | None = None
    """When the oldest message that waits was written: the outbox's age."""
    dead: int = 0
    sent_at: datetime | None = None
    """When the last message went out."""
    failures: int = 0
    """Tries in a row that failed."""
    error: str | None = None
    """What the last of them came to."""


def health(ledger: Ledger, configured: Iterable[str]) -> list[Health]:
    """Return the health of the configured channels, and of others that have messages, by name."""
    found = {name: Health(name) for name in configured}
    for name, waiting, oldest, dead, sent_at in ledger.con.execute(BY_CHANNEL):
        found[name] = Health(name, waiting, _moment(oldest), dead, _moment(sent_at))
    for name, failures, error in ledger.con.execute("select name, failures, error from channel"):
        if name in found:
            found[name] = found[name]._replace(failures=failures, error=error)
    return [found[name] for name in sorted(found)]


def _moment(words: str | None) -> datetime | None:
    return moment(words) if words else None
