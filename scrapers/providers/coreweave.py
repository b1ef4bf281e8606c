"""CoreWeave: the public pricing page, one table per region.

Source: https://www.coreweave.com/pricing (Webflow, rendered on the server).
Unit: US dollars per instance-hour before tax, on demand and spot in one row. Reserved capacity
is not priced; "Inference Single GPU Price" is for the inference platform, and no offer of its own.
Oddity: the CPU tables wear the class of the GPU tables, and each row repeats itself for phones.
The sku is `data-product`, since two rows may print one model name (AMD Genoa (9454), 2026-10).
"""

from collections.abc import Iterator, Mapping, Sequence

from gputape.scrapers.adapter import Http, Provider, Source
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.store.offer import Option

PROVIDER = Provider(
    slug="coreweave",
    name="CoreWeave",
    prices_at="https://www.coreweave.com/pricing",
    terms_url="https://docs.coreweave.com/policies/terms-of-service/terms-of-use",
    options=frozenset({Option.ON_DEMAND, Option.SPOT}),
    source=Source.PAGE,
    at_least=10,
    opt_in="Its terms are said to forbid automated reading; we could not verify it: read them.",
    note="Spot differs by region; what is sold only through sales has no on-demand price.",
)
REVISION = 1
CELL = ".table-grid > .table-v2-cell"  # the copies for phones are .table-cell-column
PRICES = {
    "On-Demand Price (Per Hour)": Option.ON_DEMAND,
    "Spot Price (Per Hour)": Option.SPOT,
}


def fetch(http: Http) -> None:
    """Ask for the page."""
    with http.part("pricing"):
        http.get(PROVIDER.prices_at)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Read each GPU table by the words over its columns: Europe has fewer of them."""
    for page in pages:
        for table in page.all("div.table-v2.gpu-pricing"):
            over = page.all(f".table-v2-header {CELL}", table)
            header = [cell.get_text(" ", strip=True) for cell in over]
            if "CPU Model" in header:
                continue
            heading = table.find_previous_sibling("h5")
            region = heading.get_text(" ", strip=True) if heading else "nothing"
            if not region.startswith("REGION: "):
                raise Changed(f"{page.url}: {region} over a table, not its REGION", url=page.url)
            for row in page.all(".table-row-v2", table):
                sku = str(page.all("[data-product]", row)[0]["data-product"])
                cells = [cell.get_text(" ", strip=True) for cell in page.all(CELL, row)]
                yield from quotes(sku, region, dict(zip(header, cells, strict=True)))


def quotes(sku: str, region: str, cells: Mapping[str, str]) -> Iterator[Quote]:
    """Yield a row's two prices as printed: `$49.24`, `N/A`, `Contact sales`; counts too (`4^1`)."""
    for column, option in PRICES.items():
        yield Quote(
            sku=sku,
            option=option,
            price=cells[column],
            region=region.removeprefix("REGION: ").lower().replace(" ", "-"),
            gpu=cells["GPU Model"],
            gpu_count=cells["GPU Count"],
            gpu_memory_gib=cells["VRAM (GB)"],
            vcpus=cells["vCPUs"],
            memory_gib=cells["System RAM (GB)"],
        )
