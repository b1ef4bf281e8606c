"""Offers in the true shape: the known machine types × places × ways to buy one.

Names and contents of machines are those of `store/instances` and `store/gpus.toml`. Prices are
drawn (seeded) inside each GPU's band: no figure here is anybody's price.
"""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice, product
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gputape.store.gpus import gpus
from gputape.store.instances import Instance, instances
from gputape.store.regions import regions
from gputape.store.rows import FACTS, KEY, TYPES

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
    """Return a provider's machine types; without a list of them, every GPU, one to eight."""
    return list(instances(provider).values()) or [
        Instance(sku=f"{count}x-{gpu}", gpu=gpu, gpu_count=Decimal(count), vcpus=Decimal(16))
        for count, gpu in product((1, 2, 4, 8), gpus())
    ]


def places(provider: str) -> list[str]:
    """Return a provider's regions, the unknown ones after the known."""
    return [*regions(provider), *(f"place-{n}" for n in range(200))]


def offers(provider: str, count: int) -> pa.Table:
    """Return so many offers of a provider in the shape of `store.rows.offer_table`."""
    made = list(islice(_offers(provider), count))
    names = ("n", *KEY, *FACTS, "price", "currency", "upfront", "available", "suspect")
    return pa.table({
        name: pa.array([row.get(name) for row in made], TYPES.get(name, pa.string()))
        for name in names
    })  # fmt: skip


def _offers(provider: str) -> Iterator[dict[str, Any]]:
    dice = random.Random(provider)  # noqa: S311  # nothing secret: the same rows every time
    bands = {gpu.id: gpu.band_usd_gpu_hour for gpu in gpus().values()}
    every = product(places(provider), machines(provider), WAYS)
    for n, (region, machine, way) in enumerate(every):
        low, high = map(float, bands[machine.gpu])
        middle = (low * high) ** 0.5 * float(machine.gpu_count) * way.share
        yield {
            "n": n,
            "sku": machine.sku,
            "region": region,
            "zone": way.zone and region + way.zone,
            "option": way.option,
            "term_months": way.term_months,
            "payment": way.payment,
            "part": way.option,
            "gpu": machine.gpu,
            "gpu_count": machine.gpu_count,
            "vcpus": machine.vcpus,
            "memory_gib": machine.memory_gib,
            "source_sku": f"{n:016X}.JRTCKXETXF.6YS6EN2CT7",
            "price": Decimal(int(middle * dice.uniform(0.9, 1.1) * 1e6) + 1000) * MICRO,
            "currency": "USD",
        }


def moved(table: pa.Table, rows: Sequence[int], seed: int) -> pa.Table:
    """Return the table with other prices, up to 4 % away, in these rows."""
    dice = random.Random(seed)  # noqa: S311
    factors = [1.0] * table.num_rows
    for row in rows:
        factors[row] += dice.choice((-1, 1)) * dice.uniform(0.005, 0.04)
    column = table.schema.get_field_index("price")
    micros = pc.multiply(pc.cast(table["price"], pa.float64()), pa.array(factors))
    whole = pc.cast(pc.round(pc.multiply(micros, 1e6)), pa.int64())
    price = pc.multiply(pc.cast(whole, pa.decimal128(19, 0)), pa.scalar(MICRO))
    return table.set_column(column, "price", pc.cast(price, TYPES["price"]))
