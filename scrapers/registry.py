"""The only list of providers in the project; everything else is derived from it."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from gputape.scrapers import openrouter
from gputape.scrapers.adapter import Adapter
from gputape.scrapers.providers import (
    aws,
    azure,
    coreweave,
    fluidstack,
    gcp,
    lambda_labs,
    oracle,
)
from gputape.store.errors import BadInput

ADAPTERS: tuple[Adapter, ...] = (
    aws,
    azure,
    coreweave,
    fluidstack,
    gcp,
    lambda_labs,
    oracle,
)
HOSTED: tuple[Adapter, ...] = (openrouter,)
"""Lists of hosted token prices: they sell no GPU hour, and are asked once a day beside the rest."""


def adapter(slug: str) -> Adapter:
    """Return the adapter of a provider. Raises `BadInput` with the nearest name."""
    for found in (*ADAPTERS, *HOSTED):
        if found.PROVIDER.slug == slug:
            return found
    slugs = [found.PROVIDER.slug for found in (*ADAPTERS, *HOSTED)]
    near = get_close_matches(slug, slugs, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(slugs)}"
    raise BadInput(f"there is no provider {slug!r}: {hint}")


def chosen(slugs: Iterable[str], enabled: Iterable[str] = ()) -> list[Adapter]:
    """Return the adapters named, or without names all that are on by default or enabled."""
    named = [adapter(slug) for slug in slugs]
    on = set(enabled)
    return named or [
        found for found in ADAPTERS if not found.PROVIDER.opt_in or found.PROVIDER.slug in on
    ]


def recorded(folder: Path, among: Iterable[Adapter] = ADAPTERS) -> list[Adapter]:
    """Return the adapters that a recording has answers for: replaying one asks nobody."""
    return [found for found in among if (folder / found.PROVIDER.slug / "pages.json").exists()]
