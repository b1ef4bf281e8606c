"""The way out, against a real server on loopback."""

import errno
import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
import stamina

from gputape.app import collecting
from gputape.scrapers.adapter import Provider
from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import SourceError
from gputape.scrapers.http import USER_AGENT, Pace, Part, Session, Visit, client, retry_after
from gputape.scrapers.recording import Recording, Replay
from gputape.scrapers.registry import ADAPTERS
from gputape.scrapers.robots import Robots
from gputape.store.errors import BadInput, Damaged
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


@pytest.mark.parametrize("status", [404, 403])
def test_a_missing_robots_txt_forbids_nothing(server: Server, status: int) -> None:
    """RFC 9309: a host without rules has none."""
    server.says(status)
    Robots(client().get).check(f"{server.url}/pricing")


def test_an_unreadable_robots_txt_is_no_refusal_but_nothing_is_asked(
    server: Server, tmp_path: Path
) -> None:
    """Rules that can not be read are unreachable, and the page is left alone."""
    server.says(500)
    robots = Robots(client().get)
    part = part_of(visit(tmp_path, robots=robots), lambda http: http.get(f"{server.url}/pricing"))
    assert word(part) == "unreachable"
    assert "robots.txt can not be read" in str(part.error)
    assert [request["path"] for request in server.seen] == ["/robots.txt"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("Sun, 01 Nov 2026 00:01:00 GMT", 60.0), ("soon", None), (None, None),
     ("Sat, 31 Oct 2026 00:00:00 GMT", 0.0), ("Sun, 01 Nov 2026 00:01:00 -0000", 60.0),
     ("Sun, 01 Nov 2026 00:01:00", 60.0), ("²", None), ("٣", None)],
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


def known(server: Server, tmp_path: Path, path: str = "/x") -> tuple[str, Memory]:
    """Fetch an address once and return it with what the tape would remember."""
    url = f"{server.url}{path}"
    (row,) = part_of(visit(tmp_path), lambda http: http.get(url)).rows
    then = NOW - timedelta(days=2)
    answer = Answer(row.etag, row.last_modified, row.sha256, row.bytes, fetched_at=then)
    return url, Memory(answers={("GET", url): answer})


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize("left", [b"", b"(\xb5/\xfd"])
def test_a_damaged_body_is_fetched_again(
    server: Server, tmp_path: Path, left: bytes, *, forever: bool
) -> None:
    """A body that can not be read is asked for without conditions and replaced."""
    server.says(200, b'{"a": 1}', etag='"v1"')
    url, memory = known(server, tmp_path)
    (kept,) = (tmp_path / "archive").rglob("*.zst")
    kept.write_bytes(left)
    part = part_of(visit(tmp_path, memory=memory), lambda http: http.get(url, forever=forever))
    assert "if-none-match" not in server.seen[1]
    assert (part.error, part.pages[0].json()) == (None, {"a": 1})


def test_a_304_that_nobody_asked_for_is_no_answer(server: Server, tmp_path: Path) -> None:
    """Without a condition, because our body is damaged, a 304 means nothing."""
    server.says(200, b"{}", etag='"v1"')
    server.says(304)
    url, memory = known(server, tmp_path)
    (kept,) = (tmp_path / "archive").rglob("*.zst")
    kept.write_bytes(b"")
    part = part_of(visit(tmp_path, memory=memory), lambda http: http.get(url))
    assert word(part) == "unreachable"


def test_a_304_keeps_the_conditions_for_the_next_time(server: Server, tmp_path: Path) -> None:
    """A 304 without validators does not make us forget them."""
    modified = "Sat, 01 Nov 2025 00:00:00 GMT"
    server.says(200, b"{}", etag='"v1"', last_modified=modified)
    server.says(304)
    url, memory = known(server, tmp_path)
    (row,) = part_of(visit(tmp_path, memory=memory), lambda http: http.get(url)).rows
    assert (row.status, row.etag, row.last_modified) == (304, '"v1"', modified)


def test_what_is_kept_for_ever_is_as_old_as_its_answer(server: Server, tmp_path: Path) -> None:
    """A price read from an old file is not observed now."""
    server.says(200, b"{}")
    url, memory = known(server, tmp_path)
    (row,) = part_of(visit(tmp_path, memory=memory), lambda h: h.get(url, forever=True)).rows
    assert row.fetched_at == NOW - timedelta(days=2)


@pytest.mark.parametrize(
    "error",
    [Damaged("/a/b.zst is gone"), EOFError("cut"), gzip.BadGzipFile("no"), zlib.error("bad"),
     httpx.InvalidURL("port"), RecursionError("deep"), KeyError("link")],
)  # fmt: skip
def test_one_part_s_trouble_is_one_part_s(tmp_path: Path, error: Exception) -> None:
    """Whatever is wrong with the bytes of a part ends that part, with a sentence."""

    def trouble(_: Session) -> None:
        raise error

    part = part_of(visit(tmp_path), trouble)
    assert word(part) == "changed"
    assert str(error) in str(part.error)
    assert ("index" in str(part.error)) is not isinstance(error, Damaged)


def test_our_own_full_disk_ends_the_run(tmp_path: Path) -> None:
    """An OSError of ours is no part's failure."""

    def full(_: Session) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        part_of(visit(tmp_path), full)


def test_a_key_does_not_follow_a_redirect_to_another_host(server: Server, tmp_path: Path) -> None:
    """Headers of an adapter are for the host it asked; ours go with every request."""
    other = Server()
    server.says(302, location="/here")
    server.says(302, location=f"{other.url}/there")
    other.says(200, b"{}")
    words = {"X-Goog-Api-Key": "k", "Authorization": "Bearer k"}
    part = part_of(visit(tmp_path), lambda http: http.get(server.url, headers=words))
    other.http.shutdown()
    other.http.server_close()
    assert part.error is None
    assert [seen.get("x-goog-api-key") for seen in server.seen + other.seen] == ["k", "k", None]
    assert "authorization" not in other.seen[0]
    assert other.seen[0]["user-agent"] == USER_AGENT


@pytest.mark.parametrize(("headers", "asked"), [({}, 3), ({"retry_after": "3600"}, 1)])
def test_a_host_that_says_slow_down_is_not_asked_on(
    server: Server, tmp_path: Path, headers: dict[str, str], asked: int
) -> None:
    """After 429 to the end of our patience, the host is left alone for the rest of the run."""
    server.says(429, **headers)
    pace = Pace(timedelta(), lambda: 0.0, lambda _: None)
    for path in ("/1", "/2"):
        part = part_of(visit(tmp_path, pace=pace), lambda h, p=path: h.get(server.url + p))
        assert word(part) == "refused"
    assert len(server.seen) == asked
    with pace.turn("another.example"):
        pass


@pytest.mark.parametrize(
    "spelt",
    [
        str, quote, quote_plus, lambda s: quote(s, safe=""),
        lambda s: quote(s, safe="").replace("%2F", "%2f"),
        lambda s: json.dumps(s)[1:-1], lambda s: s.replace("/", "\\/"),
    ],
)  # fmt: skip
def test_a_secret_is_struck_out_however_it_is_spelt(
    server: Server, tmp_path: Path, spelt: Callable[[str], str]
) -> None:
    """Percent signs, JSON's escapes: no spelling of a key is kept."""
    secret = 's3/c+r t"='  # noqa: S105  # nobody's
    server.says(200, spelt(secret).encode(), etag=quote(secret))
    way = Recording(httpx.HTTPTransport(), tmp_path / "rec", "a", [secret])
    url = f"{server.url}/x"
    with client(way) as http:
        http.get(url, params={"key": secret})
    kept = "".join(p.read_text() for p in (tmp_path / "rec").rglob("*") if p.is_file())
    assert "s3" not in kept
    with client(Replay(tmp_path / "rec", "a")) as http:
        assert http.get(url, params={"key": secret}).text == "***"


def recorded_at(tmp_path: Path, at: str) -> Replay:
    (tmp_path / "a").mkdir()
    entry = {"method": "GET", "url": "https://a.example/", "status": 200, "fetched_at": at}
    (tmp_path / "a" / "pages.json").write_text(json.dumps([entry]))
    return Replay(tmp_path, "a")


def test_a_recording_s_time_has_a_zone(tmp_path: Path) -> None:
    """A time without a zone could be any of 24 hours."""
    with pytest.raises(BadInput, match="zone"):
        recorded_at(tmp_path, "2026-08-06T17:17:52")


def test_a_recording_s_time_is_told_in_utc(tmp_path: Path) -> None:
    """Whatever zone it was written in, the tape's is UTC."""
    replay = recorded_at(tmp_path, "2026-08-06T19:17:52+02:00")
    part = part_of(visit(tmp_path, client=client(replay)), lambda h: h.get("https://a.example/"))
    at = part.rows[0].fetched_at
    assert (at, at.tzinfo) == (datetime(2026, 8, 6, 17, 17, 52, tzinfo=UTC), UTC)


def test_a_recording_is_asked_in_full(tmp_path: Path) -> None:
    """`--record` on a tape in use asks without conditions: a recording of 304s is empty."""
    used = Memory(answers={("GET", "u"): Answer('"v1"', None, "", 0)})

    def remembered(**rest: Any) -> Memory:
        plan = collecting.Plan(adapters=ADAPTERS, db=tmp_path / "t.duckdb", **rest)
        with ExitStack() as stack:
            return collecting._visits(plan, used, stack)(ADAPTERS[0]).memory

    assert remembered() == used
    assert remembered(record=tmp_path / "rec").answers == {}


def test_a_slow_host_s_robots_txt_holds_up_no_other(tmp_path: Path) -> None:
    """Each host is asked once, and hosts do not wait for each other."""
    slow, asked = threading.Event(), []

    def get(url: str) -> httpx.Response:
        asked.append(url)
        if "slow" in url:
            assert slow.wait(10)
        return httpx.Response(404)

    robots = Robots(get)
    waiting = [threading.Thread(target=robots.check, args=["https://slow.example/"]) for _ in "ab"]
    for thread in waiting:
        thread.start()
    quick = threading.Thread(target=robots.check, args=["https://quick.example/"])
    quick.start()
    quick.join(5)
    held_up = quick.is_alive()
    slow.set()
    for thread in [*waiting, quick]:
        thread.join(10)
    assert not held_up
    assert sorted(asked) == ["https://quick.example/robots.txt", "https://slow.example/robots.txt"]


def test_a_host_that_is_not_there_is_given_up_once_for_all_its_parts(tmp_path: Path) -> None:
    """The first part waits for its tries; the next ones know at once."""
    asked: list[str] = []

    def nobody(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        raise httpx.ConnectError("name or service not known")

    away = visit(tmp_path, client=client(httpx.MockTransport(nobody)))
    parts: list[Part] = []
    session = Session(PROVIDER, away, parts.append)
    for name in "abc":
        with session.part(name):
            session.get(f"https://a.example/{name}")
    assert [word(part) for part in parts] == ["unreachable"] * 3
    assert len(asked) == 3  # the tries of the first
