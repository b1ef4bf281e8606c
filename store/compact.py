"""Writing the tape anew without what nothing reads any more.

Void frames and superseded rolls of days go, everything else stays, in its order. The new file
grows beside the writer's, is read back and compared, and takes its place by one rename: who is
killed before that leaves the old one as it was.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gputape.store.contents import Contents, contents, differing, rows_of, summed, tables
from gputape.store.errors import Damaged, NoTape
from gputape.store.literal import literal
from gputape.store.tape import CONFIG, Place, connect, migrate, publish, writing

if TYPE_CHECKING:
    import duckdb

STANDING = "frame_id not in (select frame_id from frame where void)"
NEWEST = (
    "(provider, day, roll_id) in "
    "(select (provider, day, max(roll_id)) from rolled group by provider, day)"
)
KEPT = {
    "frame": STANDING,
    "frame_price": STANDING,
    "frame_look": STANDING,
    "daily": NEWEST,
    "rolled": NEWEST,
}


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting came to."""

    bytes_before: int
    bytes_after: int
    rows_before: int
    rows_after: int


def compact(path: Path, now: datetime) -> Compacted:
    """Rewrite the writer's file and publish it. Raises `NoTape`, `Busy`, `Damaged`."""
    place = Place(path)
    if not (place.published.exists() or place.writer.exists()):
        raise NoTape(f"there is no tape at {path}: nothing to compact")
    fresh = place.writer.with_suffix(f".{os.getpid()}.part")  # swept when we are killed
    try:
        with writing(path, now) as con:
            before = _size(con, place.writer), _rows(con)
            kept = _rewrite(con, fresh, now)
            con.close()
            fresh.replace(place.writer)
            with connect(place.writer, read_only=False) as written:
                publish(written, path)
    finally:
        for file in (fresh, fresh.with_name(fresh.name + ".wal")):
            file.unlink(missing_ok=True)
    return Compacted(before[0], place.published.stat().st_size, before[1], rows_of(kept))


def _size(con: "duckdb.DuckDBPyConnection", path: Path) -> int:
    con.execute("checkpoint")
    return path.stat().st_size


def _rows(con: "duckdb.DuckDBPyConnection") -> int:
    return sum(
        int(con.execute(f"select count(*) from {name}").fetchall()[0][0]) for name in tables(con)
    )


def _rewrite(con: "duckdb.DuckDBPyConnection", fresh: Path, now: datetime) -> Contents:
    """Write what is kept to a file that is not there yet, and compare it with what is here."""
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    want, offers = contents(con, KEPT), _offers(con, now)
    try:
        _fill(con, fresh)
        got, same = _read_back(fresh, now)
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise Damaged(f"can not write {fresh} ({line}): the tape is as it was") from None
    wrong = differing(want, got) or ([] if same == offers else ["v_offers"])
    if wrong:
        raise Damaged(f"{fresh} does not hold the same {', '.join(wrong)}: the tape is as it was")
    return got


def _fill(con: "duckdb.DuckDBPyConnection", fresh: Path) -> None:
    (here,) = con.execute("select current_database()").fetchall()[0]
    version = literal(CONFIG["storage_compatibility_version"])
    con.execute(f"attach {literal(str(fresh))} as fresh (storage_version {version})")
    con.execute(f'copy from database "{here}" to fresh (schema)')
    for name in tables(con):
        words = KEPT.get(name.split(".")[1].strip('"'))
        con.execute(
            f"insert into fresh.{name} select * from {name}" + (f" where {words}" if words else "")
        )
    con.execute("detach fresh")  # writes it down


def _read_back(fresh: Path, now: datetime) -> tuple[Contents, tuple[int, int]]:
    """Open what was written, with views of our own, and say what it holds."""
    with connect(fresh, read_only=False) as con:
        migrate(con, now, fresh)
        return contents(con), _offers(con, now)


def _offers(con: "duckdb.DuckDBPyConnection", now: datetime) -> tuple[int, int]:
    """Return what the offers of a moment come to: those of `v_offers` would age meanwhile."""
    return summed(con, f"offers_at({literal(now)}) t")
