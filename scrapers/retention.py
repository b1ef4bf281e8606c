"""How long raw bytes are kept, and whether those that must be there are.

`archive.keep_days` removes bodies that no scan of the last days read, but never the last ones
of a part: they are what a better parser reads anew, and what an answer "not modified" means.
The index in the tape stays, so that every price still names its bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gputape.scrapers.archive import Archive
from gputape.store.bodies import Connection, Kept, bodies
from gputape.store.check import Finding
from gputape.store.errors import Damaged

YOUNG = timedelta(days=1)  # may belong to a scan that is not recorded yet


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed."""

    files: int = 0
    bytes: int = 0


def sweep(con: Connection, archive: Archive, now: datetime, keep: timedelta | None) -> Swept:
    """Remove bodies that are older than `keep` and not needed; None keeps all.

    Downloads that were cut go in any case. Only the tape's writer may call this.
    """
    gone = [file for file, age in _aged(archive.folder.glob("part-*"), now) if age > YOUNG]
    if keep is not None:
        needed = {body.sha256: body.needed for body in bodies(con, now - keep)}
        gone += [
            file
            for file, age in _aged(archive.folder.glob("??/*.zst"), now)
            # a body that no page points to: of a scan that was never recorded
            if age > YOUNG and not needed.get(file.stem, age <= keep)
        ]
    return Swept(len(gone), sum(map(_remove, gone)))


def _aged(files: Iterable[Path], now: datetime) -> Iterator[tuple[Path, timedelta]]:
    for file in files:
        yield file, timedelta(seconds=now.timestamp() - file.stat().st_mtime)


def _remove(file: Path) -> int:
    size = file.stat().st_size
    file.unlink()
    return size


# -- checking -------------------------------------------------------------------------------


def inspect(
    con: Connection, archive: Archive, now: datetime, keep: timedelta | None, *, deep: bool = False
) -> list[Finding]:
    """Return what is wrong with the bodies that must be there; `deep` reads every one of them."""
    pointed = bodies(con, None if keep is None else now - keep)
    there = {file.stem for file in archive.folder.glob("??/*.zst")}
    lost = [body for body in pointed if body.needed and body.sha256 not in there]
    findings = _finding("body", "bodies are not in the archive", lost, lambda body: body.url)
    if deep:
        wrong = {body.sha256: why for body in pointed if body.sha256 in there
                 and (why := _damage(archive, body.sha256))}  # fmt: skip
        damaged = [body for body in pointed if body.sha256 in wrong]
        findings += _finding(
            "bytes", "bodies can not be read again", damaged, lambda body: wrong[body.sha256]
        )
    return findings


def _damage(archive: Archive, sha256: str) -> str:
    try:
        archive.read(sha256)
    except (Damaged, OSError) as error:
        return str(error)
    return ""


def _finding(
    rule: str, says: str, found: list[Kept], detail: Callable[[Kept], str]
) -> list[Finding]:
    if not found:
        return []
    first = found[0]
    words = f"{says} ({detail(first)})"
    return [Finding(rule, len(found), words, first.provider, None, first.fetched_at)]
