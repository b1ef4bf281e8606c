"""What a bad answer does: a body that is cut, one that drips, a robots.txt without an end."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gputape.app.service import outside
from gputape.app.service.outside import Outside
from gputape.scrapers import body
from gputape.scrapers.errors import Refused, Unreachable
from gputape.scrapers.http import PATIENCE, Pace

from .simulator import Simulator

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def body_of(raw: bytes, **headers: str) -> bytes:
    """Return what a streamed answer comes to."""
    stream = httpx.MockTransport(lambda _: httpx.Response(
        200, headers=headers, stream=httpx.ByteStream(raw)))  # fmt: skip
    with httpx.Client(transport=stream) as client, client.stream("GET", "http://a/") as answer:
        answer.is_stream_consumed = False
        return b"".join(body.decoded(answer))


def test_a_whole_gzip_body_is_read() -> None:
    """Also one of several members, and one that is empty."""
    packed = gzip.compress(b"one") + gzip.compress(b"two")

    assert body_of(packed, **{"content-encoding": "gzip"}) == b"onetwo"
    assert body_of(gzip.compress(b""), **{"content-encoding": "gzip"}) == b""


@pytest.mark.parametrize("cut", [5, 20, -1])
def test_a_gzip_body_that_ends_in_the_middle_is_no_answer(cut: int) -> None:
    """Httpx would return the first half of a price list as if it were all of it."""
    packed = gzip.compress(bytes(range(256)) * 40)

    with pytest.raises(httpx.RemoteProtocolError, match="ends in the middle"):
        body_of(packed[:cut], **{"content-encoding": "gzip"})


def test_a_body_that_only_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and all of them never would."""
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(body.time, "monotonic", lambda: next(clock))

    def drip() -> object:
        while True:
            yield b"x"

    way = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    with (
        httpx.Client(transport=way) as client,
        client.stream("GET", "http://a/") as answer,
        pytest.raises(httpx.ReadTimeout, match=r"\d+ bytes in 0:02:00"),
    ):
        for _ in body.in_time(answer, PATIENCE):
            pass


def test_a_robots_txt_without_an_end_is_cut(
    monkeypatch: pytest.MonkeyPatch, simulator: Callable[..., Simulator]
) -> None:
    """Only as much is read as counts; what it forbids there holds."""
    read = 0

    def rules() -> object:
        nonlocal read
        yield b"User-agent: *\nDisallow: /private\n"
        while True:
            read += 65536
            yield b"#" * 65536

    way = httpx.MockTransport(lambda _: httpx.Response(200, content=rules()))
    out = Outside(lambda: NOW, Pace(timedelta(), lambda: 0.0, lambda _: None), way)
    out.robots().check("https://a.example/prices")

    with pytest.raises(Refused):
        out.robots().check("https://a.example/private")
    assert read <= outside.ROBOTS_BYTES + 65536


def test_a_robots_txt_that_did_not_come_is_asked_for_again() -> None:
    """A host that had a bad minute is not left alone for a day."""
    answers = iter([500, 404])
    way = httpx.MockTransport(lambda _: httpx.Response(next(answers)))
    out = Outside(lambda: NOW, Pace(timedelta(), lambda: 0.0, lambda _: None), way)

    with pytest.raises(Unreachable):
        out.robots().check("https://a.example/prices")
    out.robots().check("https://a.example/prices")
    out.robots().check("https://a.example/prices")
