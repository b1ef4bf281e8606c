"""The one writer that all jobs share: opened when somebody collects, closed when nobody has.

Fetching runs side by side, recording one scan after the other. Between collections the tape is
free, so that `import`, `reparse` and `compact` need not stop the service.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import TYPE_CHECKING

from gputape.app.collecting import PUBLISH_EVERY_S, Plan, opened
from gputape.scrapers.http import Stopped
from gputape.store import tape
from gputape.store.places import Where
from gputape.store.record import Recorder
from gputape.store.remember import memory
from gputape.store.scan import OK, UNCHANGED, Counts, Listing, Memory, Scan

if TYPE_CHECKING:
    import duckdb

    from gputape.app.sharing import Shared

LINGER_S = 10.0  # it stays open so long: providers of one cadence come one after the other


@dataclass(slots=True)
class Desk:
    """Where scans are recorded, one at a time."""

    db: Where
    now: Callable[[], datetime]
    stopped: Callable[[], bool] = lambda: False
    linger_s: float = LINGER_S
    published_at: datetime | None = None
    notes: list[str] = field(default_factory=list)
    lock: RLock = field(default_factory=RLock)
    _stack: ExitStack | None = None
    _recorder: Recorder | None = None
    _shared: "Shared | None" = None
    _memory: Memory | None = None
    _seats: int = 0
    _left_at: float = 0.0
    _published: float = 0.0

    @contextmanager
    def seat(self) -> Iterator["Desk"]:
        """Sit down to record. Raises `Busy` when another program writes the tape."""
        with self.lock:
            self._open()
            self._seats += 1
        try:
            yield self
        finally:
            with self.lock:
                self._seats -= 1
                self._left_at = time.monotonic()

    def _open(self) -> None:
        if self._recorder:
            return
        with ExitStack() as stack:
            plan = Plan(adapters=(), db=self.db, now=self.now, stopped=self.stopped,
                        notes=self.notes)  # fmt: skip
            self._recorder, self._shared = stack.enter_context(opened(plan))
            self._published = time.monotonic()
            self._stack = stack.pop_all()

    @property
    def recorder(self) -> Recorder:
        """Who records. Raises `Stopped` when the desk was closed meanwhile."""
        if self._recorder is None:
            raise Stopped
        return self._recorder

    @property
    def shared(self) -> "Shared | None":
        """What a lake's collectors need among others."""
        return self._shared

    @property
    def is_open(self) -> bool:
        """Whether the tape is held."""
        return self._recorder is not None

    def memory(self) -> Memory:
        """Return what is known of every part and page, read anew when an answer was recorded."""
        with self.lock:
            if self._memory is None or self._shared:  # others write a lake too
                self._memory = memory(self.recorder.con)
            return self._memory

    def record(self, scan: Scan, listing: Listing | None = None) -> Counts:
        """Add one scan whole, or nothing of it."""
        with self.lock:
            if scan.status in (OK, UNCHANGED):
                self._memory = None
            return self.recorder.record(scan, listing)

    @contextmanager
    def eyes(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Read what was recorded, while others record."""
        with self.lock:
            con = self.recorder.con.cursor()
        try:
            con.execute("set timezone = 'UTC'")
            if self._shared:
                con.execute("use tape")
            yield con
        finally:
            con.close()

    def publish(self) -> None:
        """Publish what was recorded, at most once a minute."""
        with self.lock:
            if time.monotonic() - self._published > PUBLISH_EVERY_S:
                tape.publish(self.recorder.con, self.db)
                self._published, self.published_at = time.monotonic(), self.now()

    def close_when_left(self) -> None:
        """Close when nobody has sat here for a while; settles the days that are over."""
        with self.lock:
            left = time.monotonic() - self._left_at
            if self._recorder and not self._seats and left >= self.linger_s:
                self.close()

    def close(self) -> None:
        """Settle, publish and free the tape; who still sits here hears `Stopped`."""
        with self.lock:
            recorder, stack = self._recorder, self._stack
            self._recorder = self._stack = self._shared = self._memory = None
            if recorder and stack:
                with stack:
                    recorder.settle(self.now())
                self.published_at = self.now()
