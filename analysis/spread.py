"""How far sellers of the same thing are apart: like for like, each seller's best."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Spread:
    """The cheapest and the dearest seller of one GPU, option, tier and term."""

    gpu: str
    option: str
    sellers: int
    low_usd_gpu_hour: Decimal
    low_provider: str
    high_usd_gpu_hour: Decimal
    high_provider: str

    @property
    def ratio(self) -> Decimal:
        """Dearest / cheapest."""
        return self.high_usd_gpu_hour / self.low_usd_gpu_hour


def spread(
    con: "duckdb.DuckDBPyConnection", gpu: str, option: str, as_of: datetime
) -> Spread | None:
    """Return the spread of one GPU and plain option at a moment, or None below two sellers.

    Each provider counts with its cheapest firm, printed, whole-GPU price; an imported table only
    about its own day.
    """
    rows = con.execute(
        "select provider, min(usd_gpu_hour) as best from offers_at($as_of::timestamptz) "
        "where gpu = $gpu and option = $option and tier is null and state = 'firm' "
        "and derived is null and gpu_count >= 1 and usd_gpu_hour is not null "
        "and not (origin = 'import' and stale) "
        "group by provider order by best, provider",
        {"gpu": gpu, "option": option, "as_of": as_of},
    ).fetchall()
    if len(rows) < 2:
        return None
    (low_provider, low), (high_provider, high) = rows[0], rows[-1]
    return Spread(gpu, option, len(rows), low, low_provider, high, high_provider)
