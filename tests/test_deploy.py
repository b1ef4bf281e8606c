"""`deploy/` says what there is: services, health, commands; and no secret is in a file."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from gputape.app.cli.main import cli
from gputape.app.cli.output import TapeName
from gputape.scrapers.registry import ADAPTERS

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
PROGRAM = "/usr/local/bin/gputape"
UNITS = ("gputape.service", "gputape-once.service", "gputape-once.timer")
TEXT = (DEPLOY / "compose.yaml").read_text("utf-8")
NEEDED = {"catalogue", "files", "bucket", "collector-clouds", "collector-neoclouds", "ask"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as Compose reads it."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is missing: pip install 'gputape[dev]'")
    found: dict[str, Any] = yaml.safe_load(TEXT)
    return found


def ours(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: s for name, s in compose["services"].items() if s["image"] == "gputape:lake"}


def parsed(words: list[str]) -> click.Context:
    """Let the program read words as it would, without doing what they say."""
    with click.Context(cli) as ctx:
        command = cli.get_command(ctx, words[0])
        assert command, words
        return command.make_context(words[0], list(words[1:]))


def test_every_service_is_there_and_depends_on_others_that_are(compose: dict[str, Any]) -> None:
    """Catalogue, files, two collectors, and somebody to ask; who must run first can say so."""
    services = compose["services"]

    assert set(services) == NEEDED
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert "healthcheck" in services[other] or not healthy, (name, other)
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]


def test_every_command_is_one_of_ours(compose: dict[str, Any], monkeypatch: Any) -> None:
    """The command line takes each of them, and what the environment says of the lake."""
    monkeypatch.delenv("GPUTAPE_DB", raising=False)
    for service in ours(compose).values():
        parsed(service["command"])
        environment = service["environment"]
        pytest.importorskip("psycopg", reason="psycopg is missing: pip install 'gputape[lake]'")
        lake = TapeName().convert(environment["GPUTAPE_DB"], None, None)
        assert str(lake).startswith("ducklake:postgres:dbname=gputape")


def test_each_provider_has_one_collector(compose: dict[str, Any]) -> None:
    """Every provider is collected, and by one of the two only."""
    asked = [
        provider
        for name, service in ours(compose).items()
        if name.startswith("collector")
        for provider in parsed(service["command"]).params["providers"]
    ]

    assert sorted(asked) == sorted(found.PROVIDER.slug for found in ADAPTERS)


def test_no_secret_is_in_a_file(compose: dict[str, Any]) -> None:
    """Passwords and keys come from `secrets.env`, whose example has names and no values."""
    for service in compose["services"].values():
        words = " ".join(service.get("environment", {}))
        assert not re.search("PASSWORD|SECRET|ACCESS_KEY", words)
    example = (DEPLOY / "secrets.env.example").read_text("utf-8").splitlines()
    assert [line for line in example if line and not line.startswith("#")] == [
        f"{name}=" for name in (
            "POSTGRES_PASSWORD", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
            "ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY",
        )
    ]  # fmt: skip


def test_what_its_head_says_can_be_typed() -> None:
    """The commands in its first lines are read by the program."""
    asks = re.findall(r"#   docker compose .* run --rm ask (.*)", TEXT)

    assert asks
    for words in asks:
        parsed(shlex.split(words))


# -- one file on one machine ------------------------------------------------------------------


def loaded(name: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is missing: pip install 'gputape[dev]'")
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text("utf-8"))
    return found


def test_one_container_runs_the_schedule_for_this_machine_only() -> None:
    """Its command is ours, its ports are on loopback, and it can write nothing but its volume."""
    service = loaded("compose.file.yaml")["services"]["gputape"]

    assert parsed(service["command"]).params["host"] == "0.0.0.0"  # noqa: S104  # in a container
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"]
    assert service["volumes"] == ["tape:/data"]


def test_the_image_runs_as_nobody_and_says_how_it_is() -> None:
    """No root, a volume, the schedule as its command, and health asked where it is served."""
    from gputape.app.config import ServiceConfig

    lines = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text("utf-8")).splitlines()
    said = {line.split()[0]: line for line in lines if line and not line.startswith("#")}

    assert said["USER"] == "USER gputape"
    assert said["VOLUME"] == "VOLUME /data"
    assert "GPUTAPE_HOME=/data" in said["ENV"]
    assert f":{ServiceConfig().port}/healthz" in said["HEALTHCHECK"]
    assert lines.index(said["USER"]) < lines.index(said["CMD"])
    words = re.findall(r'"([^"]+)"', said["CMD"])
    assert parsed(words).info_name == "run"


@pytest.mark.slow
def test_the_image_is_built(root: Path) -> None:
    """Where a Docker daemon runs, the image is built and the program answers in it."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker daemon runs here: the Dockerfile is read, not built")
    build = [docker, "build", "-q", "-f", DEPLOY / "Dockerfile", root]
    image = subprocess.run(build, capture_output=True, text=True, check=True).stdout.strip()
    ran = subprocess.run([docker, "run", "--rm", image, "--version"], capture_output=True,
                         text=True, check=True)  # fmt: skip

    assert "gputape" in ran.stdout


# -- systemd ----------------------------------------------------------------------------------


def unit(name: str) -> dict[str, list[str]]:
    """Return what a unit says, by key."""
    said: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            said.setdefault(key, []).append(value)
    return said


@pytest.mark.parametrize("name", ["gputape.service", "gputape-once.service"])
def test_a_unit_runs_a_command_of_ours_as_a_user_of_its_own(name: str) -> None:
    """The program takes its words; user and folder are made for it, and it ends in time."""
    said = unit(name)
    (command,) = said["ExecStart"]
    words = shlex.split(command)

    assert words[0] == PROGRAM
    assert parsed(words[1:]).params["once"] is (name != "gputape.service")
    assert said["DynamicUser"] == ["yes"]
    assert said["Environment"] == [f"GPUTAPE_HOME=/var/lib/{said['StateDirectory'][0]}"]
    assert int(said["TimeoutStopSec"][0]) > 10


def test_both_units_are_locked_in_alike() -> None:
    """What hardens the one hardens the other."""
    kept = [
        {key: value for key, value in unit(name).items()
         if key.startswith(("Protect", "Private", "Restrict", "System", "Lock", "NoNew", "Cap"))}
        for name in ("gputape.service", "gputape-once.service")
    ]  # fmt: skip

    assert kept[0] == kept[1]
    assert len(kept[0]) > 15


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze` finds nothing wrong, and little that is exposed."""
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not here: the units are read, not verified")
    for name in UNITS:  # the program need not be installed there
        text = (DEPLOY / name).read_text("utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / name).write_text(text)
    files = [tmp_path / name for name in UNITS]
    verified = subprocess.run([analyze, "verify", "--man=no", *files], capture_output=True,
                              text=True, check=False)  # fmt: skip
    judged = [
        subprocess.run([analyze, "security", "--offline=true", "--threshold=20", file],
                       capture_output=True, text=True, check=False)
        for file in files[:2]
    ]  # fmt: skip

    assert (verified.returncode, verified.stderr) == (0, "")
    assert [one.returncode for one in judged] == [0, 0], judged[0].stdout[-300:]


# -- GitHub -----------------------------------------------------------------------------------


def test_the_recipe_types_what_the_program_reads() -> None:
    """Each `gputape …` of the workflow is a command of ours; two rounds never run at once."""
    recipe = loaded("github-actions.yml")
    steps = [step["run"] for step in recipe["jobs"]["collect"]["steps"] if "run" in step]
    typed = [
        found for run in steps for found in re.findall(r"^gputape ([^|>\n]*)", run, re.MULTILINE)
    ]

    assert {parsed(shlex.split(words)).info_name for words in typed} == {
        "run", "check", "export", "doctor",
    }  # fmt: skip
    assert recipe["concurrency"] == {"group": "tape", "cancel-in-progress": False}
    assert recipe[True]["schedule"]  # YAML 1.1 reads `on` as true
    assert recipe["permissions"] == {"contents": "write"}


def test_the_recipe_names_no_secret() -> None:
    """Keys come from the repository's secrets."""
    environment = loaded("github-actions.yml")["jobs"]["collect"]["env"]

    for name, value in environment.items():
        assert not re.search("KEY|TOKEN", name) or re.fullmatch(r"\$\{\{ .* \}\}", value)
