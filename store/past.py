"""Looks that are recorded later than the looks after them: imports, and readings done anew.

An older look slots into its part's past. It is compared with what was known at its moment,
and whatever it changes there is set right again at the next look of its part, which saw what
it saw. So the present stays as it was, and the order of importing does not matter.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gputape.store.known import PAST, know
from gputape.store.scan import Scan

if TYPE_CHECKING:
    import duckdb

# what stood at the next look before this was recorded, where it does not stand there any more
REJOIN = """
insert into price_log by name
with touched as (
    select distinct series_id from price_log where scan_id >= $first
        and series_id in (select series_id from series_fact f join series s using (series_id)
            where s.provider = $provider and f.part = $part)
),
entry as (
    select * from price_log where observed_at <= $next and series_id in (from touched)
),
stands as (
    select series_id, max_by({'scan_id': scan_id, 'state': state, 'price': price,
        'currency': currency, 'upfront': upfront, 'available': available},
        moment(observed_at, scan_id)) as r
    from entry group by series_id
),
before as (
    select series_id, max_by({'state': state, 'price': price, 'currency': currency,
        'upfront': upfront, 'available': available, 'reason': reason},
        moment(observed_at, scan_id)) as r
    from entry where scan_id < $first and state <> 'suspect' group by series_id
)
select s.series_id, $next as observed_at, $scan_id as scan_id,
    coalesce(b.r.state, 'gone') as state, b.r.price as price,
    coalesce(b.r.currency, s.r.currency) as currency, b.r.upfront as upfront,
    b.r.available as available,
    case when b.series_id is null then 'not listed here' else b.r.reason end as reason,
    $origin as origin, s.r.scan_id as replaces, true as restated
from stands s left join before b using (series_id)
where s.r.scan_id >= $first
    and (b.series_id is not null or s.r.state <> 'gone')
    and (s.r.state, s.r.price, s.r.currency, s.r.upfront, s.r.available) is distinct from
        (b.r.state, b.r.price, b.r.currency, b.r.upfront, b.r.available)
"""


class Past:
    """Knows the state at the moment of the look that was recorded last, and of no other."""

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self._con = con
        self._provider = ""
        self._at = datetime.min.replace(tzinfo=UTC)

    def go_to(self, scan: Scan) -> None:
        """Know what was known at this look's moment, inclusive, in the table `past_state`."""
        if not self._follows(scan):
            know(self._con, PAST, scan.provider, scan.observed_at)
        self._provider, self._at = scan.provider, scan.observed_at

    def _follows(self, scan: Scan) -> bool:
        """Whether nothing but our own last look lies between it and this one."""
        if scan.provider != self._provider or scan.observed_at < self._at:
            return False
        between = self._con.execute(
            "select 1 from price_log where observed_at > $1 and observed_at <= $2 and series_id in "
            "(select series_id from series where provider = $3) limit 1",
            [self._at, scan.observed_at, scan.provider],
        )
        return not between.fetchall()

    def forget(self) -> None:
        """Know nothing: the tape may have moved, or a transaction was undone."""
        self._provider = ""

    def rejoin(self, scan: Scan, first: int, scan_id: int) -> None:
        """Set right, at the part's next complete look, what scans since `first` changed before it.

        A look that was not complete says nothing of what it did not list.
        """
        found = self._con.execute(
            "select min(observed_at) from scan where provider = $provider and part = $part "
            "and status in ('ok', 'unchanged') and coalesce(complete, true) "
            "and observed_at > $at and scan_id < $first",
            {"provider": scan.provider, "part": scan.part, "at": scan.observed_at, "first": first},
        ).fetchall()[0][0]
        if found:
            self._con.execute(REJOIN, {
                "first": first, "next": found, "scan_id": scan_id, "origin": scan.origin,
                "provider": scan.provider, "part": scan.part,
            })  # fmt: skip
