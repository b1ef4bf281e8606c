"""A copy of the tape in another place, and a copy put in the tape's place.

A backup is a tape of its own: `--db FILE` reads it. The published copy is whole at any moment,
so that is what is copied, while a collection runs or not. Both ways the copy is read back and
compared, row for row, before it gets its name.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gputape.store.check import Depth, check
from gputape.store.contents import Contents, contents, differing, rows_of
from gputape.store.errors import BadInput, Damaged, TooNew
from gputape.store.tape import (
    HERE,
    LOCK_PATIENCE_S,
    Place,
    _copy,
    _sole_writer,
    connect,
    reading,
)

TRIES = 5  # a copy takes seconds, and a collection publishes at most once a minute
KEEPS = "the present tape is kept beside it"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a copy holds."""

    path: Path
    rows: int
    bytes: int
    newest: datetime | None
    """When the newest look in it was."""
    bodies: int = 0
    """Raw bodies that were put beside it."""
    replaced: Path | None = None
    """Where the tape that was there before is now."""


@dataclass(frozen=True, slots=True)
class _Tape:
    """What a file holds, as far as copying is concerned."""

    held: Contents
    scans: frozenset[int]
    newest: datetime | None


# -- backup -------------------------------------------------------------------------------


def backup(db: Path, file: Path, *, force: bool = False, archive: bool = False) -> Kept:
    """Copy the tape to a file, the raw bytes beside it too when `archive`.

    Raises `BadInput` when the file is there already, `NoTape`, `Damaged`.
    """
    place, target = Place(db), Place(file)
    if target.published.exists() and not force:
        raise BadInput(f"{file} is there already: give --force to replace it, or another name")
    if target.published.absolute() in {p.absolute() for p in (place.published, place.writer)}:
        raise BadInput(f"{file} is the tape itself: give another name")
    reading(db).close()  # publishes what a killed writer left
    with _part(target.published) as part:
        found = _taken(place.published, part)
        _check(part, file)
        part.chmod(0o444)
        _put(part, target.published)
    bodies = put_bodies(place.archive, target.archive) if archive else 0
    return _kept(file, found, bodies=bodies)


def _taken(source: Path, part: Path) -> _Tape:
    """Copy a published file, once more when another one was published meanwhile."""
    for _ in range(TRIES):
        before = _identity(source)
        _copy(source, part)
        found = _look(source)
        if _identity(source) == before:
            _compare(part, found)
            return found
    raise Damaged(f"{source} is published faster than it can be copied: try again later")


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check(part: Path, file: Path) -> None:
    with connect(part, read_only=True) as con:
        for finding in check(con, Depth.QUICK):
            raise Damaged(f"{file} was not written: {finding.finding} (see `gputape check`)")


# -- restore ------------------------------------------------------------------------------


def restore(file: Path, db: Path, now: datetime, *, force: bool = False) -> Kept:
    """Put a backup in the tape's place, and the raw bytes beside it where they are missing.

    A tape with scans that the backup lacks is replaced by `force` only, and then kept under a
    dated name. Raises `BadInput`, `Busy`, `Damaged`, `TooNew`.
    """
    place = Place(db)
    if not file.is_file():
        raise BadInput(f"there is no file {file}: give one that `gputape backup` wrote")
    if file.resolve() in {place.published.resolve(), place.writer.resolve()}:
        raise BadInput(f"{file} is the tape itself: give a backup of it")
    found = _look(file)
    with _sole_writer(place, LOCK_PATIENCE_S):
        lost, broken = _lost(place, found)
        if lost and not force:
            raise BadInput(
                f"{db} has {lost} scans that {file} lacks: give --force to replace it all the "
                f"same ({KEEPS})"
            )
        aside = _set_aside(place, now) if lost or broken else None
        _swap(file, place, found)
    bodies = put_bodies(Place(file).archive, place.archive)
    return _kept(db, found, bodies=bodies, replaced=aside)


def _lost(place: Place, found: _Tape) -> tuple[int, bool]:
    """Return how many scans would be lost, and whether some file can not even be read."""
    scans: set[int] = set()
    broken = False
    for path in (place.writer, place.published):
        if path.exists():
            try:
                scans |= _look(path).scans
            except (Damaged, BadInput):
                broken = True
    return len(scans - found.scans), broken


def _set_aside(place: Place, now: datetime) -> Path:
    """Give the present tape's files a second, dated name, under which they are a tape too."""
    path = place.published
    aside = Place(path.with_name(f"{path.stem}.{now:%Y%m%dT%H%M%S}{path.suffix}"))
    pairs = [
        (place.published, aside.published),
        (place.writer, aside.writer),
        (_log(place.writer), _log(aside.writer)),
    ]
    for source, target in pairs:
        if source.exists():
            _link(source, target)
    return aside.published


def _swap(file: Path, place: Place, found: _Tape) -> None:
    """Put copies in both places; who is killed in between leaves the tape as it was.

    For then the writer's file is still the old one, and the next reader publishes it.
    """
    with _part(place.published) as published, _part(place.writer) as writer:
        for part, mode in ((published, 0o444), (writer, 0o644)):
            _copy(file, part)
            _compare(part, found)
            part.chmod(mode)
        at = published.stat().st_mtime_ns
        os.utime(writer, ns=(at, at))  # equal times: nothing is unpublished
        _log(place.published).unlink(missing_ok=True)
        _put(published, place.published)
        _log(place.writer).unlink(missing_ok=True)
        _put(writer, place.writer)


# -- files --------------------------------------------------------------------------------


def put_bodies(source: Path, target: Path) -> int:
    """Put raw bodies where they are missing, and return how many; a body is never written into.

    On one file system they share their bytes (hard links), elsewhere they are copied.
    """
    added = 0
    for body in sorted(source.glob("??/*.zst")):
        to = target / body.parent.name / body.name
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            _link(body, to)
            added += 1
    os.sync()
    return added


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise Damaged(f"{target} is there already: move it away") from None
    except OSError:  # another file system, or one without links
        part = target.with_name(f"part-{target.name}")
        shutil.copy2(source, part)
        part.replace(target)


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Yield a name for a file on its way to `target`, and leave nothing under it."""
    part = target.with_suffix(f".{os.getpid()}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _put(part: Path, target: Path) -> None:
    part.replace(target)
    with suppress(OSError):  # not every file system can
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


# -- reading back -------------------------------------------------------------------------


def _look(path: Path) -> _Tape:
    """Read every row of a file. Raises `Damaged`, `TooNew`; `BadInput` when it is no tape."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    with connect(path, read_only=True) as con:
        try:
            held = contents(con)
            if not {'"main"."scan"', '"main"."migration"'} <= held.keys():
                raise BadInput(f"{path} is a DuckDB file, but no tape: give one of `backup`")
            (schema,) = con.execute("select max(number) from migration").fetchall()[0]
            scans = con.execute("select scan_id from scan").fetchall()
            (newest,) = con.execute("select max(observed_at) from scan").fetchall()[0]
        except duckdb.Error as error:
            line = str(error).splitlines()[0]
            raise Damaged(f"{path} can not be read ({line}): use another copy") from None
    known = max(int(name.name[:3]) for name in (HERE / "schema").glob("*.sql"))
    if schema > known:
        raise TooNew(f"{path} has schema {schema}, this program knows {known}: upgrade gputape")
    return _Tape(held, frozenset(scan_id for (scan_id,) in scans), newest)


def _compare(part: Path, found: _Tape) -> None:
    if wrong := differing(_look(part).held, found.held):
        raise Damaged(f"the copy does not hold the same {', '.join(wrong)}: try again")


def _kept(path: Path, found: _Tape, *, bodies: int = 0, replaced: Path | None = None) -> Kept:
    size = Place(path).published.stat().st_size
    return Kept(path, rows_of(found.held), size, found.newest, bodies, replaced)
