"""The configuration, read anew on SIGHUP or when its file changes; a bad one is not taken."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gputape.app.config import Loaded, load_all
from gputape.app.places import config_files
from gputape.store.errors import BadInput

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class Watch:
    """The configuration in force, and why the newest one is not."""

    now: Callable[[], datetime]
    accept: Callable[[Loaded], None] = lambda _: None
    """Hears of each configuration before it is taken. Raises `BadInput` to refuse it."""
    files: Callable[[], Iterable[Path]] = config_files
    loaded: Loaded = field(init=False)
    read_at: datetime = field(init=False)
    refused: str | None = None
    _stamp: Stamp = ()

    def __post_init__(self) -> None:
        """Read it for the first time. Raises `BadInput`."""
        self._stamp = self._stamped()
        self.loaded, self.read_at = load_all(self.files()), self.now()
        self.accept(self.loaded)

    def check(self, *, asked: bool = False) -> bool | None:
        """Read it anew when a file changed or somebody asked: True taken, False refused."""
        stamp = self._stamped()
        if stamp == self._stamp and not asked:
            return None
        self._stamp = stamp
        try:
            loaded = load_all(self.files())
            self.accept(loaded)
        except BadInput as error:
            self.refused = str(error)
            return False
        self.loaded, self.read_at, self.refused = loaded, self.now(), None
        return True

    def _stamped(self) -> Stamp:
        return tuple(_stamps(self.files()))

    def status(self) -> dict[str, Any]:
        """Return what doctor is told."""
        path = self.loaded.path
        return {
            "path": str(path.resolve()) if path else None,
            "read_at": self.read_at.isoformat(),
            "refused": self.refused,
        }


def _stamps(files: Iterable[Path]) -> Iterable[tuple[str, int, int, int]]:
    for file in files:
        try:
            found = file.stat()
        except OSError:  # no such file: one that appears is a change
            continue
        yield str(file), found.st_mtime_ns, found.st_size, found.st_ino
