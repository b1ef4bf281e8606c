"""Files as people keep them: alone or in a folder, packed or not, the time in their name."""

import gzip
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from gputape.scrapers.frame import check_whole
from gputape.scrapers.importers.snapshot import ImportOptions
from gputape.store.errors import BadInput

PACKED = ("", ".gz", ".zst")
NAMED = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T_ ](\d\d)-?:?(\d\d))?")  # "2023-10-31T0420-adc145e"


def listed(path: Path, suffix: str) -> list[Path]:
    """Return the file, or a folder's files that end so (packed too), in the order of names.

    Raises `BadInput` when there is none.
    """
    listed = [path] if path.is_file() else found(path, suffix)
    if not listed:
        raise BadInput(f"{path} is no file and no folder with a *{suffix}: give one of them")
    return listed


def found(folder: Path, suffix: str) -> list[Path]:
    """Return a folder's files that end so, packed too, in the order of names."""
    ends = tuple(suffix + packed for packed in PACKED)
    files = [file for file in folder.rglob("*") if file.name.endswith(ends) and file.is_file()]
    return sorted(files, key=lambda file: (file.parent, stem(file)))


def called(file: Path, path: Path) -> str:
    """Return what a person calls a file that was found at `path`."""
    return file.name if file == path else file.relative_to(path).as_posix()


def stem(file: Path) -> str:
    """Return the name without its endings: "a.csv.gz" → "a"; "a.csv" sorts before "a-b.csv"."""
    return file.name.split(".")[0]


def unpacked(file: Path) -> bytes:
    """Return a file's content. Raises `BadInput` when it is damaged or can not be opened."""
    try:
        body = file.read_bytes()
        if file.suffix == ".gz":
            return gzip.decompress(body)
        if file.suffix == ".zst":
            check_whole(file)
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise BadInput(f"{file} can not be read ({error}): get it again") from None
    return body


def text(file: Path) -> str:
    """Return a file's text: a byte-order mark decides, UTF-8 otherwise.

    PowerShell's `>` writes UTF-16.
    """
    body = unpacked(file)
    encoding = "utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is neither UTF-8 nor UTF-16 ({error}): save it as one") from None


def check_one_moment(files: Iterable[Path], options: ImportOptions) -> None:
    """Raise `BadInput` when one observation time is given for several files."""
    if options.observed_at and len(list(files)) > 1:
        raise BadInput("--observed-at is the time of one file: give one file, not a folder")


def moment(written: str) -> datetime:
    """Return a time as written; one without a zone is UTC. Raises `ValueError`."""
    read = datetime.fromisoformat(written.strip())
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def named_moment(file: Path) -> datetime | None:
    """Return the time in a file's name, to the minute, if there is one."""
    found = NAMED.search(file.name)
    try:
        return moment(f"{found[1]}T{found[2] or '00'}:{found[3] or '00'}") if found else None
    except ValueError:
        return None
