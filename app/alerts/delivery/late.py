"""What a message says that took long: whether it is still true.

A channel that was down for a day is not to say that a price has fallen when it has long risen
again. What is older than the channel's `max_age` says when it was written; what is over says so,
or is dropped when its rule says `late = "drop"`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.outbox import Row, moment, text

CAN_END = frozenset({"fired", "further", "digest", "folded"})
ENDED = """
select min(at) from event where noted_at >= ?1 and rule = ?2 and fingerprint = ?3 and at > ?4
    and kind in ('recovered', 'offer_gone', 'correction')
"""


def as_of(ledger: Ledger, row: Row, now: datetime, max_age: timedelta) -> Row | None:
    """Return a message as it is to be said now; None when it is over and not worth saying."""
    event, rule = row.payload["event"], row.payload.get("rule") or {}
    if now - row.created_at <= max_age:
        return row
    ends = _ends(ledger, row) if event["kind"] in CAN_END else []
    over = max((end for end in ends if end), default=None) if ends and all(ends) else None
    if over and rule.get("late") == "drop":
        return None
    return row._replace(payload=_said(row.payload, row.created_at, over, now))


def _ends(ledger: Ledger, row: Row) -> list[datetime | None]:
    """Return of each listed series when what was told of it ended; None: it has not."""
    found = []
    for one in row.payload["rows"]:
        rule = one.get("rule") or (row.payload.get("rule") or {}).get("name", row.rule)
        fetched = text(datetime.fromisoformat(one["evidence"]["fetched_at"]))
        (end,) = ledger.con.execute(
            ENDED, [text(row.created_at), rule, one["series"]["fingerprint"], fetched]
        ).fetchone()
        found.append(moment(end) if end else None)
    return found


def _said(payload: Mapping[str, Any], written: datetime, over: datetime | None, now: datetime
          ) -> dict[str, Any]:  # fmt: skip
    title, _, rest = str(payload["text"]).partition("\n")
    before, after = ("was: ", f" (ended {_when(over, now)} UTC)") if over else ("", "")
    line = f"written {written:%Y-%m-%d %H:%M} UTC, delivered late"
    return {
        **payload,
        "title": f"{before}{payload['title']}{after}",
        "text": f"{before}{title}{after}\n{line}\n{rest}",
        "late": {"written_at": written.isoformat(), "ended_at": over.isoformat() if over else None},
    }


def _when(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"
