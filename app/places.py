"""Where things are on this machine: the tape, the configuration. `GPUTAPE_HOME` moves both."""

import os
from pathlib import Path

from platformdirs import user_config_path, user_data_path

TAPE = "tape.duckdb"


def data_folder() -> Path:
    """Return the folder of the tape: the XDG data dir, unless `GPUTAPE_HOME` is set."""
    home = os.environ.get("GPUTAPE_HOME")
    return Path(home) if home else user_data_path("gputape")


def default_tape() -> Path:
    """Return the tape that commands use without `--db`."""
    return data_folder() / TAPE


def demo_tape() -> Path:
    """Return the tape of the demonstration, apart from everything real."""
    return data_folder() / "demo.duckdb"


def config_files() -> tuple[Path, ...]:
    """Return where a configuration may be, the nearest first."""
    home = os.environ.get("GPUTAPE_HOME")
    folder = Path(home) if home else user_config_path("gputape")
    return Path("gputape.toml"), folder / "config.toml"
