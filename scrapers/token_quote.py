"""What a list of hosted tokens says: a price in its own unit; `tokens.py` reads and judges it."""

from dataclasses import dataclass

from gputape.scrapers.quote import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenQuote:
    """One model's price for tokens as printed, in US dollars for `per` tokens."""

    model: str
    price_in: Figure
    price_out: Figure
    price_cached: Figure = None
    """For an input token that is read from a cache."""
    per: int = 1_000_000
    host: str | None = None
    """Who serves it; None when the list does not say."""
    output: tuple[str, ...] = ("text",)
    """What comes out of the model: text, image, embeddings, …"""
    context: int | None = None
    tier_from: int | None = None
    """Input tokens of a request from which another price holds."""
    hub_id: str | None = None
