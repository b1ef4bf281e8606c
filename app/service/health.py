"""Whether a service lives (`/healthz`), whether its prices are fresh (`/readyz`), `/metrics`.

On loopback unless the configuration says otherwise: nothing here is secret, and nothing asks who
it is. An answer is a sentence.
"""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread

from gputape.app.service.service import TICK, Service
from gputape.store.errors import BadInput

Answer = tuple[int, str, bytes]
TEXT = "text/plain; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PATIENCE_S = 10  # for a request that does not end
LATE = 12 * TICK  # a schedule that has not stirred for so long is dead
FRESH = 2  # cadences: a source is fresh so long


def healthz(service: Service) -> Answer:
    """Say whether the schedule lives."""
    silent = service.now() - service.beat_at
    if silent > LATE:
        return 503, TEXT, f"the schedule has not stirred for {silent}: restart it\n".encode()
    return 200, TEXT, b"ok\n"


def readyz(service: Service) -> Answer:
    """Say whether any source is fresh, and which are not."""
    now = service.now()
    asked = {name: line for name, line in list(service.lines.items()) if not line.job.rates}
    fresh = {
        name
        for name, line in asked.items()
        if line.course.good_at and now - line.course.good_at <= FRESH * line.job.cadence
    }
    old = ", ".join(sorted(asked.keys() - fresh)) or "none"
    why = f"{len(fresh)} of {len(asked)} sources are fresh; not fresh: {old}"
    if service.last_error:
        why += f"; last trouble of our own: {service.last_error}"
    return (200 if fresh else 503), TEXT, f"{service.hidden.strike(why)}\n".encode()


def metrics(service: Service) -> Answer:
    """Show everything that is counted."""
    from gputape.app.service.metrics import exposed  # noqa: PLC0415  # when somebody asks

    return 200, OPENMETRICS, exposed(service)


ROUTES: dict[str, Callable[[Service], Answer]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class Health:
    """Serves the three addresses on threads of its own."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        """Listen. Raises `BadInput` when the address can not be had."""

        class Handler(_Handler):
            watched = service

        class Server(ThreadingHTTPServer):
            address_family = AF_INET6 if ":" in host else AF_INET

        try:
            self._http = Server((host, port), Handler)
        except OSError as error:
            raise BadInput(
                f"{host}:{port} can not be served ({error.strerror}): give --port another, or 0"
            ) from None
        self._http.daemon_threads = True
        Thread(target=self._http.serve_forever, name="health", daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._http.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def close(self) -> None:
        """Listen no more."""
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    watched: Service
    server_version = "gputape"
    sys_version = ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """Answer."""
        route = ROUTES.get(self.path.partition("?")[0])
        if route is None:
            self._send((404, TEXT, f"ask for {', '.join(ROUTES)}\n".encode()))
            return
        try:
            self._send(route(self.watched))
        except OSError:  # who asked has left
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815  # the library's name

    def _send(self, answer: Answer) -> None:
        status, kind, body = answer
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: a probe every few seconds is no news."""
