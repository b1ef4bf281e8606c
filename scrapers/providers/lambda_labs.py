"""Lambda: the public pricing page; with a key, the API in place of its instance tables.

Sources: https://lambda.ai/pricing; GET /instance-types (docs.lambda.ai/public-cloud/cloud-api).
Unit: the page prints US dollars per GPU-hour, the API US cents per instance-hour, both before tax.
Regions share one price: `global`, where the API's `available` means "in some region".
1-Click Clusters are reserved for two weeks up to a year: the term is the shortest commitment,
rounded up to whole months (two weeks are 1), and the sku keeps the duration as printed.
Oddity: a script repeats every table, escaped, and class names change with each deployment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from math import ceil

from gputape.scrapers.adapter import Http, Provider, Source
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Of, Quote
from gputape.store.offer import HOURS_PER_MONTH, Option

PROVIDER = Provider(
    slug="lambda_labs",
    name="Lambda",
    prices_at="https://lambda.ai/pricing",
    terms_url="https://lambda.ai/legal/terms-of-service",
    options=frozenset({Option.ON_DEMAND, Option.RESERVED}),
    source=Source.PAGE,
    at_least=8,
    keys=("LAMBDA_API_KEY",),
    note="With a key, instances come from the API: its own names, and whether any region has one.",
)
REVISION = 1
API = "https://cloud.lambda.ai/api/v1/instance-types"
PANEL = "[role=tabpanel][aria-labelledby]:has(table)"
SIZE = re.compile(r"(\d+)x")  # the tab over a table of instances: "8x"
SHORTEST = re.compile(r"(\d+) (week|month|year)")  # "2 weeks …", "1 year+"
HOURS = {"week": 7 * 24, "month": HOURS_PER_MONTH, "year": 12 * HOURS_PER_MONTH}


def fetch(http: Http) -> None:
    """Ask for the page; with a key for the API, and for the page's clusters beside it."""
    if not (key := http.secret("LAMBDA_API_KEY")):
        with http.part("pricing"):
            http.get(PROVIDER.prices_at)
        return
    answers: list[Page] = []
    with http.part("api"):
        answers.append(http.get(API, headers={"Authorization": f"Bearer {key}"}))
    if answers:  # without them `parse` would read the page's instances too
        with http.part("clusters", *answers):
            http.get(PROVIDER.prices_at)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Read the API's answer or the page; of a page beside an answer, only the clusters."""
    answers = [page for page in pages if page.body.lstrip().startswith(b"{")]
    for page in [page for page in pages if page not in answers] or answers:
        yield from instance_types(page) if page in answers else tables(page, instances=not answers)


def tables(page: Page, *, instances: bool) -> Iterator[Quote]:
    """Read the rows under each tab by their `data-` attributes."""
    for panel in page.all(PANEL):
        tab = page.all(f'[id="{panel["aria-labelledby"]}"]')[0].get_text(strip=True)
        for row in page.all("tr[data-plan]", panel):
            found = page.all("[data-label]", row)
            cells = {str(cell["data-label"]): cell.get_text(" ", strip=True) for cell in found}
            if "DURATION" in cells:
                yield cluster(str(row["data-plan"]), cells)
            elif not (size := SIZE.fullmatch(tab)):
                raise Changed(f"{page.url} has instances under {tab!r}, not '8x'", url=page.url)
            elif instances:
                yield instance(str(row["data-plan"]), size[1], cells)


def instance(plan: str, count: str, cells: Mapping[str, str]) -> Quote:
    """Read one size; memory is in the sku, for it alone tells two A100 SXM rows apart."""
    return Quote(
        sku=f"{count}x {plan} {cells['VRAM/GPU']}",
        option=Option.ON_DEMAND,
        price=cells["PRICE/GPU/HR*"],
        of=Of.GPU,
        gpu=plan,
        gpu_count=count,
        gpu_memory_gib=cells["VRAM/GPU"].removesuffix(" GB"),
        vcpus=cells["vCPUs"],
        memory_gib=cells["RAM"].removesuffix(" GiB"),
    )


def cluster(plan: str, cells: Mapping[str, str]) -> Quote:
    """Read one cluster size as printed: a count may be `256+`, a price `—`."""
    shortest = SHORTEST.match(cells["DURATION"])
    hours = int(shortest[1]) * HOURS[shortest[2]] if shortest else None
    return Quote(
        sku=f"1-Click Cluster {plan} {cells['GPU COUNT']} {cells['DURATION']}",
        option=Option.RESERVED,
        tier="cluster",
        term_months=hours and ceil(Decimal(hours) / HOURS_PER_MONTH),
        price=cells["PRICE/GPU/HR*"],
        of=Of.GPU,
        gpu=plan,
        gpu_count=cells["GPU COUNT"],
    )


def instance_types(page: Page) -> Iterator[Quote]:
    """Read every instance type with GPUs, whether or not a region has one free."""
    for listed in page.json()["data"].values():
        kind, specs = listed["instance_type"], listed["instance_type"]["specs"]
        cents = kind["price_cents_per_hour"]
        if specs["gpus"]:
            yield Quote(
                sku=kind["name"],
                option=Option.ON_DEMAND,
                price=None if cents is None else Decimal(cents) / 100,
                gpu=kind["gpu_description"],
                gpu_count=specs["gpus"],
                vcpus=specs["vcpus"],
                memory_gib=specs["memory_gib"],
                available=bool(listed["regions_with_capacity_available"]),
            )
