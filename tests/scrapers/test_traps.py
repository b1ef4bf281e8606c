"""The 42 ways a published price was wrong before: each has a test here or by its adapter.

Tests are named `test_trap_NN_…` for the class they hold. A class that only other sellers can
spring waits for its adapter, and says so below.
"""

import re
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from gputape.scrapers.registry import ADAPTERS, adapter
from gputape.store.gpus import resolve

if TYPE_CHECKING:
    from tests.scrapers.conftest import House

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {
    4: "a marketplace's bid floor: none of the seven takes bids",
    8: "a spot flag beside an on-demand price in one record: RunPod",
    22: "a median instead of the minimum: Vast",
    23: "a host's whole disk in the price: Vast",
}


def test_every_trap_has_its_test() -> None:
    """No class of mistake is forgotten: 42 numbers, each tested or waiting for its seller."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tested = {int(number) for number in re.findall(r"def test_trap_(\d\d)_", text)}

    assert tested | set(ELSEWHERE) == set(range(1, 43))
    assert not tested & set(ELSEWHERE)


def test_trap_18_a_price_nobody_looked_at_shows_its_age(house: "House") -> None:
    """A price is as old as the last look at its part, and says when that is too long ago."""
    oracle = adapter("oracle")
    house.replay(oracle, ROOT / "fixtures" / "oracle")
    house.recorder.note_facts(
        "g", [], [("oracle", "Oracle", "list", 86_400, "", "")], house.clock()
    )
    fresh = house.ask("select count(*) from offers_at(timestamptz '2026-08-23') where stale")
    old = house.ask("select count(*) from offers_at(timestamptz '2026-09-23') where not stale")

    assert (fresh, old) == ([(0,)], [(0,)])


def test_trap_20_a_failure_does_not_make_a_price_look_younger(house: "House") -> None:
    """After a failed look every price is as old as it was."""
    oracle = adapter("oracle")
    house.replay(oracle, ROOT / "fixtures" / "oracle")
    before = house.ask("select distinct last_seen from v_offers")
    (outcome,) = house.replay(oracle, ROOT / "fixtures" / "articles")

    assert outcome.failed
    assert house.ask("select distinct last_seen from v_offers") == before


def test_trap_28_a_name_inside_a_name_is_another_gpu() -> None:
    """GB200 is not B200, L40S is not L40, a MIG slice is no GPU."""
    names = {"GB200": "gb200-186", "B200": "b200-sxm-180", "L40S": "l40s-48", "L40": "l40-48"}
    found = {name: gpu.id for name in names if (gpu := resolve(name))}

    assert found == names
    assert resolve("A100 SXM4 80GB MIG 1g.10gb") is None


def test_trap_30_memory_of_a_whole_machine_is_not_a_gpu_s() -> None:
    """640 GB is eight H100s and no H100: memory that contradicts the name resolves to nothing."""
    assert resolve("H100 SXM", Decimal(640)) is None


def test_trap_42_what_the_program_reads_is_in_the_package() -> None:
    """Facts, schema, views and fixtures are installed beside the code."""
    store = files("gputape.store")
    fixtures = files("gputape.fixtures")

    assert store.joinpath("gpus.toml").is_file()
    assert store.joinpath("schema/001_tape.sql").is_file()
    assert store.joinpath("schema/002_history.sql").is_file()
    assert store.joinpath("views/1_offers.sql").is_file()
    assert store.joinpath("instances/aws.toml").is_file()
    assert all(fixtures.joinpath(f"{a.PROVIDER.slug}/pages.json").is_file() for a in ADAPTERS)
