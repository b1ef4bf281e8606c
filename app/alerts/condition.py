"""What a rule waits for, read from words, and the arithmetic of when it is true.

| words                        | true when                                                      |
|------------------------------|----------------------------------------------------------------|
| `below 2.50`                 | USD per GPU-hour (or of the workload) under it                  |
| `at_or_below 2.50`           | the same, ties included                                         |
| `drop 5% of median:14d`      | so far under `previous`, `median:Nd`, `max:Nd` or `entry`       |
| `rise 10% of median:14d`     | so far over one of them                                         |
| `new_low all`, `new_low 90d` | 1 % under every price of that time                              |
| `within 5% of low:90d`       | no more than that over the lowest price of that time            |
| `spread 3`                   | the dearest seller is at least so many times the cheapest        |
| `available`                  | it can be rented                                                |
| `source_down`, `stale 6h`    | a source fails, or has not been seen for so long                |

A reference is what the price is measured against, in the series' own currency; for `below` and
`spread` it is the figure itself.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache

from gputape.store.errors import BadInput

LEAVE_LIMIT = Decimal("1.02")  # an absolute limit is left 2 % beyond it (alerts.md 5.2, 4)
UNDER_LOW = Decimal("0.99")  # a new low is at least 1 % under the old one (5.1)
KINDS = ("below", "at_or_below", "drop", "rise", "new_low", "within", "spread", "available",
         "source_down", "stale")  # fmt: skip
RELATIVE = frozenset({"drop", "rise", "new_low", "within"})
OF_SOURCES = frozenset({"source_down", "stale"})
UPWARD = frozenset({"rise", "spread", "available", *OF_SOURCES})
HISTORY_DAYS = {"drop": 5, "rise": 5, "new_low": 21, "within": 35}
"""Days a series is followed before a relative rule says anything of it (5.1)."""
FIGURE = r"\$?([0-9]{1,9}(?:\.[0-9]{1,9})?)"
PERCENT = r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s?%"
REFERENCE = r"(previous|entry|(?:median|max|low):(?:[0-9]{1,4}d|all))"
FORMS = {
    "below": FIGURE,
    "at_or_below": FIGURE,
    "spread": FIGURE,
    "drop": f"{PERCENT} (?:of |against )?{REFERENCE}",
    "rise": f"{PERCENT} (?:of |against )?{REFERENCE}",
    "within": f"{PERCENT} of (low:(?:[0-9]{{1,4}}d|all))",
    "new_low": r"(all|[0-9]{1,4}d)?",
    "available": "",
    "source_down": "",
    "stale": r"([0-9]{1,4})h",
}
EXAMPLES = {
    "below": "below 2.50",
    "at_or_below": "at_or_below 2.50",
    "spread": "spread 3",
    "drop": "drop 5% of median:14d (or of previous, max:30d, entry)",
    "rise": "rise 10% of median:14d",
    "within": "within 5% of low:90d",
    "new_low": "new_low all, or new_low 90d",
    "available": "available",
    "source_down": "source_down",
    "stale": "stale 6h",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `figure`: USD, a ratio, or a share (0.05 for 5 %)."""

    kind: str
    figure: Decimal = Decimal()
    reference: str | None = None
    """previous, median, max, entry or low."""
    days: int | None = None
    """Of the reference's window; None is all that is known."""

    @property
    def relative(self) -> bool:
        """Whether it measures a price against other prices, and so needs a history."""
        return self.kind in RELATIVE

    @property
    def upward(self) -> bool:
        """Whether it waits for more rather than for less."""
        return self.kind in UPWARD

    @property
    def of_sources(self) -> bool:
        """Whether it watches a source rather than a price."""
        return self.kind in OF_SOURCES

    @property
    def history_days(self) -> int:
        """How long a series must have been followed."""
        return HISTORY_DAYS.get(self.kind, 0)

    def limit(self, reference: Decimal) -> Decimal:
        """Return the price at which it begins to be true."""
        match self.kind:
            case "drop":
                return reference * (1 - self.figure)
            case "rise" | "within":
                return reference * (1 + self.figure)
            case "new_low":
                return reference * UNDER_LOW
        return reference

    def holds(self, price: Decimal, reference: Decimal) -> bool:
        """Whether it is true of a price."""
        limit = self.limit(reference)
        if self.upward:
            return price >= limit
        return price < limit if self.kind == "below" else price <= limit

    def released(self, price: Decimal, reference: Decimal) -> bool:
        """Whether a price is far enough on the other side to be over (hysteresis)."""
        match self.kind:
            case "drop":
                return price > reference * (1 - self.figure / 2)
            case "rise":
                return price < reference * (1 + self.figure / 2)
            case "new_low":
                return price > reference
        limit = self.limit(reference)
        return price < limit / LEAVE_LIMIT if self.upward else price > limit * LEAVE_LIMIT

    def deeper(self, price: Decimal, sent: Decimal, share: Decimal) -> bool:
        """Whether a price went on by a share since the one that was told."""
        if self.of_sources or self.kind == "available":
            return False
        return price >= sent * (1 + share) if self.upward else price <= sent * (1 - share)

    def words(self) -> str:
        """Return it as it is written in a rule."""
        window = "" if self.reference in (None, "previous", "entry") else f":{self._window()}"
        match self.kind:
            case "drop" | "rise" | "within":
                return f"{self.kind} {plain(self.figure * 100)}% of {self.reference}{window}"
            case "new_low":
                return f"new_low {self._window()}"
            case "stale":
                return f"stale {plain(self.figure)}h"
            case "below" | "at_or_below" | "spread":
                return f"{self.kind} {plain(self.figure)}"
        return self.kind

    def _window(self) -> str:
        return "all" if self.days is None else f"{self.days}d"

    @property
    def window(self) -> timedelta | None:
        """How far back its reference looks; None for all that is known."""
        return None if self.days is None else timedelta(days=self.days)


def plain(figure: Decimal) -> str:
    """Return a figure without zeros that say nothing."""
    text = f"{figure:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=1024)
def condition(words: str) -> Condition:
    """Read a condition. Raises `BadInput` with the nearest form that is right."""
    text = " ".join(words.casefold().split())
    kind, _, rest = text.partition(" ")
    if kind not in FORMS:
        near = get_close_matches(kind, KINDS, 1, 0.5)
        hint = f"did you mean {EXAMPLES[near[0]]!r}?" if near else f"one of {', '.join(KINDS)}"
        raise BadInput(f"there is no condition {words!r}: {hint}")
    found = re.fullmatch(FORMS[kind], rest)
    if not found:
        raise BadInput(f"{words!r} can not be read: write {EXAMPLES[kind]}")
    return _sound(words, _built(kind, [group for group in found.groups() if group]))


def _built(kind: str, said: list[str]) -> Condition:
    if kind in ("below", "at_or_below", "spread", "stale"):
        return Condition(kind, Decimal(said[0]))
    if kind == "new_low":
        return Condition(kind, reference="low", days=_days(said[0] if said else "all"))
    if kind in RELATIVE:
        name, _, window = said[1].partition(":")
        return Condition(kind, Decimal(said[0]) / 100, name, _days(window))
    return Condition(kind)


def _days(window: str) -> int | None:
    return int(window.removesuffix("d")) if window not in ("", "all") else None


def _sound(words: str, found: Condition) -> Condition:
    """Refuse figures that could never be true, or always are."""
    if found.kind in FORMS and FORMS[found.kind].startswith((FIGURE, PERCENT)) and not found.figure:
        raise BadInput(f"{words!r} asks for nothing: write {EXAMPLES[found.kind]}")
    if found.kind == "drop" and found.figure >= 1:
        raise BadInput(f"{words!r}: no price falls by 100 %")
    if found.days == 0:
        raise BadInput(f"{words!r}: a window is a day at least")
    if found.kind == "spread" and found.figure <= 1:
        raise BadInput(f"{words!r}: the dearest is always at least 1 times the cheapest")
    return found
