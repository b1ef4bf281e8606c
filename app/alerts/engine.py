"""A run of looks through the machine: every rule, every series that a look has news of.

A series is judged when a look has a row of its own for it, and as long as it is pending or firing:
a price that stays as it was, at rest, is not judged again. What is remembered of thousands of
quiet series is therefore nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gputape.app.alerts import machine
from gputape.app.alerts.grounds import ground
from gputape.app.alerts.observations import (
    FAILED,
    WITNESSED,
    Course,
    Entry,
    Look,
    Series,
    outside_band,
)
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import CONFIRM, Ground, Kind, Name, Seen, State, Step, Terms
from gputape.store.gpus import families
from gputape.store.rates import Rates

ACTIVE = frozenset({Name.PENDING, Name.FIRING, Name.STALE})
FAILURES = 3  # in a row, until a source counts as down
TOGETHER_SHARE = Decimal("0.3")  # of a source's series moving in one run (alerts.md 5.2, 6) …
TOGETHER_LEAST = 5  # … and so many at least: of three prices one is a third
MOVED = Decimal("0.05")  # what counts as moving: a price list's own threshold
MOMENT = timedelta(microseconds=1)
Key = tuple[str, str]
"""A rule's name and a fingerprint."""


class Run(NamedTuple):
    """Looks that belong together: one collection, or one snapshot of an import."""

    looks: list[Look]
    rows: Mapping[int, Sequence[int]]
    """By scan: the series it has rows of."""

    @property
    def at(self) -> datetime:
        """When its newest look was."""
        return max(look.at for look in self.looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a rule's state is of: a series, the best of many, a source."""

    fingerprint: str
    words: str
    provider: str
    series: Series | None = None
    unit: str = "price"
    """price (native, whole sku, per hour), usd_gpu_hour, ratio, index, usd, failures, hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One look at one subject, judged by one rule."""

    rule: Rule
    subject: Subject
    at: datetime
    seen: Seen
    step: Step
    entry: Entry | None = None
    look: Look | None = None
    notes: tuple[str, ...] = ()


def terms(rule: Rule) -> Terms:
    """Return what a rule asks of the machine."""
    found = rule.condition
    usual = {"source_down": FAILURES, "stale": 1}.get(found.kind, CONFIRM)
    return Terms(
        condition=found,
        confirm=rule.confirm or usual,
        min_observations=rule.min_observations,
        min_days=found.history_days if rule.min_days is None else rule.min_days,
        cooldown=rule.cooldown,
        already_true=rule.already_true,
        leave=1 if found.of_sources else None,
    )


def matches(rule: Rule, series: Series) -> bool:
    """Whether a series is one that a rule is about."""
    gpus = rule.gpus
    return (
        (gpus is None or series.gpu in gpus)
        and (not rule.provider or series.provider in rule.provider)
        and (rule.region is None or series.region.casefold().startswith(rule.region.casefold()))
        and rule.option in (None, series.option)
        and rule.tier in (None, series.tier)
        and rule.term_months in (None, series.term_months)
        and (rule.min_gpus is None or series.gpu_count >= rule.min_gpus)
        and (rule.market == "any" or (rule.market == "firm") == series.firm)
    )


@dataclass(slots=True)
class Engine:
    """The rules on each series, what is remembered, and what is known of the tape."""

    rules: Sequence[Rule]
    states: dict[Key, State]
    series: Mapping[int, Series]
    courses: Mapping[int, Course]
    rates: Rates
    created: Mapping[str, datetime] = field(default_factory=dict)
    renamed: list[tuple[int, int, datetime]] = field(default_factory=list)
    """(old series, new series, when): the provider calls it otherwise since."""
    changed: set[Key] = field(default_factory=set)
    _terms: dict[str, Terms] = field(init=False)
    _matching: dict[int, list[Rule]] = field(default_factory=dict)
    _active: dict[tuple[str, str], set[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.rules = [r for r in self.rules if r.scope == "each" and not r.condition.of_sources]
        self._terms = {rule.name: terms(rule) for rule in self.rules}
        self._active = defaultdict(set)
        active = {print_ for (_, print_), state in self.states.items() if state.name in ACTIVE}
        for series in self.series.values():
            if series.fingerprint in active:
                self._active[series.provider, series.part].add(series.series_id)

    def play(self, run: Run) -> Iterator[Happened]:
        """Take a run's looks in the order of recording."""
        together = self._together(run)
        for look in run.looks:
            if look.status in FAILED:
                self._freeze(look)
            if look.seen:
                yield from self._look(look, run.rows.get(look.scan_id, ()), together)

    def first(self, rule: Rule, look: Look, ids: Iterable[int]) -> Iterator[Happened]:
        """Judge what stands already, for a rule that is new or was edited."""
        for id_ in ids:
            if matches(rule, self.series[id_]) and id_ in self.courses:
                happened = self._judge(rule, self.series[id_], look, None)
                if happened:
                    yield happened

    # -- a look -------------------------------------------------------------------------------

    def _look(self, look: Look, ids: Sequence[int], together: Mapping[str, str]
              ) -> Iterator[Happened]:  # fmt: skip
        part = (look.provider, look.part)
        old = self._rename(look, ids)
        touched = {id_ for id_ in ids if id_ not in old}
        waiting = set() if look.anew else self._active[part] - touched - old
        for id_ in sorted(touched | waiting):
            if id_ not in self.courses:
                continue
            for rule in self._rules_of(id_):
                key = (rule.name, self.series[id_].fingerprint)
                state = self.states.get(key)
                if id_ in touched or (state and state.name in ACTIVE):
                    found = self._judge(rule, self.series[id_], look, together.get(look.provider))
                    if found:
                        yield found
            self._note_active(part, id_)

    def _judge(self, rule: Rule, series: Series, look: Look, together: str | None
               ) -> Happened | None:  # fmt: skip
        course = self.courses[series.series_id]
        entry = course.at(look.at)
        if entry is None:
            return None
        key = (rule.name, series.fingerprint)
        asked = self._terms[rule.name]
        seen = self._seen(asked, series, course, entry, look, together)
        created = self.created.get(rule.name)

        def recall(state: State, at: Seen) -> Ground:
            return ground(asked.condition, series, course, entry, self.rates, state, at, created)

        step = machine.step(asked, self.states.get(key, State()), seen, recall)
        self.states[key] = step.state
        self.changed.add(key)
        subject = Subject(fingerprint=series.fingerprint, words=series.words,
                          provider=series.provider, series=series)  # fmt: skip
        return Happened(rule=rule, subject=subject, at=look.at, seen=seen, step=step, entry=entry,
                        look=look)  # fmt: skip

    def _seen(self, asked: Terms, series: Series, course: Course, entry: Entry, look: Look,
              together: str | None) -> Seen:  # fmt: skip
        kind, price, why = _said(series, entry)
        if asked.condition.kind == "available":
            offered = kind is Kind.PRICE and entry.available is not False
            kind, price, why = Kind.PRICE, Decimal(int(offered)), None
        return Seen(
            kind=kind,
            at=look.at,
            scan_id=look.scan_id,
            price=price,
            why=why,
            same_bytes=look.status == "unchanged",
            stood=_stood(course, entry, look),
            corrected=course.correction_at(look.at),
            reading=course.reading(look.at),
            moved_together=together,
        )

    def _rules_of(self, id_: int) -> list[Rule]:
        if id_ not in self._matching:
            self._matching[id_] = [r for r in self.rules if matches(r, self.series[id_])]
        return self._matching[id_]

    def _note_active(self, part: tuple[str, str], id_: int) -> None:
        print_ = self.series[id_].fingerprint
        names = (self.states.get((rule.name, print_)) for rule in self._rules_of(id_))
        if any(state and state.name in ACTIVE for state in names):
            self._active[part].add(id_)
        else:
            self._active[part].discard(id_)

    # -- a source -----------------------------------------------------------------------------

    def _freeze(self, look: Look) -> None:
        """Neither fire nor end anything of a source that can not be asked."""
        parts = [p for p in self._active if p[0] == look.provider and look.part in (p[1], "*")]
        for id_ in {id_ for part in parts for id_ in self._active[part]}:
            for rule in self._rules_of(id_):
                key = (rule.name, self.series[id_].fingerprint)
                state = self.states.get(key)
                if state and state.name in ACTIVE:
                    self.states[key] = machine.source_down(state, look.at)
                    self.changed.add(key)

    def _together(self, run: Run) -> dict[str, str]:
        """Say of which sources so many prices changed at once that the page may have."""
        moved: dict[str, int] = defaultdict(int)
        listed: dict[str, int] = defaultdict(int)
        for look in run.looks:
            if look.seen and not look.anew:
                listed[look.provider] += look.offers
                moved[look.provider] += sum(
                    self._moved(id_, look) for id_ in run.rows.get(look.scan_id, ())
                )
        return {
            provider: f"{count} of {listed[provider]} prices changed at once"
            for provider, count in moved.items()
            if count >= TOGETHER_LEAST and count >= TOGETHER_SHARE * listed[provider]
        }

    def _moved(self, id_: int, look: Look) -> bool:
        course = self.courses.get(id_)
        now = course and course.at(look.at)
        before = course and course.firm_at(look.at - MOMENT)
        if not (now and before and now.price and before.price):
            return False
        return now.currency == before.currency and abs(now.price / before.price - 1) >= MOVED

    # -- names --------------------------------------------------------------------------------

    def _rename(self, look: Look, ids: Sequence[int]) -> set[int]:
        """Take up what is called otherwise since this look; return the old names' series.

        Gone and new in one look, alike in everything but the sku, at the same price, and the only
        such pair: the provider renamed it.
        """
        left = [id_ for id_ in ids if self._state_at(id_, look.at) == "gone"
                and self._state_at(id_, look.at - MOMENT) not in (None, "gone")]  # fmt: skip
        came = [id_ for id_ in ids if self._state_at(id_, look.at) == "firm"
                and self._state_at(id_, look.at - MOMENT) in (None, "gone")]  # fmt: skip
        pairs = [(old, new) for old in left for new in came if self._alike(old, new, look.at)]
        found = set()
        for old, new in pairs:
            if sum(old == o or new == n for o, n in pairs) == 1:
                self._take_up(old, new, look.at)
                found.add(old)
        return found

    def _state_at(self, id_: int, at: datetime) -> str | None:
        entry = self.courses[id_].at(at) if id_ in self.courses else None
        return entry.state if entry else None

    def _alike(self, old: int, new: int, at: datetime) -> bool:
        one, other = self.series[old], self.series[new]
        was, is_ = self.courses[old].firm_at(at - MOMENT), self.courses[new].at(at)
        family = families().get(one.gpu)
        return bool(
            one.like(other) and family and family == families().get(other.gpu)
            and was and is_ and (was.price, was.currency) == (is_.price, is_.currency)
        )  # fmt: skip

    def _take_up(self, old: int, new: int, at: datetime) -> None:
        before = [row._replace(series_id=new) for row in self.courses[old].rows if row.at < at]
        self.courses[new].take_up(before, at)
        for rule in self._rules_of(old):
            was = (rule.name, self.series[old].fingerprint)
            key = (rule.name, self.series[new].fingerprint)
            if was in self.states and rule in self._rules_of(new):
                self.states[key] = self.states.pop(was)
                self.changed |= {was, key}
        self._active[self.series[old].provider, self.series[old].part].discard(old)
        self.renamed.append((old, new, at))


def _said(series: Series, entry: Entry) -> tuple[Kind, Decimal | None, str | None]:
    """Judge what a row says: the observation gate."""
    if entry.state == "gone":
        return Kind.GONE, None, "no longer listed"
    if entry.price is None:
        return Kind.MISSING, None, entry.reason or "listed without a price"
    if why := outside_band(series, entry):
        return Kind.MISSING, None, why
    if entry.state == "firm":
        return Kind.PRICE, entry.price, None
    if WITNESSED in (entry.reason or ""):
        return Kind.HELD, entry.price, entry.reason
    return Kind.MISSING, None, entry.reason


def _stood(course: Course, entry: Entry, look: Look) -> int:
    """Return how many looks have said this price by now."""
    return max(1, course.looks.between(entry.at, look.at + MOMENT))
