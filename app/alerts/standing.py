"""What is true now: every rule against the prices as they stand, whatever was told of them.

Nothing is remembered and nothing told. A price is measured against what was before it, so that a
fall stays a fall until it is the normal price; imported and replayed prices count here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from gputape.app.alerts import live, measures, tapelooks
from gputape.app.alerts.condition import OF_SOURCES
from gputape.app.alerts.engine import matches, terms
from gputape.app.alerts.grounds import ground
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.machine import REBASE
from gputape.app.alerts.observations import Course, Entry, Series, outside_band
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Kind, Name, Seen, State
from gputape.store.literal import filled
from gputape.store.rates import Rates

if TYPE_CHECKING:
    import duckdb

CURRENT = """
select series_id from offers_at($at)
where state = 'firm' and not (origin = 'import' and stale) and ($since is null or since >= $since)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One rule that is true of something."""

    rule: str
    subject: str
    price: Decimal
    """Native, for the whole sku, per hour; of a measure its figure."""
    currency: str
    against: Decimal | None
    text: str
    state: str
    """FIRING when it was told, PENDING while it waits for confirmation, else `true`."""


def standing(
    con: "duckdb.DuckDBPyConnection", ledger: Ledger, rules: Iterable[Rule], now: datetime,
) -> list[Holding]:  # fmt: skip
    """Return everything that is true at a moment, rule by rule."""
    chosen = list(rules)
    each = [r for r in chosen if r.scope == "each" and not r.condition.of_sources]
    active = {key: state for key, (state, _) in ledger.active().items()}
    found = _of_series(con, each, now, active)
    for rule in chosen:
        if rule.condition.kind in OF_SOURCES:
            found += _of_sources(rule, ledger)
        elif rule.scope != "each":
            found += _of_measure(con, rule, now, ledger)
    return sorted(found, key=lambda one: (one.rule, one.subject))


def _of_series(con: "duckdb.DuckDBPyConnection", rules: Sequence[Rule], now: datetime,
               active: Mapping[tuple[str, str], State]) -> list[Holding]:  # fmt: skip
    if not rules:
        return []
    # a price that has stood for longer than a window is the normal one
    quick = all(rule.condition.relative for rule in rules)
    windows = [rule.condition.window or REBASE for rule in rules]
    since = now - max(*windows, REBASE) if quick else None
    ids = [id_ for (id_,) in con.execute(filled(CURRENT, {"at": now, "since": since})).fetchall()]
    series = {id_: one for id_, one in tapelooks.series(con, _where(ids)).items()
              if any(matches(rule, one) for rule in rules)}  # fmt: skip
    courses = live.courses(con, series, live.history_start(rules, since or now))
    rates = Rates.of(con)
    return [
        one
        for id_, course in courses.items()
        for rule in rules
        if matches(rule, series[id_])
        and (one := _judge(rule, series[id_], course, rates, now, active))
    ]


def _where(ids: Sequence[int]) -> str:
    return f"s.series_id in ({', '.join(map(str, ids)) or 'null'})"


def _judge(rule: Rule, series: Series, course: Course, rates: Rates, now: datetime,
           active: Mapping[tuple[str, str], State]) -> Holding | None:  # fmt: skip
    entry = course.firm_at(now)
    if entry is None or entry.price is None or outside_band(series, entry):
        return None
    state = active.get((rule.name, series.fingerprint), State())
    price = Decimal(int(entry.available is not False)) if rule.condition.kind == "available" \
        else entry.price  # fmt: skip
    value, text = state.baseline, state.baseline_text
    if value is None:
        value, text = _against(rule, series, course, entry, rates, now)
    if value is None or not rule.condition.holds(price, value):
        return None
    name = state.name if state.name in (Name.FIRING, Name.PENDING) else "true"
    return Holding(rule=rule.name, subject=series.words, price=entry.price, currency=entry.currency,
                 against=value, text=text, state=str(name))  # fmt: skip


def _against(rule: Rule, series: Series, course: Course, entry: Entry, rates: Rates,
             now: datetime) -> tuple[Decimal | None, str]:  # fmt: skip
    """Return the reference as it was when the present price was first seen."""
    asked = terms(rule)
    relative = rule.condition.relative
    window = rule.condition.window or REBASE
    if relative and now - entry.at > window:
        return None, "it has stood for longer than the window"
    seen = Seen(kind=Kind.PRICE, at=entry.at, scan_id=entry.scan_id, price=entry.price)
    found = ground(rule.condition, series, course, entry, rates, State(), seen, None)
    short = found.observations < asked.min_observations or found.days < asked.min_days
    return (None, "too little is known") if relative and short else (found.value, found.text)


def _of_sources(rule: Rule, ledger: Ledger) -> list[Holding]:
    return [
        Holding(rule=rule.name, subject=words, price=Decimal(1), currency="", against=None,
              text=rule.when, state=str(state.name))
        for (name, _), (state, words) in ledger.active().items()
        if name == rule.name and state.name is Name.FIRING
    ]  # fmt: skip


def _of_measure(con: "duckdb.DuckDBPyConnection", rule: Rule, now: datetime, ledger: Ledger
                ) -> list[Holding]:  # fmt: skip
    measure = measures.measure_of(rule, played=True)
    measured = measure(con, rule, now)
    trail = [measures.Point(at, value, who) for at, value, who in ledger.trail(rule.name)]
    points = trail or measures.seed(con, rule, measure, now)
    one = measures.judge(con, rule, measured, points, State(), now, 1)
    state, event = one.step.state, one.step.event
    reference = event.ground.value if event else state.baseline
    if measured is None or reference is None or state.name not in (Name.FIRING, Name.PENDING):
        return []
    return [Holding(rule=rule.name, subject=f"{one.subject.words} ({measured.who})",
                  price=measured.value, currency="USD" if "usd" in measured.unit else "",
                  against=reference, text=state.baseline_text, state="true")]  # fmt: skip
