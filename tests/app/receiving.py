"""A real HTTP server on loopback that takes messages, as a person's own would."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """What arrived over HTTP."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["X-Gputape-Event-Id"]


@dataclass
class Receiver:
    """A real HTTP server; `answer` is asked for each request's status and headers."""

    port: int = 0
    got: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[int, dict[str, str]]] = lambda _: (200, {})
    pause_s: float = 0.0

    def url(self, path: str = "hook") -> str:
        return f"webhook+http://127.0.0.1:{self.port}/{path}"

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.got]


@contextmanager
def listening() -> Iterator[Receiver]:
    """Yield a server that keeps what it gets."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, dict(self.headers), body)
            kept.got.append(request)
            time.sleep(kept.pause_s)
            status, headers = kept.answer(request)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()
