"""What was judged and what happened, in SQLite: why nothing was said, and the audit of what was."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from gputape.app.alerts.engine import Happened
from gputape.app.alerts.messages import event_id
from gputape.app.alerts.outbox import text

KEPT_EVALUATIONS = 10


class Journal:
    """The verbs on evaluations and events."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self.con = con

    def note_evaluations(self, happened: Iterable[tuple[Happened, str]]) -> None:
        """Keep the last ten of each rule and subject, each with the gate it ended at."""
        rows = []
        for one, gate in happened:
            number = one.step.state.evaluations
            value = one.step.event.ground.value if one.step.event else one.step.state.baseline
            rows.append((
                one.rule.name, one.subject.fingerprint, number % KEPT_EVALUATIONS, number,
                text(one.at), one.seen.scan_id, _amount(one.seen.price), _amount(value),
                one.step.state.name, gate, one.step.sentence,
            ))  # fmt: skip
        self.con.executemany(
            "insert or replace into evaluation values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )

    def evaluations(self, rule: str, fingerprint: str) -> list[dict[str, Any]]:
        """Return the last ten evaluations of a rule and a subject, newest first."""
        found = self.con.execute(
            "select number, at, scan_id, price, reference, state, gate, sentence from evaluation "
            "where (rule, fingerprint) = (?, ?) order by number desc", [rule, fingerprint],
        )  # fmt: skip
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def note_events(self, happened: Iterable[tuple[Happened, str]], now: datetime) -> None:
        """Add to the log what happened, with the gate it ended at; `sent` was told."""
        rows = []
        for one, gate in happened:
            event = one.step.event
            assert event  # noqa: S101  # narrows the type: only events are logged
            state = event.after
            id_ = event_id(one.rule.name, one.subject.fingerprint, state.episode, event.kind,
                           state.seq)  # fmt: skip
            rows.append((
                id_, text(now), text(one.at), one.rule.name, one.subject.fingerprint,
                one.subject.words, event.kind, state.episode, gate, _amount(one.seen.price),
                _amount(event.ground.value), one.step.sentence,
            ))  # fmt: skip
        self.con.executemany("insert into event values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def log(self, since: datetime) -> list[dict[str, Any]]:
        """Return what happened since a moment, newest first."""
        found = self.con.execute(
            "select noted_at, at, rule, words, kind, episode, gate, price, baseline, sentence, id, "
            "fingerprint from event where noted_at >= ? order by noted_at desc, at desc, rule",
            [text(since)],
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
