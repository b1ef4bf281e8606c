"""The DuckDB file: where it lives, and who may write it.

One process writes a private file and publishes read-only copies of it; everyone else reads
the newest copy. So readers never block and are never blocked:

    tape.duckdb          the published copy, mode 0444: what people and commands open
    tape.writer.duckdb   the writer's own file
    tape.lock            held (flock) by the one writer
    tape.archive/        raw bytes, by hash

DuckDB's own lock is a POSIX lock: a process that opens and closes its database file a second
time loses it silently. Hence the side lock, and copies made by a child process. A copy grows
under the name `*.PID.part`, is opened as a check, and takes its place by one rename; the
published one bears the modification time of what it copies, so unequal times mean unpublished.

A lake (`lake.py`) is read and written in place: no lock, no copy, nothing to publish.
"""

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gputape.store.errors import BadInput, Busy, Damaged, NoTape, TapeError, TooNew
from gputape.store.literal import literal
from gputape.store.migrate import HERE, has_our_views, migrate
from gputape.store.places import Where
from gputape.store.today import keep_today

if TYPE_CHECKING:
    import duckdb

__all__ = (
    "CONFIG", "HERE", "LOCK_PATIENCE_S", "Place", "connect", "migrate", "publish", "reading",
    "writing",
)  # fmt: skip

CONFIG = {
    "storage_compatibility_version": "v1.5.0",  # 2.0 writes what 1.5.5 reads; refuses a stale WAL
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
LOCK_PATIENCE_S = 5.0  # a reader that publishes a dead writer's commits is done by then
COPY = """
import os, shutil, sys
shutil.copyfile(*sys.argv[1:])
with open(sys.argv[2], "rb+") as file: os.fsync(file.fileno())
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tape lives."""

    published: Path

    def __post_init__(self) -> None:
        """Follow a symbolic link: a rename onto its name would replace the link.

        Raises `BadInput` for a lake, which has no files of its own to copy or to move.
        """
        if not isinstance(self.published, Path):
            raise BadInput(
                f"{self.published} is a lake, and this is done to a file: "
                "`gputape copy` makes one of it"
            )
        if self.published.is_symlink():
            object.__setattr__(self, "published", self.published.resolve())

    @property
    def writer(self) -> Path:
        """The writer's own file."""
        return self.published.with_suffix(f".writer{self.published.suffix}")

    @property
    def lock(self) -> Path:
        """The file whose flock the one writer holds."""
        return self.published.with_suffix(".lock")

    @property
    def archive(self) -> Path:
        """The folder of raw bytes."""
        return self.published.with_suffix(".archive")


@contextmanager
def _sole_writer(place: Place, patience_s: float) -> Iterator[None]:
    """Hold the side lock, or say who writes."""
    place.published.parent.mkdir(parents=True, exist_ok=True)
    with place.lock.open("a+") as file:
        if not _locked(file, patience_s):
            file.seek(0)
            raise Busy(
                f"process {file.read() or '?'} is writing {place.published}: "
                "wait for it, or give --db another path"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(file: IO[str], patience_s: float) -> bool:
    end = time.monotonic() + patience_s
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)


@contextmanager
def writing(
    path: Where, now: datetime, *, patience_s: float = LOCK_PATIENCE_S
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open the writer's file, migrated to this version's schema, as its only writer.

    Raises `Busy` (after `patience_s` seconds), `TooNew`, `Damaged`. The caller publishes.
    A lake is opened as one of its writers.
    """
    if not isinstance(path, Path):
        from gputape.store import lake  # noqa: PLC0415  # nothing of a lake's for a file

        with lake.writing(path, now) as con:
            yield con
        return
    place = Place(path)
    with _sole_writer(place, patience_s):
        _tidy(place)
        with connect(place.writer, read_only=False) as con:
            migrate(con, now, place.writer)
            yield con


def _tidy(place: Place) -> None:
    """Sweep what killed processes left, and begin a lost writer's file from the published copy."""
    part = re.compile(rf"{re.escape(place.published.stem)}(\.writer)?\.\d+\.part")
    for file in place.published.parent.iterdir():
        if part.fullmatch(file.name):
            file.unlink(missing_ok=True)
    if not _filled(place.writer):
        place.writer.unlink(missing_ok=True)
        if _filled(place.published):
            _put_copy(place.published, place.writer, 0o644, _modified_at_ns(place.published))


def _filled(path: Path) -> bool:
    """Whether there is such a file and it is not empty, as a cut first write leaves it."""
    return path.exists() and path.stat().st_size > 0


def connect(path: Path, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
    """Open one DuckDB file with the settings that every reader and writer shares.

    A reader attaches the file to a database of its own in memory: DuckDB shares one instance
    among all who connect to a path in one process, with its settings and its state of the file.
    """
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    try:
        con = duckdb.connect(":memory:" if read_only else str(path), config={**CONFIG})
        if read_only:
            con.execute(f"attach {literal(str(path))} as tape (read_only); use tape")
    except duckdb.Error as error:
        raise _refusal(path, str(error).splitlines()[0]) from None
    con.execute("set timezone = 'UTC'")
    return con


def _refusal(path: Path, line: str) -> TapeError:
    """Say what to do about the first line of DuckDB's own sentence (1.5.5)."""
    if "newer version" in line or "version number" in line:
        return TooNew(f"{path} was written by a later DuckDB: upgrade duckdb ({line})")
    if "Could not set lock" in line or "onflicting lock" in line:
        holder = re.search(r"PID (\d+)", line)
        pid = holder[1] if holder else "?"
        return Busy(f"process {pid} holds {path} open: close it there, and try again")
    if "different configuration" in line or "already attached" in line:
        return Busy(f"this process holds {path} open already: close it first")
    if "Permission denied" in line:
        return Damaged(f"no permission to open {path}: ask its owner, or give --db another path")
    log = f", or move {path}.wal away to fall back to the last checkpoint"
    return Damaged(
        f"DuckDB can not open {path} ({line}): restore a copy{log if ' WAL ' in line else ''}"
    )


def publish(con: "duckdb.DuckDBPyConnection", path: Where) -> None:
    """Put a consistent read-only copy of the writer's file where readers look."""
    if not isinstance(path, Path):
        return
    place = Place(path)
    _settle(con, place)
    # somebody who opened the old copy read-write may have left a log that is not ours
    _log(place.published).unlink(missing_ok=True)
    _put_copy(place.writer, place.published, 0o444, _written_at_ns(place))


def _settle(con: "duckdb.DuckDBPyConnection", place: Place) -> None:
    """Write today down, and everything into the one file that is copied."""
    import duckdb  # noqa: PLC0415  # same

    try:
        if has_our_views(con):  # a file that lost them is judged by its copy
            keep_today(con)
        con.execute("checkpoint")
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise Damaged(
            f"{place.writer} can not be published ({line}): free disk space, nothing is lost"
        ) from None


def _put_copy(source: Path, target: Path, mode: int, time_ns: int) -> None:
    fresh = target.with_suffix(f".{os.getpid()}.part")
    try:
        _copy(source, fresh)
        _check(fresh, target)
        fresh.chmod(mode)
        os.utime(fresh, ns=(time_ns, time_ns))
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _check(fresh: Path, target: Path) -> None:
    """Raise `Damaged` for a copy that DuckDB refuses, or with fewer scans than its target."""
    has, had = _scan_count(fresh), 0
    with suppress(TapeError):
        had = _scan_count(target)
    if has < had:
        raise Damaged(
            f"the writer's file has {has} scans and {target} has {had}: "
            "restore a copy, or move the published file away to publish fewer"
        )


def _scan_count(path: Path) -> int:
    import duckdb  # noqa: PLC0415  # same

    if _filled(path):
        with connect(path, read_only=True) as con, suppress(duckdb.CatalogException):
            return int(con.execute("select count(*) from scan").fetchall()[0][0])
    return 0


def _copy(source: Path, target: Path) -> None:
    """Copy in a child: a close() here would drop DuckDB's lock on `source`."""
    done = subprocess.run(  # noqa: S603  # our own interpreter, our own words
        [sys.executable, "-I", "-S", "-c", COPY, str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["the copy failed"]
        raise Damaged(f"can not copy {source}: {why[0]}")


def reading(path: Where, *, sealed: bool = False) -> "duckdb.DuckDBPyConnection":
    """Open the published copy read-only.

    `sealed` also shuts the file system and the network to SQL, for good.
    A writer that was killed leaves commits unpublished, and an older program leaves older
    views: when nobody writes, both are made good first. Raises `NoTape`, `Damaged`, `TooNew`.
    """
    if not isinstance(path, Path):
        from gputape.store import lake  # noqa: PLC0415  # nothing of a lake's for a file

        return lake.reading(path, sealed=sealed)
    place = Place(path)
    if _unpublished(place):
        _publish_anew(place)
    if not place.published.exists():
        raise NoTape(f"there is no tape at {path}: run `gputape collect`, or `gputape demo`")
    con = connect(place.published, read_only=True)
    if not has_our_views(con):
        con.close()
        _publish_anew(place)
        con = connect(place.published, read_only=True)
    if sealed:
        con.execute("set enable_external_access = false")
    return con


def _publish_anew(place: Place) -> None:
    """Publish the writer's file with our views, unless somebody writes or the disk is full."""
    import duckdb  # noqa: PLC0415  # same

    with (
        suppress(Busy, Damaged, OSError, duckdb.Error),
        writing(place.published, datetime.now(UTC), patience_s=0) as con,
    ):
        publish(con, place.published)


def _unpublished(place: Place) -> bool:
    return _written_at_ns(place) not in (0, _modified_at_ns(place.published))


def _written_at_ns(place: Place) -> int:
    """Return when the writer's file or its log last changed, 0 when there is neither."""
    return max(_modified_at_ns(place.writer), _modified_at_ns(_log(place.writer)))


def _modified_at_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # DuckDB may remove its log at any moment
        return 0


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
