"""What a service logs: one line per event, and no secret in it however it is spelt."""

import json
import logging
import sys
from urllib.parse import quote

import pytest

from gputape.app.logs import Hidden, Json, Lines

SECRET = 's3/c+r t"=é'  # noqa: S105  # nobody's


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("gputape.service", logging.INFO, "", 0, message, args, None)
    made.__dict__.update(extra)
    return made


def test_a_line_for_people_is_one_line() -> None:
    """Time, level, sentence, what belongs to it; a newline does not make two."""
    line = Lines(Hidden()).format(record("a\nb %s", 1, job="aws", failed=None))

    assert line.endswith("info    a b 1 job=aws")
    assert "\n" not in line


def test_a_line_for_programs_is_json() -> None:
    """Every line is an object, a traceback in a field of its own."""
    made = record("collected", job="aws")
    try:
        raise ValueError("oh")  # noqa: TRY301  # there must be a trace
    except ValueError:
        made.exc_info = sys.exc_info()
    said = json.loads(Json(Hidden()).format(made))

    assert (said["level"], said["message"], said["job"]) == ("info", "collected", "aws")
    assert said["trace"].endswith("ValueError: oh")


@pytest.mark.parametrize("kind", [Lines, Json])
@pytest.mark.parametrize("spelt", [str, quote, lambda s: quote(s, safe=""), json.dumps])
def test_no_secret_is_in_a_line(kind: type[Lines], spelt: object) -> None:
    """As it is, percent-encoded, as JSON; in the sentence, its arguments and what belongs to it."""
    text = spelt(SECRET) if callable(spelt) else ""
    line = kind(Hidden([SECRET])).format(record("%s %s", text, text, url=f"https://x/{text}"))

    assert "s3" not in line
    assert line.count("***") == 3
    if kind is Json:
        assert json.loads(line)
