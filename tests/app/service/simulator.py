"""A provider simulator on loopback: real HTTP, the bundled fixtures, faults that a test chooses.

Adapters ask their real hosts; `Redirect` takes each request to the simulator instead, so that
everything above the socket is the real code.
"""

import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from bs4 import BeautifulSoup

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
HANG_S = 3.0  # longer than a test's time-out
SLOW_S = 0.02


class Redirect(httpx.HTTPTransport):
    """Takes every request to the simulator; the host it was meant for goes before the path."""

    def __init__(self, port: int, **more: Any) -> None:
        super().__init__(**more)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        there = f"http://127.0.0.1:{self._port}/{url.host}{url.raw_path.decode()}"
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"host"]
        taken = httpx.Request(
            request.method, there, headers=headers, content=request.read(),
            extensions=request.extensions,
        )  # fmt: skip
        return super().handle_request(taken)


@dataclass
class Simulator:
    """Serves `fixtures/<slug>/pages.json` of some providers. `faults` names what a host does."""

    slugs: tuple[str, ...]
    faults: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    """(slug, path) of every request, robots.txt as `robots`."""
    edits: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """What a provider prints in place of something else: another price."""

    def __post_init__(self) -> None:
        self._pages = [page for slug in self.slugs for page in pages(slug)]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None: ...  # a client that gave up

        self.http = Server(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def asked(self, slug: str) -> int:
        """How often a provider's own addresses were asked."""
        return sum(one == slug and path != "robots" for one, path in list(self.seen))

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        host, _, path = to.path.removeprefix("/").partition("/")
        url = f"https://{host}/{path}"
        found = next((page for page in self._pages if page.matches(url)), None)
        if path == "robots.txt":
            slug = next((page.slug for page in self._pages if host in page.url), "?")
            self.seen.append((slug, "robots"))
            _send(to, 404, b"", "text/plain")
            return
        if found is None:
            _send(to, 404, b"no such fixture", "text/plain")
            return
        self.seen.append((found.slug, path))
        fault = self.faults.get(found.slug, "none")
        old_new = self.edits.get(found.slug)
        printed = found.body.replace(*old_new) if old_new else found.body
        body = CONTENT.get(fault, _same)(printed)
        with suppress(OSError):
            FAULTS.get(fault, _plain)(to, body, found.kind)


@dataclass(frozen=True)
class Served:
    """One address and its body."""

    slug: str
    url: str
    body: bytes
    kind: str

    def matches(self, url: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, unquote(self.url).split("*"))),
                            unquote(url)) is not None  # fmt: skip


def pages(slug: str) -> Iterator[Served]:
    """Return what a fixture folder answers."""
    folder = FIXTURES / slug
    for entry in json.loads((folder / "pages.json").read_text()):
        kind = "application/json" if entry["file"].endswith("json") else "text/html"
        url = entry["url"]
        if url == "*":
            from gputape.scrapers.registry import adapter

            url = adapter(slug).PROVIDER.prices_at
        yield Served(slug, url, (folder / entry["file"]).read_bytes(), kind)


# -- what a server does to its client -----------------------------------------------------------


def _send(to: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, **headers: str) -> None:
    to.send_response(status)
    to.send_header("Content-Type", kind)
    to.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(body)


def _plain(to: BaseHTTPRequestHandler, body: bytes, kind: str) -> None:
    _send(to, 200, body, kind)


def _slow(to: BaseHTTPRequestHandler, body: bytes, kind: str) -> None:
    half = len(body) // 2
    to.send_response(200)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body[:half])
    time.sleep(SLOW_S)
    to.wfile.write(body[half:])


def _hang(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    end = time.monotonic() + HANG_S
    to.connection.settimeout(0.05)
    while time.monotonic() < end:
        with suppress(TimeoutError):
            if not to.connection.recv(1):
                break
    to.close_connection = True


def _reset(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    to.connection.close()
    to.close_connection = True


def _too_many(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    _send(to, 429, b"", "text/plain", Retry_After="7200")


def _error(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    _send(to, 500, b"oops", "text/plain")


def _truncated(to: BaseHTTPRequestHandler, body: bytes, kind: str) -> None:
    packed = gzip.compress(body)
    _send(to, 200, packed[: len(packed) // 2], kind, Content_Encoding="gzip")
    to.close_connection = True


def _garbled(to: BaseHTTPRequestHandler, body: bytes, kind: str) -> None:
    _send(to, 200, body, kind, Content_Encoding="gzip")


def _picture(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    _send(to, 200, b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")


def _endless(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    for _ in range(4096):
        to.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    to.close_connection = True


def _loop(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    host, _, path = to.path.removeprefix("/").partition("/")
    _send(to, 302, b"", "text/plain", Location=f"https://{host}/{path}")


def _challenge(to: BaseHTTPRequestHandler, _: bytes, __: str) -> None:
    _send(to, 403, b"<title>Just a moment...</title>", "text/html")


FAULTS: dict[str, Callable[[BaseHTTPRequestHandler, bytes, str], None]] = {
    "slow": _slow, "hang": _hang, "reset": _reset, "429": _too_many, "500": _error,
    "truncated": _truncated, "garbled": _garbled, "picture": _picture, "endless": _endless,
    "loop": _loop, "challenge": _challenge,
}  # fmt: skip

# -- what a provider does to its list -----------------------------------------------------------

PRICE = re.compile(rb"(\$\s?|\"value\": ?|(?:hour|month)\w*: )(\d+(?:\.\d+)?)")
MACHINE = re.compile(rb"^    \w.*:\n(?:      .*(?:\n|$))+", re.MULTILINE)  # of GCP's list


def _same(body: bytes) -> bytes:
    return body


def _dear(body: bytes) -> bytes:
    """Every price a hundred times as high: cents taken for dollars."""
    return PRICE.sub(lambda m: m[1] + f"{float(m[2]) * 100:.4f}".encode(), body)


def _half(body: bytes) -> bytes:
    """More than half of the rows are gone, from every table."""
    return _kept(body, lambda n: n % 5 in (0, 2))


def _empty(body: bytes) -> bytes:
    """The list is there, and nothing in it."""
    return _kept(body, lambda _: False)


def _kept(body: bytes, stays: Callable[[int], bool]) -> bytes:
    if body.lstrip().startswith(b"{"):
        said = json.loads(body)
        items = [item for n, item in enumerate(said["items"]) if stays(n)]
        return json.dumps({**said, "items": items}).encode()
    if machines := MACHINE.findall(body):
        for n, machine in enumerate(machines):
            body = body if stays(n) else body.replace(machine, b"", 1)
        return body
    page = BeautifulSoup(body, "lxml")
    for n, row in enumerate(page.select(".gpu-pricing .table-row-v2, tr[data-plan]")):
        if not stays(n):
            row.decompose()
    return page.encode()


def _layout(body: bytes) -> bytes:
    """A new page: other keys, other classes."""
    return re.sub(rb"items|tabpanel|gpu-pricing|instance:", b"renamed:", body)


CONTENT: dict[str, Callable[[bytes], bytes]] = {
    "dear": _dear, "half": _half, "empty": _empty, "layout": _layout,
}  # fmt: skip
EVERY = ("none", *FAULTS, *CONTENT)
FAILING = frozenset(EVERY) - {"none", "slow", "dear", "half"}
