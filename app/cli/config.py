"""`config`: what is configured, and where each value came from."""

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gputape.app.cli.output import db_option, format_options, write
from gputape.store.places import Where


@click.group()
def config() -> None:
    """The configuration: a file, the environment over it, flags over both."""


@config.command()
@click.option("--origin", is_flag=True, help="Also where each value came from.")
@format_options
@db_option
@click.pass_context
def show(ctx: click.Context, db: Where, fmt: str, output: Path | None, origin: bool) -> None:  # noqa: FBT001
    """Print every value that counts; keys and passwords are only said to be set.

    \b
    gputape config show --origin
    """
    from gputape.app import config as settings

    loaded = settings.load_all()
    sources = {ParameterSource.COMMANDLINE: "flag --db",
               ParameterSource.ENVIRONMENT: "env GPUTAPE_DB"}  # fmt: skip
    rows: list[tuple[str, Any, str]] = [
        ("db", str(db), sources.get(ctx.get_parameter_source("db"), "default")),  # type: ignore[arg-type]
        *settings.listed(loaded),
        *_keys(),
    ]
    columns = ("key", "value", "origin") if origin else ("key", "value")
    write([_row(row)[: len(columns)] for row in rows], columns, fmt, output)


def _row(row: tuple[str, Any, str]) -> tuple[str, Any, str]:
    key, value, origin = row
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return key, shown, origin


def _keys() -> "list[tuple[str, Any, str]]":
    """Return the secrets that a provider can use: whether they are set, and by which variable."""
    from gputape.scrapers.registry import ADAPTERS

    rows: list[tuple[str, Any, str]] = []
    for key in (key for found in ADAPTERS for key in found.PROVIDER.keys):
        names = [name for name in (key, f"{key}_FILE") if os.environ.get(name)]
        rows.append((key, "***" if names else None, f"env {names[0]}" if names else "not set"))
    return rows
