"""From what is told to messages in the outbox: targets, digests, quiet hours.

A message is one row per channel. What a digest or a group gathers waits in the ledger and is
folded into one message when due (`fold`). A channel's rate is kept where it is sent from.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.messages import ROWS, SCHEMA_VERSION, Writer, event_id
from gputape.app.alerts.outbox import Row, text
from gputape.app.alerts.routing import Notice
from gputape.app.alerts.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Where messages can go."""

    channels: Sequence[str] = ()
    """The configured channels, for rules that name none."""
    group_wait: timedelta = timedelta()
    """How long a message waits for others of its rule; a schedule gives it a minute."""

    def of(self, rule: Rule) -> Sequence[str]:
        """Return the channels of a rule."""
        return rule.channels or tuple(self.channels)


def post(ledger: Ledger, notices: Iterable[Notice], writer: Writer, routes: Routes,
         now: datetime) -> list[Row]:  # fmt: skip
    """Put what is told into the outbox, or let it wait; return all of it."""
    posted = []
    for notice in notices:
        id_ = id_of(notice)
        channels = routes.of(notice.rule)
        if not channels:
            continue
        payload = writer.payload(notice, id_, now)
        for channel in channels:
            row = Row(id_, channel, notice.rule.name, notice.kind, payload, now, now, 0, None)
            posted.append(_place(ledger, row, notice.rule, routes, now))
    return posted


def id_of(notice: Notice) -> str:
    """Return the event's id: the same for the same event, however often it is computed."""
    rows = [
        (one.subject.fingerprint, one.step.event.after) for one in notice.rows if one.step.event
    ]
    if len(rows) == 1:
        print_, state = rows[0]
        return event_id(notice.rule.name, print_, state.episode, notice.kind, state.seq)
    prints = ",".join(sorted(f"{p}:{s.episode}:{s.seq}" for p, s in rows))
    return event_id(notice.rule.name, prints, 0, notice.kind, 0)


def _place(ledger: Ledger, row: Row, rule: Rule, routes: Routes, now: datetime) -> Row:
    due = _due(rule, routes, now)
    if due is None:
        quiet = rule.quiet_hours
        row = row._replace(next_try=quiet.until(now) if quiet else now)
        ledger.outbox.post(row)
        return row
    ledger.con.execute(
        "insert or ignore into waiting (id, channel, rule, due, payload) values (?, ?, ?, ?, ?)",
        [row.id, row.channel, row.rule, text(due), json.dumps(row.payload, ensure_ascii=False)],
    )
    return row._replace(next_try=due)


def _due(rule: Rule, routes: Routes, now: datetime) -> datetime | None:
    """Return until when a message waits to be folded with others, None for not at all."""
    if rule.digest_at:
        return rule.digest_at.after(now)
    return now + routes.group_wait if routes.group_wait else None


def fold(ledger: Ledger, rules: Iterable[Rule], now: datetime) -> list[Row]:
    """Fold what has waited long enough into one message per rule and channel.

    When one row of a channel is due, all that wait of its rule go with it.
    """
    known = {rule.name: rule for rule in rules}
    folded = []
    for (channel, name), rows in _waiting(ledger, now).items():
        quiet = known[name].quiet_hours if name in known else None
        payload = rows[0][1] if len(rows) == 1 else _folded(name, [p for _, p in rows], now)
        row = Row(payload["event"]["id"], channel, name, payload["event"]["kind"], payload, now,
                  quiet.until(now) if quiet else now, 0, None)  # fmt: skip
        ledger.outbox.post(row)
        for id_, _ in rows:
            ledger.con.execute("delete from waiting where (id, channel) = (?, ?)", [id_, channel])
        folded.append(row)
    return folded


def _waiting(ledger: Ledger, now: datetime) -> dict[tuple[str, str], list[tuple[str, Any]]]:
    found = ledger.con.execute(
        "select id, channel, rule, due, payload from waiting where (channel, rule) in "
        "(select channel, rule from waiting where due <= ?) order by due, id",
        [text(now)],
    ).fetchall()
    grouped: dict[tuple[str, str], list[tuple[str, Any]]] = defaultdict(list)
    for id_, channel, rule, _, payload in found:
        grouped[channel, rule].append((id_, json.loads(payload)))
    return grouped


def _folded(name: str, payloads: Sequence[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Return one payload of many: their titles, and the rows of the first ten."""
    count = sum(p["count"] for p in payloads)
    lines = [line for p in payloads for line in _lines(p)]
    more = [f"and {len(lines) - ROWS} more"] if len(lines) > ROWS else []
    title = f"{name}: {count} messages"
    ids = ",".join(sorted(p["event"]["id"] for p in payloads))
    id_ = event_id(name, ids, 0, "digest", 0)
    rows = [row for p in payloads for row in p["rows"]][:ROWS]
    return {
        **payloads[0],
        "schema_version": SCHEMA_VERSION,
        "event": {**payloads[0]["event"], "id": id_, "kind": "digest", "episode": 0,
                  "written_at": now.isoformat()},
        "title": title,
        "text": "\n".join([title, *(f"· {line}" for line in lines[:ROWS]), *more,
                           f"event {id_[:16]}"]),
        "count": count,
        "rows": rows,
    }  # fmt: skip


def _lines(payload: dict[str, Any]) -> Iterator[str]:
    """Yield a line per row of a message that was to stand alone."""
    said = str(payload["text"]).splitlines()
    bullets = [line.removeprefix("· ") for line in said if line.startswith("· ")]
    yield from bullets or said[:1]


def post_test(ledger: Ledger, channels: Iterable[str], now: datetime) -> list[Row]:
    """Put a test message for each channel into the outbox."""
    id_ = event_id("test", now.isoformat(), 0, "test", 0)
    payload = notice_payload(id_, "test", "gputape: a test message", now)
    rows = [Row(id_, channel, "test", "test", payload, now, now, 0, None) for channel in channels]
    for row in rows:
        ledger.outbox.post(row)
    return rows


def notice_payload(id_: str, kind: str, title: str, now: datetime, rule: Rule | None = None
                   ) -> dict[str, Any]:  # fmt: skip
    """Return the payload of a message that is about no price."""
    about = {"name": rule.name, "when": rule.when, "late": rule.late} if rule else None
    return {
        "schema_version": SCHEMA_VERSION,
        "event": {"id": id_, "kind": kind, "episode": 0, "at": now.isoformat(),
                  "written_at": now.isoformat()},
        "rule": about,
        "title": title,
        "text": f"{title}\nevent {id_[:16]}",
        "count": 0,
        "rows": [],
    }  # fmt: skip
