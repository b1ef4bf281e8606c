"""The way out, against a real server on loopback."""

import gzip
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina

from gputape.scrapers.adapter import Provider
from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import SourceError
from gputape.scrapers.http import USER_AGENT, Pace, Part, Session, Visit, client, retry_after
from gputape.scrapers.recording import Recording, Replay
from gputape.scrapers.robots import Robots
from gputape.store.offer import Option
from gputape.store.scan import Answer, Memory

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PROVIDER = Provider(slug="a", name="A", prices_at="", terms_url="", options=frozenset(Option))


class Server:
    """Answers each request with the next of its answers, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.seen: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                outer.seen.append(
                    {"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}
                )
                n = min(len(outer.seen), len(outer.answers)) - 1
                outer.answers[n](self)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def says(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Queue an answer."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers.append(answer)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def visit(tmp_path: Path, **rest: Any) -> Visit:
    words: dict[str, Any] = {
        "client": client(), "archive": Archive(tmp_path / "archive"), "memory": Memory(),
        "pace": Pace(timedelta(), lambda: 0.0, lambda _: None), "now": lambda: NOW,
    }  # fmt: skip
    return Visit(**{**words, **rest})


def part_of(visit: Visit, ask: Callable[[Session], object]) -> Part:
    """Return the part in which `ask` was asked."""
    parts: list[Part] = []
    session = Session(PROVIDER, visit, parts.append)
    with session.part("p"):
        ask(session)
    visit.client.close()
    return parts[0]


def word(part: Part) -> str:
    assert isinstance(part.error, SourceError)
    return part.error.word


def test_an_answer_is_archived_before_anybody_reads_it(server: Server, tmp_path: Path) -> None:
    """The page's bytes are the archive's, with hash, size, status and time in its row."""
    server.says(200, b'{"a": 1}', etag='"v1"')
    part = part_of(visit(tmp_path), lambda http: http.get(f"{server.url}/x"))
    (row,) = part.rows
    assert part.pages[0].json() == {"a": 1}
    assert (row.status, row.bytes, row.etag, row.fetched_at) == (200, 8, '"v1"', NOW)
    assert Archive(tmp_path / "archive").read(row.sha256) == b'{"a": 1}'


def test_the_user_agent_says_who_we_are_and_where_to_complain(
    server: Server, tmp_path: Path
) -> None:
    """Name, version and a contact address go with every request."""
    server.says(200, b"{}")
    part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert server.seen[0]["user-agent"] == USER_AGENT
    assert "https://" in USER_AGENT


def test_a_known_address_is_asked_conditionally(server: Server, tmp_path: Path) -> None:
    """ETag and Last-Modified come back as conditions, and a 304 is the body we have."""
    server.says(200, b'{"a": 1}', etag='"v1"', last_modified="Sat, 01 Nov 2025 00:00:00 GMT")
    server.says(304)
    url = f"{server.url}/x"
    (first,) = part_of(visit(tmp_path), lambda http: http.get(url)).rows
    known = Answer(first.etag, first.last_modified, first.sha256, first.bytes)
    memory = Memory(answers={("GET", url): known})
    part = part_of(visit(tmp_path, memory=memory), lambda http: http.get(url))
    assert server.seen[1]["if-none-match"] == '"v1"'
    assert server.seen[1]["if-modified-since"] == "Sat, 01 Nov 2025 00:00:00 GMT"
    assert (part.rows[0].status, part.rows[0].sha256) == (304, first.sha256)
    assert part.pages[0].json() == {"a": 1}


def test_an_address_that_names_its_version_is_asked_once(server: Server, tmp_path: Path) -> None:
    """`forever`: what was downloaded whole is never downloaded again."""
    server.says(200, b"300 MB")
    url = f"{server.url}/20260910/index.csv"
    (row,) = part_of(visit(tmp_path), lambda http: http.get(url, forever=True)).rows
    memory = Memory(answers={("GET", url): Answer(None, None, row.sha256, row.bytes)})
    part = part_of(visit(tmp_path, memory=memory), lambda http: http.get(url, forever=True))
    assert len(server.seen) == 1
    assert part.pages[0].body == b"300 MB"


@pytest.mark.parametrize(
    ("status", "expected", "tries"),
    [(401, "refused", 1), (403, "refused", 1), (404, "unreachable", 1), (429, "refused", 3),
     (500, "unreachable", 3), (503, "unreachable", 3)],
)  # fmt: skip
def test_a_status_has_its_name_and_its_patience(
    server: Server, tmp_path: Path, status: int, expected: str, tries: int
) -> None:
    """What may pass is tried again; what was decided is not."""
    server.says(status)
    part = part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert (word(part), len(server.seen)) == (expected, tries)
    assert server.url in str(part.error)


def test_a_source_that_recovers_is_not_a_failure(server: Server, tmp_path: Path) -> None:
    """Two bad answers and a good one are one good page."""
    server.says(503)
    server.says(500)
    server.says(200, b"{}")
    part = part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert part.error is None
    assert len(part.rows) == 1


def test_a_challenge_page_with_status_200_is_a_refusal(server: Server, tmp_path: Path) -> None:
    """A challenge is a no, and its bytes are kept as evidence."""
    server.says(200, b"<html><title>Just a moment...</title></html>")
    part = part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert word(part) == "refused"
    assert len(part.rows) == 1


def test_a_body_above_its_limit_is_not_taken(server: Server, tmp_path: Path) -> None:
    """An endless body ends at the limit and leaves nothing behind."""
    server.says(200, b"x" * (2 * 2**20))
    part = part_of(visit(tmp_path), lambda http: http.get(server.url, max_mib=1))
    assert word(part) == "unreachable"
    assert "more than 1 MiB" in str(part.error)
    assert [p for p in (tmp_path / "archive").rglob("*") if p.is_file()] == []


def test_a_body_shorter_than_promised_is_not_taken(server: Server, tmp_path: Path) -> None:
    """A cut download never becomes an archive entry."""
    server.says(200, b"half", content_length="4000", connection="close")
    part = part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert word(part) == "unreachable"
    assert [p for p in (tmp_path / "archive").rglob("*") if p.is_file()] == []


def test_gzip_is_read_with_and_without_being_announced(server: Server, tmp_path: Path) -> None:
    """One feed serves gzip without Content-Encoding; both read the same."""
    packed = gzip.compress(b'{"a": 1}')
    server.says(200, packed)
    server.says(200, packed, content_encoding="gzip")
    for path in ("plain", "announced"):
        part = part_of(visit(tmp_path), lambda http, p=path: http.get(f"{server.url}/{p}"))
        assert part.pages[0].json() == {"a": 1}


def test_a_loop_of_redirects_ends(server: Server, tmp_path: Path) -> None:
    """Redirects are followed, but not for ever."""
    server.says(302, location="/again")
    part = part_of(visit(tmp_path), lambda http: http.get(server.url))
    assert word(part) == "unreachable"


def test_a_page_that_robots_txt_forbids_is_not_fetched(server: Server, tmp_path: Path) -> None:
    """robots.txt is asked once per host, and its no is a no."""
    server.says(200, b"User-agent: *\nDisallow: /private\n")
    server.says(200, b"{}")
    robots = Robots(client().get)
    no = part_of(visit(tmp_path, robots=robots), lambda http: http.get(f"{server.url}/private"))
    yes = part_of(visit(tmp_path, robots=robots), lambda http: http.get(f"{server.url}/pricing"))
    assert (word(no), yes.error) == ("refused", None)
    assert [request["path"] for request in server.seen] == ["/robots.txt", "/pricing"]


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False)])
def test_a_missing_robots_txt_allows_and_a_broken_one_forbids(
    server: Server, status: int, allowed: bool
) -> None:
    """RFC 9309: no rules means yes, unknown rules mean no."""
    server.says(status)
    assert Robots(client().get).allow(f"{server.url}/pricing") is allowed


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("Sun, 01 Nov 2026 00:01:00 GMT", 60.0), ("soon", None), (None, None),
     ("Sat, 31 Oct 2026 00:00:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """RFC 9110, section 10.2.3."""
    assert retry_after(header, NOW) == seconds


def test_a_host_has_one_request_at_a_time_with_a_pause_between() -> None:
    """The second turn waits for the first to end and for the pause."""
    clock = [0.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    pace = Pace(timedelta(seconds=2), lambda: clock[0], sleep)
    for host in ("a", "a", "b"):
        with pace.turn(host):
            clock[0] += 0.5
    assert slept == [0.0, 2.0, 0.0]


def test_a_recording_replays_to_the_same_bytes_without_its_secrets(
    server: Server, tmp_path: Path
) -> None:
    """What `--record` keeps, `--replay` answers; a key is struck out of address and body."""
    server.says(200, b'{"you sent": "s3cret"}', etag='"v1"')
    way = Recording(httpx.HTTPTransport(), tmp_path / "rec", "a", ["s3cret"])
    url = f"{server.url}/x?key=s3cret"
    part_of(visit(tmp_path, client=client(way)), lambda http: http.get(url))
    way.close()
    kept = "".join(p.read_text() for p in (tmp_path / "rec").rglob("*") if p.is_file())
    assert "s3cret" not in kept
    replay = Replay(tmp_path / "rec", "a")
    part = part_of(visit(tmp_path, client=client(replay)), lambda http: http.get(url))
    assert part.pages[0].json() == {"you sent": "***"}


def test_a_request_that_no_entry_is_left_for_is_not_in_the_recording(tmp_path: Path) -> None:
    """An entry serves one request; the next one is unreachable, at once."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "body").write_bytes(b"{}")
    (tmp_path / "a" / "pages.json").write_text(
        '[{"method": "GET", "url": "https://a.example/*", "file": "body", "status": 200,'
        ' "fetched_at": "2026-08-06T17:17:52Z"}]'
    )
    replay = Replay(tmp_path, "a")

    def twice(http: Session) -> None:
        http.get("https://a.example/1")
        http.get("https://a.example/2")

    part = part_of(visit(tmp_path, client=client(replay)), twice)
    assert "not in the recording" in str(part.error)
    assert part.rows[0].fetched_at == datetime(2026, 8, 6, 17, 17, 52, tzinfo=UTC)


def test_a_secret_is_shown_to_its_provider_only(tmp_path: Path) -> None:
    """An adapter sees its own keys when they are set, and nothing else."""
    session = Session(PROVIDER, visit(tmp_path, secrets={"KEY": "x", "EMPTY": ""}), lambda _: None)
    assert (session.secret("KEY"), session.secret("EMPTY"), session.secret("OTHER")) == (
        "x",
        None,
        None,
    )
