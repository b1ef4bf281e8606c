"""`backup`, `restore`, `compact`, `check`: what they print, and how they end."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gputape.app.cli import main
from gputape.app.config import load
from gputape.store import tape as store
from gputape.store.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in ("backup", "restore", "compact", "check"):
        monkeypatch.setitem(main.VERBS, verb, ("keep", verb))


@pytest.fixture
def db(tape: Path, tmp_path: Path) -> Path:
    """The tape of `fixtures/` with its archive, to be harmed."""
    shutil.copytree(tape.parent, tmp_path / "own")
    return tmp_path / "own" / "tape.duckdb"


def harm(db: Path, sql: str) -> None:
    with store.writing(db, store.datetime.now(store.UTC)) as con:
        con.execute(sql)
        store.publish(con, db)


def first_body(db: Path) -> Path:
    return min(store.Place(db).archive.glob("??/*.zst"))


# -- check ------------------------------------------------------------------------------------


def test_a_sound_tape_ends_happily(gputape: Run, tape: Path) -> None:
    """Everything that `fixtures/` say passes every rule, its raw bytes too."""
    ran = gputape("check", "--deep")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"{tape}: all is as it should be\n"
    assert gputape("check", "--format", "json").json == []


def test_what_is_wrong_is_named(gputape: Run, db: Path) -> None:
    """One line for each rule, with a count and an example; the exit code is 1."""
    harm(db, "update price_log set price = -1 where series_id = (select min(series_id) "
             "from series where provider = 'oracle')")  # fmt: skip
    ran = gputape("check", db=db)

    assert ran.code == 1
    assert "prices are not what their state says (firm at -1.000000000)" in ran.out
    assert "of the rules do not hold" in ran.err
    lines = {line["rule"]: line for line in gputape("check", "--format", "json", db=db).json}
    assert lines["price"]["count"] == 1
    assert lines["price"]["provider"] == "oracle"
    assert list(lines["price"]) == ["rule", "count", "finding", "provider", "sku", "seen"]


@pytest.mark.slow
def test_a_lost_body_is_missed_until_it_is_fetched_again(gputape: Run, db: Path) -> None:
    """`check` names the body, `--no-archive` leaves it out, and the next collection heals it."""
    first_body(db).unlink()
    ran = gputape("check", db=db)
    assert ran.code == 1
    assert "bodies are not in the archive (http" in ran.out
    assert gputape("check", "--no-archive", db=db).code == 0

    gputape("collect", "--replay", ROOT / "fixtures", "--reserved", "--no-progress", db=db)
    assert gputape("check", db=db).code == 0


def test_a_flipped_byte_is_found_when_asked_to_look_deep(gputape: Run, db: Path) -> None:
    """Reading every body is `--deep`."""
    body = bytearray(first_body(db).read_bytes())
    body[len(body) // 2] ^= 1
    first_body(db).write_bytes(body)

    assert gputape("check", db=db).code == 0
    ran = gputape("check", "--deep", db=db)
    assert ran.code == 1
    assert first_body(db).name in ran.out


def test_a_writers_file_that_does_not_open_is_named(gputape: Run, db: Path) -> None:
    """Questions are answered from the published copy; `check` says that writing will fail."""
    store.Place(db).writer.write_bytes(b"x" * 5000)
    ran = gputape("check", db=db)

    assert ran.code == 1
    assert "what was written last can not be read: DuckDB can not open" in ran.out
    assert gputape("offers", "--limit", "1", db=db).code == 0


def test_without_a_tape_there_is_nothing_to_check(gputape: Run, tmp_path: Path) -> None:
    """No tape is an error, not a tape without faults."""
    ran = gputape("check", db=tmp_path / "none.duckdb")
    assert ran.code == 1
    assert "there is no tape" in ran.err


# -- backup and restore -----------------------------------------------------------------------


def test_a_backup_is_made_and_put_back(gputape: Run, db: Path, tmp_path: Path) -> None:
    """There and back: the same offers, the raw bytes too, and a sentence for each step."""
    file = tmp_path / "copy.duckdb"
    offers = gputape("sql", "select count(*), sum(price) from v_offers", db=db).out
    made = gputape("backup", file, "--archive", db=db)
    assert made.code == 0
    first, second = made.out.splitlines()
    assert first.startswith(f"{file}: ")
    assert " rows, " in first
    assert first.endswith(f"; read back, and equal to {db}")
    assert second.endswith(" bodies added")

    shutil.rmtree(db.parent)
    put = gputape("restore", file, db=db)
    assert put.code == 0
    assert put.out.splitlines()[0].endswith(f"; read back, and equal to {file}")
    assert gputape("sql", "select count(*), sum(price) from v_offers", db=db).out == offers
    assert gputape("check", "--deep", db=db).code == 0
    assert gputape("check", "--deep", db=file).code == 0


def test_refusals_are_usage(gputape: Run, db: Path, tmp_path: Path) -> None:
    """A file that is there, and scans that would be lost, each need `--force`."""
    file = tmp_path / "copy.duckdb"
    gputape("backup", file, db=db)
    again = gputape("backup", file, db=db)
    assert (again.code, again.out) == (2, "")
    assert "--force" in again.err
    harm(db, "insert into scan select * replace (scan_id + 1e12::bigint as scan_id) "
             "from scan order by scan_id desc limit 1")  # fmt: skip
    refused = gputape("restore", file, db=db)
    assert refused.code == 2
    assert "has 1 scans that" in refused.err
    forced = gputape("restore", file, "--force", db=db)
    assert forced.code == 0
    assert "the tape that was there is " in forced.out


# -- compact and keep_days --------------------------------------------------------------------


def test_compacting_says_what_it_came_to(gputape: Run, db: Path) -> None:
    """Bytes before and after; without `keep_days` no body goes."""
    ran = gputape("compact", db=db)
    assert ran.code == 0
    size = f"{db.stat().st_size:,}"
    assert f"{db}: " in ran.out
    assert f" bytes before, {size} after; " in ran.out
    assert f"{store.Place(db).archive}: 0 bodies gone, 0 bytes" in ran.out
    assert gputape("check", "--deep", db=db).code == 0


def test_the_configuration_says_how_long_bytes_are_kept(
    gputape: Run, db: Path, tmp_path: Path
) -> None:
    """With `keep_days` compacting sweeps what is older, and `check` does not miss it."""
    (tmp_path / "gputape.toml").write_text("[archive]\nkeep_days = 2\n")
    stray = first_body(db).with_name("0" * 64 + ".zst")
    stray.write_bytes(b"12345")
    long_ago = time.time() - 3 * 86_400
    os.utime(stray, (long_ago, long_ago))
    ran = gputape("compact", db=db)

    assert "1 bodies gone, 5 bytes" in ran.out
    assert gputape("check", "--deep", db=db).code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[archive]\nkeep_days = 0", "archive.keep_days"),
        ("[archive]\nkeep_days = '90'", "archive.keep_days"),
        ("[archive]\nkeep = 90", "did you mean keep_days?"),
        ("[archives]\nkeep_days = 9", "did you mean archive?"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """No days, text and a misspelt key are named; nothing is swept by mistake."""
    (tmp_path / "gputape.toml").write_text(text)
    with pytest.raises(BadInput, match=said.replace("?", r"\?")):
        load([tmp_path / "gputape.toml"])
