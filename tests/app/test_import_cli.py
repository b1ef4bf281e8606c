"""`gputape import`: what it says, what it keeps, and what it never does to the tape."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gputape.scrapers import collect
from gputape.scrapers.importers import skypilot
from gputape.store import tape

Gputape = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
HEADER = "InstanceType,AcceleratorName,AcceleratorCount,Price,SpotPrice,Region,AvailabilityZone\n"
HISTORY = (
    "select provider, sku, region, zone, option, source, price, state, valid_from, origin "
    "from v_prices order by all"
)
DAILY = "select * from v_daily order by all"
EVERYTHING = (
    *(f"select * from {table} order by all" for table in (
        "scan", "page", "series", "series_fact", "series_earlier", "price_log", "reject", "source",
        "gpu", "provider", "daily", "rolled", "touched", "frame",
    )),
    DAILY,
)  # fmt: skip


def row(sku: str, price: object, spot: object = "", gpus: int = 1, zone: str = "z") -> str:
    return f"{sku},H200,{gpus},{price},{spot},r,{zone}\n"


def snapshot(folder: Path, moment: str, *rows: str, cloud: str = "paperspace") -> Path:
    """Write one catalogue file: `moment` is a day, or a day and a minute."""
    file = folder / cloud / f"{moment if 'T' in moment else f'{moment}T0000'}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEADER + "".join(rows), "utf-8")
    return file


def asked(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with tape.reading(db) as con:
        return con.execute(sql).fetchall()


def said(db: Path) -> list[list[tuple[Any, ...]]]:
    """Return all that a tape says."""
    return [asked(db, sql) for sql in EVERYTHING]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tape.duckdb"


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Four days of one seller: a price that moves, one that goes and comes back, a late one."""
    folder = tmp_path / "days"
    snapshot(folder, "2026-03-01", row("a", 10, 4), row("b", 5))
    snapshot(folder, "2026-03-02", row("a", 11, 4), row("b", 5), row("c", 3))
    snapshot(folder, "2026-03-03", row("a", 11, "4.5"), row("c", "3.5"))
    snapshot(folder, "2026-03-04", row("a", 10, "4.5"), row("b", 5), row("c", "3.5"))
    return folder


# -- what an import is ----------------------------------------------------------------------------


def test_the_same_files_twice_change_nothing(gputape: Gputape, db: Path, days: Path) -> None:
    """Scans, series, log, days and sources stay to the row; only the known files are counted."""
    first = gputape("import", "skypilot", days, db=db)
    before = said(db)
    again = gputape("import", "skypilot", days, db=db)

    assert first.out.startswith("4 snapshots of 1 providers, 2026-03-01 to 2026-03-04\n")
    assert again.out.splitlines() == [
        "0 snapshots of 0 providers; 4 known already",
        "0 rows brought 0 new prices, 0 changes, 0 gone, 0 held back; 0 rejected",
    ]
    assert (first.code, again.code) == (0, 0)
    assert said(db) == before


@pytest.mark.slow
def test_any_order_ends_in_the_same_history(gputape: Gputape, days: Path, tmp_path: Path) -> None:
    """File by file, forwards, backwards or shuffled: the intervals and the days are those of one import."""  # noqa: E501
    gputape("import", "skypilot", days, db=tmp_path / "whole.duckdb")
    whole = intervals(tmp_path / "whole.duckdb"), asked(tmp_path / "whole.duckdb", DAILY)
    files = sorted(days.rglob("*.csv"))

    assert len(whole[0]) == 10
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)):
        db = tmp_path / f"{order}.duckdb"
        for n in order:
            assert gputape("import", "skypilot", files[n], db=db).code == 0
        assert (intervals(db), asked(db, DAILY)) == whole, order


def intervals(db: Path) -> list[tuple[Any, ...]]:
    """Return history without rows that say what stood already, as late files add them."""
    return asked(
        db,
        "select sku, option, price, state, valid_from from ("
        "select *, lag((price, state)) over (partition by series_id order by valid_from) as old "
        "from v_prices) where (price, state) is distinct from old order by all",
    )


def test_an_old_snapshot_beside_live_prices_leaves_the_present_alone(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """What the provider says now, what moved and what `offers` answers is as it was before."""
    offers = "select * from v_offers where source is null order by all"
    cheapest = ("offers", "--gpu", "h100", "--provider", "lambda_labs", "--format", "json")
    assert gputape("collect", "lambda_labs", "--replay", FIXTURES, db=db).code == 0
    live, answer = asked(db, offers), gputape(*cheapest, db=db)
    machine = "8x NVIDIA H100 SXM 80 GB,H100,8,20,,global,\n"
    file = snapshot(tmp_path / "old", "2023-03-01", machine, cloud="lambda")

    assert gputape("import", "skypilot", file, db=db).code == 0

    assert live
    assert asked(db, offers) == live
    assert asked(db, "select event, origin from v_changes where source is not null") == [
        ("new", "import")
    ]
    assert [o for o in gputape(*cheapest, db=db).json if o["source"] is None] == answer.json


def test_who_kept_it_stands_beside_its_prices(gputape: Gputape, db: Path, days: Path) -> None:
    """Source, address, licence and attribution are on the tape; every row says it was imported."""
    rentals = FIXTURES / "imports" / "gpurentalprices"
    gputape("import", "skypilot", days, db=db)
    gputape("import", "gpurentalprices", rentals, db=db)

    assert asked(db, "select source, url, licence from v_sources order by 1") == [
        ("gpurentalprices", "https://gpurentalprices.com", "CC-BY-4.0"),
        ("skypilot", skypilot.SOURCE.url, skypilot.SOURCE.licence),
    ]
    assert "CC BY 4.0" in asked(db, "select max(attribution) from v_sources")[0][0]
    origins = (
        "select distinct origin, source from price_log join series using (series_id) order by 2"
    )
    assert asked(db, origins) == [("import", "gpurentalprices"), ("import", "skypilot")]
    assert asked(db, "select distinct relay from v_offers where source = 'skypilot'") == [
        (skypilot.SOURCE.name,)
    ]


def test_every_imported_price_opens_to_the_bytes_it_came_from(
    gputape: Gputape, db: Path, days: Path
) -> None:
    """Its page has an `import:` address and the hash of the file, and the archive holds just that."""  # noqa: E501
    gputape("import", "skypilot", days, db=db)
    pages = asked(
        db,
        "select distinct p.url, p.sha256, p.bytes, p.method, p.status "
        "from price_log l join page p using (scan_id) order by 1",
    )
    files = sorted(days.rglob("*.csv"))

    assert [(url, sha) for url, sha, *_ in pages] == [
        (f"import:skypilot/paperspace/{f.name}", hashlib.sha256(f.read_bytes()).hexdigest())
        for f in files
    ]
    for (_, sha, size, *how), file in zip(pages, files, strict=True):
        (kept,) = db.with_suffix(".archive").rglob(f"{sha}*")
        body = zstandard.ZstdDecompressor().decompressobj().decompress(kept.read_bytes())
        assert (body, size, how) == (file.read_bytes(), len(body), ["IMPORT", 200])
    assert asked(db, "select count(*) from price_log anti join page using (scan_id)") == [(0,)]


def test_a_clone_is_imported_commit_by_commit(
    gputape: Gputape, db: Path, days: Path, tmp_path: Path
) -> None:
    """Each commit is a look at its own time, its page is named by the commit, and twice is once."""
    clone = tmp_path / "clone"
    vms = clone / "catalogs" / "v5" / "paperspace" / "vms.csv"
    vms.parent.mkdir(parents=True)
    git(clone, "init", "--quiet")
    commits = []
    for n, file in enumerate(sorted(days.rglob("*.csv")), 1):
        vms.write_bytes(file.read_bytes())
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "--message=x", at=f"2026-03-0{n}T00:00:00Z")
        commits.append(git(clone, "rev-parse", "--short=7", "HEAD").strip())

    ran = gputape("import", "skypilot", clone, db=db)
    gputape("import", "skypilot", days, db=tmp_path / "files.duckdb")

    assert ran.out.startswith("4 snapshots of 1 providers, 2026-03-01 to 2026-03-04\n")
    assert asked(db, HISTORY) == asked(tmp_path / "files.duckdb", HISTORY)
    assert asked(db, "select url from page join scan using (scan_id) order by observed_at") == [
        (f"import:skypilot/{commit}:catalogs/v5/paperspace/vms.csv",) for commit in commits
    ]
    assert "4 known already" in gputape("import", "skypilot", clone, db=db).out


def git(path: Path, *words: str, at: str = "2026-01-01T00:00:00Z") -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{w}_{f}": "x" for w in ("AUTHOR", "COMMITTER") for f in ("NAME", "EMAIL")}
    when = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    return subprocess.run(
        ["git", "-C", path, *words], env=kept | who | when, text=True, check=True,
        capture_output=True,
    ).stdout  # fmt: skip


# -- reading anew ---------------------------------------------------------------------------------


def test_a_newer_reader_corrects_and_nothing_moved(
    gputape: Gputape, db: Path, days: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file read differently by a higher revision gives corrections that name what they replace."""  # noqa: E501
    gputape("import", "skypilot", days, db=db)
    moves = "select changed_at, event, sku, option from v_changes order by all"
    before, scans = asked(db, moves), asked(db, "select scan_id from scan")
    monkeypatch.setattr(skypilot, "REVISION", skypilot.REVISION + 1)
    monkeypatch.setattr(
        "gputape.scrapers.importers.skypilot_rows.CURRENCIES", {"paperspace": "CHF"}
    )

    again = gputape("import", "skypilot", days, db=db)

    assert again.out.startswith("4 snapshots")
    assert asked(db, moves) == before
    assert asked(db, "select distinct currency from v_prices where price is not null") == [("CHF",)]
    corrected = asked(db, "select distinct corrects from scan where origin = 'correction'")
    assert sorted(corrected) == sorted(scans)
    assert asked(
        db, "select count(*) > 0, count(*) filter (where replaces is null) from price_log "
        "where origin = 'correction'",
    ) == [(True, 0)]  # fmt: skip
    assert "4 known already" in gputape("import", "skypilot", days, db=db).out


def test_newer_facts_about_gpus_correct_without_a_change(
    gputape: Gputape, db: Path, days: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When only the judge's facts are newer and say the same, a second import adds no price."""
    gputape("import", "skypilot", days, db=db)
    log = "select count(*), max(scan_id) from price_log"
    before = asked(db, log), asked(db, HISTORY)
    monkeypatch.setattr(collect, "generation", lambda: "newer")

    again = gputape("import", "skypilot", days, db=db)

    assert again.out.startswith("4 snapshots")
    assert (asked(db, log), asked(db, HISTORY)) == before
    assert asked(db, "select count(*), count(corrects) from scan where origin = 'correction'") == [
        (4, 4)
    ]


# -- a dry run, an error, an interruption ---------------------------------------------------------


def test_a_dry_run_says_what_the_run_will_say_and_changes_nothing(
    gputape: Gputape, db: Path, days: Path, tmp_path: Path
) -> None:
    """On no tape it makes none; on one it leaves every byte; the figures are those of the run."""
    files = sorted(days.rglob("*.csv"))
    on_nothing = gputape("import", "skypilot", files[0], "--dry-run", db=db)
    assert not list(tmp_path.glob("tape.*"))
    first = gputape("import", "skypilot", files[0], db=db)
    held = {file: file.read_bytes() for file in tmp_path.rglob("tape.*") if file.is_file()}
    dry = gputape("import", "skypilot", days, "--dry-run", db=db)

    assert {f: f.read_bytes() for f in tmp_path.rglob("tape.*") if f.is_file()} == held
    real = gputape("import", "skypilot", days, db=db)
    assert on_nothing.out.replace("would bring", "brought") == first.out
    assert dry.out.replace("would bring", "brought") == real.out
    assert "1 known already" in real.out
    assert dry.err == "dry run: nothing was changed\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("skypilt", "days"), "did you mean skypilot?"),
        (("skypilot", "nowhere"), "does not exist"),
        (("skypilot", "empty"), "no file and no folder with a *.csv"),
        (("fsdl", "days"), "no Cloud and no Vendor column"),
        (("gpurentalprices", "days"), "*.json"),
        (("csv", "p5.csv"), "which column is the provider"),
        (("csv", "p5.csv", "--column", "provider"), "write FIELD=COLUMN"),
        (("csv", "p5.csv", "--column", "provider==aws", "--column", "sku=instanze"),
         "did you mean 'instance'?"),
        (("csv", "p5.csv", "--column", "pryce=price_usd"), "did you mean 'price'?"),
        (("csv", "p5.csv", "--map", "broken.toml"), "is not TOML"),
        (("csv", "p5.csv", "--map", "none.toml"), "does not exist"),
        (("skypilot", "days", "--observed-at", "2026-03-01"), "--observed-at"),
        (("skypilot", "days", "--observed-at", "yesterdy"), "yesterdy"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_can_not_be_read_is_one_sentence_and_no_tape(
    gputape: Gputape, db: Path, days: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    """A wrong format, path or map ends with code 2, says what to do, and makes no tape."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.toml").write_text("provider = ", "utf-8")
    (tmp_path / "p5.csv").write_bytes((FIXTURES / "imports" / "csv" / "p5.csv").read_bytes())

    ran = gputape("import", *words, db=db)

    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert not ran.out
    assert not list(tmp_path.glob("tape.*"))


def test_files_that_hold_no_row_match_nothing(gputape: Gputape, db: Path, tmp_path: Path) -> None:
    """A table with a header alone is of the format and brings nothing: code 4, and no tape."""
    table = tmp_path / "2026-03-01T0000.csv"
    table.write_text("Cloud,GPU Type,GPU Arch,GPUs,On-demand\n", "utf-8")

    ran = gputape("import", "fsdl", table, db=db)

    assert (ran.code, list(tmp_path.glob("tape.*"))) == (4, [])
    assert ran.out.startswith("0 snapshots")


# the installed program, stopped inside the transaction of the third file
STOPPED = """
import sys
from gputape.store.record import Recorder

kept, seen = Recorder._add_scan, []

def add_scan(self, *told):
    seen.append(told)
    if len(seen) == 3:
        print("inside", flush=True)
        sys.stdin.read()
    kept(self, *told)

Recorder._add_scan = add_scan
from gputape.app.cli.main import main
main()
"""


def stopped_by(number: int, days: Path, db: Path) -> "subprocess.CompletedProcess[str]":
    """Import until two files are recorded and the third is half written, and send a signal then."""
    words = [sys.executable, "-c", STOPPED, "import", "skypilot", days, "--db", db]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "inside\n"
    process.send_signal(number)
    process.wait(60)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle_and_run_again_is_complete(
    gputape: Gputape, db: Path, days: Path, tmp_path: Path, number: int
) -> None:
    """Killed or interrupted, the whole files stay and the half one is not there; the rest follows."""  # noqa: E501
    ended = stopped_by(number, days, db)
    kept = asked(db, "select count(*), max(observed_at)::varchar from scan")
    again = gputape("import", "skypilot", days, db=db)
    gputape("import", "skypilot", days, db=tmp_path / "whole.duckdb")

    assert ended.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in ended.stderr
    assert ("run it again" in ended.stderr) == (number == signal.SIGINT)
    assert kept == [(2, "2026-03-02 00:00:00+00")]
    assert again.out.startswith("2 snapshots of 1 providers, 2026-03-03 to 2026-03-04; 2 known")
    assert asked(db, HISTORY) == asked(tmp_path / "whole.duckdb", HISTORY)
    assert asked(db, DAILY) == asked(tmp_path / "whole.duckdb", DAILY)


# -- what the summary names -----------------------------------------------------------------------


def test_a_price_of_zero_is_rejected_and_named(gputape: Gputape, db: Path, tmp_path: Path) -> None:
    """It is no price, whatever the file thinks."""
    file = snapshot(tmp_path, "2026-03-01", row("a", 0), row("b", "5.0"))

    ran = gputape("import", "skypilot", file, db=db)

    assert "  rejected 1: zero: a price of 0 is no price\n" in ran.out
    assert asked(db, "select sku from v_offers") == [("b",)]


def test_dust_twins_and_other_counts_are_named_with_their_place(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """Float dust, a key with two prices, a row that stands twice, a count that the facts deny."""
    file = snapshot(
        tmp_path, "2026-03-01", row("a", "3.9492000000000003"), row("b", 5), row("b", 6),
        row("c", 7), row("c", 7), "p3.16xlarge,V100,4,24.48,,r,z\n", cloud="aws",
    )  # fmt: skip

    ran = gputape("import", "skypilot", file, db=db)

    for kind, place in {
        "prices with more than nine decimals, rounded half up": "line 2: a z: 3.9492000000000003",
        "one key with two prices": "line 4: b z",
        "rows that stand there twice": "line 6: c z",
        "GPU counts that contradict the instance facts, which win":
            "rows: p3.16xlarge says 4, the facts 8",
    }.items():  # fmt: skip
        assert f"  {kind} (1): aws/2026-03-01T0000.csv: {place}\n" in ran.out
    assert "  held back 1: two prices for one series: … and …\n" in ran.out
    offers = "select sku, price::varchar, gpu_count::int, state from v_offers order by 1"
    assert asked(db, offers) == [
        ("a", "3.949200000", 1, "firm"), ("b", "6.000000000", 1, "suspect"),
        ("c", "7.000000000", 1, "firm"), ("p3.16xlarge", "24.480000000", 8, "firm"),
    ]  # fmt: skip


def test_a_unit_that_switches_overnight_is_said_once(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """Eight machines at exactly an eighth: held for good, named with the day, and never a change."""  # noqa: E501
    machine = [(f"m{n}", 8 * (4 + n / 4)) for n in range(8)]
    snapshot(tmp_path, "2026-03-01", *(row(sku, price, gpus=8) for sku, price in machine))
    for day in ("2026-03-02", "2026-03-03"):
        snapshot(tmp_path, day, *(row(sku, price / 8, gpus=8) for sku, price in machine))

    ran = gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    why = "paperspace: unit change: 8 prices moved by exactly their GPU count at once on 2026-03-02"
    assert f"  held back 8: {why}\n" in ran.out
    assert ran.out.count("held back 8") == 1
    assert asked(db, "select min(price)::int, count(*) from v_offers where state = 'firm'") == [
        (32, 8)
    ]
    assert asked(db, "select distinct event from v_changes") == [("new",)]


@pytest.mark.parametrize(
    ("before", "lost", "named"),
    [
        (1500, 400, "400 of 1500 series of paperspace on 2026-03-02"),
        (500, 51, "51 of 500 series of paperspace on 2026-03-02"),
        (500, 50, None),  # a tenth, and fifty: a seller may do that
        (40, 18, None),
    ],
)
def test_a_fetcher_that_stops_listing_many_at_once_is_named(
    gputape: Gputape, db: Path, tmp_path: Path, before: int, lost: int, named: str | None
) -> None:
    """More than 50 series and more than a tenth of a part that go between two files: said, with the day."""  # noqa: E501
    rows = [row(f"m{n}", 3) for n in range(before)]
    snapshot(tmp_path, "2026-03-01", *rows)
    snapshot(tmp_path, "2026-03-02", *rows[lost:])

    ran = gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    assert f"0 changes, {lost} gone, 0 held back" in ran.out
    line = re.search(r"many series went missing at once, gone from then on \(1\): (.*)", ran.out)
    assert (line and line[1]) == (named and f"paperspace/2026-03-02T0000.csv: {named}")


def test_most_of_a_part_missing_is_held_and_named_with_its_day(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """More than half at once waits for a second file; the summary says how many, whose and when."""
    rows = [row(f"m{n}", 3) for n in range(20)]
    snapshot(tmp_path, "2026-03-01", *rows)
    snapshot(tmp_path, "2026-03-02", *rows[:4])

    ran = gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    why = "paperspace: 16 series of this part went missing at once on 2026-03-02"
    assert f"  held back 16: {why}\n" in ran.out
    assert asked(db, "select count(*) from v_offers where state = 'firm'") == [(20,)]


def test_rows_out_of_order_and_two_looks_in_a_minute_are_named(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """A table whose time steps back is sorted; moments within one minute stay two looks."""
    table = tmp_path / "mine.csv"
    table.write_text(
        "provider,sku,gpu,price,observed_at\n"
        "acme,a,H200,3,2026-03-02T10:00:10\n"
        "acme,a,H200,2,2026-03-01\n"
        "acme,a,H200,4,2026-03-02T10:00:40\n",
        "utf-8",
    )
    ran = gputape("import", "csv", table, db=db)

    assert "  rows out of time order, sorted (1): mine.csv:3\n" in ran.out
    assert "  moments of one provider within a minute, kept apart (1): mine.csv: acme " in ran.out
    prices = "select price::int, valid_from::varchar from v_prices order by valid_from"
    assert asked(db, prices) == [
        (2, "2026-03-01 00:00:00+00"), (3, "2026-03-02 10:00:10+00"),
        (4, "2026-03-02 10:00:40+00"),
    ]  # fmt: skip


def test_two_snapshots_in_one_minute_are_both_kept(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """Files of one time count in the order of their names, a microsecond apart."""
    snapshot(tmp_path, "2026-03-01T1200", row("a", 3))
    snapshot(tmp_path, "2026-03-01T1200-b", row("a", 4))

    ran = gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    assert ran.out.startswith("2 snapshots")
    assert "two snapshots at one time: the later name counts as a microsecond later (1)" in ran.out
    assert asked(db, "select price::int from v_prices order by valid_from") == [(3,), (4,)]


# -- a blank spot price ---------------------------------------------------------------------------


def test_a_blank_spot_price_is_unknown_and_not_gone(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """A zone that had a spot price and has none now is unpriced, and back when it has one again."""
    for day, spot in (("01", "1.5"), ("02", ""), ("03", ""), ("04", "1.5")):
        rows = [row("a", 3, spot, zone="z1"), row("a", 3, "1.2", zone="z2")]
        snapshot(tmp_path, f"2026-03-{day}", *rows)
    files = sorted((tmp_path / "paperspace").iterdir())

    ran = [gputape("import", "skypilot", file, db=db) for file in files]

    assert [("0 gone" in r.out, "1 rejected" in r.out) for r in ran] == [
        (True, False), (True, True), (True, True), (True, False),
    ]  # fmt: skip
    assert asked(
        db,
        "select day(valid_from), state, price::double from v_prices "
        "where option = 'spot' and zone = 'z1' order by 1",
    ) == [(1, "firm", 1.5), (2, "unpriced", None), (4, "firm", 1.5)]
    assert asked(db, "select reason, zone from v_rejects, (select 'z1' as zone)") == [
        ("no_price", "z1")
    ]


def test_blank_spots_that_never_had_a_price_are_nothing(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """A whole column of blanks is no reject: nobody ever said that it is sold as spot."""
    for day in (1, 2):
        snapshot(tmp_path, f"2026-03-0{day}", *(row(f"m{n}", 3) for n in range(300)))

    ran = gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    assert ran.out.splitlines()[1].endswith(
        "300 new prices, 0 changes, 0 gone, 0 held back; 0 rejected"
    )
    assert asked(db, "select count(*) from reject") == [(0,)]


def test_a_zone_that_is_no_longer_listed_is_gone(
    gputape: Gputape, db: Path, tmp_path: Path
) -> None:
    """Only a row with a blank is unknown; without any row the zone is no longer sold."""
    both = [row("a", 3, "1.5", zone="z1"), row("a", 3, "1.2", zone="z2")]
    snapshot(tmp_path, "2026-03-01", *both)
    snapshot(tmp_path, "2026-03-02", both[1])

    gputape("import", "skypilot", tmp_path / "paperspace", db=db)

    assert asked(db, "select zone, state from v_offers where option = 'spot' order by 1") == [
        ("z1", "gone"), ("z2", "firm"),
    ]  # fmt: skip
