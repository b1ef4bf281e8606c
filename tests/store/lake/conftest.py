"""A real PostgreSQL and a real S3 API on loopback, started and stopped by the tests.

Each process of a test run has its own PostgreSQL (1 s, once), and its own S3 when a test asks for
one; each test has its own database and bucket. Where something is missing, the tests are
skipped with the reason; with `GPUTAPE_LAKE_TESTS=must`, as in CI, they fail instead.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

PATIENCE_S = 30
USER, PASSWORD = "gputape", "s3same-0pen"  # of a server that lives for a minute
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "t0p-s3cret"}
WHEELS = ("ducklake", "postgres_scanner", "httpfs")


def lacking(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be lacking."""
    if os.environ.get("GPUTAPE_LAKE_TESTS") == "must":
        pytest.fail(reason)
    pytest.skip(reason)


def until(ready: Callable[[], bool], server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for a server, and show its last words if it ends instead."""
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if server.poll() is not None or time.monotonic() > end:
            server.kill()
            raise RuntimeError(log.read_text("utf-8", "replace")[-2000:])
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def extensions() -> None:
    """DuckDB's extensions for exactly the DuckDB that is installed, and psycopg."""
    import duckdb

    if duckdb.__version__ != "1.5.5":  # whatever must be: no wheels exist for another
        pytest.skip(f"extension wheels exist for DuckDB 1.5.5, and this is {duckdb.__version__}")
    for module in ("psycopg", *(f"duckdb_extension_{name}" for name in WHEELS)):
        if find_spec(module) is None:
            lacking(f"{module} is missing: pip install 'gputape[lake]'")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    port: int

    def dsn(self, database: str, password: str = PASSWORD) -> str:
        words = f"dbname={database} host=127.0.0.1 port={self.port} user={USER}"
        return f"{words} password={password}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.dsn(database), autocommit=True) as con:
            found = con.execute(statement.encode())
            return found.fetchall() if found.description else []


def postgres_programs() -> Path:
    """Return the folder of `initdb`: on the path, or the newest of Debian's."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = [d for d in Path("/usr/lib/postgresql").glob("*/bin") if (d / "initdb").exists()]
    if not versions:
        lacking("PostgreSQL's server is missing: apt-get install postgresql")
    return max(versions, key=lambda folder: float(folder.parent.name))


def ordinary_user() -> str | None:
    """Return who runs the server, which refuses root; None: we do."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres(extensions: None) -> Iterator[Postgres]:
    """PostgreSQL with a password, English messages and no regard for a power cut."""
    programs, user = postgres_programs(), ordinary_user()
    folder = Path(tempfile.mkdtemp(prefix="gputape-postgres-"))
    log, data = folder / "log", folder / "data"
    (folder / "password").write_text(PASSWORD, "utf-8")
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
    who = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": ()} if user else {}
    port = free_port()
    words = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off",
             "lc_messages=C", "full_page_writes=off", "max_connections=100"]  # fmt: skip
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", USER, "--pwfile", folder / "password",
             "--auth=scram-sha-256", "--no-sync", "--locale=C", "--encoding=UTF8"],
            check=True, capture_output=True, cwd=folder, **who,
        )  # fmt: skip
        with log.open("wb") as out:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *(w for word in words for w in ("-c", word))],
                stdout=out, stderr=out, cwd=folder, **who,
            )  # fmt: skip
        until(lambda: _answers(Postgres(port)), server, log)
        yield Postgres(port)
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients to go
        server.wait(PATIENCE_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(server: Postgres) -> bool:
    import psycopg

    try:
        return server.run("select 1") == [(1,)]
    except psycopg.OperationalError:
        return False


@pytest.fixture
def database(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The connection string, password included, of an empty database of this test's own."""
    name = f"t{time.monotonic_ns()}"
    postgres.run(f"create database {name}")
    yield postgres.dsn(name)
    postgres.run(f"drop database {name} with (force)")


@pytest.fixture
def lake_words(database: str, tmp_path: Path) -> str:
    """What `--db` would say: a lake of this test's own, its files in a folder."""
    return f"ducklake:postgres:{database}?data_path={tmp_path / 'files'}"


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Moto's server, which keeps buckets in memory."""
    if find_spec("moto") is None or find_spec("flask_cors") is None:
        lacking("moto is missing: pip install 'gputape[dev]'")
    port, log = free_port(), tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p",
             str(port)], stdout=out, stderr=out,
        )  # fmt: skip
    until(lambda: listens(port), server, log)
    yield port
    server.terminate()
    server.wait(PATIENCE_S)


@pytest.fixture
def bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, with the environment that leads there."""
    name, url = f"b{time.monotonic_ns()}", f"http://127.0.0.1:{s3_port}"
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    made = urllib.request.Request(f"{url}/{name}", method="PUT")  # noqa: S310  # loopback
    with urllib.request.urlopen(made) as answer:  # noqa: S310  # same
        assert answer.status == 200
    return name


@pytest.fixture
def s3_lake_words(database: str, bucket: str) -> str:
    """A lake of this test's own, its files in a bucket."""
    return f"ducklake:postgres:{database}?data_path=s3://{bucket}/tape"
