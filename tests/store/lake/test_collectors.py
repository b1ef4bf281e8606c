"""Collectors as processes of their own, on one lake: at once, on one provider, and killed."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gputape.store import lake, tape
from gputape.store.catalogue import parse
from gputape.store.check import check

PROCESS = Path(__file__).with_name("process.py")
Start = Callable[..., "subprocess.Popen[str]"]
OURS = ("coreweave", "gcp", "oracle")  # and one more, which is killed


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process of `process.py` with an archive of its own; none outlives the test."""
    born: list[subprocess.Popen[str]] = []

    def begin(*words: object) -> "subprocess.Popen[str]":
        home = tmp_path / f"home-{len(born)}"
        born.append(
            subprocess.Popen(
                [sys.executable, PROCESS, *map(str, words)], stdout=subprocess.PIPE, text=True,
                env=os.environ | {"GPUTAPE_HOME": str(home)},
            )
        )  # fmt: skip
        return born[-1]

    yield begin
    for process in born:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """Read what a process says, until it says this."""
    said: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line.strip())
        if line.startswith(word):
            return said
    raise AssertionError(f"it ended and never said {word!r}: {said[-5:]}")


def rest(process: "subprocess.Popen[str]") -> list[str]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out.splitlines()


@pytest.mark.slow
def test_three_are_given_one_provider(lake_words: str, start: Start) -> None:
    """Each part is looked at once an hour, though three ask and one is killed half-way.

    Who waited for the killed one asks in its place, and its claim is free again.
    """
    doomed = start("same", lake_words, 0, 0.5)
    until(doomed, "asked p0")
    others = [start("same", lake_words, 0, 0.1) for _ in range(2)]
    until(doomed, "asked p2")  # p0 and p1 are recorded or about to be, p2 is claimed
    doomed.kill()
    said = [line for other in others for line in rest(other)]

    where = parse(lake_words)
    parts = "select part, count(*) from scan where status = 'ok' group by part order by part"
    with tape.reading(where) as con:
        assert con.execute(parts).fetchall() == [(f"p{n}", 1) for n in range(6)]
        assert con.execute("select count(*) from scan").fetchall() == [(6,)]
        assert check(con) == []
    assert any("skipped fresh: a collector looked at it 0 min ago" in line for line in said)
    with lake.claim(where, "part/acme/p2") as ours:
        assert ours

    later = [line for other in (start("same", lake_words, 1, 0) for _ in range(2))
             for line in rest(other)]  # fmt: skip
    assert sum(line.startswith("asked") for line in later) == 6
    with tape.reading(where) as con:
        looks = "select part, count(*) from scan group by part order by part"
        assert con.execute(looks).fetchall() == [(f"p{n}", 2) for n in range(6)]
        assert con.execute("select count(*) from v_offers where state = 'firm'").fetchall() == [
            (12,)
        ]


@pytest.mark.slow
def test_four_record_while_two_read(lake_words: str, start: Start, tmp_path: Path) -> None:
    """No scan is lost, doubled or half there, nor one whose recorder is killed in its commit."""
    where = parse(lake_words)
    doomed = start("write", lake_words, "azure", 500, tmp_path / "azure")
    killed = until(doomed, "recorded")
    writers = {
        slug: start("write", lake_words, slug, 5, tmp_path / slug) for slug in OURS
    }  # fmt: skip
    readers = [start("read", lake_words) for _ in range(2)]
    looks: list[list[str]] = [[], []]
    watching = [
        threading.Thread(target=lambda n=n: looks[n].extend(readers[n].stdout or ()))
        for n in range(2)
    ]
    for thread in watching:
        thread.start()
    killed += until(doomed, "recorded")
    threading.Event().wait(0.013)  # in the midst of its next
    doomed.kill()
    killed += doomed.communicate()[0].splitlines()
    said = {slug: rest(writer) for slug, writer in writers.items()}
    for reader, thread in zip(readers, watching, strict=True):
        reader.kill()
        thread.join()

    for seen in looks:
        assert len(seen) > 1
        assert {line.strip() for line in seen[:-1]} == {"looked 0 0 0"}  # the last may be cut
    with tape.reading(where) as con:
        kept = dict(con.execute("select provider, count(*) from scan group by provider").fetchall())
        for slug, lines in said.items():
            assert kept[slug] == sum(line.startswith("recorded") for line in lines) >= 5
            assert lines[-1].startswith("end")
        acknowledged = sum(line.startswith("recorded") for line in killed)
        assert acknowledged <= kept["azure"] <= acknowledged + 1  # the last may be unacknowledged
        ids = "select count(*), count(distinct scan_id) from scan"
        assert con.execute(ids).fetchall() == [(sum(kept.values()),) * 2]
        assert check(con) == []
