"""What the shared histories say, told with plain pandas from the files: nothing of ours is used.

A price is a dictionary entry: (sku, region, zone, option, term in months) → text or Decimal.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pandas as pd

Key: TypeAlias = tuple[str, str, str, str, int]
Prices: TypeAlias = dict[Key, Decimal]
MILLIONTH = Decimal("0.000001")
HOURS = 730  # in a month
CLOUDS = {"lambda": "lambda_labs", "oci": "oracle", "ovhcloud": "ovh"}
SELLERS = {"lambda": "lambda_labs", "datacrunch": "verda"}
# Azure's files count 12 GPUs in them; Microsoft's size page says 8
EIGHT = {"Standard_ND96is_H100_v5", "Standard_ND96isr_H100_v5"}
NO_GPU = {"Virtex UltraScale (VU9P)"}  # an FPGA: in the files, and no GPU
HOSTS = {  # which machine of GCP holds so many of an accelerator
    "A100": {str(n): f"a2-highgpu-{n}g" for n in (1, 2, 4, 8)} | {"16": "a2-megagpu-16g"},
    "A100-80GB": {str(n): f"a2-ultragpu-{n}g" for n in (1, 2, 4, 8)},
    "H100": {"8": "a3-highgpu-8g"},
    "L4": {"1": "g2-standard-"} | {str(n): f"g2-standard-{12 * n}" for n in (2, 4, 8)},
}  # fmt: skip
ONE_L4 = {f"g2-standard-{n}" for n in (4, 8, 12, 16, 32)}


def moment(file: Path) -> datetime:
    """Return the time in a file's name."""
    return datetime.strptime(file.name[:15], "%Y-%m-%dT%H%M").replace(tzinfo=UTC)


def table(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def number(text: str) -> Decimal:
    return Decimal(text).quantize(MILLIONTH)


# -- SkyPilot -------------------------------------------------------------------------------------


@cache
def rows(file: Path) -> pd.DataFrame:
    """Return a catalogue file's machines with their words; GCP's accelerators with their hosts."""
    found = table(file)
    if file.parent.name == "gcp":
        found = _with_hosts(found, table(file.parent.parent / "gcp-hosts" / file.name))
    if "AvailabilityZone" not in found:
        found["AvailabilityZone"] = ""
    found = found[found.InstanceType.ne("") & found.AcceleratorName.ne("")]
    return found[~found.AcceleratorName.isin(NO_GPU)]


def _with_hosts(cards: pd.DataFrame, hosts: pd.DataFrame) -> pd.DataFrame:
    """Return machines whose price is the host's and the accelerators' together, and lone cards."""
    count = cards.AcceleratorCount.str.removesuffix(".0")
    whole = cards.AcceleratorName.isin(HOSTS)
    lone = cards[~whole].copy()
    name = count[~whole] + "x " + lone.AcceleratorName
    lone["InstanceType"] = name.where(count[~whole].ne("1"), lone.AcceleratorName)
    both = cards[whole].merge(hosts, on="AvailabilityZone", suffixes=("", "_host"))
    fits = [
        host == (machine := HOSTS[card].get(n.removesuffix(".0"), ""))
        or (machine == "g2-standard-" and host in ONE_L4)
        for card, n, host in zip(
            both.AcceleratorName, both.AcceleratorCount, both.InstanceType_host, strict=True
        )
    ]
    both = both[fits]
    both["InstanceType"] = both.InstanceType_host
    for column in ("Price", "SpotPrice"):
        pairs = zip(both[column], both[f"{column}_host"], strict=True)
        both[column] = [str(Decimal(a) + Decimal(b)) if a and b else "" for a, b in pairs]
    return pd.concat([lone, both[cards.columns]])


def skypilot(file: Path) -> Prices:
    """Return every price of a file: on demand once a region, spot once a zone; 0 is no price."""
    found, prices = rows(file), Prices()
    for sku, region, zone, price, spot in zip(
        found.InstanceType, found.Region, found.AvailabilityZone, found.Price,
        found.get("SpotPrice", pd.Series("", found.index)), strict=True,
    ):  # fmt: skip
        if price and Decimal(price):
            prices.setdefault((sku, region, "", "on_demand", 0), number(price))
        if spot and Decimal(spot):
            prices.setdefault((sku, region, zone, "spot", 0), number(spot))
    return prices


def cheapest_card(file: Path, card: str, column: str) -> Decimal | None:
    """Return the lowest price of one accelerator in a file, per GPU."""
    found = rows(file)
    if column not in found:
        return None
    found = found[found.AcceleratorName.eq(card) & found[column].ne("")]
    each = [
        Decimal(price) / Decimal(8 if sku in EIGHT else count)
        for price, count, sku in zip(
            found[column], found.AcceleratorCount, found.InstanceType, strict=True
        )
    ]
    return min((price for price in each if price), default=None)


# -- GCP, composed --------------------------------------------------------------------------------


@cache
def gcosts(file: Path) -> Mapping[Key, Decimal]:
    """Return every price of a machine: hour, spot hour, and months of 730 hours under a term."""
    found, prices = table(file), Prices()
    for column, option, term, hours in (
        ("hour", "on_demand", 0, 1), ("hour_spot", "spot", 0, 1),
        ("month_1y", "reserved", 12, HOURS), ("month_3y", "reserved", 36, HOURS),
    ):  # fmt: skip
        for sku, region, text in zip(found.instance, found.region, found[column], strict=True):
            if text:
                price = (Decimal(text) / hours).quantize(MILLIONTH)
                prices[sku, region, "", option, term] = price
    return prices


# -- sellers --------------------------------------------------------------------------------------


def rentals(folder: Path, at: datetime) -> dict[tuple[str, str], float]:
    """Return the cheapest of each seller and GPU on demand, as asked last until a moment."""
    asked: dict[str, tuple[str, list[dict[str, object]]]] = {}
    for file in sorted(folder.glob("*.json.gz")):
        for offer in json.loads(gzip.decompress(file.read_bytes()))["offers"]:
            seller, when = str(offer["provider"]), str(offer["fetched_at"])
            if datetime.fromisoformat(when) > at or when < asked.get(seller, ("", []))[0]:
                continue
            if when != asked.get(seller, ("", []))[0]:
                asked[seller] = (when, [])
            if offer not in asked[seller][1]:
                asked[seller][1].append(offer)
    found: dict[tuple[str, str], float] = {}
    for seller, (_, offers) in asked.items():
        for offer in offers:
            key, price = (seller, str(offer["gpu"])), float(str(offer["usd_hr"]))
            if offer["kind"] == "on-demand":
                found[key] = min(price, found.get(key, price))
    return found


def tracker(file: Path) -> list[tuple[datetime, Decimal]]:
    """Return the looks of the tracker that had a price, by time."""
    found = table(file)
    found = found[found.price_usd.ne("")]
    moments = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in found.timestamp)
    return sorted((t, Decimal(price)) for t, price in zip(moments, found.price_usd, strict=True))


# -- arithmetic -----------------------------------------------------------------------------------


def mean(
    looks: Iterable[tuple[datetime, Decimal | None]], begin: datetime, end: datetime,
    stands: timedelta,
) -> tuple[Decimal, Decimal]:  # fmt: skip
    """Return the mean price and the hours that it is of.

    A price counts from a look until the next look, and no longer than `stands`.
    """
    ordered = sorted(looks, key=lambda look: look[0])
    until = [at for at, _ in ordered[1:]] + [end]
    total = hours = Decimal(0)
    for (at, price), after in zip(ordered, until, strict=True):
        span = min(after, at + stands, end) - max(at, begin)
        if price is not None and span > timedelta():
            share = Decimal(span // timedelta(microseconds=1)) / 3_600_000_000
            total, hours = total + price * share, hours + share
    return total / hours, hours


def drops(before: Prices, after: Prices, share: Decimal) -> dict[Key, Decimal]:
    """Return what fell by a share or more between two files, in percent to two places."""
    fell = {key: after[key] / before[key] - 1 for key in before.keys() & after.keys()}
    return {key: (by * 100).quantize(Decimal("0.01")) for key, by in fell.items() if by <= -share}


def lives(files: Iterable[Path]) -> dict[Key, list[datetime]]:
    """Return in which files each series had a price."""
    seen: dict[Key, list[datetime]] = defaultdict(list)
    for file in sorted(files):
        for key in skypilot(file):
            seen[key].append(moment(file))
    return seen


def hand_kept(file: Path, card: str) -> dict[str, Decimal]:
    """Return the cheapest price of one GPU at each cloud of Full Stack Deep Learning's table."""
    found = table(file)
    found = found[found["GPU Type"].str.strip().eq(card)]
    best: dict[str, Decimal] = {}
    for cloud, text, gpus in zip(found.Cloud, found["On-demand"], found.GPUs, strict=True):
        if text.strip():
            each = Decimal(text) / Decimal(gpus)
            best[cloud] = min(each, best.get(cloud, each))
    return best
