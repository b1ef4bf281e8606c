"""Writing: one scan becomes rows, in one transaction, and only what changed is added.

The writer keeps the newest knowledge of every series in a temporary table (`now_state`),
made from the log when the tape is opened and moved along with each commit. Comparing a scan
with it is one join; nothing in the file is ever updated.
Which of the scan's prices are news, and which must wait, is `verdict.py`.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pyarrow as pa

from gputape.store.offer import Origin
from gputape.store.rows import FACTS, KEY, offer_table, unjudged_table
from gputape.store.scan import OK, UNCHANGED, Counts, Listing, Reject, Scan
from gputape.store.verdict import (
    DEAR,
    FIRM,
    HELD,
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

if TYPE_CHECKING:
    import duckdb


PIECE_ROWS = 8192


class Recorder:
    """The verbs of the one writer. Give it a connection from `tape.writing`."""

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self.con = con
        self._load()

    def _load(self) -> None:
        """Know what the tape says, as if it had just been opened."""
        con = self.con
        self._last_scan_id = self._one("select coalesce(max(scan_id), 0) from scan")
        con.execute(STATE)
        self._counters = {
            provider: last & 0xFFFFFFFF
            for provider, last in con.execute(
                "select provider, max(series_id) from series group by provider"
            ).fetchall()
        }
        self._rejects = self._present_rejects()
        self._risks = self._known_risks()

    def record(self, scan: Scan, listing: Listing | None = None) -> Counts:
        """Add one scan whole, or nothing of it, and return what it came to.

        `listing` is what an `ok` scan listed; any other status adds only the scan's own row.
        """
        return self.record_table(scan, listing and offer_table(listing.offers, scan.part), listing)

    def record_table(
        self, scan: Scan, incoming: pa.Table | None, listing: Listing | None = None
    ) -> Counts:
        """Do as `record`, with the offers as an Arrow table shaped as `offer_table` makes it."""
        scan_id = max(self._last_scan_id + 1, int(scan.finished_at.timestamp() * 1_000_000))
        self.con.begin()
        try:
            counts = self._write(scan, scan_id, incoming, listing or Listing())
            self.con.commit()
        except BaseException:
            self.con.rollback()
            self._load()  # what was kept in memory is void
            raise
        self._last_scan_id = scan_id
        self.con.execute("checkpoint")
        return counts

    def _write(
        self, scan: Scan, scan_id: int, incoming: pa.Table | None, listing: Listing
    ) -> Counts:
        counts = Counts(rejects=len(listing.rejects))
        if scan.status == OK and incoming is not None:
            counts = self._append(scan, scan_id, incoming, listing)
            self._add_rejects(scan, scan_id, listing.rejects)
            self._add_interruptions(scan, scan_id, listing)
            self._add_rates(scan, listing)
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
            "printf('moved by %.0f %% at once', move * 100)) end, $origin "
            "from news where verdict <> 'same'",
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
        self.con.execute(MISSING, words | {"observed_at": scan.observed_at})
        lost = self._one("select count(*) from missing where not listed")
        many = lost > LOSS_SHARE * (lost + listed) and scan.origin is not Origin.CORRECTION
        self.con.execute(
            "create or replace temp table leaving as select *, case "
            "when listed then case when reason = 'no_price' then 'unpriced' end "
            f"when {many} and not confirmed then 'suspect' else 'gone' end as state from missing"
        )
        self.con.execute(
            "insert into price_log select series_id, $observed_at, $scan_id, state, null, "
            "coalesce(currency, 'USD'), null, null, case state when 'suspect' then "
            f"'{lost} series of this part went missing at once' else 'no longer ' || "
            "case state when 'gone' then 'listed' else 'priced' end end, $origin "
            "from leaving where state is not null",
            {"observed_at": scan.observed_at, "scan_id": scan_id, "origin": scan.origin},
        )
        self.con.execute(
            "update now_state s set held = l.state = 'suspect', held_price = null, "
            "state = case when l.state = 'suspect' then s.state else l.state end, "
            "price = case when l.state = 'suspect' then s.price end, "
            "held_at = case when l.state = 'suspect' then ? end "
            "from leaving l where l.series_id = s.series_id and l.state is not null",
            [scan.observed_at],
        )
        gone = self._one("select count(*) from leaving where state = 'gone'")
        return {"gone": gone, "held": self._one("select count(*) from leaving") - gone}

    def _move_state(self, scan: Scan) -> None:
        """Bring `now_state` to what the log says after this scan."""
        con = self.con
        con.execute(
            f"insert into now_state select $provider, {', '.join(KEY)}, series_id, part, "
            f"fact_hash, case when {FIRM} then 'firm' end, case when {FIRM} then price end, "
            f"currency, upfront, available, {HELD}, case when {HELD} then price end, "
            f"case when {HELD} then $observed_at end from news where unknown",
            {"provider": scan.provider, "observed_at": scan.observed_at},
        )
        kept = ("state", "price", "currency", "upfront", "available")
        con.execute(
            "update now_state s set fact_hash = m.fact_hash, part = m.part, "
            + "".join(f"{c} = case when {FIRM} then m.{c} else s.{c} end, " for c in kept)
            + f"held = case when {FIRM} then false when {HELD} then true else s.held end, "
            f"held_price = case when {HELD} then m.price when {FIRM} then null "
            "else s.held_price end, "
            f"held_at = case when {HELD} then ? when {FIRM} then null else s.held_at end "
            "from (select *, 'firm' as state from news) m "
            "where m.series_id = s.series_id and not m.unknown",
            [scan.observed_at],
        )

    # -- everything beside prices ---------------------------------------------------------

    def _roll(self, scan: Scan) -> None:
        """Write the daily rows of this part's days that are over."""
        day = scan.observed_at.date()
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
            "from v_unrolled where provider = ? and part = ? and day < ?",
            today,
        )
        self.con.execute("insert into rolled select provider, part, day from over")

    def _add_rejects(self, scan: Scan, scan_id: int, rejects: Sequence[Reject]) -> None:
        place = (scan.provider, scan.part)
        now = {reject_key(reject): reject for reject in rejects}
        before = self._rejects.get(place, {})
        rows = [
            (key, scan_id, scan.observed_at, True, *place, r.key.sku, r.reason, r.sentence,
             r.quote_json)
            for key, r in now.items()
            if key not in before
        ] + [
            (key, scan_id, scan.observed_at, False, *place, sku, reason, "", "null")
            for key, (sku, reason) in before.items()
            if key not in now
        ]  # fmt: skip
        self._insert("reject", rows)
        self._rejects[place] = {key: (r.key.sku, r.reason) for key, r in now.items()}

    def _add_interruptions(self, scan: Scan, scan_id: int, listing: Listing) -> None:
        rows = []
        for row in listing.interruptions:
            figures = (row.low_percent, row.high_percent, row.saving_percent)
            if self._risks.get((scan.provider, row.sku, row.region)) != figures:
                self._risks[scan.provider, row.sku, row.region] = figures
                rows.append(
                    (scan.provider, row.sku, row.region, scan.observed_at, scan_id, *figures)
                )
        self._insert("interruption", rows)

    def _add_rates(self, scan: Scan, listing: Listing) -> None:
        known = set(self.con.execute("select day, currency from fx").fetchall())
        self._insert("fx", [
            (rate.day, rate.currency, rate.usd_per_unit, scan.provider)
            for rate in listing.rates
            if (rate.day, rate.currency) not in known
        ])  # fmt: skip

    def _add_scan(self, scan: Scan, scan_id: int, counts: Counts) -> None:
        size = sum(page.bytes for page in scan.pages if not page.context)
        self._insert("scan", [(
            scan_id, scan.run_id, scan.provider, scan.part, scan.started_at, scan.finished_at,
            scan.observed_at, scan.status, scan.sentence, scan.quotes, counts.offers,
            counts.rejects, counts.suspects, counts.unchanged, counts.new, counts.changed,
            counts.gone, size, scan.parser_revision, scan.normaliser, scan.next_effective_at,
            scan.origin,
        )])  # fmt: skip
        self._insert("page", [
            (scan_id, n, p.context, p.method, p.url, p.status, p.fetched_at, p.etag,
             p.last_modified, p.sha256, p.bytes)
            for n, p in enumerate(scan.pages)
        ])  # fmt: skip

    def _insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows as one Arrow table, typed as the target is."""
        if not rows:
            return
        names = [row[0] for row in self.con.execute(f"describe {table}").fetchall()]
        columns = [[row[i] for row in rows] for i in range(len(names))]
        self.con.register("rows_to_add", pa.table(dict(zip(names, columns, strict=True))))
        self.con.execute(f"insert into {table} select * from rows_to_add")
        self.con.unregister("rows_to_add")

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
        self._insert("gpu", [(generation, now, *row) for row in gpus])
        self._insert("provider", [(generation, now, *row) for row in providers])
        self.con.commit()

    def _present_rejects(self) -> dict[tuple[str, str], dict[str, tuple[str, str]]]:
        found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        for key, provider, part, sku, reason in self.con.execute(
            "select reject_key, any_value(provider), any_value(part), any_value(sku), "
            "max_by(reason, scan_id) from reject group by reject_key "
            "having max_by(present, scan_id)"
        ).fetchall():
            found.setdefault((provider, part), {})[key] = (sku, reason)
        return found

    def _known_risks(self) -> dict[tuple[str, str, str], tuple[int, int, int | None]]:
        return {
            (provider, sku, region): (low, high, saving)
            for provider, sku, region, low, high, saving in self.con.execute(
                "select provider, sku, region, low_percent, high_percent, saving_percent "
                "from v_interruptions"
            ).fetchall()
        }

    def _one(self, sql: str, parameters: object = None) -> int:
        return int(self.con.execute(sql, parameters).fetchall()[0][0])


def provider_number(slug: str) -> int:
    """Return a provider's 31-bit share of series ids, the same everywhere without coordination."""
    return crc32(slug.encode()) >> 1


def reject_key(reject: Reject) -> str:
    """Return what makes two rejects the same one: the series' words and the reason."""
    return f"{hash_key(reject)}:{reject.reason}"


def hash_key(reject: Reject) -> str:
    """Return 12 hex digits of the series' words."""
    key = reject.key
    words = (key.provider, key.sku, key.region, key.zone, key.option, key.tier, key.term_months,
             key.payment)  # fmt: skip
    return sha256(json.dumps(words).encode()).hexdigest()[:12]
