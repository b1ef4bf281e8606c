"""Several collectors, one lake: each part is asked by one of them at a time, and once a cadence.

A claim is held from before a part is fetched until what it said is recorded. Who had to wait
for it, or comes later, finds the part fresh and leaves it alone; who waited for one that died
asks in its place.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from gputape.scrapers.adapter import Provider
from gputape.scrapers.collect import cadence
from gputape.scrapers.http import Skip
from gputape.store.remember import memory
from gputape.store.scan import Memory
from gputape.store.turns import Together

if TYPE_CHECKING:
    import duckdb

    from gputape.store.catalogue import Claims, Lake

FRESH = 0.6  # of a cadence: what was looked at since is not asked again
PATIENCE_S = 120.0  # the longest that one address is tried
KEEP = timedelta(days=1)  # how far back the lake remembers what it was; tidied when twice that
LOOKED = """
select max(scan_id), max(finished_at), max_by(quotes, scan_id) from scan
where provider = $provider and part = $part and scan_id >= $last
    and status in ('ok', 'unchanged') and origin in ('live', 'replay')
"""


@dataclass(slots=True)
class Shared:
    """What one collector needs among others in a lake."""

    claims: "Claims"
    con: "duckdb.DuckDBPyConnection"
    now: Callable[[], datetime]
    stopped: Callable[[], bool]
    _lock: Lock = field(default_factory=Lock)

    def take(self, provider: Provider, part: str, known: Memory) -> Skip | None:
        """Claim a part, or say why it is not to be asked now."""
        key = _key(provider.slug, part)
        if not self.claims.take(key, patience_s=PATIENCE_S, stopped=self.stopped):
            return Skip("another collector is asking for it")
        with self._lock:  # one question at a time on this connection
            skip = self._fresh(provider, part, known)
        if skip:
            self.claims.give(key)
        return skip

    def give(self, provider: str, part: str) -> None:
        """Give a part back: what it said is recorded."""
        self.claims.give(_key(provider, part))

    def _fresh(self, provider: Provider, part: str, known: Memory) -> Skip | None:
        """Look whether others looked; what they learned we know too, from then on."""
        last = known.parts.get((provider.slug, part))
        last_id = last.scan_id or 0 if last else 0
        newest, at, quotes = self.con.execute(
            LOOKED, {"provider": provider.slug, "part": part, "last": last_id}
        ).fetchall()[0]
        age = self.now() - at if at else None
        if age is not None and age < FRESH * cadence(provider, part):
            minutes = max(0, round(age.total_seconds() / 60))
            return Skip(f"fresh: a collector looked at it {minutes} min ago", quotes)
        if (newest or 0) > last_id:
            anew = memory(self.con, provider.slug).parts
            known.parts.update({key: said for key, said in anew.items() if key[1] == part})
        return None


def _key(provider: str, part: str) -> str:
    return f"part/{provider}/{part}"


@contextmanager
def together(
    lake: "Lake", con: "duckdb.DuckDBPyConnection", notes: list[str]
) -> Iterator["tuple[Together, Claims]"]:
    """Write a lake among others; in the end tidy it when that is due, and note what was met."""
    from gputape.store.catalogue import Claims  # noqa: PLC0415  # a file needs nothing of it
    from gputape.store.lake import Conflicts  # noqa: PLC0415  # same

    conflicts = Conflicts()
    with closing(Claims(lake)) as claims:
        yield Together(con, claims, conflicts), claims
        if conflicts.count:
            notes.append(f"{conflicts.count} transactions met another collector's and were redone")
        _tidy(con, claims, notes)


def _tidy(con: "duckdb.DuckDBPyConnection", claims: "Claims", notes: list[str]) -> None:
    """Once a day, by whoever comes first: small files become few, old states are forgotten."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    from gputape.store.lake import tidy, untidy  # noqa: PLC0415  # a file needs nothing of it

    now = datetime.now(UTC)  # by the lake's own clock, whatever the collection's is
    if not (untidy(con, now - 2 * KEEP) and claims.take("tidy")):
        return
    try:
        done = tidy(con, now - KEEP)
    except duckdb.Error as error:  # the next collection tries again
        notes.append(f"the lake was not tidied ({str(error).splitlines()[0]})")
    else:
        notes.append(
            f"tidied: {done.merged_files} files merged, {done.removed_files} removed, "
            f"{done.orphans} that no one committed"
        )
