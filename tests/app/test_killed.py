"""A collection that is killed loses nothing that it had recorded, and can simply be repeated."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gputape.store import tape
from gputape.store.errors import NoTape

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
COLLECT = [
    Path(sys.executable).with_name("gputape"), "collect", "coreweave", "gcp", "lambda_labs",
    "oracle", "--replay", FIXTURES, "--no-progress",
]  # fmt: skip
OFFERS = "select * exclude (scan_id, series_id, last_seen) from v_offers order by all"
# each complete scan has exactly the rows that its counts promise
TORN = """
select s.scan_id from scan s left join price_log p using (scan_id)
where s.status = 'ok' group by s.scan_id, s.new, s.suspects
having count(*) filter (where p.state = 'firm') <> s.new
    or count(*) filter (where p.state = 'suspect') <> s.suspects
"""


def asked(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with tape.reading(db) as con:
        return con.execute(sql).fetchall()


@pytest.mark.slow
def test_killed_at_ten_random_moments(tmp_path: Path) -> None:
    """After each kill every scan of before is there and whole; one quiet run completes the rest."""
    dice = random.Random(20261121)  # noqa: S311  # a repeatable choice of moments
    undisturbed, db = tmp_path / "one" / "tape.duckdb", tmp_path / "two" / "tape.duckdb"
    began = time.monotonic()
    subprocess.run([*COLLECT, "--db", undisturbed], capture_output=True, check=False)
    whole = time.monotonic() - began
    known: set[int] = set()
    for _ in range(10):
        process = subprocess.Popen([*COLLECT, "--db", db], stdout=-3, stderr=-3)
        time.sleep(dice.uniform(0.2, 1.1) * whole)
        process.kill()
        process.wait()
        try:
            scans = {scan_id for (scan_id,) in asked(db, "select scan_id from scan")}
        except NoTape:
            scans = set()
        assert known <= scans
        known = scans
        assert not known or asked(db, TORN) == []
    subprocess.run([*COLLECT, "--db", db], capture_output=True, check=False)

    assert known, "every kill came before the first scan"
    assert asked(db, OFFERS) == asked(undisturbed, OFFERS)
