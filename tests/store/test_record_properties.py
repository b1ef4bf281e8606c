"""Random histories: what is kept in memory, the log and the views always say the same."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.store import tape
from gputape.store.known import NOW, know
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Reject, Scan

START = datetime(2026, 11, 1, tzinfo=UTC)
KNOWN = (
    "series_id, part, fact_hash, state, case when state = 'firm' then price end, held, "
    "held_price, held_currency, held_origin, held_at"
)
OVERLAPS = """
select a.series_id from v_prices a join v_prices b
    on a.series_id = b.series_id and a.valid_from < b.valid_from
where coalesce(a.valid_to, 'infinity'::timestamptz) > b.valid_from
"""
DISAGREE = """
select o.series_id from v_offers o
join (select * from v_prices where valid_to is null) p using (series_id)
where o.state <> 'suspect' and (o.price is distinct from p.price or o.state <> p.state)
"""

rows = st.fixed_dictionaries(
    {
        "sku": st.sampled_from("abcdef"),
        "price": st.sampled_from(["1", "1.05", "2", "10", "10.5", "100"]),
        "currency": st.sampled_from(["USD", "USD", "USD", "EUR"]),
        "suspect": st.sampled_from([None, None, None, "doubted"]),
        "available": st.sampled_from([None, True, False]),
        "gpu": st.sampled_from(["h100-sxm-80", "h100-80"]),
        "rejected": st.sampled_from([None, None, None, "no_price", "unknown_gpu"]),
    }
)
scans = st.lists(
    st.tuples(
        st.lists(rows, max_size=6, unique_by=lambda row: row["sku"]),
        st.sampled_from(["ok", "ok", "ok", "unchanged", "unreachable", "correction"]),
        st.sampled_from([0, 1, 1, 30]),
        st.sampled_from(["one", "one", "two"]),
    ),
    max_size=8,
)


def key(row: dict[str, Any]) -> SeriesKey:
    return SeriesKey(provider="p", sku=row["sku"], region="r", option=Option.ON_DEMAND)


def listing(listed: list[dict[str, Any]]) -> Listing:
    return Listing(
        offers=[
            Offer(
                key=key(row), gpu=row["gpu"], gpu_count=Decimal(1), price=Decimal(row["price"]),
                currency=row["currency"], suspect=row["suspect"], available=row["available"],
            )
            for row in listed
            if not row["rejected"]
        ],
        rejects=[
            Reject(key=key(row), reason=row["rejected"], sentence="", quote_json="{}")
            for row in listed
            if row["rejected"]
        ],
    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(scans)
def test_memory_log_and_views_agree_after_every_scan(history: list[Any]) -> None:
    """No history of news, doubt, loss, failure and correction brings them apart."""
    with (
        TemporaryDirectory() as folder,
        tape.writing(Path(folder) / "tape.duckdb", START) as con,
    ):
        recorder = Recorder(con)
        hour = 0
        for listed, kind, hours, part in history:
            hour += hours if kind != "correction" else 0
            at = START + timedelta(hours=hour)
            origin = Origin.CORRECTION if kind == "correction" else Origin.LIVE
            scan = Scan(
                run_id=1, provider="p", part=part, started_at=at, finished_at=at, observed_at=at,
                status="ok" if kind == "correction" else kind, parser_revision=1, normaliser="1",
                origin=origin,
            )  # fmt: skip
            said = listing(listed)
            counts = recorder.record(scan, said)
            if scan.status == "ok":
                judged = counts.new + counts.changed + counts.unchanged
                assert judged <= len(said.offers) <= judged + counts.suspects
            kept = con.execute(f"select {KNOWN} from now_state order by series_id").fetchall()
            know(con, NOW, None, None)
            anew = con.execute(f"select {KNOWN} from now_state order by series_id").fetchall()
            assert kept == anew
            assert con.execute(OVERLAPS).fetchall() == []
            assert con.execute(DISAGREE).fetchall() == []
            assert con.execute("from v_changes where origin = 'correction'").fetchall() == []
