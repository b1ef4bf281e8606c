"""The judge of hosted token prices: what they say becomes a price for a million tokens.

`TokenQuote` in, `TokenRow` or `Reject` out; nothing raises, nothing is lost.

| reason     | the quote …                                                          |
|------------|----------------------------------------------------------------------|
| zero       | is free of charge, for input or output: a promotion, never a price   |
| no_price   | says none, or less than 0: a router costs what the model it picks costs |
| not_text   | is of a model that gives something else than text                    |
| unreadable | has a figure that is no number, or a field of another type           |
| impossible | is beyond anything that is sold, as when the unit is another         |
| ambiguous  | has another price than an earlier one for the same model             |
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal, InvalidOperation

from gputape.scrapers.normalise import Rejected, clean
from gputape.scrapers.quote import Figure
from gputape.scrapers.token_quote import TokenQuote
from gputape.store.offer import Option, SeriesKey
from gputape.store.scan import Reject, TokenRow

# the dearest text seen is 600 a million (o1-pro's output, OpenAI's list of 2025)
MAX_USD_PER_MILLION = Decimal(10_000)
STEP = Decimal("1e-9")  # the tape's
MILLION = 1_000_000
MAX_CONTEXT = 10**12


def judge_tokens(
    provider: str, quotes: Iterable[TokenQuote]
) -> tuple[list[TokenRow], list[Reject]]:
    """Return the prices that a list says, US dollars for a million tokens, and what is none."""
    rows: dict[tuple[str, str | None], TokenRow] = {}
    rejects = []
    for quote in quotes:
        try:
            _keep(_row(quote), rows)
        except Rejected as no:
            rejects.append(_reject(provider, quote, no))
        except Exception as error:  # noqa: BLE001  # one quote is never worth the others
            fault = Rejected("unreadable", f"{type(error).__name__}: {error}")
            rejects.append(_reject(provider, quote, fault))
    return list(rows.values()), rejects


def _keep(row: TokenRow, rows: dict[tuple[str, str | None], TokenRow]) -> None:
    if rows.setdefault((row.model, row.host), row) != row:
        raise Rejected("ambiguous", f"{row.model} is listed twice, at two prices")


def _row(quote: TokenQuote) -> TokenRow:
    _check_sold(quote)
    return TokenRow(
        model=_word(quote.model),
        host=quote.host and _word(quote.host),
        price_in=_price(quote, quote.price_in),
        price_out=_price(quote, quote.price_out),
        price_cached=_cached(quote),
        currency="USD",
        context=_count(quote.context),
        tier_from=_count(quote.tier_from),
        hub_id=quote.hub_id and _word(quote.hub_id),
    )


def _check_sold(quote: TokenQuote) -> None:
    for printed in (quote.price_in, quote.price_out):
        price = _figure(printed)
        if price is None or price < 0:
            raise Rejected("no_price", f"says {printed!r}: no price of its own")
    if tuple(quote.output) != ("text",):
        raise Rejected("not_text", f"gives {' and '.join(quote.output) or 'nothing stated'}")


def _word(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Rejected("unreadable", f"{text!r} is no name")
    return clean(text).strip()


def _price(quote: TokenQuote, printed: Figure) -> Decimal:
    price = _figure(printed)
    if not price or quote.model.endswith(":free"):
        raise Rejected("zero", f"a price of {printed} is no price")
    price = (price * MILLION / quote.per).quantize(STEP)
    if not 0 < price <= MAX_USD_PER_MILLION:
        raise Rejected("impossible", f"{price} a million tokens is beyond anything that is sold")
    return price


def _cached(quote: TokenQuote) -> Decimal | None:
    """Return the price of a cached input token; free or none is not known."""
    price = _figure(quote.price_cached)
    return _price(quote, quote.price_cached) if price is not None and price > 0 else None


def _figure(printed: Figure) -> Decimal | None:
    if printed is None or printed == "":
        return None
    try:
        price = Decimal(printed)
    except InvalidOperation:
        raise Rejected("unreadable", f"can not read {printed!r} as a number") from None
    if not price.is_finite():
        raise Rejected("unreadable", f"can not read {printed!r} as a number")
    return price


def _count(tokens: object) -> int | None:
    """Return a number of tokens; one that is none says nothing, and costs nobody a price."""
    return tokens if type(tokens) is int and 0 < tokens < MAX_CONTEXT else None


def _reject(provider: str, quote: TokenQuote, no: Rejected) -> Reject:
    return Reject(
        key=SeriesKey(
            provider=provider,
            sku=clean(str(quote.model)),
            region=clean(str(quote.host or "global")),
            option=Option.ON_DEMAND,
        ),
        reason=no.reason,
        sentence=clean(no.sentence),
        quote_json=clean(json.dumps(asdict(quote), ensure_ascii=False, default=str)),
    )
