"""The simulator does what its faults say, or a test of the service would prove nothing."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.scrapers.reading import read
from gputape.scrapers.registry import adapter

from .simulator import CONTENT, EVERY, FAULTS, pages
from .test_thousand_runs import SLUGS


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("fault", CONTENT)
def test_each_wrong_list_is_wrong(slug: str, fault: str) -> None:
    """A hundred times the price, fewer than half of the rows, none of them, or another page."""

    def said(body: bytes) -> list[Quote]:
        page = Page(url=found.url, fetched_at=datetime.now(UTC), read=lambda: body)
        try:
            return list(read(adapter(slug), [page]).quotes)
        except Exception:  # noqa: BLE001  # whatever the adapter says of another page
            return []

    (found,) = pages(slug)
    right, wrong = said(found.body), said(CONTENT[fault](found.body))

    assert right
    if fault == "dear":
        assert len(wrong) == len(right)
        assert not figures(right) & figures(wrong)
    else:
        assert len(wrong) <= len(right) / 2 if fault == "half" else not wrong


def figures(quotes: Sequence[Quote]) -> set[str]:
    """Return the prices that are figures."""
    return {str(quote.price) for quote in quotes if re.search(r"\d", str(quote.price))}


def test_the_faults_are_all_that_were_asked_for() -> None:
    """Each kind of trouble that a provider can make is simulated."""
    assert {"slow", "hang", "reset", "429", "500", "truncated", "picture", "endless", "loop",
            "layout", "empty", "dear", "half"} <= set(EVERY)  # fmt: skip
    assert not FAULTS.keys() & CONTENT.keys()
