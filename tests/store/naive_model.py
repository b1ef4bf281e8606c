"""A tape that keeps every snapshot whole, and works everything out anew for each question.

No SQL, no state that moves along: a list of looks, and folds over it. It knows no rules of
doubt, so it is right for histories in which nothing has to wait for a second look.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise

FAR = datetime(9999, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
OK = ("ok", "unchanged")
FAILED = ("unreachable", "refused", "changed")
EUR = {date(2024, 12, 20): Decimal("1.10"), date(2025, 1, 5): Decimal("1.25")}
Rated = tuple[float, float, float, float, float] | None  # open, low, high, close, mean
UNREAD = "unread"  # listed, and not understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A series: what is sold, and in which part of its provider's list it stands."""

    provider: str
    part: str
    sku: str
    base: Decimal
    option: str = "on_demand"
    gpu: str = "h100-sxm-80"
    count: Decimal = Decimal(1)
    currency: str = "USD"
    term: int | None = None
    upfront: Decimal | None = None

    @property
    def name(self) -> str:
        """What the views call it, in one word."""
        return f"{self.provider}/{self.sku}/{self.option}"


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a series from some moment on."""

    state: str  # firm | unpriced | gone
    price: Decimal | None = None
    available: bool | None = None


GONE = State("gone")
UNPRICED = State("unpriced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One scan, whole. `said` holds what it listed: a state, or `UNREAD`."""

    provider: str
    part: str
    at: datetime
    told: datetime
    status: str = "ok"
    said: Mapping[Thing, State | str] = field(default_factory=dict)
    complete: bool = True
    correction: bool = False
    stands: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Change:
    """One event of `v_changes`."""

    at: datetime
    event: str
    thing: Thing
    old: Decimal | None
    new: Decimal | None


class Naive:
    """Every look there was, in the order of telling."""

    def __init__(self, things: tuple[Thing, ...], looks: tuple[Look, ...] = ()) -> None:
        self.things = things
        self.looks = list(looks)

    def believed(self, until: datetime) -> "Naive":
        """Return what had been told by a moment."""
        return Naive(self.things, tuple(look for look in self.looks if look.told <= until))

    def looks_at(self, provider: str, part: str) -> list[Look]:
        """Return the looks that saw a part, by their moment; those of one moment as told."""
        found = [
            look for look in self.looks
            if (look.provider, look.part) == (provider, part) and look.status in OK
        ]  # fmt: skip
        return sorted(found, key=lambda look: look.at)

    # -- one series -----------------------------------------------------------------------

    def runs(self, thing: Thing) -> list[tuple[datetime, State]]:
        """Return from when on which state was true; neighbours differ."""
        state, runs = None, list[tuple[datetime, State]]()
        for at, looks in groupby(self.looks_at(thing.provider, thing.part), lambda one: one.at):
            for look in looks:
                state = _after(state, look, thing)
            if state and (not runs or runs[-1][1] != state):
                runs.append((at, state))
        return runs

    def spans(self, thing: Thing) -> list[tuple[datetime, datetime, State]]:
        """Return the runs with their ends."""
        return [
            (at, until, state)
            for (at, state), (until, _) in pairwise([*self.runs(thing), (FAR, GONE)])
        ]

    def state_at(self, thing: Thing, at: datetime) -> tuple[datetime, State] | None:
        """Return since when which state was true at a moment."""
        return next(
            ((since, state) for since, until, state in self.spans(thing) if since <= at < until),
            None,
        )

    def first_seen(self, thing: Thing) -> datetime:
        """Return when a price of it was first listed."""
        return min(
            look.at for look in self.looks if isinstance(said := look.said.get(thing), State)
            and said.state == "firm"
        )  # fmt: skip

    def last_look(self, thing: Thing, at: datetime) -> Look:
        """Return the newest look at its part."""
        return [look for look in self.looks_at(thing.provider, thing.part) if look.at <= at][-1]

    def last_failed(self, thing: Thing, at: datetime) -> datetime | None:
        """Return when its part, or all of its provider, could last not be looked at."""
        return max(
            (look.at for look in self.looks if look.status in FAILED and look.at <= at
             and look.provider == thing.provider and look.part in (thing.part, "*")),
            default=None,
        )  # fmt: skip

    def standing(self, thing: Thing, at: datetime, since: datetime) -> tuple[bool, str]:
        """Return whether a series is stale, and the word for how its state is known."""
        found = self.state_at(thing, at)
        assert found
        look, failed = self.last_look(thing, at), self.last_failed(thing, at)
        stale = at - look.at > look.stands
        if found[1].state != "firm":
            return stale, found[1].state
        if failed and failed > look.at:
            return stale, "source failed"
        return stale, "not seen" if stale else "unchanged" if look.at > since else "changed"

    # -- all of them ----------------------------------------------------------------------

    def changes(self) -> Iterator[Change]:
        """Yield every move: of two readings of one moment the last counts."""
        for thing in self.things:
            before = None
            for at, state in self.runs(thing):
                if before is None and state.state != "gone":
                    yield Change(at, "new", thing, None, state.price)
                elif before and (before.state, before.price) != (state.state, state.price):
                    yield Change(at, _event(before, state), thing, before.price, state.price)
                before = state

    def days(self) -> dict[tuple[date, str, str, str], tuple[float | None, ...]]:
        """Return open, low, high, close, mean, series, hours, series_hours of every day.

        Without a rate of its currency a series counts, and says nothing of the price.
        """
        found: dict[tuple[date, str, str, str], list[tuple[Rated, float]]] = {}
        for thing in self.things:
            for day, pieces in self._pieces(thing).items():
                hours = [length / timedelta(hours=1) for _, length in pieces]
                rated = None
                if rate := rate_of(thing.currency, day):
                    prices = [float(price * rate / thing.count) for price, _ in pieces]
                    mean = sum(p * h for p, h in zip(prices, hours, strict=True)) / sum(hours)
                    rated = (prices[0], min(prices), max(prices), prices[-1], mean)
                key = (day, thing.provider, thing.gpu, thing.option)
                found.setdefault(key, []).append((rated, sum(hours)))
        return {
            key: (*_figures(rows), len(rows), max(h for _, h in rows), sum(h for _, h in rows))
            for key, rows in found.items()
        }

    def _pieces(self, thing: Thing) -> dict[date, list[tuple[Decimal, timedelta]]]:
        """Return for each day the prices of a series in order, and how long each was covered."""
        looks = {look.at: look for look in self.looks_at(thing.provider, thing.part)}
        covered = [
            (look.at, min(following, look.at + look.stands))
            for look, following in zip(looks.values(), [*list(looks)[1:], FAR], strict=False)
        ]
        pieces: dict[date, list[tuple[Decimal, timedelta]]] = {}
        for since, until, state in self.spans(thing):
            for first, last in covered:
                begin, end = max(since, first), min(until, last)
                while state.price and begin < end:
                    midnight = datetime.combine(begin.date(), datetime.min.time(), UTC)
                    piece = min(end, midnight + timedelta(days=1))
                    pieces.setdefault(begin.date(), []).append((state.price, piece - begin))
                    begin = piece
        return pieces


def rate_of(currency: str, day: date) -> Decimal | None:
    """Return what a currency was worth in dollars; a rate stands for eight days."""
    if currency == "USD":
        return Decimal(1)
    known = [of for of in EUR if day - timedelta(days=8) < of <= day]
    return EUR[max(known)] if known else None


def _figures(rows: list[tuple[Rated, float]]) -> tuple[float | None, ...]:
    known = [(rated, hours) for rated, hours in rows if rated]
    if not known:
        return (None,) * 5
    opens, lows, highs, closes, _ = zip(*(rated for rated, _ in known), strict=True)
    mean = sum(rated[4] * hours for rated, hours in known) / sum(hours for _, hours in known)
    return min(opens), min(lows), max(highs), min(closes), mean


def _after(state: State | None, look: Look, thing: Thing) -> State | None:
    """Return what is known of a series after a look."""
    said = look.said.get(thing)
    if isinstance(said, str):
        return state
    if said is None:
        return GONE if state and look.complete else state
    if said == UNPRICED and state in (None, GONE):
        return state  # nobody sees a series begin without a price
    return said


def _event(before: State, state: State) -> str:
    if state.state != "firm":
        return state.state
    return "price" if before.state == "firm" else "back"
