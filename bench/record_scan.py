"""A scan of 60,000 offers with 3,000 new prices into a tape that knows them, on disk.

Ours is `Recorder.record_table`: comparing, appending what changed, commit, checkpoint.
Theirs is DuckDB's own bulk load of the same Arrow table into a file table, every column of
every row and nothing compared: `insert into offer select * from incoming`, commit.

    python bench/record_scan.py where      prints what each of our statements costs
"""

import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from measure import Line, cost, python, slower

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from gputape.store.record import Recorder

OFFERS, CHANGES = 60_000, 3_000
EARLIER = 6  # scans that the tape holds before the first that counts
SIDES = ("ours", "insert", "checkpoint")


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Time both in one child, in turn, and return the medians."""
    sizes = (int(OFFERS * scale), int(CHANGES * scale))
    runs = json.loads(cost(python(__file__, "time", folder, *sizes, repeats)).said)
    wall = {side: median(run[side][0] for run in runs) for side in SIDES}
    cpu = {side: median(run[side][1] for run in runs) for side in SIDES}
    both = ("insert", "checkpoint")
    size = f"{sizes[0]:,} offers, {sizes[1]:,} new prices"
    return [
        slower(f"record, bulk insert, wall ({size})", wall["ours"], wall["insert"], "s", 1.5),
        slower("record, bulk insert, CPU", cpu["ours"], cpu["insert"], "CPU s"),
        slower("record, bulk insert + checkpoint, wall", wall["ours"], sum(wall[s] for s in both),
               "s"),
        slower("record, bulk insert + checkpoint, CPU", cpu["ours"], sum(cpu[s] for s in both),
               "CPU s"),
    ]  # fmt: skip


class Scans:
    """A tape that knows all offers and some history, and the next scan of them, ready made."""

    def __init__(self, recorder: "Recorder", offers: int, changes: int) -> None:
        from market import offers as listed

        self.recorder = recorder
        self.changes = changes
        self.table = listed("aws", offers)
        self._at = datetime.now(UTC).replace(hour=1)  # no day ends while these are recorded
        self._record()
        for _ in range(EARLIER):
            self.advance()
            self._record()

    def advance(self) -> None:
        """Make the next table: the last one, with other prices in some rows."""
        from market import moved

        self._at += timedelta(seconds=1)
        count = self.table.num_rows
        rows = random.Random(self._at.second).sample(range(count), self.changes)  # noqa: S311
        self.table = moved(self.table, rows, self._at.second)

    def record(self) -> None:
        """Record the table. Every change must be found and nothing else."""
        changed = self._record().changed
        if changed != self.changes:
            raise SystemExit(f"{changed} changes were found, not {self.changes}")

    def _record(self) -> Any:
        from gputape.store.scan import Scan

        at = self._at
        scan = Scan(
            run_id=1, provider="aws", part="all", started_at=at, finished_at=at, observed_at=at,
            status="ok", parser_revision=1, normaliser="bench",
        )  # fmt: skip
        return self.recorder.record_table(scan, self.table)


def clocked(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of all threads that something takes."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def insert(con: "duckdb.DuckDBPyConnection", table: "pa.Table") -> None:
    """Load a table as DuckDB does it best."""
    con.register("incoming", table)
    con.begin()
    con.execute("insert into offer select * from incoming")
    con.commit()
    con.unregister("incoming")


def in_turn(folder: Path, offers: int, changes: int, repeats: int) -> list[dict[str, Any]]:
    """Record and bulk load in turn; return the seconds of each run."""
    from gputape.app.collecting import open_recorder
    from gputape.store.tape import connect

    runs = []
    with (
        open_recorder(folder / "record.duckdb", datetime.now(UTC)) as recorder,
        connect(folder / "plain.duckdb", read_only=False) as plain,
    ):
        scans = Scans(recorder, offers, changes)
        plain.register("shape", scans.table)
        plain.execute("create table offer as select * from shape")
        for _ in range(repeats):
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
        self.spent: dict[str, list[float]] = {}

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
        wall_s, _ = clocked(lambda: result.append(self._con.execute(sql, *values)))
        self.spent.setdefault(" ".join(sql.split())[:72], []).append(wall_s)
        return result[0]


def where(offers: int, changes: int, repeats: int) -> None:
    """Print the median milliseconds of each statement of one scan, the longest first."""
    from gputape.app.collecting import open_recorder

    with TemporaryDirectory() as name:
        with open_recorder(Path(name) / "record.duckdb", datetime.now(UTC)) as recorder:
            scans = Scans(recorder, offers, changes)
            recorder.con = watched = Watched(recorder.con)  # type: ignore[assignment]
            for _ in range(repeats):
                scans.advance()
                _, _ = clocked(scans.record)
            for sql, spent in sorted(watched.spent.items(), key=lambda pair: -sum(pair[1])):
                print(f"{sum(spent) / repeats * 1000:7.2f} ms  {len(spent) / repeats:4.1f} ×  {sql}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["time", place, *sizes]:
            print(json.dumps(in_turn(Path(place), *map(int, sizes))))
        case ["where", *_]:
            where(OFFERS, CHANGES, 9)
