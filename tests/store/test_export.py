"""Exports, read back by those for whom they are: DuckDB, pandas, sqlite3, csv, json."""

import csv
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gputape.store import tape as store
from gputape.store.errors import BadInput, TapeError
from gputape.store.export import slices as slicing
from gputape.store.export.tables import TABLES, UNITS
from gputape.store.export.write import WRITERS, Plan, export
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text("utf-8")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = datetime(2025, 12, 30, 6, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
FOLDERS = ("parquet", "csv", "jsonl")


def offer(provider: str, sku: str, price: str, **more: Any) -> Offer:
    key = SeriesKey(provider=provider, sku=sku, region="eu", option=Option.SPOT,
                    source=more.pop("source", None))  # fmt: skip
    return Offer(key=key, gpu=more.pop("gpu", "h100-sxm-80"), gpu_count=Decimal(8),
                 price=Decimal(price), **more)  # fmt: skip


def look(provider: str, at: datetime, **more: Any) -> Scan:
    made = Scan(run_id=1, provider=provider, part="list", started_at=at, finished_at=at,
                observed_at=at, status="ok", parser_revision=1, normaliser="1")  # fmt: skip
    return replace(made, **more)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of three providers over a new year, with rows of two who kept them for us."""
    db = tmp_path_factory.mktemp("imported") / "tape.duckdb"
    with store.writing(db, FIRST) as con:
        recorder = Recorder(con)
        for n in range(5):
            recorder.record(look("acme", FIRST + n * DAY), Listing(offers=[
                offer("acme", "one", f"16.{n}23456789"),
                offer("acme", 'two, "quoted"', "0.000001234", gpu="a100-sxm-80", available=False),
            ]))  # fmt: skip
        recorder.record(look("bazaar", FIRST), Listing(offers=[
            offer("bazaar", "einzeln", "12.50", currency="EUR", derived=""),
        ]))  # fmt: skip
        for source in ("known", "unknown"):
            recorder.record(
                look("relic", FIRST - DAY, origin=Origin.IMPORT, source=source, part=source),
                Listing(offers=[offer("relic", "old", "20.00", source=source)]),
            )
        con.execute(
            "insert into source values ('known', $1, 'Known Keepers', 'https://known.example', "
            "'CC-BY-4.0', 'Known Keepers, 2025')", [FIRST],
        )  # fmt: skip
        store.publish(con, db)
    return db


def exported(db: Path, target: Path, fmt: str = "parquet", **more: Any) -> dict[str, Any]:
    with store.reading(db) as con:
        return export(con, Plan(target=target, fmt=fmt, **more), db, NOW)


def asked(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with store.reading(db) as con:
        return con.execute(sql).fetchall()


PRICES = (
    "series_id, provider, sku, price, upfront, usd_hour, usd_gpu_hour, available, valid_from, "
    "valid_to"
)


@pytest.fixture(params=["tape", "imported"])
def db(request: pytest.FixtureRequest) -> Path:
    """The tape of `fixtures/`, and the one with imported rows."""
    path: Path = request.getfixturevalue(request.param)
    return path


# -- what others read -------------------------------------------------------------------------


def test_duckdb_reads_the_same_prices(db: Path, tmp_path: Path) -> None:
    """The partitions of a Parquet export are `v_prices`, column by column and digit by digit."""
    exported(db, tmp_path / "out")
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        source = f"read_parquet('{tmp_path}/out/prices/**/*.parquet', hive_partitioning = true)"
        names = [row[0] for row in asked(db, "describe v_prices")]
        found = con.execute(f"select {', '.join(names)} from {source} order by all").fetchall()
        years = con.execute(f"select distinct year = year(valid_from) from {source}").fetchall()

    assert found
    assert found == asked(db, "from v_prices order by all")
    assert years == [(True,)]


@pytest.mark.parametrize("name", [name for name in TABLES if name != "prices"])
def test_duckdb_reads_every_table(name: str, imported: Path, tmp_path: Path) -> None:
    """Each other table has the rows that the tape has for it."""
    said = exported(imported, tmp_path / "out", tables=(name,))
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        found = con.execute(f"from '{tmp_path}/out/{name}/*.parquet' order by all").fetchall()
    sql = re.sub(r"\$\w+", "null", TABLES[name].sql)

    assert found == asked(imported, f"from ({sql}) order by all")
    assert said["tables"][name]["rows"] == len(found)


def test_pandas_reads_the_same_prices(imported: Path, tmp_path: Path) -> None:
    """Provider and year come from the paths, exact decimals from the files."""
    exported(imported, tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "prices")
    order = frame.sort_values(["series_id", "valid_from"])
    rows = asked(
        imported,
        "select provider, year(valid_from), price, epoch_us(valid_from) from v_prices "
        "order by series_id, valid_from",
    )

    assert rows == [
        (str(provider), int(year), price, int(at.timestamp() * 1_000_000))
        for provider, year, price, at in zip(
            order["provider"], order["year"], order["price"], order["valid_from"], strict=True
        )
    ]
    assert {2025, 2026} == {int(year) for year in order["year"]}


def test_parquet_is_plain(tape: Path, tmp_path: Path) -> None:
    """Types that every engine reads: decimals, UTC microseconds, text; zstd, version 1 pages."""
    exported(tape, tmp_path / "out")
    (file,) = (tmp_path / "out/prices/provider=aws").rglob("*.parquet")
    schema, about = pq.read_schema(file), pq.ParquetFile(file).metadata
    column = about.row_group(0).column(schema.get_field_index("price"))

    assert not {"provider", "year"} & set(schema.names)
    assert str(schema.field("price").type) == "decimal128(18, 9)"
    assert str(schema.field("valid_from").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("sku").type) == "string"
    assert (column.physical_type, column.compression) == ("INT64", "ZSTD")
    assert not [name for name in column.encodings if name.startswith(("DELTA", "BYTE_STREAM"))]


def test_csv_has_every_digit(db: Path, tmp_path: Path) -> None:
    """The csv module reads what `v_prices` says, with nothing for NULL and ISO 8601 times."""
    exported(db, tmp_path / "out", "csv")
    with (tmp_path / "out/prices.csv").open(encoding="utf-8", newline="") as file:
        found = sorted(csv_row(row) for row in csv.DictReader(file))

    assert found == sorted(text_rows(db))


def csv_row(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in PRICES.split(", "))


def text_rows(db: Path) -> list[tuple[str, ...]]:
    """Return prices as text: decimals as printed, times as ISO 8601."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime):
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)

    return [tuple(map(text, row)) for row in asked(db, f"select {PRICES} from v_prices")]


def test_json_has_every_digit(db: Path, tmp_path: Path) -> None:
    """Numbers read as decimals are those of the tape."""
    exported(db, tmp_path / "out", "jsonl")
    lines = (tmp_path / "out/prices.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    true = asked(db, "select series_id, valid_from, price, usd_gpu_hour, available from v_prices")

    assert sorted(
        (row["series_id"], row["valid_from"], row["price"], row["usd_gpu_hour"], row["available"])
        for row in rows
    ) == sorted(
        (series, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), price, usd, available)
        for series, at, price, usd, available in true
    )


def test_sqlite_has_every_digit(db: Path, tmp_path: Path) -> None:
    """`Decimal(repr(x))` of a REAL is the price that was printed."""
    exported(db, tmp_path / "out.sqlite", "sqlite")
    with closing(sqlite3.connect(tmp_path / "out.sqlite")) as lite:
        found = lite.execute(
            "select series_id, valid_from, price, usd_gpu_hour, available from prices"
        ).fetchall()
    true = asked(db, "select series_id, valid_from, price, usd_gpu_hour, available from v_prices")

    assert sorted(
        (series, at, *(x if x is None else Decimal(repr(x)) for x in money), available)
        for series, at, *money, available in found
    ) == sorted(
        (series, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), price, usd,
         available if available is None else int(available))
        for series, at, price, usd, available in true
    )  # fmt: skip


def test_sqlite_is_ready_to_be_asked(imported: Path, tmp_path: Path) -> None:
    """It has keys, indexes, views that run, the units of its columns, and is sound."""
    exported(imported, tmp_path / "out.sqlite", "sqlite")
    with closing(sqlite3.connect(tmp_path / "out.sqlite")) as lite:
        names = dict(lite.execute("select name, type from sqlite_master").fetchall())
        assert lite.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert {name for name, kind in names.items() if kind == "table"} >= {*TABLES, "manifest"}
        assert "prices_0" in names
        plan = str(lite.execute("explain query plan select * from series where series_id = 1")
                   .fetchall())  # fmt: skip
        assert "INTEGER PRIMARY KEY" in plan
        current = lite.execute("select count(*) from current_prices").fetchall()
        licences = lite.execute("select source, licence from imported_prices").fetchall()
        unit = lite.execute("select unit from columns where \"column\" = 'usd_hour'").fetchall()
    assert current == asked(
        imported, "select count(*) from v_prices where valid_to is null and state = 'firm'"
    )
    assert sorted(licences) == [("known", "CC-BY-4.0"), ("unknown", None)]
    assert unit == [("USD per hour, whole sku",)]


def test_a_table_in_many_slices_is_the_same(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows fit into memory, no interval and no move is lost, cut or doubled."""
    whole = {fmt: exported(imported, tmp_path / fmt, fmt)["tables"] for fmt in WRITERS}
    monkeypatch.setattr(slicing.slices, "__defaults__", (1,))
    for fmt in WRITERS:
        sliced = exported(imported, tmp_path / f"{fmt}-1", fmt)["tables"]
        assert sliced == whole[fmt]
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        for one, two in (("parquet", "prices/**/*.parquet"), ("csv", "prices.csv"),
                         ("jsonl", "changes.jsonl")):  # fmt: skip
            rows = [con.execute(f"from '{tmp_path}/{name}/{two}' order by all").fetchall()
                    for name in (one, f"{one}-1")]  # fmt: skip
            assert rows[0] == rows[1] != []
    assert len(list((tmp_path / "parquet-1").glob("prices/provider=acme/year=2025/*"))) == 2


# -- filters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        ({"gpus": frozenset({"a100-sxm-80"})}, "gpu = 'a100-sxm-80'"),
        ({"providers": frozenset({"acme", "bazaar"})}, "provider in ('acme', 'bazaar')"),
        ({"since": FIRST + 2 * DAY}, "coalesce(valid_to, 'infinity') > '2026-01-01 06:00:00.1235'"),
        ({"until": FIRST + DAY}, "valid_from <= '2025-12-31 06:00:00.123456'"),
        ({"gpus": frozenset(), "providers": None}, "false"),
    ],
    ids=["gpu", "provider", "since", "until", "none"],
)  # fmt: skip
@pytest.mark.parametrize("fmt", ["parquet", "sqlite"])
def test_filters_narrow(
    fmt: str, filters: dict[str, Any], where: str, imported: Path, tmp_path: Path
) -> None:
    """A filtered export has the rows that `v_prices` has under the same condition."""
    said = exported(imported, tmp_path / "out", fmt, **filters)
    (expected,) = asked(imported, f"select count(*) from v_prices where {where}")[0]

    assert said["tables"]["prices"]["rows"] == expected
    assert expected < asked(imported, "select count(*) from v_prices")[0][0]


def test_filters_narrow_what_stands_beside(imported: Path, tmp_path: Path) -> None:
    """Scans, pages, days and moves are of the period and the provider that was asked for."""
    said = exported(imported, tmp_path / "out", providers=frozenset({"acme"}),
                    since=FIRST + DAY, until=FIRST + 3 * DAY)  # fmt: skip
    rows = {name: table["rows"] for name, table in said["tables"].items()}

    assert (rows["scans"], rows["series"], rows["changes"], rows["prices"]) == (3, 2, 2, 4)
    assert said["filters"] == {
        "since": "2025-12-31T06:00:00.123456Z",
        "until": "2026-01-02T06:00:00.123456Z",
        "gpus": None,
        "providers": ["acme"],
    }
    assert said["tables"]["scans"]["narrowed_by"] == ["since", "until", "providers"]


def test_only_some_tables(imported: Path, tmp_path: Path) -> None:
    """`tables` are written and nothing else."""
    exported(imported, tmp_path / "out", "csv", tables=("gpus", "prices"))

    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "prices.csv", "gpus.csv", "manifest.json",
    }  # fmt: skip


def test_a_table_that_is_none(imported: Path, tmp_path: Path) -> None:
    """It is refused before anything is written."""
    with pytest.raises(BadInput, match="there is no table 'price': one of prices, series"):
        exported(imported, tmp_path / "out", tables=("price",))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", list(WRITERS))
def test_an_empty_tape(fmt: str, tmp_path: Path) -> None:
    """Nothing is exported as nothing, with a manifest that says so."""
    db = tmp_path / "tape.duckdb"
    with store.writing(db, FIRST) as con:
        store.publish(con, db)
    said = exported(db, tmp_path / "out", fmt)

    assert {table["rows"] for table in said["tables"].values()} == {0}
    assert said["tape"]["newest_look_at"] is None


# -- the manifest -----------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FOLDERS)
def test_the_manifest_knows_every_file(fmt: str, imported: Path, tmp_path: Path) -> None:
    """Path, size and SHA-256 of all there is, and it is what was returned."""
    said = exported(imported, tmp_path / "out", fmt)
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }

    assert json.loads((tmp_path / "out/manifest.json").read_text("utf-8")) == said
    assert {file["path"]: (file["bytes"], file["sha256"]) for file in said["files"]} == {
        name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in files.items()
    }


def test_the_manifest_of_one_file_is_beside_it(imported: Path, tmp_path: Path) -> None:
    """An SQLite export is one file; its manifest has its hash."""
    said = exported(imported, tmp_path / "out.sqlite", "sqlite")
    beside = json.loads((tmp_path / "out.sqlite.manifest.json").read_text("utf-8"))
    body = (tmp_path / "out.sqlite").read_bytes()

    assert beside == said
    assert said["files"] == [{"path": "out.sqlite", "bytes": len(body),
                              "sha256": hashlib.sha256(body).hexdigest()}]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"out.sqlite", "out.sqlite.manifest.json"}


def test_the_manifest_says_from_what_and_when(imported: Path, tmp_path: Path) -> None:
    """Schema, program, moment, and how new the tape was; not where it lay."""
    said = exported(imported, tmp_path / "out")
    (schema,) = asked(imported, "select max(number) from migration")[0]

    assert said["tape"] == {
        "name": "tape.duckdb",
        "schema": schema,
        "oldest_look_at": "2025-12-29T06:00:00.123456Z",
        "newest_look_at": "2026-01-03T06:00:00.123456Z",
    }
    assert said["exported_at"] == "2026-11-01T00:00:00Z"
    assert re.fullmatch(r"gputape \d+\.\d+\.\d+\S*", said["program"])
    assert str(imported.parent) not in json.dumps(said)


@pytest.mark.parametrize("fmt", list(WRITERS))
def test_the_manifest_knows_whose_rows_are_in_it(fmt: str, imported: Path, tmp_path: Path) -> None:
    """Licence and attribution of imported rows; null for who is not known, not nothing."""
    said = exported(imported, tmp_path / "out", fmt)
    words = {"prices": 1, "changes": 1, "series": 1}

    assert said["sources"] == [
        {"source": "known", "name": "Known Keepers", "url": "https://known.example",
         "licence": "CC-BY-4.0", "attribution": "Known Keepers, 2025", "rows": words},
        {"source": "unknown", "name": None, "url": None, "licence": None, "attribution": None,
         "rows": words},
    ]  # fmt: skip


def test_no_source_is_named_that_is_not_in_it(imported: Path, tmp_path: Path) -> None:
    """An export of a provider's own prices owes nobody a licence."""
    assert exported(imported, tmp_path / "out", providers=frozenset({"acme"}))["sources"] == []


def test_the_manifest_has_the_columns_as_they_are(imported: Path, tmp_path: Path) -> None:
    """Names and types are those that a reader of the Parquet files finds."""
    said = exported(imported, tmp_path / "out")
    with duckdb.connect() as con:
        for name, table in said["tables"].items():
            where = f"read_parquet('{tmp_path}/out/{name}/**/*.parquet', hive_partitioning = true)"
            found = {row[0]: row[1].lower() for row in con.execute(f"describe from {where}")
                     .fetchall()}  # fmt: skip
            told = {column["name"]: column["type"] for column in table["columns"]}
            partitions = table.get("partitioned_by", [])
            assert told.keys() == found.keys(), name
            assert {n: k for n, k in told.items() if n not in partitions} == {
                n: k for n, k in found.items() if n not in partitions
            }


def test_every_figure_has_its_unit(imported: Path, tmp_path: Path) -> None:
    """A number that is no id says what it counts; no unit is kept for a column that went."""
    tables = exported(imported, tmp_path / "out")["tables"].values()
    columns = [column for table in tables for column in table["columns"]]
    bare = {
        column["name"]
        for column in columns
        if "unit" not in column
        and not column["type"].startswith(("varchar", "timestamp", "date", "boolean"))
        and not column["name"].endswith("_id")
    }

    assert bare == {"year"}
    assert set(UNITS) <= {column["name"] for column in columns}


# -- whole or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize("fmt", list(WRITERS))
def test_a_target_that_is_there_is_refused(fmt: str, imported: Path, tmp_path: Path) -> None:
    """Nothing is touched without `force`, and with it only an export is replaced."""
    target = tmp_path / "out"
    first = exported(imported, target, fmt, tables=("gpus",))
    with pytest.raises(BadInput, match=r"is there already.*--force"):
        exported(imported, target, fmt)
    second = exported(imported, target, fmt, tables=("fx",), force=True)

    assert [*first["tables"], *second["tables"]] == ["gpus", "fx"]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"out", "out.manifest.json"} if fmt == "sqlite" else {"out"})


@pytest.mark.parametrize("fmt", ["csv", "sqlite"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_export_is_never_replaced(
    fmt: str, kind: str, imported: Path, tmp_path: Path
) -> None:
    """`force` does not remove somebody's own folder or file."""
    target = tmp_path / "mine"
    precious = target / "thesis.txt" if kind == "folder" else target
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("years of work")

    with pytest.raises(BadInput, match=f"is no {fmt} export"):
        exported(imported, target, fmt, force=True)
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize("fmt", list(WRITERS))
def test_an_error_leaves_nothing(
    fmt: str, imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a table can not be written, there is no target and nothing half beside it."""

    def full(*_: object) -> int:
        raise duckdb.IOException("IO Error: No space left on device")

    write = WRITERS[fmt]
    monkeypatch.setitem(
        WRITERS, fmt, lambda con, name, *rest: (full if name == "fx" else write)(con, name, *rest)
    )
    with pytest.raises(TapeError, match=r"can not write .*No space left.*: free disk space"):
        exported(imported, tmp_path / "out", fmt)

    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_stays_when_the_new_one_fails(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement that fails leaves the export that was there."""
    exported(imported, tmp_path / "out")
    before = (tmp_path / "out/manifest.json").read_text()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, "parquet", full)
    with pytest.raises(OSError, match="No space"):
        exported(imported, tmp_path / "out", force=True)

    assert (tmp_path / "out/manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gputape.store.export.write import Plan, export
from gputape.store.tape import reading
db, target, fmt, victim = sys.argv[1:]

def watch(name):
    if name == victim:
        os.kill(os.getpid(), signal.SIGKILL)

with reading(Path(db)) as con:
    export(con, Plan(target=Path(target), fmt=fmt), Path(db), datetime.now(UTC), watch)
"""


@pytest.mark.parametrize("victim", ["prices", "fx", "manifest.json"])
@pytest.mark.parametrize("fmt", ["parquet", "sqlite"])
def test_a_killed_export_has_no_name(fmt: str, victim: str, imported: Path, tmp_path: Path) -> None:
    """SIGKILL at any table leaves no target; the next export sweeps what is left and is whole."""
    target = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, imported, target, fmt, victim],
                          check=False)  # fmt: skip
    left = [path.name for path in tmp_path.iterdir()]
    said = exported(imported, target, fmt)

    assert done.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert re.fullmatch(r"\.out\.\d+\.part", left[0])
    assert said["tables"]["prices"]["rows"] > 0
    assert left[0] not in {path.name for path in tmp_path.iterdir()}


def test_another_export_that_runs_is_not_swept(imported: Path, tmp_path: Path) -> None:
    """What a living process writes stays."""
    other = tmp_path / f".out.{os.getppid()}.part"
    other.mkdir()
    exported(imported, tmp_path / "out", tables=("fx",))

    assert other.is_dir()


def test_nothing_spills_where_we_stand(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's temporary files are beside the target, not in the folder of whoever asks."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    exported(imported, tmp_path / "out")

    assert list((tmp_path / "here").iterdir()) == []


# -- the page ---------------------------------------------------------------------------------


@pytest.fixture
def history(tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Parquet export of the recorded tape, as the page has it."""
    monkeypatch.chdir(tmp_path)
    exported(tape, tmp_path / "history")
    return tmp_path / "history"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_code_of_the_page_runs(code: str, history: Path) -> None:
    """Each block of docs/export.md runs on an export as it stands."""
    exec(compile(code, "docs/export.md", "exec"), {})  # noqa: S102  # our own page


def test_the_page_knows_every_table() -> None:
    """A row for each table, with what a row is and the filters that narrow it."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ([\w, ]*)\|$", PAGE, re.MULTILINE)
    said = {name: (what, words.strip()) for name, what, words in rows if name in TABLES}

    assert list(said) == list(TABLES)
    for name, table in TABLES.items():
        assert said[name][0].startswith(table.what)
        assert said[name][1] == ", ".join(table.filters)


def test_the_page_knows_every_format_and_key(imported: Path, tmp_path: Path) -> None:
    """The tables of formats and of the manifest are what there is."""
    said = exported(imported, tmp_path / "out")
    (formats,) = re.findall(r"\| format \|.*?\n\n", PAGE, re.DOTALL)
    (keys,) = re.findall(r"\| key \|.*?\n\n", PAGE, re.DOTALL)

    assert re.findall(r"^\| `(\w+)`", formats, re.MULTILINE) == list(WRITERS)
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", keys, re.MULTILINE)))
               ) == set(said)  # fmt: skip
