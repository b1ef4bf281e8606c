"""Compacting: what nothing reads goes, everything else stays, and a kill changes nothing."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gputape.store import compact as module
from gputape.store import roll, tape
from gputape.store.check import Depth, check
from gputape.store.compact import KEPT, compact
from gputape.store.contents import contents
from gputape.store.errors import Busy, Damaged, NoTape
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)


def look(recorder: Recorder, hour: int, origin: Origin = Origin.LIVE) -> None:
    at = START + timedelta(hours=hour)
    offers = [
        Offer(
            key=SeriesKey(provider="acme", sku=sku, region="eu", option=Option.ON_DEMAND),
            gpu="h100-sxm-80", gpu_count=Decimal(1), price=Decimal(2) + Decimal(hour % 7) / 10,
        )
        for sku in "zyxab"
    ]  # fmt: skip
    scan = Scan(
        run_id=1, provider="acme", part="list", started_at=at, finished_at=at, observed_at=at,
        status="ok", quotes=5, parser_revision=1, normaliser="1", origin=origin,
    )  # fmt: skip
    recorder.record(scan, Listing(offers=offers))


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tape that has void frames, and days that were rolled twice."""
    path = tmp_path_factory.mktemp("used") / "tape.duckdb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roll, "FRAME_LEAST", 20)
        patch.setattr(roll, "FRAME_EVERY", 1)
        with tape.writing(path, START) as con:
            recorder = Recorder(con)
            for hour in (1, 10, 20, 30, 40, 50, 60, 70):
                look(recorder, hour)
            look(recorder, 15, Origin.IMPORT)
            recorder.settle(START + timedelta(hours=80))
            con.execute("create table mine as select 1 as n")
            con.execute("create view of_mine as from mine")
            tape.publish(con, path)
    return path.parent


@pytest.fixture
def db(used: Path, tmp_path: Path) -> Path:
    """The same, for one test."""
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tape.duckdb"


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with tape.reading(path) as con:
        return con.execute(sql).fetchall()


def test_what_nothing_reads_is_gone(db: Path) -> None:
    """Void frames and superseded rolls go, with their rows; nothing else does."""
    tables = ("frame", "frame_price", "frame_look", "daily", "rolled")
    before = {name: asked(db, f"select count(*) from {name}")[0][0] for name in tables}
    done = compact(db, NOW)
    after = {name: asked(db, f"select count(*) from {name}")[0][0] for name in tables}

    assert asked(db, "from frame where void") == []
    assert all(after[name] < before[name] for name in tables)
    assert done.rows_before - done.rows_after == sum(before.values()) - sum(after.values())


def test_everything_else_is_as_it_was(db: Path) -> None:
    """Every other row is there, in its order, with views, migrations and a person's own table."""
    log = "select * from price_log order by rowid"
    with tape.reading(db) as con:
        was = contents(con, KEPT)
    questions = (log, "from migration", "from v_offers order by all", "from v_daily order by all",
                 "from mine", "from of_mine", "describe price_log")  # fmt: skip
    answers = [asked(db, sql) for sql in questions]
    compact(db, NOW)

    with tape.reading(db) as con:
        assert contents(con) == was
        assert check(con, Depth.DEEP) == []
    assert [asked(db, sql) for sql in questions] == answers


def test_a_second_time_finds_nothing(db: Path) -> None:
    """What is compact stays as it is, and leaves no file behind."""
    compact(db, NOW)
    done = compact(db, NOW)

    assert done.rows_before == done.rows_after
    assert {file.name for file in db.parent.iterdir()} == {
        "tape.duckdb", "tape.writer.duckdb", "tape.lock",
    }  # fmt: skip


def test_bytes_before_and_after_are_those_of_the_file(db: Path) -> None:
    """The blocks that many small commits left half empty take no room any more."""
    size = db.stat().st_size
    done = compact(db, NOW)

    assert done.bytes_before == size
    assert done.bytes_after == db.stat().st_size < size


def test_recording_goes_on_after_it(db: Path) -> None:
    """The rewritten file is the writer's: a new look is recorded, published and sound."""
    compact(db, NOW)
    with tape.writing(db, NOW) as con:
        look(Recorder(con), 90)
        tape.publish(con, db)
    with tape.reading(db) as con:
        assert check(con, Depth.DEEP) == []
        assert con.execute("select max(observed_at) from scan").fetchall() == [
            (START + timedelta(hours=90),)
        ]


def test_an_open_reader_is_not_disturbed(db: Path) -> None:
    """Who reads while it is compacted keeps what they opened."""
    with tape.reading(db) as con:
        before = con.execute("select count(*) from frame").fetchall()
        compact(db, NOW)
        assert con.execute("select count(*) from frame").fetchall() == before


def test_without_a_tape_nothing_is_made(tmp_path: Path) -> None:
    """Compacting does not begin a tape."""
    with pytest.raises(NoTape):
        compact(tmp_path / "tape.duckdb", NOW)
    assert list(tmp_path.iterdir()) == []


def test_while_somebody_writes_it_waits_its_turn(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that runs is named."""
    monkeypatch.setattr(tape._sole_writer, "__defaults__", (0,))
    monkeypatch.setattr(tape, "_locked", lambda *_: False)
    with pytest.raises(Busy, match="is writing"):
        compact(db, NOW)


HARM = (
    "delete from price_log where price > 2.5", "update series set sku = sku || '?'",
    "drop view of_mine; drop table mine",
)  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_differs_does_not_take_its_place(
    db: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """What was written is read back; when a row is missing or other, the old file stays."""
    before = tape.Place(db).writer.read_bytes()
    fill = module._fill

    def harmed(con: duckdb.DuckDBPyConnection, fresh: Path) -> None:
        fill(con, fresh)
        with duckdb.connect(str(fresh)) as other:
            other.execute(harm)

    monkeypatch.setattr(module, "_fill", harmed)
    with pytest.raises(Damaged, match="does not hold the same"):
        compact(db, NOW)
    assert tape.Place(db).writer.read_bytes() == before
    assert not list(db.parent.glob("*.part*"))


def test_offers_that_differ_are_noticed_too(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal rows are not enough: the question people ask must be answered alike."""
    answers = iter([(1, 1), (1, 2)])
    monkeypatch.setattr(module, "_offers", lambda *_: next(answers))
    with pytest.raises(Damaged, match="does not hold the same v_offers"):
        compact(db, NOW)


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from gputape.store import compact
def kill(*_, **__): os.kill(os.getpid(), 9)
setattr(compact, sys.argv[2], kill)
compact.compact(Path(sys.argv[1]), datetime.now(UTC))
"""


@pytest.mark.parametrize("moment", ["_rewrite", "_read_back", "publish"])
def test_killed_at_any_moment_the_tape_is_usable(db: Path, moment: str) -> None:
    """Before the swap the old file is as it was; after it the next reader publishes the new."""
    before = asked(db, "from scan order by all")
    words = [sys.executable, "-c", KILLED, str(db), moment]
    assert subprocess.run(words, check=False).returncode == -9

    assert asked(db, "from scan order by all") == before
    with tape.writing(db, NOW) as con:
        assert check(con, Depth.DEEP) == []
        tape.publish(con, db)
    assert not list(db.parent.glob("*.part*"))
