"""What a service leaves for `doctor` and for its own next start: `tape.service.json`.

    pid, began_at              who runs, since when
    config                     {path, read_at, refused}: why a changed file was not taken
    not_before                 {job: moment}: a pause that a source itself asked for (Retry-After)
    next                       {job: moment}

Everything else a restart needs is in the tape. A lake's lies in the data folder.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gputape.store.errors import Busy
from gputape.store.places import Where, data_folder


def place(db: Where) -> Path:
    """Return where the status of a tape's service is."""
    stem = db if isinstance(db, Path) else data_folder() / "lake.duckdb"
    return stem.with_suffix(".service.json")


def read(db: Where) -> dict[str, Any]:
    """Return what was left, nothing when it is not there or can not be read."""
    with suppress(OSError, ValueError):
        said = json.loads(place(db).read_text("utf-8"))
        return said if isinstance(said, dict) else {}
    return {}


def write(db: Where, said: dict[str, Any]) -> None:
    """Leave something, whole or not at all."""
    path = place(db)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(said, indent=1, default=str), "utf-8")
    fresh.replace(path)


def moments(said: object) -> dict[str, datetime]:
    """Return the moments of a status that can be read."""
    found = {}
    for name, text in (said if isinstance(said, dict) else {}).items():
        with suppress(ValueError, TypeError):
            found[str(name)] = datetime.fromisoformat(text)
    return found


@contextmanager
def sole(db: Where) -> Iterator[None]:
    """Be the tape's one service, until the block is left. Raises `Busy` naming who is."""
    path = place(db).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(
                f"process {file.read() or '?'} runs {db} already: stop it, or give --db another "
                "path"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def runs(db: Where) -> int | None:
    """Return the process that runs a tape now, None when nobody does."""
    path = place(db).with_suffix(".lock")
    with suppress(OSError), path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return None
