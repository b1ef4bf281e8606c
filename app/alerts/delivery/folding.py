"""What a channel may not get one by one any more, folded into one message."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.messages import ROWS, event_id
from gputape.app.alerts.outbox import Row, moment, text
from gputape.app.alerts.posting import notice_payload

DUE = """
from outbox where channel = ?1 and state = 'waiting' and next_try <= ?2
    and coalesce(claimed_until, '') <= ?2
"""


def fold(ledger: Ledger, channel: str, now: datetime) -> Row | None:
    """Fold all that a channel is due into one message, in the caller's transaction.

    One message alone stays as it is. What is folded is `folded` in the outbox, and its error says
    into which; the new one is as old as the oldest, and has failed for as long.
    """
    rows = ledger.con.execute(
        f"select id, payload, created_at, failing_since {DUE} order by created_at, id",
        [channel, text(now)],
    ).fetchall()
    if len(rows) < 2:
        return None
    payload = _payload(channel, [row[0] for row in rows], [json.loads(row[1]) for row in rows], now)
    one = Row(payload["event"]["id"], channel, "", "folded", payload,
              moment(min(row[2] for row in rows)), now, 0, None)  # fmt: skip
    ledger.con.execute(
        "update outbox set state = 'folded', sent_at = ?2, claimed_until = null, error = ?3 "
        "where (id, channel) in (select id, channel " + DUE + ")",
        [channel, text(now), f"folded into {one.id}"],
    )
    ledger.outbox.post(one)
    since = min((row[3] for row in rows if row[3]), default=None)
    ledger.con.execute("update outbox set failing_since = ? where (id, channel) = (?, ?)",
                       [since, one.id, channel])  # fmt: skip
    return one


def _payload(channel: str, ids: Sequence[str], payloads: Sequence[dict[str, Any]], now: datetime
             ) -> dict[str, Any]:  # fmt: skip
    """Return one message of many: the first ten titles, and the rows of those of one row."""
    id_ = event_id("", f"{channel}:{','.join(ids)}", 0, "folded", 0)
    title = f"{len(payloads)} messages at once"
    more = [f"and {len(payloads) - ROWS} more: gputape alerts log"] if len(payloads) > ROWS else []
    rows = [{**row, "rule": (one["rule"] or {}).get("name")} for one in payloads[:ROWS]
            for row in one["rows"]]  # fmt: skip
    return {
        **notice_payload(id_, "folded", title, now),
        "text": "\n".join([title, *(f"· {one['title']}" for one in payloads[:ROWS]), *more,
                           f"event {id_[:16]}"]),
        "count": len(payloads),
        "rows": rows[:ROWS],
    }  # fmt: skip
