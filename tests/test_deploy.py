"""`deploy/` says what there is: services, health, commands; and no secret is in a file."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from gputape.app.cli.main import cli
from gputape.app.cli.output import TapeName
from gputape.scrapers.registry import ADAPTERS

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
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
