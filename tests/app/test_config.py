"""The configuration: a small file, keys from the environment, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gputape.app.cli.config import config
from gputape.app.config import Config, load, load_all, secrets
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[service]\nhots = '::1'", "did you mean host?"),
        ("[service]\nhost = 'here'", "'here' is no address"),
        ("[service]\nport = 70000", "service.port"),
        ("[providers.aws]\nevery_minutes = 1", "providers.aws.every_minutes"),
        ("[providers.lambda_labs]\napi_key = 'x'", "keys are read from the environment only"),
        ("[alerts.rules.cheap]\nwhen = 'below 2'\ngpus = ['h100']", "did you mean 'gpu'?"),
        ("[alerts.rules.cheap]\nwhen = 'below 2'\nchannels = ['x']", "there is no channel 'x'"),
        ("[alerts.channels.team]\nurl = 'here'", "url is no URL"),
    ],
)
def test_a_wrong_word_about_the_service_or_alerts_is_refused(
    written: Callable[[str], Path], text: str, said: str
) -> None:
    """Unknown keys, wrong values and secrets in the file are named in one sentence."""
    with pytest.raises(BadInput) as refused:
        load([written(text)])

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


# -- the environment --------------------------------------------------------------------------


def test_the_environment_is_over_the_file(written: Callable[[str], Path]) -> None:
    """A variable counts more than the file, and each value knows where it came from."""
    file = written("[service]\nport = 1\nhost = '::1'\n[providers.gcp]\nenabled = true\n")
    loaded = load_all([file], {
        "GPUTAPE_SERVICE_PORT": "2", "GPUTAPE_PROVIDERS_LAMBDA_LABS_ENABLED": "no",
        "GPUTAPE_PROVIDERS_AWS_GROUPS": "reserved", "GPUTAPE_DB": "x", "GPUTAPE_HOME": "y",
    })  # fmt: skip

    assert (loaded.config.service.port, loaded.config.service.host) == (2, "::1")
    assert (loaded.config.enabled(), loaded.config.enabled(False)) == ({"gcp"}, {"lambda_labs"})
    assert loaded.config.providers["aws"].groups == ["reserved"]
    assert loaded.origins["service", "port"] == "env GPUTAPE_SERVICE_PORT"
    assert loaded.origins["service", "host"] == str(file)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GPUTAPE_SERVICE_PROT", "1", "did you mean GPUTAPE_SERVICE_PORT?"),
        ("GPUTAPE_SERVICE_PORT", "many", "'many' is no whole number"),
        ("GPUTAPE_SERVICE_PORT", "70000", "GPUTAPE_SERVICE_PORT: service.port"),
        ("GPUTAPE_PROVIDERS_AWS_ENABLED", "perhaps", "neither true nor false"),
        ("GPUTAPE_PROVIDERS_AWS", "on", "sets no key"),
    ],
)
def test_a_variable_that_says_nothing_is_refused(name: str, value: str, said: str) -> None:
    """A misspelt variable is not ignored, and a value that is none is named with it."""
    with pytest.raises(BadInput) as refused:
        load([], {name: value})

    assert name in str(refused.value)
    assert said in str(refused.value)


def test_show_says_where_each_value_came_from(
    home: Path, written: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag, the environment, the file and the defaults; a key is only said to be set."""
    written(
        "[archive]\nkeep_days = 90\n[alerts.channels.team]\nurl = 'slack://tok/${TEAM_TOKEN}/x'\n"
    )
    monkeypatch.setenv("GPUTAPE_SERVICE_PORT", "2")
    monkeypatch.setenv("LAMBDA_API_KEY", "sesame")
    words = ["show", "--origin", "--format", "json", "--db", "here.duckdb"]
    ran = CliRunner().invoke(config, words)
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(ran.output)}

    assert rows["db"] == ("here.duckdb", "flag --db")
    assert rows["archive.keep_days"] == (90, "gputape.toml")
    assert rows["service.port"] == (2, "env GPUTAPE_SERVICE_PORT")
    assert rows["service.host"] == ("127.0.0.1", "default")
    assert rows["alerts.channels.team.url"] == ("slack://… (${TEAM_TOKEN})", "gputape.toml")
    assert rows["LAMBDA_API_KEY"] == ("***", "env LAMBDA_API_KEY")
    assert rows["GCP_API_KEY"] == (None, "not set")
    assert "sesame" not in ran.output
    assert "tok/" not in ran.output


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


def test_a_job_file_is_beside_the_configuration(written: Callable[[str], Path]) -> None:
    """Wherever the program is run from, `job.toml` of a rule is the one beside the file."""
    path = written(
        '[alerts.rules.tuning]\nscope = "workload"\nworkload = "jobs/job.toml"\nwhen = "below 9"\n'
    )
    config, _ = load([path], {})

    assert config.alerts.rules["tuning"].workload == str(path.parent / "jobs/job.toml")
