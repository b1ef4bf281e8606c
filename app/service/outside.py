"""The one way out that all jobs share: connections, pace, robots.txt, and who asked for a pause."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

import httpx

from gputape.app.collecting import PAUSE
from gputape.scrapers.http import Pace, client, retry_after
from gputape.scrapers.robots import Robots

ROBOTS_BYTES = 512 * 1024  # RFC 9309 2.5: at least 500 KiB are read
ROBOTS_S = 30
ROBOTS_STAND = timedelta(days=1)
LONGEST_PAUSE = timedelta(days=7)  # a header that asks for more is a mistake
EPOCH_FROM = 1_000_000_000  # a reset this large is a moment, a smaller one seconds from now
SLOW_DOWN = frozenset({429, 503})


@dataclass(slots=True)
class Outside:
    """What a service's requests go through. Close it in the end."""

    now: Callable[[], datetime]
    pace: Pace = field(default_factory=lambda: Pace(PAUSE, time.monotonic, time.sleep))
    transport: httpx.BaseTransport = field(
        default_factory=lambda: httpx.HTTPTransport(limits=httpx.Limits(max_connections=64))
    )
    _robots: Robots | None = None
    _robots_at: datetime | None = None
    _lock: Lock = field(default_factory=Lock)

    def robots(self) -> Robots:
        """Return what hosts allow, asked once a day; who did not answer is asked again."""
        with self._lock:
            old = self._robots_at is None or self.now() - self._robots_at >= ROBOTS_STAND
            if self._robots is None or old:
                self._robots, self._robots_at = Robots(self._get_rules), self.now()
            self._robots.another_run()
            return self._robots

    def _get_rules(self, url: str) -> httpx.Response:
        """Return a host's robots.txt, as much of it as counts."""
        began, body = time.monotonic(), b""
        with client(Leave(self.transport)) as polite, polite.stream("GET", url) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > ROBOTS_BYTES:
                    break
                if time.monotonic() - began > ROBOTS_S:
                    raise httpx.ReadTimeout("robots.txt only drips")
            return httpx.Response(response.status_code, content=body[:ROBOTS_BYTES])

    def close(self) -> None:
        """Close every connection."""
        self.transport.close()


class Leave(httpx.BaseTransport):
    """Passes requests to a transport that somebody else closes."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the inner transport's answer."""
        return self._inner.handle_request(request)


class Watched(Leave):
    """Remembers of one run whether anybody answered, and until when a host wants no request."""

    def __init__(self, inner: httpx.BaseTransport, now: Callable[[], datetime]) -> None:
        super().__init__(inner)
        self._now = now
        self.answered = False
        self.not_before: datetime | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the inner transport's answer."""
        response = super().handle_request(request)
        self.answered |= response.status_code in (httpx.codes.OK, httpx.codes.NOT_MODIFIED)
        asked = pause_asked(response.status_code, response.headers, self._now())
        if asked and (self.not_before is None or asked > self.not_before):
            self.not_before = asked
        return response


def pause_asked(status: int, headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return until when an answer asks for a pause: Retry-After, or a quota that is used up.

    Quotas as `RateLimit-Remaining` and `RateLimit-Reset` (IETF draft httpapi-ratelimit-headers 03),
    with or without `X-`: seconds from now, or seconds since 1970 as GitHub has it.
    """
    seconds = None
    if status in SLOW_DOWN:
        seconds = retry_after(headers.get("retry-after"), now)
    for prefix in ("", "x-"):
        if headers.get(f"{prefix}ratelimit-remaining") == "0":
            reset = headers.get(f"{prefix}ratelimit-reset", "")
            if reset.isascii() and reset.isdigit():
                seconds = max(seconds or 0.0, _from_now(int(reset), now))
    if not seconds:
        return None
    return now + min(timedelta(seconds=min(seconds, 1e9)), LONGEST_PAUSE)


def _from_now(reset: int, now: datetime) -> float:
    if reset < EPOCH_FROM:
        return float(reset)
    return (datetime.fromtimestamp(min(reset, 10**11), UTC) - now).total_seconds()
