"""What every provider module offers, and nothing more.

A module, not a class: `PROVIDER` (facts true without asking), `REVISION` (rises when
`parse` reads the same bytes differently), `fetch` (talks), `parse` (reads).
mypy checks each module against `Adapter` where `registry.py` lists it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from gputape.scrapers.page import Page
from gputape.scrapers.quote import Interruption, Quote, Rate
from gputape.scrapers.token_quote import TokenQuote
from gputape.store.offer import Option


class Market(StrEnum):
    """Who sets the price."""

    LIST = "list"
    MARKETPLACE = "marketplace"
    BROKER = "broker"


class Source(StrEnum):
    """What kind of address is asked. Pages are for people, so robots.txt is asked first."""

    API = "api"
    PAGE = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Facts about a seller that are true without asking it."""

    slug: str
    name: str
    prices_at: str
    """The page where a person reads the same prices."""
    terms_url: str
    options: frozenset[Option]
    source: Source = Source.API
    market: Market = Market.LIST
    cadence: timedelta = timedelta(hours=1)
    at_least: int = 1
    """The fewest quotes in a whole collection that can be true."""
    keys: tuple[str, ...] = ()
    """Environment variables that unlock more; never needed for the default path."""
    groups: Mapping[str, timedelta] = field(default_factory=dict)
    """Parts left out of a plain collection, each with its own cadence (`reserved`: weekly)."""
    opt_in: str | None = None
    """Why it runs only when named or enabled; None when it is on by default."""
    note: str = ""
    """One sentence a reader of the provider table should know."""


class Http(Protocol):
    """The one way out of the house, as an adapter sees it (`http.py` keeps the promise)."""

    def part(self, name: str, /, *context: Page) -> AbstractContextManager[None]:
        """Open a part: what is fetched inside belongs to it and fails alone with it.

        `context` are pages fetched before that `parse` needs beside the part's own.
        """
        ...

    def get(
        self,
        url: str,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        forever: bool = False,
        max_mib: int = 64,
    ) -> Page:
        """Return the archived answer. `forever`: the address names a version; never ask twice."""
        ...

    def post(
        self, url: str, /, *, json: Any, headers: Mapping[str, str] | None = None, max_mib: int = 64
    ) -> Page:
        """Return the archived answer to a JSON body."""
        ...

    def secret(self, name: str, /) -> str | None:
        """Return one of `PROVIDER.keys` when it is set. It never reaches archive or log."""
        ...

    def wants(self, group: str, /) -> bool:
        """Whether one of `PROVIDER.groups` is due or was asked for."""
        ...


class Adapter(Protocol):
    """A provider module."""

    @property
    def PROVIDER(self) -> Provider:  # noqa: N802  # a module constant seen as an attribute
        """Facts true without asking."""
        ...

    @property
    def REVISION(self) -> int:  # noqa: N802  # same
        """Rises when `parse` reads the same bytes differently."""
        ...

    def fetch(self, http: Http, /) -> None:
        """Ask for every part."""
        ...

    def parse(self, pages: Sequence[Page], /) -> Iterable[Quote | Interruption | Rate | TokenQuote]:
        """Read the pages of one part: no network, no clock, no environment."""
        ...
