"""The DuckDB file: where it lives, who may write it, how its schema grows.

One process writes a private file and publishes read-only copies of it; everyone else reads
the newest copy. So readers never block and are never blocked:

    tape.duckdb          the published copy, mode 0444: what people and commands open
    tape.writer.duckdb   the writer's own file
    tape.lock            held (flock) by the one writer
    tape.archive/        raw bytes, by hash

DuckDB's own lock is a POSIX lock: a process that opens and closes its database file a second
time loses it silently. Hence the side lock, and copies made by a child process.
"""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zlib import crc32

from gputape.store.errors import Busy, Damaged, NoTape, TooNew

if TYPE_CHECKING:
    import duckdb

CONFIG = {
    "storage_compatibility_version": "v1.5.0",  # 2.0 writes what 1.5.5 reads; refuses a stale WAL
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
COPY = """
import os, shutil, sys
source, target = sys.argv[1:]
shutil.copyfile(source, target)
with open(target, "rb+") as file: os.fsync(file.fileno())
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tape lives."""

    published: Path

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
def _sole_writer(place: Place) -> Iterator[None]:
    """Hold the side lock, or say who writes."""
    place.published.parent.mkdir(parents=True, exist_ok=True)
    with place.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(_writer_of(file, place)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _writer_of(file: IO[str], place: Place) -> str:
    file.seek(0)
    return (
        f"process {file.read() or '?'} is writing {place.published}: "
        "wait for it, or give --db another path"
    )


@contextmanager
def writing(path: Path, now: datetime) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open the writer's file, migrated to this version's schema, as its only writer.

    Raises `Busy`, `TooNew`, `Damaged`. The caller commits, checkpoints and publishes.
    """
    place = Place(path)
    with _sole_writer(place):
        if not place.writer.exists() and place.published.exists():
            _copy(place.published, place.writer)
            place.writer.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        con = connect(place.writer, read_only=False)
        try:
            migrate(con, now, place.writer)
            yield con
        finally:
            con.close()


def connect(path: Path, *, read_only: bool, **more: str) -> "duckdb.DuckDBPyConnection":
    """Open one DuckDB file with the settings that every reader and writer shares."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    try:
        con = duckdb.connect(str(path), read_only=read_only, config={**CONFIG, **more})
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        if "newer version" in line or "version number" in line:
            raise TooNew(f"{path} was written by a later DuckDB: upgrade duckdb ({line})") from None
        raise Damaged(
            f"DuckDB can not open {path} ({line}): restore a copy, "
            f"or move {path}.wal away to fall back to the last checkpoint"
        ) from None
    con.execute("set timezone = 'UTC'")
    return con


def migrate(con: "duckdb.DuckDBPyConnection", now: datetime, path: Path) -> None:
    """Bring the schema to this version: each numbered file once, and the views made anew."""
    con.execute(
        "create table if not exists migration "
        "(number integer not null, name varchar not null, applied_at timestamptz not null)"
    )
    done = {row[0] for row in con.execute("select number from migration").fetchall()}
    known = {
        int(file.name[:3]): file
        for file in files("gputape.store").joinpath("schema").iterdir()
        if file.name.endswith(".sql")
    }
    if ahead := done - set(known):
        raise TooNew(
            f"{path} has schema {max(ahead)}, this program knows {max(known)}: upgrade gputape"
        )
    for number in sorted(set(known) - done):
        con.begin()
        con.execute(known[number].read_text())
        con.execute("insert into migration values (?, ?, ?)", [number, known[number].name, now])
        con.commit()
    _views(con)
    con.execute("checkpoint")


def _views(con: "duckdb.DuckDBPyConnection") -> None:
    if _has_our_views(con):
        return
    con.begin()
    con.execute(_view_text())
    con.execute(f"comment on view v_offers is '{_view_mark()}'")
    con.commit()


def _has_our_views(con: "duckdb.DuckDBPyConnection") -> bool:
    found = con.execute("select comment from duckdb_views() where view_name = 'v_offers'")
    return found.fetchall() == [(_view_mark(),)]


@cache
def _view_text() -> str:
    return files("gputape.store").joinpath("views/views.sql").read_text("utf-8")


@cache
def _view_mark() -> str:
    return f"gputape {crc32(_view_text().encode()):08x}"


def publish(con: "duckdb.DuckDBPyConnection", path: Path) -> None:
    """Put a consistent read-only copy of the writer's file where readers look."""
    con.execute("checkpoint")
    release(Place(path))


def release(place: Place) -> None:
    """Copy the writer's (checkpointed) file and swap it in by one rename."""
    fresh = place.published.with_suffix(f".{os.getpid()}.part")
    try:
        _copy(place.writer, fresh)
        fresh.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        # somebody who opened the old copy read-write may have left a log that is not ours
        place.published.with_name(place.published.name + ".wal").unlink(missing_ok=True)
        fresh.replace(place.published)
    finally:
        fresh.unlink(missing_ok=True)


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
        raise Damaged(f"can not publish {target.parent}: {why[0]}")


def reading(path: Path, *, sealed: bool = False) -> "duckdb.DuckDBPyConnection":
    """Open the published copy read-only.

    `sealed` also shuts the file system and the network to SQL, for good.
    A writer that was killed leaves commits unpublished, and an older program leaves older
    views: when nobody writes, both are made good first. Raises `NoTape`, `Damaged`, `TooNew`.
    """
    place = Place(path)
    if _unpublished(place):
        _publish_anew(place)
    if not path.exists():
        raise NoTape(f"there is no tape at {path}: run `gputape collect`, or `gputape demo`")
    seal = {"enable_external_access": "false"} if sealed else {}
    con = connect(path, read_only=True, **seal)
    if not _has_our_views(con):
        con.close()
        _publish_anew(place)
        con = connect(path, read_only=True, **seal)
    return con


def _publish_anew(place: Place) -> None:
    """Publish what the writer's file holds, with our views, unless somebody is writing."""
    with suppress(Busy, Damaged, OSError), writing(place.published, datetime.now(UTC)) as con:
        publish(con, place.published)


def _unpublished(place: Place) -> bool:
    wal = place.writer.with_name(place.writer.name + ".wal")
    times = [file.stat().st_mtime_ns for file in (place.writer, wal) if file.exists()]
    if not times:
        return False
    return not place.published.exists() or max(times) > place.published.stat().st_mtime_ns
