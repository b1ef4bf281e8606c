"""What they say: a price in the provider's own words and units.

An adapter reports and does not clean: text stays text ("$49.24", "N/A*", "4^1"),
an instance-hour stays an instance-hour. `normalise` reads, converts and judges.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from gputape.store.offer import Option

Figure: TypeAlias = Decimal | int | str | None
"""A number as printed. JSON numbers arrive as int or Decimal, page cells as text."""


class Per(StrEnum):
    """What one price buys."""

    HOUR = "hour"
    MONTH = "month"
    TERM = "term"  # the whole commitment, e.g. an Azure reservation


class Of(StrEnum):
    """What one price is for."""

    SKU = "sku"
    GPU = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One price as printed.

    `price` is per `per` and for one `of`; `upfront` comes on top of it, for the whole term.
    With `gpu=None` the sku is looked up among the instance facts (`store/instances/`).
    """

    sku: str
    option: Option
    price: Figure
    region: str = "global"
    zone: str | None = None
    tier: str | None = None
    term_months: int | None = None
    payment: str | None = None
    """`none`, `partial` or `all` upfront, where the provider sells them apart."""
    per: Per = Per.HOUR
    of: Of = Of.SKU
    upfront: Figure = None
    currency: str = "USD"
    gpu: str | None = None
    gpu_memory_gib: Figure = None
    gpu_count: Figure = None
    vcpus: Figure = None
    memory_gib: Figure = None
    available: bool | None = None
    derived: str | None = None
    relay: str | None = None
    source_sku: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one unit of a currency was worth on a day."""

    day: date
    currency: str
    usd_per_unit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """How often a spot instance was taken back, as the provider publishes it."""

    sku: str
    region: str
    low_percent: int
    high_percent: int
    """Share of instances interrupted in a month, the bucket's two ends."""
    saving_percent: int | None = None
    """Published average discount below on demand: a fact of its own, never a price."""
