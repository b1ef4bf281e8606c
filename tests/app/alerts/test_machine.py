"""The machine against a naive model: random looks, the same messages."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.app.alerts import machine
from gputape.app.alerts.condition import condition
from gputape.app.alerts.ledger import _said, _state
from gputape.app.alerts.states import Ground, Kind, Name, Seen, State, Terms

START = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LIMIT = Decimal(2)
TERMS = Terms(condition=condition("below 2"), cooldown=timedelta())
PRICES = st.one_of(st.none(), st.sampled_from([Decimal(p) / 100 for p in range(100, 301, 7)]))


def looks(prices: list[Decimal | None]) -> list[Seen]:
    """A look a day; None is an offer that is gone."""
    return [
        Seen(kind=Kind.GONE if p is None else Kind.PRICE, at=START + i * DAY, scan_id=i, price=p)
        for i, p in enumerate(prices)
    ]


def told(prices: list[Decimal | None]) -> list[tuple[int, str]]:
    """What the machine tells, restarted between all looks."""
    state, found, previous = State(), [], None
    for i, seen in enumerate(looks(prices)):
        ground = Ground(LIMIT, "the limit", previous=previous)
        state, event, _, _ = machine.step(TERMS, state, seen, lambda *_, g=ground: g)  # type: ignore[misc]
        assert _state(_said(state)) == state
        previous = seen.price or previous
        if event and event.kind != "glitch":
            found.append((i, event.kind))
    return found


def naive(prices: list[Decimal | None]) -> list[tuple[int, str]]:
    """The same in plain words: runs of looks, and what was said last."""
    found: list[tuple[int, str]] = []
    firing, sent, run, over, deep, before, needed = False, LIMIT, 0, 0, 0, None, 2
    for i, price in enumerate(prices):
        if price is None:
            if firing:
                found.append((i, "offer_gone"))
            firing, run = False, 0
            continue
        if firing:
            over = over + 1 if price > LIMIT * Decimal("1.02") else 0
            lower = price <= sent * Decimal("0.95")
            deep = deep + 1 if lower else deep if over else 0
            deep = 0 if over else deep
            large = abs(price / sent - 1) > Decimal("0.5")
            if over == 2:
                firing, run = False, 0
                found.append((i, "recovered"))
            elif lower and deep >= (3 if large else 2):
                found.append((i, "further"))
                sent, deep = price, 0
        elif price < LIMIT:
            start = before if run == 0 else start  # noqa: F821  # set when the run begins
            run += 1
            needed = 3 if start and abs(price / start - 1) > Decimal("0.5") else 2
            if run >= needed:
                firing, sent, over, deep = True, price, 0, 0
                found.append((i, "fired"))
        else:
            run = 0
        before = price
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(PRICES, max_size=30))
def test_the_machine_tells_what_a_naive_reading_tells(prices: list[Decimal | None]) -> None:
    """Fired, further, recovered and gone, look by look, whatever the prices do."""
    assert told(prices) == naive(prices)


@settings(max_examples=200, deadline=None)
@given(st.lists(PRICES, max_size=30))
def test_no_message_without_two_looks_that_agree(prices: list[Decimal | None]) -> None:
    """Whenever something fires, the look before was under the limit too."""
    for i, kind in told(prices):
        if kind == "fired":
            assert (prices[i] or LIMIT) < LIMIT
            assert (prices[i - 1] or LIMIT) < LIMIT


def test_the_fourteenth_day_makes_a_price_the_normal_one() -> None:
    """A relative rule is at rest then, without a word, and would fire anew from there."""
    terms = Terms(condition=condition("drop 5% of median:14d"), min_observations=1, min_days=0)
    state, kinds = State(), []
    for i, price in enumerate([Decimal(2)] * 3 + [Decimal("1.5")] * 17):
        seen = Seen(kind=Kind.PRICE, at=START + i * DAY, scan_id=i, price=price)
        ground = Ground(Decimal(2), "the median", 9, 9.0, Decimal(2))
        state, event, _, _ = machine.step(terms, state, seen, lambda *_, g=ground: g)  # type: ignore[misc]
        kinds += [(i, event.kind)] if event else []

    assert kinds[:2] == [(4, "fired"), (18, "rebased")]


def test_a_frozen_state_thaws_as_it_was() -> None:
    """Down and back: what was pending still is, with its one look."""
    seen = looks([Decimal("1.9")])[0]
    state = machine.step(TERMS, State(), seen, lambda *_: Ground(LIMIT, "")).state
    frozen = machine.source_down(state, START)

    assert (state.name, frozen.name) == (Name.PENDING, Name.STALE)
    assert machine.source_down(frozen, START + DAY) == frozen
