"""The whole collector on what providers really served, against figures read by hand."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gputape.store import tape

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "payloads"
pytestmark = [
    pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real responses"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tape after `gputape collect --replay`."""
    path = tmp_path_factory.mktemp("real") / "tape.duckdb"
    command = Path(sys.executable).with_name("gputape")
    words = [command, "collect", "--replay", REAL, "--db", path, "--no-progress"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr  # regions that the recording does not hold
    with tape.reading(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("provider", "sku", "region", "option", "term_months", "usd_hour", "usd_gpu_hour"),
    [
        ("aws", "p5.48xlarge", "us-east-1", "on_demand", None, "55.04", "6.88"),
        ("aws", "p5.48xlarge", "us-east-1", "spot", None, "20.738", "2.59225"),
        ("azure", "Standard_ND96isr_H100_v5", "eastus", "on_demand", None, "98.32", "12.29"),
        ("azure", "Standard_ND96isr_H100_v5", "eastus", "reserved", 12, "62.924772", "7.865596"),
        ("azure", "Standard_ND96isr_H100_v5", "eastus", "reserved", 36, "43.162481", "5.395310"),
        ("coreweave", "hgx-h100", "north-america", "on_demand", None, "49.24", "6.155"),
        ("coreweave", "hgx-h100", "north-america", "spot", None, "19.71", "2.46375"),
        ("lambda_labs", "8x NVIDIA H100 SXM 80 GB", "global", "on_demand", None, "31.92", "3.99"),
        ("lambda_labs", "8x NVIDIA A100 SXM 40 GB", "global", "on_demand", None, "15.92", "1.99"),
        ("oracle", "BM.GPU.H100.8", "global", "on_demand", None, "80", "10"),
        ("gcp", "a2-highgpu-1g", "us-central1", "on_demand", None, "3.673385", "3.673385"),
    ],
)
def test_a_figure_read_by_hand_is_on_the_tape(
    con: duckdb.DuckDBPyConnection, provider: str, sku: str, region: str, option: str,
    term_months: int | None, usd_hour: str, usd_gpu_hour: str,
) -> None:  # fmt: skip
    """Every figure that a person read on the page is what `v_offers` says."""
    rows = con.execute(
        "select usd_hour, usd_gpu_hour, state from v_offers where provider = ? and sku = ? "
        "and region = ? and option = ? and term_months is not distinct from ? and tier is null",
        [provider, sku, region, option, term_months],
    ).fetchall()

    assert rows == [(Decimal(usd_hour), Decimal(usd_gpu_hour), "firm")]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) from v_offers where price <= 0 or usd_gpu_hour <= 0", 0),
        ("select count(distinct provider) from v_offers where state = 'firm'", 6),
        ("select count(*) from v_offers where state <> 'firm'", 0),
        ("select count(*) from (select series_id from v_offers group by 1 having count(*) > 1)", 0),
        ("select count(*) from v_rejects where reason not in ('no_price', 'unknown_gpu')", 0),
        ("select count(*) from v_offers o anti join page p on p.scan_id = o.scan_id", 0),
    ],
)
def test_the_tape_holds_nothing_impossible(
    con: duckdb.DuckDBPyConnection, sql: str, expected: int
) -> None:
    """No zero, no doubt, no double, no unread spelling but one, no price without its bytes."""
    assert con.execute(sql).fetchall() == [(expected,)]


def parsed(slug: str, file: str) -> list[dict[str, Any]]:
    import json

    command = Path(sys.executable).with_name("gputape")
    words = [command, "parse", slug, REAL / slug / file, "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    offers: list[dict[str, Any]] = json.loads(done.stdout)
    return offers


def test_capacity_block_twins_are_absent() -> None:
    """The offer file's twin at $0 is no offer, and its on-demand row is."""
    offers = parsed("aws", "recomposed_AmazonEC2_offer_20260910195514.json")

    assert offers
    assert all(offer["price"] > 0 and not offer["suspect"] for offer in offers)
    assert len({(o["sku"], o["region"]) for o in offers}) == len(offers)


def test_a_saved_page_is_read_without_its_address() -> None:
    """`gputape parse` needs the bytes and nothing else."""
    offers = parsed("coreweave", "coreweave_pricing_excerpt_2026-10.html")

    assert {o["price"] for o in offers if o["gpu"] == "h100-sxm-80"} == {49.24, 19.71, 19.51}
