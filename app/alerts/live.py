"""What is new on the tape since the last time, as runs for the engine.

Only live looks are played, recorded when they were true. What was imported or replayed raises
nothing; what was read anew is shown to the machine as a correction. All of it is history to
measure against.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gputape.app.alerts import tapelooks
from gputape.app.alerts.engine import Engine, Run, terms
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.observations import Course, Look, Looks, Series
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.tapelooks import FINGERPRINT
from gputape.store.literal import filled, literal
from gputape.store.rates import Rates

if TYPE_CHECKING:
    import duckdb

LEAST_HISTORY = timedelta(days=40)  # beyond what a rule's window asks: to know how old a series is
ALREADY = """
select series_id from offers_of($gpus, $at) where state = 'firm' and not stale
    and origin in ('live', 'correction')
    and ($providers is null or list_contains($providers, provider))
    and ($limit is null or usd_gpu_hour <= $limit) and available is not false
"""
NEWEST = """
select max(scan_id) from scan where status in ('ok', 'unchanged') and origin = 'live'
group by provider, part
"""


@dataclass(frozen=True, slots=True)
class News:
    """What was recorded since the last time."""

    runs: list[Run]
    cursors: dict[tuple[str, str], int]
    """The newest scan of each part, taken or not."""
    first: bool
    """Nothing was ever taken before: everything there is, is history."""

    @property
    def looks(self) -> list[Look]:
        """All that is played, in the order of recording."""
        return [look for run in self.runs for look in run.looks]


def news(con: "duckdb.DuckDBPyConnection", ledger: Ledger) -> News:
    """Return what was recorded since the last time."""
    known = ledger.cursors()
    newest = {
        (provider, part): scan_id
        for provider, part, scan_id in con.execute(
            "select provider, part, max(scan_id) from scan group by provider, part"
        ).fetchall()
    }
    if not ledger.begun:
        return News([], newest, first=True)
    stale = [part for part, scan_id in newest.items() if scan_id > known.get(part, 0)]
    since = min((known.get(part, 0) for part in stale), default=0)
    found = tapelooks.looks(con, f"scan_id > {literal(since)}") if stale else []
    played = [look for look in found if look.scan_id > known.get((look.provider, look.part), 0)
              and ((look.origin == "live" and look.fresh) or look.anew)]  # fmt: skip
    return News(list(_runs(con, played)), newest, first=False)


def _runs(con: "duckdb.DuckDBPyConnection", looks: list[Look]) -> Iterator[Run]:
    rows: dict[int, list[int]] = defaultdict(list)
    for scan_id, series_id in con.execute(
        "select distinct scan_id, series_id from price_log where scan_id in "
        f"({', '.join(str(look.scan_id) for look in looks) or 'null'})"
    ).fetchall():
        rows[scan_id].append(series_id)
    by_run: dict[int, list[Look]] = defaultdict(list)
    for look in looks:
        by_run[look.run_id].append(look)
    for of_run in by_run.values():
        yield Run(of_run, rows)


def engine(
    con: "duckdb.DuckDBPyConnection", ledger: Ledger, rules: Sequence[Rule], found: News,
    also: Iterable[int], now: datetime,
) -> Engine:  # fmt: skip
    """Return the engine with everything that the news need: series, courses, states."""
    ids = {id_ for run in found.runs for touched in run.rows.values() for id_ in touched}
    ids |= set(also)
    renamed = ledger.renamed()
    prints = [print_ for _, print_ in ledger.active()] + [old for old, _, _ in renamed]
    series = tapelooks.series(con, _where(ids, prints)) if ids or prints else {}
    states = ledger.states(one.fingerprint for one in series.values())
    created = {name: at for name, (_, at, _) in ledger.known_rules().items()}
    known = courses(con, series, history_start(rules, now))
    _take_up(series, known, renamed)
    return Engine(rules, states, series, known, Rates.of(con), created)


def _take_up(series: Mapping[int, Series], known: Mapping[int, Course],
             renamed: Iterable[tuple[str, str, datetime]]) -> None:  # fmt: skip
    """Put before each course what it was called before."""
    ids = {one.fingerprint: id_ for id_, one in series.items()}
    for old, new, at in renamed:
        before, after = known.get(ids.get(old, 0)), known.get(ids.get(new, 0))
        if before and after:
            rows = [row._replace(series_id=ids[new]) for row in before.rows if row.at < at]
            after.take_up(rows, at)


def _where(ids: Iterable[int], fingerprints: Sequence[str]) -> str:
    said = ", ".join(map(str, sorted(ids))) or "null"
    active = literal(list(fingerprints))
    return f"s.series_id in ({said}) or list_contains({active}, {FINGERPRINT})"


def history_start(rules: Iterable[Rule], now: datetime) -> datetime | None:
    """Return from when on prices are needed; None for all that is known."""
    longest = LEAST_HISTORY
    for rule in rules:
        found = rule.condition
        if found.relative and found.days is None and found.reference in ("low", "median", "max"):
            return None
        least = timedelta(days=terms(rule).min_days + 5)
        longest = max(longest, (found.window or timedelta()) + timedelta(days=1), least)
    return now - longest


def courses(
    con: "duckdb.DuckDBPyConnection", series: Mapping[int, Series], since: datetime | None
) -> dict[int, Course]:
    """Return the courses of some series since a moment."""
    if not series:
        return {}
    rows = tapelooks.entries_since(con, list(series), since)
    parts = _looks(con, {(one.provider, one.part) for one in series.values()}, since)
    return {id_: Course(of_series, parts[series[id_].provider, series[id_].part])
            for id_, of_series in rows.items()}  # fmt: skip


def _looks(con: "duckdb.DuckDBPyConnection", parts: set[tuple[str, str]], since: datetime | None
           ) -> Mapping[tuple[str, str], Looks]:  # fmt: skip
    words = literal(sorted(f"{provider}\x1f{part}" for provider, part in parts))
    where = (f"list_contains({words}, concat(provider, chr(31), part)) "
             "and status in ('ok', 'unchanged')")  # fmt: skip
    if since:
        where += filled(" and observed_at >= $since", {"since": since})
    return tapelooks.parts_looked_at(tapelooks.looks(con, where))


# -- rules that are new -----------------------------------------------------------------------


def standing_ids(con: "duckdb.DuckDBPyConnection", rule: Rule, now: datetime) -> list[int]:
    """Return series that an absolute rule is true of now, roughly: those worth judging."""
    found = rule.condition
    if found.relative or rule.scope != "each" or found.of_sources:
        return []
    limit = None if found.kind == "available" else found.figure
    values = {"at": now, "limit": limit, "providers": list(rule.provider) or None,
              "gpus": None if rule.gpus is None else sorted(rule.gpus)}  # fmt: skip
    rows = con.execute(filled(ALREADY, values)).fetchall()
    return [id_ for (id_,) in rows]


def newest_looks(con: "duckdb.DuckDBPyConnection") -> dict[tuple[str, str], Look]:
    """Return the newest live look of each part."""
    found = tapelooks.looks(con, f"scan_id in ({NEWEST})")
    return {(look.provider, look.part): look for look in found}
