"""The child of `record_scan.py`: records scans and bulk loads them, in turn, in one process.

python bench/recording.py time FOLDER OFFERS CHANGES REPEATS | where
"""

import json
import random
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from market import moved, offers, scan
from record_scan import CHANGES, OFFERS, SIDES

from gputape.app.collecting import open_recorder
from gputape.store.record import Recorder
from gputape.store.scan import Counts
from gputape.store.tape import connect

EARLIER = 6  # scans that the tape holds before the first that counts
WATCHED = 9  # scans of which `where` tells the mean
NUMBERS = re.compile(r"\d{6,}")  # scan ids: the same statement has another each time


class Scans:
    """A tape that knows all offers and some history, and the next scan of them, ready made."""

    def __init__(self, recorder: Recorder, count: int, changes: int) -> None:
        self.recorder = recorder
        self.changes = changes
        self.table = offers("aws", count, "all")
        self.step = 0
        self._at = datetime.now(UTC).replace(hour=1)  # no day ends while these are recorded
        self._record()
        for _ in range(EARLIER):
            self.advance()
            self._record()

    def advance(self) -> None:
        """Make the next table: the last one, with other prices in some rows."""
        self.step += 1
        dice = random.Random(self.step)  # noqa: S311  # nothing secret: the same rows every time
        rows = dice.sample(range(self.table.num_rows), self.changes)
        self.table = moved(self.table, rows, self.step)

    def record(self) -> None:
        """Record the table. Every change must be found and nothing else."""
        counts = self._record()
        if (counts.changed, counts.unchanged) != (self.changes, self.table.num_rows - self.changes):
            raise SystemExit(f"{counts} is not {self.changes} changes")

    def _record(self) -> Counts:
        at = self._at + timedelta(seconds=self.step)
        return self.recorder.record_table(scan("aws", "all", at), self.table)


def clocked(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds, and the CPU seconds of all threads, that something takes."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def insert(con: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
    """Load a table as DuckDB does it best."""
    con.register("incoming", table)
    con.begin()
    con.execute("insert into offer select * from incoming")
    con.commit()
    con.unregister("incoming")


def in_turn(folder: Path, count: int, changes: int, repeats: int) -> list[dict[str, Any]]:
    """Record and bulk load in turn; return the seconds of each run."""
    runs = []
    with (
        open_recorder(folder / "record.duckdb", datetime.now(UTC)) as recorder,
        connect(folder / "plain.duckdb", read_only=False) as plain,
    ):
        scans = Scans(recorder, count, changes)
        plain.register("shape", scans.table)
        plain.execute("create table offer as select * from shape")
        for _ in range(repeats):
            plain.checkpoint()  # each run begins with nothing left to write
            scans.advance()
            ours = clocked(scans.record)
            inserted = clocked(lambda: insert(plain, scans.table))
            runs.append(dict(zip(SIDES, (ours, inserted, clocked(plain.checkpoint)), strict=True)))
    return runs


# -- where our time goes ------------------------------------------------------------------


class Watched:
    """A connection that notes what each statement costs."""

    def __init__(self, con: Any) -> None:
        self._con = con
        self.spent: dict[str, list[tuple[float, float]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def begin(self) -> None:
        """Begin."""
        self.execute("begin")

    def commit(self) -> None:
        """Commit."""
        self.execute("commit")

    def execute(self, sql: str, *values: Any) -> Any:
        """Execute, and note the seconds under the statement's first words."""
        result: list[Any] = []
        seconds = clocked(lambda: result.append(self._con.execute(sql, *values)))
        self.spent.setdefault(" ".join(NUMBERS.sub("#", sql).split())[:76], []).append(seconds)
        return result[0]


def where() -> None:
    """Print the mean cost of each statement of one scan, the longest first."""
    with (
        TemporaryDirectory() as folder,
        open_recorder(Path(folder) / "record.duckdb", datetime.now(UTC)) as recorder,
    ):
        scans = Scans(recorder, OFFERS, CHANGES)
        recorder.con = watched = Watched(recorder.con)  # type: ignore[assignment]
        for _ in range(WATCHED):
            scans.advance()
            scans.record()
    print("    wall      CPU")
    for sql, spent in sorted(
        watched.spent.items(), key=lambda pair: -sum(wall for wall, _ in pair[1])
    ):
        wall_ms, cpu_ms = (sum(column) / WATCHED * 1000 for column in zip(*spent, strict=True))
        print(f"{wall_ms:5.1f} ms {cpu_ms:5.1f} ms  {len(spent) / WATCHED:4.1f} ×  {sql}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["time", place, *sizes]:
            print(json.dumps(in_turn(Path(place), *map(int, sizes))))
        case _:
            where()
