"""Recordings: a folder that answers as the providers did, and one that is being filled.

Both are transports, so that a replayed collection is the live code to the last line.
Format: `<slug>/pages.json`, a list in order of `{"method", "url", "file", "status",
"fetched_at"}` and optionally `"headers"`; `*` in a url stands for any run of characters;
an entry serves one request.
"""

import html
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import httpx

from gputape.store.errors import BadInput

FETCHED_AT = "gputape-fetched-at"  # a response extension: when these bytes were really served
KEPT_HEADERS = ("content-type", "etag", "last-modified", "retry-after")


class NotInRecording(httpx.TransportError):
    """No entry is left for a request."""


class Replay(httpx.BaseTransport):
    """Answers from `<folder>/<slug>/pages.json`; a provider without a folder answers nothing."""

    def __init__(self, folder: Path, slug: str) -> None:
        self._folder = folder / slug
        self._entries = _entries(self._folder)
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first unused answer to this request."""
        entry = self._take(request.method, str(request.url))
        body = (self._folder / entry["file"]).read_bytes() if entry.get("file") else b""
        return httpx.Response(
            entry["status"],
            headers=entry.get("headers", {}),
            content=body,
            extensions={FETCHED_AT: _moment(entry["fetched_at"])},
        )

    def _take(self, method: str, url: str) -> dict[str, Any]:
        with self._lock:
            for entry in self._entries:
                if entry["method"] == method and _matches(entry["url"], url):
                    self._entries.remove(entry)
                    return entry
        raise NotInRecording("not in the recording")


def _entries(folder: Path) -> list[dict[str, Any]]:
    index = folder / "pages.json"
    if not index.exists():
        return []
    try:
        entries = json.loads(index.read_text())
        for entry in entries:
            if missing := {"method", "url", "status", "fetched_at"} - set(entry):
                raise BadInput(f"{index}: an entry lacks {', '.join(sorted(missing))}")
            _moment(entry["fetched_at"])
    except (ValueError, TypeError) as error:
        raise BadInput(f"{index} is not a recording: {error}") from None
    return list(entries)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} is a time without a zone")
    return moment.astimezone(UTC)


def _matches(pattern: str, url: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), url, re.DOTALL) is not None


class Recording(httpx.BaseTransport):
    """Passes requests on and keeps every answer; secrets are struck out of what it writes."""

    def __init__(
        self, inner: httpx.BaseTransport, folder: Path, slug: str, secrets: Iterable[str] = ()
    ) -> None:
        self._inner = inner
        self._folder = folder / slug
        self._secrets = [spellings(s) for s in sorted(secrets, key=len, reverse=True) if s]
        self._entries: list[dict[str, Any]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the inner transport's answer, its body read and written down."""
        response = self._inner.handle_request(request)
        body = response.read()
        headers = dict(response.headers)
        response.close()
        self._keep(request, response, body)
        headers = {k: v for k, v in headers.items() if k not in ("content-encoding",
                   "content-length", "transfer-encoding")}  # fmt: skip
        return httpx.Response(response.status_code, headers=headers, content=body,
                              extensions=response.extensions)  # fmt: skip

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def _keep(self, request: httpx.Request, response: httpx.Response, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{len(self._entries):03d}.{_suffix(response)}"
        (self._folder / name).write_bytes(self._clean(body, b"***"))
        kept = {
            key: self._clean(response.headers[key].encode(), b"***").decode()
            for key in KEPT_HEADERS
            if key in response.headers
        }
        at = response.extensions.get(FETCHED_AT) or datetime.now(UTC)
        self._entries.append({
            "method": request.method,
            "url": self._clean(str(request.url).encode(), b"*").decode(),
            "file": name,
            "status": response.status_code,
            "fetched_at": at.isoformat(timespec="seconds"),
            "headers": kept,
        })  # fmt: skip
        (self._folder / "pages.json").write_text(json.dumps(self._entries, indent=1))

    def _clean(self, text: bytes, instead: bytes) -> bytes:
        for secret in self._secrets:
            text = secret.sub(instead, text)
        return text


def spellings(secret: str) -> re.Pattern[bytes]:
    """Return what finds a secret as it is, in an address, in JSON or in HTML."""
    return re.compile("".join(map(_spelt, secret)).encode())


def _spelt(sign: str) -> str:
    percent = "".join(f"%{byte:02x}" for byte in sign.encode())
    ways = [re.escape(sign), f"(?i:{percent})", rf"(?i:\\u{ord(sign):04x})"]
    if sign in '"\\/':
        ways.append(re.escape(f"\\{sign}"))
    if sign in "&<>\"'":
        ways.append(re.escape(html.escape(sign)))
    if sign == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(reversed(ways))})"


def _suffix(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "")
    return next((word for word in ("json", "html", "csv", "xml") if word in kind), "txt")
