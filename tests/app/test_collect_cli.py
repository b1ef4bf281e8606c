"""`gputape collect` and `reparse`: into the tape, from a recording, and back into one."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gputape.scrapers import registry
from gputape.store import tape as store

Run = Callable[..., Any]
SECRET = "sesame-0123456789-open"  # noqa: S105  # a made-up key that must not be found anywhere


def offered(gputape: Run, db: Path) -> Any:
    """Return everything that a tape offers, as JSON; its own numbers of series stay its own."""
    everything = "suspect,gone,derived,marketplace,fraction,imported"
    rows = gputape("offers", "--include", everything, "--format", "json", db=db).json
    return [{name: value for name, value in row.items() if name != "series_id"} for row in rows]


def answers(folder: Path, slug: str, *entries: dict[str, Any]) -> Path:
    """Write a recording with some entries and return its folder."""
    (folder / slug).mkdir(parents=True)
    (folder / slug / "pages.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Where this test's tape will be."""
    return tmp_path / "tape.duckdb"


# -- how it ends ------------------------------------------------------------------------------


def test_one_provider_collected_is_0(program: Run, root: Path, db: Path) -> None:
    """Oracle's recorded list becomes 19 offers, counted on stdout; talk is on stderr."""
    ran = program("collect", "oracle", "--replay", root / "fixtures", "--db", db)

    assert ran.code == 0
    assert " ".join(ran.out.split()[-10:]) == "oracle 1 0 19 19 0 0 0 1 0"
    assert ran.err.splitlines()[0] == "oracle: asking"
    assert f"tape: {db}" in ran.err
    assert json.loads(program("offers", "--format", "json", "--db", db).out)


def test_some_that_fail_is_3(gputape: Run, root: Path, db: Path, tmp_path: Path) -> None:
    """When one provider of two fails, the other's prices are kept and the failure is named."""
    folder = answers(tmp_path / "partial", "lambda_labs")
    (folder / "oracle").symlink_to(root / "fixtures/oracle")
    ran = gputape("collect", "--replay", folder, db=db)

    assert ran.code == 3
    assert "lambda_labs pricing: unreachable: " in ran.err
    assert "not in the recording" in ran.err
    assert {row["provider"] for row in offered(gputape, db)} == {"oracle"}


@pytest.mark.slow
def test_the_whole_recording_is_partial(gputape: Run, root: Path, db: Path) -> None:
    """Azure was recorded in two regions only: the rest fails, once named, and the run ends with 3.

    Every other provider is collected without a failure.
    """
    ran = gputape("collect", "--replay", root / "fixtures", db=db)
    table = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()[1:]}

    assert ran.code == 3
    everybody = (*registry.ADAPTERS, *registry.HOSTED)
    assert set(table) == {found.PROVIDER.slug for found in everybody}
    assert {slug for slug, counts in table.items() if counts[1] != "0"} == {"azure"}
    assert len([line for line in ran.err.splitlines() if line.startswith("azure ")]) == 1
    assert "more parts)" in ran.err


def test_all_that_fail_is_1(program: Run, db: Path, tmp_path: Path) -> None:
    """A recording without any answer leaves an error for every provider."""
    folder = answers(tmp_path / "empty", "oracle")
    ran = program("collect", "--replay", folder, "--db", db)

    assert ran.code == 1
    assert "oracle products: unreachable" in ran.err
    assert "Traceback" not in ran.err


def test_a_recording_of_nobody_is_usage(gputape: Run, db: Path, tmp_path: Path) -> None:
    """A folder without recordings leaves nobody to ask."""
    (tmp_path / "nothing").mkdir()
    ran = gputape("collect", "--replay", tmp_path / "nothing", db=db)

    assert ran.code == 2
    assert "leaves no provider to ask" in ran.err
    assert not db.exists()


def test_a_page_that_changed_is_named(gputape: Run, db: Path, tmp_path: Path) -> None:
    """A body of another shape fails as `changed`, with what was looked for."""
    folder = answers(
        tmp_path / "other", "coreweave",
        {"method": "GET", "url": "*", "status": 200, "file": "x.html",
         "fetched_at": "2026-11-01T00:00:00Z"},
    )  # fmt: skip
    (folder / "coreweave" / "x.html").write_text("<html><body>Our new page</body></html>")
    ran = gputape("collect", "--replay", folder, db=db)

    assert ran.code == 1
    assert "coreweave " in ran.err
    assert ": changed: " in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("oracl",), "there is no provider 'oracl': did you mean oracle?"),
        (("zzz",), "there is no provider 'zzz': known are aws, azure, "),
        (("--replay", "no/such/folder"), "Directory 'no/such/folder' does not exist"),
    ],
)
def test_words_that_can_not_be_read_are_usage(
    gputape: Run, words: tuple[str, ...], said: str
) -> None:
    """A wrong word ends with 2 before anybody is asked."""
    ran = gputape("collect", *words)

    assert ran.code == 2
    assert said in ran.err


def test_a_recording_that_is_none_is_usage(gputape: Run, tmp_path: Path) -> None:
    """A broken `pages.json` is named."""
    folder = answers(tmp_path / "broken", "oracle")
    (folder / "oracle" / "pages.json").write_text("{")
    ran = gputape("collect", "oracle", "--replay", folder)

    assert ran.code == 2
    assert "pages.json is not a recording" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_an_interrupted_collection_keeps_what_it_has(
    program: Run, start: Callable[..., Any], root: Path, db: Path
) -> None:
    """SIGINT ends it with 130; the tape can be read and collected into at once."""
    collection = start("collect", "--replay", root / "fixtures", "--db", db)
    assert collection.stderr
    while "azure: asking" not in collection.stderr.readline():
        pass
    collection.send_signal(signal.SIGINT)
    _, err = collection.communicate(timeout=60)

    assert collection.returncode == 130
    assert "Traceback" not in err
    assert program("sql", "select count(*) from v_scans", "--db", db).code == 0
    assert program("collect", "oracle", "--replay", root / "fixtures", "--db", db).code == 0


# -- what it leaves ---------------------------------------------------------------------------


def test_the_same_again_adds_nothing(gputape: Run, root: Path, db: Path) -> None:
    """A second replay of the same bytes confirms every offer and changes none."""
    words = ("collect", "oracle", "--replay", root / "fixtures")
    first, second = gputape(*words, db=db), gputape(*words, db=db)

    assert first.code == second.code == 0
    assert " ".join(second.out.split()[-10:]) == "oracle 1 0 19 0 0 0 0 0 19"


def test_people_get_a_copy_that_can_not_be_written(gputape: Run, root: Path, db: Path) -> None:
    """The published tape is read-only; the writer's own file lies beside it."""
    gputape("collect", "oracle", "--replay", root / "fixtures", db=db)

    assert not stat.S_IMODE(db.stat().st_mode) & 0o222
    assert store.Place(db).writer.exists()


def test_every_offer_opens_to_its_bytes(gputape: Run, root: Path, db: Path) -> None:
    """A scan's page names a hash, and the archive holds exactly those bytes."""
    gputape("collect", "oracle", "--replay", root / "fixtures", db=db)
    with store.reading(db) as con:
        ((sha256, size),) = con.execute("select sha256, bytes from page").fetchall()
    (file,) = [path for path in db.with_suffix(".archive").rglob("*") if sha256 in path.name]
    with zstandard.open(file, "rb") as body:
        kept = body.read()

    assert kept == (root / "fixtures/oracle/products.json").read_bytes()
    assert len(kept) == size


def test_reserved_files_are_read_when_asked_for(gputape: Run, root: Path, db: Path) -> None:
    """AWS reserved prices come with `--reserved` and not without."""
    words = ("collect", "aws", "--replay", root / "fixtures")
    reserved = ("offers", "--option", "reserved")

    assert gputape(*words, db=db).code == 0
    assert gputape(*reserved, db=db).code == 4
    assert gputape(*words, "--reserved", db=db).code == 0
    assert gputape(*reserved, db=db).code == 0


def test_the_default_tape_is_in_the_data_folder(program: Run, root: Path, home: Path) -> None:
    """Without `--db` and `GPUTAPE_DB` the tape is `tape.duckdb` at home."""
    program("collect", "oracle", "--replay", root / "fixtures")

    assert (home / "tape.duckdb").exists()
    assert program("offers", "--limit", 1).code == 0


def test_the_environment_names_the_tape(program: Run, root: Path, home: Path, db: Path) -> None:
    """`GPUTAPE_DB` counts where `--db` is not given."""
    program("collect", "oracle", "--replay", root / "fixtures", GPUTAPE_DB=str(db))

    assert db.exists()
    assert not home.exists()


def test_lines_instead_of_bars_without_a_terminal(gputape: Run, root: Path, db: Path) -> None:
    """In a pipe there is no escape sequence, with `--no-progress` or without."""
    words = ("collect", "oracle", "--replay", root / "fixtures")
    said = gputape(*words, db=db).err + gputape(*words, "--no-progress", db=db).err

    assert "oracle: asked" in said
    assert "\x1b" not in said


def test_a_reader_of_the_talk_that_leaves_stops_nothing(
    home: Path, root: Path, db: Path, gputape: Run
) -> None:
    """With stderr closed a collection still ends, and everything is in the tape."""
    assert home
    reading, writing = os.pipe()
    os.close(reading)
    collection = subprocess.run(
        [Path(sys.executable).with_name("gputape"), "collect", "oracle", "lambda_labs",
         "--replay", root / "fixtures", "--db", db],
        stdout=subprocess.DEVNULL, stderr=writing, check=False, timeout=60,
    )  # fmt: skip
    os.close(writing)

    assert collection.returncode == 141
    assert {row["provider"] for row in offered(gputape, db)} == {"lambda_labs", "oracle"}


# -- recordings -------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_recorded_replays_to_the_same_offers(
    gputape: Run, root: Path, tmp_path: Path
) -> None:
    """Record a collection, replay the recording into another tape: every offer is the same."""
    one, two = tmp_path / "one.duckdb", tmp_path / "two.duckdb"
    slugs = ("aws", "coreweave", "gcp", "lambda_labs", "oracle")
    recorded = gputape("collect", *slugs, "--replay", root / "fixtures", "--record", "kept",
                       db=one)  # fmt: skip
    replayed = gputape("collect", "--replay", "kept", db=two)

    assert recorded.code == replayed.code == 0
    assert replayed.out == recorded.out
    assert offered(gputape, two) == offered(gputape, one)


def test_a_secret_is_written_nowhere(gputape: Run, root: Path, tmp_path: Path) -> None:
    """With a key, the keyed interfaces are asked; the key is in no recording, archive or tape."""
    folder = tmp_path / "keyed"
    for slug in ("gcp", "lambda_labs"):
        (folder / slug).parent.mkdir(exist_ok=True)
        (folder / slug).symlink_to(root / "fixtures" / slug / "keyed")
    keys = {"GCP_API_KEY": SECRET, "LAMBDA_API_KEY": SECRET}
    ran = gputape("collect", "gcp", "lambda_labs", "--replay", folder, "--record", "kept",
                  db=tmp_path / "own" / "tape.duckdb", **keys)  # fmt: skip
    written = [file for file in tmp_path.rglob("*") if file.is_file() and not file.is_symlink()]

    assert ran.code == 0
    assert "instance-types" in (tmp_path / "kept/lambda_labs/pages.json").read_text()
    assert len(written) > 8
    for file in written:
        with zstandard.open(file, "rb") if file.suffix == ".zst" else file.open("rb") as body:
            assert SECRET.encode() not in body.read(), file
    assert SECRET not in ran.out + ran.err


def test_an_echoed_secret_is_struck_from_the_recording(
    gputape: Run, db: Path, tmp_path: Path
) -> None:
    """A server that repeats the key does not bring it into the recording."""
    folder = answers(
        tmp_path / "echo", "lambda_labs",
        {"method": "GET", "url": "*", "status": 401, "file": "x.json",
         "fetched_at": "2026-11-01T00:00:00Z"},
    )  # fmt: skip
    (folder / "lambda_labs" / "x.json").write_text(json.dumps({"error": f"bad key {SECRET}"}))
    gputape("collect", "lambda_labs", "--replay", folder, "--record", "kept", db=db,
            LAMBDA_API_KEY=SECRET)  # fmt: skip
    kept = b"".join(file.read_bytes() for file in (tmp_path / "kept").rglob("*.*"))

    assert b"bad key ***" in kept
    assert SECRET.encode() not in kept


# -- who is asked -----------------------------------------------------------------------------


def test_a_plain_collection_leaves_opt_in_providers_out() -> None:
    """Providers with a reason not to be asked are left out until somebody wants them."""
    opt_in = {found.PROVIDER.slug for found in registry.ADAPTERS if found.PROVIDER.opt_in}
    plain = {found.PROVIDER.slug for found in registry.chosen(())}

    assert opt_in
    assert plain == {found.PROVIDER.slug for found in registry.ADAPTERS} - opt_in


def test_a_plain_collection_asks_for_token_prices_too(
    gputape: Run, root: Path, db: Path, home: Path, tmp_path: Path
) -> None:
    """Beside providers comes the list of hosted tokens, unless some are named or it is off."""
    folder = tmp_path / "two"
    folder.mkdir()
    for slug in ("openrouter", "oracle"):
        (folder / slug).symlink_to(root / "fixtures" / slug)
    plain = gputape("collect", "--replay", folder, db=db).out
    named = gputape("collect", "oracle", "--replay", folder, db=db).out
    alone = gputape("collect", "openrouter", "--replay", folder, db=db).out
    (tmp_path / "gputape.toml").write_text("[providers.openrouter]\nenabled = false\n")
    off = gputape("collect", "--replay", folder, db=db).out
    asked = [
        [line.split()[0] for line in out.splitlines()[1:]] for out in (plain, named, alone, off)
    ]

    assert asked == [["openrouter", "oracle"], ["oracle"], ["openrouter"], ["oracle"]]


def test_an_opt_in_provider_runs_when_named() -> None:
    """Naming one is a decision, and asks nobody else."""
    assert [found.PROVIDER.slug for found in registry.chosen(["coreweave"])] == ["coreweave"]


def test_an_opt_in_provider_runs_when_enabled() -> None:
    """Enabling one adds it to a plain collection."""
    enabled = {found.PROVIDER.slug for found in registry.chosen((), ["coreweave"])}
    plain = {found.PROVIDER.slug for found in registry.chosen(())}

    assert enabled == plain | {"coreweave"}


# -- reparse ----------------------------------------------------------------------------------


def test_reading_anew_with_the_same_parser_corrects_nothing(
    gputape: Run, root: Path, db: Path
) -> None:
    """`reparse --force` reads the archive and finds what was found before."""
    gputape("collect", "oracle", "lambda_labs", "--replay", root / "fixtures", db=db)
    before = offered(gputape, db)
    ran = gputape("reparse", "--force", db=db)

    assert (ran.code, ran.out) == (0, "read 2 looks anew: 0 corrections\n")
    assert offered(gputape, db) == before


def test_what_this_parser_has_read_is_not_read_anew(gputape: Run, root: Path, db: Path) -> None:
    """Without a new parser or new facts there is nothing to do."""
    gputape("collect", "oracle", "--replay", root / "fixtures", db=db)
    ran = gputape("reparse", db=db)

    assert ran.out == "read 0 looks anew: 0 corrections\n"
    assert ran.err == "1 looks were read by this parser already\n"


def test_reading_one_provider_anew(gputape: Run, root: Path, db: Path) -> None:
    """`reparse oracle` reads that provider's bytes only."""
    gputape("collect", "oracle", "lambda_labs", "--replay", root / "fixtures", db=db)

    assert gputape("reparse", "oracle", "--force", db=db).out.startswith("read 1 looks anew")


def test_a_look_whose_bytes_are_gone_can_not_be_read_anew(
    gputape: Run, root: Path, db: Path
) -> None:
    """It is counted, and the price stands as it was read."""
    gputape("collect", "oracle", "--replay", root / "fixtures", db=db)
    before = offered(gputape, db)
    for body in db.with_suffix(".archive").rglob("*.zst"):
        body.unlink()
    ran = gputape("reparse", "--force", db=db)

    assert ran.err == "1 looks can not be read any more: their bytes are gone or damaged\n"
    assert offered(gputape, db) == before


def test_without_a_tape_there_is_nothing_to_read_anew(gputape: Run, db: Path) -> None:
    """`reparse` does not make a tape."""
    ran = gputape("reparse", db=db)

    assert ran.code == 1
    assert ran.err == f"gputape: there is no tape at {db}: nothing to read anew\n"
    assert not db.exists()
