"""What a figure is computed into, and the article's price table that some are computed from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from gputape.analysis.spread import Best, Kind, Spread

DAY = datetime(2023, 4, 7, tzinfo=UTC)
TERM_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Value:
    """One computed number, or a day, by what it is of."""

    name: str
    value: float | Decimal | date
    unit: str


@dataclass(frozen=True, slots=True)
class Table:
    """The sellers' best of the article's table of 2023-04-07, by kind; USD per GPU-hour."""

    bests: Mapping[Kind, tuple[Best, ...]]

    def spread(self, gpu: str, option: str) -> Spread:
        """Return the spread of one GPU and option; reserved ones are for a year."""
        kind = Kind(gpu, option, None, TERM_MONTHS if option == "reserved" else None)
        return Spread(kind, self.bests[kind])

    def price(self, provider: str, gpu: str, option: str) -> Decimal:
        """Return one seller's price."""
        found = self.spread(gpu, option).bests
        return next(best.usd_gpu_hour for best in found if best.provider == provider)


Computed = Callable[[Table], list[Value]]
