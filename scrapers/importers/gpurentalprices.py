"""gpurentalprices.com: every day the cheapest price per GPU of some 34 sellers, by one fetcher.

Source: https://github.com/adriannutiu/gpu-rental-prices (data/latest.json, data/snapshots/), daily
since 2026-07-05, CC BY 4.0. Unit: US dollars per GPU-hour, without storage, egress and network.
`min_gpus`, where it is said, is the smallest machine that the price holds for: 8 of them are one
sku. A row is true at its own `fetched_at`, whatever file it stands in: when a seller could not be
asked, the file repeats its last rows ("carried forward"), and they are not that day's prices.
Oddity: the first file (2026-07-05) names GPUs wrongly (`a40` of 16 GB); memory is in the sku.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.sellers import slug
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.quote import Of, Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="gpurentalprices",
    name="gpurentalprices.com",
    url="https://gpurentalprices.com",
    licence="CC-BY-4.0",
    attribution="GPU rental price data by gpurentalprices.com (https://gpurentalprices.com), "
    "licensed under CC BY 4.0.",
)
REVISION = 1
KINDS: Mapping[str, tuple[Option, str | None]] = {
    "on-demand": (Option.ON_DEMAND, None),
    "spot": (Option.SPOT, None),
    "serverless": (Option.ON_DEMAND, "serverless"),
    "secure": (Option.ON_DEMAND, "secure"),
    # only RunPod and Salad: machines of other people, sold on demand; "spot" is a kind of its own
    "community": (Option.ON_DEMAND, "community"),
}
CARRIED = "sellers carried forward from an earlier day, kept at the time they were asked"
LEFT_OUT = "rows without a field that we need, or of a kind or time that we do not know, left out"
DAY = timedelta(days=1)

Listings = dict[tuple[datetime, str], list[Quote]]
"""What one file says, by the time a seller was asked and the seller."""


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per seller and time of asking; a repeated one once."""
    files = kept.listed(path, ".json")
    kept.check_one_moment(files, options)
    told: set[tuple[datetime, str]] = set()
    read = False
    for file in files:
        document = _document(file)
        if document is not None:  # otherwise another JSON of the same folder
            read = True
            name = kept.called(file, path)
            yield from _of_file(document, name, file.read_bytes, options.observed_at, told)
    if not read:
        raise BadInput(f"{path} has no offers of gpurentalprices.com: see {SOURCE.url}/data")


def _document(file: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(kept.text(file), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON ({error}): get it again") from None
    offers = document.get("offers") if isinstance(document, dict) else None
    return document if isinstance(offers, list) else None


def _of_file(
    document: Mapping[str, Any],
    name: str,
    read: Callable[[], bytes],
    observed_at: datetime | None,
    told: set[tuple[datetime, str]],
) -> Iterator[Snapshot]:
    flaws = Flaws()
    listings = _listings(document["offers"], name, observed_at, flaws)
    asked = [provider for _, provider in listings]
    for (asked_at, provider), quotes in listings.items():
        flaws.note_two_prices(quotes, f"{name}: {provider}")
        if observed_at is None and _is_carried(document, provider, asked_at):
            flaws.add(CARRIED, f"{name}: {provider} of {asked_at:%Y-%m-%d %H:%M}")
    for asked_at, provider in sorted(listings.keys() - told):
        yield Snapshot(
            provider=provider,
            observed_at=asked_at,
            quotes=listings[asked_at, provider],
            file=name,
            read=read,
            complete=asked.count(provider) == 1,
            defects=flaws.take(),
        )
    told.update(listings)


def _listings(rows: list[Any], name: str, observed_at: datetime | None, flaws: Flaws) -> Listings:
    found: Listings = defaultdict(list)
    for number, row in enumerate(rows):
        place = f"{name}: offers[{number}]"
        try:
            asked_at = observed_at or kept.moment(row["fetched_at"])
            found[asked_at, slug(row["provider"])].append(_quote(row, place, flaws))
        except (AttributeError, KeyError, TypeError, ValueError):
            flaws.add(LEFT_OUT, place)
    return found


def _quote(row: Mapping[str, Any], place: str, flaws: Flaws) -> Quote:
    option, tier = KINDS[row["kind"]]
    smallest = row.get("min_gpus") or 1
    sku = f"{row['gpu']} {row['vram_gb']} GB"
    return Quote(
        sku=sku if smallest == 1 else f"{sku} x{smallest}",
        option=option,
        tier=tier,
        region="unstated",
        price=flaws.dusted(row["usd_hr"], place),
        of=Of.GPU,
        gpu=row["gpu"],
        gpu_memory_gib=row["vram_gb"],
        gpu_count=smallest,
    )


def _is_carried(document: Mapping[str, Any], provider: str, asked_at: datetime) -> bool:
    """Whether the rows are an earlier file's: the file says so, or they are a day older."""
    states = document.get("providers")
    for name, state in states.items() if isinstance(states, dict) else ():
        if slug(name) == provider and isinstance(state, dict) and state.get("stale"):
            return True
    try:
        return asked_at < kept.moment(document["generated_at"]) - DAY
    except (AttributeError, KeyError, ValueError):
        return False
