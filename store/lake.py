"""The lake: one tape for several machines, PostgreSQL as its catalogue and Parquet as its rows.

`catalogue.py` says where one is and whose turn it is; here it is opened, written and tidied.
DuckDB's extensions are loaded from wheels by their path: nothing is downloaded. Keys for S3 come
from `AWS_…`, and like the password they are never in a message, nor where SQL can read them.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from gputape.store.catalogue import CONNECT_S, DATA_PATH, INSTALL, Lake, claim, parse
from gputape.store.errors import BadInput, Busy, Damaged, NoLake, NoTape, TooNew
from gputape.store.literal import literal
from gputape.store.migrate import has_our_views, migrate, own_views, schema, to_do

if TYPE_CHECKING:
    import duckdb

__all__ = (
    "Conflicts", "Lake", "Tidied", "claim", "connect", "data_path", "door", "lend", "parse",
    "reading", "retrying", "seal", "tidy", "untidy", "writing",
)  # fmt: skip

T = TypeVar("T")

CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# DuckLake's own retries of one commit: waits of 50 ms that grow to 6 s, not to years
SETTINGS = """
set timezone = 'UTC'; set enable_progress_bar = false; set ducklake_max_retry_count = 100;
set ducklake_retry_wait_ms = 50; set ducklake_retry_backoff = 1.05
"""
SCHEMA_S = 60.0  # how long another one's migration is waited for
ATTEMPTS = 20  # ours, of a whole transaction
CONFLICT = re.compile(
    r"conflict|another transaction|duplicate key|serializ|deadlock", re.IGNORECASE
)
# what reaches PostgreSQL itself, any server of any name included, through whatever is shut
DOORS = r"(?:__ducklake|ducklake_|postgres_|pg_clear_|read_postgres_)\w*|query|query_table"
DOOR_IN_TREE = re.compile(rf'"(?:function|catalog|schema)_name":"({DOORS})"', re.IGNORECASE)
DOOR_IN_WORDS = re.compile(rf"\b({DOORS})\b", re.IGNORECASE)


@dataclass(slots=True)
class Conflicts:
    """How often a transaction met another one and began again."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Tidied:
    """What `tidy` came to, in rows, files and snapshots."""

    flushed_rows: int
    merged_files: int
    expired_snapshots: int
    removed_files: int
    orphans: int


# -- opening ------------------------------------------------------------------------------


def connect(lake: Lake, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
    """Attach the lake as `tape` and use it; a writer makes it when there is none.

    Raises `NoTape` (a reader before any writer), `NoLake`, `TooNew`, `BadInput`.
    """
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    con = duckdb.connect(":memory:", config={**CONFIG})
    try:
        _open(con, lake, read_only=read_only)
    except BaseException as error:
        con.close()
        if isinstance(error, duckdb.Error):
            raise _refusal(lake, error) from None
        raise
    return con


def _open(con: "duckdb.DuckDBPyConnection", lake: Lake, *, read_only: bool) -> None:
    _prepare(con, lake)
    if not _attached(con, lake, read_only=read_only):
        if read_only:
            raise NoTape(f"there is no lake at {lake} yet: run `gputape collect` with it")
        _make(con, lake)
    con.execute("use tape")
    if not lake.data_path:
        _give_keys(con, data_path(con))


@contextmanager
def writing(lake: Lake, now: datetime) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open the lake as one of its writers, migrated to this version's schema."""
    with connect(lake, read_only=False) as con:
        if to_do(con, lake) or not has_our_views(con):
            with claim(lake, "schema", patience_s=SCHEMA_S) as ours:
                if not ours:
                    raise Busy(f"another process is migrating {lake}: try again")
                migrate(con, now, lake)
        yield con


def reading(lake: Lake, *, sealed: bool = False) -> "duckdb.DuckDBPyConnection":
    """Open the lake read-only; `sealed` shuts everything else to SQL. Raises as `connect`."""
    con = connect(lake, read_only=True)
    try:
        _check_schema(con, lake)
        own_views(con)
        if sealed:
            seal(con)
    except BaseException:
        con.close()
        raise
    return con


def _check_schema(con: "duckdb.DuckDBPyConnection", lake: Lake) -> None:
    lacking = to_do(con, lake)
    if len(lacking) == len(schema()):
        raise NoTape(f"there is no tape at {lake} yet: run `gputape collect` with it")
    if lacking:
        raise Damaged(
            f"{lake} lacks schema {max(lacking)}: run `gputape collect` of this version with it"
        )


def lend(con: "duckdb.DuckDBPyConnection", lake: Lake, name: str) -> None:
    """Attach a lake read-only under a name, to a connection that has another tape open."""
    import duckdb  # noqa: PLC0415  # same

    try:
        _prepare(con, lake)
        _attach(con, lake, "read_only", name=name)
    except duckdb.Error as error:
        raise _refusal(lake, error) from None


def _prepare(con: "duckdb.DuckDBPyConnection", lake: Lake) -> None:
    _load(con, "postgres_scanner")
    _load(con, "ducklake")
    con.execute(SETTINGS)
    if lake.data_path is None or lake.data_path.startswith("s3://"):
        _load(con, "httpfs")
    if lake.data_path:
        _give_keys(con, lake.data_path)


def _load(con: "duckdb.DuckDBPyConnection", name: str) -> None:
    """Load an extension from its wheel, 150 ms each: DuckDB checks its signature."""
    import duckdb  # noqa: PLC0415  # same

    package = find_spec(f"duckdb_extension_{name}")
    folder = Path(package.origin).parent if package and package.origin else None
    file = f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"
    if folder is None or not (folder / file).exists():
        raise NoLake(
            f"a lake needs the extension {name} for DuckDB {duckdb.__version__}: {INSTALL}"
            + (", which brings the DuckDB that it fits" if folder else "")
        )
    con.execute(f"load {literal(str(folder / file))}")


def _give_keys(con: "duckdb.DuckDBPyConnection", path: str) -> None:
    """Let this connection, and only under the data path's bucket, use the keys for S3."""
    if not path.startswith("s3://"):
        return
    env = os.environ
    words = {
        "key_id": env.get("AWS_ACCESS_KEY_ID"),
        "secret": env.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": env.get("AWS_SESSION_TOKEN"),
        "region": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
        "scope": "/".join(path.split("/")[:3]),
    }
    if not (words["key_id"] and words["secret"]):
        raise NoLake(f"{path} needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if url := env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL"):
        parts = urlsplit(url)
        words |= {"endpoint": parts.netloc + parts.path.rstrip("/"), "url_style": "path"}
        words |= {"use_ssl": str(parts.scheme != "http").lower()}
    given = ", ".join(f"{name} {literal(value)}" for name, value in words.items() if value)
    con.execute(f"create or replace secret tape_files (type s3, {given})")


def _attached(con: "duckdb.DuckDBPyConnection", lake: Lake, *, read_only: bool) -> bool:
    """Attach a lake that there is, or return False."""
    import duckdb  # noqa: PLC0415  # same

    try:
        _attach(con, lake, "read_only" if read_only else "create_if_not_exists false")
    except duckdb.InvalidInputException as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _attach(
    con: "duckdb.DuckDBPyConnection", lake: Lake, *options: str, name: str = "tape"
) -> None:
    words = [*options]
    if lake.data_path:
        words.append(f"data_path {literal(lake.data_path)}")
    if lake.password is not None:
        # in a secret, because `duckdb_databases()` and DuckDB's errors show what was attached
        password = literal(lake.password)
        con.execute(f"create or replace secret tape_door (type postgres, password {password})")
        words.append("meta_secret tape_door")
    patience = "" if "connect_timeout" in lake.dsn else f" connect_timeout={CONNECT_S}"
    con.execute(f"attach {literal(str(lake) + patience)} as {name} ({', '.join(words)})")


def _make(con: "duckdb.DuckDBPyConnection", lake: Lake) -> None:
    """Make the lake's catalogue, as the only one who does."""
    if not lake.data_path:
        raise NoLake(
            f"there is no lake at {lake} yet: say where its files go, with ?data_path=… "
            f"or {DATA_PATH}"
        )
    with claim(lake, "make", patience_s=CONNECT_S) as ours:
        if not ours:
            raise Busy(f"another process is making {lake}: try again")
        if _attached(con, lake, read_only=False):
            return
        # `tidy` removes every Parquet file that the catalogue does not know
        if con.execute(f"from glob({literal(lake.data_path + '**')}) limit 1").fetchall():
            raise NoLake(f"{lake.data_path} holds files of something else: give an empty place")
        _attach(con, lake)


def _refusal(lake: Lake, error: Exception) -> BadInput | NoLake | TooNew:
    """Say what to do about DuckDB's own words (1.5.5)."""
    if "does not match existing data path" in str(error):
        return BadInput(f"{lake} keeps its files elsewhere than {lake.data_path}: leave that out")
    line = lake.hushed(str(error))
    if "DuckLake version" in line or "catalog version" in line:
        return TooNew(f"{lake} was made by a later DuckLake: upgrade duckdb ({line})")
    why = line.rpartition('": ')[2] if "Unable to connect" in line else line
    return NoLake(f"can not open {lake} ({why}): check that it runs and lets you in")


def data_path(con: "duckdb.DuckDBPyConnection") -> str:
    """Return where the attached lake keeps its files."""
    return str(con.execute("select data_path from ducklake_settings('tape')").fetchall()[0][0])


def seal(con: "duckdb.DuckDBPyConnection") -> None:
    """Shut the file system and the network to SQL, but for the lake's own files, for good."""
    con.execute(f"set allowed_directories = [{literal(data_path(con))}]")
    con.execute("set enable_external_access = false; set lock_configuration = true")


def door(con: "duckdb.DuckDBPyConnection", query: str) -> str | None:
    """Return the word by which a question would leave a sealed lake for PostgreSQL, or None."""
    tree = str(con.execute(f"select json_serialize_sql({literal(query)})").fetchall()[0][0])
    # a tree is only made of `select`: a pivot's and an explanation's words are looked at instead
    unread = tree.startswith('{"error":true')
    found = DOOR_IN_WORDS.search(query) if unread else DOOR_IN_TREE.search(tree)
    return found[1] if found else None


# -- writing ------------------------------------------------------------------------------


def retrying(
    con: "duckdb.DuckDBPyConnection",
    transaction: Callable[[], T],
    conflicts: Conflicts | None = None,
    *,
    afresh: Callable[[], object] = lambda: None,
) -> T:
    """Do all of a transaction, and again from its beginning when another one came first.

    `afresh` runs after each that was undone: what was learned inside it is no longer so.
    Raises `Busy` after `ATTEMPTS`; anything else is undone and raised as it is.
    """
    import duckdb  # noqa: PLC0415  # same

    for attempt in range(ATTEMPTS):
        try:
            con.begin()
            result = transaction()
            con.commit()
        except duckdb.TransactionException as error:
            _undo(con)
            if not CONFLICT.search(str(error)):  # no right to write, a full disk
                raise
            if conflicts is not None:
                conflicts.count += 1
            afresh()
            time.sleep(random.uniform(0, min(0.05 * 2**attempt, 2)))  # noqa: S311  # no secret
        except BaseException:
            _undo(con)
            raise
        else:
            return result
    raise Busy(f"the lake was written by others each of {ATTEMPTS} times: try again later")


def _undo(con: "duckdb.DuckDBPyConnection") -> None:
    import duckdb  # noqa: PLC0415  # same

    with suppress(duckdb.Error):
        con.rollback()


def untidy(con: "duckdb.DuckDBPyConnection", since: datetime) -> bool:
    """Whether the lake remembers what it was before a moment: `tidy` would have it forget."""
    query = "select min(snapshot_time) < $since from ducklake_snapshots('tape')"
    return bool(con.execute(query, {"since": since}).fetchall()[0][0])


def tidy(con: "duckdb.DuckDBPyConnection", older_than: datetime) -> Tidied:
    """Merge small files, and remove what no snapshot since `older_than` needs and no one made.

    Give it more than the longest collection takes: a file that its transaction has not yet
    committed is an orphan too. One process at a time (`claim(lake, "tidy")`).
    """
    at = {"at": older_than}

    def rows(call: str, *values: dict[str, datetime]) -> list[tuple[object, ...]]:
        return con.execute(f"from ducklake_{call}", *values).fetchall()

    flushed = rows("flush_inlined_data('tape')")
    merged = rows("merge_adjacent_files('tape')")
    expired = rows("expire_snapshots('tape', older_than => $at)", at)
    removed = rows("cleanup_old_files('tape', older_than => $at)", at)
    orphans = rows("delete_orphaned_files('tape', older_than => $at)", at)
    return Tidied(
        sum(int(str(row[2])) for row in flushed),
        sum(int(str(row[2])) for row in merged),
        len(expired),
        len(removed),
        len(orphans),
    )
