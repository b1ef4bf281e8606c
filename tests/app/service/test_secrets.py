"""Nothing that a person is shown repeats a password, however the command ends."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..receiving import Receiver  # noqa: TID252  # tests have no name of their own

PASSWORD = "sesame/0123 456"  # noqa: S105  # opens nothing
TOKEN = "T0KENT0KEN"  # noqa: S105  # same
SAID = ("sesame", "0123", TOKEN)
CONFIG = """
[alerts.channels.mail]
url = "mailtos://tape:${PASSWORD}@127.0.0.1:1?to=ops@example.org"
allow_private = true
[alerts.channels.hook]
url = "webhook+http://127.0.0.1:%d/%s"
secret = "${PASSWORD}"
allow_private = true
[alerts.channels.whole]
url = "${URL}"
[alerts.channels.lacks]
url = "slack://${PASSWORD}/${MISSING}"
"""
LAKE = f"ducklake:postgres:host=127.0.0.1 port=1 dbname=x user=u password='{PASSWORD}'"


@pytest.mark.slow
def test_no_command_repeats_a_password(
    gputape: Callable[..., Any], receiver: Receiver, kinds: Path, tmp_path: Path
) -> None:
    """Configuration, doctor, lists, a channel that refuses, one that is not there, a lake: none."""
    receiver.answer = lambda request: (404, {"X": request.path})
    (tmp_path / "gputape.toml").write_text(CONFIG % (receiver.port, TOKEN))
    known = {"PASSWORD": PASSWORD, "URL": f"webhook+https://{TOKEN}@127.0.0.1/{TOKEN}"}
    ran = [
        gputape(*words, db=db, **known)
        for db in (kinds, LAKE)
        for words in (
            ("config", "show", "--origin"), ("config", "show", "--format", "json"),
            ("doctor",), ("doctor", "--format", "json"),
            ("alerts", "list"), ("alerts", "test"), ("alerts", "log"), ("alerts", "check"),
        )
    ]  # fmt: skip
    said = "".join(one.out + one.err for one in ran)

    assert "hook dead: HTTP 404 from 127.0.0.1" in said
    assert "MISSING is not set" in said
    assert "can not open ducklake:postgres:" in said
    assert not [word for word in SAID if word in said]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_log_repeats_a_password(
    gputape: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A round of the service whose tape can not be opened names the tape, and not what opens it."""
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    (tmp_path / "gputape.toml").write_text(CONFIG % (1, TOKEN))
    ran = gputape("run", "oracle", "--once", "--log-format", form, db=LAKE, PASSWORD=PASSWORD,
                  URL=f"webhook+https://127.0.0.1/{TOKEN}")  # fmt: skip

    assert ran.code == 1
    assert "can not open ducklake:postgres:" in ran.err
    assert not [word for word in SAID if word in ran.err + ran.out]
