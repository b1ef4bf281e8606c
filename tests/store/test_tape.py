"""The file: one writer, readers that never block, and nothing lost when a process dies."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from gputape.store import tape
from gputape.store.errors import Busy, Damaged, NoTape, TooNew

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def made(path: Path, *rows: int) -> Path:
    """Make and publish a tape with a table of its own."""
    with tape.writing(path, NOW) as con:
        con.execute("create table if not exists mark (n int)")
        for row in rows:
            con.execute("insert into mark values (?)", [row])
        tape.publish(con, path)
    return path


def marks(path: Path) -> list[int]:
    with tape.reading(path) as con:
        return [n for (n,) in con.execute("select n from mark order by n").fetchall()]


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gputape.store import tape
with tape.writing(Path(sys.argv[1]), datetime.now(UTC)) as con:
    con.execute("insert into mark values (99)")
    print("written", flush=True)
    sys.stdin.read() if len(sys.argv) < 3 else __import__("time").sleep(60)
"""


FULL_DISK = """
import resource, sys
from pathlib import Path
from gputape.store import tape
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with tape.reading(Path(sys.argv[1])) as con:
    print(con.execute("select n from mark").fetchall())
"""
AS_NOBODY = """
import os, sys
from pathlib import Path
from gputape.store import tape
import duckdb
os.chdir(sys.argv[1])
if os.geteuid() == 0: os.seteuid(65534)
try: tape.reading(Path("tape.duckdb"))
except Exception as error: print(type(error).__name__, error)
"""
SHELL = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read() if len(sys.argv) < 3 else __import__("time").sleep(60)
"""


def killed_with_a_commit(path: Path) -> None:
    """Leave a commit of mark 99 in the writer's log, as a killed process does."""
    writer = child(HOLD, path, "sleep")
    assert writer.stdout
    writer.stdout.readline()
    writer.kill()
    writer.communicate()


def scan_rows(path: Path, count: int) -> None:
    """Put plain rows in a table named scan, in place of the real one."""
    with duckdb.connect(str(path)) as con:
        con.execute("drop table if exists scan cascade")
        con.execute(f"create table scan as select range as n from range({count})")


def test_a_missing_tape_says_what_to_run(tmp_path: Path) -> None:
    """Reading before the first collection is one sentence, and makes no files."""
    with pytest.raises(NoTape, match="run `gputape collect`"):
        tape.reading(tmp_path / "tape.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_the_published_copy_is_read_only_and_whole(tmp_path: Path) -> None:
    """People open a file that nobody can write by accident."""
    path = made(tmp_path / "tape.duckdb", 1, 2)
    assert path.stat().st_mode & 0o777 == 0o444
    assert marks(path) == [1, 2]


def test_a_reader_sees_the_last_published_state_while_somebody_writes(tmp_path: Path) -> None:
    """Readers never block and are never blocked."""
    path = made(tmp_path / "tape.duckdb", 1)
    writer = child(HOLD, path, "sleep")
    assert writer.stdout
    writer.stdout.readline()
    assert marks(path) == [1]
    writer.kill()
    writer.communicate()


def test_an_open_reader_keeps_its_state_while_a_new_one_is_published(tmp_path: Path) -> None:
    """Publishing swaps the name, not the file under a reader's feet."""
    path = made(tmp_path / "tape.duckdb", 1)
    with tape.reading(path) as con:
        con.execute("select * from mark").fetchall()
        writer = child(
            """
            import sys
            from datetime import UTC, datetime
            from pathlib import Path
            from gputape.store import tape
            path = Path(sys.argv[1])
            with tape.writing(path, datetime.now(UTC)) as con:
                con.execute("insert into mark values (2)")
                tape.publish(con, path)
            """,
            path,
        )
        writer.communicate()
        assert con.execute("select count(*) from mark").fetchall() == [(1,)]
    assert marks(path) == [1, 2]


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    """One tape has one writer, and the sentence names its process."""
    path = made(tmp_path / "tape.duckdb")
    writer = child(HOLD, path, "sleep")
    assert writer.stdout
    writer.stdout.readline()
    sentence = f"process {writer.pid} is writing"
    with pytest.raises(Busy, match=sentence), tape.writing(path, NOW, patience_s=0.2):
        pass
    writer.kill()
    writer.communicate()


def test_commits_of_a_killed_writer_are_published_by_the_next_reader(tmp_path: Path) -> None:
    """What was committed and not yet published is not lost: whoever reads next publishes it."""
    path = made(tmp_path / "tape.duckdb", 1)
    time.sleep(0.01)
    writer = child(HOLD, path, "sleep")
    assert writer.stdout
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert marks(path) == [1, 99]


def test_copying_does_not_drop_the_writers_lock(tmp_path: Path) -> None:
    """After publishing, another process still can not open the writer's file to write."""
    path = made(tmp_path / "tape.duckdb", 1)
    with tape.writing(path, NOW) as con:
        tape.publish(con, path)
        other = child(
            "import duckdb, sys\ntry: duckdb.connect(sys.argv[1]); print('in')\n"
            "except duckdb.IOException: print('kept out')",
            tape.Place(path).writer,
        )
        assert other.communicate()[0].strip() == "kept out"


def test_a_stray_log_beside_the_published_copy_is_swept_away(tmp_path: Path) -> None:
    """Somebody's log of an old copy is never replayed into a new one."""
    path = made(tmp_path / "tape.duckdb", 1)
    stray = path.with_name(path.name + ".wal")
    stray.write_bytes(b"not ours")
    assert marks(made(path, 2)) == [1, 2]
    assert not stray.exists()


def test_a_published_copy_alone_is_enough_to_go_on(tmp_path: Path) -> None:
    """A copy that was moved to another machine becomes the start of a writer's file there."""
    path = made(tmp_path / "tape.duckdb", 1)
    elsewhere = tmp_path / "other" / "tape.duckdb"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(path.read_bytes())
    assert marks(made(elsewhere, 2)) == [1, 2]


def test_no_unfinished_copy_is_left_behind(tmp_path: Path) -> None:
    """Publishing leaves exactly the files that the docstring names."""
    path = made(tmp_path / "tape.duckdb", 1)
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"tape.duckdb", "tape.writer.duckdb", "tape.lock"}


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    """Bytes that DuckDB refuses end in a sentence, not a traceback."""
    path = tmp_path / "tape.duckdb"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(Damaged, match="can not open"):
        tape.reading(path)


def test_a_schema_of_the_future_is_refused(tmp_path: Path) -> None:
    """An older program never writes into a newer tape."""
    path = made(tmp_path / "tape.duckdb")
    with tape.writing(path, NOW) as con:
        con.execute("insert into migration values (999, '999_later.sql', now())")
    with pytest.raises(TooNew, match="schema 999"), tape.writing(path, NOW):
        pass


def test_migrations_run_once_and_are_remembered(tmp_path: Path) -> None:
    """Opening a tape twice applies each numbered file once."""
    path = made(made(tmp_path / "tape.duckdb"))
    with tape.reading(path) as con:
        rows = con.execute("select number, name from migration order by 1").fetchall()
    assert rows[0] == (1, "001_tape.sql")
    assert len(rows) == len({number for number, _ in rows})


def test_views_of_another_version_are_made_anew_for_a_reader(tmp_path: Path) -> None:
    """A tape last written by an older program answers with this program's views."""
    path = tmp_path / "tape.duckdb"
    with tape.writing(path, NOW) as con:
        con.execute("create or replace view v_offers as select 1 as old")
        tape.publish(con, path)
    with tape.reading(path) as con:
        columns = [row[0] for row in con.execute("describe v_offers").fetchall()]
    assert "usd_gpu_hour" in columns


def test_a_sealed_reader_reaches_neither_files_nor_the_network(tmp_path: Path) -> None:
    """SQL of a stranger can read the tape and nothing else."""
    path = made(tmp_path / "tape.duckdb", 1)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with tape.reading(path, sealed=True) as con:
        for forbidden in (
            f"from read_csv('{tmp_path}/secret.csv')",
            f"copy mark to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/other.duckdb'",
            "from 'https://example.com/a.parquet'",
            "insert into mark values (3)",
            "set enable_external_access = true",
            "install httpfs",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(forbidden)
        assert con.execute("select n from mark").fetchall() == [(1,)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_reading_works_in_a_folder_without_write_permission(tmp_path: Path) -> None:
    """A read-only folder is enough to read."""
    path = made(tmp_path / "tape.duckdb", 1)
    tmp_path.chmod(0o555)
    try:
        assert marks(path) == [1]
    finally:
        tmp_path.chmod(0o755)


def test_reading_leaves_a_fresh_copy_alone(tmp_path: Path) -> None:
    """A reader publishes only when something is unpublished."""
    path = made(tmp_path / "tape.duckdb", 1)
    before = path.stat().st_ino
    marks(path)
    assert path.stat().st_ino == before


def test_a_cut_copy_never_takes_the_place_of_a_good_one(tmp_path: Path) -> None:
    """When the writer's file is lost and its copy is cut, the published copy stays whole."""
    path = made(tmp_path / "tape.duckdb", *range(5))
    tape.Place(path).writer.unlink()
    os.utime(path, ns=(1, 1))
    before = path.read_bytes()
    code = """
    import resource, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gputape.store import tape
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        with tape.writing(Path(sys.argv[1]), datetime.now(UTC)): print("in")
    except Exception as error: print(type(error).__name__)
    """
    assert child(code, path).communicate()[0].strip() == "Damaged"
    assert {file.name for file in tmp_path.iterdir()} == {"tape.duckdb", "tape.lock"}
    assert path.read_bytes() == before
    assert marks(path) == [0, 1, 2, 3, 4]


def test_a_broken_writers_file_is_not_published(tmp_path: Path) -> None:
    """A copy that DuckDB does not open is refused before the swap."""
    path = made(tmp_path / "tape.duckdb", 1)
    writer = tape.Place(path).writer
    writer.write_bytes(b"x" * 5000)
    with pytest.raises(Damaged, match="can not open"):
        tape.publish(duckdb.connect(), path)
    assert duckdb.connect(str(path), read_only=True).execute("from mark").fetchall() == [(1,)]


def test_a_copy_with_fewer_scans_is_not_published(tmp_path: Path) -> None:
    """A writer's file that lost scans never replaces the published copy that has them."""
    path = tmp_path / "tape.duckdb"
    scan_rows(path, 3)
    scan_rows(tape.Place(path).writer, 2)
    with pytest.raises(Damaged, match=r"has 2 scans and .* has 3"):
        tape.publish(duckdb.connect(), path)
    scan_rows(tape.Place(path).writer, 3)
    tape.publish(duckdb.connect(), path)


def test_reading_works_while_the_disk_is_full(tmp_path: Path) -> None:
    """A reader that can not publish a dead writer's commits reads the copy as it is."""
    path = made(tmp_path / "tape.duckdb", 1)
    killed_with_a_commit(path)
    assert child(FULL_DISK, path).communicate()[0].strip() == "[(1,)]"


def test_a_file_that_somebody_holds_open_is_busy(tmp_path: Path) -> None:
    """A DuckDB shell on the writer's file is named, and no advice to move files is given."""
    path = made(tmp_path / "tape.duckdb", 1)
    shell = child(SHELL, tape.Place(path).writer, "sleep")
    assert shell.stdout
    shell.stdout.readline()
    with pytest.raises(Busy, match=f"process {shell.pid} holds"), tape.writing(path, NOW):
        pass
    shell.kill()
    shell.communicate()


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """No permission is a plain sentence, without advice about logs."""
    path = made(tmp_path / "tape.duckdb", 1)
    tape.Place(path).writer.unlink()
    path.chmod(0)
    tmp_path.chmod(0o755)
    said = child(AS_NOBODY, tmp_path).communicate()[0]
    assert said.startswith("Damaged no permission to open tape.duckdb")


def test_only_a_stale_log_leads_to_advice_about_logs(tmp_path: Path) -> None:
    """The advice to move the log away comes with DuckDB's complaint about the log alone."""
    path = made(tmp_path / "tape.duckdb", 1)
    killed_with_a_commit(path)
    log = tape.Place(path).writer.with_name("tape.writer.duckdb.wal")
    stale = log.read_bytes()
    made(path, 2)
    log.write_bytes(stale)
    with pytest.raises(Damaged, match=r"move .*\.wal away"), tape.writing(path, NOW):
        pass
    path.chmod(0o644)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(Damaged, match=r"restore a copy$"):
        tape.reading(path)


def test_readers_of_one_process_do_not_meet(tmp_path: Path) -> None:
    """A plain and a sealed reader live side by side, and a new one sees what is newly published."""
    path = made(tmp_path / "it's.duckdb", 1)
    with tape.reading(path) as old, tape.reading(path, sealed=True) as sealed:
        assert sealed.execute("from mark").fetchall() == [(1,)]
        made(path, 2)
        assert marks(path) == [1, 2]
        assert old.execute("from mark").fetchall() == [(1,)]


def test_a_log_that_comes_and_goes_does_not_disturb_readers(tmp_path: Path) -> None:
    """The writer's log may vanish between any two looks at it."""
    path = made(tmp_path / "tape.duckdb", 1)
    log = tape.Place(path).writer.with_name("tape.writer.duckdb.wal")
    code = """
    import sys
    from pathlib import Path
    while True:
        Path(sys.argv[1]).touch()
        Path(sys.argv[1]).unlink()
    """
    blinker = child(code, log)
    end = time.monotonic() + 1
    try:
        while time.monotonic() < end:
            tape._unpublished(tape.Place(path))
    finally:
        blinker.kill()
        blinker.communicate()


def test_a_starting_writer_waits_a_moment_for_the_lock(tmp_path: Path) -> None:
    """A reader that publishes leftovers does not make a starting collection fail."""
    path = made(tmp_path / "tape.duckdb", 1)
    writer = child(HOLD.replace("sleep(60)", "sleep(0.7)"), path, "sleep")
    assert writer.stdout
    writer.stdout.readline()
    assert marks(made(path, 2)) == [1, 2, 99]
    writer.communicate()


def test_leftovers_of_killed_processes_are_swept(tmp_path: Path) -> None:
    """The next writer removes unfinished copies of this tape, and of no other."""
    ours, theirs = ("tape.123.part", "tape.writer.9.part"), ("tape.other.9.part", "tape.x.part")
    for name in (*ours, *theirs):
        (tmp_path / name).write_bytes(b"cut")
    made(tmp_path / "tape.duckdb", 1)
    assert {file.name for file in tmp_path.glob("*.part")} == set(theirs)


def test_an_empty_writers_file_counts_as_missing(tmp_path: Path) -> None:
    """A first write that was cut at once does not block writing for good."""
    path = made(tmp_path / "tape.duckdb", 1)
    tape.Place(path).writer.write_bytes(b"")
    assert marks(made(path, 2)) == [1, 2]
    fresh = tmp_path / "new.duckdb"
    tape.Place(fresh).writer.touch()
    assert marks(made(fresh, 3)) == [3]


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    """Publishing through a link replaces the file that it names."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "tape.duckdb"
    link.symlink_to(tmp_path / "disk" / "real.duckdb")
    assert marks(made(link, 1)) == [1]
    assert link.is_symlink()
    assert marks(tmp_path / "disk" / "real.duckdb") == [1]


def test_a_clock_in_the_future_does_not_publish_for_ever(tmp_path: Path) -> None:
    """A writer's file that is dated ahead is published once, not on every read."""
    path = made(tmp_path / "tape.duckdb", 1)
    ahead = time.time() + 86_400
    os.utime(tape.Place(path).writer, (ahead, ahead))
    marks(path)
    before = path.stat().st_ino
    marks(path)
    assert path.stat().st_ino == before
