"""One rule and one series: what a look does to what is remembered. No input, no output, no clock.

    LEARNING ──enough history──▶ OK ──true──▶ PENDING ──confirmed──▶ FIRING ──over, confirmed▶ OK
                                 ▲              │ not true any more      │ 14 days: new normal ─▶ OK
                                 └── a glitch ──┘                        └ no longer listed ─▶ GONE

STALE is any of them while its source is down: frozen, it neither fires nor ends. The baseline is
frozen from the first look that is true until the episode is over, else a fall would pull its own
median down. Every look says which gate stopped it, for `gputape alerts why`.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from gputape.app.alerts.states import (
    Event,
    Ground,
    Kind,
    Name,
    Recall,
    Seen,
    State,
    Step,
    Terms,
)

REBASE = timedelta(days=14)
APART = timedelta(minutes=10)
"""The same bytes so soon after may be a cache's: no second witness."""


def step(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:
    """Take one look. Looks come in the order of recording; an older one changes nothing."""
    if state.last_at and _is_older(seen, state):
        return Step(state, None, "same look", "this look was taken already")
    if state.name is Name.STALE:
        state = replace(state, name=state.frozen or Name.LEARNING, frozen=None)
    if _read_anew(state, seen):
        return _noted(_corrected(state, seen), seen)
    taken = WAYS[seen.kind](terms, state, seen, recall)
    return _noted(taken, seen)


def _is_older(seen: Seen, state: State) -> bool:
    """Whether a look was taken before: the tape keeps time from running backwards in a part."""
    return (seen.at, seen.scan_id) <= (state.last_at, state.last_scan)


def _noted(taken: Step, seen: Seen) -> Step:
    was = taken.state
    state = replace(
        was,
        last_at=max(seen.at, was.last_at or seen.at),
        last_scan=seen.scan_id,
        reading=max(seen.reading, was.reading),
        evaluations=was.evaluations + 1,
        previous=seen.price if seen.kind is Kind.PRICE else was.previous,
    )
    event = taken.event and replace(taken.event, after=state)
    return Step(state, event, taken.gate, taken.sentence)


def _event(kind: str, before: State, after: State, ground: Ground | None = None, *,
           already: bool = False, again: bool = False) -> Event:  # fmt: skip
    known = ground or Ground(after.baseline or before.baseline,
                             after.baseline_text or before.baseline_text)  # fmt: skip
    return Event(kind=kind, before=before, after=after, ground=known, already=already, again=again)


def _quiet(state: State, name: Name, at: datetime) -> State:
    """Return the state at rest: nothing pending, no episode."""
    since = state.since if state.name is name else at
    return replace(state, name=name, since=since, baseline=None, baseline_text="", began_at=None,
                   from_price=None, confirmed=0, witnessed_at=None, over=0, deeper=0,
                   moved_together=None, fired_at=None, sent_price=None, untold=False,
                   lowest=None, seq=0)  # fmt: skip


def _read_anew(state: State, seen: Seen) -> bool:
    return seen.corrected or (state.last_at is not None and seen.reading > state.reading)


def _corrected(state: State, seen: Seen) -> Step:
    after = replace(_quiet(state, Name.LEARNING, seen.at), entry=None, previous=None)
    sentence = "we read the source otherwise since: a correction, not a price move"
    return Step(after, _event("correction", state, after), "correction", sentence)


# -- nothing that counts as a price ----------------------------------------------------------


def _gone(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:  # noqa: ARG001  # one signature
    after = _quiet(state, Name.GONE, seen.at)
    if state.name is Name.FIRING:
        return Step(after, _event("offer_gone", state, after), "offer gone",
                    "no longer listed: gone, not recovered")  # fmt: skip
    if state.name is Name.PENDING:
        return Step(after, _event("glitch", state, after), "glitch",
                    "no longer listed before it was confirmed")  # fmt: skip
    return Step(after, None, "offer gone", "no longer listed")


def _missing(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:  # noqa: ARG001  # one signature
    return Step(state, None, "not a price", seen.why or "listed without a price")


def _held(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:
    """Take a price that the tape holds back: a witness of a move, never the one that tells."""
    price = seen.price
    if price is None or state.name is Name.FIRING:
        return Step(state, None, "held back", seen.why or "not believed yet")
    ground = recall(state, seen)
    reference = state.baseline if state.name is Name.PENDING else ground.value
    true = reference is not None and terms.condition.holds(price, reference)
    if state.name is Name.PENDING and not true:
        return _glitch(state, seen)
    if not true or (state.name is Name.LEARNING and not _enough(terms, ground)):
        return Step(state, None, "held back", seen.why or "not believed yet")
    after = _witness(state, seen) if state.name is Name.PENDING else _begin(state, seen, ground)
    return Step(after, None, "held back", f"{seen.why}: counted as one look of several")


# -- a price ---------------------------------------------------------------------------------


def _priced(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:
    match state.name:
        case Name.PENDING:
            return _pending(terms, state, seen)
        case Name.FIRING:
            return _firing(terms, state, seen)
    return _at_rest(terms, state, seen, recall)


def _enough(terms: Terms, ground: Ground) -> bool:
    return not terms.condition.relative or (ground.value is not None and (
        ground.observations >= terms.min_observations and ground.days >= terms.min_days
    ))  # fmt: skip


def _at_rest(terms: Terms, state: State, seen: Seen, recall: Recall) -> Step:
    ground = recall(state, seen)
    if terms.condition.reference == "entry" and state.entry is None:
        state = replace(state, entry=ground.value)
    if not _enough(terms, ground) or ground.value is None:
        after = _quiet(state, Name.LEARNING, seen.at)
        return Step(after, None, "learning", f"{ground.observations} looks over "
                    f"{ground.days:.1f} days are known; {terms.min_observations} over "
                    f"{terms.min_days} days are needed")  # fmt: skip
    if not terms.condition.holds(_price(seen), ground.value):
        after = _quiet(state, Name.OK, seen.at)
        return Step(after, None, "not true", f"{_price(seen).normalize():f} against {ground.text}")
    pending = _begin(state, seen, ground)
    first = state.last_at is None and seen.stood > 1
    if first and not terms.condition.relative:
        pending = replace(pending, confirmed=seen.stood)
    return _judged(terms, pending, seen, ground, already=first)


def _begin(state: State, seen: Seen, ground: Ground) -> State:
    quiet = _quiet(state, Name.PENDING, seen.at)
    return replace(quiet, baseline=ground.value, baseline_text=ground.text, confirmed=1,
                   began_at=seen.at, witnessed_at=seen.at, moved_together=seen.moved_together,
                   from_price=ground.previous or state.previous)  # fmt: skip


def _witness(state: State, seen: Seen) -> State:
    """Count a look, unless it may be a cached answer."""
    soon = state.witnessed_at is not None and seen.at - state.witnessed_at < APART
    if seen.same_bytes and soon:
        return state
    return replace(state, confirmed=state.confirmed + 1, witnessed_at=seen.at,
                   moved_together=state.moved_together or seen.moved_together)  # fmt: skip


def _pending(terms: Terms, state: State, seen: Seen) -> Step:
    if state.baseline is None or not terms.condition.holds(_price(seen), state.baseline):
        return _glitch(state, seen)
    counted = _witness(state, seen)
    return _judged(terms, counted, seen, Ground(state.baseline, state.baseline_text))


def _glitch(state: State, seen: Seen) -> Step:
    after = _quiet(state, Name.OK, seen.at)
    return Step(after, _event("glitch", state, after), "glitch",
                f"true for {state.confirmed} of its looks, then not any more")  # fmt: skip


def _judged(terms: Terms, state: State, seen: Seen, ground: Ground, *,
            already: bool = False) -> Step:  # fmt: skip
    """Fire when enough looks agree."""
    price = _price(seen)
    against = state.baseline if terms.condition.relative else state.from_price
    needed = terms.needed(price, against)
    if state.confirmed < needed and not already:
        return Step(state, None, "confirmation", f"{state.confirmed} of {needed} looks agree")
    after = replace(state, name=Name.FIRING, since=seen.at, fired_at=seen.at, sent_price=price,
                    lowest=price, episode=state.episode + 1, seq=1, over=0, deeper=0)  # fmt: skip
    if already and not terms.already_true:
        return Step(after, None, "already true", "it was true before the rule was made")
    fired = _event("fired", state, after, ground, already=already)
    return Step(after, fired, "sent", f"{state.confirmed} looks agree")


def _firing(terms: Terms, state: State, seen: Seen) -> Step:
    price, baseline = _price(seen), state.baseline or Decimal()
    state = replace(state, lowest=min(price, state.lowest or price))
    old = state.fired_at is not None and seen.at - state.fired_at >= REBASE
    if old and terms.condition.relative:
        after = _quiet(state, Name.OK, seen.at)
        return Step(after, _event("rebased", state, after), "new normal",
                    f"{REBASE.days} days: the price is the normal one now")  # fmt: skip
    if terms.condition.released(price, baseline):
        return _leaving(terms, state, seen)
    state = replace(state, over=0)
    if state.untold and terms.condition.holds(price, baseline):
        after = replace(state, sent_price=price)
        return Step(after, _event("fired", state, after, again=True), "sent",
                    "could not be told before, and is still true")  # fmt: skip
    return _further(terms, state, seen)


def _leaving(terms: Terms, state: State, seen: Seen) -> Step:
    state = replace(state, over=state.over + 1, deeper=0)
    if seen.offer_left:
        after = _quiet(state, Name.OK, seen.at)
        return Step(after, _event("offer_gone", state, after), "offer gone",
                    "the cheapest offer is gone: not recovered")  # fmt: skip
    needed = terms.leave or terms.confirm
    if state.over < needed:
        return Step(state, None, "hysteresis", f"over for {state.over} of {needed} looks")
    after = _quiet(state, Name.OK, seen.at)
    return Step(after, _event("recovered", state, after), "recovered", "over, and confirmed")


def _further(terms: Terms, state: State, seen: Seen) -> Step:
    price = _price(seen)
    if not terms.condition.deeper(price, state.sent_price or price, terms.further):
        return Step(replace(state, deeper=0), None, "told already",
                    f"episode {state.episode} was told at {state.sent_price:f}")  # fmt: skip
    state = replace(state, deeper=state.deeper + 1)
    told_at = state.told_at or state.fired_at or seen.at
    if state.deeper < terms.needed(price, state.sent_price):
        return Step(state, None, "confirmation", f"further: {state.deeper} looks agree")
    if seen.at - told_at < terms.cooldown:
        return Step(state, None, "cooldown", f"told at {told_at:%Y-%m-%d %H:%M}")
    after = replace(state, sent_price=price, seq=state.seq + 1, deeper=0)
    return Step(after, _event("further", state, after), "sent", "it went on, confirmed")


def _price(seen: Seen) -> Decimal:
    if seen.price is None:
        raise ValueError("a price is seen without one")
    return seen.price


WAYS = {Kind.PRICE: _priced, Kind.HELD: _held, Kind.MISSING: _missing, Kind.GONE: _gone}


def source_down(state: State, at: datetime) -> State:
    """Freeze: nothing fires and nothing ends while its source can not be asked."""
    if state.name is Name.STALE:
        return state
    return replace(state, name=Name.STALE, frozen=state.name, since=at)


def told(state: State, at: datetime, price: Decimal | None) -> State:
    """Note that somebody was told."""
    return replace(state, told_at=at, told_price=price, untold=False)


def edited(terms: Terms, state: State, at: datetime, limit: Decimal | None) -> State:
    """Take a rule that was edited: what was told stays told as long as it is true.

    `limit` is the new one of an absolute rule; a relative one keeps the baseline of its episode.
    What is not firing is judged anew, as by a new rule.
    """
    if Name.FIRING in (state.name, state.frozen) and state.previous:
        baseline = limit or state.baseline
        if baseline and terms.condition.holds(state.previous, baseline):
            return replace(state, baseline=baseline)
    rest = _quiet(state, Name.LEARNING, at)
    return rest if terms.condition.relative else replace(rest, last_at=None, last_scan=0)
