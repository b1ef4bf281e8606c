"""The raw bytes of every response, kept once under their hash.

A body is written while it arrives, compressed, to a file without a name; only a whole body
gets its name. So a download that was cut never becomes an entry, and equal bytes are one file.
The index (which request got which bytes, when) is the tape's table `page`.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import zstandard

from gputape.scrapers.frame import check_whole
from gputape.store.errors import Damaged

READ_BYTES = 2**20  # packed; a body up to here is read to see whether it is sound


class Body:
    """A body on its way into the archive: bytes go in, a hash and a size come out."""

    def __init__(self, file: "zstandard.ZstdCompressionWriter", max_bytes: int) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add bytes; a body above its limit raises OverflowError."""
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise OverflowError(f"more than {self._max_bytes / 2**20:.0f} MiB")
        self._hash.update(chunk)
        self._file.write(chunk)

    @property
    def sha256(self) -> str:
        """The hash of what was written so far, in hex."""
        return self._hash.hexdigest()


class Archive:
    """A folder of bodies, `ab/abcdef….zst`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the body with this hash is, or would be."""
        return self.folder / sha256[:2] / f"{sha256}.zst"

    def read(self, sha256: str) -> bytes:
        """Return the body with this hash. Raises `Damaged` when it is lost or altered."""
        try:
            with self.path(sha256).open("rb") as file:
                body = zstandard.ZstdDecompressor().stream_reader(file).read()
        except FileNotFoundError:
            raise Damaged(f"{self.path(sha256)} is gone: this body can not be read again") from None
        except zstandard.ZstdError as error:
            raise Damaged(f"{self.path(sha256)} is damaged ({error})") from None
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Damaged(f"{self.path(sha256)} does not hold what its name says")
        return body

    def sound(self, sha256: str) -> bool:
        """Whether the body with this hash can be read again; a long one is not hashed."""
        path = self.path(sha256)
        try:
            if path.stat().st_size > READ_BYTES:
                check_whole(path)
            else:
                self.read(sha256)
        except (FileNotFoundError, Damaged):
            return False
        return True

    @contextmanager
    def receive(self, max_bytes: int) -> Iterator[Body]:
        """Open a body for writing; leaving the block without an error gives it its name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"part-{uuid4().hex}"
        try:
            with part.open("xb") as raw:
                # level 3: 300 MB of CSV in about a second, an eighth of the size
                compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
                with compressor.stream_writer(raw, closefd=False) as file:
                    body = Body(file, max_bytes)
                    yield body
                raw.flush()
                os.fsync(raw.fileno())
            target = self.path(body.sha256)
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
