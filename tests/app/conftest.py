"""Two ways to run the program: as installed, and its `main` in this process (faster)."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.registry import ADAPTERS

from .receiving import Receiver, listening

PROGRAM = Path(sys.executable).with_name("gputape")
OURS = ("GPUTAPE_DB", "GPUTAPE_HOME", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
KEYS = {name for found in ADAPTERS for key in found.PROVIDER.keys for name in (key, f"{key}_FILE")}


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where nothing is configured: an empty home, no keys, no settings."""
    for name in (*OURS, *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUTAPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def gputape(
    home: Path,  # for what it sets
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., Ran]]:
    """Run `main` with words, by default on the tape of `fixtures/`."""
    from gputape.app.cli.main import main

    def run(*words: object, db: Path | None = None, stdin: str = "", **environment: str) -> Ran:
        db = db or request.getfixturevalue("tape")  # made only for those who ask for it
        monkeypatch.setattr(sys, "argv", ["gputape", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        for name, value in ({"GPUTAPE_DB": str(db)} | environment).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Ran(int(str(end.value.code)), said.out, said.err)

    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield run
    for number, handler in handlers:
        signal.signal(number, handler)


@pytest.fixture
def program(home: Path) -> Callable[..., Ran]:  # for what it sets
    """Run the installed `gputape` with words; no tape is named."""

    def run(*words: object, **environment: str) -> Ran:
        done = subprocess.run(
            [PROGRAM, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(home: Path) -> Callable[..., "subprocess.Popen[str]"]:  # for what it sets
    """Start the installed `gputape` and return while it runs."""

    def begin(*words: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [PROGRAM, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP server on loopback that takes messages."""
    with listening() as kept:
        yield kept
