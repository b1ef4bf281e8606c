"""Backups: whole while somebody writes, read back, and put in place with nothing lost."""

import os
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from gputape.store import backup as module
from gputape.store import tape
from gputape.store.backup import backup, put_bodies, restore
from gputape.store.errors import BadInput, Busy, Damaged, NoTape, TooNew
from gputape.store.offer import Offer, Option, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)


FUTURE = """
create table scan (scan_id bigint, observed_at timestamptz);
create table migration as select 999 as number
"""


def looked(con: duckdb.DuckDBPyConnection, *hours: int) -> None:
    """Record one look for each hour."""
    recorder = Recorder(con)
    for hour in hours:
        at = START + timedelta(hours=hour)
        key = SeriesKey(provider="acme", sku="a", region="eu", option=Option.ON_DEMAND)
        price = Decimal(2) + Decimal(hour % 7) / 10
        offer = Offer(key=key, gpu="h100-sxm-80", gpu_count=Decimal(1), price=price)
        scan = Scan(
            run_id=1, provider="acme", part="list", started_at=at, finished_at=at, observed_at=at,
            status="ok", quotes=1, parser_revision=1, normaliser="1",
        )  # fmt: skip
        recorder.record(scan, Listing(offers=[offer]))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a published tape of three looks."""
    folder = tmp_path_factory.mktemp("three")
    with tape.writing(folder / "tape.duckdb", START) as con:
        looked(con, 1, 2, 3)
        tape.publish(con, folder / "tape.duckdb")
    return folder


@pytest.fixture
def db(three: Path, tmp_path: Path) -> Path:
    """The same, for one test."""
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tape.duckdb"


def more(path: Path, *hours: int, publish: bool = True) -> None:
    with tape.writing(path, START) as con:
        looked(con, *hours)
        if publish:
            tape.publish(con, path)


def hours(path: Path) -> list[int]:
    with tape.reading(path) as con:
        rows = con.execute("select observed_at from scan order by 1").fetchall()
    return [int((at - START).total_seconds()) // 3600 for (at,) in rows]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


# -- backup -----------------------------------------------------------------------------------


def test_a_backup_is_a_tape_and_says_what_it_holds(db: Path, tmp_path: Path) -> None:
    """The copy answers as the tape does, is read-only, and nothing is left beside it."""
    file = tmp_path / "safe" / "copy.duckdb"
    kept = backup(db, file)

    assert hours(file) == [1, 2, 3]
    assert file.stat().st_mode & 0o777 == 0o444
    assert names(file.parent) == {"copy.duckdb"}
    assert (kept.bytes, kept.newest) == (file.stat().st_size, START + timedelta(hours=3))
    assert kept.rows > 10


def test_a_backup_is_taken_while_somebody_writes(db: Path, tmp_path: Path) -> None:
    """The published copy is whole at any moment; what is not committed yet is not in it."""
    with tape.writing(db, START) as con:
        looked(con, 4)
        backup(db, tmp_path / "copy.duckdb")
    assert hours(tmp_path / "copy.duckdb") == [1, 2, 3]


def test_a_backup_holds_what_a_killed_writer_left(db: Path, tmp_path: Path) -> None:
    """Commits that nobody published are published first."""
    more(db, 4, publish=False)
    backup(db, tmp_path / "copy.duckdb")
    assert hours(tmp_path / "copy.duckdb") == [1, 2, 3, 4]


def test_a_backup_is_replaced_only_when_asked(db: Path, tmp_path: Path) -> None:
    """A file that is there stays, unless force is said."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    more(db, 4)
    with pytest.raises(BadInput, match="is there already: give --force"):
        backup(db, file)
    assert hours(file) == [1, 2, 3]
    backup(db, file, force=True)
    assert hours(file) == [1, 2, 3, 4]


def test_a_tape_is_never_its_own_backup(db: Path) -> None:
    """Neither the published file nor the writer's is written over."""
    for path in (db, tape.Place(db).writer):
        with pytest.raises(BadInput, match="is the tape itself"):
            backup(db, path, force=True)


def test_without_a_tape_there_is_no_backup(tmp_path: Path) -> None:
    """Nothing to copy is one sentence, and leaves nothing."""
    with pytest.raises(NoTape):
        backup(tmp_path / "tape.duckdb", tmp_path / "copy.duckdb")
    assert names(tmp_path) == set()


def test_a_copy_that_differs_is_not_kept(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is read back: one with other rows never gets its name."""

    def other(_: Path, target: Path) -> None:
        target.write_bytes(db.read_bytes())
        with duckdb.connect(str(target)) as con:
            con.execute("update price_log set price = price + 1")

    monkeypatch.setattr(module, "_copy", other)
    with pytest.raises(Damaged, match=r'does not hold the same "main"\."price_log"'):
        backup(db, tmp_path / "copy.duckdb")
    assert not list(tmp_path.glob("copy*"))


def test_a_tape_that_is_wrong_is_not_backed_up(db: Path, tmp_path: Path) -> None:
    """What a copy is checked with is found in the tape too: it says where to look."""
    with tape.writing(db, START) as con:
        con.execute("update price_log set scan_id = 7")
        tape.publish(con, db)
    with pytest.raises(Damaged, match=r"prices point to a scan that there is not .*gputape check"):
        backup(db, tmp_path / "copy.duckdb")
    assert not list(tmp_path.glob("copy*"))


def test_a_tape_that_is_published_meanwhile_is_copied_again(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is compared with what it was copied from, not with what came after."""
    copy = module._copy
    taken = []

    def interrupted(source: Path, target: Path) -> None:
        copy(source, target)
        taken.append(target)
        if len(taken) == 1:
            more(db, 4)

    monkeypatch.setattr(module, "_copy", interrupted)
    backup(db, tmp_path / "copy.duckdb")
    assert len(taken) == 2
    assert hours(tmp_path / "copy.duckdb") == [1, 2, 3, 4]


def test_raw_bytes_go_along_once(db: Path, tmp_path: Path) -> None:
    """Bodies lie beside the backup under their names; a second time adds only new ones."""
    bodies = tape.Place(db).archive
    (bodies / "ab").mkdir(parents=True)
    (bodies / "ab" / "abcd.zst").write_bytes(b"body")
    (bodies / "part-1").write_bytes(b"cut")
    file = tmp_path / "copy.duckdb"

    assert backup(db, file, archive=True).bodies == 1
    assert backup(db, file, archive=True, force=True).bodies == 0
    assert (tmp_path / "copy.archive" / "ab" / "abcd.zst").read_bytes() == b"body"
    assert names(tmp_path / "copy.archive") == {"ab"}


def test_raw_bytes_are_copied_where_links_do_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another file system a body is copied, whole or not at all."""

    def elsewhere(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "one" / "ab").mkdir(parents=True)
    (tmp_path / "one" / "ab" / "abcd.zst").write_bytes(b"body")
    monkeypatch.setattr(os, "link", elsewhere)
    assert put_bodies(tmp_path / "one", tmp_path / "two") == 1
    assert (tmp_path / "two" / "ab" / "abcd.zst").read_bytes() == b"body"
    assert names(tmp_path / "two" / "ab") == {"abcd.zst"}


# -- restore ----------------------------------------------------------------------------------


def test_a_lost_tape_comes_back(db: Path, tmp_path: Path) -> None:
    """Where there is nothing, the backup becomes the tape, and writing goes on."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    elsewhere = tmp_path / "new" / "tape.duckdb"
    kept = restore(file, elsewhere, NOW)

    assert hours(elsewhere) == [1, 2, 3]
    assert names(elsewhere.parent) == {"tape.duckdb", "tape.writer.duckdb", "tape.lock"}
    assert kept.replaced is None
    more(elsewhere, 4)
    assert hours(elsewhere) == [1, 2, 3, 4]


def test_scans_are_not_lost_by_accident(db: Path, tmp_path: Path) -> None:
    """A tape that knows more than the backup is replaced by force only, and kept whole."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    more(db, 4)
    more(db, 5, publish=False)
    with pytest.raises(BadInput, match=r"has 2 scans that .* lacks: give --force"):
        restore(file, db, NOW)
    assert hours(db) == [1, 2, 3, 4, 5]
    kept = restore(file, db, NOW, force=True)

    assert hours(db) == [1, 2, 3]
    assert kept.replaced == tmp_path / "tape.20261121T150000.duckdb"
    assert hours(kept.replaced) == [1, 2, 3, 4, 5]


def test_as_many_scans_are_not_the_same_scans(db: Path, tmp_path: Path) -> None:
    """A tape that went another way since is not replaced because it is as long."""
    file = tmp_path / "copy.duckdb"
    with tape.writing(tmp_path / "other.duckdb", START) as con:
        looked(con, 11, 12, 13, 14)
        tape.publish(con, tmp_path / "other.duckdb")
    backup(tmp_path / "other.duckdb", file)
    with pytest.raises(BadInput, match="has 3 scans"):
        restore(file, db, NOW)


def test_a_damaged_tape_is_replaced_and_kept(db: Path, tmp_path: Path) -> None:
    """A file that does not open stops nothing, and is not thrown away either."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    writer = tape.Place(db).writer
    writer.write_bytes(b"x" * 5000)
    kept = restore(file, db, NOW)

    assert hours(db) == [1, 2, 3]
    assert kept.replaced
    assert tape.Place(kept.replaced).writer.read_bytes() == b"x" * 5000
    more(db, 4)


def test_a_log_that_belongs_to_the_old_file_does_not_meet_the_new(db: Path, tmp_path: Path) -> None:
    """What a killed writer left in its log is kept with its own file."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    writer = tape.Place(db).writer
    log = writer.with_name(writer.name + ".wal")
    with tape.writing(db, START) as con:
        looked(con, 4)
        con.execute("create table later (n int)")
        stale = log.read_bytes()
    log.write_bytes(stale)
    kept = restore(file, db, NOW)

    assert kept.replaced
    assert not list(tmp_path.glob("tape.writer.duckdb.wal"))
    assert list(tmp_path.glob("tape.2*.writer.duckdb.wal"))
    more(db, 4)
    assert hours(db) == [1, 2, 3, 4]


def test_nothing_is_restored_under_a_writer(db: Path, tmp_path: Path) -> None:
    """The one who writes is named."""
    backup(db, tmp_path / "copy.duckdb")
    module_patience, module.LOCK_PATIENCE_S = module.LOCK_PATIENCE_S, 0
    try:
        with tape.writing(db, START), pytest.raises(Busy, match=f"process {os.getpid()}"):
            restore(tmp_path / "copy.duckdb", db, NOW)
    finally:
        module.LOCK_PATIENCE_S = module_patience


@pytest.mark.parametrize(
    ("make", "said", "error"),
    [
        ("", "there is no file", BadInput),
        ("create table a (b int)", "but no tape", BadInput),
        (FUTURE, "has schema 999", TooNew),
    ],
)  # fmt: skip
def test_what_is_no_backup_is_refused(
    db: Path, tmp_path: Path, make: str, said: str, error: type[Exception]
) -> None:
    """No file, somebody else's database and a later program's tape leave the tape alone."""
    file = tmp_path / "copy.duckdb"
    if make:
        with duckdb.connect(str(file)) as con:
            con.execute(make)
    with pytest.raises(error, match=said):
        restore(file, db, NOW)
    assert hours(db) == [1, 2, 3]


def test_a_cut_backup_is_refused(db: Path, tmp_path: Path) -> None:
    """Half a file is named, and the tape stays."""
    file = tmp_path / "copy.duckdb"
    file.write_bytes(db.read_bytes()[:300_000])
    with pytest.raises(Damaged, match=r"copy\.duckdb"):
        restore(file, db, NOW)
    assert hours(db) == [1, 2, 3]


def test_the_tape_is_not_restored_from_itself(db: Path) -> None:
    """A backup is another file."""
    with pytest.raises(BadInput, match="is the tape itself"):
        restore(db, db, NOW)


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from gputape.store import backup
backup._log(Path("x"))
put, left = backup._put, int(sys.argv[3])
def cut(part, target):
    global left
    if not left: os.kill(os.getpid(), 9)
    left -= 1
    put(part, target)
backup._put = cut
backup.restore(Path(sys.argv[1]), Path(sys.argv[2]), datetime.now(UTC), force=True)
"""


@pytest.mark.parametrize("swaps", [0, 1])
def test_killed_while_restoring_the_tape_is_as_it_was(db: Path, tmp_path: Path, swaps: int) -> None:
    """Between the two renames the writer's file is the old one, and the next reader says so."""
    file = tmp_path / "copy.duckdb"
    backup(db, file)
    more(db, 4)
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(file), str(db), str(swaps)]
    assert subprocess.run(words, check=False).returncode == -9
    assert hours(db) == [1, 2, 3, 4]
    restore(file, db, NOW, force=True)
    assert hours(db) == [1, 2, 3]


def test_raw_bytes_come_back_where_they_are_missing(db: Path, tmp_path: Path) -> None:
    """A backup's archive fills the gaps of the tape's own."""
    backup(db, tmp_path / "copy.duckdb")
    (tmp_path / "copy.archive" / "ab").mkdir(parents=True)
    (tmp_path / "copy.archive" / "ab" / "abcd.zst").write_bytes(b"body")
    assert restore(tmp_path / "copy.duckdb", db, NOW).bodies == 1
    assert (tmp_path / "tape.archive" / "ab" / "abcd.zst").read_bytes() == b"body"
