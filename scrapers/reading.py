"""From archived bytes to quotes: the one door to every adapter's `parse`.

Whatever bytes it is given, it ends in quotes or in one of our own errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gputape.scrapers.adapter import Adapter
from gputape.scrapers.challenge import refuse_challenge
from gputape.scrapers.errors import Changed, SourceError
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Interruption, Quote, Rate
from gputape.scrapers.token_quote import TokenQuote
from gputape.store.errors import Damaged


@dataclass(slots=True)
class Said:
    """What the pages of one part say."""

    quotes: list[Quote] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    tokens: list[TokenQuote] = field(default_factory=list)

    def add(self, found: Quote | Interruption | Rate | TokenQuote) -> None:
        """Put a record where it belongs."""
        if isinstance(found, Quote):
            self.quotes.append(found)
        elif isinstance(found, Interruption):
            self.interruptions.append(found)
        elif isinstance(found, TokenQuote):
            self.tokens.append(found)
        else:
            self.rates.append(found)


def read(adapter: Adapter, pages: Sequence[Page]) -> Said:
    """Return what the pages of one part say. Raises `Refused` and `Changed`.

    An OSError is our own disk's and passes.
    """
    said = Said()
    try:
        for page in pages:
            refuse_challenge(page)
        for found in adapter.parse(pages):
            said.add(found)
    except (SourceError, OSError):
        raise
    except Damaged as error:
        raise Changed(f"{error}: collect again to fetch it anew", url=_last(pages)) from error
    except Exception as error:
        # a price that is not where it was: KeyError, TypeError, ValueError, … all mean the same
        raise Changed(
            f"{_last(pages)} does not have the shape that {adapter.PROVIDER.slug} knows "
            f"({type(error).__name__}: {error}): the adapter needs a look",
            url=_last(pages),
        ) from error
    return said


def _last(pages: Sequence[Page]) -> str:
    return pages[-1].url if pages else ""
