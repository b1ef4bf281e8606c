"""A service against the simulator, with a clock that the test turns."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers import base
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers import interval

from gputape.app.service.desk import Desk
from gputape.app.service.outside import Outside
from gputape.app.service.service import Service
from gputape.scrapers import http
from gputape.scrapers.http import Pace

from .running import Running
from .simulator import Redirect, Simulator


class Clock:
    """A time that stands still until it is turned."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def turn(self, by: timedelta) -> None:
        self.at += by


class Turned(BaseScheduler):  # type: ignore[misc]  # APScheduler ships no types
    """A scheduler without a thread: it does what is due when it is told to."""

    def __init__(self) -> None:
        super().__init__(executors={"default": DebugExecutor()}, timezone=UTC)

    def wakeup(self) -> None: ...

    def shutdown(self, **how: bool) -> None:
        super().shutdown(**how)

    def run_due(self) -> None:
        self._process_jobs()

    def next_of(self, name: str) -> datetime:
        found: datetime = self.get_job(name).next_run_time
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Midnight two weeks ago, also for APScheduler."""
    clock = Clock(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
                  - timedelta(days=14))  # fmt: skip

    class Turning(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return clock.at.astimezone(tz)

    for module in (base, interval):
        monkeypatch.setattr(module, "datetime", Turning)
    return clock


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short time-outs and no waits between tries."""
    monkeypatch.setattr(http, "TIMEOUT", httpx.Timeout(0.15))
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture
def simulator() -> Iterator[Callable[..., Simulator]]:
    """Make simulators that are closed in the end."""
    made: list[Simulator] = []

    def make(*slugs: str) -> Simulator:
        made.append(Simulator(slugs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def service(
    tmp_path: Path, clock: Clock, patient: None, home: Path
) -> Iterator[Callable[..., Service]]:
    """Make services on one tape that ask a simulator; each is stopped in the end."""
    made: list[Service] = []

    def make(sim: Simulator, *named: str, linger_s: float = 1e9) -> Service:
        db = tmp_path / "tape.duckdb"
        quick = Pace(timedelta(), lambda: 0.0, lambda _: None)
        made.append(
            Service(
                db,
                named or sim.slugs,
                now=clock,
                scheduler=Turned(),
                outside=Outside(clock, quick, Redirect(sim.port)),
                desk=Desk(db, clock, linger_s=linger_s),
            )
        )
        return made[-1]

    yield make
    for one in made:
        if not one.stopping:
            one.stop(1)
        one.outside.close()


@pytest.fixture
def run(home: Path) -> Iterator[Callable[..., Running]]:
    """Start children; what still runs in the end is killed."""
    made: list[Running] = []

    def start(*words: Any, **environment: str) -> Running:
        made.append(Running(*words, **environment))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
