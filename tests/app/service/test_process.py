"""`gputape run` as a process: how it ends, how it is told something new, what it serves."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gputape.store import tape

from .running import CHILD, Running, get
from .simulator import Simulator

Sim = Callable[..., Simulator]
pytestmark = pytest.mark.slow


def scans(db: Path) -> list[tuple[str, str]]:
    with tape.reading(db) as con:
        return con.execute("select provider, status from scan order by 1").fetchall()


@pytest.mark.slow
def test_sigterm_ends_it_and_everything_is_published(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path
) -> None:
    """Between two runs it ends at once with 0; the tape is published and free."""
    sim, db = simulator("oracle", "lambda_labs"), tmp_path / "tape.duckdb"
    child = run(sim, "oracle", "lambda_labs", "--db", db)
    child.hears("collected", '"oracle"')
    child.hears("collected", '"lambda_labs"')
    child.process.send_signal(signal.SIGTERM)

    assert child.ends(within_s=6) == 0
    assert child.lines()[-1]["message"] == "stopped"
    with tape.connect(db, read_only=True) as con:  # as it lies there: nothing is made good first
        assert con.execute("select count(*) from scan").fetchall() == [(2,)]
    with tape.writing(db, child_time(), patience_s=0):
        pass


def child_time() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


@pytest.mark.slow
def test_sigterm_abandons_a_source_that_hangs(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 10 s it ends with 0 although a request hangs for a minute; the rest is kept."""
    from . import simulator as faults

    monkeypatch.setattr(faults, "HANG_S", 60.0)
    sim, db = simulator("oracle", "lambda_labs"), tmp_path / "tape.duckdb"
    sim.faults = {"lambda_labs": "hang"}
    child = run(sim, "oracle", "lambda_labs", "--db", db)
    child.hears("collected", '"oracle"')
    while not sim.asked("lambda_labs"):
        time.sleep(0.05)
    child.process.send_signal(signal.SIGTERM)

    assert child.ends() == 0
    assert "lambda_labs" in child.hears("abandoned")["message"]
    assert scans(db) == [("oracle", "ok")]


@pytest.mark.slow
def test_a_second_service_says_who_runs(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path
) -> None:
    """It ends with 1 and a sentence with the process; the first goes on."""
    sim, db = simulator("oracle"), tmp_path / "tape.duckdb"
    first = run(sim, "oracle", "--db", db)
    first.hears("collected")
    second = run(sim, "oracle", "--db", db)

    assert second.ends() == 1
    assert second.log.read_text() == (
        f"gputape: process {first.process.pid} runs {db} already: stop it, or give --db another "
        "path\n"
    )
    assert first.process.poll() is None


@pytest.mark.slow
def test_it_takes_a_changed_file_and_refuses_a_bad_one(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path,
    gputape: Callable[..., Any],
) -> None:  # fmt: skip
    """A file that appears adds a provider; a bad one changes nothing, and doctor says so."""
    sim, db = simulator("oracle", "coreweave"), tmp_path / "tape.duckdb"
    file, off = tmp_path / "gputape.toml", "[providers.{}]\nenabled = false\n"
    others = "".join(off.format(s) for s in ("aws", "azure", "gcp", "lambda_labs", "openrouter"))
    file.write_text(others)
    child = run(sim, "--db", db)
    child.hears("collected", '"oracle"')
    file.write_text(f"{others}[providers.coreweave]\nenabled = true\n")
    child.process.send_signal(signal.SIGHUP)
    child.hears("configuration read anew")
    child.hears("collected", '"coreweave"')
    file.write_text("[providers.coreweave]\nenable = true\n")  # seen without a signal
    refused = child.hears("configuration refused")["message"]
    config = {row["what"]: row for row in gputape("doctor", "--format", "json", db=db).json}
    file.write_text(others)
    child.hears("configuration read anew", at_least=2)

    assert "did you mean enabled?" in refused
    assert config["config"]["state"] == "bad"
    assert f"process {child.process.pid} goes on with the old one" in config["service"]["finding"]
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0


def test_it_serves_health_and_metrics(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path
) -> None:
    """Healthy at once, ready when a source is fresh, metrics that Prometheus reads."""
    sim, db = simulator("oracle", "lambda_labs"), tmp_path / "tape.duckdb"
    sim.faults = {"lambda_labs": "challenge"}
    child = run(sim, "oracle", "lambda_labs", "--db", db)
    url = child.url()
    child.hears("collected", '"oracle"')
    child.hears("collected", '"lambda_labs"')
    _, metrics = get(f"{url}/metrics")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }

    assert url.startswith("http://127.0.0.1:")
    assert get(f"{url}/healthz") == (200, "ok\n")
    assert get(f"{url}/readyz") == (200, "1 of 2 sources are fresh; not fresh: lambda_labs\n")
    assert get(f"{url}/x")[0] == 404
    assert values["gputape_source_up", "oracle"] == 1
    assert values["gputape_source_up", "lambda_labs"] == 0
    assert values["gputape_source_consecutive_failures", "lambda_labs"] == 1
    assert values["gputape_parts_total", "lambda_labs", "refused"] == 1
    assert values["gputape_source_rows", "oracle"] == 20
    assert values["gputape_outbox_waiting",] == 0
    assert len(values) < 150


def test_nobody_is_ready_before_a_first_answer(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path
) -> None:
    """Alive, and not ready while no source has answered."""
    sim = simulator("oracle")
    sim.faults = {"oracle": "500"}
    child = run(sim, "oracle", "--db", tmp_path / "tape.duckdb")
    url = child.url()

    assert get(f"{url}/healthz")[0] == 200
    assert get(f"{url}/readyz")[0] == 503


@pytest.mark.slow
def test_once_asks_what_is_due_and_ends(
    run: Callable[..., Running], simulator: Sim, tmp_path: Path
) -> None:
    """The first time everybody, at once again nobody; a failure ends with 3."""
    sim, db = simulator("oracle", "lambda_labs"), tmp_path / "tape.duckdb"
    sim.faults = {"lambda_labs": "challenge"}
    first = run(sim, "oracle", "lambda_labs", "--once", "--db", db)
    code = first.ends(within_s=20)
    again = run(sim, "oracle", "lambda_labs", "--once", "--db", db)

    assert code == 3
    assert again.ends(within_s=20) == 0
    assert "nothing is due" in again.log.read_text()
    assert (sim.asked("oracle"), sim.asked("lambda_labs")) == (1, 1)
    assert scans(db) == [("lambda_labs", "refused"), ("oracle", "ok")]


def test_no_key_is_in_the_log(run: Callable[..., Running], simulator: Sim, tmp_path: Path) -> None:
    """A provider that repeats the key in its answer's address does not bring it into the log."""
    key = "sesame/0123 456"
    sim = simulator("lambda_labs")
    child = run(sim, "lambda_labs", "--once", "--db", tmp_path / "t.duckdb", LAMBDA_API_KEY=key)
    child.ends(within_s=20)
    log = child.log.read_text()

    assert "collected" in log
    assert not re.search(r"sesame|0123", log)


def test_a_port_that_is_taken_is_usage(simulator: Sim, home: Path) -> None:
    """It ends with 2, says which, and has asked nobody."""
    sim = simulator("oracle")
    words = ["run", "oracle", "--db", "t.duckdb", "--port", str(sim.port)]
    ran = subprocess.run([sys.executable, CHILD, str(sim.port), *words], capture_output=True,
                         text=True, check=False, timeout=60)  # fmt: skip

    assert ran.returncode == 2
    assert f"127.0.0.1:{sim.port} can not be served (Address already in use)" in ran.stderr
    assert sim.seen == []
