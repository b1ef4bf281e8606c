"""Hosted token prices on the tape: kept by their changes, as GPU prices are.

A row when a model's price appears, when it differs, when a complete list no longer has it.
A correction adds a row of the look that it reads anew, so that it is never a move of the price.
"""

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from gputape.store.literal import literal
from gputape.store.rows import append
from gputape.store.scan import Listing, Scan, TokenRow

if TYPE_CHECKING:
    import duckdb

Key = tuple[str, str, str, str | None]  # provider, part, model, host
FACTS = "price_in, price_out, price_cached, currency, context, tier_from, hub_id"
NOTHING = (None, None, None, "USD", None, None, None)  # what a model that went has of `FACTS`
KNOWN = f"""
with newest as (
    from token_price where provider = coalesce($provider, provider)
    qualify row_number() over (
        partition by provider, model, host order by observed_at desc, scan_id desc) = 1
)
select provider, part, model, host, {FACTS} from newest where state = 'listed'
"""


class TokenLog:
    """Knows which model each list has, and at what price."""

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self._con = con
        self._known = self._read()

    def know_again(self, provider: str) -> None:
        """Know what others recorded of a provider."""
        others = {key: said for key, said in self._known.items() if key[0] != provider}
        self._known = others | self._read(provider)

    def add(self, scan: Scan, scan_id: int, listing: Listing) -> None:
        """Add what a scan says anew, and what its part no longer lists."""
        place = (scan.provider, scan.part)
        now: dict[Key, tuple[Any, ...]] = {
            (*place, row.model, row.host): _facts(row) for row in listing.tokens
        }
        before = {key for key in self._known if key[:2] == place}
        gone = sorted(before - now.keys(), key=str) if scan.complete else []
        news = {key: said for key, said in now.items() if self._known.get(key) != said}
        when = (scan.observed_at, scan_id)
        append(self._con, "token_price", [
            *((*key, *when, "listed", *said, scan.origin) for key, said in news.items()),
            *((*key, *when, "gone", *NOTHING, scan.origin) for key in gone),
        ])  # fmt: skip
        self._known |= now
        for key in gone:
            del self._known[key]

    def _read(self, provider: str | None = None) -> dict[Key, tuple[Any, ...]]:
        sql = KNOWN.replace("$provider", literal(provider) if provider else "null::varchar")
        return {
            (whose, part, model, host): tuple(said)
            for whose, part, model, host, *said in self._con.execute(sql).fetchall()
        }


def _facts(row: TokenRow) -> tuple[Any, ...]:
    return astuple(row)[2:]
