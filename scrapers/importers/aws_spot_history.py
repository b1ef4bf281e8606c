"""AWS spot price history: what `aws ec2 describe-spot-price-history` wrote to a file.

Format: docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html; also a
bare list (`--query SpotPriceHistory`). UTF-8, or UTF-16 as PowerShell's `>` writes. Unit: US
dollars per instance-hour. A row is one change of one zone's price, newest first or in any order;
a folder of pages or of overlapping files is one history. Only Linux/UNIX is read.
Zone names differ per account ("us-east-1a" here is "us-east-1c" there): as printed.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from gputape.scrapers import ec2_offer
from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import Moments
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.providers.aws import LINUX, ZONE_LETTER
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.instances import instances
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="aws-spot-history",
    name="AWS DescribeSpotPriceHistory",
    url="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html",
    licence="AWS says nothing about a licence: its service terms hold",
    # an unchanged price is repeated about every 24 hours: m5.4xlarge in eu-west-3b, eight times
    # 0.2545 from 2022-10-07 to 10-15 (turbot/steampipe-plugin-aws#1378)
    cadence=timedelta(days=1),
)
REVISION = 1
WITHOUT_GPU = "rows of instance types without a GPU in the facts, left out"
LEFT_OUT = "rows without a zone, a type, a price or a time, left out"


class Change(NamedTuple):
    """One price of one zone from a moment on. Sorts by time."""

    moment: datetime
    region: str
    file: int
    zone: str
    sku: str
    price: str


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per region and moment at which a price changed there."""
    if options.observed_at:
        raise BadInput("every row of a spot history has its own time: leave --observed-at away")
    files = kept.listed(path, ".json")
    flaws = Flaws()
    changes: dict[tuple[object, ...], Change] = {}
    for number, file in enumerate(files):
        for change in _changes(file, number, kept.called(file, path), flaws):
            changes.setdefault((change.moment, change.zone, change.sku, change.price), change)
    if not changes:
        seen = "; ".join(f"{kind}: {', '.join(at)}" for kind, at in flaws.all().items())
        raise BadInput(f"{path} has no Linux spot price of a GPU ({seen or 'no rows'})")
    yield from _snapshots(sorted(changes.values()), files, path, flaws)


def _snapshots(
    changes: list[Change], files: Sequence[Path], path: Path, flaws: Flaws
) -> Iterator[Snapshot]:
    moments = Moments()  # files that overlap may share one
    for (moment, region, number), group in groupby(changes, lambda change: change[:3]):
        name = kept.called(files[number], path)
        quotes = [_quote(change, name, flaws) for change in group]
        flaws.note_two_prices(quotes, f"{name}: {moment}")
        yield Snapshot(
            provider="aws",
            observed_at=moments.apart(region, moment)[0],
            quotes=quotes,
            file=name,
            read=files[number].read_bytes,
            complete=False,
            part=f"import/{SOURCE.slug}/{region}",
            defects=flaws.take(),
        )


def _changes(file: Path, number: int, name: str, flaws: Flaws) -> Iterator[Change]:
    """Yield a file's Linux rows of accelerators, counting the types that have none."""
    known = instances("aws")
    without: Counter[str] = Counter()
    for line, row in enumerate(_rows(file)):
        try:
            if row["ProductDescription"] not in LINUX:
                continue
            zone, sku, price = row["AvailabilityZone"], row["InstanceType"], row["SpotPrice"]
            moment = kept.moment(row["Timestamp"])
            region = ZONE_LETTER.sub("", zone)
        except (KeyError, TypeError, ValueError, AttributeError):
            flaws.add(LEFT_OUT, f"{name}: row {line}")
            continue
        if ec2_offer.is_accelerated_by_name(sku, known):
            yield Change(moment, region, number, zone, sku, price)
        else:
            without[sku] += 1
    for sku, rows in without.most_common():
        flaws.add(WITHOUT_GPU, f"{name}: {sku} × {rows}")


def _rows(file: Path) -> list[Any]:
    try:
        document = json.loads(kept.text(file), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON ({error}): write it with --output json") from None
    rows = document.get("SpotPriceHistory") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise BadInput(f"{file} has no SpotPriceHistory: give a describe-spot-price-history output")
    return rows


def _quote(change: Change, name: str, flaws: Flaws) -> Quote:
    place = f"{name}: {change.zone} {change.sku} {change.moment}"
    return Quote(
        sku=change.sku,
        option=Option.SPOT,
        price=flaws.dusted(change.price, place),
        region=change.region,
        zone=change.zone,
    )
