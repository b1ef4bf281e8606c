"""A tape that moves to a lake and back is the same tape; and the commands work on either."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gputape.store import tape
from gputape.store.contents import contents
from gputape.store.copying import copy
from gputape.store.errors import BadInput
from gputape.store.places import where

PROGRAM = Path(sys.executable).with_name("gputape")
NOW = datetime.now(UTC)
OFFERS = "select * exclude (last_seen, stale, standing) from v_offers order by series_id"


@pytest.mark.slow
def test_there_and_back(lake_words: str, kinds: Path, tmp_path: Path) -> None:
    """Every table and every offer is the same in the lake, and in the file made of it."""
    there, back = where(lake_words), tmp_path / "back.duckdb"
    done = copy(kinds, there, NOW)
    again = copy(there, back, NOW)

    assert done.rows == again.rows > 100
    assert done.findings == again.findings == []
    with tape.reading(kinds) as one, tape.reading(there) as two, tape.reading(back) as three:
        held = contents(one)
        assert held == contents(three) | {'"main"."migration"': held['"main"."migration"']}
        offers = one.execute(OFFERS).fetchall()
        assert two.execute(OFFERS).fetchall() == three.execute(OFFERS).fetchall() == offers
        assert len(offers) > 8
    with pytest.raises(BadInput, match="has scans already: give --force"):
        copy(kinds, there, NOW)
    assert copy(back, there, NOW, force=True).rows == done.rows
    with pytest.raises(BadInput, match="a lake is copied into a file"):
        copy(there, where(lake_words.replace("dbname=", "dbname=other")), NOW)


@pytest.mark.slow
def test_the_commands_work_on_a_lake(lake_words: str, kinds: Path, tmp_path: Path) -> None:
    """`GPUTAPE_DB` may be a lake: questions, the doctor and SQL answer, and secrets stay secret."""
    environment = {
        name: word for name, word in os.environ.items() if not name.startswith("GPUTAPE_")
    } | {"GPUTAPE_DB": lake_words, "GPUTAPE_HOME": str(tmp_path)}

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *map(str, words)], capture_output=True, text=True, check=False,
            env=environment,
        )  # fmt: skip

    nothing = run("offers")
    assert nothing.returncode == 1
    assert "run `gputape collect`" in nothing.stderr
    copy(kinds, where(lake_words), NOW)
    offers, doctor = run("offers", "--format", "json"), run("doctor")
    counted = run("sql", "select count(*) as n from v_offers", "--format", "csv")
    outside = run("sql", "select * from postgres_query('__ducklake_metadata_tape', 'select 1')")
    files = run("sql", "select * from read_text('/etc/hostname')")
    backup = run("reparse", "acme", "--since", "2026-01-01")

    assert offers.returncode == 0
    assert "acme" in offers.stdout
    assert "ducklake:postgres:dbname=" in doctor.stdout
    assert counted.stdout.splitlines()[1].isdigit()
    assert outside.returncode == files.returncode == 2
    assert "postgres_query is refused" in outside.stderr
    assert backup.returncode == 2  # there is no such provider, and no crash before that
    for ran in (nothing, offers, doctor, counted, outside, files):
        assert "s3same" not in ran.stdout + ran.stderr


def test_what_is_done_to_files_is_not_done_to_a_lake(lake_words: str) -> None:
    """A backup, a restore, a rewriting: each says that a lake is no file."""
    with pytest.raises(BadInput, match="is a lake, and this is done to a file: `gputape copy`"):
        tape.Place(_any(where(lake_words)))


def _any(value: object) -> Any:
    return value
