"""From archived bytes to quotes: the one door to every adapter's `parse`.

Whatever bytes it is given, it ends in quotes or in one of our own errors.
"""

from collections.abc import Sequence

from gputape.scrapers.adapter import Adapter
from gputape.scrapers.errors import Changed, Refused, SourceError
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Interruption, Quote

# a challenge is short, is HTML, and says one of these; seen on Cloudflare, Akamai, AWS WAF
CHALLENGES = (
    b"just a moment...",
    b"cf-challenge",
    b"challenge-platform",
    b"attention required! | cloudflare",
    b"captcha-delivery",
    b"access denied",
    b"awswafcookiedomainlist",
    b"verify you are human",
)
CHALLENGE_MAX_BYTES = 100_000


def read(adapter: Adapter, pages: Sequence[Page]) -> tuple[list[Quote], list[Interruption]]:
    """Return what the pages of one part say. Raises `Refused` and `Changed`."""
    for page in pages:
        _refuse_challenge(page)
    quotes: list[Quote] = []
    interruptions: list[Interruption] = []
    try:
        for found in adapter.parse(pages):
            if isinstance(found, Quote):
                quotes.append(found)
            else:
                interruptions.append(found)
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
    return quotes, interruptions


def _refuse_challenge(page: Page) -> None:
    if page.path is not None and page.path.stat().st_size > CHALLENGE_MAX_BYTES:
        return
    start = page.body[:CHALLENGE_MAX_BYTES].lower()
    if b"<html" not in start and b"<!doctype" not in start:
        return
    title = start.partition(b"<title")[2][:300]
    marks = [mark for mark in CHALLENGES if mark in (title if mark == b"access denied" else start)]
    if marks and len(page.body) < CHALLENGE_MAX_BYTES:
        raise Refused(
            f"{page.url} answered with a challenge page ({marks[0].decode()}): "
            "ask less often, or from another address",
            url=page.url,
        )
