"""What the README and the other pages promise is what there is."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gputape.analysis.views import VIEWS
from gputape.app.cli.main import VERBS, cli
from gputape.app.cli.output import FORMATS
from gputape.scrapers import ecb, openrouter
from gputape.scrapers.adapter import Provider
from gputape.scrapers.registry import ADAPTERS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", *(
    path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))
))  # fmt: skip
PROVIDERS: list[Provider] = [found.PROVIDER for found in ADAPTERS]


def tables() -> Iterator[list[list[str]]]:
    """Yield each table of the README as rows of cells, header first, without the rule."""
    for block in re.findall(r"(?:^\|.*\|\n)+", README, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in block.splitlines()]  # fmt: skip
        yield [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]


def table(first: str) -> list[dict[str, str]]:
    """Return the table whose first column has this header, a dict a row."""
    (found,) = [rows for rows in tables() if rows[0][0] == first]
    header, *rows = found
    return [dict(zip(header, row, strict=True)) for row in rows]


def coded(cell: str) -> str:
    """Return the first words in backticks."""
    found = re.match(r"`([^`]+)`", cell)
    assert found, cell
    return found[1]


# -- providers --------------------------------------------------------------------------------


def test_the_table_of_providers_is_the_registry() -> None:
    """A row for each provider, in the registry's order."""
    assert [coded(row["provider"]) for row in table("provider")] == [p.slug for p in PROVIDERS]


def test_the_table_says_what_each_sells() -> None:
    """The options of each row are those that the adapter declares."""
    said = {
        coded(row["provider"]): {word.strip().replace(" ", "_") for word in row["sells"].split(",")}
        for row in table("provider")
    }

    assert said == {p.slug: set(map(str, p.options)) for p in PROVIDERS}


def test_the_table_says_who_is_on() -> None:
    """Opt-in providers are marked as such."""
    said = {coded(row["provider"]): row["on"] for row in table("provider")}

    assert said == {p.slug: "opt-in" if p.opt_in else "yes" for p in PROVIDERS}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.slug)
def test_each_provider_has_a_recording(provider: Provider) -> None:
    """`fixtures/<slug>/` has its pages and the offers that were read from them."""
    folder = ROOT / "fixtures" / provider.slug

    assert (folder / "pages.json").exists()
    assert (folder / "offers.json").exists()


def test_each_recording_has_a_provider() -> None:
    """No folder of `fixtures/` belongs to nobody; `ecb` has rates and `openrouter` tokens."""
    folders = {path.parent.name for path in (ROOT / "fixtures").glob("*/pages.json")}

    assert folders - {ecb.PROVIDER.slug, openrouter.PROVIDER.slug} == {p.slug for p in PROVIDERS}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.slug)
def test_each_key_is_in_the_readme(provider: Provider) -> None:
    """A key that unlocks more is named where its provider is, or as `<NAME> keys`."""
    (row,) = [row for row in table("provider") if coded(row["provider"]) == provider.slug]
    said = " ".join(row.values())

    for key in provider.keys:
        assert key in said or f"{key.split('_')[0]} keys" in said, key


# -- commands ---------------------------------------------------------------------------------


def test_the_table_of_commands_is_the_program() -> None:
    """A row for each verb, in the order of `--help`."""
    assert [coded(row["command"]).split()[1] for row in table("command")] == list(VERBS)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_shown_exists_with_its_options(page: str) -> None:
    """Each `gputape VERB --option` in the documents is understood."""
    text = (ROOT / page).read_text("utf-8")
    for verb, rest in re.findall(r"gputape ([a-z]+)((?: [^`\n#]*)?)", text):
        if verb not in VERBS:
            continue
        command = cli.get_command(click.Context(cli), verb)
        assert command
        if isinstance(command, click.Group):  # `alerts add|list` names several: any will do
            first = rest.split()[0] if rest.split() else ""
            inner = [found for word in re.split(r"\\?\|", first)
                     if (found := command.get_command(click.Context(command), word))]  # fmt: skip
            unnamed = not first or first.startswith("-") or first[0].isupper()  # `index GPU`
            assert inner or unnamed, f"{page}: gputape {verb} {first}"
            inner = inner or [command, *command.commands.values()]
        else:
            inner = [command]
        known = {name for c in inner for p in c.params for name in (*p.opts, *p.secondary_opts)}
        for option in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", rest):
            assert option in {*known, "--help"}, f"{page}: gputape {verb} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_a_verb_that_is_not_there(page: str) -> None:
    """Every command in backticks, or after a prompt, begins with a verb that exists."""
    text = (ROOT / page).read_text("utf-8")
    shown = re.findall(r"(?:`|\$ (?:\.venv/bin/)?|^    )gputape ([a-z]+)", text, re.MULTILINE)

    assert set(shown) <= set(VERBS)


def test_the_readme_knows_the_formats() -> None:
    """`--format` is given with every format."""
    assert f"--format {'|'.join(FORMATS)}" in README


def test_the_readme_knows_the_exit_codes() -> None:
    """Codes 0 to 6 are explained in a line."""
    (line,) = [line for line in README.splitlines() if line.startswith("Exit codes: ")]

    assert re.findall(r"(?:^Exit codes: |· )(\d+) ", line) == list("0123456")


@pytest.mark.parametrize("name", ["GPUTAPE_DB", "GPUTAPE_HOME"])
def test_the_readme_knows_the_environment(name: str) -> None:
    """Variables that move things are named."""
    assert f"`{name}`" in README


# -- SQL --------------------------------------------------------------------------------------


def test_the_table_of_views_is_the_tape() -> None:
    """A row for each view, in the order of `sql --list`."""
    assert [coded(row["view"]) for row in table("view")] == list(VIEWS)


def test_the_sql_of_the_readme_runs(tape: Path) -> None:
    """Each query shown gives an answer on the recorded tape."""
    from gputape.analysis.sql import ask
    from gputape.store.tape import reading

    queries = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)

    assert queries
    with reading(tape, sealed=True) as con:
        for query in queries:
            assert ask(con, query).rows


# -- the rest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link of a page is a file of the checkout."""
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", text)

    assert [t for t in targets if not (ROOT / page).parent.joinpath(t).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """A path in backticks under a folder of the house is there; `<slug>` stands for a provider."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    named = re.findall(r"`((?:store|scrapers|analysis|app|fixtures|tests|docs)/[\w./<>-]*)`", text)
    missing = [
        name
        for name in named
        if "example_cloud" not in name and not (ROOT / name.replace("<slug>", "oracle")).exists()
    ]

    assert missing == []


def test_make_targets_that_are_named_exist() -> None:
    """`make X` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"(?:`|\$ |^    )make ([a-z]+)", text, re.MULTILINE))

    assert named
    assert named <= targets


def test_the_version_is_in_the_changelog() -> None:
    """The newest heading is the version of pyproject.toml, or what is not released yet."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    headings = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert headings
    assert "nreleased" in headings[0] or version in headings[0]


def test_the_makefile_and_pyproject_agree_on_python() -> None:
    """The oldest Python that `make` accepts is the one that pip does."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (low,) = re.findall(r">=3\.(\d+)", wanted["requires-python"])

    assert f"(3, {low})" in (ROOT / "Makefile").read_text("utf-8")
    assert f"Python 3.{low} or later" in README
