"""Kills, full disks, cut logs, clocks that jump: a clear word or a clean recovery, never a lie.

What `test_tape.py` (the file and its lock) and `test_killed.py` (a whole collection) hold is
not repeated: here are the Recorder, days and frames with it, and what `check` says afterwards.
"""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gputape.store import tape
from gputape.store.backup import backup, restore
from gputape.store.check import Depth, check, unpublished
from gputape.store.compact import compact
from gputape.store.errors import Damaged

START = datetime(2026, 11, 1, tzinfo=UTC)
DICE = random.Random(20261121)  # noqa: S311  # a repeatable choice of moments and places

# records looks of 200 prices, each 5 hours after the one before, and says so after each
RECORD = """
import sys, hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from gputape.store import roll, tape
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan
path, looks, origin, publish = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
roll.FRAME_LEAST = 500
def price(sku, look):
    return Decimal(20_000 + hashlib.md5(f"{sku}/{look}".encode()).digest()[0]) / 10_000
def offer(sku, look):
    key = SeriesKey(provider="acme", sku=f"s{sku}", region="eu", option=Option.ON_DEMAND)
    return Offer(key=key, gpu="h100-sxm-80", gpu_count=Decimal(1), price=price(sku, look))
start = datetime(2026, 11, 1, tzinfo=UTC)
with tape.writing(path, start) as con:
    recorder = Recorder(con)
    (done,) = con.execute("select count(*) from scan").fetchall()[0]
    print("open", flush=True)
    for look in range(done, looks):
        at = start + timedelta(hours=5 * look)
        recorder.record(
            Scan(run_id=1, provider="acme", part="list", started_at=at, finished_at=at,
                 observed_at=at, status="ok", quotes=200, parser_revision=1, normaliser="1",
                 origin=Origin(origin)),
            Listing(offers=[offer(sku, look) for sku in range(200 - look % 3)]),
        )
        print(look, flush=True)
    if publish == "publish":
        tape.publish(con, path)
    elif publish == "die":
        import os; os.kill(os.getpid(), 9)
"""


def started(path: Path, looks: int, origin: str = "live", end: str = "") -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", RECORD, str(path), str(looks), origin, end or "publish"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def looks(path: Path) -> int:
    with tape.reading(path) as con:
        return int(con.execute("select count(*) from scan").fetchall()[0][0])


def findings(path: Path) -> list[str]:
    """Return what is wrong, once a reader has made good what can be made good."""
    with tape.reading(path) as con:
        found = check(con, Depth.DEEP)
    late = unpublished(path, START)
    return [f.finding for f in (*found, late) if f]


@pytest.mark.slow
def test_killed_while_recording_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    """After each of several kills every look that was acknowledged is there, and all is sound."""
    path = tmp_path / "tape.duckdb"
    known = 0
    for _ in range(3):
        process = started(path, 10_000)
        assert process.stdout
        for _ in range(DICE.randint(1, 12)):
            line = process.stdout.readline()
        time.sleep(DICE.uniform(0, 0.05))  # into the middle of something
        process.kill()
        said = [line, *process.stdout.read().splitlines()]
        process.communicate()
        known = max([known, *(int(word) + 1 for word in said if word.strip().isdigit())])
        assert looks(path) >= known
        assert findings(path) == []
    assert known > 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root, and a kernel that lets it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_in_a_sentence_and_loses_nothing(disk: Path) -> None:
    """The one who records is told to free space; with space again, everything is there."""
    path = disk / "tape.duckdb"
    (disk / "ballast").write_bytes(b"x" * 3_500_000)
    process = started(path, 10_000)
    out, error = process.communicate()
    acknowledged = len(out.splitlines()) - 1

    assert process.returncode == 1
    assert error.splitlines()[-1].startswith("gputape.store.errors.Damaged: ")
    assert "No space left on device" in error.splitlines()[-1]
    (disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
    assert looks(path) >= acknowledged > 0
    assert findings(path) == []
    again = started(path, acknowledged + 5)
    assert again.communicate()[0].splitlines()[-1] == str(acknowledged + 4)
    assert findings(path) == []


def test_a_disk_without_room_for_a_copy_keeps_the_tape(disk: Path) -> None:
    """Compacting, a backup and a restore that do not fit say so and leave nothing half done."""
    path = disk / "tape.duckdb"
    started(path, 8).communicate()
    backup(path, disk.parent / "copy.duckdb")
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(b"x" * max(0, free - 300_000))
    before = sorted(file.name for file in disk.iterdir())

    with pytest.raises(Damaged, match="the tape is as it was"):
        compact(path, START)
    with pytest.raises(Damaged, match="No space left on device"):
        backup(path, disk / "copy.duckdb")
    with pytest.raises(Damaged, match="No space left on device"):
        restore(disk.parent / "copy.duckdb", path, START, force=True)
    assert sorted(file.name for file in disk.iterdir()) == before
    assert findings(path) == []


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tape whose writer died with nine looks in its log, and none published."""
    path = tmp_path_factory.mktemp("logged") / "tape.duckdb"
    started(path, 3).communicate()
    process = started(path, 12, "import", "die")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return path.parent


def of(logged: Path, folder: Path) -> tuple[Path, Path]:
    """Return a copy of the tape, and of its log."""
    folder.mkdir()
    for file in logged.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / "tape.duckdb", folder / "tape.writer.duckdb.wal"


def test_a_log_that_was_cut_is_read_as_far_as_it_is_whole(logged: Path, tmp_path: Path) -> None:
    """A cut log costs the looks behind the cut, whole ones only, and the tape is sound."""
    counts = set()
    for n, share in enumerate((0.0, 0.3, 0.7, 1.0)):
        path, log = of(logged, tmp_path / str(n))
        body = log.read_bytes()
        log.write_bytes(body[: int(share * len(body))])
        counts.add(looks(path))
        assert findings(path) == []
    assert min(counts) == 3
    assert max(counts) == 12
    assert len(counts) == 4


def test_a_log_that_was_altered_is_refused_and_named(logged: Path, tmp_path: Path) -> None:
    """Answers come from the published copy, `check` says what is lost, and how to go on."""
    path, log = of(logged, tmp_path / "altered")
    body = bytearray(log.read_bytes())
    body[len(body) // 2] ^= 16
    log.write_bytes(body)

    assert looks(path) == 3
    (said,) = findings(path)
    assert said.startswith("what was written last can not be read: DuckDB can not open")
    log.rename(log.with_suffix(".away"))
    assert findings(path) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others than its owner can reach: pytest's own are closed to them."""
    with TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_a_folder_that_can_not_be_written_is_read_all_the_same(open_folder: Path) -> None:
    """Questions and `check` need no write permission; recording says which file it is."""
    started(open_folder / "tape.duckdb", 2).communicate()
    code = """
    import json, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gputape.store import check, tape, compact
    import duckdb
    os.chdir(sys.argv[1])
    if os.geteuid() == 0: os.seteuid(65534)
    path, now = Path("tape.duckdb"), datetime.now(UTC)
    said = []
    with tape.reading(path) as con: said.append(len(check.check(con)))
    said.append(check.unpublished(path, now) is None)
    for work in (lambda: tape.writing(path, now).__enter__(), lambda: compact.compact(path, now)):
        try: work()
        except Exception as error: said.append(f"{type(error).__name__}: {error}")
    print(json.dumps(said))
    """
    for file in open_folder.iterdir():
        file.chmod(0o444)
    open_folder.chmod(0o555)
    words = [sys.executable, "-c", textwrap.dedent(code), str(open_folder)]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    wrong, sound, *errors = json.loads(process.stdout)

    assert (wrong, sound) == (0, True)
    assert len(errors) == 2
    assert all(e.startswith("PermissionError") and "tape.lock" in e for e in errors)


def test_beside_a_writer_one_can_look_and_not_write(tmp_path: Path) -> None:
    """While one records, a second is told who it is; copying and checking go on."""
    path = tmp_path / "tape.duckdb"
    started(path, 2).communicate()
    with tape.writing(path, START):
        second = started(path, 3)
        assert findings(path) == []
        backup(path, tmp_path / "copy.duckdb")
        _, error = second.communicate()
    assert f"Busy: process {os.getpid()} is writing {path}" in error.splitlines()[-1]
    assert looks(path) == looks(tmp_path / "copy.duckdb") == 2


def test_a_clock_that_jumps_back_disorders_nothing(tmp_path: Path) -> None:
    """Ids rise and looks stay in order when the machine's clock was set back a day."""
    from gputape.scrapers.collect import in_order
    from gputape.store.record import Recorder
    from gputape.store.remember import memory
    from gputape.store.scan import Listing, Scan

    path = tmp_path / "tape.duckdb"
    started(path, 8).communicate()
    with tape.writing(path, START) as con:
        recorder = Recorder(con)
        for hours in (30, 9, 8, 36):
            at = START + timedelta(hours=hours)
            scan = Scan(
                run_id=1, provider="acme", part="list", started_at=at, finished_at=at,
                observed_at=at, status="ok", parser_revision=1, normaliser="1",
            )  # fmt: skip
            recorder.record(in_order(scan, memory(con)), Listing())
        ids = [i for (i,) in con.execute("select scan_id from scan order by rowid").fetchall()]
        tape.publish(con, path)
    assert ids == sorted(set(ids))
    assert findings(path) == []
