"""Whatever bytes come, reading ends in quotes or in one of our own errors."""

import errno
import gzip
import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.scrapers import page as pages
from gputape.scrapers.adapter import Adapter
from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed, SourceError
from gputape.scrapers.page import GZIP, Page
from gputape.scrapers.reading import read
from gputape.scrapers.registry import ADAPTERS
from gputape.store.errors import Damaged

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "payloads"
AT = datetime(2026, 11, 1, tzinfo=UTC)


def bodies(folder: Path, most: int = 10**6) -> list[Any]:
    """Every body of every provider's recording in a folder, with its adapter."""
    return [
        pytest.param(adapter, folder / slug / file, id=f"{slug}-{file}")
        for adapter in ADAPTERS
        for slug in [adapter.PROVIDER.slug]
        if (folder / slug / "pages.json").exists()
        for file in sorted({entry["file"] for entry in index(folder / slug)})
        if (folder / slug / file).stat().st_size < most
    ]  # fmt: skip


def index(folder: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / "pages.json").read_text())
    return entries


def page(body: bytes) -> Page:
    return Page(url="https://example.com/x", fetched_at=AT, read=lambda: body)


def only_our_errors(adapter: Adapter, body: bytes) -> None:
    with suppress(SourceError):
        read(adapter, [page(body)])


@pytest.mark.parametrize(("adapter", "file"), bodies(ROOT / "fixtures"))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_broken_body_raises_only_our_errors(
    data: st.DataObject, adapter: Adapter, file: Path
) -> None:
    """Truncated, mutated, shuffled: never a KeyError, never a traceback."""
    body = file.read_bytes()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    noise = data.draw(st.binary(max_size=20))
    only_our_errors(adapter, body[:start] + noise + body[end:])


@pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real responses")
@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "file"), bodies(REAL))
def test_a_broken_real_body_raises_only_our_errors(adapter: Adapter, file: Path) -> None:
    """The same for what providers really served, cut and mutated at a hundred places."""
    body = file.read_bytes()
    dice = random.Random(1)  # noqa: S311  # a repeatable choice of places
    for _ in range(100 if len(body) < 10**5 else 8):
        place = dice.randrange(len(body))
        only_our_errors(adapter, body[:place])
        only_our_errors(adapter, body[:place] + bytes([dice.randrange(256)]) + body[place + 1 :])


@pytest.mark.parametrize("adapter", [pytest.param(a, id=a.PROVIDER.slug) for a in ADAPTERS])
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"<html></html>", b"\xff\xfe\x00", b"1"]
)
def test_a_body_that_is_nothing_is_no_quiet_success(adapter: Adapter, body: bytes) -> None:
    """Nothing at all is `changed`, not a list of no prices."""
    with pytest.raises(SourceError):
        read(adapter, [page(body)])


def in_archive(folder: Path, body: bytes) -> Page:
    """Return a page as the collector would have archived it."""
    archive = Archive(folder)
    with archive.receive(2**26) as file:
        file.write(body)
    digest = file.sha256
    return Page(
        url="https://example.com/x", fetched_at=AT, read=lambda: archive.read(digest),
        sha256=digest, path=archive.path(digest),
    )  # fmt: skip


@pytest.mark.parametrize("adapter", [pytest.param(a, id=a.PROVIDER.slug) for a in ADAPTERS])
def test_a_body_that_is_lost_is_said_and_not_blamed_on_the_adapter(
    adapter: Adapter, tmp_path: Path
) -> None:
    """A file that is gone from the archive ends one part, with the file's name."""
    page = in_archive(tmp_path, b"{}")
    assert page.path
    page.path.unlink()
    with pytest.raises(Damaged, match="gone"):
        page.body  # noqa: B018  # reading it is the test
    with pytest.raises(Changed, match=r"is gone"):
        read(adapter, [page])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GZIP, id="two bytes"),
        pytest.param(gzip.compress(b'{"a": 1}')[:-9], id="cut"),
        pytest.param(gzip.compress(b"{}" * 99)[:20] + b"x" * 18, id="altered"),
    ],
)
def test_gzip_that_is_cut_or_altered_is_changed(body: bytes) -> None:
    """A body that can not be unpacked is the provider's, and says so."""
    with pytest.raises(Changed, match="gzip"):
        page(body).json()


def test_gzip_without_an_end_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte that becomes a gigabyte is not let into memory."""
    monkeypatch.setattr(pages, "GUNZIP_MAX_BYTES", 1000)
    assert len(page(gzip.compress(bytes(1000))).body) == 1000
    with pytest.raises(Changed, match="more than"):
        page(gzip.compress(bytes(1001))).body  # noqa: B018  # reading it is the test


def test_json_too_deep_to_read_is_changed() -> None:
    """A hundred thousand brackets are no list of prices."""
    with pytest.raises(Changed):
        page(b"[" * 100_000).json()


def test_our_own_full_disk_is_not_the_provider_s_change() -> None:
    """An OSError of ours passes through, for the run to end with it."""

    def full() -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        read(ADAPTERS[1], [Page(url="https://example.com/x", fetched_at=AT, read=full)])


def numbered(rows: int) -> bytes:
    """Return a CSV whose size is its rows'."""
    return b'n,c0,what "it" is\n' + b"".join(b"%d,a%d,b\n" % (n, n) for n in range(rows))


def test_a_cut_csv_is_not_a_shorter_csv(tmp_path: Path) -> None:
    """A file that lost its end in the archive is noticed before a row is believed."""
    page = in_archive(tmp_path, numbered(300_000))
    assert page.path
    assert len(page.csv(["n"], {"n": "."})) == 300_000
    page.path.write_bytes(page.path.read_bytes()[: page.path.stat().st_size // 3])
    with pytest.raises(Damaged):
        page.csv(["n"], {"n": "."})


def test_an_altered_csv_is_not_read(tmp_path: Path) -> None:
    """The frame's checksum is looked at while the rows are read."""
    page = in_archive(tmp_path, numbered(300_000))
    assert page.path
    whole = bytearray(page.path.read_bytes())
    whole[len(whole) // 2] ^= 1
    page.path.write_bytes(whole)
    with pytest.raises((Changed, Damaged)):
        page.csv(["n"], {"n": "."})


def test_a_path_with_signs_of_a_pattern_is_one_file(tmp_path: Path) -> None:
    """A folder called `a[1]*?` is a folder, not a search."""
    page = in_archive(tmp_path / "a[1]*?", numbered(3))
    in_archive(tmp_path / "a1b?", numbered(5))
    assert len(page.csv(["n"], {"n": "."})) == 3


def test_a_column_may_be_called_anything(tmp_path: Path) -> None:
    """`c0` and a name with quotes are columns like any other."""
    page = in_archive(tmp_path, numbered(2))
    wanted = ["c0", 'what "it" is', "absent"]
    assert page.csv(wanted, {'what "it" is': "b"}) == [
        {"absent": "", "c0": f"a{n}", 'what "it" is': "b"} for n in range(2)
    ]
