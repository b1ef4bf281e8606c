"""The lake's catalogue in PostgreSQL: where it is, and whose turn it is.

    ducklake:postgres:dbname=gputape host=db.example user=collector?data_path=s3://bucket/tape

What stands between `postgres:` and `?` is PostgreSQL's own connection string. The data path may
come from `GPUTAPE_DATA_PATH`, and is needed only once: the catalogue remembers it. A password
comes from PGPASSWORD, PGPASSFILE or the string, and is in no message.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
# A machine that vanishes gives its claims back after a minute, not after TCP's two hours.
KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
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


def is_lake(text: str) -> bool:
    """Return whether these words name a lake rather than a file."""
    return text.startswith("ducklake:")


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


@contextmanager
def claim(lake: Lake, key: str, *, patience_s: float = 0) -> Iterator[bool]:
    """Hold `key` (a provider and part) among all who use the lake, or yield False.

    PostgreSQL gives it back when this process, its machine or its connection dies.
    """
    pg = _psycopg()
    secret = {} if lake.password is None else {"password": lake.password}
    try:
        con = pg.connect(
            lake.dsn, autocommit=True, connect_timeout=CONNECT_S, options=KEEPALIVE, **secret
        )
        with con.cursor() as cursor:
            ours = _claimed(cursor, key, time.monotonic() + patience_s)
    except pg.Error as error:
        why = lake.hushed(str(error))
        raise NoLake(f"can not reach {lake} ({why}): check that it runs and lets you in") from None
    try:
        yield ours
    finally:
        with suppress(pg.Error):
            con.close()


def _claimed(cursor: Any, key: str, end: float) -> bool:
    number = [_int4(OURS), _int4(crc32(key.encode()))]
    while True:
        row = cursor.execute("select pg_try_advisory_lock(%s, %s)", number).fetchone()
        if row and row[0]:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)


def _int4(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number


def _psycopg() -> Any:
    try:
        import psycopg  # noqa: PLC0415  # a lake's own, 60 ms
        import psycopg.conninfo  # noqa: PLC0415  # same
    except ImportError:
        raise NoLake(f"a lake needs psycopg: {INSTALL}") from None
    return psycopg
