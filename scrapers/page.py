"""A response as an adapter reads it: bytes that were archived, and four ways into them.

Every way raises `Changed` naming what it looked for, so that an adapter needs no checks.
"""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gputape.scrapers.errors import Changed

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

GUNZIP_MAX_BYTES = 2**28  # of a body that is read into memory; a larger one goes through `csv`
GZIP = b"\x1f\x8b"  # awsstatic serves gzip without saying so in Content-Encoding


@dataclass(frozen=True)
class Page:
    """One archived response: where it is from, when it was fetched, what it said."""

    url: str
    fetched_at: datetime
    read: Callable[[], bytes] = field(repr=False)
    """Returns the body, decompressed; the archive's or a file's."""
    sha256: str = ""
    path: Path | None = None
    """The file that holds the body, zstd-compressed when it ends in `.zst`."""

    @cached_property
    def body(self) -> bytes:
        """The whole body in memory. For a body of hundreds of MB use `csv`."""
        body = self.read()
        return self._gunzip(body) if body.startswith(GZIP) else body

    def _gunzip(self, packed: bytes) -> bytes:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                body = file.read(GUNZIP_MAX_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Changed(f"{self.url} is not gzip: {error}", url=self.url) from error
        if len(body) > GUNZIP_MAX_BYTES:
            raise Changed(f"{self.url} unpacks to more than {GUNZIP_MAX_BYTES} B", url=self.url)
        return body

    @property
    def text(self) -> str:
        """The body as text: a byte-order mark decides, UTF-8 otherwise."""
        encoding = "utf-16" if self.body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return self.body.decode(encoding)

    def json(self) -> Any:
        """Return the body as JSON, every fraction an exact Decimal."""
        try:
            return json.loads(self.text, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise Changed(f"{self.url} is not JSON: {error}", url=self.url) from error

    @cached_property
    def soup(self) -> "BeautifulSoup":
        """The body as HTML, or as XML when it says so."""
        from bs4 import BeautifulSoup  # noqa: PLC0415  # 80 ms that JSON sources need not pay

        xml = self.body.lstrip().startswith(b"<?xml")
        return BeautifulSoup(self.body, "xml" if xml else "lxml")

    def all(self, selector: str, inside: "Tag | None" = None) -> "list[Tag]":
        """Return every element the CSS selector finds, at least one."""
        found = (inside or self.soup).select(selector)
        if not found:
            raise Changed(f"{self.url} has nothing at {selector!r}", url=self.url)
        return list(found)

    def csv(
        self,
        columns: Sequence[str],
        keep: Mapping[str, str],
        only: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> list[dict[str, str]]:
        """Return rows as text in which some column of `keep` matches its regular expression.

        Each column of `only` that the file has must say one of its texts.
        `csvpage.py` tells how 300 MB stay on disk.
        """
        from gputape.scrapers.csvpage import rows  # noqa: PLC0415  # only one provider needs it

        return rows(self, columns, keep, only)
