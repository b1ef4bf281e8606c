"""What tests of a collection share: the real collector over a recording, into a real tape."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gputape.scrapers.adapter import Adapter
from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import Outcome, Run, collect
from gputape.scrapers.http import Pace, Skip, Visit, client
from gputape.scrapers.recording import Replay
from gputape.store import tape
from gputape.store.offer import Origin
from gputape.store.record import Recorder
from gputape.store.remember import memory

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that the test turns; each look moves it by a millisecond, as work would."""

    now: datetime = START
    ticks: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self) -> datetime:
        return self.now + timedelta(milliseconds=next(self.ticks))

    def turn(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


class Nobody:
    """Watches nothing."""

    def started(self, provider: str, /) -> None: ...
    def ended(self, provider: str, /) -> None: ...
    def part(self, outcome: Outcome, /) -> None: ...


@dataclass
class House:
    """A tape in a folder of its own, and the way to fill it."""

    recorder: Recorder
    folder: Path
    clock: Clock

    def collect(
        self,
        adapters: Sequence[Adapter],
        transport: Callable[[str], httpx.BaseTransport],
        *,
        origin: Origin = Origin.LIVE,
        secrets: Mapping[str, str] | None = None,
        wanted: frozenset[str] = frozenset(),
        claim: Callable[[str], Skip | None] = lambda _: None,
        done: Callable[[str, str], None] = lambda _provider, _part: None,
    ) -> list[Outcome]:
        """Run the real collector and return what each part came to."""
        known = memory(self.recorder.con)

        def visit(adapter: Adapter) -> Visit:
            return Visit(
                client=client(transport(adapter.PROVIDER.slug)),
                archive=Archive(self.folder / "archive"),
                memory=known,
                pace=Pace(timedelta(), lambda: 0.0, lambda _: None),
                now=self.clock,
                secrets=secrets or {},
                wanted=wanted,
                claim=claim,
            )

        run = Run(run_id=1, visit=visit, memory=known, now=self.clock, origin=origin, done=done)
        return collect(adapters, run, self.recorder, Nobody())

    def replay(
        self,
        adapter: Adapter,
        folder: Path,
        *,
        secrets: Mapping[str, str] | None = None,
        wanted: frozenset[str] = frozenset(),
    ) -> list[Outcome]:
        """Collect one provider from the recording in `folder` itself."""
        return self.collect(
            [adapter],
            lambda _: Replay(folder.parent, folder.name),
            origin=Origin.REPLAY,
            secrets=secrets,
            wanted=wanted,
        )

    def ask(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Ask the writer's own connection."""
        return self.recorder.con.execute(sql, list(parameters)).fetchall()


@contextmanager
def _house(folder: Path) -> Iterator[House]:
    with tape.writing(folder / "tape.duckdb", START) as con:
        yield House(Recorder(con), folder, Clock())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty tape with the real collector in front of it."""
    with _house(tmp_path) as built:
        yield built
