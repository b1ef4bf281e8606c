"""What a service says, on stderr: a line per event, for people or as JSON; never a secret."""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from gputape.scrapers.recording import spellings

KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
NOISY = ("apscheduler", "httpx", "httpcore")


class Hidden:
    """Strikes secrets out of text, however they are spelt there."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide these from now on, the longest first."""
        self._patterns = [spellings(s) for s in sorted(set(secrets), key=len, reverse=True) if s]

    def strike(self, text: str) -> str:
        """Return a text with `***` for each secret."""
        body = text.encode("utf-8", "replace")
        for pattern in self._patterns:
            body = pattern.sub(b"***", body)
        return body.decode()


class Lines(logging.Formatter):
    """One line for people: time, level, sentence, and what belongs to it as key=value."""

    def __init__(self, hidden: Hidden) -> None:
        super().__init__()
        self._hidden = hidden

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        text = f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}{extra}"
        return self._hidden.strike(" ".join((text + _trace(self, record)).split("\n")))


class Json(Lines):
    """One JSON object: time, level, logger, message, and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if trace := _trace(self, record):
            said["trace"] = trace.strip()
        # each value by itself: inside JSON a quotation mark of a quotation is spelt once more
        struck = {key: self._hidden.strike(value) if isinstance(value, str) else value
                  for key, value in said.items()}  # fmt: skip
        return json.dumps(struck, default=self._told, ensure_ascii=False)

    def _told(self, value: object) -> str:
        return self._hidden.strike(str(value))


def configure(log_format: str, hidden: Hidden) -> None:
    """Send what the program logs to stderr. A second call replaces the first."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json(hidden) if log_format == "json" else Lines(hidden))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)  # what they warn of, a job says itself


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items()
            if key not in KNOWN and value is not None}  # fmt: skip


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info else ""
