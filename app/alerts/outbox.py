"""Messages on their way out, in SQLite: at least once, each with an id that stays the same.

The outbox, for whoever delivers:

    outbox(id, channel, …)   one row per event and target; both together are its key
      id             sha256 of rule, fingerprint, episode, kind, seq: the Idempotency-Key
      payload        JSON as `messages.payload` makes it: title, text, event, rule, rows
      state          waiting | sent | dead; folded (its error says into which), dropped (was over)
      next_try       not before this moment: quiet hours, and a retry's patience
      tries          how often it was tried
      claimed_until  a lease; NULL or past: free
      created_at     when it happened to be written
  failing_since  when it, or its channel, first failed; retries end 24 h later
      error          what the last try came to

Claim with `claim(now, lease)`, one row at a time; then `sent`, `retry` or `dead`. A sender that
dies leaves its lease to run out: one duplicate with the same id, never a loss.

    waiting(…)   rows of digests and of groups, folded into one message when due
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One message for one channel."""

    id: str
    channel: str
    rule: str
    kind: str
    payload: dict[str, Any]
    created_at: datetime
    next_try: datetime
    tries: int
    error: str | None


@contextmanager
def whole(con: sqlite3.Connection) -> Iterator[None]:
    """Do something whole or not at all; nobody else writes meanwhile."""
    con.execute("begin immediate")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


class Outbox:
    """The verbs on messages. `post` belongs into the transaction of what it tells."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def post(self, row: Row) -> None:
        """Put a message for one channel into the outbox; the same event twice is one."""
        self._con.execute(
            "insert or ignore into outbox (id, channel, rule, kind, payload, created_at, next_try)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            [row.id, row.channel, row.rule, row.kind, json.dumps(row.payload, ensure_ascii=False),
             text(row.created_at), text(row.next_try)],
        )  # fmt: skip

    def claim(self, now: datetime, lease: timedelta, channel: str | None = None) -> Row | None:
        """Take the message that has been due longest, for so long; None when nothing is due.

        Inside a transaction (`whole`) it is a part of it.
        """
        with nullcontext() if self._con.in_transaction else whole(self._con):
            found = self._con.execute(
                "select id, channel, rule, kind, payload, created_at, next_try, tries, error "
                "from outbox where state = 'waiting' and next_try <= ?1 "
                "and coalesce(claimed_until, '') <= ?1 "
                + ("and channel = ?2 " * bool(channel))
                + "order by next_try, id, channel limit 1",
                [text(now), *([channel] if channel else [])],
            ).fetchone()
            if found is None:
                return None
            self._con.execute("update outbox set claimed_until = ?, tries = tries + 1 "
                             "where (id, channel) = (?, ?)",
                             [text(now + lease), *found[:2]])  # fmt: skip
        row = _row(found)
        return row._replace(tries=row.tries + 1)

    def sent(self, row: Row, now: datetime) -> None:
        """Note that a message was delivered."""
        self._end(row, "sent", None, now)

    def dead(self, row: Row, error: str, now: datetime) -> None:
        """Note that a message can not be delivered, and why."""
        self._end(row, "dead", error, now)

    def dropped(self, row: Row, why: str, now: datetime) -> None:
        """Note that a message is not worth delivering any more."""
        self._end(row, "dropped", why, now)

    def _end(self, row: Row, state: str, error: str | None, now: datetime) -> None:
        self._con.execute(
            "update outbox set state = ?, error = ?, sent_at = ?, claimed_until = null "
            "where (id, channel) = (?, ?) and state = 'waiting'",
            [state, error, text(now), row.id, row.channel],
        )  # fmt: skip

    def retry(self, row: Row, error: str, next_try: datetime) -> None:
        """Give a message back, to be tried again later."""
        self._con.execute(
            "update outbox set next_try = ?, error = ?, claimed_until = null "
            "where (id, channel) = (?, ?) and state = 'waiting'",
            [text(next_try), error, row.id, row.channel],
        )  # fmt: skip

    def rows(self, state: str | None = None) -> list[Row]:
        """Return messages of a state, or all, oldest first."""
        rows = self._con.execute(
            "select id, channel, rule, kind, payload, created_at, next_try, tries, error "
            "from outbox where ?1 is null or state = ?1 order by created_at, id, channel", [state],
        )  # fmt: skip
        return [_row(row) for row in rows]


def _row(found: Sequence[Any]) -> Row:
    id_, channel, rule, kind, payload, created_at, next_try, tries, error = found
    return Row(id_, channel, rule, kind, json.loads(payload), moment(created_at), moment(next_try),
               tries, error)  # fmt: skip


def text(when: datetime) -> str:
    """Return a moment as text that sorts as moments do."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def moment(words: str) -> datetime:
    """Read one back."""
    return datetime.fromisoformat(words)
