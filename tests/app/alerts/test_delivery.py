"""Messages on their way to real receivers on loopback, by a clock that the test turns."""

import email
import email.policy
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from gputape.app.alerts.delivery import apprise, webhook
from gputape.app.alerts.delivery.channels import Channel
from gputape.app.alerts.delivery.doors import doors
from gputape.app.alerts.delivery.health import health
from gputape.app.alerts.delivery.sender import Sender, Try
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.messages import event_id
from gputape.app.alerts.outbox import Row
from gputape.app.alerts.posting import notice_payload
from gputape.app.alerts.rules import Rule

from ..receiving import Receiver  # noqa: TID252  # tests have no name of their own

ROOT = Path(__file__).resolve().parents[3]
START = datetime(2026, 7, 1, 8, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY = "${KEY}"
SECRET = "a-key-for-tests"  # noqa: S105  # signs nothing but tests


# -- receivers -------------------------------------------------------------------------------


@dataclass
class Mailbox:
    """A real SMTP server; `reply` is what it says to a recipient and to a whole mail."""

    port: int
    got: list[EmailMessage] = field(default_factory=list)
    to_recipient: str = "250 OK"
    to_mail: str = "250 OK"

    @property
    def url(self) -> str:
        return (f"mailto://127.0.0.1:{self.port}?from=tape@example.org&to=ops@example.org"
                "&mode=insecure")  # fmt: skip

    async def handle_RCPT(self, *said: Any) -> str:  # noqa: N802  # its name
        _, _, envelope, address, _ = said
        envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, *said: Any) -> str:  # noqa: N802  # its name
        mail = email.message_from_bytes(said[2].content, policy=email.policy.default)
        self.got.append(mail)
        return self.to_mail


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """An SMTP server on loopback that keeps what it gets."""
    from aiosmtpd.controller import Controller

    kept = Mailbox(free_port())
    controller = Controller(kept, hostname="127.0.0.1", port=kept.port)
    controller.start()
    yield kept
    controller.stop()


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


# -- an outbox and a sender ------------------------------------------------------------------


@dataclass
class Desk:
    """An outbox, channels, and a clock."""

    path: Path
    ledger: Ledger
    channels: dict[str, Channel] = field(default_factory=dict)
    now: datetime = START

    def channel(self, name: str, url: str, **more: Any) -> None:
        said = {"url": url, "allow_private": True, "secret": None, **more}
        self.channels[name] = Channel.model_validate(said)

    def post(self, channel: str, *names: object, kind: str = "fired", **payload: Any) -> list[str]:
        """Put messages into the outbox; return their ids."""
        ids = []
        with self.ledger.whole():
            for name in names:
                id_ = event_id("rule", str(name), 1, kind, 1)
                said = notice_payload(id_, kind, f"h100 {name} fell", self.now) | payload
                self.ledger.outbox.post(
                    Row(id_, channel, "rule", kind, said, self.now, self.now, 0, None)
                )
                ids.append(id_)
        return ids

    def sender(self) -> Sender:
        return Sender(self.ledger, doors(self.channels, {"KEY": SECRET}), lambda: self.now)

    def run(self, after: timedelta = timedelta()) -> list[Try]:
        self.now += after
        return self.sender().run()

    def states(self) -> Counter[str]:
        rows = self.ledger.con.execute("select channel, state from outbox").fetchall()
        return Counter(f"{channel} {state}" for channel, state in rows)

    def error(self, id_: str) -> str:
        (found,) = self.ledger.con.execute(
            "select error from outbox where id = ?", [id_]
        ).fetchone()
        return str(found)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty outbox."""
    path = tmp_path / "tape.alerts.db"
    ledger = Ledger(path)
    yield Desk(path, ledger)
    ledger.close()


# -- end to end ------------------------------------------------------------------------------


def test_a_fall_on_the_tape_arrives_as_signed_json(market: Any, receiver: Receiver) -> None:
    """From the look to the receiver: price, evidence, id, and a signature that holds."""
    rule = Rule(name="cheap", when="drop 5% of median:14d")
    market.live([3.0] * 7 + [2.0, 2.0], rule)
    said = {"url": receiver.url(), "secret": "${KEY}", "allow_private": True}
    found = doors({"team": Channel.model_validate(said)}, {"KEY": SECRET})
    (tried,) = Sender(market.ledger, found, lambda: market.now - 20 * HOUR).run()
    (got,) = receiver.got

    assert (tried.channel, tried.state, tried.id) == ("team", "sent", got.id)
    assert got.headers["Idempotency-Key"] == got.json["event"]["id"] == got.id
    assert got.headers["X-Gputape-Schema-Version"] == str(got.json["schema_version"])
    assert got.json["event"]["kind"] == "fired"
    assert got.json["rule"]["name"] == "cheap"
    assert Decimal(got.json["price"]["native"]) == 2
    assert Decimal(got.json["price"]["previous"]) == 3
    assert got.json["evidence"]["payload_sha256"] == "ab" * 32
    timestamp = got.headers["X-Gputape-Timestamp"]
    assert int(timestamp) == (market.now - 20 * HOUR).timestamp()
    assert got.headers["X-Gputape-Signature"] == webhook.signature(SECRET, timestamp, got.body)


def test_the_snippet_of_the_documentation_verifies_what_arrives(
    desk: Desk, receiver: Receiver
) -> None:
    """The code in docs/alerts.md takes a real request, and no forged, altered or old one."""
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?def is_genuine.*?)```", page, re.DOTALL)
    known: dict[str, Any] = {}
    exec(code, known)  # noqa: S102  # our own page
    is_genuine = known["is_genuine"]
    desk.channel("bot", receiver.url(), secret=KEY)
    desk.post("bot", "a")
    desk.run()
    (got,) = receiver.got
    now = desk.now.timestamp()

    assert is_genuine(got.headers, got.body, SECRET, now)
    assert not is_genuine(got.headers, got.body + b" ", SECRET, now)
    assert not is_genuine(got.headers, got.body, "another key", now)
    assert not is_genuine(got.headers, got.body, SECRET, now + 600)
    assert not is_genuine(got.headers | {"X-Gputape-Timestamp": "1"}, got.body, SECRET, 1)


def test_mail_arrives_through_apprise(desk: Desk, mailbox: Mailbox) -> None:
    """Subject, text and event id arrive at a real SMTP server; the Message-ID is the event's."""
    desk.channel("mail", mailbox.url)
    (id_,) = desk.post("mail", "a", text="h100 a fell\nfrom €3 to €2 <now>\nevent " + "x" * 16)
    (tried,) = desk.run()
    (mail,) = mailbox.got

    assert tried.state == "sent", tried.outcome
    assert (mail["Subject"], mail["To"]) == ("h100 a fell", "ops@example.org")
    assert mail.get_content().splitlines()[:2] == ["from €3 to €2 <now>", "event " + "x" * 16]
    assert mail["Message-ID"] == f"<{id_}@127.0.0.1>"


def test_http_services_are_reached_through_apprise(desk: Desk, receiver: Receiver) -> None:
    """Apprise's JSON and ntfy services post what was said to a real server."""
    desk.channel("json", f"json://127.0.0.1:{receiver.port}/in")
    desk.channel("ntfy", f"ntfy://127.0.0.1:{receiver.port}/gpus")
    desk.post("json", "a")
    desk.post("ntfy", "b")
    tried = desk.run()
    by_path = {one.path: one.json for one in receiver.got}

    assert [one.state for one in tried] == ["sent", "sent"], tried
    assert by_path["/in"]["title"] == "h100 a fell"
    assert by_path["/"]["topic"] == "gpus"
    assert by_path["/"]["message"].startswith("event ")


# -- out of bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("url", [
    "webhook+http://127.0.0.1:{port}/", "webhook+http://localhost:{port}/",
    "webhook+http://[::ffff:127.0.0.1]:{port}/", "webhook+http://2130706433:{port}/",
    "json://127.0.0.1:{port}/", "json://localhost:{port}/", "ntfy://localhost:{port}/t",
])  # fmt: skip
def test_a_private_address_is_not_reached_unless_allowed(
    desk: Desk, receiver: Receiver, url: str
) -> None:
    """However loopback is spelled, neither our webhook nor Apprise connects to it."""
    desk.channel("team", url.format(port=receiver.port), allow_private=False)
    (id_,) = desk.post("team", "a")
    (tried,) = desk.run()

    assert receiver.got == []
    assert tried.state == "waiting"
    assert "allow_private = true" in desk.error(id_)


def test_mail_is_held_to_the_same(desk: Desk, mailbox: Mailbox) -> None:
    """SMTP to loopback needs allow_private too."""
    desk.channel("mail", mailbox.url, allow_private=False)
    desk.post("mail", "a")
    (tried,) = desk.run()

    assert mailbox.got == []
    assert "allow_private = true" in tried.outcome.said


@pytest.mark.parametrize("scheme", ["webhook+http", "json"])
def test_redirects_are_not_followed(desk: Desk, receiver: Receiver, scheme: str) -> None:
    """A 302 is an answer, not an order; the message stays for later."""
    receiver.answer = lambda _: (302, {"Location": f"http://127.0.0.1:{receiver.port}/there"})
    desk.channel("team", f"{scheme}://127.0.0.1:{receiver.port}/here")
    desk.post("team", "a")
    (tried,) = desk.run()

    assert [one.path for one in receiver.got] == ["/here"]
    assert tried.outcome.kind == "failed"
    assert "redirects are not followed" in tried.outcome.said


def test_an_endless_or_silent_answer_ends_a_try(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that hangs costs the limit; it may have arrived: it goes out again as it was."""
    monkeypatch.setattr(webhook, "STEP_S", 0.1)
    monkeypatch.setattr(apprise, "LIMIT_S", 1.0)
    receiver.pause_s = 1.5
    desk.channel("bot", receiver.url())
    desk.channel("slow", f"json://127.0.0.1:{receiver.port}/in")
    (id_,) = desk.post("bot", "a")
    desk.post("slow", "b")
    kinds = {one.channel: one.outcome.kind for one in desk.run()}
    receiver.pause_s = 0.0
    desk.channels.pop("slow")
    desk.run(MINUTE)

    assert kinds == {"bot": "unknown", "slow": "unknown"}
    assert [one.id for one in receiver.got if one.path == "/hook"] == [id_, id_]


def test_a_drip_that_never_ends_is_cut(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that come one by one, each in time, do not keep a try open beyond its limit."""
    monkeypatch.setattr(webhook, "LIMIT_S", 0.3)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server, stop))
        thread.start()
        desk.channel("bot", f"webhook+http://127.0.0.1:{server.getsockname()[1]}/")
        desk.post("bot", "a")
        began = time.monotonic()
        (tried,) = desk.run()
        lasted = time.monotonic() - began
        stop.set()
        thread.join()

    assert lasted < 2
    assert tried.outcome.kind == "unknown"


@pytest.mark.slow
def test_an_answer_without_end_ends_the_courier_and_not_the_service(
    desk: Desk, receiver: Receiver
) -> None:
    """Apprise reads answers whole; the process that does so has only so much memory."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=flood, args=(server, stop))
        thread.start()
        desk.channel("team", f"json://127.0.0.1:{server.getsockname()[1]}/")
        desk.channel("bot", receiver.url())
        desk.post("team", "a")
        desk.post("bot", "b")
        by_channel = {one.channel: one.outcome for one in desk.run()}
        stop.set()
        thread.join()

    assert by_channel["team"] == ("unknown", "Apprise: MemoryError", None)
    assert by_channel["bot"].kind == "sent"


def flood(server: socket.socket, stop: threading.Event) -> None:
    """Answer one connection without end."""
    wire, _ = server.accept()
    with wire:
        wire.recv(65_536)
        wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.is_set():
            try:
                wire.sendall(b"x" * 1_000_000)
            except OSError:
                return


def test_a_webhook_over_tls_proves_who_it_is(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that nobody vouches for is refused; one that the machine trusts is taken."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_twice, args=(server, context))
        thread.start()
        desk.channel("bot", f"webhook+https://localhost:{server.getsockname()[1]}/")
        desk.post("bot", "a")
        (first,) = desk.run()
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        (second,) = desk.run(MINUTE)
        thread.join()

    assert first.outcome.kind == "failed"
    assert "certificate verify failed" in first.outcome.said
    assert second.state == "sent"


def certificate(folder: Path) -> Path:
    """A key and a certificate for localhost, signed by itself, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - HOUR, now + HOUR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    said = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "localhost.pem"
    path.write_bytes(said + made.public_bytes(pem))
    return path


def answer_twice(server: socket.socket, context: ssl.SSLContext) -> None:
    """Take two connections; answer those that trust us."""
    for _ in range(2):
        wire, _ = server.accept()
        with suppress(ssl.SSLError), context.wrap_socket(wire, server_side=True) as secure:
            while not secure.recv(65_536).endswith(b"}"):
                pass  # what is left unread when a socket closes resets the connection
            secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def drip(server: socket.socket, stop: threading.Event) -> None:
    """Answer one connection with a first line that does not end for three seconds."""
    wire, _ = server.accept()
    with wire:
        wire.sendall(b"HTTP/1.")
        until = time.monotonic() + 3
        while not stop.wait(0.02) and time.monotonic() < until:
            try:
                wire.sendall(b"x")
            except OSError:
                return


# -- when it does not arrive -----------------------------------------------------------------


def test_429_waits_as_long_as_it_asks(desk: Desk, receiver: Receiver) -> None:
    """Nothing goes to the channel before Retry-After is over; then all of it, with the same ids."""
    receiver.answer = lambda _: (429, {"Retry-After": "7200"})
    desk.channel("bot", receiver.url())
    ids = desk.post("bot", "a", "b")
    (tried,) = desk.run()
    receiver.answer = lambda _: (200, {})
    early = desk.run(2 * HOUR - MINUTE)
    desk.run(2 * MINUTE)

    assert (tried.state, tried.outcome.retry_after, early) == ("waiting", 2 * HOUR, [])
    assert len(receiver.ids) == 3
    assert sorted(receiver.ids[1:]) == sorted(ids)
    assert desk.states() == {"bot sent": 2}


def test_429_is_understood_through_apprise(desk: Desk, receiver: Receiver) -> None:
    """What a plugin does not tell is seen on the wire: the status and Retry-After."""
    receiver.answer = lambda _: (429, {"Retry-After": "7200"})
    desk.channel("team", f"json://127.0.0.1:{receiver.port}/in")
    desk.post("team", "a")
    (tried,) = desk.run()

    assert (tried.state, tried.outcome.retry_after) == ("waiting", 2 * HOUR)


@pytest.mark.parametrize("scheme", ["webhook+http", "json"])
def test_a_refusal_is_final_and_told(desk: Desk, receiver: Receiver, scheme: str) -> None:
    """404: dead at once, with the reason, never tried again; the fallback gets one line."""
    receiver.answer = lambda got: (404 if got.path == "/gone" else 200, {})
    desk.channel("team", f"{scheme}://127.0.0.1:{receiver.port}/gone")
    desk.channel("ops", receiver.url("ops"), fallback=True)
    (id_,) = desk.post("team", "a")
    desk.run()
    desk.run(25 * HOUR)

    assert [one.path for one in receiver.got] == ["/gone", "/ops"]
    assert desk.states() == {"team dead": 1, "ops sent": 1}
    assert desk.error(id_).startswith("HTTP 404 from ")
    assert receiver.got[1].json["event"]["kind"] == "undelivered"
    assert receiver.got[1].json["title"].startswith("channel team: a message was not delivered")


def test_a_fallback_is_told_once_a_day_and_again_after_it_worked(
    desk: Desk, receiver: Receiver
) -> None:
    """Three refusals in a day are one line; one after a success is another."""
    desk.channel("team", receiver.url("team"))
    desk.channel("ops", receiver.url("ops"), fallback=True)
    lines = []
    for status in (404, 404, 404, 200, 404):
        receiver.answer = lambda got, status=status: (status if got.path == "/team" else 200, {})
        desk.post("team", len(lines))
        desk.run(2 * HOUR)
        lines.append(sum(one.path == "/ops" for one in receiver.got))

    assert lines == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("reply", "state"), [("550 no such user", "dead"), ("451 later", "waiting")]
)
def test_smtp_replies_are_understood(desk: Desk, mailbox: Mailbox, reply: str, state: str) -> None:
    """5xx is final, 4xx is not; what the server said is kept."""
    mailbox.to_recipient = reply
    desk.channel("mail", mailbox.url)
    (id_,) = desk.post("mail", "a")
    (tried,) = desk.run()

    assert tried.state == state
    assert desk.error(id_) == f"SMTP {reply}"


def test_a_channel_down_for_a_day_ends_dead_and_is_reported(desk: Desk, receiver: Receiver) -> None:
    """Nobody listens for 25 h: patient tries, all dead together, one line to the fallback."""
    desk.channel("team", f"webhook+http://127.0.0.1:{free_port()}/")
    desk.channel("ops", receiver.url("ops"), fallback=True)
    desk.post("team", *range(100))
    tries = dead_after = 0
    for _ in range(25 * 60):
        tries += len([one for one in desk.run(MINUTE) if one.channel == "team"])
        if not dead_after and desk.states()["team dead"]:
            dead_after = (desk.now - START) / HOUR
    (told,) = receiver.got

    assert 24 <= dead_after <= 25.1
    assert desk.states()["team dead"] + desk.states()["team folded"] >= 100
    assert desk.states()["team waiting"] == 0
    assert 25 <= tries <= 60
    assert "given up after 24 h: 127.0.0.1: Connection refused" in told.json["title"]


def test_a_channel_that_comes_back_gets_everything(desk: Desk, receiver: Receiver) -> None:
    """Down for three hours, then up: each message once, none lost, no failure counted any more."""
    receiver.answer = lambda _: (503, {})
    desk.channel("bot", receiver.url())
    ids = desk.post("bot", *range(10))
    for _ in range(180):
        desk.run(MINUTE)
    failed = len(receiver.got)
    receiver.answer = lambda _: (200, {})
    for _ in range(75):
        desk.run(MINUTE)

    assert sorted(receiver.ids[failed:]) == sorted(ids)
    assert desk.ledger.con.execute("select failures, error from channel").fetchall() == [(0, None)]


def test_a_machine_that_slept_for_two_days_still_tries(desk: Desk, receiver: Receiver) -> None:
    """The day of patience begins with the first failure, not when the message was written."""
    desk.channel("bot", receiver.url())
    desk.post("bot", "a")
    (tried,) = desk.run(48 * HOUR)

    assert tried.state == "sent"


def test_one_message_that_is_never_taken_does_not_hold_up_the_others(
    desk: Desk, receiver: Receiver
) -> None:
    """A receiver that fails at one body gets the rest; that one dies alone after its day."""
    desk.channel("bot", receiver.url(), per_hour=1000)
    (bad,) = desk.post("bot", "bad")
    receiver.answer = lambda got: (500 if got.id == bad else 200, {})
    for i in range(27 * 12):
        if i < 50:
            desk.post("bot", i)
        desk.run(5 * MINUTE)

    assert desk.states() == {"bot sent": 50, "bot dead": 1}
    assert receiver.ids.count(bad) < 60


def test_a_fault_of_ours_at_one_message_does_not_stop_the_others(
    desk: Desk, receiver: Receiver
) -> None:
    """A payload that nothing can be made of stays and is named; the rest arrives."""
    desk.channel("bot", receiver.url())
    (bad,) = desk.post("bot", "bad")
    desk.ledger.con.execute("update outbox set payload = '{}' where id = ?", [bad])
    (good,) = desk.post("bot", "good")
    desk.run()
    desk.run(MINUTE)

    assert receiver.ids == [good]
    assert desk.error(bad) == "KeyError of our own: please report it"


def test_a_sender_stops_between_two_messages(desk: Desk, receiver: Receiver) -> None:
    """What is left stays due, without a lease."""
    desk.channel("bot", receiver.url())
    desk.post("bot", "a", "b", "c")
    first = desk.sender().run(stop=lambda: bool(receiver.got))
    rest = desk.run()

    assert (len(first), len(rest)) == (1, 2)


def test_a_channel_that_is_not_configured_is_given_up_after_a_day(
    desk: Desk, receiver: Receiver
) -> None:
    """Its messages wait a day for it to come back, then they are dead, and that is told."""
    desk.channel("ops", receiver.url("ops"), fallback=True)
    desk.post("gone", "a", "b")
    desk.run(23 * HOUR)
    before = desk.states()
    desk.run(2 * HOUR)
    desk.run(MINUTE)

    assert before == {"gone waiting": 2}
    assert desk.states()["gone dead"] == 2
    assert "2 messages were not delivered, no channel of this name" in receiver.got[0].json["title"]


def test_no_secret_is_in_what_is_kept_or_said(desk: Desk, receiver: Receiver) -> None:
    """Neither the ledger nor a result repeats the token in a URL or the key that signs."""
    receiver.answer = lambda _: (500, {})
    desk.channel("bot", receiver.url("T0KEN-IN-PATH"), secret=KEY)
    desk.channel("team", f"json://me:${{KEY}}@127.0.0.1:{receiver.port}/T0KEN-IN-PATH?x=PASSW0RD")
    desk.channel("off", "webhook+http://T0KEN-IN-HOST.invalid/T0KEN-IN-PATH")
    for name in desk.channels:
        desk.post(name, name)
    tried = desk.run()
    kept = "\n".join(desk.ledger.con.iterdump())

    assert len(tried) == 3
    for word in ("T0KEN-IN-PATH", "PASSW0RD", SECRET):
        assert word not in kept + str(tried)


# -- late ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "arrives"), [("send", True), ("drop", False)])
def test_what_is_over_before_it_is_delivered_says_so(
    market: Any, receiver: Receiver, late: str, arrives: bool
) -> None:
    """Down while the price rose again: `was: … (ended …)`, or nothing when the rule says drop."""
    rule = Rule(name="cheap", when="below 2.5", late=late)
    market.live([3.0, 2.0, 2.0, 3.0, 3.0], rule)
    channel = Channel.model_validate({"url": receiver.url(), "allow_private": True})
    (tried,) = Sender(market.ledger, doors({"team": channel}), lambda: market.now).run()

    assert tried.state == ("sent" if arrives else "dropped")
    assert len(receiver.got) == arrives
    for got in receiver.got:
        assert got.json["title"].startswith("was: ")
        assert got.json["title"].endswith("(ended 2026-07-05 08:00 UTC)")
        assert "written 2026-07-03 08:00 UTC, delivered late" in got.json["text"]
        assert got.json["late"]["ended_at"].startswith("2026-07-05T08:00")


def test_what_is_late_and_still_true_says_when_it_was_written(
    market: Any, receiver: Receiver
) -> None:
    """After `max_age` a message that still holds goes out as it is, with its time."""
    market.live([3.0, 2.0, 2.0, 2.0], Rule(name="cheap", when="below 2.5"))
    channel = Channel.model_validate({"url": receiver.url(), "allow_private": True})
    Sender(market.ledger, doors({"team": channel}), lambda: market.now).run()
    (got,) = receiver.got

    assert not got.json["title"].startswith("was")
    assert got.json["late"] == {"written_at": "2026-07-03T08:00:00+00:00", "ended_at": None}
    assert "delivered late" in got.json["text"]


# -- how often -------------------------------------------------------------------------------


def test_ten_thousand_messages_are_twenty(desk: Desk, receiver: Receiver) -> None:
    """Nineteen one by one, the rest folded into the twentieth, in 5 s; no more in that hour."""
    desk.channel("bot", receiver.url())
    ids = desk.post("bot", *range(10_000))
    began = time.monotonic()
    desk.run()
    lasted = time.monotonic() - began
    desk.post("bot", "one", "more")
    within = desk.run(30 * MINUTE)
    desk.run(31 * MINUTE)

    assert lasted < 5
    assert len(receiver.got[:20]) == 20
    assert set(receiver.ids[:19]) < set(ids)
    folded = receiver.got[19].json
    assert (folded["event"]["kind"], folded["count"]) == ("folded", 9_981)
    assert folded["text"].splitlines()[-2:] == [
        "and 9971 more: gputape alerts log", f"event {folded['event']['id'][:16]}",
    ]  # fmt: skip
    assert within == []
    assert len(receiver.got) == 22
    assert desk.states() == {"bot sent": 22, "bot folded": 9_981}


def test_two_senders_at_once_never_send_a_row_twice(desk: Desk, receiver: Receiver) -> None:
    """Two connections to one outbox, started together: both work, and each id arrives once."""
    receiver.pause_s = 0.002
    desk.channel("bot", receiver.url(), per_hour=1000)
    ids = desk.post("bot", *range(60))
    start = threading.Barrier(2)
    done: list[list[Try]] = []

    def work() -> None:
        other = Ledger(desk.path)
        start.wait()
        done.append(Sender(other, doors(desk.channels), lambda: desk.now).run())
        other.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert all(done), "one of them had nothing to do: no race was run"
    assert sorted(receiver.ids) == sorted(ids)


def test_two_senders_keep_one_rate(desk: Desk, receiver: Receiver) -> None:
    """What another sender has in hand counts."""
    desk.channel("bot", receiver.url(), per_hour=2)
    desk.post("bot", "a", "b", "c")
    desk.ledger.outbox.claim(desk.now, timedelta(minutes=5), "bot")
    tried = desk.run()

    assert [one.state for one in tried] == ["sent"]
    assert receiver.got[0].json["event"]["kind"] == "folded"


def test_the_clock_set_back_passes_no_time(desk: Desk, receiver: Receiver) -> None:
    """A message that was due stays due."""
    desk.channel("bot", receiver.url())
    desk.post("bot", "a")
    desk.ledger.note_now(desk.now)
    (tried,) = desk.run(-10 * HOUR)

    assert tried.state == "sent"


def test_a_sender_that_was_too_slow_does_not_bring_a_sent_message_back(
    desk: Desk, receiver: Receiver
) -> None:
    """Its lease ran out, another one delivered: what it says afterwards changes nothing."""
    desk.channel("bot", receiver.url())
    desk.post("bot", "a")
    slow = desk.ledger.outbox.claim(desk.now, MINUTE, "bot")
    assert slow
    desk.run(2 * MINUTE)
    desk.ledger.outbox.retry(slow, "it was slow", desk.now)
    desk.ledger.outbox.dead(slow, "it was slow", desk.now)
    desk.run(MINUTE)

    assert desk.states() == {"bot sent": 1}
    assert len(receiver.got) == 1


# -- for doctor ------------------------------------------------------------------------------


def test_the_health_of_a_channel_says_what_waits_and_why(desk: Desk, receiver: Receiver) -> None:
    """What waits and since when, what is dead, failures in a row with the reason, last success."""
    receiver.answer = lambda got: (503 if got.path == "/down" else 404, {})
    desk.channel("down", receiver.url("down"))
    desk.channel("gone", receiver.url("gone"))
    desk.channel("idle", receiver.url("idle"))
    desk.post("down", "a", "b")
    desk.post("gone", "c")
    desk.run()
    down, gone, idle = health(desk.ledger, desk.channels)
    receiver.answer = lambda _: (200, {})
    desk.run(MINUTE)
    up = health(desk.ledger, desk.channels)[0]

    assert down == ("down", 2, START, 0, None, 1, "HTTP 503 from 127.0.0.1")
    assert (gone.waiting, gone.dead, gone.error) == (0, 1, "HTTP 404 from 127.0.0.1")
    assert idle == ("idle", 0, None, 0, None, 0, None)
    assert (up.failures, up.error, up.sent_at) == (0, None, START + MINUTE)


# -- killed ----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from gputape.app.alerts.delivery.channels import Channel
from gputape.app.alerts.delivery.doors import doors
from gputape.app.alerts.delivery.sender import Sender
from gputape.app.alerts.ledger import Ledger
from gputape.app.alerts.outbox import Outbox

path, url, now = Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
left = int(sys.argv[4])
mark = Outbox.sent

def sent(self, row, at):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    mark(self, row, at)

Outbox.sent = sent
channel = Channel(url=url, allow_private=True, per_hour=1000)
Sender(Ledger(path), doors({"team": channel}), lambda: now).run()
"""


def killed(desk: Desk, url: str, mark: int) -> int:
    """Run a sender in a process of its own that is killed before its nth mark."""
    ended = subprocess.run([sys.executable, "-c", KILLED, desk.path, url, desk.now.isoformat(),
                            str(mark)], check=False, env=os.environ)  # fmt: skip
    return ended.returncode


def test_killed_between_send_and_mark_is_one_duplicate_with_the_same_id(
    desk: Desk, receiver: Receiver
) -> None:
    """SIGKILL after it arrived: nothing while the lease holds, then once more, then never again."""
    (id_,) = desk.post("team", "a")
    code = killed(desk, receiver.url(), 1)
    desk.channel("team", receiver.url())
    held = desk.run(4 * MINUTE)
    desk.run(2 * MINUTE)
    desk.run(2 * HOUR)

    assert (code, held) == (-9, [])
    assert receiver.ids == [id_, id_]
    assert receiver.got[0].json == receiver.got[1].json


def test_killed_again_and_again_loses_nothing(desk: Desk, receiver: Receiver) -> None:
    """Each kill costs one duplicate; each message arrives."""
    ids = desk.post("team", *range(8))
    kills = 0
    while killed(desk, receiver.url(), 3) == -9:
        kills += 1
        desk.now += 6 * MINUTE

    assert kills >= 3
    assert set(receiver.ids) == set(ids)
    assert len(receiver.ids) == 8 + kills
    assert max(Counter(receiver.ids).values()) == 2
    assert desk.states() == {"team sent": 8}


def test_a_mail_that_is_repeated_has_the_same_message_id(desk: Desk, mailbox: Mailbox) -> None:
    """So that a mail program can see that it is one."""
    desk.post("team", "a")
    code = killed(desk, mailbox.url, 1)
    desk.channel("team", mailbox.url)
    desk.run(6 * MINUTE)
    first, second = mailbox.got

    assert code == -9
    assert first["Message-ID"] == second["Message-ID"]
