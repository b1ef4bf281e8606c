"""The one reader of the tape: looks, series and what was said of them, as `observations` has it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gputape.app.alerts.observations import Entry, Look, Looks, Series
from gputape.store.literal import filled, literal

if TYPE_CHECKING:
    import duckdb

KEY = "provider, sku, region, zone, option, tier, term_months, payment, source"
FINGERPRINT = (
    "substr(sha256(concat_ws(chr(31), "
    + ", ".join(f"coalesce(s.{word}::varchar, '')" for word in KEY.split(", "))
    + ")), 1, 16)"
)
SERIES = f"""
select s.series_id, {FINGERPRINT} as fingerprint, s.{", s.".join(KEY.split(", "))},
    f.gpu, f.gpu_count, f.part, f.relay, b.market
from series s join facts_of(null::varchar[], null) f using (series_id)
left join v_providers b on b.provider = s.provider
"""
LOOK = """
select scan_id, run_id, provider, part, observed_at, status, coalesce(complete, true) as complete,
    offers, origin, concat(parser_revision, '/', normaliser) as version, finished_at, stands_s,
    corrects is not null as anew, sentence
from scan
"""
ENTRY = """
select series_id, observed_at, scan_id, state, price, currency, reason, available, origin
from price_log
"""


def looks(con: "duckdb.DuckDBPyConnection", where: str) -> list[Look]:
    """Return looks in the order of recording."""
    rows = con.execute(f"{LOOK} where {where} order by scan_id").fetchall()
    return [Look(*row) for row in rows]


def series(con: "duckdb.DuckDBPyConnection", where: str = "true") -> dict[int, Series]:
    """Return series by id."""
    found = con.execute(f"{SERIES} where {where}")
    names = [column[0] for column in found.description]
    return {row[0]: Series(**dict(zip(names, row, strict=True))) for row in found.fetchall()}


def entries(con: "duckdb.DuckDBPyConnection", where: str = "true") -> dict[int, list[Entry]]:
    """Return rows of the log by series."""
    found: dict[int, list[Entry]] = defaultdict(list)
    for row in con.execute(f"{ENTRY} where {where}").fetchall():
        found[row[0]].append(Entry(*row))
    return found


def entries_since(
    con: "duckdb.DuckDBPyConnection", ids: Sequence[int], since: datetime | None
) -> dict[int, list[Entry]]:
    """Return the rows of some series since a moment, and of each the one that held then."""
    con.execute("create or replace temp table asked_series (series_id bigint)")
    if ids:
        values = ", ".join(f"({id_})" for id_ in ids)
        con.execute(f"insert into asked_series values {values}")
    mine = "series_id in (select series_id from asked_series)"
    if since is None:
        return entries(con, mine)
    sql = filled(
        f"{ENTRY} where {mine} and observed_at >= $since union all "
        f"({ENTRY} where {mine} and observed_at < $since and state = 'firm' "
        "qualify row_number() over (partition by series_id order by observed_at desc, "
        "scan_id desc) = 1)",
        {"since": since},
    )
    found: dict[int, list[Entry]] = defaultdict(list)
    for row in con.execute(sql).fetchall():
        found[row[0]].append(Entry(*row))
    return found


def parts_looked_at(
    found: Iterable[Look], by_part: dict[tuple[str, str], list[list[Entry]]] | None = None
) -> dict[tuple[str, str], Looks]:
    """Return the looks of each part in the order of time.

    `by_part`: every series' rows, for looks that are not complete: one that listed as many
    offers as there are series standing said something of each.
    """
    counted = {part: _Standing(rows) for part, rows in (by_part or {}).items()}
    parts: dict[tuple[str, str], Looks] = defaultdict(Looks)
    for look in sorted(found, key=lambda look: (look.at, look.scan_id)):
        if look.seen:
            key = (look.provider, look.part)
            whole = look.complete or (
                key in counted and 0 < counted[key].at(look.at) <= look.offers
            )
            parts[key].add(look, whole=whole)
    return parts


class _Standing:
    """How many series of a part stand listed at a moment; moments are asked in order."""

    def __init__(self, rows: list[list[Entry]]) -> None:
        self._moves = sorted((e.at, e.scan_id, e.series_id, e.state in ("firm", "suspect"))
                             for course in rows for e in course)  # fmt: skip
        self._i = 0
        self._listed: set[int] = set()

    def at(self, moment: datetime) -> int:
        while self._i < len(self._moves) and self._moves[self._i][0] <= moment:
            _, _, series_id, listed = self._moves[self._i]
            (self._listed.add if listed else self._listed.discard)(series_id)
            self._i += 1
        return len(self._listed)


def source_url(con: "duckdb.DuckDBPyConnection", scan_id: int) -> tuple[str | None, str | None]:
    """Return the address and the SHA-256 of the page that a scan read first."""
    rows = con.execute(
        f"select url, sha256 from page where scan_id = {literal(scan_id)} and not context "
        "order by ordinal limit 1"
    ).fetchall()
    return rows[0] if rows else (None, None)
