"""Comparing: what a scan listed against what was known, and only what differs goes to the log.

What was known is a temporary table (`known.py`), of now or of the look's moment in the past;
comparing a scan with it is one join. Which of the scan's prices are news, and which must
wait, is `verdict.py`.
"""

from typing import Any

import duckdb
import pyarrow as pa

from gputape.store.known import NOW, PAST
from gputape.store.offer import Origin
from gputape.store.rows import FACTS, KEY, unjudged_table
from gputape.store.scan import Counts, Listing, Scan
from gputape.store.verdict import (
    BY_GPU_COUNT,
    DEAR,
    FIRM,
    HELD,
    LEAVING,
    LISTED,
    LOSS_LEAST,
    LOSS_SHARE,
    MANY,
    MASS_LEAST,
    MASS_MOVE,
    MASS_SHARE,
    MISSING,
    NEWS,
    NUMBERS,
    SEEN,
    UNIT,
    UNIT_LEAST,
    UNIT_SHARE,
)

PIECE_ROWS = 8192


class PriceLog:
    """Adds to the log, and moves what is known along."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._state = NOW
        self.understood_anew = False
        """Whether the last scan changed what a known series is understood to be."""
        self._numbers = self._read_numbers()
        self._counters: dict[str, int] = {
            provider: last // NUMBERS
            for provider, last in con.execute(
                "select provider, max(series_id) from series group by provider"
            ).fetchall()
        }

    def know_again(self, provider: str) -> None:
        """Know how many series others gave a provider."""
        last = self._con.execute(
            "select max(series_id) from series where provider = ?", [provider]
        ).fetchall()[0][0]
        self._counters[provider] = (last or 0) // NUMBERS

    def knows(self, provider: str) -> bool:
        """Whether a provider has its share of ids."""
        return provider in self._numbers

    def number_of(self, provider: str | None) -> int:
        """Return in what a provider's ids end; 0 is nobody's."""
        return self._numbers.get(provider or "", 0)

    def know_numbers(self, provider: str) -> None:
        """Know which numbers others gave, and give this provider its own."""
        self._numbers = self._read_numbers()
        self._number(provider)

    def _read_numbers(self) -> dict[str, int]:
        return dict(self._con.execute("select provider, number from numbered").fetchall())

    def add(
        self, scan: Scan, scan_id: int, incoming: pa.Table, listing: Listing, *, past: bool
    ) -> Counts:
        """Compare what a scan listed with what was known then, and add what differs."""
        con = self._con
        self._state = PAST if past else NOW
        sparse = self._is_sparse(scan)
        # in pieces, so that DuckDB reads it with every thread
        con.register(
            "incoming", pa.Table.from_batches(incoming.to_batches(PIECE_ROWS), incoming.schema)
        )
        con.register("unjudged", unjudged_table(listing.rejects))
        try:
            self._run(SEEN, {
                "provider": scan.provider, "observed_at": scan.observed_at, "origin": scan.origin,
                "sparse": sparse,
            })  # fmt: skip
            # most looks bring nothing, and planning ten statements for it takes 50 ms
            news = self._one("select count(*) from seen") > 0
            self.understood_anew = (
                news
                and self._one(
                    "select count(*) from seen where understood_anew and series_id is not null"
                )
                > 0
            )
            if news:
                self._take_news(scan, incoming, sparse=sparse)
                self._add_news(scan, scan_id, past=past)
            moved = self._verdicts(incoming.num_rows, news=news)
            lost = {"gone": 0, "held": 0}
            if scan.complete:
                lost = self._add_missing(scan, scan_id, incoming.num_rows)
            if news:
                self._move_state(scan, scan_id)
        finally:
            for name in ("incoming", "unjudged", "listed_news"):
                con.unregister(name)
        return Counts(
            offers=incoming.num_rows,
            rejects=len(listing.rejects),
            suspects=moved["doubtful"] + moved["jumped"] + lost["held"],
            unchanged=moved["same"] + moved["settled"] + moved["noted"],
            new=moved["new"],
            changed=moved["changed"] + moved["confirmed"],
            gone=lost["gone"],
        )

    def listed(self, scan: Scan) -> int:
        """Return how many priced series a part has, for a scan that found it unchanged."""
        self._state = NOW
        return self._priced(scan)

    def _priced(self, scan: Scan) -> int:
        return self._one(
            "select count(*) from {state} where provider = $provider and part = $part "
            "and state = 'firm'",
            {"provider": scan.provider, "part": scan.part},
        )

    # -- listed ---------------------------------------------------------------------------

    def _take_news(self, scan: Scan, incoming: pa.Table, *, sparse: bool) -> None:
        """Gather what the tape must hear of, number new series, and hold back what must wait."""
        start = self._counters.get(scan.provider, 0)
        rows = self._con.sql("select n from seen order by n").to_arrow_table()["n"]
        self._con.register("listed_news", incoming.take(rows))
        self._run(NEWS, {"next": start, "number": self._number(scan.provider)})
        new = self._one("select count(*) from news where unknown")
        self._counters[scan.provider] = start + new
        if scan.origin is not Origin.CORRECTION:
            self._run(DEAR, {"provider": scan.provider})
            self._hold_unit()
            if not sparse:
                self._hold_many(scan)

    def _is_sparse(self, scan: Scan) -> bool:
        """Whether an imported part's look before was so long ago that its prices do not stand."""
        if scan.origin is not Origin.IMPORT:
            return False
        last = self._con.execute(
            "select max(observed_at) from scan where provider = ? and part = ? "
            "and status in ('ok', 'unchanged') and observed_at < ?",
            [scan.provider, scan.part, scan.observed_at],
        ).fetchall()[0][0]
        return bool(last) and (scan.observed_at - last).total_seconds() > (scan.stands_s or 0)

    def _number(self, provider: str) -> int:
        """Return a provider's share of series ids, giving it the next when it has none."""
        if provider not in self._numbers:
            number = max(self._numbers.values(), default=0) + 1
            self._run("insert into numbered values (?, ?)", [provider, number])
            self._numbers[provider] = number
        return self._numbers[provider]

    def _hold_unit(self) -> None:
        moved = self._one(f"select count(*) from news where {BY_GPU_COUNT}")
        every = self._one(
            "select count(*) from news where verdict in ('changed', 'jumped') and gpu_count > 1"
        )
        if moved >= UNIT_LEAST and moved > UNIT_SHARE * every:
            self._run(UNIT, {"moved": moved})

    def _hold_many(self, scan: Scan) -> None:
        known = self._priced(scan)
        moved = self._one(
            f"select count(*) from news where verdict = 'changed' and move > {MASS_MOVE}"
        )
        if moved >= MASS_LEAST and moved > MASS_SHARE * known:
            self._run(MANY, {"moved": moved, "known": known})

    def _add_news(self, scan: Scan, scan_id: int, *, past: bool) -> None:
        """Add series, facts and prices that were not known."""
        now = {"observed_at": scan.observed_at}
        self._run(
            f"insert into series by name select series_id, $provider as provider, "
            f"{', '.join(KEY)}, $observed_at as first_seen from news where unknown",
            now | {"provider": scan.provider},
        )
        if past:
            self._run(
                "insert into series_earlier "
                f"select n.series_id, $observed_at, {scan_id} from news n "
                "join series s using (series_id) where s.first_seen > $observed_at",
                now,
            )
        # what an older file understood is no news of what is understood now
        facts = "unknown" if past and scan.origin is Origin.IMPORT else "understood_anew"
        self._run(
            f"insert into series_fact select series_id, {scan_id}, {', '.join(FACTS)} "
            f"from news where {facts}"
        )
        self._run(
            "insert into price_log by name "
            f"select series_id, $observed_at as observed_at, {scan_id} as scan_id, "
            f"case when {FIRM} then 'firm' else 'suspect' end as state, "
            "price, currency, upfront, available, "
            "case verdict when 'doubtful' then suspect when 'jumped' then coalesce(suspect, "
            "printf('moved by %.0f %% at once', move * 100)) end as reason, "
            # what a correction first said stays a correction when a later look agrees
            "case when verdict = 'confirmed' and held_origin = 'correction' then held_origin "
            "else $origin end as origin, "
            "case when $origin = 'correction' then replaced end as replaces "
            "from news where verdict <> 'same'",
            now | {"origin": scan.origin},
        )

    def _verdicts(self, listed: int, *, news: bool) -> dict[str, int]:
        found: dict[str, int] = {}
        if news:
            rows = self._con.execute(
                "select verdict, count(*) from news where verdict <> 'same' group by verdict"
            ).fetchall()
            found = dict(rows)
        found["same"] = listed - sum(found.values())
        words = ("new", "same", "settled", "confirmed", "noted", "doubtful", "jumped", "changed")
        return {word: found.get(word, 0) for word in words}

    # -- missing --------------------------------------------------------------------------

    def _add_missing(self, scan: Scan, scan_id: int, listed: int) -> dict[str, int]:
        """Add `gone` for what is no longer listed, `unpriced` for what has no price any more."""
        words = {"provider": scan.provider, "part": scan.part}
        expected = self._one(
            f"select count(*) from {{state}} s where provider = $provider and part = $part "
            f"and {LISTED}",
            words,
        )
        # what `seen` left out is the same as it was, so it was listed
        found = listed - self._one("select count(*) from seen where was_listed is not true")
        if expected == found:
            return {"gone": 0, "held": 0}
        self._run(MISSING, words | {"observed_at": scan.observed_at})
        lost = self._one("select count(*) from missing where not listed")
        half = LOSS_SHARE * (lost + listed)
        many = lost > half or (lost == half and lost >= LOSS_LEAST)
        self._run(LEAVING, {"many": many, "origin": scan.origin})
        return self._add_leaving(scan, scan_id, lost)

    def _add_leaving(self, scan: Scan, scan_id: int, lost: int) -> dict[str, int]:
        now = {"observed_at": scan.observed_at, "origin": scan.origin}
        self._run(
            "insert into price_log by name "
            f"select series_id, $observed_at as observed_at, {scan_id} as scan_id, state, "
            "coalesce(currency, 'USD') as currency, case state when 'suspect' then "
            f"'{lost} series of this part went missing at once' when 'gone' then "
            "'no longer listed' else 'no longer priced' end as reason, $origin as origin, "
            "case when $origin = 'correction' then replaced end as replaces from leaving",
            now,
        )
        self._run(
            "update {state} s set held = l.state = 'suspect', held_price = null, "
            "held_currency = case when l.state = 'suspect' then coalesce(l.currency, 'USD') end, "
            "state = case when l.state = 'suspect' then s.state else l.state end, "
            "price = case when l.state = 'suspect' then s.price end, "
            "origin = case when l.state = 'suspect' then s.origin else $origin end, "
            "held_origin = case when l.state = 'suspect' then $origin end, held_reason = null, "
            "held_at = case when l.state = 'suspect' then $observed_at end, "
            f"scan_id = case when l.state = 'suspect' then s.scan_id else {scan_id} end "
            "from leaving l where l.series_id = s.series_id",
            now,
        )
        left = dict(
            self._con.execute("select state, count(*) from leaving group by state").fetchall()
        )
        return {"gone": left.get("gone", 0), "held": left.get("suspect", 0)}

    # -- what is known now ----------------------------------------------------------------

    def _move_state(self, scan: Scan, scan_id: int) -> None:
        """Bring what is known to what the log says after this scan."""
        now = {"observed_at": scan.observed_at, "origin": scan.origin}
        self._run(
            f"insert into {{state}} by name select $provider as provider, {', '.join(KEY)}, "
            f"series_id, part, fact_hash, {scan_id} as scan_id, "
            f"case when {FIRM} then 'firm' end as state, "
            f"case when {FIRM} then price end as price, currency, upfront, available, "
            f"case when {FIRM} then $origin end as origin, {HELD} as held, "
            f"case when {HELD} then price end as held_price, "
            f"case when {HELD} then currency end as held_currency, "
            f"case when {HELD} then $origin end as held_origin, "
            f"case when {HELD} then suspect end as held_reason, "
            f"case when {HELD} then $observed_at end as held_at from news where unknown",
            now | {"provider": scan.provider},
        )
        kept = ("state", "price", "currency", "upfront", "available", "scan_id", "origin")
        held = {"price": "m.price", "currency": "m.currency", "origin": "$origin",
                "at": "$observed_at", "reason": "m.suspect"}  # fmt: skip
        self._run(
            "update {state} s set fact_hash = m.fact_hash, part = m.part, "
            + "".join(f"{c} = case when {FIRM} then m.{c} else s.{c} end, " for c in kept)
            + f"held = case when {FIRM} then false when {HELD} then true else s.held end, "
            + ", ".join(
                f"held_{c} = case when {HELD} then {value} when {FIRM} then null "
                f"else s.held_{c} end"
                for c, value in held.items()
            )
            + " from (select * exclude (held_origin, replaced), 'firm' as state, "
            "case when verdict = 'confirmed' and held_origin = 'correction' then held_origin "
            f"else $origin end as origin, {scan_id} as scan_id from news) m "
            "where m.series_id = s.series_id and not m.unknown",
            now,
        )

    def _run(self, sql: str, parameters: object = None) -> None:
        self._con.execute(sql.replace("{state}", self._state), parameters)

    def _one(self, sql: str, parameters: Any = None) -> int:
        found = self._con.execute(sql.replace("{state}", self._state), parameters)
        return int(found.fetchall()[0][0])
