"""One export: each table written beside the target, described, and put in place by one rename.

What was cut is called `.NAME.PID.part`, never by the target's name; the next export sweeps it.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gputape.store.errors import BadInput, TapeError
from gputape.store.export import columnar, manifest, sqlite
from gputape.store.export.slices import slices
from gputape.store.export.tables import TABLES
from gputape.store.literal import filled, literal
from gputape.store.places import Where

if TYPE_CHECKING:
    import duckdb

WRITERS: dict[str, columnar.Writer] = {
    "parquet": columnar.parquet,
    "csv": columnar.csv,
    "jsonl": columnar.jsonl,
    "sqlite": sqlite.write,
}
MEMORY = "1GB"  # of DuckDB; what needs more goes through the disk beside the target
SPILL = ".spill"
SQLITE_HEADER = b"SQLite format 3\0"
WITH_SOURCE = ("prices", "changes", "series")
SOURCE_IS = "source is not null"
# how each format is read back, `*` where the table's name goes
READ = {
    "parquet": "read_parquet('*/**/*.parquet', hive_partitioning = false)",
    "csv": "read_csv('*.csv', all_varchar = true)",
    "jsonl": "read_json('*.jsonl', format = 'newline_delimited', "
    "columns = {'source': 'varchar', 'origin': 'varchar'})",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to export, and to where; None is all."""

    target: Path
    fmt: str = "parquet"
    since: datetime | None = None
    until: datetime | None = None
    gpus: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    tables: tuple[str, ...] | None = None
    force: bool = False

    @property
    def names(self) -> list[str]:
        """The tables in the order of `TABLES`. Raises `BadInput` for one that is none."""
        asked = TABLES.keys() if self.tables is None else self.tables
        if unknown := sorted(set(asked) - TABLES.keys()):
            raise BadInput(f"there is no table {unknown[0]!r}: one of {', '.join(TABLES)}")
        return [name for name in TABLES if name in asked]

    @property
    def values(self) -> dict[str, object]:
        """The filters as the tables' questions name them."""
        return {
            "since": self.since,
            "until": self.until,
            "gpus": None if self.gpus is None else sorted(self.gpus),
            "providers": None if self.providers is None else sorted(self.providers),
        }

    @property
    def filters(self) -> dict[str, object]:
        """The same as the manifest says them."""
        return {
            name: manifest.iso(value) if isinstance(value, datetime) else value
            for name, value in self.values.items()
        }


def export(
    con: "duckdb.DuckDBPyConnection",
    plan: Plan,
    tape: Where,
    now: datetime,
    watch: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Write what a plan says and return the manifest. `watch` hears what is written next.

    `con` is of `store.tape.reading`, so that all tables are of one moment; it is of no use
    for anything else afterwards. Raises `BadInput` (a target that is there), `TapeError`.
    """
    names = plan.names
    _refuse(plan)
    with _stage(plan.target) as stage, _sentences(plan.target):
        spill = literal(str(stage / SPILL))
        con.execute(f"set temp_directory = {spill}; set memory_limit = '{MEMORY}'")
        said = _said(con, plan, tape, now)
        for name in names:
            watch(name)
            table = TABLES[name]
            pieces = slices(con, table, plan.values)
            rows = WRITERS[plan.fmt](con, name, pieces, stage)
            sql = filled(table.sql, plan.values)
            said["tables"][name] = manifest.about_table(con, table, sql, rows, plan.fmt)
        watch(manifest.NAME)
        _finish(con, plan, stage, said)
        _put(plan, stage)
    return said


def _said(
    con: "duckdb.DuckDBPyConnection", plan: Plan, tape: Where, now: datetime
) -> dict[str, Any]:
    return {
        "format": plan.fmt,
        "stored": manifest.STORED[plan.fmt],
        "program": manifest.program(),
        "exported_at": manifest.iso(now),
        "tape": manifest.about_tape(con, tape),
        "filters": plan.filters,
        "notes": list(manifest.NOTES),
        "tables": {},
    }


def _finish(
    con: "duckdb.DuckDBPyConnection", plan: Plan, stage: Path, said: dict[str, Any]
) -> None:
    """Count the imported rows, and write the manifest, last of all."""
    shutil.rmtree(stage / SPILL, ignore_errors=True)
    counted: dict[str | None, dict[str, int]] = {}
    for name in (name for name in WITH_SOURCE if name in said["tables"]):
        for source, rows in _imported(con, plan, stage, name):
            counted.setdefault(source, {})[name] = rows
    said["sources"] = manifest.about_sources(con, counted)
    if plan.fmt == "sqlite":
        sqlite.finish(stage, said)
        (stage / sqlite.FILE).rename(stage / plan.target.name)
    files = [file for file in stage.rglob("*") if file.is_file()]
    said["files"] = manifest.about_files(stage, files)
    with (stage / manifest.NAME).open("w", encoding="utf-8") as file:
        json.dump(said, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _imported(
    con: "duckdb.DuckDBPyConnection", plan: Plan, stage: Path, name: str
) -> list[tuple[str | None, int]]:
    """Read back what was written: rows that are not the provider's own word, by source."""
    test = SOURCE_IS if name == "series" else f"{SOURCE_IS} or origin = 'import'"
    count = f"select source, count(*) from {{}} where {test} group by source"
    if plan.fmt == "sqlite":
        with closing(sqlite.opened(stage)) as db:
            return db.execute(count.format(name)).fetchall()
    if not any(stage.glob(f"{name}/**/*.parquet" if plan.fmt == "parquet" else f"{name}.*")):
        return []
    where = literal(str(stage / name))[:-1]
    return con.execute(count.format(READ[plan.fmt].replace("'*", where))).fetchall()


# -- where it goes --------------------------------------------------------------------------


def _refuse(plan: Plan) -> None:
    """Raise `BadInput` for a target that is there, unless it is to be replaced and is ours."""
    target = plan.target
    if not os.path.lexists(target):
        return
    if not plan.force:
        raise BadInput(f"{target} is there already: give another place, or --force to replace it")
    if not _is_export(target, plan.fmt):
        raise BadInput(f"{target} is no {plan.fmt} export: move it away, or give another place")


def _is_export(target: Path, fmt: str) -> bool:
    if fmt == "sqlite":
        if not target.is_file():
            return False
        with target.open("rb") as file:
            return file.read(len(SQLITE_HEADER)) == SQLITE_HEADER
    return target.is_dir() and ((target / manifest.NAME).exists() or not any(target.iterdir()))


@contextmanager
def _stage(target: Path) -> Iterator[Path]:
    """Lend a folder beside the target, and remove it at the end, and those of the killed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.(?:part|old)")
    for path in target.parent.iterdir():
        if (found := left.fullmatch(path.name)) and not _alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)
    stage = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _put(plan: Plan, stage: Path) -> None:
    """Give the export its name; what it replaces goes first, and comes back if that fails."""
    target = plan.target
    if plan.fmt == "sqlite":
        beside = target.with_name(f"{target.name}.{manifest.NAME}")
        beside.unlink(missing_ok=True)
        (stage / target.name).replace(target)
        (stage / manifest.NAME).replace(beside)
        return
    old = stage.with_suffix(".old")
    if target.exists():
        target.rename(old)
    try:
        stage.rename(target)
    except OSError:
        with suppress(FileNotFoundError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _sentences(target: Path) -> Iterator[None]:
    import duckdb  # noqa: PLC0415  # 80 ms that `--help` need not pay

    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        line = str(error).strip().splitlines()[0]
        raise TapeError(
            f"can not write {target} ({line}): free disk space, or give another place"
        ) from None
