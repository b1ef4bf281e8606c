"""What a price is measured against: the reference of a condition, from a series' course."""

from datetime import datetime, timedelta
from decimal import Decimal

from gputape.app.alerts.condition import Condition, plain
from gputape.app.alerts.observations import Course, Entry, Run, Series, median
from gputape.app.alerts.states import Ground, Seen, State
from gputape.store.rates import Rates

TWICE = 2  # looks that make a price more than a spike
DAY_S = 86_400


def ground(
    condition: Condition, series: Series, course: Course, entry: Entry, rates: Rates,
    state: State, seen: Seen, created_at: datetime | None,
) -> Ground:  # fmt: skip
    """Return the reference of a condition for a look at one series."""
    if not condition.relative:
        return _figure(condition, series, course, entry, rates, seen)
    start = seen.at - condition.window if condition.window else None
    runs = course.runs(start, seen.at, entry.currency)
    since = course.comparable_from(seen.at)
    known = seen.at - max(t for t in (course.first_at, since) if t)
    value, text = _reference(condition, runs, state, course, created_at)
    looks = sum(run.looks for run in runs)
    return Ground(value, text, looks, known / timedelta(days=1), runs[-1].price if runs else None)


def _figure(condition: Condition, series: Series, course: Course, entry: Entry, rates: Rates,
            seen: Seen) -> Ground:  # fmt: skip
    """Return an absolute limit, in the currency and for the whole sku as the series has it."""
    before = course.firm_at(seen.at - timedelta(microseconds=1))
    previous = before.price if before and before.currency == entry.currency else None
    if condition.kind == "available":
        return Ground(Decimal(1), "offered", previous=None)
    rate = rates.usd(entry.currency, seen.at.date())
    if rate is None:
        return Ground(None, f"no exchange rate for {entry.currency}", previous=previous)
    value = condition.figure * series.gpu_count / rate
    return Ground(value, f"the limit of ${plain(condition.figure)} per GPU-hour",
                  previous=previous)  # fmt: skip


def _reference(
    condition: Condition, runs: list[Run], state: State, course: Course, created_at: datetime | None
) -> tuple[Decimal | None, str]:
    if not runs:
        return None, "no earlier price"
    days = condition.days
    of_days = f"of {days} days" if days else "of all that is known"
    match condition.reference:
        case "median":
            return median(runs), f"the median {of_days}"
        case "max":
            return max(run.price for run in runs), f"the highest {of_days}"
        case "low":
            return min(run.price for run in runs), f"the lowest {of_days}"
        case "entry":
            return state.entry or _entry(course, runs, created_at), "the price when the rule began"
    stood = [run for run in runs if run.looks >= TWICE]
    return (stood or runs)[-1].price, "the price before"


def _entry(course: Course, runs: list[Run], created_at: datetime | None) -> Decimal | None:
    stood = course.firm_at(created_at) if created_at else None
    return stood.price if stood else runs[0].price
