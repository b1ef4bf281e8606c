"""A price table printed in an article: GPU × provider × option, USD per GPU-hour.

Columns: as_of, gpu, provider, on_demand_usd_gpu_hour, reserved_1y_usd_gpu_hour,
spot_usd_gpu_hour; a blank is no price. A table says neither region nor instance, so the sku is
the article's own word for the GPU and the region is `unstated`. Its names carry no form factor
("A100 40 GB"), and what it calls A10 at AWS is sold there as A10G: kept as printed.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.sellers import slug
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.quote import Of, Quote
from gputape.store.errors import BadInput
from gputape.store.gpus import resolve
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="article",
    name="an article's table",
    url="",
    licence="figures quoted from an article; the article is its author's",
)
REVISION = 1
OPTIONS = {
    "on_demand_usd_gpu_hour": (Option.ON_DEMAND, None),
    "reserved_1y_usd_gpu_hour": (Option.RESERVED, 12),
    "spot_usd_gpu_hour": (Option.SPOT, None),
}
NEEDED = {"as_of", "gpu", "provider", *OPTIONS}


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per file, day and seller, observed at the start of the day (UTC)."""
    files = kept.listed(path, ".csv")
    kept.check_one_moment(files, options)
    for file in files:
        name = kept.called(file, path)
        for (day, seller), quotes in sorted(_listed(file, options.observed_at).items()):
            flaws = Flaws()
            flaws.note_two_prices(quotes, f"{name}: {seller}")
            yield Snapshot(
                provider=seller,
                observed_at=day,
                quotes=quotes,
                file=name,
                read=file.read_bytes,
                defects=flaws.all(),
            )


def _listed(file: Path, observed_at: datetime | None) -> dict[tuple[datetime, str], list[Quote]]:
    rows = csv.DictReader(io.StringIO(kept.text(file)))
    if missing := sorted(NEEDED - set(rows.fieldnames or ())):
        raise BadInput(f"{file} has no column {', '.join(missing)}: name them as the article does")
    listed: dict[tuple[datetime, str], list[Quote]] = defaultdict(list)
    for line, row in enumerate(rows, start=2):
        try:
            day = observed_at or kept.moment(row["as_of"])
            listed[day, slug(row["provider"])] += _quotes(row)
        except (AttributeError, ValueError) as error:
            raise BadInput(f"{file}, line {line}: {error}: write as_of as 2023-04-07") from None
    return listed


def _quotes(row: dict[str, str]) -> Iterator[Quote]:
    known = resolve(row["gpu"])  # the article's words, not a seller's own for the same
    for column, (option, term_months) in OPTIONS.items():
        if row[column]:
            yield Quote(
                sku=row["gpu"],
                option=option,
                price=row[column],
                region="unstated",
                term_months=term_months,
                of=Of.GPU,
                gpu=known.id if known else row["gpu"],
                gpu_count=1,
            )
