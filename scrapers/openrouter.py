"""OpenRouter: what a million tokens of each hosted model cost, in one open list.

Source: https://openrouter.ai/api/v1/models (no key, no paging; seen 2026-07-27).
Unit: US dollars per token, as text. It sells no GPU hour and is not in the table of providers; a
plain collection asks it once a day: one request answers what hosting a model must compete with.
Oddity: "0" is a promotion (`…:free`) and "-1" a router, which costs what it picks. The price is
that of a short request; `overrides` says from how many input tokens another one holds.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from gputape.scrapers.adapter import Http, Market, Provider
from gputape.scrapers.page import Page
from gputape.scrapers.token_quote import TokenQuote

PROVIDER = Provider(
    slug="openrouter",
    name="OpenRouter",
    prices_at="https://openrouter.ai/models",
    terms_url="https://openrouter.ai/terms",
    options=frozenset(),
    market=Market.BROKER,
    cadence=timedelta(days=1),
    at_least=5,
    note="Hosted token prices, not GPU hours.",
)
REVISION = 1
URL = "https://openrouter.ai/api/v1/models"


def fetch(http: Http) -> None:
    """Ask for the list."""
    with http.part("models"):
        http.get(URL)


def parse(pages: Sequence[Page]) -> Iterator[TokenQuote]:
    """Quote each model as listed; the list does not say who serves it."""
    for page in pages:
        for model in page.json()["data"]:
            price = model["pricing"]
            yield TokenQuote(
                model=model["id"],
                price_in=price["prompt"],
                price_out=price["completion"],
                price_cached=price.get("input_cache_read"),
                per=1,
                output=tuple(model["architecture"]["output_modalities"]),
                context=model.get("context_length"),
                tier_from=_tier(price),
                hub_id=model.get("hugging_face_id") or None,
            )


def _tier(price: dict[str, Any]) -> int | None:
    return min((o["min_prompt_tokens"] for o in price.get("overrides") or ()), default=None)
