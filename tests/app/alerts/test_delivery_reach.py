"""Where a message may go, what an answer means, what a channel may be, what an error repeats."""

import random
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gputape.app.alerts.delivery import reach
from gputape.app.alerts.delivery.channels import Channel, Message, redacted
from gputape.app.alerts.delivery.doors import Configured, doors
from gputape.app.alerts.delivery.outcome import of_status, waiting
from gputape.app.alerts.delivery.patience import LONGEST, delay
from gputape.store.errors import BadInput

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
MESSAGE = Message("ab" * 32, {"schema_version": 1, "title": "t", "text": "t"})
SPECIAL = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0",  # noqa: S104  # a word
    "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "198.18.0.1", "192.0.0.8", "192.0.2.7",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1",
    "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "3fff::1", "100::1",
)  # fmt: skip


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_out_of_bounds(address: str) -> None:
    """Loopback, link-local, private, CGNAT, multicast, mapped, NAT64, 6to4 and their like."""
    assert not reach.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "100.63.255.255", "172.32.0.1", "192.167.0.1",
                                     "2606:4700::1111", "2a01:4f8::1", "2400:cb00::1"])  # fmt: skip
def test_public_addresses_are_reached(address: str) -> None:
    """What is next to a special range is not in it."""
    assert reach.is_public(address)


@pytest.mark.parametrize("word", ["localhost", "example.org", "", "0x7f.1", "2130706433", "127.1"])
def test_a_name_or_a_disguise_is_no_public_address(word: str) -> None:
    """Only what is an address is judged as one; the rest is refused."""
    assert not reach.is_public(word)


def test_a_name_that_changes_between_two_questions_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS is asked once, and the connection is made to that answer: rebinding never connects."""
    asked, connected = [], []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        ip = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket.socket, "connect", connect)
    reach.connect("rebinds.example", 443, 1).close()

    assert asked == ["rebinds.example"]
    assert connected == [("8.8.8.8", 443)]


def test_of_several_addresses_the_private_ones_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name with a public and a private address is reached at the public one only."""
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("10.0.0.1", "1.1.1.1")
    ]
    connected = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connected.append(address))
    reach.connect("both.example", 80, 1).close()
    reach.connect("both.example", 80, 1, private=True).close()

    assert connected == [("1.1.1.1", 80), ("10.0.0.1", 80)]


# -- answers and patience --------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [
    (200, "sent"), (204, "sent"), (301, "failed"), (307, "failed"), (400, "refused"),
    (401, "refused"), (404, "refused"), (408, "failed"), (410, "refused"), (425, "failed"),
    (429, "failed"), (500, "failed"), (503, "failed"),
])  # fmt: skip
def test_what_an_answer_means(status: int, kind: str) -> None:
    """2xx is taken, 4xx refused for ever but for those that say later, the rest is retried."""
    assert of_status(status, None, "example.org", NOW).kind == kind


@pytest.mark.parametrize(("words", "seconds"), [
    ("120", 120), (" 0 ", 0), ("Sat, 01 Aug 2026 12:05:00 GMT", 300),
    ("Sat, 01 Aug 2026 11:00:00 GMT", 0), ("999999999999", 86_400), ("soon", None), ("", None),
    (None, None), ("-5", None),
])  # fmt: skip
def test_retry_after_is_seconds_or_a_date(words: str | None, seconds: int | None) -> None:
    """Both forms are read, the past is now, a year is a day, nonsense is nothing."""
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert waiting(words, NOW) == expected


def test_patience_doubles_to_an_hour_and_honours_what_was_asked() -> None:
    """30 s, 60 s, … within a quarter, at most an hour; a Retry-After of two hours is two hours."""
    chance = random.Random(1)  # noqa: S311  # a repeatable jitter
    waits = [delay(n, None, chance).total_seconds() for n in range(1, 40)]

    assert all(0.75 <= wait / (30 * 2**n) <= 1.25 for n, wait in enumerate(waits[:6]))
    assert max(waits) <= LONGEST.total_seconds()
    assert min(waits[8:]) >= 0.75 * LONGEST.total_seconds()
    assert len(set(waits[:8])) == 8, "no jitter"
    assert delay(1, timedelta(hours=2), chance) == timedelta(hours=2)


# -- channels --------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "wrong"), [
    ({"url": "somewhere"}, "no URL"),
    ({"url": "mailtos://me:hunter22@mail.example.org"}, "put it into a variable"),
    ({"url": "mailtos://me:hunter22@mail.example.org?to=${OPS}"}, "put it into a variable"),
    ({"url": "webhook+https://hunter22@example.org"}, "a webhook has no user"),
    ({"url": "webhook+https://example.org", "secret": "hunter22"}, "environment only"),
    ({"url": "ntfys://ntfy.sh/gpus", "secret": "${KEY}"}, "signs webhooks"),
    ({"url": "${A}", "per_hour": 0}, "greater than or equal to 1"),
    ({"url": "${A}", "colour": "red"}, "not permitted"),
])  # fmt: skip
def test_a_channel_that_can_not_be_is_refused_without_repeating_it(
    said: dict[str, Any], wrong: str
) -> None:
    """A sentence says what is wrong; a secret that was written there is not in it."""
    with pytest.raises(ValidationError) as caught:
        Channel.model_validate(said)

    assert wrong in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_a_variable_alone_is_verbatim_and_inside_a_url_encoded() -> None:
    """A password may hold what a URL may not; a whole URL is as it was given."""
    found = {"URL": "slack://a/b/c?x=%41", "PASS": "p@ss/w:rd"}
    whole = Channel.model_validate({"url": "${URL}"}).target(found)
    inside = Channel.model_validate({"url": "mailtos://me:${PASS}@mail.example.org"}).target(found)

    assert whole.url == found["URL"]
    assert inside.url == "mailtos://me:p%40ss%2Fw%3Ard@mail.example.org"


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """NAME or NAME_FILE; a channel whose variable is missing says which, and is tried later."""
    (tmp_path / "url").write_text("slack://from/a/file\n", "utf-8")
    channel = Channel.model_validate({"url": "${TEAM_URL}"})
    with pytest.raises(BadInput, match="TEAM_URL is not set"):
        channel.target({})
    missing = Configured("team", channel, {}).send(MESSAGE, NOW)
    nowhere = Configured("team", channel, {"TEAM_URL_FILE": str(tmp_path / "none")})

    assert (missing.kind, missing.said) == (
        "failed", "TEAM_URL is not set: give it or TEAM_URL_FILE",
    )  # fmt: skip
    assert "can not read" in nowhere.send(MESSAGE, NOW).said


def test_nothing_that_shows_a_channel_shows_its_secrets() -> None:
    """Its repr, its dump and what is shown for people hold no token and no password."""
    url = "slack://TOKENTOKENA/TOKENTOKENB/TOKENTOKENC"
    channel = Channel.model_validate({"url": url})
    named = Channel.model_validate({"url": "mailtos://me:${PASS}@mail.example.org"})
    shown = [repr(channel), str(channel.model_dump()), channel.model_dump_json(), channel.shown()]

    assert not any("TOKEN" in one for one in shown)
    assert channel.shown() == "slack://…"
    assert named.shown() == "mailtos://… (${PASS})"


def test_an_error_repeats_no_part_of_a_url_that_is_secret() -> None:
    """Password, token in the path or the query, encoded or not, go from whatever was said."""
    found = {"URL": "https://me:p%40ssword@example.org/T0KEN1234?key=QUERYKEY", "S": "signing-key"}
    target = Channel.model_validate({"url": "${URL}", "secret": "${S}", "kind": "webhook"}).target(
        found
    )
    said = redacted("no p@ssword, p%40ssword\nT0KEN1234 QUERYKEY signing-key " + found["URL"],
                    target.hidden())  # fmt: skip

    assert said == "no …, … … … … …"
    assert len(redacted("x" * 999, [])) == 300


def test_fallbacks_come_last() -> None:
    """So that what is given up in a pass is told in the same pass."""
    said = {"z": {"url": "${Z}"}, "a": {"url": "${A}", "fallback": True}, "b": {"url": "${B}"}}
    found = doors({name: Channel.model_validate(one) for name, one in said.items()})

    assert [door.name for door in found] == ["b", "z", "a"]
