"""The tree of errors in `store/errors.py` is drawn as it grows."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from gputape.scrapers.errors import SourceError
from gputape.store import errors
from gputape.store.errors import GputapeError

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("store", "scrapers", "analysis", "app")


@pytest.fixture(scope="module", autouse=True)
def _everything_imported() -> None:
    """An error may be defined in any module, so each is imported."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            import_module(".".join(("gputape", *(p for p in parts if p != "__init__"))))


def grown(error: type[Exception] = GputapeError) -> Iterator[tuple[str, str]]:
    """Yield each class under the root with its parent's name."""
    for child in error.__subclasses__():
        yield child.__name__, error.__name__
        yield from grown(child)


def drawn() -> Iterator[tuple[str, str]]:
    """Yield the same from the drawing."""
    path: list[str] = []
    text = str(errors.__doc__)
    for line in text.splitlines():
        found = re.match(r" {4}((?:│   |    )*)([├└]── )?([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4 + bool(found[2])
            path[depth:] = [found[3]]
            if depth:
                yield found[3], path[depth - 1]


def test_the_drawing_is_the_tree() -> None:
    """Every class stands in the drawing under its parent, and nothing else does."""
    assert sorted(drawn()) == sorted(grown())


def test_each_error_says_what_it_is() -> None:
    """Each class has a docstring of its own."""
    by_name = {child.__name__: child for child in _classes(GputapeError)}

    assert [name for name, child in by_name.items() if not child.__dict__.get("__doc__")] == []


def test_the_words_of_a_scan_are_the_names_of_the_errors() -> None:
    """A source error's word is its name in lower case, and the schema lists it."""
    schema = (ROOT / "store/schema/001_tape.sql").read_text("utf-8")
    (words,) = re.findall(r"status +varchar.*-- (.*)", schema)

    for child in _classes(SourceError):
        assert child("sentence").word == child.__name__.lower()
        assert child.__name__.lower() in words.split(" | ")


def test_nothing_that_we_raise_past_the_house_is_outside_the_tree() -> None:
    """An exception class of ours that is no `GputapeError` never leaves its own module's care.

    Those there are, are signals inside a collection: a rejected quote, a figure that is none,
    a stop, a request that a recording lacks, a shape that can not run a job,
    an address that is not to be reached.
    """
    signals = {
        "Rejected", "Unreadable", "Stopped", "NotInRecording", "_Left", "_CanNotError", "Forbidden",
    }  # fmt: skip
    ours = {
        name
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        for name in re.findall(
            r"^class (\w+)\((?:\w+\.)?(?:Exception|BaseException|\w*Error)\)",
            file.read_text("utf-8"),
            re.MULTILINE,
        )
    }

    assert ours - {name for name, _ in grown()} - {"GputapeError"} == signals


def test_the_root_is_a_plain_exception() -> None:
    """`except GputapeError` catches what we say, and nothing of Python's own."""
    assert inspect.getmro(GputapeError)[1] is Exception


def _classes(error: type[Exception]) -> Iterator[type[Exception]]:
    for child in error.__subclasses__():
        yield child
        yield from _classes(child)
