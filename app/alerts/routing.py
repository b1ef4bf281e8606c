"""What of all that happened is said: held, silenced, cooling down, or told.

Pure: what is remembered comes in and goes out with it. The order is that of alerts.md 5.2: what
many series of a source did at once is said once and as a doubt; then silences, then cooldowns.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gputape.app.alerts import machine
from gputape.app.alerts.engine import Happened, Key
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Event, Name, State, Terms
from gputape.store.gpus import families

TOLD = ("fired", "further")
ENDED = ("recovered", "offer_gone")
SILENCED = ("rule", "gpu", "provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nothing is said of a rule, a GPU (or family) or a provider until it ends by itself."""

    kind: str
    word: str
    until: datetime
    reason: str = ""

    def covers(self, happened: Happened, now: datetime) -> bool:
        """Whether it keeps this from being said."""
        if now >= self.until:
            return False
        series = happened.subject.series
        match self.kind:
            case "rule":
                return happened.rule.name == self.word
            case "provider":
                return happened.subject.provider == self.word
        gpus = happened.rule.gpus or frozenset()
        ids = {series.gpu} if series else set(gpus)
        return bool(ids) and all(self.word in (id_, families().get(id_)) for id_ in ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is told of one rule and run: rows of one kind, or one doubt about many."""

    rule: Rule
    kind: str
    """fired, further, recovered, offer_gone, held, expired, test."""
    rows: tuple[Happened, ...]
    at: datetime
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """What is told, and of everything that happened the gate that it ended at."""

    notices: list[Notice]
    gates: list[tuple[Happened, str]]


def route(
    happened: Sequence[Happened], states: dict[Key, State], silences: Iterable[Silence],
    now: datetime,
) -> Routed:  # fmt: skip
    """Decide what is told, and note in `states` what was told and what could not be."""
    active = list(silences)
    gates: list[tuple[Happened, str]] = []
    grouped: dict[tuple[str, str, str | None], list[Happened]] = defaultdict(list)
    for one in _newest(happened, states):
        gate = _gate(one, active, now)
        if gate == "sent":
            grouped[_group(one)].append(one)
        gates.append((one, gate))
        _remember(one, states, now, gate)
    return Routed([_notice(group, rows) for group, rows in grouped.items()], gates)


def _newest(happened: Sequence[Happened], states: Mapping[Key, State]) -> list[Happened]:
    """After a long sleep only the newest of a series is told, and only if it is still true."""
    last: dict[tuple[Key, str], int] = {}
    for i, one in enumerate(happened):
        if one.step.event and one.step.event.kind in TOLD + ENDED:
            last[_key(one), "said"] = i
    kept = []
    for i, one in enumerate(happened):
        event = one.step.event
        if (
            event is None
            or event.kind not in TOLD + ENDED
            or (last[_key(one), "said"] == i and _still(event.kind, states.get(_key(one))))
        ):
            kept.append(one)
        else:
            kept.append(replace(one, notes=(*one.notes, "superseded")))
    return kept


def _still(kind: str, state: State | None) -> bool:
    return kind in ENDED or (state is not None and Name.FIRING in (state.name, state.frozen))


def _key(one: Happened) -> Key:
    return one.rule.name, one.subject.fingerprint


def _gate(one: Happened, silences: Sequence[Silence], now: datetime) -> str:
    event = one.step.event
    if event is None or event.kind not in TOLD + ENDED:
        return one.step.gate
    if "superseded" in one.notes:
        return "superseded"
    if event.kind in ENDED:
        return _end_gate(one, event, silences, now)
    silence = next((s for s in silences if s.covers(one, now)), None)
    if silence:
        until = f" until {silence.until:%Y-%m-%d %H:%M}"
        return f"silence of {silence.kind} {silence.word}{until}"
    if event.kind == "fired" and _cools(one, event):
        return "cooldown"
    return "sent"


def _end_gate(one: Happened, event: Event, silences: Sequence[Silence], now: datetime
              ) -> str:  # fmt: skip
    if event.before.untold:
        return "never told"
    if event.kind == "recovered" and not one.rule.tells_recovery:
        return "recovery is not told"
    return "silence" if any(s.covers(one, now) for s in silences) else "sent"


def _cools(one: Happened, event: Event) -> bool:
    """Whether the same was told a short while ago: a price that flaps says nothing new."""
    before, price = event.before, one.seen.price
    if before.told_at is None or before.told_price is None or price is None or event.already:
        return False
    terms = Terms(condition=one.rule.condition)
    news = terms.condition.deeper(price, before.told_price, terms.further)
    return one.at - before.told_at < one.rule.cooldown and not news


def _group(one: Happened) -> tuple[str, str, str | None]:
    """Return what is said in one message: a rule's rows of a kind, a source's for all rules."""
    event = one.step.event
    assert event  # noqa: S101  # narrows the type: what is sent has an event
    together = event.after.moved_together if event.kind == "fired" else None
    if not together:
        return one.rule.name, event.kind, None
    return ",".join(one.rule.channels), "held", f"{one.subject.provider}: {together}"


def _remember(one: Happened, states: dict[Key, State], now: datetime, gate: str) -> None:
    event, key = one.step.event, _key(one)
    state = states.get(key)
    if event is None or state is None or event.kind not in TOLD:
        return
    if gate == "sent":
        states[key] = machine.told(state, max(now, one.at), one.seen.price)
    elif event.kind == "fired" and Name.FIRING in (state.name, state.frozen):
        states[key] = replace(state, untold=True)


def _notice(group: tuple[str, str, str | None], rows: list[Happened]) -> Notice:
    _, kind, held = group
    return Notice(
        rule=rows[0].rule, kind=kind, rows=tuple(rows), at=max(one.at for one in rows), held=held
    )
