"""What every verb of `alerts` works on: the ledger beside the tape, the rules that run."""

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gputape.app.alerts.ledger import Ledger
    from gputape.app.alerts.rules import Rule
    from gputape.app.service.alerting import Alerts


def clock() -> datetime:
    """Return what time it is."""
    return datetime.now(UTC)


@contextmanager
def ledger_of(db: Path) -> "Iterator[Ledger]":
    """Open it, until the block is left."""
    from gputape.app.alerts.ledger import open_ledger

    ledger = open_ledger(db)
    try:
        yield ledger
    finally:
        ledger.close()


def configured() -> "Alerts":
    """Return the `[alerts]` table; without one, the defaults."""
    from gputape.app.config import load
    from gputape.app.service.alerting import of

    return of(load()[0])


def rules_of(ledger: "Ledger") -> "dict[str, Rule]":
    """Return every rule that runs, by name."""
    return {rule.name: rule for rule in configured().all_rules(ledger.added_rules())}
