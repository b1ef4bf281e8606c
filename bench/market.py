"""Offers in the true shape (the known machine types × places × ways to buy one), and tapes of them.

Names and contents of machines are those of `store/instances` and `store/gpus.toml`. Prices are
drawn (seeded) inside each GPU's band: no figure here is anybody's price.

    python bench/market.py TAPE COUNT      records one scan of so many offers
"""

import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gputape.app.collecting import open_recorder
from gputape.store.gpus import gpus
from gputape.store.instances import Instance, instances
from gputape.store.record import Recorder
from gputape.store.regions import regions
from gputape.store.rows import FACTS, KEY, TYPES
from gputape.store.scan import OK, UNCHANGED, Scan

SHARES = {
    "aws": 0.35,
    "azure": 0.20,
    "coreweave": 0.10,
    "fluidstack": 0.10,
    "gcp": 0.15,
    "lambda_labs": 0.05,
    "oracle": 0.05,
}
MICRO = Decimal("0.000001")  # prices are whole millionths of a dollar
UPFRONT = {"partial": Decimal("0.5"), "all": Decimal(1)}  # of what the whole term costs


class Way(NamedTuple):
    """One way to buy a machine, and what it costs beside on demand."""

    option: str
    zone: str | None
    term_months: int | None
    payment: str | None
    share: float


WAYS = (
    Way("on_demand", None, None, None, 1.0),
    *(Way("spot", zone, None, None, 0.4) for zone in "abcdef"),
    *(Way("reserved", None, months, payment, share)
      for months, share in ((12, 0.63), (36, 0.43)) for payment in ("none", "partial", "all")),
)  # fmt: skip


def machines(provider: str) -> list[Instance]:
    """Return a provider's machine types; without a list of them, one to eight of every GPU."""
    return list(instances(provider).values()) or [
        Instance(sku=f"{count}x-{gpu}", gpu=gpu, gpu_count=Decimal(count), vcpus=Decimal(16))
        for count, gpu in product((1, 2, 4, 8), gpus())
    ]


def places(provider: str) -> list[str]:
    """Return a provider's regions, the unknown ones after the known."""
    return [*regions(provider), *(f"place-{n}" for n in range(200))]


def offers(provider: str, count: int, part: str | None = None) -> pa.Table:
    """Return so many offers of a provider in the shape of `store.rows.offer_table`.

    All of one part, or of a part for each option.
    """
    made = [row | {"part": part or row["option"]} for row in islice(_offers(provider), count)]
    names = ("n", *KEY, *FACTS, "price", "currency", "upfront", "available", "suspect")
    return pa.table({
        name: pa.array([row.get(name) for row in made], TYPES.get(name, pa.string()))
        for name in names
    })  # fmt: skip


def _offers(provider: str) -> Iterator[dict[str, Any]]:
    dice = random.Random(provider)  # noqa: S311  # nothing secret: the same rows every time
    every = product(places(provider), machines(provider), WAYS)
    for n, (region, machine, way) in enumerate(every):
        price = _price(machine, way, dice)
        months, payment = way.term_months or 0, way.payment or ""
        yield {
            "n": n,
            "sku": machine.sku,
            "region": region,
            "zone": way.zone and region + way.zone,
            "option": way.option,
            "term_months": way.term_months,
            "payment": way.payment,
            "gpu": machine.gpu,
            "gpu_count": machine.gpu_count,
            "vcpus": machine.vcpus,
            "memory_gib": machine.memory_gib,
            "source_sku": f"{n:016X}.JRTCKXETXF.6YS6EN2CT7",
            "price": price,
            "currency": "USD",
            "upfront": price * 730 * months * UPFRONT[payment] if payment in UPFRONT else None,
        }


def _price(machine: Instance, way: Way, dice: random.Random) -> Decimal:
    low, high = map(float, gpus()[machine.gpu].band_usd_gpu_hour)
    usual = (low * high) ** 0.5 * float(machine.gpu_count) * way.share
    return Decimal(int(usual * dice.uniform(0.9, 1.1) * 1e6) + 1000) * MICRO


def moved(table: pa.Table, rows: Sequence[int], seed: int) -> pa.Table:
    """Return the table with other prices, up to 4 % away, in these rows."""
    dice = random.Random(seed)  # noqa: S311
    factors = [1.0] * table.num_rows
    for row in rows:
        factors[row] += dice.choice((-1, 1)) * dice.uniform(0.005, 0.04)
    usd = pc.multiply(pc.cast(table["price"], pa.float64()), pa.array(factors))
    micros = pc.cast(pc.cast(pc.round(pc.multiply(usd, 1e6)), pa.int64()), pa.decimal128(19, 0))
    price = pc.cast(pc.multiply(micros, pa.scalar(MICRO)), TYPES["price"])
    return table.set_column(table.schema.get_field_index("price"), "price", price)


def part_of(table: pa.Table, part: str) -> pa.Table:
    """Return one part's offers, numbered anew."""
    rows = table.filter(pc.equal(table["part"], part))
    return rows.set_column(0, "n", pa.array(range(rows.num_rows), TYPES["n"]))


# -- recorded -----------------------------------------------------------------------------


def scan(provider: str, part: str, at: datetime, status: str = OK) -> Scan:
    """Return one scan of a part at a moment."""
    return Scan(
        run_id=int(at.timestamp()), provider=provider, part=part, started_at=at, finished_at=at,
        observed_at=at, status=status, parser_revision=1, normaliser="bench",
    )  # fmt: skip


def record_hours(recorder: Recorder, provider: str, table: pa.Table, more: int) -> pa.Table:
    """Record every offer once, then spot hour by hour until so many more prices are added.

    The last hour is now. Returns the offers as they stand then.
    """
    end = datetime.now(UTC)
    spot = part_of(table, "spot")
    hours = -(-more // spot.num_rows)
    lasting = [part_of(table, part) for part in ("on_demand", "reserved")]
    for rows in (*lasting, spot):
        part = rows["part"][0].as_py()
        recorder.record_table(scan(provider, part, end - timedelta(hours=hours)), rows)
    for hour in reversed(range(hours)):
        spot = moved(spot, range(min(spot.num_rows, more)), hour)
        more -= min(spot.num_rows, more)
        recorder.record_table(scan(provider, "spot", end - timedelta(hours=hour)), spot)
    for rows in lasting:
        part = rows["part"][0].as_py()
        recorder.record_table(scan(provider, part, end, UNCHANGED), None)
    return pa.concat_tables([*lasting, spot])


def main(tape: str, count: str) -> None:
    """Record one scan of a few offers into a new tape."""
    now = datetime.now(UTC)
    with open_recorder(Path(tape), now) as recorder:
        recorder.record_table(scan("aws", "all", now), offers("aws", int(count), "all"))


if __name__ == "__main__":
    main(*sys.argv[1:])
