"""`gputape sql`: any question, no change, and no waiting for whoever writes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.views import VIEWS
from gputape.store import tape as store

Run = Callable[..., Any]
HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gputape.store import tape
with tape.writing(Path(sys.argv[1]), datetime.now(UTC)) as con:
    con.execute("create table half_done as select 1")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def writer(db: Path) -> Iterator[int]:
    """Hold a tape open for writing in another process; yields its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process.pid
        process.communicate("done\n")


# -- questions --------------------------------------------------------------------------------


def test_a_question_is_answered(gputape: Run) -> None:
    """Rows come out under the names that the query gives them."""
    rows = gputape("sql", "select 1 + 1 as two, 'x' as letter", "--format", "json").json

    assert rows == [{"two": 2, "letter": "x"}]


def test_a_question_from_stdin(gputape: Run) -> None:
    """`-` reads the query from stdin."""
    ran = gputape("sql", "-", "--format", "csv", stdin="-- a comment\nselect 42 as answer;\n")

    assert ran.out == "answer\n42\n"


def test_the_query_of_the_manual(gputape: Run) -> None:
    """The example of `--help` runs."""
    ran = gputape("sql", "select provider, min(usd_gpu_hour) from v_offers group by all")

    assert ran.code == 0
    assert "oracle" in ran.out


@pytest.mark.parametrize(
    "query",
    [
        "from v_offers limit 1",
        "with a as (select 1 as b) from a",
        "describe v_offers",
        "show tables",
        "summarize v_gpus",
        "explain select 1",
        "explain analyze select 1",
        "pragma table_info('v_offers')",
        "values (1)",
        "pivot v_offers on option using count(*) group by provider",
        "select * from offers_at('2026-08-01'::timestamptz) limit 1",
        "select 1; select 2",
    ],
)
def test_every_way_of_asking(gputape: Run, query: str) -> None:
    """DuckDB's ways of asking are let through."""
    ran = gputape("sql", query)

    assert ran.code == 0, ran.err
    assert ran.out


def test_no_rows_is_4(gputape: Run) -> None:
    """A query that finds nothing ends with 4."""
    ran = gputape("sql", "select 1 where false")

    assert (ran.code, ran.out, ran.err) == (4, "", "no rows\n")


def test_the_list_shows_every_view_with_its_columns(gputape: Run) -> None:
    """`--list` has each view, what it is, and each column with its type."""
    rows = gputape("sql", "--list", "--format", "json").json

    assert {row["view"]: row["what"] for row in rows if row["what"]} == VIEWS
    assert {"view": "v_offers", "what": "", "column": "usd_gpu_hour",
            "type": "decimal(18,6)"} in rows  # fmt: skip


@pytest.mark.parametrize("words", [(), ("select 1", "--list")])
def test_a_query_or_the_list(gputape: Run, words: tuple[str, ...]) -> None:
    """Neither, or both, is usage."""
    ran = gputape("sql", *words)

    assert ran.code == 2
    assert "give a query, or --list" in ran.err


@pytest.mark.parametrize("query", ["selec 1", "select * from nope", "", "   ", "-", "select 1/"])
def test_a_query_that_can_not_be_read_is_a_sentence(gputape: Run, query: str) -> None:
    """DuckDB's complaint is passed on without a traceback; an empty query points at `--list`."""
    ran = gputape("sql", query)

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("gputape: ")
    assert "Error" in ran.err or "`gputape sql --list`" in ran.err


# -- no change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "insert into gpu select * from gpu",
        "update gpu set name = 'x'",
        "delete from price_log",
        "create table x as select 1",
        "create view x as select 1",
        "drop view v_offers",
        "attach 'other.duckdb' as other",
        "copy gpu to 'gpu.csv'",
        "copy (select 1) to '{db}' (use_tmp_file false)",
        "copy (select 1) to '{db}.wal'",
        "copy (pivot v_offers on option using count(*)) to '{db}.wal'",
        "explain analyze copy (select 1) to '{db}.wal'",
        "explain analyze /* */ copy (select 1) to '{db}.wal'",
        "/* */ explain analyze copy (select 1) to '{db}.wal'",
        "select 1; copy (select 1) to '{db}.wal'",
        "prepare p as copy (select 1) to '{db}.wal'; execute p",
        "export database 'out'",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/passwd')",
        "select * from glob('/etc/*')",
        "install httpfs",
        "load httpfs",
        "select * from 'https://example.com/x.parquet'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "call enable_logging()",
        "begin; select 1",
    ],
)
def test_what_is_no_question_is_refused(
    gputape: Run, tape: Path, tmp_path: Path, query: str
) -> None:
    """Nothing is written, read or fetched beside the tape: one sentence, exit 2, tape untouched."""
    db = tmp_path / "tape.duckdb"
    db.write_bytes(tape.read_bytes())
    before = sha256(db.read_bytes()).hexdigest()
    ran = gputape("sql", query.format(db=db), db=db)

    assert ran.code == 2
    assert ran.err.startswith("gputape: ")
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert sha256(db.read_bytes()).hexdigest() == before
    assert {file.name for file in tmp_path.iterdir()} <= {"tape.duckdb", "tape.lock", "home"}


# -- no waiting -------------------------------------------------------------------------------


@pytest.fixture
def own(tape: Path, tmp_path: Path) -> Path:
    """A tape of this test alone."""
    db = tmp_path / "own" / "tape.duckdb"
    with store.writing(db, datetime.now(UTC)) as con:
        store.publish(con, db)
    assert tape != db
    return db


def test_a_reader_does_not_wait_for_the_writer(gputape: Run, own: Path) -> None:
    """While another process writes, what was published before is read."""
    with writer(own):
        ran = gputape("sql", "select count(*) as n from scan", "--format", "csv", db=own)

    assert (ran.code, ran.out) == (0, "n\n0\n")


def test_a_reader_does_not_see_what_is_half_done(gputape: Run, own: Path) -> None:
    """The writer's own file is not what people read."""
    with writer(own):
        ran = gputape("sql", "from half_done", db=own)

    assert ran.code == 2
    assert "half_done does not exist" in ran.err


def test_a_writer_does_not_wait_for_readers(own: Path) -> None:
    """While a reader holds the tape open, another process writes and publishes."""
    with store.reading(own) as con, writer(own):
        assert con.execute("select count(*) from scan").fetchall() == [(0,)]


def test_a_second_writer_is_told_who_writes(program: Run, own: Path, root: Path) -> None:
    """`collect` on a tape that is being written ends with 1 and the writer's pid."""
    with writer(own) as pid:
        ran = program("collect", "oracle", "--replay", root / "fixtures", "--db", own)

    assert ran.code == 1
    assert f"gputape: process {pid} is writing {own}: wait for it" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_every_read_during_a_collection_succeeds(
    gputape: Run, start: Callable[..., "subprocess.Popen[str]"], own: Path, root: Path
) -> None:
    """From the first request to the last commit, readers see a whole tape, never an error."""
    slugs = ("aws", "gcp", "lambda_labs", "oracle")
    collection = start("collect", *slugs, "--replay", root / "fixtures", "--db", own)
    counts = []
    while collection.poll() is None:
        ran = gputape("sql", "select count(*) as n from v_offers", "--format", "csv", db=own)
        counts.append((ran.code, ran.err, int(ran.out.split()[1])))
        time.sleep(0.1)
    collection.communicate()
    last = gputape("sql", "select count(*) as n from v_offers", "--format", "csv", db=own)

    assert len(counts) > 1
    assert {(code, err) for code, err, _ in counts} == {(0, "")}
    assert [n for _, _, n in counts] == sorted(n for _, _, n in counts)
    assert int(last.out.split()[1]) > 100


def test_a_reader_that_leaves_ends_quietly(tape: Path, program: Run) -> None:
    """`| head` closes the pipe: 141 and not a word."""
    assert program("--version").code == 0
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [Path(sys.executable).with_name("gputape"), "sql", "from range(100000)", "--db", tape],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (141, "")
