"""What is known of every series: the state that a scan is compared with, now or at a moment."""

from datetime import datetime
from typing import TYPE_CHECKING

from gputape.store.literal import literal
from gputape.store.rows import FACTS, KEY

if TYPE_CHECKING:
    import duckdb

NOW = "now_state"
PAST = "past_state"
STATE = f"""
select s.provider, {", ".join(f"s.{c}" for c in KEY)}, s.series_id, f.part,
    hash({", ".join(f"f.{c}" for c in FACTS)}) as fact_hash,
    p.state, p.price, p.currency, p.upfront, p.available, coalesce(p.scan_id, h.scan_id) as scan_id,
    p.origin,
    h.series_id is not null as held, h.price as held_price, h.currency as held_currency,
    h.origin as held_origin, h.observed_at as held_at, h.reason as held_reason
from (from series where $provider is null or provider = $provider) s
join facts_of(null::varchar[], null) f using (series_id)
left join firm_at($at, null) p using (series_id)
left join held_at($at, null) h using (series_id)
"""


def know(
    con: "duckdb.DuckDBPyConnection", table: str, provider: str | None, at: datetime | None
) -> None:
    """Make a temporary table of the state of one provider's series (None: of all) at a moment.

    A series that is first heard of later has a NULL state. `at` None is now.
    """
    con.execute(f"create or replace temp table {table} as {_state(provider, at)}")


def know_again(con: "duckdb.DuckDBPyConnection", provider: str) -> None:
    """Bring one provider's present state up to what the log says."""
    con.execute(f"delete from {NOW} where provider = {literal(provider)}")
    con.execute(f"insert into {NOW} by name {_state(provider, None)}")


def _state(provider: str | None, at: datetime | None) -> str:
    moment = literal(at) if at else "timestamptz 'infinity'"
    return STATE.replace("$provider", literal(provider)).replace("$at", moment)
