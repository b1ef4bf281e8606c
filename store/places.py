"""Where the tape is on this machine when nobody says. `GPUTAPE_HOME` moves it."""

import os
from pathlib import Path

TAPE = "tape.duckdb"


def data_folder() -> Path:
    """Return the folder of the tape: the XDG data dir, unless `GPUTAPE_HOME` is set."""
    home = os.environ.get("GPUTAPE_HOME")
    if home:
        return Path(home)
    from platformdirs import user_data_path  # noqa: PLC0415  # 10 ms that a set home need not pay

    return user_data_path("gputape")


def default_tape() -> Path:
    """Return the tape that commands use without `--db`."""
    return data_folder() / TAPE
