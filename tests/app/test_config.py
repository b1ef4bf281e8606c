"""The configuration: a small file, keys from the environment, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gputape.app.config import Config, load, secrets
from gputape.store.errors import BadInput

Run = Callable[..., Any]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration and return its path."""

    def write(text: str) -> Path:
        file = tmp_path / "gputape.toml"
        file.write_text(text)
        return file

    return write


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """No file turns nothing on or off."""
    assert load([tmp_path / "gputape.toml"]) == (Config(), None)


def test_the_nearest_file_counts_alone(tmp_path: Path, written: Callable[[str], Path]) -> None:
    """The first file that exists is the configuration."""
    far = tmp_path / "far.toml"
    far.write_text("[providers.oracle]\nenabled = false\n")
    near = written("[providers.coreweave]\nenabled = true\n")
    settings, path = load([near, far])

    assert path == near
    assert settings.enabled() == {"coreweave"}
    assert settings.enabled(False) == set()


def test_on_off_and_neither(written: Callable[[str], Path]) -> None:
    """`enabled = true`, `enabled = false` and no word at all are three things."""
    file = written(
        "[providers.coreweave]\nenabled = true\n[providers.aws]\nenabled = false\n[providers.gcp]\n"
    )
    settings, _ = load([file])

    assert (settings.enabled(), settings.enabled(False)) == ({"coreweave"}, {"aws"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[provider.coreweave]\nenabled = true", "did you mean providers?"),
        ("[providers.coreweave]\nenable = true", "did you mean enabled?"),
        ("[providers.coreweave]\nenabled = 'yes'", "providers.coreweave.enabled"),
        ("[providers.coreweave]\nenabled = 1", "providers.coreweave.enabled"),
        ("providers = 3", "providers"),
        ("[providers", "is not TOML"),
    ],
)
def test_a_wrong_word_is_named_with_the_nearest(
    written: Callable[[str], Path], text: str, said: str
) -> None:
    """An unknown key, a wrong kind of value and broken TOML each name the file and the place."""
    file = written(text)
    with pytest.raises(BadInput) as refused:
        load([file])

    assert str(file) in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A binary file is not TOML."""
    file = tmp_path / "gputape.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is not TOML"):
        load([file])


# -- what commands make of it -----------------------------------------------------------------


def test_a_provider_that_does_not_exist_is_refused(
    gputape: Run, written: Callable[[str], Path]
) -> None:
    """A misspelt provider is not ignored: collecting ends with usage and the nearest slug."""
    written("[providers.corewaeve]\nenabled = true\n")
    ran = gputape("collect")

    assert ran.code == 2
    assert "there is no provider 'corewaeve': did you mean coreweave?" in ran.err


def test_a_wrong_file_stops_a_collection(gputape: Run, written: Callable[[str], Path]) -> None:
    """Nobody is asked with a configuration that can not be read."""
    written("[providers.coreweave]\nenable = true\n")
    ran = gputape("collect")

    assert ran.code == 2
    assert ran.err.startswith("gputape: gputape.toml: providers.coreweave.enable: ")


def test_everybody_off_leaves_nobody_to_ask(gputape: Run, written: Callable[[str], Path]) -> None:
    """A configuration that turns all off is usage, not an empty success."""
    from gputape.scrapers.registry import ADAPTERS

    written("".join(f"[providers.{a.PROVIDER.slug}]\nenabled = false\n" for a in ADAPTERS))
    ran = gputape("collect")

    assert ran.code == 2
    assert "the configuration leaves no provider to ask" in ran.err


def test_providers_say_who_is_on_and_why(gputape: Run, written: Callable[[str], Path]) -> None:
    """`gputape providers` shows default, opt-in, and what the file decided."""
    written("[providers.coreweave]\nenabled = true\n[providers.oracle]\nenabled = false\n")
    on = {row["provider"]: row["on"] for row in gputape("providers", "--format", "json").json}

    assert on["coreweave"] == "yes (configuration)"
    assert on["oracle"] == "no (configuration)"
    assert on["fluidstack"] == "opt-in"
    assert on["aws"] == "yes"


def test_the_home_has_a_configuration_too(gputape: Run, home: Path) -> None:
    """Without `gputape.toml` here, `config.toml` at home counts."""
    home.mkdir()
    (home / "config.toml").write_text("[providers.oracle]\nenabled = false\n")
    on = {row["provider"]: row["on"] for row in gputape("providers", "--format", "json").json}

    assert on["oracle"] == "no (configuration)"


# -- secrets ----------------------------------------------------------------------------------


def test_a_key_from_the_environment() -> None:
    """A variable that is set is a key; one that is empty is not."""
    assert secrets(["A_KEY", "B_KEY", "C_KEY"], {"A_KEY": "sesame", "B_KEY": ""}) == {
        "A_KEY": "sesame"
    }


def test_a_key_from_a_file(tmp_path: Path) -> None:
    """`A_KEY_FILE` names a file that holds the key; the line's end is not part of it."""
    (tmp_path / "key").write_text("sesame\n")

    assert secrets(["A_KEY"], {"A_KEY_FILE": str(tmp_path / "key")}) == {"A_KEY": "sesame"}


def test_the_variable_itself_counts_first(tmp_path: Path) -> None:
    """With both set, the file is not opened."""
    environment = {"A_KEY": "open", "A_KEY_FILE": str(tmp_path / "none")}

    assert secrets(["A_KEY"], environment) == {"A_KEY": "open"}


def test_a_key_file_that_is_not_there_is_refused(gputape: Run) -> None:
    """The variable and the path are named, and nobody is asked."""
    ran = gputape("collect", LAMBDA_API_KEY_FILE="no/such/key")

    assert ran.code == 2
    assert ran.err == (
        "gputape: LAMBDA_API_KEY_FILE: can not read no/such/key (No such file or directory)\n"
    )
