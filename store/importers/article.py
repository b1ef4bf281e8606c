"""A price table printed in an article: GPU × provider × option, USD per GPU-hour.

Columns: as_of, gpu, provider, on_demand_usd_gpu_hour, reserved_1y_usd_gpu_hour,
spot_usd_gpu_hour; a blank is no price. A table says neither region nor instance, so the sku is
the article's own word for the GPU and the region is `unstated`. Its names carry no form factor
("A100 40 GB"), and what it calls A10 at AWS is sold there as A10G: kept as printed.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation

from gputape.store.errors import BadInput
from gputape.store.gpus import resolve
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.scan import OK, Listing, Scan

SELLERS = {
    "AWS": "aws",
    "Azure": "azure",
    "CoreWeave": "coreweave",
    "FluidStack": "fluidstack",
    "Google": "gcp",
    "Lambda Labs": "lambda_labs",
    "Oracle": "oracle",
}
COLUMNS = {
    "on_demand_usd_gpu_hour": (Option.ON_DEMAND, None),
    "reserved_1y_usd_gpu_hour": (Option.RESERVED, 12),
    "spot_usd_gpu_hour": (Option.SPOT, None),
}


def scans(text: str, source: str, run_id: int, now: datetime) -> Iterator[tuple[Scan, Listing]]:
    """Yield a scan per seller, observed at the start of the table's day (UTC).

    Raises `BadInput` with the line that can not be read.
    """
    found: dict[tuple[str, datetime], list[Offer]] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            day = datetime.combine(datetime.fromisoformat(row["as_of"]), time(), UTC)
            seller = SELLERS[row["provider"]]
            offers = list(_offers(seller, row))
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise BadInput(f"{source}, line {line}: {error!r}: see the columns it needs") from None
        found.setdefault((seller, day), []).extend(offers)
    for (seller, day), offers in found.items():
        scan = Scan(
            run_id=run_id, provider=seller, part=f"import/{source}", started_at=now,
            finished_at=now, observed_at=day, status=OK, quotes=len(offers), parser_revision=1,
            normaliser="as printed", origin=Origin.IMPORT,
        )  # fmt: skip
        yield scan, Listing(offers=offers)


def _offers(seller: str, row: dict[str, str]) -> Iterator[Offer]:
    gpu = resolve(row["gpu"])
    if gpu is None:
        raise ValueError(f"unknown GPU {row['gpu']!r}")
    for column, (option, term_months) in COLUMNS.items():
        if row[column]:
            key = SeriesKey(provider=seller, sku=row["gpu"], region="unstated", option=option,
                            term_months=term_months)  # fmt: skip
            yield Offer(key=key, gpu=gpu.id, gpu_count=Decimal(1), price=Decimal(row[column]))
