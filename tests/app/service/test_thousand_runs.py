"""A thousand scheduled runs under random faults, with time turned fast."""

import gc
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gputape.app.alerts.ledger import open_ledger
from gputape.app.service.service import Service
from gputape.store import tape
from gputape.store.record import Recorder

from .conftest import Clock
from .simulator import CONTENT, EVERY, FAILING, Simulator

SLUGS = ("oracle", "lambda_labs", "coreweave", "gcp")
SEEDS = (20261121, 20261122)  # side by side on two cores
RUNS = 1000 // len(SEEDS)
SAMPLES = 20
DAMAGE = frozenset(CONTENT) & {"dear", "half"}
WEIGHTS = {"none": 24, "endless": 0.4, "hang": 1}
CONFIG = """
[providers]
oracle = {every_minutes = 60}
lambda_labs = {every_minutes = 60}
coreweave = {every_minutes = 60}
gcp = {every_minutes = 60}

[alerts.channels.nobody]
url = "webhook+https://hooks.example.org/x"
"""
TOGETHER = timedelta(minutes=10)  # jobs that are due so soon are run in one turn
GOOD = ("ok", "unchanged")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: a thousand checkpoints wait for the disk."""
    if not Path("/dev/shm").is_dir():  # noqa: S108
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Weather:
    """Chooses what each provider suffers from next, the same in every run of this test.

    A list that is wrong is wrong once: said twice, without the right one in between, it would be
    what the provider says.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # weather is no secret
        self._damaged: set[str] = set()
        self.met: Counter[str] = Counter()

    def of(self, slug: str) -> str:
        weights = [WEIGHTS.get(fault, 2) for fault in EVERY]
        (fault,) = self._random.choices(EVERY, weights)
        if fault in DAMAGE and slug in self._damaged:
            fault = "none"
        self._damaged ^= {slug} & self._damaged if fault in ("none", "slow") else set()
        self._damaged |= {slug} if fault in DAMAGE else set()
        self.met[fault] += 1
        return fault


def resident_kib() -> int:
    """Return how much memory this process holds now."""
    gc.collect()
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def one_of_ten(work: Callable[[Any], None]) -> Callable[[Any], None]:
    """Do something every tenth time: a checkpoint costs as much as all else of a run."""
    turns = count()

    def sometimes(self: Any) -> None:
        if next(turns) % 10 == 0:
            work(self)

    return sometimes


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_runs_lose_nothing_and_invent_nothing(
    service: Callable[..., Service], simulator: Callable[..., Simulator], clock: Clock,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    seed: int,
) -> None:  # fmt: skip
    """No crash, no lost scan, no false gone, no alert, flat memory, and every failure is named."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setitem(tape.CONFIG, "threads", "1")  # its questions are small
    monkeypatch.setattr(Recorder, "_checkpoint", one_of_ten(Recorder._checkpoint))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gputape.toml").write_text(CONFIG)
    sim, weather = simulator(*SLUGS), Weather(seed)
    watched = service(sim)
    watched.start()
    gc.freeze()  # what all of pytest made before is no part of what grows
    ran: list[tuple[str, str, Any]] = []
    held: list[int] = []
    while len(ran) < RUNS:
        turn(watched, sim, clock, weather if ran else None, ran)
        if len(ran) >= len(held) * RUNS // SAMPLES:
            held.append(resident_kib())
    watched.stop(1)
    gc.unfreeze()

    assert not caplog.records, caplog.text
    assert watched.last_error is None
    assert set(weather.met) == set(EVERY)
    check_scans(tmp_path / "tape.duckdb", ran)
    check_prices(tmp_path / "tape.duckdb")
    check_no_alert(tmp_path / "tape.duckdb")
    early, late = mean(held[SAMPLES // 5 : SAMPLES // 2]), mean(held[-SAMPLES // 4 :])
    assert late <= 1.1 * early, held


def turn(watched: Service, sim: Simulator, clock: Clock, weather: Weather | None,
         ran: list[tuple[str, str, Any]]) -> None:  # fmt: skip
    """Turn the clock to the next job, choose what it meets, and let it run."""
    due = {slug: watched.scheduler.next_of(slug) for slug in SLUGS}
    clock.at = max(clock.at, min(due.values()) + TOGETHER)
    sim.faults = {slug: weather.of(slug) if weather else "none"
                  for slug in SLUGS if due[slug] <= clock.at}  # fmt: skip
    before = {slug: watched.lines[slug].runs for slug in sim.faults}
    watched.scheduler.run_due()  # the alerts of the turn before, and then the jobs
    for slug, fault in sim.faults.items():
        assert watched.lines[slug].runs == before[slug] + 1, (slug, fault)
        ran.append((slug, fault, watched.lines[slug].last))


def check_scans(db: Path, ran: list[tuple[str, str, Any]]) -> None:
    """Every run left a scan; what failed says what it met, what did not is good."""
    with tape.reading(db) as con:
        found = {
            (provider, run_id): (status, sentence)
            for provider, run_id, status, sentence in con.execute(
                "select provider, run_id, status, sentence from scan where provider <> 'ecb'"
            ).fetchall()
        }
    assert len(found) == len(ran)
    for slug, fault, tried in ran:
        status, sentence = found[slug, int(tried.began.timestamp() * 1_000_000)]
        if fault in FAILING:
            assert status in ("unreachable", "refused", "changed"), (slug, fault, status)
            assert sentence
        elif fault not in DAMAGE:
            assert status in GOOD, (slug, fault, status, sentence)


def check_prices(db: Path) -> None:
    """Nothing is gone, and every price is what the fixture says."""
    with tape.reading(db) as con:
        states = dict(con.execute("select state, count(*) from price_log group by 1").fetchall())
        firm = con.execute(
            "select s.provider, s.sku, count(distinct p.price) from price_log p "
            "join series s using (series_id) where p.state = 'firm' group by all "
            "having count(distinct (p.price, s.option, s.region, s.tier, s.term_months)) "
            "<> count(distinct (s.option, s.region, s.tier, s.term_months))"
        ).fetchall()
    assert states.get("suspect"), states  # the wrong lists were met, and not believed
    assert "gone" not in states, states
    assert firm == []


def check_no_alert(db: Path) -> None:
    """The default policy looked, and had nothing to say."""
    ledger = open_ledger(db)
    try:
        assert ledger.known_rules()
        assert [row.kind for row in ledger.outbox.rows()] == []
    finally:
        ledger.close()
