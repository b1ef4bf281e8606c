"""Random histories, asked of the tape and of a model that keeps every snapshot whole.

`GPUTAPE_EXAMPLES=300 pytest tests/store/test_model.py` looks longer, and shrinks what it finds.
"""

import os
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gputape.store import tape
from gputape.store.known import NOW, know

sys.path.insert(0, str(Path(__file__).parent))
from histories import CALM, HOUR, MINUTE, NAMED, START, THINGS, WILD, Pair, playing, step, steps
from naive_model import FAR, Naive, Thing, rate_of

EXAMPLES = int(os.environ.get("GPUTAPE_EXAMPLES", "0"))  # of each property; 0: a few, not shrunk


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tape: making one takes longer than a history."""
    path = tmp_path_factory.mktemp("empty") / "tape.duckdb"
    with tape.writing(path, START):
        pass
    return path.with_suffix(".writer.duckdb")


property_test = settings(
    max_examples=EXAMPLES or 3,
    deadline=None,
    # one example takes half a second of a core: making a history shorter takes minutes
    phases=[phase for phase in Phase if EXAMPLES or phase is not Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

# -- questions ------------------------------------------------------------------------------------

NAME = "provider || '/' || sku || '/' || option"
INTERVALS = f"select {NAME}, valid_from, valid_to, state, price, available from %s order by 1, 2"
OFFERS = f"""
select {NAME}, state, price, available, since, first_seen, last_seen, stale, standing,
    usd_hour, held_price from %s
"""
CHANGES = f"""
select changed_at, event, {NAME}, old_price, price, percent::double, gpu_hour::double,
    origin from %s
"""
DAYS = """
select day, provider, gpu, option, open_usd_gpu_hour::double, low_usd_gpu_hour::double,
    high_usd_gpu_hour::double, close_usd_gpu_hour::double, mean_usd_gpu_hour::double, series, hours,
    series_hours from v_daily
"""


def same_intervals(pair: Pair, model: Naive, table: str) -> None:
    rows = pair.ask(INTERVALS % table)
    found = []
    for _, group in groupby(rows, lambda row: (row[0], *row[3:])):
        pieces = list(group)
        found.append((pieces[0][0], pieces[0][1], pieces[-1][2] or FAR, *pieces[0][3:]))
    assert found == [
        (one.name, since, until, state.state, state.price, state.available)
        for one in sorted(THINGS, key=lambda one: one.name)
        for since, until, state in model.spans(one)
    ]


def same_offers(
    pair: Pair, model: Naive, table: str, at: datetime, *, recorded: bool, plain: bool
) -> None:
    rows = pair.ask(OFFERS % f"{table}(timestamptz '{at}')")
    states = {one.name: found for one in THINGS if (found := model.state_at(one, at))}
    assert sorted(row[0] for row in rows) == sorted(states)
    for name, state, price, available, since, first, seen, stale, standing, usd, held in rows:
        began, known = states[name]
        one = NAMED[name]
        assert (name, state, price, available, held) == (
            name, known.state, known.price, known.available, None
        )  # fmt: skip
        assert since == began if plain else began <= since <= at
        assert seen == model.last_look(one, at).at
        assert recorded or first == model.first_seen(one)
        assert (stale, standing) == model.standing(one, at, since)
        assert usd == _usd(one, price, at)


def _usd(one: Thing, price: Decimal | None, at: datetime) -> Decimal | None:
    rate = rate_of(one.currency, at.date())
    return price * rate if price and rate else None


def same_changes(pair: Pair, model: Naive, since: datetime, until: datetime) -> None:
    rows = pair.ask(CHANGES % f"changes_between(timestamptz '{since}', timestamptz '{until}')")
    assert sorted(row[:5] for row in rows) == sorted(
        (one.at, one.event, one.thing.name, one.old, one.new)
        for one in model.changes()
        if since < one.at <= until
    )
    for _, _, name, old, new, percent, gpu_hour, origin in rows:
        assert origin != "correction"
        assert percent == (pytest.approx(float(new / old - 1) * 100, abs=0.01) if old and new
                           else None)  # fmt: skip
        assert gpu_hour == (pytest.approx(float(new / NAMED[name].count)) if new else None)


def same_days(pair: Pair, model: Naive) -> None:
    found = {row[:4]: row[4:] for row in pair.ask(DAYS)}
    expected = model.days()
    assert sorted(expected.keys() - found.keys()) == []
    assert sorted(found.keys() - expected.keys()) == []
    for key, figures in found.items():
        known = [figure for figure in figures if figure is not None]
        assert [f is None for f in figures] == [f is None for f in expected[key]], key
        assert known == pytest.approx([f for f in expected[key] if f is not None], rel=1e-5), key


def moments(pair: Pair, some: Random) -> list[datetime]:
    """Return a few moments, in order: before, at and after looks."""
    told = [look.at for look in pair.naive.looks]
    chosen = [some.choice(told), some.choice(told) + some.choice((-1, 1)) * HOUR / 2]
    return sorted([*chosen, pair.told + HOUR])


def agree(pair: Pair, some: Random, *, plain: bool) -> None:
    """Ask every view what the model is asked."""
    model = pair.naive
    same_intervals(pair, model, "v_prices")
    asked = moments(pair, some)
    for at in asked:
        same_offers(pair, model, "offers_at", at, recorded=False, plain=plain)
    at = some.choice(model.looks).told + MINUTE / 2
    same_offers(pair, model.believed(at), "offers_as_recorded", at, recorded=True, plain=plain)
    if not any(look.correction for look in model.looks):
        same_intervals(pair, model, "prices_as_recorded()")
        same_changes(pair, model, *some.choice([(asked[0], asked[1]), (START - 999 * HOUR, FAR)]))
    for later in some.choice([(0, 9), (1,), (9,)]):
        pair.recorder.settle(pair.told + timedelta(days=later))
    same_days(pair, model)


# -- properties -----------------------------------------------------------------------------------

Steps = list[tuple[Any, ...]]
seeds = st.integers(0, 9).map(Random)


@property_test
@given(steps(CALM, past=False, silent=True, anchored=True), seeds)
def test_every_view_says_what_a_model_that_keeps_everything_says(
    template: Path, history: Steps, some: Random
) -> None:
    """Where nothing has to wait, the tape answers as if it had kept every snapshot whole."""
    compare(template, history, some, past=False)


@property_test
@given(steps(CALM, past=True, silent=False, anchored=True), seeds)
def test_so_it_does_when_looks_are_told_in_any_order(
    template: Path, history: Steps, some: Random
) -> None:
    """Imports of the past and readings done anew slot in as if they had been told in time."""
    compare(template, history, some, past=True)


def compare(template: Path, history: Steps, some: Random, *, past: bool) -> None:
    with playing(template) as pair:
        for what in history:
            step(pair, what, past=past)
        looks = pair.naive.looks
        if looks:
            seen = [(one.provider, one.part, one.at) for one in looks]
            agree(pair, some, plain=not past and len(set(seen)) == len(seen))


@property_test
@given(steps(WILD, past=True, silent=True, anchored=False), seeds)
def test_no_history_brings_what_is_derived_and_the_log_apart(
    template: Path, history: Steps, some: Random
) -> None:
    """Doubt, loss and silence included: memory, frames and days follow from the log alone."""
    invariants(template, history, some)


KNOWN = (
    "select series_id, part, fact_hash, state, case when state = 'firm' then price end, held, "
    "held_price, held_currency, held_origin, held_at, "
    "coalesce(held_reason, '') like 'unit change%' from now_state order by 1"
)
OVERLAPS = """
from (select *, lead(valid_from) over (partition by series_id order by valid_from) as next
      from v_prices)
where valid_to is distinct from next or valid_to <= valid_from
"""
RECKONED = "select * exclude (mean, series_hours), mean::float, series_hours::float from v_days"


def invariants(template: Path, history: Steps, some: Random) -> None:
    with playing(template) as pair:
        for what in history:
            step(pair, what, past=True)
            if not pair.recorder._outdated and some.random() < 0.4:
                kept = pair.ask(KNOWN)
                know(pair.con, NOW, None, None)
                assert pair.ask(KNOWN) == kept
        if not pair.naive.looks:
            return
        assert pair.ask(OVERLAPS) == []
        assert pair.ask("from v_changes where origin = 'correction'") == []
        asked = moments(pair, some)
        told = answers(pair, asked)
        pair.reopened()  # knows what the log says
        assert answers(pair, asked) == told
        pair.con.begin()
        pair.con.execute("delete from frame")
        assert answers(pair, asked) == told
        pair.con.rollback()
        pair.recorder.settle(pair.told + timedelta(days=9))
        kept = sorted(pair.ask(RECKONED), key=repr)
        pair.con.execute("delete from rolled; delete from daily; delete from today")
        pair.reopened()
        pair.recorder.settle(pair.told + timedelta(days=9))
        assert sorted(pair.ask(RECKONED), key=repr) == kept


def answers(pair: Pair, asked: list[datetime]) -> list[Any]:
    """Return what the tape says, and what is kept in memory as if it had just been opened."""
    offers = [pair.ask(OFFERS % f"offers_at(timestamptz '{at}') order by 1") for at in asked]
    changes = pair.ask(
        f"from changes_between(timestamptz '{asked[0]}', timestamptz '{asked[1]}') order by all"
    )
    return [*offers, changes]
