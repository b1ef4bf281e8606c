"""Reading figures as people print them: "$49.24", "2,048", "4^1", "$$8.50/h", "9.0E-4"."""

import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from gputape.scrapers.quote import Figure

# words that stand where a price would: seen on pages of CoreWeave, Lambda, AWS, Together, Crusoe
NO_PRICE = re.compile(
    r"^(?:|-+|—|–|n/?a\**|none|null|tbd|free|request\w*|on request|sold out|coming soon"
    r"|contact.*|talk to.*|custom.*|call.*|get a quote.*)$",
    re.IGNORECASE,
)
# "$1,234.50", "$3.90/GPU-hr", "4^1" (a footnote), "256+"; "from $0.79" is a floor, not a price
FIGURE = re.compile(
    r"^(?P<sign>US\$|\$+|€|£)?\s*"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?|\.\d+)"
    r"(?:\^\d+|\+|\*+|[²³¹⁰-⁹]+)?\s*(?P<word>USD|EUR|GBP)?"
    r"\s*(?P<unit>(?:/|per )\s*[\w/ -]+)?$",
    re.ASCII | re.IGNORECASE,
)
FRACTION = re.compile(r"(\d{1,6}) ?/ ?(\d{1,6})(?: GPUs?)?", re.ASCII | re.IGNORECASE)
CURRENCIES = {
    "US$": {"USD"}, "$": {"USD", "AUD", "CAD", "HKD", "NZD", "SGD"}, "€": {"EUR"}, "£": {"GBP"},
}  # fmt: skip
HOUR = frozenset({"h", "hr", "hrs", "hour", "hours"})
MONTH = frozenset({"mo", "month", "months"})
NO_UNIT: frozenset[str] = frozenset()
OF_WHAT = frozenset({"per", "gpu", "gpus"})  # "/ GPU / H", "GPU-hr"
MAX_DIGITS = 9  # before the point; the tape's narrowest column of money has nine


class Unreadable(ValueError):
    """A figure that is neither a number nor a way of saying there is none."""


def figure(value: Figure, units: Collection[str] = HOUR) -> Decimal | None:
    """Return the number a provider printed, or None when it printed that there is none.

    Raises `Unreadable`: for what is no text, int or finite Decimal, and for a printed unit
    that is none of `units`.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return _number(value)
    text = _plain(value)
    if NO_PRICE.match(text):
        return None
    found = FIGURE.match(text)
    if not found or not _agrees(found["unit"], units):
        raise Unreadable(f"can not read {value!r} as a number")
    try:
        return _finite(Decimal(found["digits"].replace(",", "")), value)
    except InvalidOperation:
        raise Unreadable(f"can not read {value!r} as a number") from None


def count(value: Figure) -> Decimal | None:
    """Return how many of a thing are meant: a number without a unit, or a fraction, "1/8"."""
    found = FRACTION.fullmatch(_plain(value)) if isinstance(value, str) else None
    if not found:
        return figure(value, NO_UNIT)
    if not int(found[2]):
        raise Unreadable(f"can not read {value!r} as a number")
    return Decimal(found[1]) / Decimal(found[2])


def contradicts(value: Figure, currency: str) -> str | None:
    """Return the sign or word beside a figure that means another currency."""
    found = FIGURE.match(_plain(value)) if isinstance(value, str) else None
    sign, word = (found["sign"], found["word"]) if found else (None, None)
    if sign and currency not in CURRENCIES[re.sub(r"^\$+", "$", sign.upper())]:
        return str(sign)
    return str(word) if word and word.upper() != currency else None


def _plain(text: str) -> str:
    return " ".join(text.replace("\xa0", " ").split())


def _agrees(unit: str | None, units: Collection[str]) -> bool:
    """Whether a printed unit is one of `units`, once, beside words for what is rented."""
    if unit is None:
        return True
    words = [word for word in re.findall(r"\w+", unit.lower()) if word not in OF_WHAT]
    return len(words) == 1 and words[0] in units


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unreadable(f"a {type(value).__name__} is no figure")
    return _finite(Decimal(value), value)


def _finite(number: Decimal, value: object) -> Decimal:
    if not number.is_finite() or (number and number.adjusted() >= MAX_DIGITS):
        raise Unreadable(f"{str(value)[:40]!r} is not a number that a price can be")
    return number or Decimal(0)
