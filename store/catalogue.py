"""The lake's catalogue in PostgreSQL: where it is, and whose turn it is.

    ducklake:postgres:dbname=gputape host=db.example user=collector?data_path=s3://bucket/tape

What stands between `postgres:` and `?` is PostgreSQL's own connection string. The data path may
come from `GPUTAPE_DATA_PATH`, and is needed only once: the catalogue remembers it. A password
comes from PGPASSWORD, PGPASSFILE or the string, and is in no message.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from gputape.store.errors import BadInput, NoLake

SCHEME = "ducklake:postgres:"
DATA_PATH = "GPUTAPE_DATA_PATH"
INSTALL = "pip install 'gputape[lake]'"
SECRETS = ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
CONNECT_S = 10
POLL_S = 0.1
# A machine that vanishes gives its claims back after a minute, not after TCP's two hours.
KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
WRITTEN = """
select max(snapshot_id), min(snapshot_id), count(*) filter (
    where snapshot_id > %(since)s and author is distinct from %(author)s
        and (commit_message is null or commit_message in (%(key)s, 'frames')))
from ducklake_snapshot_changes
"""
OURS = crc32(b"gputape")  # the first half of every advisory lock


@dataclass(frozen=True, slots=True)
class Lake:
    """Where one lake lives."""

    dsn: str  # without the password
    data_path: str | None = None  # a folder or s3://bucket/prefix, ends in /; None: as it was made
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return SCHEME + self.dsn

    def hushed(self, words: str) -> str:
        """Return somebody's words about this lake in one line, without what is secret."""
        line = " ".join(words.split())
        for secret in (self.password, *map(os.environ.get, SECRETS)):
            line = line.replace(secret, "***") if secret else line
        return line[:300]


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Lake:
    """Read `ducklake:postgres:…?data_path=…`. Raises `BadInput`, `NoLake` (no psycopg)."""
    if not text.startswith(SCHEME):
        raise BadInput(
            "a lake is spelled ducklake:postgres:dbname=… host=…?data_path=…, "
            "with PostgreSQL as its catalogue"
        )
    dsn, _, path = text.removeprefix(SCHEME).partition("?data_path=")
    pg = _psycopg()
    try:
        words = pg.conninfo.conninfo_to_dict(dsn)
    except pg.ProgrammingError:  # it may quote the password
        raise BadInput(
            "what follows ducklake:postgres: is no PostgreSQL connection string: "
            "write it as dbname=gputape host=db.example user=collector"
        ) from None
    password = words.pop("password", None)
    return Lake(
        dsn=pg.conninfo.make_conninfo("", **dict(sorted(words.items()))),
        data_path=_data_path(path or environment.get(DATA_PATH, "")),
        password=None if password is None else str(password),
    )


def _data_path(text: str) -> str | None:
    if not text:
        return None
    if "://" not in text:
        return f"{Path(text).expanduser().resolve()}/"
    if not text.startswith("s3://"):
        raise BadInput("the lake's data path is a folder or s3://bucket/prefix")
    return text.rstrip("/") + "/"


class Claims:
    """What one process holds among all who use the lake; its threads may share it.

    PostgreSQL gives everything back when the process, its machine or its connection dies.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        secret = {} if lake.password is None else {"password": lake.password}
        with self._said():
            self._con = _psycopg().connect(
                lake.dsn, autocommit=True, connect_timeout=CONNECT_S, options=KEEPALIVE, **secret
            )

    def take(
        self,
        key: str,
        *,
        patience_s: float = 0,
        shared: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Hold a key, alone or with others who share it, or return False after `patience_s`."""
        call = "select pg_try_advisory_lock" + "_shared" * shared + "(%s, %s)"
        end = time.monotonic() + patience_s
        while not self._ask(call, key):
            if stopped() or time.monotonic() >= end:
                return False
            time.sleep(POLL_S)
        return True

    def give(self, key: str, *, shared: bool = False) -> None:
        """Give a key back."""
        with suppress(NoLake):  # the connection is gone, and with it every claim
            self._ask("select pg_advisory_unlock" + "_shared" * shared + "(%s, %s)", key)

    def written(self, key: str, since: int, author: str) -> tuple[int, bool]:
        """Return the lake's newest snapshot, and whether others wrote under a key since one.

        What bears no key may be anything. A query of DuckLake's costs a hundred times as much.
        """
        with self._said(), self._con.cursor() as cursor:
            newest, oldest, count = cursor.execute(
                WRITTEN, {"key": key, "since": since, "author": author}
            ).fetchone()
        return int(newest or 0), bool(count or (oldest or 0) > since)

    def close(self) -> None:
        """Give everything back."""
        with suppress(_psycopg().Error):
            self._con.close()

    def _ask(self, call: str, key: str) -> bool:
        with self._said(), self._con.cursor() as cursor:
            row = cursor.execute(call, [_int4(OURS), _int4(crc32(key.encode()))]).fetchone()
        return bool(row and row[0])

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except _psycopg().Error as error:
            lake, why = self._lake, self._lake.hushed(str(error))
            raise NoLake(
                f"can not reach {lake} ({why}): check that it runs and lets you in"
            ) from None


@contextmanager
def claim(lake: Lake, key: str, *, patience_s: float = 0) -> Iterator[bool]:
    """Hold `key` among all who use the lake, or yield False."""
    with closing(Claims(lake)) as claims:
        yield claims.take(key, patience_s=patience_s)


def _int4(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number


def _psycopg() -> Any:
    try:
        import psycopg  # noqa: PLC0415  # a lake's own, 60 ms
        import psycopg.conninfo  # noqa: PLC0415  # same
    except ImportError:
        raise NoLake(f"a lake needs psycopg: {INSTALL}") from None
    return psycopg
