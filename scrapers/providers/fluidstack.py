"""FluidStack: a pricing page that may honestly have nothing to read.

Source: https://www.fluidstack.io/pricing (404 in August and October 2026, by two public records).
Unit: US dollars per GPU-hour before tax; the size of a node is not stated, so a row is one GPU.
Layouts: to mid-2025 a table (on demand, and one committed term: 6 months, later 1 year); then
cards ("$2.10 / GPU / H") for clusters, no term stated: on demand, tier `cluster`.
Oddity: in 2023 vCPU and RAM were billed beside the GPU; such a page is `Changed`, never a price.
The old API (list_available_configurations) is retired with its platform and is not asked.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gputape.scrapers.adapter import Http, Provider, Source
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Of, Quote
from gputape.store.offer import Option

PROVIDER = Provider(
    slug="fluidstack",
    name="FluidStack",
    prices_at="https://www.fluidstack.io/pricing",
    terms_url="https://www.fluidstack.io/legal/terms-conditions",
    options=frozenset({Option.ON_DEMAND, Option.RESERVED}),
    source=Source.PAGE,
    cadence=timedelta(days=1),
    at_least=0,
    opt_in="Its pricing page was gone (404) in August and October 2026: enable it to ask again.",
    note="The self-service platform is retired and capacity is sold by contract: often no price.",
)
REVISION = 1
# Seen: "GPU On-Demand Price (/hr)", "GPU 6 Month Price (/hr)", and in January 2025
# "On-Demand Price (/hr)", "1 Year price (/hr)".
COLUMN = re.compile(r"(?:GPU )?(?:On-Demand|(\d+) (month|year)) price \(/hr\)", re.IGNORECASE)
MONTHS = {"month": 1, "year": 12}
CARD = re.compile(r"(\$[\d.,]+) / GPU / H|On Request")
BOX = "[data-framer-name]:not(:has([data-framer-name]))"  # Framer's class names are hashes
PRICE = re.compile(r"\$\s?\d+\.\d\d")


def fetch(http: Http) -> None:
    """Ask for the page."""
    with http.part("pricing"):
        http.get(PROVIDER.prices_at)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Read tables and cards; nothing is an answer only on a FluidStack page without a price."""
    for page in pages:
        quotes = [*tables(page), *cards(page)]
        words = page.soup.get_text(" ")
        if not quotes and (PRICE.search(words) or "fluidstack" not in words.lower()):
            raise Changed(f"{page.url} has no table or card that we know", url=page.url)
        yield from quotes


def tables(page: Page) -> Iterator[Quote]:
    """Read the table of 2023 to 2025: model, memory, the host's limits, two prices."""
    for table in page.soup.select("table"):
        header = [cell.get_text(" ", strip=True) for cell in page.all("thead th", table)]
        prices = [COLUMN.fullmatch(name) for name in header]
        known = header[0].endswith("Model") and header[1:2] == ["VRAM (GB)"]
        if not known or len(list(filter(None, prices))) != 2 or "$" in "".join(header):
            raise Changed(f"{page.url} has a table of {header}", url=page.url)
        for row in page.all("tbody tr", table):
            cells = [cell.get_text(" ", strip=True) for cell in page.all("th, td", row)]
            if len(cells) != len(header):
                raise Changed(f"{page.url}: {cells} under {header}", url=page.url)
            for column, price in zip(prices, cells, strict=True):
                if column:
                    months = int(column[1]) * MONTHS[column[2].lower()] if column[1] else None
                    yield quote(cells[0], price, memory=cells[1], term_months=months)


def cards(page: Page) -> Iterator[Quote]:
    """Read the cards of mid-2025: a heading names the GPU, the box after it the price."""
    for box in page.soup.select(BOX):
        found = CARD.fullmatch(box.get_text(" ", strip=True))
        name = box.find_previous("h3")
        if found and name:
            yield quote(name.get_text(" ", strip=True), found[1] or found[0], tier="cluster")


def quote(
    gpu: str,
    price: str,
    *,
    memory: str | None = None,
    term_months: int | None = None,
    tier: str | None = None,
) -> Quote:
    """Return the price of one GPU for an hour."""
    return Quote(
        sku=gpu,
        option=Option.RESERVED if term_months else Option.ON_DEMAND,
        tier=tier,
        term_months=term_months,
        price=price,
        of=Of.GPU,
        gpu=gpu,
        gpu_count=1,
        gpu_memory_gib=memory,
    )
