"""The raw bytes: once under their hash, whole or not at all."""

import os
from pathlib import Path

import pytest
import zstandard

from gputape.scrapers import archive as module
from gputape.scrapers.archive import Archive
from gputape.scrapers.frame import check_whole
from gputape.store.errors import Damaged


def put(archive: Archive, *chunks: bytes) -> str:
    with archive.receive(2**20) as body:
        for chunk in chunks:
            body.write(chunk)
    return body.sha256


def test_equal_bodies_are_one_file(tmp_path: Path) -> None:
    """However a body arrives in chunks, its hash names it."""
    archive = Archive(tmp_path)
    assert put(archive, b"ab", b"c") == put(archive, b"abc")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert archive.read(put(archive, b"abc")) == b"abc"


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    """A body that did not arrive whole has no name."""
    archive = Archive(tmp_path)
    with pytest.raises(OverflowError), archive.receive(4) as body:
        body.write(b"longer than four")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Damage of any byte is said, unless it is in padding and the body is still itself."""
    archive = Archive(tmp_path)
    digest = put(archive, b"abc" * 100)
    path = archive.path(digest)
    whole = path.read_bytes()
    noticed = 0
    for n in range(len(whole)):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        try:
            assert archive.read(digest) == b"abc" * 100
        except Damaged:
            noticed += 1
    assert noticed > len(whole) // 2


def test_a_lost_body_is_said(tmp_path: Path) -> None:
    """A missing file is one sentence with its path."""
    with pytest.raises(Damaged, match="is gone"):
        Archive(tmp_path).read("ab" * 32)


def test_a_body_has_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    """Who may read the tape may read what it was read from."""
    old = os.umask(0o027)
    try:
        digest = put(Archive(tmp_path), b"abc")
    finally:
        os.umask(old)
    assert Archive(tmp_path).path(digest).stat().st_mode & 0o777 == 0o640


def test_a_body_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves a whole body or none."""
    named: list[bool] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        named.append(any(tmp_path.rglob("*.zst")))
        sync(handle)

    monkeypatch.setattr(module.os, "fsync", watched)
    put(Archive(tmp_path), b"abc")
    assert named == [False]


@pytest.mark.parametrize("at_once", [0, 2**20], ids=["long", "short"])
def test_a_cut_or_empty_or_lost_body_is_not_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Both the body that is read for the check and the one whose frame is walked."""
    monkeypatch.setattr(module, "READ_BYTES", at_once)
    archive = Archive(tmp_path)
    digest = put(archive, os.urandom(400_000), b"x" * 400_000)
    path = archive.path(digest)
    whole = path.read_bytes()
    assert archive.sound(digest)
    for keep in (len(whole) // 2, 5, 0):
        path.write_bytes(whole[:keep])
        assert not archive.sound(digest)
    path.unlink()
    assert not archive.sound(digest)


def test_frames_of_every_kind_are_walked_to_their_end(tmp_path: Path) -> None:
    """With and without checksum and size, empty, raw, run-length and compressed blocks."""
    path = tmp_path / "x.zst"
    for body in (b"", b"a", b"a" * 500_000, os.urandom(300_000), b"ab,cd\n" * 90_000):
        for checksum in (True, False):
            frame = zstandard.ZstdCompressor(write_checksum=checksum).compress(body)
            path.write_bytes(frame)
            check_whole(path)
            path.write_bytes(frame[:-1])
            with pytest.raises(Damaged):
                check_whole(path)
