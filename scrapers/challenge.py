"""Pages that say no without a status: a challenge that a browser would be asked to solve."""

from gputape.scrapers.errors import Refused
from gputape.scrapers.page import Page

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


def refuse_challenge(page: Page) -> None:
    """Raise `Refused` when the page is a challenge instead of an answer."""
    if _is_long(page):
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


def _is_long(page: Page) -> bool:
    try:
        return page.path is not None and page.path.stat().st_size > CHALLENGE_MAX_BYTES
    except FileNotFoundError:
        return False  # reading it says so
