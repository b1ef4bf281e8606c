"""Takes messages from the outbox to their channels, at least once.

A message is claimed with a lease, sent, and marked: a process that dies between the last two
leaves the lease to run out, and the message goes out again with the same id. Nothing here sleeps:
what is to be tried later has its time in the outbox, and so has a channel that does not answer.

A channel that fails is left alone for 30 s · 2ⁿ (at most an hour, or as long as it asks), for all
its messages; each of them has 24 h from the first failure on. A refusal is final for its message.
What is given up is `dead`, and the fallback channels are told in one line, once a day at most.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

from gputape.app.alerts.delivery import late
from gputape.app.alerts.delivery.channels import Message
from gputape.app.alerts.delivery.folding import fold
from gputape.app.alerts.delivery.outcome import Outcome
from gputape.app.alerts.delivery.patience import TOTAL, delay
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.messages import event_id
from gputape.app.alerts.outbox import Row, moment, text
from gputape.app.alerts.posting import notice_payload

if TYPE_CHECKING:
    from random import Random

    from gputape.app.alerts.delivery.doors import Door

LEASE = timedelta(minutes=5)
"""Longer than a try can take: 20 s, and what a resolver of names takes."""
HOUR = timedelta(hours=1)
KEPT = timedelta(days=90)
USED = """
select (select count(*) from outbox where channel = ?1 and sent_at > ?2 and state = 'sent')
    + (select count(*) from outbox where channel = ?1 and claimed_until > ?3 and state = 'waiting')
"""


class Try(NamedTuple):
    """What became of a message just now."""

    channel: str
    id: str
    outcome: Outcome
    state: str
    """sent, waiting, dead, dropped."""


def never() -> bool:
    """Go on until nothing is due."""
    return False


class Sender:
    """Delivers what is due. `clock` is asked before and after each try."""

    def __init__(self, ledger: Ledger, doors: "Iterable[Door]", clock: Callable[[], datetime],
                 chance: "Random | None" = None) -> None:  # fmt: skip
        self._ledger = ledger
        self._outbox = ledger.outbox
        self._doors = {door.name: door for door in doors}
        self._clock = clock
        self._chance = chance or SystemRandom()

    def run(self, stop: Callable[[], bool] = never) -> list[Try]:
        """Deliver until nothing is due, or `stop` says so between two messages."""
        tried = []
        for door in self._doors.values():
            while not stop() and (row := self._claimed(door)):
                tried.append(self._deliver(door, row))
        with self._ledger.whole():
            self._bury_orphans()
            self._forget()
        return tried

    def _now(self) -> datetime:
        return self._ledger.now(self._clock())

    def _claimed(self, door: "Door") -> Row | None:
        """Take the next message of a channel, unless it rests or has had enough for this hour.

        Before the last one of an hour all that is due is folded into it.
        """
        now, con = self._now(), self._ledger.con
        with self._ledger.whole():
            con.execute("insert or ignore into channel (name) values (?)", [door.name])
            (paused,) = con.execute(
                "select paused_until from channel where name = ?", [door.name]
            ).fetchone()
            (used,) = con.execute(USED, [door.name, text(now - HOUR), text(now)]).fetchone()
            if (paused and now < moment(paused)) or used >= door.per_hour:
                return None
            if used == door.per_hour - 1:
                fold(self._ledger, door.name, now)
            return self._outbox.claim(now, LEASE, door.name)

    def _deliver(self, door: "Door", row: Row) -> Try:
        outcome = self._tried(door, row)
        with self._ledger.whole():
            if outcome is None:
                self._outbox.dropped(row, "over before it was delivered", self._now())
                return Try(door.name, row.id, Outcome("failed", "over"), "dropped")
            state = self._noted(door, row, outcome, self._now())
        return Try(door.name, row.id, outcome, state)

    def _tried(self, door: "Door", row: Row) -> Outcome | None:
        """Send a message as it is to be said now; None when it is over and not worth saying."""
        now = self._now()
        try:
            said = late.as_of(self._ledger, row, now, door.max_age)
            return door.send(Message(row.id, said.payload), now) if said else None
        except Exception as error:  # noqa: BLE001  # a fault of ours; the other messages go on
            return Outcome("failed", f"{type(error).__name__} of our own: please report it")

    # -- what a try came to ------------------------------------------------------------------

    def _noted(self, door: "Door", row: Row, outcome: Outcome, now: datetime) -> str:
        if outcome.kind == "sent":
            self._outbox.sent(row, now)
            self._works(door.name, now)
            return "sent"
        self._fails(door.name, outcome, now)
        if outcome.kind == "refused":
            self._outbox.dead(row, outcome.said, now)
            self._tell(door.name, 1, f"refused: {outcome.said}", now)
            return "dead"
        return self._later(door, row, outcome, now)

    def _works(self, channel: str, now: datetime) -> None:
        self._ledger.con.execute(
            "update channel set failures = 0, paused_until = null, error = null, told_at = null, "
            "sent_at = ? where name = ?", [text(now), channel],
        )  # fmt: skip

    def _fails(self, channel: str, outcome: Outcome, now: datetime) -> None:
        """Let a channel rest, and begin the last day of all that it is due."""
        con = self._ledger.con
        (failures,) = con.execute(
            "update channel set failures = failures + 1, error = ? where name = ? "
            "returning failures", [outcome.said, channel],
        ).fetchone()  # fmt: skip
        until = now + delay(failures, outcome.retry_after, self._chance)
        con.execute("update channel set paused_until = ? where name = ?", [text(until), channel])
        con.execute(
            "update outbox set failing_since = ?2 where channel = ?1 and state = 'waiting' "
            "and next_try <= ?2 and failing_since is null", [channel, text(now)],
        )  # fmt: skip

    def _later(self, door: "Door", row: Row, outcome: Outcome, now: datetime) -> str:
        """Give a message back for later, or give up all of the channel whose day is over."""
        wait = delay(row.tries, outcome.retry_after, self._chance)
        self._outbox.retry(row, outcome.said, now + wait)
        given_up = self._ledger.con.execute(
            "update outbox set state = 'dead', sent_at = ?2, claimed_until = null, "
            "error = 'given up after 24 h: ' || ?4 where channel = ?1 and state = 'waiting' "
            "and failing_since <= ?3 and coalesce(claimed_until, '') <= ?2 returning id",
            [door.name, text(now), text(now - TOTAL), outcome.said],
        ).fetchall()
        if given_up:
            self._tell(door.name, len(given_up), f"given up after 24 h: {outcome.said}", now)
        return "dead" if (row.id,) in given_up else "waiting"

    def _tell(self, channel: str, count: int, why: str, now: datetime) -> None:
        """Tell the fallback channels in one line what does not arrive; not twice in a day."""
        con = self._ledger.con
        con.execute("insert or ignore into channel (name) values (?)", [channel])
        (told,) = con.execute("select told_at from channel where name = ?", [channel]).fetchone()
        others = [door.name for door in self._doors.values() if door.fallback]
        if channel in others or (told and now - moment(told) < TOTAL):
            return
        con.execute("update channel set told_at = ? where name = ?", [text(now), channel])
        what = "a message was" if count == 1 else f"{count} messages were"
        title = f"channel {channel}: {what} not delivered, {why}; see gputape doctor"
        id_ = event_id("", channel, 0, "undelivered", int(now.timestamp()))
        payload = notice_payload(id_, "undelivered", title, now)
        for name in others:
            self._outbox.post(Row(id_, name, "", "undelivered", payload, now, now, 0, None))

    # -- what nobody asks for any more -------------------------------------------------------

    def _bury_orphans(self) -> None:
        """Give up messages for channels that have not been configured for a day."""
        now = self._now()
        names = {name for (name,) in self._ledger.con.execute(
            "select distinct channel from outbox where state = 'waiting' and created_at <= ?",
            [text(now - TOTAL)])}  # fmt: skip
        for name in sorted(names - self._doors.keys()):
            why = "no channel of this name is configured"
            buried = self._ledger.con.execute(
                "update outbox set state = 'dead', sent_at = ?2, claimed_until = null, error = ?4 "
                "where channel = ?1 and state = 'waiting' and created_at <= ?3",
                [name, text(now), text(now - TOTAL), why],
            ).rowcount
            self._tell(name, buried, why, now)

    def _forget(self) -> None:
        self._ledger.con.execute(
            "delete from outbox where state <> 'waiting' and sent_at < ?",
            [text(self._now() - KEPT)],
        )
