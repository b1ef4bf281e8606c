"""Where a provider's regions are: its code, its own name for the place, and the continent."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

CONTINENTS = frozenset(
    {"africa", "asia", "europe", "middle-east", "north-america", "oceania", "south-america"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One place, as its provider spells it."""

    name: str
    continent: str | None = None
    """One of `CONTINENTS`; None for a price that holds everywhere."""


@cache
def _every() -> Mapping[str, Mapping[str, Region]]:
    text = Path(__file__).with_name("regions.toml").read_text("utf-8")
    return {
        provider: MappingProxyType({code: Region(**row) for code, row in rows.items()})
        for provider, rows in tomllib.loads(text).items()
    }


def regions(provider: str) -> Mapping[str, Region]:
    """Every known region of a provider by code; none when the provider is not listed."""
    return _every().get(provider, MappingProxyType({}))


def places(provider: str) -> Mapping[str, str]:
    """Region code → the provider's name for it: `us-east-1` → `US East (N. Virginia)`."""
    return {code: region.name for code, region in regions(provider).items()}


def places_on(continent: str) -> list[tuple[str, str]]:
    """Return every (provider, region code) on a continent."""
    return [
        (provider, code)
        for provider, known in _every().items()
        for code, region in known.items()
        if region.continent == continent
    ]


def continent(provider: str, region: str) -> str | None:
    """Return the continent of a region, or None when it is not known."""
    known = regions(provider).get(region)
    return known.continent if known else None
