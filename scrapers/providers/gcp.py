"""Google Cloud: the Billing Catalog with a key, a weekly list composed from it without one.

With GCP_API_KEY: https://cloud.google.com/billing/v1/how-tos/catalog-api, the parts of every
machine, put together in `gcp_catalog.py`. Without: pricing.yml of
https://github.com/Cyclenerd/google-cloud-pricing-cost-calculator (Apache-2.0), where somebody
else did that; it says its own age in `about.timestamp` and is rebuilt about once a week.
US dollars per machine-hour before tax, per month under a commitment, bundled local SSD included.
Left out: GPUs attached to N1 hosts of any size (T4, V100, P100, P4), A4X, and TPU v2 to v4,
which another service prices per 8 cores or pod.
The list scales a whole RTX PRO 6000 down for g4-standard-6, -12 and -24 and says 0.559556 where
the catalogue's own slice costs 0.64688: those rows are marked as derived.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote

from gputape.scrapers import gcp_catalog
from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Per, Quote
from gputape.store.instances import instances
from gputape.store.offer import Option

PROVIDER = Provider(
    slug="gcp",
    name="Google Cloud",
    prices_at="https://cloud.google.com/products/compute/pricing/accelerator-optimized",
    terms_url="https://cloud.google.com/terms",
    options=frozenset(Option),
    cadence=timedelta(days=1),  # the list is rebuilt weekly; spot prices move at most daily
    at_least=10,
    keys=("GCP_API_KEY",),
    note="Composed from part prices: by us with GCP_API_KEY, else by Cyclenerd once a week.",
)
REVISION = 1

SERVICE = "services/6F81-5844-456A"  # Compute Engine
CATALOG = f"https://cloudbilling.googleapis.com/v1/{SERVICE}/skus?currencyCode=USD&pageSize=5000"
MAX_PAGES = 50  # 31,561 rows were 7 pages on 2026-07-27

RELAY = "Cyclenerd/google-cloud-pricing-cost-calculator"
LIST = f"https://raw.githubusercontent.com/{RELAY}/master/pricing.yml"

# pricing.yml is written by a program, two spaces a level: compute, instance, then a type such as
# a3-highgpu-8g, its attributes and `cost`, a region, and lines such as "hour: 88.4899999025753"
SECTION = re.compile(r" {0,2}\w.*")
TYPE = re.compile(r" {4}([a-z][\w-]*):")
ATTRIBUTE = re.compile(r" {6}[a-z][\w-]*:(?: \S.*)?")
# "h100-80gb-mega: 8" and "rtx6000: 0.125", but not "cpu: 208" or "local-ssd: 6000"
ACCELERATOR = re.compile(r" {6}[a-z]+\d[\w-]*: (?P<count>[\d.]+)")
REGION = re.compile(r" {8}([a-z][\w-]*):")
PRICE = re.compile(r" {10}(?P<kind>\w+): (?P<price>\d+(?:\.\d+)?(?:e-?\d+)?)")
KINDS: dict[str, dict[str, Any] | None] = {
    "hour": {"option": Option.ON_DEMAND},
    "hour_spot": {"option": Option.SPOT},
    "month_1y": {"option": Option.RESERVED, "tier": "cud", "term_months": 12, "per": Per.MONTH},
    "month_3y": {"option": Option.RESERVED, "tier": "cud", "term_months": 36, "per": Per.MONTH},
    "month": None,  # 730 times the hour
    "month_spot": None,
}

# has an on-demand price and can not be bought so: reservation, spot or flex-start only
# (https://cloud.google.com/compute/docs/accelerator-optimized-machines)
NOT_ON_DEMAND = re.compile(r"a4-.*|a3-ultragpu-.*|a3-highgpu-[124]g")


def fetch(http: Http) -> None:
    """Ask for the catalogue with a key, for the list without: one part, the same series."""
    with http.part("machines"):
        if key := http.secret("GCP_API_KEY"):
            ask_catalog(http, key)
        else:
            http.get(LIST)


def ask_catalog(http: Http, key: str) -> None:
    """Ask for every page. The key is a header: an address is archived, a header is not."""
    url = CATALOG
    for _ in range(MAX_PAGES):
        page = http.get(url, headers={"X-Goog-Api-Key": key})
        catalog_rows(page)
        if not (token := page.json().get("nextPageToken")):
            return
        url = f"{CATALOG}&pageToken={quote(token, safe='')}"
    raise Changed(f"{CATALOG} goes on after {MAX_PAGES} pages", url=CATALOG)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Read pages of either kind."""
    rows = (row for page in pages if is_json(page) for row in catalog_rows(page))
    composed = gcp_catalog.quotes(rows, instances("gcp"))
    lists = (row for page in pages if not is_json(page) for row in listed(page))
    for found in chain(composed, lists):
        sold = found.option is not Option.ON_DEMAND or not NOT_ON_DEMAND.fullmatch(found.sku)
        yield found if sold else replace(found, available=False)


def is_json(page: Page) -> bool:
    """Tell a catalogue page from the list."""
    return page.body.lstrip().startswith(b"{")


def catalog_rows(page: Page) -> Sequence[gcp_catalog.Row]:
    """Return the rows of a catalogue page. A wrong service answers with none, and status 200."""
    answer = page.json()
    rows = answer.get("skus") if isinstance(answer, dict) else None
    if not rows or not all(row["name"].startswith(SERVICE) for row in rows):
        raise Changed(f"{page.url} has no rows of {SERVICE} (Compute Engine)", url=page.url)
    return list(rows)


def listed(page: Page) -> Iterator[Quote]:
    """Yield what pricing.yml says of machines that we know or that have an accelerator."""
    known = instances("gcp")
    for sku, lines in machine_types(page):
        gpus = [found["count"] for line in lines if (found := ACCELERATOR.fullmatch(line))]
        if gpus or sku in known:
            scaled = "scaled down from a whole GPU" if "." in "".join(gpus) else None
            say = partial(Quote, sku=sku, relay=RELAY, derived=scaled)
            for region, kind, price in costs(page, lines):
                if bought := KINDS[kind]:
                    yield say(region=region, price=price, **bought)


def machine_types(page: Page) -> Iterator[tuple[str, list[str]]]:
    """Yield each machine type under compute.instance with the lines below it."""
    lines = iter(page.text.splitlines())
    if "compute:" not in lines or "  instance:" not in lines:  # reads on to the heading
        raise Changed(f"{page.url} has no compute.instance", url=page.url)
    sku, below = "", list[str]()
    for line in lines:
        if line.startswith("      "):
            below.append(line)
        elif found := TYPE.fullmatch(line):
            if sku:
                yield sku, below
            sku, below = found[1], []
        elif SECTION.fullmatch(line):
            break
        else:
            raise Changed(f"{page.url} has {line!r} where a machine type should be", url=page.url)
    yield sku, below


def costs(page: Page, lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield region, kind and price as text of one machine type."""
    region = ""
    for line in lines:
        if (found := PRICE.fullmatch(line)) and region and found["kind"] in KINDS:
            yield region, found["kind"], found["price"]
        elif found := REGION.fullmatch(line):
            region = found[1]
        elif ATTRIBUTE.fullmatch(line):
            region = ""
        else:
            raise Changed(f"{page.url} has {line!r} where a price should be", url=page.url)
