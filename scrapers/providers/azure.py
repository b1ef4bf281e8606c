"""Microsoft Azure: the Retail Prices API, one query a region, no key.

Source: https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices
US dollars before tax for one Linux instance: an hour (Consumption, Spot), an hour under a
plan (`savingsPlan`), or the whole term (Reservation, although its unitOfMeasure says
"1 Hour"; monthly and upfront billing cost the same).
A size appears many times: Windows, Low Priority, DevTest, HDInsight, Cloud Services, dedicated
hosts and promotions are other products; copies for another meter region and rows that
start later are ranked by `standing`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Per, Quote
from gputape.store.offer import Option
from gputape.store.regions import places

PROVIDER = Provider(
    slug="azure",
    name="Microsoft Azure",
    prices_at="https://azure.microsoft.com/en-us/pricing/details/virtual-machines/linux/",
    terms_url="https://azure.microsoft.com/en-us/support/legal/",
    options=frozenset(Option),
    cadence=timedelta(hours=6),  # rows start on the first of a month; a change shows the same day
    at_least=3,
    note="Savings plans keep their own tier; a reservation is its term's price spread over it.",
)
REVISION = 1

Item: TypeAlias = Mapping[str, Any]

HOST = "prices.azure.com"
API = f"https://{HOST}/api/retail/prices"
# `contains` is case-sensitive; without it a region has some 8,000 rows
FILTER = (
    "serviceName eq 'Virtual Machines' and armRegionName eq '{}'"
    " and contains(armSkuName,'Standard_N')"
)

SIZE = re.compile(r"Standard_N(?!P\d)\w+")  # NP is an FPGA
# "… Series Windows", "NCCadsv5 Srs Win", "NC6 Promo", "CloudServices", "ND96asr Low Priority"
OTHER_PRODUCT = re.compile(
    r"\bWin(dows)?\b|Low Priority|HDInsight|Cloud ?Services|Dedicated|[ _]Promo|_Type1"
)
YEARS = re.compile(r"(\d) Years?")  # "1 Year", "3 Years"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def fetch(http: Http) -> None:
    """Ask for the N-series of one region after the other, each a part of its own."""
    for region in sorted(places("azure"), key=lambda code: (code != "eastus", code)):
        with http.part(region):
            follow(http, f"{API}?{query(region)}")


def query(region: str) -> str:
    """Spell the question as httpx will send it, so that archive and recording agree."""
    rows = quote(FILTER.format(region), safe="")
    return f"api-version=2023-01-01-preview&currencyCode=%27USD%27&$filter={rows}"


def follow(http: Http, url: str) -> None:
    """Ask for `url` and for every page behind it, on this host and once each."""
    asked = set[str]()
    while url:
        asked.add(url)
        url = envelope(http.get(url)).get("NextPageLink") or ""
        there = urlsplit(url)  # printed with ":443"
        if url and (url in asked or (there.scheme, there.hostname) != ("https", HOST)):
            raise Changed(f"NextPageLink leads to {url}; the pages can not be followed", url=url)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Read any saved answers; rows that rank equal or start later are for `normalise` to judge."""
    rivals = defaultdict[tuple[Any, ...], list[tuple[Item, datetime]]](list)
    for page in pages:
        for item in envelope(page)["Items"]:
            if rents_gpus(item):
                rivals[series(item)].append((item, page.fetched_at))
    for rows in rivals.values():
        best = max(standing(*row) for row in rows)
        for item, now in rows:
            if standing(item, now) == best or starts(item) > now:
                yield from quotes(item)


def envelope(page: Page) -> Item:
    """Return the answer around the rows."""
    answer = page.json()
    if not isinstance(answer, dict) or "Items" not in answer:
        raise Changed(f"{page.url} has no Items", url=page.url)
    return answer


def rents_gpus(item: Item) -> bool:
    """Tell a Linux machine of the N-series from what shares its size's name."""
    names = (item.get("productName"), item.get("skuName"), item.get("meterName"))
    return (
        item.get("serviceName") == "Virtual Machines"
        and item.get("type") in {"Consumption", "Reservation"}
        and SIZE.fullmatch(size := item.get("armSkuName") or "") is not None
        and not OTHER_PRODUCT.search(" | ".join(filter(None, (size, *names))))
    )


def series(item: Item) -> tuple[Any, ...]:
    """Name what a row prices: rows with the same name are rivals."""
    term = item.get("reservationTerm")
    return item["armSkuName"], region(item), item["type"], is_spot(item), term


def region(item: Item) -> str:
    """Return the region's code in lower case: "WestUS3" was seen beside "westus3"."""
    return str(item.get("armRegionName") or "global").lower()


def is_spot(item: Item) -> bool:
    """Tell a Spot meter."""
    return any((item.get(name) or "").endswith(" Spot") for name in ("skuName", "meterName"))


def standing(item: Item, now: datetime) -> tuple[bool, bool, datetime]:
    """Rank rows of one series: in force, then primary meter region, then newest."""
    ends = moment(item.get("effectiveEndDate"))
    in_force = starts(item) <= now and (ends is None or now < ends)
    return in_force, item.get("isPrimaryMeterRegion") is True, starts(item)


def starts(item: Item) -> datetime:
    """Return when a row's price begins; one without a date always did."""
    return moment(item.get("effectiveStartDate")) or LONG_AGO


def moment(text: str | None) -> datetime | None:
    """Read a date of the API."""
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def quotes(item: Item) -> Iterator[Quote]:
    """Yield a row's own price and the savings plans printed inside it."""
    say = partial(
        Quote,
        sku=item["armSkuName"],
        region=region(item),
        currency=item.get("currencyCode") or "USD",
        source_sku=f"{item.get('meterId')}/{item.get('skuId')}",
        valid_from=moment(item.get("effectiveStartDate")),
        valid_to=moment(item.get("effectiveEndDate")),
    )
    price = item.get("retailPrice")
    if item["type"] == "Reservation":
        term = months(item.get("reservationTerm"))
        yield say(option=Option.RESERVED, price=price, per=Per.TERM, term_months=term)
        return
    yield say(option=Option.SPOT if is_spot(item) else Option.ON_DEMAND, price=price)
    for plan in item.get("savingsPlan") or ():
        price, term = plan.get("retailPrice"), months(plan.get("term"))
        yield say(option=Option.RESERVED, tier="savings_plan", price=price, term_months=term)


def months(term: str | None) -> int | None:
    """Read "3 Years" as 36."""
    found = YEARS.fullmatch(term or "")
    return int(found[1]) * 12 if found else None
