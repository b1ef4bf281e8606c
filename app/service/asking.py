"""One run of one job: the code of `gputape collect`, with the desk as its writer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

import httpx

from gputape.app.cli.progress import Silence
from gputape.app.service.breaker import Course
from gputape.app.service.desk import Desk
from gputape.app.service.outside import Outside, Watched
from gputape.app.service.schedule import Job
from gputape.scrapers.adapter import Source
from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import FAILED, Outcome, Run, collect
from gputape.scrapers.http import Skip, Visit, client
from gputape.store.places import archive_of
from gputape.store.scan import OK, UNCHANGED, Memory


@dataclass(slots=True)
class Tried:
    """What a run of a job came to."""

    job: str
    began: datetime
    outcomes: Sequence[Outcome] = ()
    not_before: datetime | None = None
    """Until when the source itself wants no request."""

    def course(self, before: Course) -> Course:
        """Return how the job stands after it."""
        statuses = {one.scan.status for one in self.outcomes}
        if statuses & {OK, UNCHANGED}:
            return before.answered(self.began)
        failed = [one.scan for one in self.outcomes if one.scan.status in FAILED]
        if failed:
            return before.failed(self.began, failed[-1].status, failed[-1].sentence)
        # nobody was asked: a key is missing, or another collector of the lake asks
        return before.answered(self.began) if self.outcomes else before


@dataclass(slots=True)
class Asker:
    """What every run of every job goes through."""

    desk: Desk
    outside: Outside
    now: Callable[[], datetime]
    stopped: Callable[[], bool]
    secrets: Mapping[str, str] = field(default_factory=dict)

    def ask(self, job: Job, *, probe: bool = False) -> Tried:
        """Ask a source, record what it says. Raises `Busy`, and what our own disk does to us."""
        began = self.now()
        with self.desk.seat() as desk:
            known = desk.memory()
            way = Watched(self.outside.transport, self.now)
            with client(way) as polite:
                visit = self._visit(job, known, way, polite, probe=probe)
                run = self._run(began, visit, known)
                outcomes = collect([job.adapter], run, desk, Silence(), desk.publish)
        return Tried(job.name, began, outcomes, way.not_before)

    def _run(self, began: datetime, visit: Visit, known: Memory) -> Run:
        run_id = int(began.timestamp() * 1_000_000)
        run = Run(run_id=run_id, visit=lambda _: visit, memory=known, now=self.now)
        if self.desk.shared:
            run.done = self.desk.shared.give
        return run

    def _visit(
        self, job: Job, known: Memory, way: Watched, polite: httpx.Client, *, probe: bool
    ) -> Visit:
        provider = job.adapter.PROVIDER
        return Visit(
            client=polite,
            archive=Archive(archive_of(self.desk.db)),
            memory=known,
            pace=self.outside.pace.another_run(),
            now=self.now,
            robots=self.outside.robots() if provider.source is Source.PAGE else None,
            secrets={key: self.secrets[key] for key in provider.keys if key in self.secrets},
            wanted=frozenset({job.group} if job.group else ()),
            stopped=self.stopped,
            claim=Claims(job, self.desk, known, way if probe else None).take,
        )


class Claims:
    """Which parts of a run are asked: the job's own, and of a probe no second before an answer."""

    def __init__(self, job: Job, desk: Desk, known: Memory, probe: Watched | None) -> None:
        self._job, self._desk, self._known, self._probe = job, desk, known, probe
        self._tried = 0
        self._lock = Lock()

    def take(self, part: str) -> Skip | None:
        """Claim a part, or say why it is left out."""
        if not self._job.takes(part):
            return Skip("it belongs to another job")
        with self._lock:
            if self._probe and self._tried and not self._probe.answered:
                return Skip("the source was probed with its first part, and does not answer")
            self._tried += 1
        shared = self._desk.shared
        return shared.take(self._job.adapter.PROVIDER, part, self._known) if shared else None
