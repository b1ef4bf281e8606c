"""A job day by day: against the ranking of each day's end, over changes, gaps and failures."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from markets import Market, at, offer, scan
from sellers import market

from gputape.analysis.cost import timeline as module
from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.rank import rank
from gputape.analysis.cost.timeline import Timeline, timeline
from gputape.store import tape as store

DAYS = 7
FIRST, LAST = date(2026, 3, 1), date(2026, 3, 1) + timedelta(days=DAYS)
SMALL = {"name": "llama-3.1-8b"}
JOBS: dict[str, dict[str, Any]] = {
    "a run": {"kind": "train", "model": SMALL, "work": {"tokens": 200e9}},
    "a fine-tune": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6}},
    "with a disk": {"kind": "train", "model": SMALL, "work": {"tokens": 100e9},
                    "buy": {"disk_gib": 9000, "egress_gib": 40, "runs": 2, "setup_hours": 1}},
    "reserved": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6},
                 "buy": {"options": ["reserved"], "term_months": 12, "utilisation": 0.5}},
    "in europe": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6},
                  "buy": {"region": "europe", "include": ["unavailable", "derived"]}},
    "a dear one": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6},
                   "buy": {"budget_usd": 0.9}},
    "a service": {"kind": "serve", "model": SMALL,
                  "work": {"requests_s": 40, "input_tokens": 1000, "output_tokens": 300}},
}  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of six sellers over a week."""
    return market(tmp_path_factory.mktemp("market") / "tape.duckdb", days=DAYS, each=30).db


@pytest.fixture
def con(db: Path) -> Iterator[Any]:
    with store.reading(db) as opened:
        yield opened


def by_rank(con: Any, asked: Job, day: date) -> float | None:
    """Return the cheapest at the end of a day of what was seen on it, or stood until its end."""
    end = datetime.combine(day + timedelta(days=1), time(), UTC)
    looks = con.execute(
        "select provider, max(observed_at), max_by(stands_s, observed_at) from scan "
        "where status in ('ok', 'unchanged') and part = 'list' and observed_at < "
        f"timestamptz '{end.isoformat()}' group by provider"
    ).fetchall()
    seen = {
        name for name, when, stands in looks
        if when >= end - timedelta(days=1) or when + timedelta(seconds=stands) >= end
    }  # fmt: skip
    found = rank(con, asked, end, as_of=end - timedelta(microseconds=1), limit=None)
    return next((float(one.usd) for one in found.rows if one.offer["provider"] in seen), None)


def asked_of(db: Path, asked: Job, first: date, last: date, now: datetime) -> Timeline:
    with store.reading(db) as con:
        return timeline(con, asked, first, last, now)


@pytest.mark.slow
@pytest.mark.parametrize("few", [256, 1])
@pytest.mark.parametrize("name", JOBS)
def test_a_day_is_the_ranking_of_its_end(
    con: Any, name: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day costs to the cent what `rank` says of its end, however few are asked first."""
    monkeypatch.setattr(module, "FEW", few)
    asked = job(JOBS[name])
    found = timeline(con, asked, FIRST, LAST, at(12))
    ranked = {
        day: usd for n in range(DAYS + 1)
        if (usd := by_rank(con, asked, day := FIRST + timedelta(days=n))) is not None
    }  # fmt: skip

    assert {one.day: float(one.usd) for one in found.days} == pytest.approx(ranked, abs=0.005)
    assert len(set(ranked.values())) > 1
    assert all(one.usd_low <= one.usd <= one.usd_high for one in found.days)


@pytest.mark.slow
def test_the_market_has_days_of_every_kind(con: Any) -> None:
    """Looks failed, offers went and came back, euros moved: what is proved is proved of them."""
    kinds = con.execute(
        "select (select count(*) from scan where status = 'unreachable') > 0, "
        "(select count(*) from price_log where state = 'gone') > 0, "
        "(select count(*) from v_changes where event = 'back') > 0, "
        "(select count(*) from price_log where currency = 'EUR') > 0, "
        "(select count(*) from price_log where available is false) > 0"
    ).fetchall()

    assert kinds == [(True,) * 5]


def tuned(**buy: Any) -> Job:
    return job({"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6}, "buy": buy})


def test_nothing_is_carried_over_a_gap(tmp_path: Path) -> None:
    """A day on which nobody looked is absent, not filled in."""
    sold = Market(tmp_path / "tape.duckdb").day(at(1), one="2.00").day(at(4), one="3.00")
    found = asked_of(sold.db, tuned(), at(1).date(), at(5).date(), at(6))

    assert [one.day.day for one in found.days] == [1, 4]


def test_a_price_of_before_stands(tmp_path: Path) -> None:
    """A price that came before the first day counts on every day it was seen again."""
    sold = Market(tmp_path / "tape.duckdb")
    for day in (1, 2, 3):
        sold.day(at(day), one="2.00")
    found = asked_of(sold.db, tuned(), at(2).date(), at(3).date(), at(6))

    assert [one.day.day for one in found.days] == [2, 3]


def test_today_ends_now(tmp_path: Path) -> None:
    """The day that is not over is told as it stands, and no later one."""
    sold = Market(tmp_path / "tape.duckdb").day(at(1), one="2.00").day(at(2, 9), one="3.00")
    found = asked_of(sold.db, tuned(), at(1).date(), at(9).date(), at(2, 10))

    assert [one.day.day for one in found.days] == [1, 2]


def test_a_look_of_last_night_covers_this_morning(tmp_path: Path) -> None:
    """What stands two hours from 23:30 stands at 00:10, and no longer at 02:00."""
    sold = Market(tmp_path / "tape.duckdb").day(at(1, 23), one="2.00")
    early = asked_of(sold.db, tuned(), at(1).date(), at(2).date(), at(2, 0) + timedelta(minutes=10))
    late = asked_of(sold.db, tuned(), at(1).date(), at(2).date(), at(2, 2))

    assert [one.day.day for one in early.days] == [1, 2]
    assert [one.day.day for one in late.days] == [1]


def test_how_low_today_is(tmp_path: Path) -> None:
    """`lowest_in` counts back to the last day that was cheaper, whole calendar days."""
    sold = Market(tmp_path / "tape.duckdb")
    for day, price in enumerate(("2.00", "3.00", "2.60", "2.30"), 1):
        sold.day(at(day), one=price)
    four = asked_of(sold.db, tuned(), at(1).date(), at(4).date(), at(9))

    assert [one.usd / four.days[0].usd for one in four.days] == [
        Decimal(1), Decimal("1.5"), Decimal("1.3"), Decimal("1.15")
    ]  # fmt: skip
    assert four.lowest_in == 3
    assert asked_of(sold.db, tuned(), at(2).date(), at(4).date(), at(9)).lowest_in == 3
    assert asked_of(sold.db, tuned(), at(1).date(), at(2).date(), at(9)).lowest_in == 1
    assert Timeline([]).lowest_in == 0


def test_a_correction_is_the_past(tmp_path: Path) -> None:
    """Of two readings of one moment the newer counts."""
    from gputape.store.offer import Origin

    sold = Market(tmp_path / "tape.duckdb").day(at(1), one="9.00")
    sold.tell((scan("one", at(1), origin=Origin.CORRECTION), [offer("one", "2.00")]))
    (day,) = asked_of(sold.db, tuned(), at(1).date(), at(1).date(), at(9)).days

    assert day.usd % Decimal(2) == 0
    assert day.usd < 9


def test_a_rate_of_exchange_holds_a_week(tmp_path: Path) -> None:
    """A price in euros has dollars until seven days after the last rate, here as in `rank`."""
    sold = Market(tmp_path / "tape.duckdb").tell(rates={date(2026, 3, 1): "1.10"})
    for day in range(1, 11):
        sold.tell((scan("one", at(day)), [offer("one", "2.00", currency="EUR")]))
    days = asked_of(sold.db, tuned(), at(1).date(), at(10).date(), at(11)).days

    assert [one.day.day for one in days] == list(range(1, 9))
