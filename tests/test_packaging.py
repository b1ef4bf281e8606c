"""What an installed gputape consists of: the folders on disk, and nothing forgotten."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("store", "scrapers", "analysis", "app", "fixtures")


@cache
def setuptools() -> Any:
    """Return `[tool.setuptools]` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]


def folder(package: str) -> Path:
    """Return where a package's files lie in the checkout."""
    return ROOT.joinpath(*package.split(".")[1:])


def tracked() -> list[Path]:
    """Return every file of the checkout that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file of the shipped folders that git would keep."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    return [file for file in tracked() if file.parts[0] in SHIPPED]


def data_of(files: list[Path], package: str) -> Iterator[Path]:
    """Yield a package's data files as paths inside it; a file belongs to its nearest package."""
    packages = {folder(name).relative_to(ROOT) for name in setuptools()["packages"]}
    here = folder(package).relative_to(ROOT)
    for file in files:
        owner = next((up for up in file.parents if up in packages), None)
        if owner == here and file.suffix != ".py":
            yield file.relative_to(here)


def test_packages_are_the_folders_that_hold_modules(files: list[Path]) -> None:
    """`packages` lists each folder with Python modules, and no other."""
    holding = {".".join(("gputape", *file.parent.parts)) for file in files if file.suffix == ".py"}

    assert set(setuptools()["packages"]) == holding


def test_each_package_says_what_it_is() -> None:
    """Each has an `__init__.py` with a docstring."""
    for package in setuptools()["packages"]:
        text = (folder(package) / "__init__.py").read_text("utf-8")
        assert text.startswith('"""'), package


def test_the_four_folders_and_the_fixtures_are_mapped() -> None:
    """`package-dir` maps each top folder to its name under `gputape`."""
    assert setuptools()["package-dir"] == {f"gputape.{name}": name for name in SHIPPED}


def test_type_checkers_see_each_mapped_folder() -> None:
    """`.typing/gputape` links to every folder of `package-dir`, and to nothing else."""
    links = {link.name: str(link.readlink()) for link in (ROOT / ".typing/gputape").iterdir()}

    assert links == {name: f"../../{name}" for name in setuptools()["package-dir"].values()}


def test_each_folder_of_code_is_typed() -> None:
    """`py.typed` lies in each folder but the fixtures, which hold no code."""
    assert {name for name in SHIPPED if (ROOT / name / "py.typed").exists()} == {
        name for name in SHIPPED if name != "fixtures"
    }


def test_every_data_file_is_shipped(files: list[Path]) -> None:
    """Facts, schema, views and fixtures match a pattern of `package-data`."""
    patterns = setuptools()["package-data"]
    forgotten = [
        f"{package}: {file}"
        for package in setuptools()["packages"]
        for file in data_of(files, package)
        if not any(
            _matches(file, pattern) for pattern in patterns.get("*", []) + patterns.get(package, [])
        )
    ]

    assert forgotten == []


def test_every_pattern_finds_something() -> None:
    """No pattern of `package-data` is there for a file that is gone."""
    for owner, patterns in setuptools()["package-data"].items():
        packages = setuptools()["packages"] if owner == "*" else [owner]
        idle = [p for p in patterns if not any(any(folder(x).glob(p)) for x in packages)]
        assert idle == [], owner


def _matches(file: Path, pattern: str) -> bool:
    """Match as setuptools does: a star stops at a slash."""
    parts = pattern.split("/")
    return len(file.parts) == len(parts) and all(map(fnmatchcase, file.parts, parts))


def test_no_fixture_is_large(files: list[Path]) -> None:
    """A recorded answer stays small enough to read: under 100 kB, all of them under 2 MB."""
    sizes = {f: (ROOT / f).stat().st_size for f in files if f.parts[0] == "fixtures"}

    assert {file: size for file, size in sizes.items() if size > 100_000} == {}
    assert sum(sizes.values()) < 2_000_000


def test_what_is_installed_is_this_checkout() -> None:
    """`gputape.store` and its sisters are imported from here, once."""
    for name in SHIPPED:
        spec = find_spec(f"gputape.{name}")
        assert spec
        assert Path(str(spec.origin)).resolve() == ROOT / name / "__init__.py"


def test_every_library_that_is_imported_is_declared(files: list[Path]) -> None:
    """Each third-party import of the four folders is a dependency or an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    words = [
        *project["dependencies"],
        *project["optional-dependencies"]["aws"],
        *project["optional-dependencies"]["lake"],
    ]
    declared = {re.split(r"[^\w.-]", word)[0].casefold() for word in words}
    names = {"bs4": "beautifulsoup4", "genai_prices": "genai-prices",
             "prometheus_client": "prometheus-client"}  # fmt: skip
    imported = {
        found[1]
        for file in files
        if file.suffix == ".py"
        for found in re.finditer(
            r"^ *(?:from|import) (\w+)", (ROOT / file).read_text("utf-8"), re.MULTILINE
        )
    }
    foreign = {n for n in imported - set(sys.stdlib_module_names) - {"gputape"} if find_spec(n)}

    assert {names.get(name, name) for name in foreign} <= declared


@pytest.mark.slow
@pytest.mark.skipif(
    not find_spec("setuptools") or int(version("setuptools").split(".")[0]) < 77,
    reason="the build wants setuptools 77, which is not installed here",
)
def test_a_wheel_holds_every_file(files: list[Path], tmp_path: Path) -> None:
    """A wheel built from the checkout has each file of the five folders."""
    source = tmp_path / "source"
    for file in tracked():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes((ROOT / file).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation",
         "--quiet", "--wheel-dir", tmp_path],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())

    assert {f"gputape/{file.as_posix()}" for file in files} <= names
