"""The raw bytes: once under their hash, whole or not at all."""

from pathlib import Path

import pytest

from gputape.scrapers.archive import Archive
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
