"""Reading figures as people print them: "$49.24", "2,048", "4^1", "$$8.50/h", "9.0E-4"."""

import re
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
    r"^(?:US\$|\$+|€|£)?\s*"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?|\.\d+)"
    r"(?:\^\d+|\+|\*+|[²³¹⁰-⁹]+)?\s*(?:USD|EUR)?\s*(?:(?:/|per )\s*[\w/ -]+)?$",
    re.ASCII | re.IGNORECASE,
)


class Unreadable(ValueError):
    """A figure that is neither a number nor a way of saying there is none."""


def figure(value: Figure) -> Decimal | None:
    """Return the number a provider printed, or None when it printed that there is none.

    Raises `Unreadable`. A Decimal that is not finite is unreadable too.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return _finite(Decimal(value), value)
    text = " ".join(value.replace("\xa0", " ").split())
    if NO_PRICE.match(text):
        return None
    found = FIGURE.match(text)
    if not found:
        raise Unreadable(f"can not read {value!r} as a number")
    try:
        return _finite(Decimal(found["digits"].replace(",", "")), value)
    except InvalidOperation:
        raise Unreadable(f"can not read {value!r} as a number") from None


def _finite(number: Decimal, value: Figure) -> Decimal:
    if not number.is_finite() or abs(number) >= 10**9:
        raise Unreadable(f"{value!r} is not a number that a price can be")
    return number
