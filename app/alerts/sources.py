"""Rules about sources: one that fails, one that has not been seen for long."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from gputape.app.alerts import machine
from gputape.app.alerts.engine import Happened, Key, Subject, terms
from gputape.app.alerts.observations import FAILED, Look
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Ground, Kind, Seen, State

if TYPE_CHECKING:
    import duckdb

HOUR_S = Decimal(3600)
LAST = """
select provider, max(observed_at), max(scan_id) from scan
where status in ('ok', 'unchanged') and origin = 'live' group by provider
"""


def failed(rule: Rule, looks: Iterable[Look], states: dict[Key, State]) -> Iterator[Happened]:
    """Judge a `source_down` rule: runs in which a provider answered nothing at all."""
    by_run: dict[tuple[int, str], list[Look]] = defaultdict(list)
    for look in looks:
        if not look.anew and _asked(rule, look.provider):
            by_run[look.run_id, look.provider].append(look)
    for (_, provider), of_run in by_run.items():
        down = all(look.status in FAILED for look in of_run)
        last = max(of_run, key=lambda look: look.scan_id)
        seen = Seen(kind=Kind.PRICE, at=last.finished_at, scan_id=last.scan_id,
                    price=Decimal(int(down)))  # fmt: skip
        words = f"{provider} can not be asked" if down else provider
        why = (last.sentence,) if down and last.sentence else ()
        yield _judge(rule, provider, words, seen, Decimal(1), states, "failures", why)


def unseen(con: "duckdb.DuckDBPyConnection", rule: Rule, now: datetime, states: dict[Key, State]
           ) -> Iterator[Happened]:  # fmt: skip
    """Judge a `stale` rule: how long each provider has not been seen."""
    for provider, at, scan_id in con.execute(LAST).fetchall():
        if not _asked(rule, provider):
            continue
        hours = Decimal(int(max((now - at).total_seconds(), 0))) / HOUR_S
        seen = Seen(kind=Kind.PRICE, at=now, scan_id=scan_id, price=hours)
        words = f"{provider} not seen since {at:%Y-%m-%d %H:%M} UTC"
        yield _judge(rule, provider, words, seen, rule.condition.figure, states, "hours", ())


def _asked(rule: Rule, provider: str) -> bool:
    return not rule.provider or provider in rule.provider


def _judge(rule: Rule, provider: str, words: str, seen: Seen, limit: Decimal,
           states: dict[Key, State], unit: str, notes: tuple[str, ...]) -> Happened:  # fmt: skip
    key = (rule.name, f"source:{provider}")
    step = machine.step(terms(rule), states.get(key, State()), seen,
                        lambda _state, _seen: Ground(limit, rule.when))  # fmt: skip
    states[key] = step.state
    subject = Subject(fingerprint=key[1], words=words, provider=provider, unit=unit)
    return Happened(rule=rule, subject=subject, at=seen.at, seen=seen, step=step, notes=notes)


def words_of(happened: Iterable[Happened]) -> Mapping[Key, str]:
    """Return how the subjects of what happened are called."""
    return {(one.rule.name, one.subject.fingerprint): one.subject.words for one in happened}
