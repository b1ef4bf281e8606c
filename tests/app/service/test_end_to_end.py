"""From a price that falls to a message that arrives, through the program as a person runs it."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gputape.app.service.service import Service

from ..receiving import Receiver, Request  # noqa: TID252  # tests have no name of their own
from .conftest import Clock
from .running import Running, get
from .simulator import Simulator

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
[alerts.channels.bot]
url = "${HOOK}"
kind = "webhook"
secret = "${SIGNS}"
allow_private = true

[alerts.rules.h100]
when = "drop 10% of median:14d"
gpu = "h100-sxm-80"
min_observations = 3
min_days = 0
"""
SIGNS = "a key that signs"
LOOK = timedelta(minutes=66)  # an hour's cadence and its jitter
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.slow


class World:
    """A service that is killed and started again, its clock, its source, and who is told."""

    def __init__(self, run: Callable[..., Running], sim: Simulator, receiver: Receiver,
                 folder: Path) -> None:  # fmt: skip
        self._run, self.sim, self.receiver = run, sim, receiver
        self.db, self._clock = folder / "tape.duckdb", folder / "clock"
        self.now = datetime.now(UTC) - timedelta(hours=14)
        self.turn(timedelta())
        (folder / "gputape.toml").write_text(CONFIG)
        self.start()

    def start(self, *words: str) -> Running:
        self.child = self._run(self.sim, "lambda_labs", *words, "--db", self.db,
                               TURNED=str(self._clock), HOOK=self.receiver.url(),
                               SIGNS=SIGNS)  # fmt: skip
        return self.child

    def kill(self) -> None:
        self.child.process.kill()
        self.child.process.wait()

    def turn(self, by: timedelta) -> None:
        self.now += by
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(self.now.isoformat())
        fresh.replace(self._clock)

    def look(self) -> None:
        """Turn the clock to the next look, wait for it, and for what follows from it."""
        known = len(self.child.said("collected"))
        self.turn(LOOK)
        self.child.hears("collected", at_least=known + 1)
        self.turn(2 * MINUTE)

    def waits_for(self, what: Callable[[], bool], turning: timedelta = timedelta()) -> None:
        """Wait for something that is under way; `turning`: of the clock, ten times a second."""
        end = time.monotonic() + 20
        while not what():
            assert time.monotonic() < end, self.child.log.read_text()
            time.sleep(0.1)
            self.turn(turning)


@pytest.fixture
def world(run: Callable[..., Running], simulator: Callable[..., Simulator], receiver: Receiver,
          tmp_path: Path) -> World:  # fmt: skip
    """One source that prints $4.29 for a H100, a rule that waits for 10 % less, a webhook."""
    return World(run, simulator("lambda_labs"), receiver, tmp_path)


def test_a_fall_arrives_once_whatever_is_killed(world: World, gputape: Callable[..., Any]) -> None:
    """SIGKILL at the look, after it, and while it is told: one event, signed, and explained."""
    sim, told = world.sim, world.receiver.got
    world.child.hears("collected")
    for _ in range(3):
        world.look()
    sim.edits = {"lambda_labs": (b"$4.29", b"$3.43")}

    sim.faults = {"lambda_labs": "hang"}  # killed with the fall on its way
    asked = sim.asked("lambda_labs")
    world.turn(LOOK)
    world.waits_for(lambda: sim.asked("lambda_labs") > asked)
    world.kill()
    sim.faults = {}
    world.start().hears("collected")
    world.kill()  # killed with the fall recorded, judged or not
    world.start().hears("running")
    world.turn(2 * MINUTE)
    assert told == []  # one look is no fall

    def killing(_: Request) -> tuple[int, dict[str, str]]:
        world.kill()  # killed between the message and its mark
        return 200, {}

    world.receiver.answer = killing
    world.look()
    world.waits_for(lambda: len(told) == 1, MINUTE / 4)
    world.receiver.answer = lambda _: (200, {})
    world.turn(6 * MINUTE)  # the lease of who was killed is over
    world.start()
    world.waits_for(lambda: len(told) == 2, MINUTE / 4)
    for _ in range(3):
        world.look()
    world.kill()
    world.start().hears("running")
    metrics = samples(get(f"{world.child.url()}/metrics")[1])
    world.child.process.terminate()

    assert world.child.ends() == 0
    check_told(told)
    assert metrics["gputape_alerts_firing"] == 1
    assert metrics["gputape_outbox_waiting"] == metrics["gputape_outbox_dead"] == 0
    check_explained(world.db, lambda *words: gputape(*words, db=world.db,
                    HOOK=world.receiver.url(), SIGNS=SIGNS))  # fmt: skip


def test_a_timer_tells_it_in_the_round_that_confirms(
    service: Callable[..., Service], simulator: Callable[..., Simulator], clock: Clock,
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`run --once`, hour by hour: the second look that agrees sends, and no round after it."""
    monkeypatch.setenv("HOOK", receiver.url())
    monkeypatch.setenv("SIGNS", SIGNS)
    (tmp_path / "gputape.toml").write_text(CONFIG)
    sim, told = simulator("lambda_labs"), []
    timer = service(sim)
    for price in (b"$4.29",) * 4 + (b"$3.43",) * 4:
        sim.edits = {"lambda_labs": (b"$4.29", price)}
        clock.turn(LOOK)
        assert timer.once() == ["lambda_labs", "ecb"]
        told.append(len(receiver.got))

    assert told == [0, 0, 0, 0, 0, 1, 1, 1]


def samples(text: str) -> dict[str, float]:
    return {sample.name: sample.value for family in text_string_to_metric_families(text)
            for sample in family.samples if not sample.labels}  # fmt: skip


def check_told(told: list[Request]) -> None:
    """Two requests of one event, each with a signature that the page's snippet takes."""
    first, again = told
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?def is_genuine.*?)```", page, re.DOTALL)
    known: dict[str, Any] = {}
    exec(code, known)  # noqa: S102  # our own page
    for one in told:
        at = int(one.headers["X-Gputape-Timestamp"])
        assert known["is_genuine"](one.headers, one.body, SIGNS, at)
    assert first.id == again.id
    assert first.body == again.body
    assert first.json["event"]["kind"] == "fired"
    assert first.json["price"]["native"] == "3.43"
    assert first.json["price"]["previous"] == "4.29"
    assert len(first.json["rows"]) == 1


def check_explained(db: Path, gputape: Callable[..., Any]) -> None:
    """The log has one event, `why` the look that waited and the one that told, doctor no fault."""
    log = [json.loads(line) for line in gputape("alerts", "log", "--json").out.splitlines()]
    why = gputape("alerts", "why", "h100", "1x", "--format", "json").json
    doctor = {row["what"]: row for row in gputape("doctor", "--format", "json").json}

    assert [(row["rule"], row["kind"], row["gate"]) for row in log] == [("h100", "fired", "sent")]
    assert [row["gate"] for row in why][-2:] == ["sent", "confirmation"]
    assert doctor["alerts"]["finding"] == "1 firing"
    assert doctor["outbox"]["finding"] == "0 waiting, 0 given up"
    assert re.fullmatch(r"last sent \d+ (min|h) ago", doctor["channel bot"]["finding"])
    assert {doctor[what]["state"] for what in ("alerts", "outbox", "channel bot")} == {"ok"}
