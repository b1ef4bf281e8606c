"""One evaluation: what the tape has news of, through the machine, into the ledger.

    tape ──news──▶ machine ──▶ routing ──▶ one transaction: states, log, outbox, cursors

The steps are those of alerts.md 5.2, in its order. `evaluate` is called after a run, and once in
a while for what only time brings about: digests, rules that expire, sources not seen for long.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from gputape.app.alerts import live, machine, measures, posting, sources
from gputape.app.alerts.engine import Engine, Happened, Key, terms
from gputape.app.alerts.grounds import ground
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.live import News
from gputape.app.alerts.measures import Point
from gputape.app.alerts.messages import Writer, event_id
from gputape.app.alerts.outbox import Row
from gputape.app.alerts.posting import Routes
from gputape.app.alerts.routing import Notice, Routed, route
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Kind, Seen, State

if TYPE_CHECKING:
    import duckdb

LOGGED = frozenset({"fired", "further", "recovered", "offer_gone", "glitch", "correction",
                    "rebased"})  # fmt: skip


@dataclass(slots=True)
class Evaluated:
    """What an evaluation came to."""

    happened: list[Happened] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    posted: list[Row] = field(default_factory=list)
    """Messages in the outbox, or waiting for a digest."""
    expired: list[str] = field(default_factory=list)
    """Rules whose time is over since."""


@dataclass(slots=True)
class Turn:
    """What one evaluation works on."""

    con: "duckdb.DuckDBPyConnection"
    ledger: Ledger
    rules: Sequence[Rule]
    now: datetime
    found: News
    engine: Engine
    words: dict[Key, str] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)

    @property
    def states(self) -> dict[Key, State]:
        """What is remembered, as of this evaluation."""
        return self.engine.states


def evaluate(
    con: "duckdb.DuckDBPyConnection", ledger: Ledger, rules: Sequence[Rule], now: datetime,
    routes: Routes | None = None,
) -> Evaluated:  # fmt: skip
    """Take what is new on the tape (a reader's connection) through every rule.

    Everything is written in one transaction of the ledger; nothing is sent. The first
    evaluation of a ledger takes what there is as history.
    """
    routes = routes or Routes()
    with ledger.whole():
        late = ledger.now(now)
        running, expired = _running(ledger, rules, late)
        edited = _noted(ledger, running, late)
        turn = _turn(con, ledger, running, late, edited)
        happened = _happened(turn, edited)
        routed = route(happened, turn.states, ledger.silences(late), late)
        writer = Writer(con, turn.engine.rates)
        posted = posting.post(ledger, routed.notices, writer, routes, now)
        posted += _expire(ledger, expired, routes, now)
        posted += posting.fold(ledger, running, now)
        _keep(turn, routed, late)
    return Evaluated(happened, routed.notices, posted, [rule.name for rule in expired])


def _running(ledger: Ledger, rules: Sequence[Rule], now: datetime
             ) -> tuple[list[Rule], list[Rule]]:  # fmt: skip
    """Return the rules that live, and those that have just ended."""
    known = ledger.known_rules()
    alive, ended = [], []
    for rule in rules:
        _, began, over = known.get(rule.name, ("", now, False))
        if rule.ttl is None or now - began < rule.ttl:
            alive.append(rule)
        elif not over:
            ended.append(rule)
    return alive, ended


def _noted(ledger: Ledger, rules: Iterable[Rule], now: datetime) -> dict[str, bool]:
    """Remember the rules; return those that are new (False) or were edited (True)."""
    known = ledger.known_rules()
    found = {}
    for rule in rules:
        version, _, _ = known.get(rule.name, ("", now, False))
        if version != rule.version:
            found[rule.name] = bool(version)
            ledger.note_rule(rule, now)
    return found


def _turn(con: "duckdb.DuckDBPyConnection", ledger: Ledger, rules: list[Rule], now: datetime,
          edited: Mapping[str, bool]) -> Turn:  # fmt: skip
    found = live.news(con, ledger)
    fresh = [rule for rule in rules if rule.name in edited]
    also = [id_ for rule in fresh for id_ in live.standing_ids(con, rule, now)]
    engine = live.engine(con, ledger, rules, found, also, now)
    for rule in rules:  # a job file that is none is refused before anything is done
        if rule.scope != "each":
            measures.measure_of(rule)
    return Turn(con, ledger, rules, now, found, engine)


def _happened(turn: Turn, edited: Mapping[str, bool]) -> list[Happened]:
    """Return everything that was judged, in order."""
    happened = _first(turn, edited)
    for run in turn.found.runs:
        happened += turn.engine.play(run)
    for rule in turn.rules:
        if rule.scope != "each":
            happened += _measured(turn, rule)
        elif rule.condition.kind == "source_down":
            happened += sources.failed(rule, turn.found.looks, turn.states)
        elif rule.condition.kind == "stale":
            happened += sources.unseen(turn.con, rule, turn.now, turn.states)
    turn.engine.changed |= {(one.rule.name, one.subject.fingerprint) for one in happened}
    turn.words |= sources.words_of(happened)
    return happened


# -- rules that are new or were edited -------------------------------------------------------


def _first(turn: Turn, edited: Mapping[str, bool]) -> list[Happened]:
    """Judge what stands already, for absolute rules that are new or were edited."""
    looks = live.newest_looks(turn.con) if edited else {}
    happened: list[Happened] = []
    for rule in turn.engine.rules:
        if rule.name not in edited:
            continue
        if edited[rule.name]:
            _edit(turn, rule)
        if rule.condition.relative:
            continue
        for id_ in live.standing_ids(turn.con, rule, turn.now):
            one = turn.engine.series[id_]
            look = looks.get((one.provider, one.part))
            if look and look not in turn.found.looks:
                happened += turn.engine.first(rule, look, [id_])
    return happened


def _edit(turn: Turn, rule: Rule) -> None:
    """Take an edited rule to what is remembered of it."""
    asked = terms(rule)
    by_print = {one.fingerprint: one for one in turn.engine.series.values()}
    for key, state in list(turn.states.items()):
        if key[0] != rule.name:
            continue
        one = by_print.get(key[1])
        limit = None
        if one and state.last_at and not rule.condition.relative:
            limit = _limit(turn, rule, one.series_id, state)
        turn.states[key] = machine.edited(asked, state, turn.now, limit)
        turn.engine.changed.add(key)


def _limit(turn: Turn, rule: Rule, id_: int, state: State) -> Decimal | None:
    course = turn.engine.courses.get(id_)
    entry = course.at(turn.now) if course else None
    if course is None or entry is None:
        return None
    seen = Seen(kind=Kind.PRICE, at=turn.now, scan_id=0, price=entry.price)
    return ground(rule.condition, turn.engine.series[id_], course, entry, turn.engine.rates,
                  state, seen, None).value  # fmt: skip


# -- measures --------------------------------------------------------------------------------


def _measured(turn: Turn, rule: Rule) -> list[Happened]:
    """Judge a rule about many series, once for all the looks that are new."""
    looks = [look for look in turn.found.looks if look.seen and not look.anew]
    key = (rule.name, f"{rule.scope}:{rule.name}")
    trail = _trail(turn.ledger, rule)
    if not looks and key in turn.states and trail:
        return []
    at = max((look.at for look in looks), default=turn.now)
    scan_id = max((look.scan_id for look in looks), default=0)
    measure = measures.measure_of(rule)
    seeded = [] if trail else measures.seed(turn.con, rule, measure, at)
    past = [Point(p.at, p.value, p.who) for p in (*seeded, *trail)]
    measured = measure(turn.con, rule, at)
    state = turn.states.get(key, State())
    last = _last_series(turn.ledger, rule)
    one = measures.judge(turn.con, rule, measured, past, state, at, scan_id, last)
    turn.states[key] = one.step.state
    turn.points[rule.name] = seeded
    if measured:
        now = Point(at, measured.value, f"{measured.who}\x1f{measured.series_id or ''}")
        turn.points[rule.name] = [*seeded, now]
    return [one]


def _trail(ledger: Ledger, rule: Rule) -> list[Point]:
    rows = ledger.trail(rule.name)
    return [Point(at, value, who.partition("\x1f")[0]) for at, value, who in rows]


def _last_series(ledger: Ledger, rule: Rule) -> int | None:
    rows = ledger.trail(rule.name)
    id_ = rows[-1][2].partition("\x1f")[2] if rows else ""
    return int(id_) if id_ else None


# -- what is written -------------------------------------------------------------------------


def _expire(ledger: Ledger, rules: Iterable[Rule], routes: Routes, now: datetime) -> list[Row]:
    """Tell that rules have ended."""
    posted = []
    for rule in rules:
        ledger.note_expired(rule.name, now)
        id_ = event_id(rule.name, rule.version, 0, "expired", 0)
        title = f"rule {rule.name} has expired: {rule.when} ({rule.selector_words()})"
        payload = posting.notice_payload(id_, "expired", title, now, rule)
        for channel in routes.of(rule):
            row = Row(id_, channel, rule.name, "expired", payload, now, now, 0, None)
            ledger.outbox.post(row)
            posted.append(row)
    return posted


def _keep(turn: Turn, routed: Routed, now: datetime) -> None:
    """Write down what is remembered from here on."""
    ledger, words = turn.ledger, turn.words
    changed = [(key, turn.states.get(key), words.get(key, "")) for key in turn.engine.changed]
    ledger.keep(changed)
    ledger.journal.note_evaluations(routed.gates)
    logged = [(one, gate) for one, gate in routed.gates if _is_logged(one, gate)]
    ledger.journal.note_events(logged, now)
    ledger.note_renamed(
        (turn.engine.series[old].fingerprint, turn.engine.series[new].fingerprint, at)
        for old, new, at in turn.engine.renamed
    )
    for name, points in turn.points.items():
        ledger.note_trail(name, points)
    ledger.note_cursors(turn.found.cursors)
    ledger.note_now(now)
    ledger.tidy(now)


def _is_logged(one: Happened, gate: str) -> bool:
    """Whether it belongs into the log: what happened, once; not that it is still untold."""
    event = one.step.event
    return bool(event and event.kind in LOGGED and (not event.again or gate == "sent"))


def counts(ledger: Ledger) -> Counter[tuple[str, str]]:
    """Return how many subjects of a rule are in a state that is not at rest, by (rule, state)."""
    return Counter((rule, str(state.name)) for (rule, _), (state, _) in ledger.active().items())


def begin(con: "duckdb.DuckDBPyConnection", ledger: Ledger) -> None:
    """Take what the tape has now as history, if the ledger is new: a rule counts from here on."""
    with ledger.whole():
        found = live.news(con, ledger)
        if found.first:
            ledger.note_cursors(found.cursors)
