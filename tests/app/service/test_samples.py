"""What the pages show of the configuration is what the program reads."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gputape.app import config as settings
from gputape.app.alerts.delivery.channels import Channel
from gputape.app.alerts.rules import Rule
from gputape.app.service.alerting import Alerts
from gputape.app.service.schedule import jobs

ROOT = Path(__file__).resolve().parents[3]


def samples(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", ["service.md", "alerts.md"])
def test_what_is_shown_is_read(page: str, tmp_path: Path) -> None:
    """Every sample of a page, together, is a configuration that makes a schedule."""
    file = tmp_path / "gputape.toml"
    file.write_text("\n".join(samples(page)))
    config, path = settings.load([file], {})

    assert path == file
    assert config.alerts.channels
    assert config.alerts.rules
    assert jobs(config)


def test_everything_that_can_be_said_is_shown() -> None:
    """The sample of docs/service.md has each key of the configuration, and no other."""
    (sample,) = samples("service.md")
    said: dict[str, Any] = tomllib.loads(sample)
    alerts = said["alerts"]

    assert said.keys() == keys(settings.Config)
    assert alerts.keys() == keys(Alerts)
    assert said["archive"].keys() == keys(settings.ArchiveConfig)
    assert said["service"].keys() == keys(settings.ServiceConfig)
    assert set(inside(said["providers"])) == keys(settings.ProviderConfig)
    assert set(inside(alerts["channels"])) == keys(Channel)
    assert set(inside(alerts["rules"])) == keys(Rule) - {"name"}  # it is the table's own


def keys(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def inside(tables: dict[str, dict[str, Any]]) -> Iterator[str]:
    for table in tables.values():
        yield from table
