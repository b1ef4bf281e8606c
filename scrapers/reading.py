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


@dataclass(slots=True)
class Said:
    """What the pages of one part say."""

    quotes: list[Quote] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)

    def add(self, found: Quote | Interruption | Rate) -> None:
        """Put a record where it belongs."""
        if isinstance(found, Quote):
            self.quotes.append(found)
        elif isinstance(found, Interruption):
            self.interruptions.append(found)
        else:
            self.rates.append(found)


def read(adapter: Adapter, pages: Sequence[Page]) -> Said:
    """Return what the pages of one part say. Raises `Refused` and `Changed`."""
    for page in pages:
        refuse_challenge(page)
    said = Said()
    try:
        for found in adapter.parse(pages):
            said.add(found)
    except SourceError:
        raise
    except Exception as error:
        # a price that is not where it was: KeyError, TypeError, ValueError, … all mean the same
        url = pages[-1].url if pages else ""
        raise Changed(
            f"{url} does not have the shape that {adapter.PROVIDER.slug} knows "
            f"({type(error).__name__}: {error}): the adapter needs a look",
            url=url,
        ) from error
    return said
