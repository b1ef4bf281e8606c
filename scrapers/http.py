"""The one way out of the house: polite, patient, and everything that comes back is archived.

Polite: an honest User-Agent, robots.txt for pages, conditional GET, one request at a time
per host with a pause between. Patient: one retry policy for everybody, which obeys
Retry-After. The same code runs against the network and against a recording; only the
transport under it differs.
"""

import email.utils
import gzip
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina

from gputape.scrapers.adapter import Provider
from gputape.scrapers.archive import Archive
from gputape.scrapers.body import in_time
from gputape.scrapers.challenge import refuse_challenge
from gputape.scrapers.errors import Changed, Refused, SourceError, Unreachable
from gputape.scrapers.page import Page
from gputape.scrapers.recording import FETCHED_AT, NotInRecording
from gputape.scrapers.robots import Robots
from gputape.store.errors import Damaged
from gputape.store.scan import Answer, Memory, PageRow

# stamina logs each retry as a warning without saying of what; a scan says it all in the end
logging.getLogger("stamina").addHandler(logging.NullHandler())
USER_AGENT = f"gputape/{version('gputape')} (+https://github.com/gputape/gputape)"
TIMEOUT = httpx.Timeout(30, connect=10)
TRIES = 4
PATIENCE = timedelta(minutes=2)  # for one address, all tries and waits together
AGAIN = frozenset({429, 500, 502, 503, 504})
NO = frozenset({401, 403, 429, 451})
PRIVATE = "gputape-private"  # a request extension: whom the adapter asked, with which headers
# what bytes that are not as they were can do to an adapter; an OSError is our own disk's
SHAPE = (
    LookupError, TypeError, ValueError, AttributeError, EOFError, RecursionError, zlib.error,
    gzip.BadGzipFile, httpx.InvalidURL,
)  # fmt: skip


@dataclass(slots=True)
class Pace:
    """One request at a time per host, `pause` apart. Shared by every provider of a run."""

    pause: timedelta
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _free_at: dict[str, float] = field(default_factory=dict)
    _locks: dict[str, Lock] = field(default_factory=dict)
    _closed: dict[str, SourceError] = field(default_factory=dict)
    _guard: Lock = field(default_factory=Lock)

    @contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """Wait for the host's turn, and hold it. Raises what the host was closed for."""
        with self._guard:
            lock = self._locks.setdefault(host, Lock())
        with lock:
            if why := self._closed.get(host):
                raise type(why)(str(why))
            self.sleep(max(0.0, self._free_at.get(host, 0.0) - self.clock()))
            try:
                yield
            finally:
                self._free_at[host] = self.clock() + self.pause.total_seconds()

    def close(self, host: str, why: SourceError) -> None:
        """Leave a host alone from now on, for a reason that holds for the rest of the run."""
        self._closed.setdefault(host, why)

    def another_run(self) -> "Pace":
        """Return the pace of a run beside this one: the same turns, no host closed."""
        return replace(self, _closed={})


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a part is not asked now, and how many prices it had when it was."""

    why: str
    quotes: int = 0


@dataclass(slots=True)
class Part:
    """One part as it was fetched: its pages, or the error that ended it."""

    name: str
    started_at: datetime
    pages: list[Page] = field(default_factory=list)
    rows: list[PageRow] = field(default_factory=list)
    error: SourceError | None = None
    skip: Skip | None = None


@dataclass(slots=True)
class Visit:
    """What a whole run shares: the transport's client, the archive, and what is remembered."""

    client: httpx.Client
    archive: Archive
    memory: Memory
    pace: Pace
    now: Callable[[], datetime]
    robots: Robots | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    stopped: Callable[[], bool] = lambda: False
    claim: Callable[[str], Skip | None] = lambda _: None
    """Claims a part among several collectors, or says why it is left to another."""


class Session:
    """One provider's way out. Fulfils `adapter.Http`."""

    def __init__(self, provider: Provider, visit: Visit, on_part: Callable[[Part], None]) -> None:
        self._provider = provider
        self._visit = visit
        self._on_part = on_part
        self._part: Part | None = None
        self._rows: dict[str, PageRow] = {}

    @contextmanager
    def part(self, name: str, /, *context: Page) -> Iterator[None]:
        """Open a part; a `SourceError` inside ends this part and no other."""
        self._stop_here()
        part = self._part = Part(name, self._visit.now(), skip=self._visit.claim(name))
        for page in context:
            part.pages.append(page)
            part.rows.append(replace(self._rows[page.sha256 + page.url], context=True))
        try:
            yield
        except _Left:
            pass  # with a reason
        except SourceError as error:
            part.error = error
        except Damaged as error:
            part.error = Changed(f"{error}: collect again to fetch it anew")
        except SHAPE as error:
            part.error = Changed(
                f"the index of {name} is not as it was ({type(error).__name__}: {error})"
            )
        finally:
            self._part = None
        self._on_part(part)

    def get(
        self,
        url: str,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        forever: bool = False,
        max_mib: int = 64,
    ) -> Page:
        """Return the archived answer; see `adapter.Http.get`."""
        known = self._visit.memory.answers.get(("GET", url))
        if known and not self._visit.archive.sound(known.sha256):
            known = None  # the bytes are gone or damaged: ask for them again
        if known and forever:
            return self._page(url, PageRow(
                method="GET", url=url, status=304, etag=known.etag, sha256=known.sha256,
                fetched_at=known.fetched_at or self._visit.now(), bytes=known.bytes,
                last_modified=known.last_modified,
            ))  # fmt: skip
        asked = dict(headers or {}) | (_conditions(known) if known else {})
        request = self._visit.client.build_request(
            "GET", url, headers=asked, extensions=_private(url, headers)
        )
        return self._page(url, self._ask(request, url, max_mib, known))

    def post(
        self, url: str, /, *, json: Any, headers: Mapping[str, str] | None = None, max_mib: int = 64
    ) -> Page:
        """Return the archived answer to a JSON body; the body is part of the address."""
        request = self._visit.client.build_request(
            "POST", url, json=json, headers=headers, extensions=_private(url, headers)
        )
        address = f"{url}#{sha256(request.read()).hexdigest()[:12]}"
        return self._page(url, self._ask(request, address, max_mib))

    def secret(self, name: str, /) -> str | None:
        """Return a key when it is set."""
        return self._visit.secrets.get(name) or None

    def wants(self, group: str, /) -> bool:
        """Whether a group of parts is due."""
        return group in self._visit.wanted

    # -- one request --------------------------------------------------------------------------

    def _page(self, url: str, row: PageRow) -> Page:
        archive = self._visit.archive
        page = Page(
            url=url,
            fetched_at=row.fetched_at,
            read=lambda: archive.read(row.sha256),
            sha256=row.sha256,
            path=archive.path(row.sha256),
        )
        self._rows[row.sha256 + url] = row
        if self._part:
            self._part.pages.append(page)
            self._part.rows.append(row)
        refuse_challenge(page)
        return page

    def _ask(
        self, request: httpx.Request, address: str, max_mib: int, known: Answer | None = None
    ) -> PageRow:
        url = str(request.url)
        self._stop_here()
        if self._part and self._part.skip:
            raise _Left
        if self._visit.robots and "authorization" not in request.headers:
            self._visit.robots.check(url)
        try:
            for attempt in stamina.retry_context(
                on=_wait, attempts=TRIES, timeout=PATIENCE, wait_initial=1.0, wait_max=30.0
            ):
                with attempt, self._visit.pace.turn(urlsplit(url).netloc):
                    return self._once(request, address, max_mib, known)
        except NotInRecording as error:
            raise Unreachable(f"{url}: {error}", url=url) from None
        except (httpx.HTTPError, OverflowError) as error:
            raise self._translate(error, url) from None
        raise AssertionError("stamina either returns or raises")

    def _once(
        self, request: httpx.Request, address: str, max_mib: int, known: Answer | None
    ) -> PageRow:
        archive = self._visit.archive
        response = self._visit.client.send(request, stream=True)
        try:
            at = response.extensions.get(FETCHED_AT) or self._visit.now()
            if response.status_code == httpx.codes.NOT_MODIFIED and known:
                row = _row(request, address, response, at, known.sha256, known.bytes)
                return replace(
                    row,
                    etag=row.etag or known.etag,
                    last_modified=row.last_modified or known.last_modified,
                )
            if response.status_code != httpx.codes.OK:
                raise httpx.HTTPStatusError("", request=request, response=response)
            with archive.receive(max_mib * 2**20) as body:
                for chunk in in_time(response, PATIENCE):
                    self._stop_here()
                    body.write(chunk)
            return _row(request, address, response, at, body.sha256, body.size)
        finally:
            response.close()

    def _translate(self, error: Exception, url: str) -> SourceError:
        host = urlsplit(url).netloc
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            # 109 regions that each wait for a host that is not there would be a quarter hour
            away = f"{host} can not be reached ({error}): it is not asked again in this run"
            self._visit.pace.close(host, Unreachable(away))
        if isinstance(error, httpx.HTTPStatusError):
            code = error.response.status_code
            if code == httpx.codes.TOO_MANY_REQUESTS:
                slow = f"{host} said to slow down: it is not asked again in this run"
                self._visit.pace.close(host, Refused(slow))
            if code in NO:
                return Refused(f"{url} answered {code}: slow down, or check the key", url=url)
            return Unreachable(f"{url} answered {code}: try again later", url=url)
        if isinstance(error, OverflowError):
            return Unreachable(f"{url} sends {error}: not what it used to be", url=url)
        return Unreachable(f"{url} can not be reached ({type(error).__name__}: {error})", url=url)

    def _stop_here(self) -> None:
        if self._visit.stopped():
            raise Stopped


class Stopped(Exception):
    """The run is ending; nothing more is asked."""


class _Left(Exception):
    """This part is left to another collector."""


def _conditions(known: Answer) -> dict[str, str]:
    conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in conditions.items() if value}


def _private(url: str, headers: Mapping[str, str] | None) -> dict[str, Any]:
    return {PRIVATE: (_origin(httpx.URL(url)), tuple(headers or ()))}


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _keep_private(request: httpx.Request) -> None:
    """Take an adapter's own headers, a key among them, off a redirect to somewhere else."""
    origin, names = request.extensions.get(PRIVATE, (None, ()))
    if origin != _origin(request.url):
        for name in names:
            request.headers.pop(name, None)


def _row(
    request: httpx.Request, address: str, response: httpx.Response, at: datetime, digest: str,
    size: int,
) -> PageRow:  # fmt: skip
    return PageRow(
        method=request.method,
        url=address,
        status=response.status_code,
        fetched_at=at,
        etag=response.headers.get("etag"),
        last_modified=response.headers.get("last-modified"),
        sha256=digest,
        bytes=size,
    )


def _wait(error: Exception) -> bool | float:
    """Say whether to try again, and after how many seconds when the provider says so."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in AGAIN:
        seconds = retry_after(error.response.headers.get("retry-after"), datetime.now(UTC))
        if seconds is None:
            return True
        return seconds if seconds < PATIENCE.total_seconds() else False
    return isinstance(error, httpx.TransportError) and not isinstance(error, NotInRecording)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return the client every request goes through."""
    return httpx.Client(
        transport=transport,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
        timeout=TIMEOUT,
        follow_redirects=True,
        max_redirects=5,
        event_hooks={"request": [_keep_private]},
    )
