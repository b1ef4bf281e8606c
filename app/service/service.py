"""The service: jobs in APScheduler, each on its own thread, until somebody says stop.

A job's next time is never stored in the scheduler: it follows from the job's course
(`breaker.next_ask`), which follows from the tape, so that a restart goes on where it was.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor as Threads
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from gputape.app import config as settings
from gputape.app.logs import Hidden
from gputape.app.service import alerting, status
from gputape.app.service.asking import Asker, Tried
from gputape.app.service.attempts import courses
from gputape.app.service.desk import Desk
from gputape.app.service.lines import Due, Line, say
from gputape.app.service.outside import Outside
from gputape.app.service.reload import Watch
from gputape.app.service.schedule import group_names, jobs
from gputape.scrapers.archive import Archive
from gputape.scrapers.http import Stopped
from gputape.scrapers.registry import ADAPTERS
from gputape.scrapers.retention import sweep
from gputape.store.errors import Busy, GputapeError, NoTape
from gputape.store.places import Where, archive_of
from gputape.store.tape import reading

if TYPE_CHECKING:
    import duckdb

LOG = logging.getLogger("gputape.service")
TICK = timedelta(seconds=5)  # how soon a changed file is seen, a left desk closed
MINUTE = timedelta(minutes=1)  # between two looks at what only time brings about: digests, rules
NOT_NEEDED = timedelta(minutes=15)  # before somebody asks again whether rates are needed
SWEEP = timedelta(days=1)
FOREIGN = "select 1 from price_log where currency <> 'USD' limit 1"


class Service:
    """One tape's schedule. Give it a tape, start it, stop it.

    `now` and `scheduler` are a test's to turn.
    """

    def __init__(
        self,
        db: Where,
        named: Iterable[str] = (),
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        scheduler: BaseScheduler | None = None,
        outside: Outside | None = None,
        desk: Desk | None = None,
    ) -> None:
        """Read configuration and tape. Raises `BadInput`, and what the tape says."""
        self.db, self.named, self.now = db, list(named), now
        self.stopping = False
        self.began_at = now()
        self.hidden = Hidden()
        self.watch = Watch(now, accept=self._accept)
        self.desk = desk or Desk(db, now, lambda: self.stopping)
        self.outside = outside or Outside(now)
        self.lines: dict[str, Line] = {}
        self.last_error: str | None = None
        self.beat_at = now()
        self.scheduler = scheduler or BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(64)}, timezone=UTC
        )
        self._swept_at: datetime | None = None
        self._changed = Condition(Lock())
        self._writing = Lock()
        self._take(self.watch.loaded.config)
        self._remember()

    # -- configuration ----------------------------------------------------------------------------

    def _accept(self, loaded: settings.Loaded) -> None:
        """Refuse a configuration that no schedule can be made of. Raises `BadInput`."""
        jobs(loaded.config, self.named)
        self.hidden.know([*_keys().values(), *alerting.hidden(loaded.config)])

    def _take(self, config: settings.Config) -> None:
        """Make the schedule that a configuration asks for; who stays keeps its course."""
        wanted = {job.name: job for job in jobs(config, self.named)}
        for name in self.lines.keys() - wanted.keys():
            del self.lines[name]
            if self.scheduler.running:
                self.scheduler.remove_job(name)
        for name, job in wanted.items():
            if name in self.lines:
                self.lines[name].job = job
            else:
                self.lines[name] = Line(job)
            if self.scheduler.running:
                self._plan(name)

    def reload(self, *, asked: bool = False) -> None:
        """Take a configuration that changed, or say why not."""
        taken = self.watch.check(asked=asked)
        if taken:
            known = self.lines.keys()
            self._take(self.watch.loaded.config)
            if self.lines.keys() - known:
                self._remember()
            LOG.info("configuration read anew", extra={"path": str(self.watch.loaded.path)})
        elif taken is False:
            LOG.error("configuration refused, the old one stays: %s", self.watch.refused)
        if taken is not None:
            self.write_status()

    # -- what was -----------------------------------------------------------------------------

    def _remember(self) -> None:
        """Know each job's course from the tape, and pauses that were asked for."""
        pauses = status.moments(status.read(self.db).get("not_before"))
        for name, pause in pauses.items():
            if name in self.lines and self.lines[name].not_before is None:
                self.lines[name].not_before = pause
        try:
            with reading(self.db) as con:
                known = courses(con, group_names(line.job for line in self.lines.values()))
        except GputapeError:  # there is no tape yet; if it is damaged, the first job says so
            return
        for name, course in known.items():
            if name in self.lines and self.lines[name].course.asked_at is None:
                self.lines[name].course = course

    def write_status(self) -> None:
        """Leave for doctor and the next start what they need."""
        said: dict[str, Any] = {
            "pid": os.getpid(),
            "began_at": self.began_at.isoformat(),
            "config": self.watch.status(),
            "last_error": self.last_error,
            "not_before": {n: li.not_before.isoformat()
                           for n, li in list(self.lines.items()) if li.not_before},
            "next": {n: li.due.isoformat() for n, li in list(self.lines.items())
                     if li.course.asked_at},
        }  # fmt: skip
        with self._writing:
            status.write(self.db, said)

    # -- the schedule -----------------------------------------------------------------------------

    def start(self) -> None:
        """Plan every job and begin; what should have run while nobody did runs once, now."""
        self.scheduler.start()
        for name in self.lines:
            self._plan(name)
        for name, every, work in (
            ("tick", TICK, self.tick), ("alerts", MINUTE, self.alerts),
            ("deliver", MINUTE, self.deliver),
        ):  # fmt: skip
            self.scheduler.add_job(
                work, "interval", seconds=every.total_seconds(), id=f"-{name}", coalesce=True,
                max_instances=1, misfire_grace_time=None,
            )  # fmt: skip
        self.write_status()
        LOG.info("running %d jobs", len(self.lines), extra={"tape": str(self.db)})

    def _plan(self, name: str) -> None:
        job = self.lines[name].job
        self.scheduler.add_job(
            self.run, Due(lambda: self._due(name), job.cadence), args=[name], id=name,
            replace_existing=True, coalesce=True, max_instances=1, misfire_grace_time=None,
        )  # fmt: skip

    def _due(self, name: str) -> datetime:
        line = self.lines.get(name)
        return line.due_at(self.now()) if line else self.now() + SWEEP

    def tick(self) -> None:
        """Do what is due every few seconds."""
        self.beat_at = self.now()
        self.reload()
        try:
            self.desk.close_when_left()
            self._sweep()
        except (GputapeError, OSError) as error:
            self._note_ours(error)

    def _sweep(self) -> None:
        """Once a day, forget raw bytes that need not be kept any more."""
        keep = self.watch.loaded.config.archive.keep
        if not self.desk.is_open or keep is None:
            return
        if self._swept_at is None or self.now() - self._swept_at >= SWEEP:
            archive = Archive(archive_of(self.db))
            with self.desk.lock:
                swept = sweep(self.desk.recorder.con, archive, self.now(), keep)
            self._swept_at = self.now()
            LOG.info("archive swept", extra={"files": swept.files, "bytes": swept.bytes})

    # -- one run ------------------------------------------------------------------------------

    def run(self, name: str) -> Tried | None:
        """Run a job, whatever happens; a job that is gone or a service that stops runs nothing."""
        line = self.lines.get(name)
        if line is None or self.stopping or not self._is_needed(line):
            return None
        with self._changed:
            line.running_since = self.now()
        began, tried = time.monotonic(), None
        try:
            tried = self._asker().ask(line.job, probe=line.course.breaker == "open")
            self._note(line, tried)
            self._wake("-alerts")
        except Stopped:
            pass
        except (GputapeError, OSError) as error:
            self._note_ours(error, line)
        except Exception as error:  # a mistake of ours must not end the schedule
            LOG.exception("a mistake of the program in job %s", name)
            self._note_ours(error, line)
        finally:
            with self._changed:
                line.running_since = None
                line.runs += 1
                line.seconds += time.monotonic() - began
                self._changed.notify_all()
            self._plan_again(name)
        return tried

    def _is_needed(self, line: Line) -> bool:
        """Whether a job has anything to ask: exchange rates only for a foreign price."""
        if not line.job.rates:
            return True
        try:
            with self._eyes() as con:
                if con.execute(FOREIGN).fetchall():
                    return True
        except (GputapeError, Stopped):
            pass
        line.not_before = self.now() + NOT_NEEDED
        self._plan_again(line.job.name)
        return False

    def _asker(self) -> Asker:
        return Asker(self.desk, self.outside, self.now, lambda: self.stopping, _keys())

    def _note(self, line: Line, tried: Tried) -> None:
        before = line.course
        line.last, line.not_before, line.ours = tried, tried.not_before, 0
        line.course = tried.course(before)
        for outcome in tried.outcomes:
            word = outcome.scan.status
            line.results[word] = line.results.get(word, 0) + 1
        say(line, before, tried.outcomes)
        self.write_status()

    def _note_ours(self, error: Exception, line: Line | None = None) -> None:
        """Note what is nobody's fault but ours; it is tried again soon, then later."""
        self.last_error = f"{self.now():%Y-%m-%d %H:%M} {type(error).__name__}: {error}"
        if line:
            line.put_off(self.now())
        name = line.job.name if line else None
        level = logging.WARNING if isinstance(error, Busy) else logging.ERROR
        LOG.log(level, "%s: it is tried again", error, extra={"job": name})
        self.write_status_quietly()

    def write_status_quietly(self) -> None:
        """Write the status, unless the disk is what is wrong."""
        try:
            self.write_status()
        except OSError as error:
            LOG.error("the status can not be written (%s)", error)  # noqa: TRY400  # no trace needed

    def _plan_again(self, name: str) -> None:
        """Tell the scheduler when a job that has ended is due next."""
        if self.scheduler.running and self.scheduler.get_job(name):
            due = max(self._due(name), self.now())
            self.scheduler.modify_job(name, next_run_time=due)

    # -- alerts -------------------------------------------------------------------------------

    def alerts(self, group_wait: timedelta = alerting.GROUP_WAIT) -> None:
        """Take what was recorded through every rule, and what only time brings about."""
        if self.stopping:
            return
        config = self.watch.loaded.config
        try:
            with self._eyes() as con:
                done = alerting.after_collection(self.db, con, config, self.now(), group_wait)
        except (NoTape, Stopped):  # the first collection is not over, or the desk was just closed
            return
        except Exception as error:  # alerts must not end a collection
            LOG.exception("alerts were not evaluated")
            self._note_ours(error)
            return
        if done.posted:
            LOG.info("alerts", extra={"happened": len(done.happened), "posted": len(done.posted)})
        self._wake("-deliver")

    @contextmanager
    def _eyes(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Read the newest there is: a published copy is older than what is being recorded."""
        with self.desk.eyes() if self.desk.is_open else closing(reading(self.db)) as con:
            yield con

    def deliver(self) -> None:
        """Send what is due in the outbox."""
        try:
            tried = alerting.deliver(
                self.db, self.watch.loaded.config, self.now, lambda: self.stopping
            )
        except Exception as error:  # same
            LOG.exception("alerts were not sent")
            self._note_ours(error)
            return
        for one in tried:
            extra = {"channel": one.channel, "event": one.id[:16], "said": one.outcome.said or None}
            level = logging.INFO if one.state == "sent" else logging.WARNING
            LOG.log(level, "message %s", one.state, extra=extra)

    def _wake(self, name: str) -> None:
        """Do something now that has a time of its own; what is asked for often is done once."""
        if self.scheduler.running and not self.stopping:
            self.scheduler.modify_job(name, next_run_time=self.now())

    # -- once ---------------------------------------------------------------------------------

    def once(self) -> list[str]:
        """Run every job that is due, side by side, and return their names; rates come last."""
        due = [name for name, line in self.lines.items() if line.is_due(self.now())]
        prices = [name for name in due if not self.lines[name].job.rates]
        with Threads(max(1, len(prices)), "job") as threads:
            list(threads.map(self.run, prices))
        for name in due:
            if name not in prices:
                self.run(name)
        self.alerts(group_wait=timedelta())  # all that belongs together is here, and nobody later
        self.deliver()
        self._sweep()
        return due

    # -- the end ------------------------------------------------------------------------------

    @property
    def running(self) -> list[str]:
        """The jobs that are running now."""
        return [name for name, line in list(self.lines.items()) if line.running_since]

    def stop(self, patience_s: float) -> bool:
        """Begin nothing more, wait for what runs, settle and publish; whether all of it ended."""
        self.stopping = True
        if self.scheduler.running:
            self.scheduler.shutdown(wait=False)
        end = time.monotonic() + patience_s
        with self._changed:
            while self.running and time.monotonic() < end:
                self._changed.wait(max(0.01, end - time.monotonic()))
        abandoned = self.running
        if abandoned:
            LOG.warning("abandoned what does not end: %s", ", ".join(abandoned))
        self.desk.close()
        self.write_status_quietly()
        return not abandoned


def _keys() -> Mapping[str, str]:
    names = [key for found in ADAPTERS for key in found.PROVIDER.keys]
    return settings.secrets(names, os.environ)
