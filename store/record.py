"""Writing: one scan becomes rows, in one transaction, and only what changed is added.

The writer keeps the newest knowledge of every series in a temporary table (`now_state`),
made from the log when the tape is opened and moved along with each commit. Comparing a scan
with it is one join; nothing in the file is ever updated.
Which of the scan's prices are news, and which must wait, is `verdict.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import duckdb
import pyarrow as pa

from gputape.store.errors import BadInput, Damaged
from gputape.store.offer import Origin
from gputape.store.rows import FACTS, KEY, append, offer_table, unjudged_table
from gputape.store.scan import OK, UNCHANGED, Counts, Listing, Scan
from gputape.store.sidelog import SideLog
from gputape.store.verdict import (
    DEAR,
    FIRM,
    HELD,
    LEAVING,
    LISTED,
    LOSS_SHARE,
    MANY,
    MASS_LEAST,
    MASS_MOVE,
    MASS_SHARE,
    MISSING,
    NEWS,
    SEEN,
    STATE,
)

PIECE_ROWS = 8192


class Recorder:
    """The verbs of the one writer. Give it a connection from `tape.writing`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self._load()

    def _load(self) -> None:
        """Know what the tape says, as if it had just been opened."""
        con = self.con
        self._last_scan_id = self._one("select coalesce(max(scan_id), 0) from scan")
        con.execute(STATE)
        self._newest = {
            (provider, part): at
            for provider, part, at in con.execute(
                "select provider, part, max(observed_at) from scan "
                "where status in ('ok', 'unchanged') group by all"
            ).fetchall()
        }
        self._counters = {
            provider: last & 0xFFFFFFFF
            for provider, last in con.execute(
                "select provider, max(series_id) from series group by provider"
            ).fetchall()
        }
        self._side = SideLog(con)

    def record(self, scan: Scan, listing: Listing | None = None) -> Counts:
        """Add one scan whole, or nothing of it, and return what it came to.

        `listing` is what an `ok` scan listed; any other status adds only the scan's own row.
        """
        return self.record_table(scan, listing and offer_table(listing.offers, scan.part), listing)

    def record_table(
        self, scan: Scan, incoming: pa.Table | None, listing: Listing | None = None
    ) -> Counts:
        """Do as `record`, with the offers as an Arrow table shaped as `offer_table` makes it.

        `n` counts the rows from 0, and `part` is the scan's own.
        """
        self._refuse_older(scan)
        scan_id = max(self._last_scan_id + 1, int(scan.finished_at.timestamp() * 1_000_000))
        self.con.begin()
        try:
            counts = self._write(scan, scan_id, incoming, listing or Listing())
            self.con.commit()
        except BaseException as error:
            self._forget()
            raise _sentence(error, scan) from error
        self._last_scan_id = scan_id
        self._newest[scan.provider, scan.part] = scan.observed_at
        self._checkpoint()
        return counts

    def _refuse_older(self, scan: Scan) -> None:
        newest = self._newest.get((scan.provider, scan.part))
        if newest and scan.observed_at < newest and scan.status in (OK, UNCHANGED):
            raise BadInput(
                f"{scan.provider} {scan.part}: a look at {scan.observed_at:%Y-%m-%d %H:%M} can not "
                f"be recorded after one at {newest:%Y-%m-%d %H:%M}: record them in order"
            )

    def _forget(self) -> None:
        """Undo, and know again what the tape says; a broken connection knows nothing more."""
        with suppress(duckdb.Error):
            self.con.rollback()
            self._load()

    def _checkpoint(self) -> None:
        try:
            self.con.execute("checkpoint")
        except duckdb.Error as error:
            line = str(error).splitlines()[0]
            raise Damaged(
                f"recorded, but the tape can not be tidied ({line}): free disk space"
            ) from error

    def _write(
        self, scan: Scan, scan_id: int, incoming: pa.Table | None, listing: Listing
    ) -> Counts:
        counts = Counts(rejects=len(listing.rejects))
        if scan.status == OK and incoming is not None:
            counts = self._append(scan, scan_id, incoming, listing)
            self._side.add(scan, scan_id, listing)
        elif scan.status == UNCHANGED:
            counts.unchanged = self._one(
                "select count(*) from now_state where provider = ? and part = ? and state = 'firm'",
                [scan.provider, scan.part],
            )
        self._add_scan(scan, scan_id, counts)
        if scan.status in (OK, UNCHANGED):
            self._roll(scan)
        return counts

    # -- prices ---------------------------------------------------------------------------

    def _append(self, scan: Scan, scan_id: int, incoming: pa.Table, listing: Listing) -> Counts:
        con = self.con
        # in pieces, so that DuckDB reads it with every thread
        con.register(
            "incoming", pa.Table.from_batches(incoming.to_batches(PIECE_ROWS), incoming.schema)
        )
        con.register("unjudged", unjudged_table(listing.rejects))
        try:
            con.execute(SEEN, {
                "provider": scan.provider, "observed_at": scan.observed_at, "origin": scan.origin
            })  # fmt: skip
            self._take_news(scan, incoming)
            self._add_news(scan, scan_id)
            moved = self._verdicts(incoming.num_rows)
            lost = self._add_missing(scan, scan_id, incoming.num_rows)
            self._move_state(scan)
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

    def _take_news(self, scan: Scan, incoming: pa.Table) -> None:
        """Gather what the tape must hear of, number new series, and hold back what must wait."""
        start = self._counters.get(scan.provider, 0)
        base = provider_number(scan.provider) << 32
        rows = self.con.sql("select n from seen order by n").to_arrow_table()["n"]
        self.con.register("listed_news", incoming.take(rows))
        self.con.execute(NEWS, {"next": base + start})
        new = self._one("select count(*) from news where unknown")
        self._counters[scan.provider] = start + new
        if scan.origin is not Origin.CORRECTION:
            self.con.execute(DEAR, {"provider": scan.provider})
            self._hold_many(scan)

    def _hold_many(self, scan: Scan) -> None:
        known = self._one(
            "select count(*) from now_state where provider = ? and part = ? and state = 'firm'",
            [scan.provider, scan.part],
        )
        moved = self._one(
            f"select count(*) from news where verdict = 'changed' and move > {MASS_MOVE}"
        )
        if moved >= MASS_LEAST and moved > MASS_SHARE * known:
            self.con.execute(MANY, {"moved": moved, "known": known})

    def _add_news(self, scan: Scan, scan_id: int) -> None:
        """Add series, facts and prices that were not known."""
        words = {"provider": scan.provider, "observed_at": scan.observed_at}
        self.con.execute(
            f"insert into series select series_id, $provider, {', '.join(KEY)}, $observed_at "
            "from news where unknown",
            words,
        )
        self.con.execute(
            f"insert into series_fact select series_id, {scan_id}, {', '.join(FACTS)} "
            "from news where understood_anew"
        )
        self.con.execute(
            f"insert into price_log select series_id, $observed_at, {scan_id}, "
            f"case when {FIRM} then 'firm' else 'suspect' end, "
            "price, currency, upfront, available, "
            "case verdict when 'doubtful' then suspect when 'jumped' then coalesce(suspect, "
            "printf('moved by %.0f %% at once', move * 100)) end, "
            # what a correction first said stays a correction when a later look agrees
            "case when verdict = 'confirmed' and held_origin = 'correction' then held_origin "
            "else $origin end from news where verdict <> 'same'",
            {"observed_at": scan.observed_at, "origin": scan.origin},
        )

    def _verdicts(self, listed: int) -> dict[str, int]:
        """Return how many of the listed series got which verdict."""
        found = dict(
            self.con.execute(
                "select verdict, count(*) from news where verdict <> 'same' group by verdict"
            ).fetchall()
        )
        found["same"] = listed - sum(found.values())
        words = ("new", "same", "settled", "confirmed", "noted", "doubtful", "jumped", "changed")
        return {word: found.get(word, 0) for word in words}

    def _add_missing(self, scan: Scan, scan_id: int, listed: int) -> dict[str, int]:
        """Add `gone` for what is no longer listed, `unpriced` for what has no price any more."""
        words = {"provider": scan.provider, "part": scan.part}
        expected = self._one(
            f"select count(*) from now_state s where provider = $provider and part = $part "
            f"and {LISTED}",
            words,
        )
        # what `seen` left out is the same as it was, so it was listed
        found = listed - self._one("select count(*) from seen where was_listed is not true")
        if expected == found:
            return {"gone": 0, "held": 0}
        now = {"observed_at": scan.observed_at, "origin": scan.origin}
        self.con.execute(MISSING, words | {"observed_at": scan.observed_at})
        lost = self._one("select count(*) from missing where not listed")
        many = lost > LOSS_SHARE * (lost + listed)
        self.con.execute(LEAVING, {"many": many, "origin": scan.origin})
        self.con.execute(
            f"insert into price_log select series_id, $observed_at, {scan_id}, state, null, "
            "coalesce(currency, 'USD'), null, null, case state when 'suspect' then "
            f"'{lost} series of this part went missing at once' when 'gone' then "
            "'no longer listed' else 'no longer priced' end, $origin from leaving",
            now,
        )
        self.con.execute(
            "update now_state s set held = l.state = 'suspect', held_price = null, "
            "held_currency = case when l.state = 'suspect' then coalesce(l.currency, 'USD') end, "
            "state = case when l.state = 'suspect' then s.state else l.state end, "
            "price = case when l.state = 'suspect' then s.price end, "
            "held_origin = case when l.state = 'suspect' then $origin end, "
            "held_at = case when l.state = 'suspect' then $observed_at end "
            "from leaving l where l.series_id = s.series_id",
            now,
        )
        left = dict(
            self.con.execute("select state, count(*) from leaving group by state").fetchall()
        )
        return {"gone": left.get("gone", 0), "held": left.get("suspect", 0)}

    def _move_state(self, scan: Scan) -> None:
        """Bring `now_state` to what the log says after this scan."""
        con = self.con
        now = {"observed_at": scan.observed_at, "origin": scan.origin}
        con.execute(
            f"insert into now_state by name select $provider as provider, {', '.join(KEY)}, "
            f"series_id, part, fact_hash, case when {FIRM} then 'firm' end as state, "
            f"case when {FIRM} then price end as price, currency, upfront, available, "
            f"{HELD} as held, case when {HELD} then price end as held_price, "
            f"case when {HELD} then currency end as held_currency, "
            f"case when {HELD} then $origin end as held_origin, "
            f"case when {HELD} then $observed_at end as held_at from news where unknown",
            now | {"provider": scan.provider},
        )
        kept = ("state", "price", "currency", "upfront", "available")
        con.execute(
            "update now_state s set fact_hash = m.fact_hash, part = m.part, "
            + "".join(f"{c} = case when {FIRM} then m.{c} else s.{c} end, " for c in kept)
            + f"held = case when {FIRM} then false when {HELD} then true else s.held end, "
            + "".join(
                f"held_{c} = case when {HELD} then {value} when {FIRM} then null "
                f"else s.held_{c} end, "
                for c, value in (
                    ("price", "m.price"),
                    ("currency", "m.currency"),
                    ("origin", "$origin"),
                    ("at", "$observed_at"),
                )
            )[:-2]
            + " from (select * exclude held_origin, 'firm' as state from news) m "
            "where m.series_id = s.series_id and not m.unknown",
            now,
        )

    # -- everything beside prices ---------------------------------------------------------

    def _roll(self, scan: Scan) -> None:
        """Write the daily rows of this part's days that are over."""
        day = scan.observed_at.astimezone(UTC).date()
        today = [scan.provider, scan.part, day]
        self.con.execute(
            "create or replace temp table over as select distinct provider, part, "
            "(observed_at at time zone 'UTC')::date as day from scan s "
            "where status in ('ok', 'unchanged') and provider = ? and part = ? and day < ? "
            "and not exists (from rolled r where r.provider = s.provider and r.part = s.part "
            "and r.day = (s.observed_at at time zone 'UTC')::date)",
            today,
        )
        if not self._one("select count(*) from over"):
            return
        self.con.execute(
            "insert into daily select day, series_id, open, low, high, close, mean, hours, changes "
            "from unrolled($1, $2) u where day < $3 "
            "and not exists (from daily d where d.day = u.day and d.series_id = u.series_id)",
            today,
        )
        self.con.execute("insert into rolled select provider, part, day from over")

    def _add_scan(self, scan: Scan, scan_id: int, counts: Counts) -> None:
        size = sum(page.bytes for page in scan.pages if not page.context)
        append(self.con, "scan", [(
            scan_id, scan.run_id, scan.provider, scan.part, scan.started_at, scan.finished_at,
            scan.observed_at, scan.status, scan.sentence, scan.quotes, counts.offers,
            counts.rejects, counts.suspects, counts.unchanged, counts.new, counts.changed,
            counts.gone, size, scan.parser_revision, scan.normaliser, scan.next_effective_at,
            scan.origin,
        )])  # fmt: skip
        append(self.con, "page", [
            (scan_id, n, p.context, p.method, p.url, p.status, p.fetched_at, p.etag,
             p.last_modified, p.sha256, p.bytes)
            for n, p in enumerate(scan.pages)
        ])  # fmt: skip

    # -- what was known before ------------------------------------------------------------

    def note_facts(
        self, generation: str, gpus: Sequence[Sequence[Any]], providers: Sequence[Sequence[Any]],
        now: datetime,
    ) -> None:  # fmt: skip
        """Keep GPU and provider facts in the tape, once for each generation of them."""
        newest = self.con.execute("select max_by(generation, noted_at) from gpu").fetchall()
        if newest == [(generation,)]:
            return
        self.con.begin()
        append(self.con, "gpu", [(generation, now, *row) for row in gpus])
        append(self.con, "provider", [(generation, now, *row) for row in providers])
        self.con.commit()

    def _one(self, sql: str, parameters: object = None) -> int:
        return int(self.con.execute(sql, parameters).fetchall()[0][0])


def _sentence(error: BaseException, scan: Scan) -> BaseException:
    """Return what to raise: a value that the tape can not hold is the scan's fault, not ours."""
    if isinstance(error, (duckdb.DataError, ValueError, OverflowError)):
        line = str(error).splitlines()[0]
        return BadInput(f"{scan.provider} {scan.part} says what no tape can hold ({line})")
    return error


def provider_number(slug: str) -> int:
    """Return a provider's 31-bit share of series ids, the same everywhere without coordination."""
    return crc32(slug.encode()) >> 1
