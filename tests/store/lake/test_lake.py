"""A lake, on a real PostgreSQL and a real S3 API: opened, shared, claimed, tidied, and hushed."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gputape.store import catalogue, lake
from gputape.store.errors import BadInput, Busy, NoLake, NoTape
from gputape.store.lake import Conflicts, Lake
from gputape.store.places import where

ROWS = 50  # of a batch: enough to become a file rather than a row of the catalogue
TABLES = """
create table batch (writer integer not null, n integer not null, k integer not null);
create table scan (writer integer not null, n integer not null, rows integer not null)
"""


@contextmanager
def opened(words: str, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(lake.parse(words), read_only=read_only) as con:
        yield con


def ask(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()


class Children:
    """Processes of one test, none of which outlives it."""

    def __init__(self) -> None:
        self.born: list[subprocess.Popen[str]] = []

    def __call__(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        self.born.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return self.born[-1]


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a child says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def child() -> Iterator[Children]:
    """Start a process; all are killed at the end."""
    children = Children()
    yield children
    for process in children.born:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def add_batch(con: duckdb.DuckDBPyConnection, writer: int, n: int) -> None:
    con.execute(f"insert into batch select {writer}, {n}, k from range({ROWS}) r(k)")
    con.execute(f"insert into scan values ({writer}, {n}, {ROWS})")


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*.parquet"))


# -- where a lake is ----------------------------------------------------------------------


def test_only_a_lake_is_called_one(extensions: None) -> None:
    """A path is a file's, whatever it looks like; `ducklake:` is not."""
    assert where("ducklake:postgres:dbname=gputape") == Lake("dbname=gputape")
    assert where("/tmp/ducklake/tape.duckdb") == Path("/tmp/ducklake/tape.duckdb")  # noqa: S108  # only a name


def test_the_words_name_the_catalogue_and_the_files(extensions: None) -> None:
    """PostgreSQL's own string, then the data path, which ends in a slash."""
    found = lake.parse("ducklake:postgres:dbname=gp host=db user=me?data_path=s3://b/tape", {})

    assert found == Lake("dbname=gp host=db user=me", "s3://b/tape/")


def test_the_data_path_may_come_from_the_environment(extensions: None) -> None:
    """What the words say comes first; neither is needed once the lake is made."""
    env = {"GPUTAPE_DATA_PATH": "/srv/tape"}

    assert lake.parse("ducklake:postgres:dbname=gp", env).data_path == "/srv/tape/"
    assert lake.parse("ducklake:postgres:dbname=gp?data_path=s3://b", env).data_path == "s3://b/"
    assert lake.parse("ducklake:postgres:dbname=gp", {}).data_path is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("ducklake:sqlite:x.db", "with PostgreSQL as its catalogue"),
        ("ducklake:postgres:dbname", "dbname=gputape host=db.example"),
        ("ducklake:postgres:dbname=a?data_path=gs://b", "a folder or s3://"),
    ],
)
def test_what_can_not_be_read_is_said(extensions: None, words: str, sentence: str) -> None:
    """Each sentence shows what would be right."""
    with pytest.raises(BadInput, match=sentence):
        lake.parse(words, {})


def test_a_password_is_never_shown(extensions: None) -> None:
    """Neither printing nor naming a lake tells it, and a wrong string is not quoted."""
    found = lake.parse("ducklake:postgres:dbname=a password=hush", {})

    assert "hush" not in f"{found} {found!r} {found.dsn}"
    assert found.password == "hush"  # noqa: S105  # not one
    with pytest.raises(BadInput) as error:
        lake.parse("ducklake:postgres:dbname=a password='hush", {})
    assert "hush" not in str(error.value)
    assert error.value.__suppress_context__


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg or an extension the sentence is the line to type."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NoLake, match=r"psycopg: pip install 'gputape\[lake\]'"):
        lake.parse("ducklake:postgres:dbname=a", {})

    monkeypatch.setattr(lake, "find_spec", lambda _: None)
    with pytest.raises(
        NoLake, match=r"postgres_scanner for DuckDB .*: pip install 'gputape\[lake\]'"
    ):
        lake.connect(Lake("dbname=a"), read_only=True)


def test_an_extension_of_another_duckdb_is_named(
    extensions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extensions fit one DuckDB only, so the sentence says which one runs."""
    monkeypatch.setattr(duckdb, "__version__", "1.9.9")

    with pytest.raises(NoLake, match=r"for DuckDB 1\.9\.9: .*brings the DuckDB that it fits"):
        lake.connect(Lake("dbname=a"), read_only=True)


# -- opening ------------------------------------------------------------------------------


def test_what_one_writes_another_reads(lake_words: str) -> None:
    """A reader sees tables, views and macros, and can change none of them."""
    with opened(lake_words) as con:
        con.execute(TABLES)
        con.execute("create macro of_writer(w) as table from batch where writer = w")
        con.execute("create view v_scans as from scan; comment on view v_scans is 'ours'")
        add_batch(con, 1, 1)

    with opened(lake_words, read_only=True) as con:
        assert ask(con, "select count(*) from of_writer(1)") == [(ROWS,)]
        assert ask(con, "from v_scans") == [(1, 1, ROWS)]
        assert ask(con, "select comment from duckdb_views() where view_name = 'v_scans'") == [
            ("ours",)
        ]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            con.execute("insert into scan values (2, 2, 2)")


def test_the_catalogue_remembers_where_the_files_are(lake_words: str) -> None:
    """The data path is needed once; another one later is a mistake that is said."""
    with opened(lake_words) as con:
        path = lake.data_path(con)
    words, _, _ = lake_words.partition("?")

    with opened(words) as con:
        assert lake.data_path(con) == path
    with pytest.raises(BadInput, match="keeps its files elsewhere than /other/: leave that out"):
        lake.connect(lake.parse(f"{words}?data_path=/other"), read_only=True)


def test_a_reader_makes_no_lake(lake_words: str, postgres: Any) -> None:
    """Before any writer there is nothing to read, and nothing is made."""
    with pytest.raises(NoTape, match="run `gputape collect`"):
        lake.connect(lake.parse(lake_words), read_only=True)
    dsn, _, _ = lake_words.partition("?")
    database = dsn.split("dbname=")[1].split()[0]
    assert postgres.run("select count(*) from pg_tables where schemaname = 'public'", database) == [
        (0,)
    ]

    with pytest.raises(NoLake, match="say where its files go"):
        lake.connect(lake.parse(dsn), read_only=False)


def test_a_lake_is_not_made_among_other_files(lake_words: str, tmp_path: Path) -> None:
    """Tidying removes every Parquet file that is not the lake's, so it gets a place of its own."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "dear.parquet").write_text("to me")

    with pytest.raises(NoLake, match="holds files of something else"):
        lake.connect(lake.parse(lake_words), read_only=False)


@pytest.mark.slow
def test_writers_who_make_it_at_once_make_one(lake_words: str, child: Children) -> None:
    """Three processes that open an empty catalogue together all get in."""
    code = """
        import sys
        from gputape.store import lake
        lake.connect(lake.parse(sys.argv[1]), read_only=False).close()
        """
    racing = [child(code, lake_words) for _ in range(3)]

    assert [(p.communicate()[0], p.returncode) for p in racing] == [("", 0)] * 3


def test_a_lake_in_a_bucket_is_the_same(s3_lake_words: str) -> None:
    """The files lie in S3, and a reader needs only the catalogue and the keys."""
    with opened(s3_lake_words) as con:
        con.execute(TABLES)
        add_batch(con, 1, 1)
    words, _, _ = s3_lake_words.partition("?")

    with opened(words, read_only=True) as con:
        (first, *_) = ask(con, "select data_file from ducklake_list_files('tape', 'batch')")
        assert first[0].startswith("s3://")
        assert ask(con, "select count(*), sum(k) from batch") == [(ROWS, ROWS * (ROWS - 1) // 2)]


def test_a_bucket_without_keys_is_said(s3_lake_words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variables, before anything is made."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(NoLake, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        lake.connect(lake.parse(s3_lake_words), read_only=False)


def test_a_password_may_come_from_the_environment(
    lake_words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSWORD does for the catalogue and for claims what the string would."""
    before, _, after = lake_words.partition(" password=")
    password, _, path = after.partition("?")
    monkeypatch.setenv("PGPASSWORD", password)
    bare = f"{before}?{path}"

    with opened(bare), lake.claim(lake.parse(bare), "a/b") as ours:
        assert ours


def test_sql_and_errors_tell_no_secret(s3_lake_words: str) -> None:
    """What is attached, the secrets that DuckDB lists, and a refusal hold no password or key."""
    where = lake.parse(s3_lake_words)
    secrets = (where.password, os.environ["AWS_SECRET_ACCESS_KEY"])
    with opened(s3_lake_words) as con:
        shown = str(ask(con, "from duckdb_databases()")) + str(ask(con, "from duckdb_secrets()"))
    for password, dsn in (("wr0ng", where.dsn), (where.password, where.dsn.replace("t", "x", 1))):
        for door in (lake.claim(Lake(dsn, None, password), "k"), opened_at(dsn, password)):
            with pytest.raises(NoLake) as error, door:
                pass
            shown += f"{error.value} {error.value.__cause__}"

    assert "wr0ng" not in shown
    assert [secret for secret in secrets if secret and secret in shown] == []


@contextmanager
def opened_at(dsn: str, password: str | None) -> Iterator[None]:
    lake.connect(Lake(dsn, None, password), read_only=True).close()
    yield


def test_a_catalogue_out_of_reach_is_one_sentence(extensions: None) -> None:
    """It says which lake, why, and what to look at."""
    with pytest.raises(NoLake) as error:
        lake.connect(Lake("dbname=a host=127.0.0.1 port=1", None, "hush"), read_only=True)

    assert "ducklake:postgres:dbname=a host=127.0.0.1 port=1" in str(error.value)
    assert "Connection refused" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", ["lake_words", "s3_lake_words"])
def test_a_sealed_lake_is_read_and_nothing_else(words: str, request: pytest.FixtureRequest) -> None:
    """The lake's own files stay open to SQL; other files, and unsealing, do not."""
    text = request.getfixturevalue(words)
    with opened(text) as con:
        con.execute(TABLES)
        add_batch(con, 1, 1)
    with opened(text, read_only=True) as con:
        lake.seal(con)

        assert ask(con, "select count(*) from batch") == [(ROWS,)]
        for query in (
            "from read_text('/etc/passwd')",
            "copy scan to '/tmp/out.csv'",
            "attach 'dbname=postgres' as pg (type postgres)",
            "set enable_external_access = true",
            "set threads = 1",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(query)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("select * from postgres_query('x', 'select pg_read_file(1)')", "postgres_query"),
        ('with a as (from "POSTGRES_SCAN"(1, 2, 3)) from a', "postgres_scan"),
        ("from query('from post' || 'gres_scan(1, 2, 3)')", "query"),
        ("from __ducklake_metadata_tape.public.pg_user", "__ducklake_metadata_tape"),
        ("pivot postgres_scan('a', 'b', 'c') on x", "postgres_scan"),
        ("explain from ducklake_expire_snapshots('tape')", "ducklake_expire_snapshots"),
        ("select 1; from system.main.postgres_scan(1, 2, 3)", "postgres_scan"),
        ("select 'postgres_scan', \"query\" from v_offers where sku = '\"query\"'", None),
        ("pivot v_offers on option using min(price)", None),
        ("from offers_at(now())", None),
    ],
)
def test_a_question_that_leaves_the_lake_is_known(
    extensions: None, query: str, word: str | None
) -> None:
    """Functions that reach PostgreSQL are found however they are written, and only they."""
    with duckdb.connect() as con:
        assert lake.door(con, query) == word


# -- claims -------------------------------------------------------------------------------


def test_a_part_is_claimed_by_one(lake_words: str) -> None:
    """A second claim is refused while the first is held, another part's is not."""
    where = lake.parse(lake_words)
    with (
        lake.claim(where, "aws/us-east-1") as first,
        lake.claim(where, "aws/us-east-1") as second,
        lake.claim(where, "aws/eu") as other,
    ):
        assert (first, second, other) == (True, False, True)
    with lake.claim(where, "aws/us-east-1") as again:
        assert again


def test_a_claim_can_be_waited_for(lake_words: str) -> None:
    """With patience, what is held until then is had as soon as it is free."""
    where = lake.parse(lake_words)
    began = time.monotonic()
    with lake.claim(where, "schema"), lake.claim(where, "schema", patience_s=0.3) as ours:
        assert not ours
    assert time.monotonic() - began >= 0.3


def test_a_claim_dies_with_its_process(lake_words: str, child: Children) -> None:
    """SIGKILL gives it back at once."""
    holder = child(
        """
        import sys, time
        from gputape.store import lake
        with lake.claim(lake.parse(sys.argv[1]), "aws/eu") as ours:
            print(ours, flush=True)
            time.sleep(60)
        """,
        lake_words,
    )
    assert line(holder) == "True"
    with lake.claim(lake.parse(lake_words), "aws/eu") as while_held:
        assert not while_held
    holder.kill()

    with lake.claim(lake.parse(lake_words), "aws/eu", patience_s=5) as after:
        assert after


def test_a_claim_is_held_through_an_error(lake_words: str) -> None:
    """What happens inside passes through, and the claim is given back."""
    where = lake.parse(lake_words)
    with pytest.raises(ZeroDivisionError), lake.claim(where, "k"):
        raise ZeroDivisionError
    with lake.claim(where, "k") as ours:
        assert ours


def test_halves_of_a_lock_are_signed() -> None:
    """PostgreSQL's int4 ends at 2³¹."""
    assert [catalogue._int4(n) for n in (0, 2**31 - 1, 2**31, 2**32 - 1)] == [
        0, 2**31 - 1, -(2**31), -1,
    ]  # fmt: skip


# -- writing together ---------------------------------------------------------------------


def test_a_transaction_that_met_another_begins_again(lake_words: str) -> None:
    """The whole of it is done anew on what the other one left, and the meeting is counted."""
    met, fresh = Conflicts(), []
    with opened(lake_words) as one, opened(lake_words) as two:
        one.execute("create table state (n integer)")
        one.execute(f"insert into state select 1 from range({ROWS})")

        def raise_all() -> int:
            one.execute("update state set n = n + 1")
            if not met.count:  # another writer comes between, once
                two.execute("update state set n = n + 10")
            return 7

        assert lake.retrying(one, raise_all, met, afresh=lambda: fresh.append(1)) == 7
        assert (met.count, fresh) == (1, [1])
        assert ask(two, "select distinct n from state") == [(12,)]


def test_another_error_undoes_the_transaction_and_passes(lake_words: str) -> None:
    """Nothing of it stays, it is not tried twice, and the connection goes on."""
    with opened(lake_words) as con:
        con.execute(TABLES)

        def fail() -> None:
            add_batch(con, 1, 1)
            raise BadInput("no")

        with pytest.raises(BadInput):
            lake.retrying(con, fail)
        assert ask(con, "select count(*) from scan") == [(0,)]


def test_a_commit_that_can_not_be_is_not_tried_again() -> None:
    """DuckLake calls every failed commit a transaction's; only a conflict is worth another try."""
    met = Conflicts()

    def refused() -> None:
        raise duckdb.TransactionException("Failed to commit: permission denied for table x")

    with duckdb.connect() as con, pytest.raises(duckdb.TransactionException, match="permission"):
        lake.retrying(con, refused, met)
    assert met.count == 0


def test_there_is_an_end_to_retrying(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many attempts somebody is told; the wait between them grows, with chance in it."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    met = Conflicts()

    def never() -> None:
        raise duckdb.TransactionException("conflict")

    with duckdb.connect() as con, pytest.raises(Busy, match="try again later"):
        lake.retrying(con, never, met)
    assert met.count == len(waits) == lake.ATTEMPTS
    assert max(waits) <= 2


WRITE = f"""
import sys
from gputape.store import lake
words, writer, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
con = lake.connect(lake.parse(words), read_only=False)
met = lake.Conflicts()
for n in range(most):
    def batch():
        con.execute(f"insert into batch select {{writer}}, {{n}}, k from range({ROWS}) r(k)")
        con.execute(f"insert into scan values ({{writer}}, {{n}}, {ROWS})")
    lake.retrying(con, batch, met)
    print(n, flush=True)
print("met", met.count, flush=True)
"""

READ = """
import sys
from gputape.store import lake
con = lake.connect(lake.parse(sys.argv[1]), read_only=True)
torn, looks, before = 0, 0, 0
while True:
    scans, rows, uneven = con.execute(
        "select (select count(*) from scan), (select count(*) from batch), (select count(*) from "
        "(select n from batch group by writer, n having count(*) <> count(distinct k) "
        "or count(*) <> any_value((select max(rows) from scan))))"
    ).fetchall()[0]
    torn += uneven > 0 or rows != 50 * scans or scans < before
    looks, before = looks + 1, scans
    print(looks, torn, flush=True)
"""


@pytest.mark.slow
def test_four_write_while_two_read(lake_words: str, tmp_path: Path, child: Children) -> None:
    """No batch is lost, doubled or torn, not even one whose writer is killed half-way.

    What the killed one left behind is found by tidying.
    """
    with opened(lake_words) as con:
        con.execute(TABLES)
    readers = [child(READ, lake_words) for _ in range(2)]
    assert [line(reader) for reader in readers] == ["1 0", "1 0"]  # both are up
    writers = [child(WRITE, lake_words, w, 20) for w in range(3)]
    doomed = child(WRITE, lake_words, 3, 10_000)
    assert [line(doomed) for _ in range(5)] == ["0", "1", "2", "3", "4"]
    time.sleep(0.013)
    doomed.kill()
    said = doomed.communicate()[0].splitlines()
    for writer in writers:
        words = writer.communicate()[0].split()
        assert words[:20] == [str(n) for n in range(20)]
        assert words[20] == "met"
    for reader in readers:
        reader.kill()
        *looks, _ = reader.communicate()[0].split("\n")  # the last may be cut
        assert looks
        assert looks[-1].split()[1] == "0"

    with opened(lake_words) as con:
        kept = dict(ask(con, "select writer, count(*) from scan group by writer"))
        assert [kept[w] for w in range(3)] == [20, 20, 20]
        acknowledged = 5 + len(said)
        assert acknowledged <= kept[3] <= acknowledged + 1  # the last may be unacknowledged
        whole = f"count(*) = {ROWS} and count(distinct k) = {ROWS}"
        assert ask(con, f"select distinct {whole} from batch group by writer, n") == [(True,)]
        assert ask(con, "select count(*) from batch") == [(ROWS * sum(kept.values()),)]

        done = lake.tidy(con, datetime.now(UTC) + timedelta(minutes=1))
        known = ask(con, "select data_file from ducklake_list_files('tape', 'batch')")
        known += ask(con, "select data_file from ducklake_list_files('tape', 'scan')")
        assert files(tmp_path) == {Path(file) for (file,) in known}
        assert done.merged_files >= 60
        assert ask(con, "select count(*) from batch") == [(ROWS * sum(kept.values()),)]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["lake_words", "s3_lake_words"])
def test_tidying_finds_what_a_killed_writer_left(
    words: str, request: pytest.FixtureRequest, child: Children
) -> None:
    """Small files become one, and a file that no commit names is removed, when old enough."""
    text = request.getfixturevalue(words)
    with opened(text) as con:
        con.execute(TABLES)
        for n in range(4):
            add_batch(con, 1, n)
    killed = child(
        """
        import sys, time
        from gputape.store import lake
        con = lake.connect(lake.parse(sys.argv[1]), read_only=False)
        con.begin()
        con.execute("insert into batch select 9, 9, k from range(1000) r(k)")
        print("written", flush=True)
        time.sleep(60)
        """,
        text,
    )
    assert line(killed) == "written"
    killed.kill()

    with opened(text) as con:
        early = lake.tidy(con, datetime.now(UTC) - timedelta(days=1))
        late = lake.tidy(con, datetime.now(UTC) + timedelta(minutes=1))

        assert (early.flushed_rows, early.merged_files) == (4, 4)
        assert (early.expired_snapshots, early.removed_files, early.orphans) == (0, 0, 0)
        assert late.orphans == 1
        assert late.removed_files >= 4
        assert ask(con, "select count(*) from batch where writer = 9") == [(0,)]
        assert ask(con, "select count(*), count(distinct n) from batch") == [(4 * ROWS, 4)]
