"""Oracle Cloud (OCI): one open price list of parts, and the shapes that are made of them.

Source: https://docs.oracle.com/en-us/iaas/Content/Billing/Tasks/signingup_topic-Estimating_Costs.htm
US dollars before tax, host included, for one GPU ("GPU Per Hour"), the same in every commercial
region; nothing is published for commitments.
A part is not a shape: which shapes a part is sold as is in `store/instances/oracle.toml`.
Preemptible capacity costs half of on demand where a shape allows it: a rule, not a printed price,
https://docs.oracle.com/en-us/iaas/Content/Compute/Concepts/preemptible.htm
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Figure, Of, Quote
from gputape.store.instances import instances
from gputape.store.offer import Option

PROVIDER = Provider(
    slug="oracle",
    name="Oracle Cloud",
    prices_at="https://www.oracle.com/cloud/price-list/",
    terms_url="https://www.oracle.com/legal/terms/",
    options=frozenset({Option.ON_DEMAND, Option.SPOT}),
    cadence=timedelta(days=1),  # old parts have not moved since 2023
    at_least=5,
    note="Spot is half of on demand by rule, never printed; every region has the same price.",
)
REVISION = 1

Item: TypeAlias = Mapping[str, Any]

URL = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/?currencyCode=USD"

# "OCI - Compute - GPU - H100T", "Compute  - GPU - A10", "Compute - GPU Standard - V2"
GPU_NAME = re.compile(r"\bGPU\b[^-]*- (?P<gpu>.+)$")
HALF = "half of on demand: preemptible capacity rule"


def fetch(http: Http) -> None:
    """Ask for the whole list: one answer, no paging."""
    with http.part("products"):
        http.get(URL)


def parse(pages: Sequence[Page]) -> Iterator[Quote]:
    """Quote each GPU part once for every shape that is made of it."""
    shapes = defaultdict[str | None, list[str]](list)
    for shape, instance in instances("oracle").items():
        shapes[instance.part].append(shape)
    for page in pages:
        answer = page.json()
        if not isinstance(answer, dict) or not answer.get("items"):
            raise Changed(f"{page.url} lists no items", url=page.url)
        for item in filter(is_gpu, answer["items"]):
            part = item["partNumber"]
            yield from of_shapes(item, shapes[part]) if part in shapes else unknown(item)


def is_gpu(item: Item) -> bool:
    """Tell a GPU from what shares its metric: licences, Cloud@Customer, VMware nodes."""
    return (
        item.get("metricName") == "GPU Per Hour"
        and str(item.get("serviceCategory")).startswith("Compute - GPU")
        and "NVIDIA AI Enterprise" not in str(item.get("displayName"))
    )


def of_shapes(item: Item, shapes: Sequence[str]) -> Iterator[Quote]:
    """Yield a part's price for its shapes, and the half of it where they are preemptible."""
    price, currency = pay_as_you_go(item)
    for shape in shapes:
        say = partial(Quote, sku=shape, of=Of.GPU, currency=currency, source_sku=item["partNumber"])
        yield say(option=Option.ON_DEMAND, price=price)
        if instances("oracle")[shape].preemptible and isinstance(price, Decimal | int):
            yield say(option=Option.SPOT, price=Decimal(price) / 2, derived=HALF)


def unknown(item: Item) -> Iterator[Quote]:
    """Show a part that no shape knows under its own number, one GPU."""
    price, currency = pay_as_you_go(item)
    name = str(item.get("displayName"))
    found = GPU_NAME.search(name)
    yield Quote(
        sku=item["partNumber"],
        option=Option.ON_DEMAND,
        price=price,
        currency=currency,
        gpu=found["gpu"] if found else name,
        gpu_count=1,
        source_sku=item["partNumber"],
    )


def pay_as_you_go(item: Item) -> tuple[Figure, str]:
    """Return the price of the highest usage range, and its currency."""
    for money in item.get("currencyCodeLocalizations") or ():
        prices = [p for p in money.get("prices") or () if p.get("model") == "PAY_AS_YOU_GO"]
        if money.get("currencyCode") == "USD" and prices:
            return max(prices, key=lambda p: p.get("rangeMin") or 0).get("value"), "USD"
    return None, "USD"
