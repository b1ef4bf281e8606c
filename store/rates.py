"""What a unit of a currency was worth on a day, in US dollars."""

from bisect import bisect_right
from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

RATE_DAYS = 8  # a rate holds for the week after its day, as in `v_offers` and `v_daily`


class Rates:
    """Dated exchange rates (ECB reference), USD per unit."""

    def __init__(self, rows: list[tuple[str, date, Decimal]]) -> None:
        self._days: dict[str, list[date]] = defaultdict(list)
        self._rates: dict[str, list[Decimal]] = defaultdict(list)
        for currency, day, rate in sorted(rows):
            self._days[currency].append(day)
            self._rates[currency].append(rate)

    @classmethod
    def of(cls, con: "duckdb.DuckDBPyConnection") -> "Rates":
        """Read them from a tape."""
        rows = con.execute("select distinct on (currency, day) currency, day, usd_per_unit from fx")
        return cls(rows.fetchall())

    def usd(self, currency: str, day: date) -> Decimal | None:
        """Return what a unit was worth in USD on a day; None when nobody knows."""
        if currency == "USD":
            return Decimal(1)
        i = bisect_right(self._days[currency], day)
        if not i or (day - self._days[currency][i - 1]).days >= RATE_DAYS:
            return None
        return self._rates[currency][i - 1]
