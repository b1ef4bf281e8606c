"""How far sellers of the same thing are apart."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.spread import spread
from gputape.app import importing
from gputape.scrapers.importers.snapshot import ImportOptions
from gputape.store import tape as store

DAY = datetime(2023, 4, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A tape that holds the price table printed on 2023-04-07."""
    db = tmp_path_factory.mktemp("printed") / "tape.duckdb"
    table = importing.ImportPlan(
        fmt="article", path=root / "fixtures/articles/2023-04-07.csv", db=db,
        options=ImportOptions(), now=DAY,
    )  # fmt: skip
    importing.run(table, lambda _snapshot, _done: None)
    return db


@pytest.fixture
def con(printed: Path) -> Iterator[Any]:
    """A reader of it."""
    with store.reading(printed) as opened:
        yield opened


@pytest.mark.parametrize(
    ("gpu", "option", "low", "high", "ratio", "sellers"),
    [
        ("a100-40", "on_demand", "1.10 lambda_labs", "4.10 aws", "3.73", 7),
        ("a100-80", "on_demand", "1.49 fluidstack", "5.12 aws", "3.44", 7),
        ("a100-80", "spot", "1.25 gcp", "2.25 azure", "1.80", 3),
        ("a100-40", "spot", "0.88 gcp", "2.04 azure", "2.32", 4),
        ("a10-24", "on_demand", "0.60 lambda_labs", "3.20 azure", "5.33", 4),
    ],
)
def test_the_table_of_2023(
    con: Any, gpu: str, option: str, low: str, high: str, ratio: str, sellers: int
) -> None:
    """Dearest over cheapest, each seller with one price."""
    found = spread(con, gpu, option, DAY)

    assert found
    assert f"{found.low_usd_gpu_hour:.2f} {found.low_provider}" == low
    assert f"{found.high_usd_gpu_hour:.2f} {found.high_provider}" == high
    assert f"{found.ratio:.2f}" == ratio
    assert found.sellers == sellers


def test_before_anybody_was_seen_there_is_no_spread(con: Any) -> None:
    """A day earlier nothing was known."""
    assert spread(con, "a100-40", "on_demand", DAY - timedelta(days=1)) is None


def test_one_seller_is_no_spread(tape: Path) -> None:
    """Two sellers are the fewest."""
    with store.reading(tape) as con:
        assert spread(con, "trainium1", "spot", datetime.now(UTC)) is None
        assert spread(con, "no-such-gpu", "on_demand", datetime.now(UTC)) is None


def test_each_seller_counts_with_its_best(tape: Path) -> None:
    """No seller's firm, printed, plain, whole-GPU price lies below its part in the spread."""
    with store.reading(tape) as con:
        found = spread(con, "h100-sxm-80", "on_demand", datetime.now(UTC))
        best = dict(
            con.execute(
                "select provider, min(usd_gpu_hour) from v_offers where gpu = 'h100-sxm-80' "
                "and option = 'on_demand' and tier is null and state = 'firm' "
                "and derived is null and gpu_count >= 1 group by provider"
            ).fetchall()
        )

    assert found
    assert found.sellers == len(best)
    assert found.low_usd_gpu_hour == min(best.values())
    assert found.high_usd_gpu_hour == max(best.values())


def test_only_like_is_compared(kinds: Path) -> None:
    """A derived, fractional, doubted, departed or long-ago imported price is no seller's best."""
    with store.reading(kinds) as con:
        found = spread(con, "h100-sxm-80", "on_demand", datetime.now(UTC) - timedelta(days=1))
        now = spread(con, "h100-sxm-80", "on_demand", datetime.now(UTC))

    assert found is None
    assert now
    assert (now.low_provider, now.low_usd_gpu_hour) == ("bazaar", Decimal("1.80"))
    assert (now.high_provider, now.high_usd_gpu_hour) == ("slow", Decimal("2.90"))
