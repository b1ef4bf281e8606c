"""Where the tape is on this machine when nobody says. `GPUTAPE_HOME` moves it.

A tape is a file, or a lake that several machines share: `Where` is either.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gputape.store.catalogue import Lake

TAPE = "tape.duckdb"
LAKE = "ducklake:"
ARCHIVE = "GPUTAPE_ARCHIVE"
Where: TypeAlias = "Path | Lake"


def where(text: str | os.PathLike[str]) -> Where:
    """Read what `--db` says: a path, or `ducklake:postgres:…`. Raises `BadInput`, `NoLake`."""
    if isinstance(text, str) and text.startswith(LAKE):
        from gputape.store.catalogue import parse  # noqa: PLC0415  # a file needs nothing of it

        return parse(text)
    return Path(text)


def archive_of(db: Where) -> Path:
    """Return the folder of raw bytes: beside a file; a lake's is this machine's own.

    `GPUTAPE_ARCHIVE` says where, a folder that several machines mount for example.
    """
    if isinstance(db, Path):
        from gputape.store.tape import Place  # noqa: PLC0415  # it imports this

        return Place(db).archive
    return Path(os.environ.get(ARCHIVE) or data_folder() / "lake.archive")


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
