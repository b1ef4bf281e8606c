"""What a scan says beside prices: rejects, interruption figures, exchange rates, token prices.

Each is kept by its changes, as prices are: a row when it appears, when it differs, when it goes.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from gputape.store.literal import literal
from gputape.store.rows import append
from gputape.store.scan import Listing, Reject, Scan
from gputape.store.tokenlog import TokenLog

if TYPE_CHECKING:
    import duckdb


class SideLog:
    """Knows which rejects stand and which figures were said last."""

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self._con = con
        self._rejects = self._present_rejects()
        self._risks = self._known_risks()
        self._tokens = TokenLog(con)

    def know_again(self, provider: str) -> None:
        """Know what others recorded of a provider."""
        words = f"where provider = {literal(provider)}"
        others = {key: said for key, said in self._rejects.items() if key[0] != provider}
        self._rejects = others | self._present_rejects(words)
        risks = {key: said for key, said in self._risks.items() if key[0] != provider}
        self._risks = risks | self._known_risks(words)
        self._tokens.know_again(provider)

    def add(self, scan: Scan, scan_id: int, listing: Listing, *, past: bool = False) -> None:
        """Add what a complete scan said anew; of one of the past, only what it rejected."""
        if past:
            self._add_past_rejects(scan, scan_id, listing.rejects)
            return
        self._add_rejects(scan, scan_id, listing.rejects)
        self._add_interruptions(scan, scan_id, listing)
        self._add_rates(scan, listing)
        self._tokens.add(scan, scan_id, listing)

    def _add_rejects(self, scan: Scan, scan_id: int, rejects: Sequence[Reject]) -> None:
        place = (scan.provider, scan.part)
        now = {reject_key(scan.part, reject): reject for reject in rejects}
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
        append(self._con, "reject", rows)
        self._rejects[place] = {key: (r.key.sku, r.reason) for key, r in now.items()}

    def _add_past_rejects(self, scan: Scan, scan_id: int, rejects: Sequence[Reject]) -> None:
        """Add rejects of an older look, seen then and no longer: the present is not theirs."""
        place = (scan.provider, scan.part)
        standing = self._rejects.get(place, {})
        rows = [
            (key, scan_id, scan.observed_at, False, *place, r.key.sku, r.reason, r.sentence,
             r.quote_json)
            for key, r in {reject_key(scan.part, r): r for r in rejects}.items()
            if key not in standing
        ]  # fmt: skip
        append(self._con, "reject", rows)

    def _add_interruptions(self, scan: Scan, scan_id: int, listing: Listing) -> None:
        rows = []
        for row in listing.interruptions:
            figures = (row.low_percent, row.high_percent, row.saving_percent)
            if self._risks.get((scan.provider, row.sku, row.region)) != figures:
                self._risks[scan.provider, row.sku, row.region] = figures
                rows.append(
                    (scan.provider, row.sku, row.region, scan.observed_at, scan_id, *figures)
                )
        append(self._con, "interruption", rows)

    def _add_rates(self, scan: Scan, listing: Listing) -> None:
        if not listing.rates:
            return
        known = set(self._con.execute("select day, currency from fx").fetchall())
        append(self._con, "fx", [
            (rate.day, rate.currency, rate.usd_per_unit, scan.provider)
            for rate in listing.rates
            if (rate.day, rate.currency) not in known
        ])  # fmt: skip

    def _present_rejects(
        self, where: str = ""
    ) -> dict[tuple[str, str], dict[str, tuple[str, str]]]:
        found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        for key, provider, part, sku, reason in self._con.execute(
            "select reject_key, any_value(provider), any_value(part), any_value(sku), "
            f"max_by(reason, scan_id) from reject {where} group by reject_key "
            "having max_by(present, scan_id)"
        ).fetchall():
            found.setdefault((provider, part), {})[key] = (sku, reason)
        return found

    def _known_risks(
        self, where: str = ""
    ) -> dict[tuple[str, str, str], tuple[int, int, int | None]]:
        return {
            (provider, sku, region): (low, high, saving)
            for provider, sku, region, low, high, saving in self._con.execute(
                "select provider, sku, region, low_percent, high_percent, saving_percent "
                f"from v_interruptions {where}"
            ).fetchall()
        }


def reject_key(part: str, reject: Reject) -> str:
    """Return what makes two rejects the same: the part, the series' words and the reason."""
    return f"{part}:{hash_key(reject)}:{reject.reason}"


def hash_key(reject: Reject) -> str:
    """Return 12 hex digits of the series' words."""
    key = reject.key
    words = (key.provider, key.sku, key.region, key.zone, key.option, key.tier, key.term_months,
             key.payment)  # fmt: skip
    return sha256(json.dumps(words).encode()).hexdigest()[:12]
