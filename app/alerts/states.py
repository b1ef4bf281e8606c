"""The words of the state machine: what is seen, what is remembered, what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from gputape.app.alerts.condition import Condition

CONFIRM = 2  # distinct looks …
CONFIRM_LARGE = 1  # … and so many more for a move beyond `LARGE`
LARGE = Decimal("0.5")
FURTHER = Decimal("0.05")  # of an absolute rule: as a price list's own threshold


class Name(StrEnum):
    """What a series is to a rule."""

    LEARNING = "LEARNING"
    OK = "OK"
    PENDING = "PENDING"
    FIRING = "FIRING"
    STALE = "STALE"
    GONE = "GONE"


class Kind(StrEnum):
    """What a look says of a series."""

    PRICE = "price"
    HELD = "held"
    """A price that the tape does not believe yet; its move may be witnessed, nothing else."""
    MISSING = "missing"
    """Listed, without a price that may be used."""
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look said of one series, in its own currency, for the whole sku, per hour."""

    kind: Kind
    at: datetime
    scan_id: int
    price: Decimal | None = None
    why: str | None = None
    """Why it is not a price that counts."""
    same_bytes: bool = False
    """The provider answered with what it answered before."""
    stood: int = 1
    """Looks that have said this price by now, this one included."""
    corrected: bool = False
    """This look was read anew, and says another price than it said before."""
    reading: int = 0
    """The newest correction (its scan) of the series' history up to this look."""
    moved_together: str | None = None
    """Said when many series of the source moved in the same run."""
    offer_left: bool = False
    """Of the best of many: the one that was cheapest is no longer offered."""


class Ground(NamedTuple):
    """What a price is measured against."""

    value: Decimal | None
    text: str
    observations: int = 0
    days: float = 0.0
    previous: Decimal | None = None


Recall = Callable[["State", Seen], Ground]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a rule asks of the machine."""

    condition: Condition
    confirm: int = CONFIRM
    min_observations: int = 5
    min_days: int = 5
    cooldown: timedelta = timedelta(hours=24)
    already_true: bool = True
    leave: int | None = None
    """Looks that must agree that it is over; None: as many as that it is true."""

    @property
    def further(self) -> Decimal:
        """The share by which a price must go on to be told again."""
        known = self.condition.kind in ("drop", "rise")
        return self.condition.figure if known else FURTHER

    def needed(self, price: Decimal, against: Decimal | None) -> int:
        """Return how many looks must agree before a price is told."""
        large = against and abs(price / against - 1) > LARGE
        return self.confirm + (CONFIRM_LARGE if large else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is remembered of one series for one rule."""

    name: Name = Name.LEARNING
    since: datetime | None = None
    frozen: Name | None = None
    """What it was before its source went down."""
    baseline: Decimal | None = None
    baseline_text: str = ""
    began_at: datetime | None = None
    """The first look that was true, of the episode or of what may become one."""
    from_price: Decimal | None = None
    """The price before that look."""
    confirmed: int = 0
    witnessed_at: datetime | None = None
    over: int = 0
    """Looks in a row on the other side."""
    deeper: int = 0
    """Looks in a row so far beyond what was told that it is worth telling again."""
    moved_together: str | None = None
    episode: int = 0
    seq: int = 0
    fired_at: datetime | None = None
    sent_price: Decimal | None = None
    told_at: datetime | None = None
    """When somebody was last told, in any episode."""
    told_price: Decimal | None = None
    untold: bool = False
    """Firing, and a silence, a cooldown or quiet channels kept it from being said."""
    lowest: Decimal | None = None
    previous: Decimal | None = None
    entry: Decimal | None = None
    reading: int = 0
    last_at: datetime | None = None
    last_scan: int = 0
    evaluations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a rule's series; whether it is sent is decided later."""

    kind: str
    """fired, further, recovered, offer_gone, glitch, correction, rebased."""
    before: State
    after: State
    ground: Ground
    already: bool = False
    again: bool = False
    """Told late, because it could not be told when it happened."""


class Step(NamedTuple):
    """What a look came to."""

    state: State
    event: Event | None
    gate: str
    """What stopped it, or `sent`."""
    sentence: str
