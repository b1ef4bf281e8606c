"""Raw bytes: what goes after so many days, what never goes, and what is missed when it is lost."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from gputape.scrapers.archive import Archive
from gputape.scrapers.retention import Swept, inspect, sweep
from gputape.store import tape
from gputape.store.record import Recorder
from gputape.store.scan import Listing, PageRow, Scan

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MONTH = timedelta(days=30)


class Kept:
    """A tape with its archive, to which looks of some days ago are added."""

    def __init__(self, recorder: Recorder, archive: Archive) -> None:
        self.recorder, self.archive = recorder, archive
        self.con = recorder.con

    def put(self, text: str, days: float) -> str:
        """Put a body into the archive as if it had come so many days ago."""
        with self.archive.receive(1000) as body:
            body.write(text.encode())
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(self.archive.path(body.sha256), (at, at))
        return body.sha256

    def look(self, days: float, *texts: str, part: str = "list", status: str = "ok") -> None:
        """Record a look of so many days ago that read these bodies."""
        at = NOW - timedelta(days=days)
        pages = tuple(
            PageRow(method="GET", url=f"https://acme.example/{text}", status=200, fetched_at=at,
                    etag=None, last_modified=None, sha256=self.put(text, days), bytes=len(text))
            for text in texts
        )  # fmt: skip
        scan = Scan(
            run_id=1, provider="acme", part=part, started_at=at, finished_at=at, observed_at=at,
            status=status, parser_revision=1, normaliser="1", pages=pages,
        )  # fmt: skip
        self.recorder.record(scan, Listing() if status == "ok" else None)

    def sweep(self, keep: timedelta | None = MONTH) -> Swept:
        return sweep(self.con, self.archive, NOW, keep)

    def has(self, *texts: str) -> list[str]:
        """Return which of these bodies are there."""
        return [t for t in texts if self.archive.path(sha256(t.encode()).hexdigest()).exists()]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with tape.writing(tmp_path / "tape.duckdb", NOW) as con:
        yield Kept(Recorder(con), Archive(tmp_path / "tape.archive"))


def test_old_bodies_go_and_the_index_stays(kept: Kept) -> None:
    """Bodies older than the window go, newer ones stay, and every page is still listed."""
    kept.look(90, "old")
    kept.look(40, "older than a month")
    kept.look(20, "young")
    kept.look(0, "now")
    size = sum(f.stat().st_size for f in kept.archive.folder.rglob("*.zst"))
    swept = kept.sweep()

    assert kept.has("old", "older than a month", "young", "now") == ["young", "now"]
    assert swept.files == 2
    left = sum(f.stat().st_size for f in kept.archive.folder.rglob("*.zst"))
    assert swept.bytes == size - left
    assert kept.con.execute("select count(*) from page").fetchall() == [(4,)]


def test_without_a_limit_everything_stays(kept: Kept) -> None:
    """The default keeps all."""
    kept.look(900, "old")
    kept.look(1, "new")
    kept.put("orphan", 900)
    assert kept.sweep(None) == Swept()
    assert kept.has("old", "new", "orphan") == ["old", "new", "orphan"]


def test_the_last_bodies_of_a_part_never_go(kept: Kept) -> None:
    """A part that was not looked at for a year keeps the whole set it was last read from."""
    kept.look(500, "first")
    kept.look(400, "a", "b")
    kept.look(1, "else", part="other")
    kept.sweep()
    assert kept.has("first", "a", "b") == ["a", "b"]


def test_the_last_good_bodies_stay_when_later_looks_failed(kept: Kept) -> None:
    """What was read last and what failed last are both kept: each is needed to mend a parser."""
    kept.look(500, "good")
    kept.look(400, "good too")
    kept.look(300, "bad", status="changed")
    kept.look(200, "bad too", status="changed")
    kept.sweep()
    assert kept.has("good", "good too", "bad", "bad too") == ["good too", "bad too"]


def test_the_bodies_that_were_read_stay_when_they_are_only_confirmed(kept: Kept) -> None:
    """Looks that found nothing changed point to other bytes than those that were read."""
    kept.look(500, "read")
    kept.look(400, "confirmed", status="unchanged")
    kept.sweep()
    assert kept.has("read", "confirmed") == ["read", "confirmed"]


def test_a_body_that_a_young_scan_shares_stays(kept: Kept) -> None:
    """One file serves every scan with these bytes."""
    kept.look(90, "same")
    at = (NOW - timedelta(days=90)).timestamp()
    kept.look(5, "same")
    kept.look(1, "now")
    os.utime(kept.archive.path(sha256(b"same").hexdigest()), (at, at))
    assert kept.sweep() == Swept()
    assert kept.has("same") == ["same"]


def test_bodies_of_scans_that_were_never_recorded_go_too(kept: Kept) -> None:
    """A body that no page points to goes by its age alone; a fresh one may yet be recorded."""
    kept.put("long ago", 31)
    kept.put("lately", 29)
    assert kept.sweep().files == 1
    assert kept.has("long ago", "lately") == ["lately"]
    kept.put("just now", 0.5)
    kept.put("two days ago", 2)
    kept.sweep(timedelta(hours=1))
    assert kept.has("just now", "two days ago") == ["just now"]


def test_a_body_that_came_again_today_stays(kept: Kept) -> None:
    """Bytes that have just been fetched again may belong to a scan that is being recorded."""
    kept.look(90, "again")
    kept.look(1, "now")
    kept.put("again", 0)
    kept.sweep()
    assert kept.has("again") == ["again"]


def test_cut_downloads_go(kept: Kept) -> None:
    """A download that was killed leaves a nameless file, which goes after a day."""
    kept.put("whole", 0)
    for name, days in (("part-old", 2), ("part-new", 0)):
        (kept.archive.folder / name).write_bytes(b"cut")
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(kept.archive.folder / name, (at, at))
    assert kept.sweep(None) == Swept(1, 3)
    assert [f.name for f in kept.archive.folder.glob("part-*")] == ["part-new"]


def test_no_archive_is_nothing_to_sweep(kept: Kept) -> None:
    """A tape without raw bytes has nothing to lose."""
    assert kept.sweep() == Swept()


# -- what must be there -----------------------------------------------------------------------


def lost(kept: Kept, keep: timedelta | None = None, *, deep: bool = False) -> list[str]:
    return [f.finding for f in inspect(kept.con, kept.archive, NOW, keep, deep=deep)]


def test_a_body_that_is_lost_is_missed(kept: Kept) -> None:
    """A page whose body is gone is named by its address, provider and time."""
    kept.look(5, "a")
    kept.look(4, "b")
    kept.archive.path(sha256(b"a").hexdigest()).unlink()
    (finding,) = inspect(kept.con, kept.archive, NOW, None)

    assert finding.finding == "bodies are not in the archive (https://acme.example/a)"
    assert (finding.count, finding.provider) == (1, "acme")
    assert finding.seen == NOW - timedelta(days=5)


def test_what_was_swept_is_not_missed(kept: Kept) -> None:
    """With the same limit, what a sweep removed is as it should be; without it, it is lost."""
    kept.look(90, "old")
    kept.look(1, "new")
    kept.sweep()
    assert lost(kept, MONTH, deep=True) == []
    assert lost(kept) == ["bodies are not in the archive (https://acme.example/old)"]


def test_a_flipped_byte_is_found_by_a_deep_look(kept: Kept) -> None:
    """A body is read and hashed: one that was altered or cut is named by its file."""
    for n, text in enumerate(("cut", "flipped", "other", "sound")):
        kept.look(9 - n, text * 20)
    paths = {t: kept.archive.path(sha256((t * 20).encode()).hexdigest()) for t in
             ("cut", "flipped", "other", "sound")}  # fmt: skip
    paths["cut"].write_bytes(paths["cut"].read_bytes()[:-5])
    body = bytearray(paths["flipped"].read_bytes())
    body[len(body) // 2] ^= 1
    paths["flipped"].write_bytes(body)
    paths["other"].write_bytes(paths["sound"].read_bytes())

    assert lost(kept) == []
    (finding,) = inspect(kept.con, kept.archive, NOW, None, deep=True)
    assert (finding.rule, finding.count) == ("bytes", 3)
    assert str(paths["cut"]) in finding.finding
