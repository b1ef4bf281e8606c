"""`gputape` itself: its verbs, its help, and how everything ends."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import click
import pytest

from gputape.app.cli.main import VERBS, _end, cli
from gputape.store.errors import BadInput, NoTape

Run = Callable[..., Any]
LOADED = """
import sys
from gputape.app.cli.main import cli
cli.main(["--help"], standalone_mode=False)
sys.exit(" ".join(name for name in sys.argv[1:] if name in sys.modules))
"""
HEAVY = ("duckdb", "pandas", "pyarrow", "httpx", "bs4", "lxml", "rich", "pydantic", "numpy")


def test_help_lists_every_verb(gputape: Run) -> None:
    """Each verb stands there with its sentence."""
    out = " ".join(gputape("--help").out.split())

    assert all(f" {verb} {sentence}" in out for verb, (_, sentence) in VERBS.items())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(gputape: Run, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` and `-h` explain it and every option of it."""
    # click remembers a command's help option from its first use: a test that runs the command
    # without its group leaves one that knows no `-h`
    command = cli.get_command(click.Context(cli), verb)
    monkeypatch.setattr(command, "_help_option", None, raising=False)
    ran = gputape(verb, "--help")
    options = re.findall(r"^  (?:-\w, )?--[\w-]+(?:/--[\w-]+)?.*$", ran.out, re.MULTILINE)

    assert ran.code == 0
    assert ran.out.startswith(f"Usage: gputape {verb} ")
    assert options
    assert gputape(verb, "-h").out == ran.out


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_and_their_own_help_agree(verb: str) -> None:
    """The module named for a verb holds a command of that name with a docstring."""
    command = cli.get_command(click.Context(cli), verb)

    assert command
    assert command.name == verb
    assert command.help


def test_the_version(gputape: Run) -> None:
    """`--version` is the installed one."""
    assert gputape("--version").out.strip().endswith(version("gputape"))


def test_an_unknown_verb_names_the_nearest(gputape: Run) -> None:
    """A misspelt verb is usage."""
    ran = gputape("offer")

    assert ran.code == 2
    assert "there is no command 'offer': did you mean offers?" in ran.err


def test_a_verb_like_none_points_at_help(gputape: Run) -> None:
    """Without a likely verb, the list is the answer."""
    ran = gputape("xyzzy")

    assert ran.code == 2
    assert "see `gputape --help`" in ran.err


def test_an_unknown_option_is_usage(gputape: Run) -> None:
    """The option is named."""
    ran = gputape("offers", "--gpus", "h100")

    assert ran.code == 2
    assert "--gpus" in ran.err


def test_a_mistake_of_ours_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside, the user reads how to report it, and the code is 1."""
    monkeypatch.delenv("GPUTAPE_DEBUG", raising=False)

    assert _end(ZeroDivisionError("division by zero")) == 1
    assert capsys.readouterr().err == (
        "gputape: a mistake of the program (ZeroDivisionError: division by zero): "
        "run it again with GPUTAPE_DEBUG=1 and report what it prints\n"
    )


def test_a_mistake_of_ours_has_a_traceback_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `GPUTAPE_DEBUG` the error itself comes out."""
    monkeypatch.setenv("GPUTAPE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        _end(ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BadInput("no such word"), 2, "gputape: no such word\n"),
        (NoTape("no tape"), 1, "gputape: no tape\n"),
        (OSError(28, "No space left on device"), 1, "gputape: the disk: No space left on device\n"),
        (OSError(13, "Permission denied", "/x"), 1, "gputape: /x: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(1), 141, ""),
    ],
)
def test_every_error_has_its_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    """A person's words are 2, our errors 1, an interrupt 130, a closed pipe 141."""
    assert _end(error) == code
    assert capsys.readouterr().err == said


def test_help_imports_nothing_heavy() -> None:
    """`gputape --help` pays for none of the libraries that only commands need."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            LOADED,
            *HEAVY,
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert loaded.stderr.strip() == ""


def test_it_runs_as_a_module() -> None:
    """`python -m gputape.app.cli.main` is the same program."""
    ran = subprocess.run(
        [sys.executable, "-m", "gputape.app.cli.main", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stdout.strip().endswith(version("gputape"))
