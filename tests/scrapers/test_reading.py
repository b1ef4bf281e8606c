"""Whatever bytes come, reading ends in quotes or in one of our own errors."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.scrapers.adapter import Adapter
from gputape.scrapers.errors import SourceError
from gputape.scrapers.page import Page
from gputape.scrapers.reading import read
from gputape.scrapers.registry import ADAPTERS

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
