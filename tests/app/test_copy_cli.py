"""`gputape copy`: one tape made of another, and refused where something would be lost."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gputape.app.cli.copy import copy
from gputape.store import tape
from gputape.store.contents import contents
from gputape.store.errors import BadInput, NoTape


def run(*words: object) -> Result:
    done = CliRunner().invoke(copy, [*map(str, words)], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def held(db: Path) -> object:
    with tape.reading(db) as con:
        return {name: sums for name, sums in contents(con).items() if "migration" not in name}


def test_a_copy_is_equal(kinds: Path, tmp_path: Path) -> None:
    """Every table has the same rows, and it is said how many."""
    done = run(kinds, tmp_path / "new" / "tape.duckdb")

    assert done.exit_code == 0
    assert f"tables, equal to {kinds}" in done.output
    assert held(tmp_path / "new" / "tape.duckdb") == held(kinds)


def test_what_is_there_is_replaced_by_force_only(kinds: Path, tmp_path: Path) -> None:
    """A tape with scans is refused without --force, and as it was."""
    there = tmp_path / "tape.duckdb"
    run(kinds, there)
    with pytest.raises(BadInput, match="has scans already: give --force to replace them"):
        run(kinds, there)
    assert run(kinds, there, "--force").exit_code == 0
    assert held(there) == held(kinds)


def test_the_raw_bytes_come_along(kinds: Path, tmp_path: Path) -> None:
    """With --archive the bodies beside the one are beside the other."""
    one = tmp_path / "one.duckdb"
    shutil.copyfile(kinds, one)
    body = tmp_path / "one.archive" / "ab" / "abcd.zst"
    body.parent.mkdir(parents=True)
    body.write_bytes(b"bytes")
    done = run(one, tmp_path / "two.duckdb", "--archive")

    assert "1 bodies of the archive added" in done.output
    assert (tmp_path / "two.archive" / "ab" / "abcd.zst").read_bytes() == b"bytes"


def test_a_tape_is_not_copied_onto_itself(kinds: Path, tmp_path: Path) -> None:
    """Nor is one made of nothing."""
    with pytest.raises(BadInput, match="both ends of the copy"):
        run(kinds, kinds)
    with pytest.raises(NoTape):
        run(tmp_path / "none.duckdb", tmp_path / "tape.duckdb")
    assert not (tmp_path / "tape.duckdb").exists()
