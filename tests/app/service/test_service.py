"""The schedule: who is asked when, what a restart remembers, what a bad source costs others."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gputape.app.config import Config
from gputape.app.service import status
from gputape.app.service.breaker import OPENS
from gputape.app.service.desk import Desk
from gputape.app.service.outside import LONGEST_PAUSE, Outside, pause_asked
from gputape.app.service.schedule import jobs
from gputape.app.service.service import Service
from gputape.scrapers.http import Pace
from gputape.store import tape
from gputape.store.errors import BadInput, Busy

from .conftest import Clock
from .simulator import Redirect, Simulator

Make = Callable[..., Service]
Sim = Callable[..., Simulator]
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def scans(db: Path, words: str) -> Any:
    with tape.reading(db) as con:
        return con.execute(f"select {words} from scan order by scan_id").fetchall()


# -- who is asked when ------------------------------------------------------------------------


def test_everybody_is_asked_at_once_and_then_by_cadence(
    service: Make, simulator: Sim, clock: Clock
) -> None:
    """Lambda is asked every hour, Oracle every day."""
    sim = simulator("lambda_labs", "oracle")
    watched = service(sim)
    watched.start()
    watched.scheduler.run_due()
    counts = [(sim.asked("lambda_labs"), sim.asked("oracle"))]
    for minutes in (50, 15, 65, 26 * 60):
        clock.turn(timedelta(minutes=minutes))
        watched.scheduler.run_due()
        counts.append((sim.asked("lambda_labs"), sim.asked("oracle")))

    assert counts == [(1, 1), (1, 1), (2, 1), (3, 1), (4, 2)]


def test_what_was_missed_runs_once(service: Make, simulator: Sim, clock: Clock) -> None:
    """A week of sleep is one run, not 168."""
    sim = simulator("lambda_labs")
    watched = service(sim)
    watched.start()
    watched.scheduler.run_due()
    clock.turn(timedelta(days=7))
    watched.scheduler.run_due()
    watched.scheduler.run_due()

    assert sim.asked("lambda_labs") == 2
    assert clock.at < watched.scheduler.next_of("lambda_labs") <= clock.at + 1.1 * HOUR


def test_a_restart_goes_on_where_it_was(service: Make, simulator: Sim, clock: Clock) -> None:
    """The next run is the same moment before and after, and nobody is asked twice."""
    sim = simulator("lambda_labs", "oracle")
    before = service(sim)
    before.start()
    before.scheduler.run_due()
    due = {name: before.scheduler.next_of(name) for name in sim.slugs}
    before.stop(1)
    clock.turn(timedelta(minutes=30))
    after = service(sim)
    after.start()
    after.scheduler.run_due()

    assert {name: after.scheduler.next_of(name) for name in sim.slugs} == due
    assert sim.asked("oracle") == 1


def test_a_clock_that_was_set_back_stops_nothing(
    service: Make, simulator: Sim, clock: Clock
) -> None:
    """A tape that was written tomorrow does not keep a source from being asked today."""
    sim = simulator("lambda_labs")
    before = service(sim)
    before.start()
    before.scheduler.run_due()
    before.stop(1)
    clock.turn(timedelta(days=-1))
    after = service(sim)
    after.start()
    for _ in range(3):
        after.scheduler.run_due()
        clock.turn(timedelta(minutes=65))

    after.stop(1)
    assert sim.asked("lambda_labs") == 4
    assert {status for (status,) in scans(after.db, "status")} == {"ok", "unchanged"}  # type: ignore[arg-type]


def test_a_breaker_survives_a_restart(service: Make, simulator: Sim, clock: Clock) -> None:
    """Five failures open it, a restart finds it open, an answer closes it."""
    sim = simulator("lambda_labs")
    sim.faults = {"lambda_labs": "500"}
    before = service(sim)
    before.start()
    for _ in range(OPENS):
        before.scheduler.run_due()
        clock.at = before.scheduler.next_of("lambda_labs")
    course = before.lines["lambda_labs"].course
    before.stop(1)
    after = service(sim)
    found = after.lines["lambda_labs"].course
    sim.faults = {}
    after.start()
    after.scheduler.run_due()

    assert (found.breaker, found) == ("open", course)
    assert after.lines["lambda_labs"].course.breaker == "closed"


def test_a_probe_asks_for_one_part(service: Make, simulator: Sim, clock: Clock) -> None:
    """With its breaker open, a provider of 60 parts is asked for the first of them."""
    sim = simulator("azure")
    sim.faults = {"azure": "500"}
    watched = service(sim)
    line = watched.lines["azure"]
    for _ in range(OPENS):
        line.course = line.course.failed(clock.at - timedelta(days=2), "unreachable", "500")
    watched.start()
    watched.scheduler.run_due()
    watched.stop(1)

    assert line.last
    assert [one.scan.status for one in line.last.outcomes].count("unreachable") == 1
    assert len(line.last.outcomes) > 50
    assert sim.asked("azure") == 2  # two tries of one part
    assert scans(watched.db, "status") == [("unreachable",)]  # type: ignore[arg-type]


def test_retry_after_is_kept_across_a_restart(service: Make, simulator: Sim, clock: Clock) -> None:
    """Two hours that a source asked for are two hours, whoever asks."""
    sim = simulator("lambda_labs")
    sim.faults = {"lambda_labs": "429"}
    before = service(sim)
    before.start()
    began = clock.at
    before.scheduler.run_due()
    before.stop(1)
    after = service(sim)
    after.start()
    after.scheduler.run_due()

    assert after.scheduler.next_of("lambda_labs") == began + 2 * HOUR
    assert sim.asked("lambda_labs") == 1


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (429, {"retry-after": "90"}, 90),
        (503, {"retry-after": "Sun, 01 Nov 2026 12:02:00 GMT"}, 120),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, 60),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": str(int(NOW.timestamp()) + 30)}, 30),
        (200, {"ratelimit-remaining": "1", "ratelimit-reset": "60"}, None),
        (200, {"retry-after": "90"}, None),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "9" * 30}, LONGEST_PAUSE.total_seconds()),
    ],
)
def test_pauses_that_a_source_asks_for(
    code: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Retry-After of a refusal, and a quota that is used up; nothing absurd."""
    asked = pause_asked(code, headers, NOW)

    assert (asked and (asked - NOW).total_seconds()) == seconds


def test_robots_are_asked_once_a_day(service: Make, simulator: Sim, clock: Clock) -> None:
    """A page source is asked every hour, its robots.txt once in 24."""
    sim = simulator("lambda_labs")
    watched = service(sim)
    watched.start()
    for hours in (0, 8, 8, 7, 2):
        clock.turn(timedelta(hours=hours))
        watched.scheduler.run_due()

    assert sim.asked("lambda_labs") == 5
    assert sim.seen.count(("lambda_labs", "robots")) == 2


# -- one bad source ---------------------------------------------------------------------------


def test_a_source_that_hangs_delays_no_other(
    tmp_path: Path, simulator: Sim, patient: None, home: Path
) -> None:
    """With real threads: Oracle is in the tape while Lambda still hangs."""
    sim = simulator("lambda_labs", "oracle")
    sim.faults = {"lambda_labs": "hang"}
    db = tmp_path / "tape.duckdb"

    def now() -> datetime:
        return datetime.now(UTC)

    quick = Pace(timedelta(), lambda: 0.0, lambda _: None)
    outside = Outside(now, quick, Redirect(sim.port, retries=0))
    watched = Service(db, sim.slugs, outside=outside, desk=Desk(db, now))
    hung = threading.Event()
    note = watched._note
    order: list[str] = []
    watched._note = lambda line, tried: (order.append(tried.job), note(line, tried))[1]  # type: ignore[method-assign]
    watched.start()
    end = time.monotonic() + 10
    while len(order) < 2 and time.monotonic() < end:
        hung.wait(0.02)
    assert watched.stop(5)
    outside.close()

    assert order == ["oracle", "lambda_labs"]
    assert dict(scans(db, "provider, status")) == {"oracle": "ok", "lambda_labs": "unreachable"}


@pytest.mark.slow
def test_trouble_of_our_own_is_tried_again_and_blames_nobody(
    service: Make, simulator: Sim, clock: Clock, tmp_path: Path
) -> None:
    """While another program writes the tape nobody is asked; a minute later everybody is."""
    sim = simulator("oracle")
    watched = service(sim)
    watched.start()
    began = clock.at
    with tape.writing(tmp_path / "tape.duckdb", clock.at):
        watched.scheduler.run_due()
    busy = watched.last_error or ""
    due = watched.scheduler.next_of("oracle")
    clock.turn(timedelta(minutes=2))
    watched.scheduler.run_due()

    assert "is writing" in busy
    assert due == began + timedelta(minutes=1)
    assert watched.lines["oracle"].course.good_at == clock.at


def test_a_mistake_of_the_program_ends_one_run_and_no_schedule(
    service: Make, simulator: Sim, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody expects is noted, and the job runs again."""
    sim = simulator("oracle")
    watched = service(sim)
    watched.start()
    with monkeypatch.context() as patch:
        patch.setattr(watched, "_asker", lambda: 1 / 0)
        watched.scheduler.run_due()
    assert "ZeroDivisionError" in (watched.last_error or "")
    clock.turn(timedelta(minutes=2))
    watched.scheduler.run_due()

    assert watched.lines["oracle"].course.good_at == clock.at


# -- the tape ---------------------------------------------------------------------------------


def test_the_tape_is_free_between_collections(
    service: Make, simulator: Sim, clock: Clock, tmp_path: Path
) -> None:
    """A desk that was left is closed at the next tick, published; others may write then."""
    sim = simulator("oracle")
    watched = service(sim, linger_s=0)
    watched.start()
    watched.scheduler.run_due()
    clock.turn(timedelta(seconds=6))
    watched.scheduler.run_due()

    with tape.writing(tmp_path / "tape.duckdb", clock.at, patience_s=0):
        pass
    assert scans(tmp_path / "tape.duckdb", "provider, status") == [("oracle", "ok")]


def test_two_services_on_one_tape_do_not_fight(tmp_path: Path) -> None:
    """The second one says who runs; when the first has ended it may."""
    db = tmp_path / "tape.duckdb"
    with status.sole(db):
        running = status.runs(db)
        with pytest.raises(Busy, match=r"process \d+ runs .*tape.duckdb already: stop it"):
            status.sole(db).__enter__()  # must not be left
    with status.sole(db):
        pass

    assert running
    assert status.runs(db) is None


# -- jobs -------------------------------------------------------------------------------------


def test_a_group_is_a_job_of_its_own() -> None:
    """AWS's reserved files come weekly and only when asked for; the rest does not wait for them."""
    plain = {job.name for job in jobs(Config())}
    grouped = jobs(Config.model_validate({"providers": {"aws": {"groups": ["reserved"]}}}))
    both = {job.name: job for job in grouped if job.name.startswith("aws")}

    assert "aws/reserved" not in plain
    assert {name: job.cadence for name, job in both.items()} == {
        "aws": HOUR, "aws/reserved": timedelta(days=7),
    }  # fmt: skip
    for part in ("eu-west-1/on_demand", "spot"):
        assert (both["aws"].takes(part), both["aws/reserved"].takes(part)) == (True, False)
    for part in ("reserved", "eu-west-1/reserved"):
        assert (both["aws"].takes(part), both["aws/reserved"].takes(part)) == (False, True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"aws": {"groups": ["reservd"]}}, "there is no group 'reservd'"),
        ({"awz": {}}, "there is no provider 'awz': did you mean aws"),
    ],
)
def test_a_schedule_of_what_does_not_exist_is_refused(said: dict[str, Any], why: str) -> None:
    """A misspelt provider or group is not ignored."""
    with pytest.raises(BadInput, match=why):
        jobs(Config.model_validate({"providers": said}))


def test_rates_are_asked_for_once_a_price_is_foreign(
    service: Make, simulator: Sim, clock: Clock
) -> None:
    """A tape in dollars asks the central bank nothing."""
    sim = simulator("oracle", "ecb")
    watched = service(sim, "oracle")
    watched.start()
    for _ in range(4):
        watched.scheduler.run_due()
        clock.turn(HOUR)

    assert sim.asked("ecb") == 0
    watched.desk.recorder.con.execute(
        "insert into price_log (series_id, observed_at, scan_id, state, price, currency, origin) "
        "values (1, now(), 1, 'firm', 1, 'EUR', 'live')"
    )
    watched.desk.close()
    watched.scheduler.run_due()
    assert sim.asked("ecb") == 1
