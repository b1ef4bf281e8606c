"""Rules of the house that no linter knows."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("store", "scrapers", "analysis", "app")
MAX_LINES = 400


def modules() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_test_says_the_fact_it_establishes() -> None:
    """Each test function has a docstring of its own."""
    silent = [
        f"{path.name}::{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_room_is_too_large_to_know() -> None:
    """No module has more than 400 lines."""
    large = {
        path.name: n
        for path in modules()
        if (n := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }

    assert large == {}


def test_no_module_is_called_by_what_it_is_not() -> None:
    """`utils`, `helpers`, `manager` and `base` say nothing about what is inside."""
    assert not {path.stem for path in modules()} & {"utils", "helpers", "manager", "base"}


def test_what_adapters_share_can_be_read_in_one_sitting() -> None:
    """The contract an adapter's author reads stays under 400 lines altogether."""
    shared = ("adapter.py", "quote.py", "page.py", "errors.py", "registry.py")
    lines = [(ROOT / "scrapers" / name).read_text("utf-8").splitlines() for name in shared]

    assert sum(map(len, lines)) < MAX_LINES


def test_only_the_store_speaks_sql_to_the_tape() -> None:
    """Adapters never import duckdb, and nothing but the store, analysis and faces does."""
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "scrapers").rglob("*.py"))
        if "import duckdb" in path.read_text("utf-8")
    }

    assert knowing == {"scrapers/csvpage.py"}
