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
    with pytest.raises(Busy, match=f"process {writer.pid} is writing"), tape.writing(path, NOW):
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
