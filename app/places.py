"""Where things are on this machine: the tape, the configuration. `GPUTAPE_HOME` moves both."""

import os
from pathlib import Path

from gputape.store.places import data_folder, default_tape

__all__ = ("config_files", "data_folder", "default_tape", "demo_tape")


def demo_tape() -> Path:
    """Return the tape of the demonstration, apart from everything real."""
    return data_folder() / "demo.duckdb"


def config_files() -> tuple[Path, ...]:
    """Return where a configuration may be, the nearest first."""
    home = os.environ.get("GPUTAPE_HOME")
    if home:
        return Path("gputape.toml"), Path(home) / "config.toml"
    from platformdirs import user_config_path  # noqa: PLC0415  # 10 ms that a set home need not pay

    return Path("gputape.toml"), user_config_path("gputape") / "config.toml"
