"""What we say: the offer, and the key of the series it belongs to.

A price is in the provider's currency, for the whole sku, per hour, before tax.
`usd_hour` and `usd_gpu_hour` are derived from it and never stored.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from gputape.store.errors import BadInput

HOURS_PER_MONTH = 730  # 8,760 h a year / 12; every conversion in the project uses this one
PRICE_STEP = Decimal("0.000001")  # prices closer than this are the same price


class Option(StrEnum):
    """How an hour is bought."""

    ON_DEMAND = "on_demand"
    RESERVED = "reserved"
    SPOT = "spot"


class Origin(StrEnum):
    """Where a row of the tape comes from. Only live and replay rows can be price changes."""

    LIVE = "live"
    REPLAY = "replay"
    IMPORT = "import"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """One thing whose price moves, in the provider's own words only.

    A better GPU alias therefore never makes a new series.
    """

    provider: str
    sku: str
    region: str
    zone: str | None = None
    option: Option
    tier: str | None = None
    term_months: int | None = None
    payment: str | None = None
    source: str | None = None
    """Who kept it when it was imported; None for the provider's own word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One series' price as we understood it. `__post_init__` refuses the impossible."""

    key: SeriesKey
    gpu: str
    gpu_count: Decimal
    """GPUs in the sku; a fraction of one is a fraction (`0.125`)."""
    price: Decimal
    """Native currency, whole sku, per hour, upfront included."""
    currency: str = "USD"
    upfront: Decimal | None = None
    """Paid once at the start of the term, native currency; already spread into `price`."""
    vcpus: Decimal | None = None
    memory_gib: Decimal | None = None
    available: bool | None = None
    derived: str | None = None
    """Why the price was computed rather than printed; None when it was printed."""
    relay: str | None = None
    """Who printed the price when it was not the provider."""
    source_sku: str | None = None
    suspect: str | None = None
    """Why the price is held back until a second fetch agrees; None when it is firm."""

    def __post_init__(self) -> None:
        if self.price <= 0:
            raise BadInput(f"{self.key.sku}: a price of {self.price} is no price")
        if self.gpu_count <= 0:
            raise BadInput(f"{self.key.sku}: {self.gpu_count} GPUs can not be rented")
        if self.key.option is Option.RESERVED and not self.key.term_months:
            raise BadInput(f"{self.key.sku}: a reserved price needs its term")


def half_up(amount: Decimal, places: int) -> Decimal:
    """Round as an invoice does: 0.125 to two places is 0.13."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
