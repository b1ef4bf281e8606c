"""A market of a few hundred offers, told to the real recorder: every kind that is treated apart."""

import sys
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from markets import Market, at, offer, scan

from gputape.store.offer import Offer
from gputape.store.scan import InterruptionRow, Listing, Scan

KINDS = {"aws": "list", "gcp": "list", "azure": "list", "coreweave": "list", "acme": "list",
         "bazaar": "marketplace"}  # fmt: skip
JOINED = {"aws": "p5.48xlarge", "gcp": "a3-highgpu-8g", "azure": "Standard_ND96isr_H100_v5"}
GPUS = ("h100-sxm-80", "a100-sxm-80", "a100-pcie-40", "l4-24", "v100-sxm-16", "rtx-4090-24",
        "mi300x-192", "h100-80", "k80-12")  # fmt: skip
FIRST = at(1)
RATES = {date(2026, 3, day): f"1.{day:02d}" for day in range(1, 13)}


def price(chance: Random, count: Decimal, option: str) -> str:
    share = {"on_demand": 1.0, "reserved": 0.6, "spot": 0.4}[option]
    return f"{float(count) * share * chance.uniform(0.8, 4):.6f}"


def offered(chance: Random, provider: str, number: int) -> Offer:
    """Make one offer; some are dear to the rules: fractions, euros, formulas, sold out."""
    count = Decimal(chance.choice(["1", "2", "4", "8", "8", "0.5", "3"]))
    option = chance.choice(["on_demand", "spot", "reserved"])
    words: dict[str, Any] = {"option": option, "region": chance.choice(["us-east-1", "eu-west-1"])}
    if option == "reserved":
        words |= {"term_months": chance.choice([1, 12, 36]), "payment": "none"}
    if number % 11 == 0:
        words["derived"] = "half of on demand"
    if number % 13 == 0:
        words["available"] = False
    if number % 7 == 0:
        words["currency"] = "EUR"
    if number % 17 == 0:
        words["currency"] = "CHF"  # of which no rate is known
    if number % 19 == 0:
        words["suspect"] = "outside its band"
    sku = JOINED.get(provider, "big") if count == 8 else f"sku-{number}"
    return offer(provider, price(chance, count, option), sku, zone=f"z{number}",
                 gpu=chance.choice(GPUS), gpu_count=count, **words)  # fmt: skip


def interruptions() -> list[InterruptionRow]:
    """AWS's buckets: one for each region of the machine that is joined."""
    return [
        InterruptionRow(sku="p5.48xlarge", region=region, low_percent=low, high_percent=low + 5,
                        saving_percent=None)
        for region, low in (("us-east-1", 0), ("eu-west-1", 15))
    ]  # fmt: skip


class Sellers(Market):
    """A market whose looks may also list interruptions."""

    def rare(self, look: Scan, rows: list[InterruptionRow]) -> "Sellers":
        self._untold.append((look, Listing(interruptions=rows)))
        return self


def market(db: Path, days: int = 1, each: int = 60, seed: int = 7) -> Market:
    """Tell `days` days of every seller's list: prices move, come, go; some looks fail."""
    chance = Random(seed)  # noqa: S311 - a market, no secret
    sellers = Sellers(db)
    sellers.rare(scan("aws", FIRST, part="spot-advisor"), interruptions())
    sellers.tell(kinds=KINDS, rates=RATES)
    listed = {
        name: [offered(chance, name, number) for number in range(each)] for name in KINDS
    }  # fmt: skip
    for day in range(days):
        for name in KINDS:
            _look(sellers, chance, name, listed[name], FIRST + timedelta(days=day))
            listed[name] = [_moved(chance, one) for one in listed[name]]
    return sellers


def _look(sellers: Market, chance: Random, name: str, listed: list[Offer], day: datetime) -> None:
    """Tell a look: at a chance hour, standing two hours or two days, partial, failed or none."""
    when = day.replace(hour=chance.randrange(24), minute=chance.randrange(60))
    stands = chance.choice([7200, 7200, 172_800])
    fate = chance.random() if day > FIRST else 0.5
    if fate < 0.15:
        return
    if fate < 0.25:
        sellers.tell((scan(name, when, status="unreachable", sentence="no answer"), []))
        return
    shown = [one for one in listed if chance.random() < 0.9]
    sellers.tell((scan(name, when, stands_s=stands), shown))


def _moved(chance: Random, one: Offer) -> Offer:
    if chance.random() < 0.5:
        return replace(one, suspect=None)
    moved = (one.price * Decimal(f"{chance.uniform(0.7, 1.3):.3f}")).quantize(Decimal("0.000001"))
    sold = None if chance.random() < 0.9 else False
    return replace(one, price=moved, suspect=None, available=sold)
