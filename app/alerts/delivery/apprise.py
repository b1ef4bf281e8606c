"""Mail, Slack, Discord, Telegram, ntfy and whatever else Apprise knows by URL.

Each message is handed over by a process of its own (`courier`, which says why); 0.4 s each, for
messages of which a channel gets twenty an hour.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gputape.app.alerts.delivery import reach
from gputape.app.alerts.delivery.channels import Message, Target
from gputape.app.alerts.delivery.outcome import SENT, Outcome, of_status

LIMIT_S = 20.0
COURIER = (sys.executable, "-P", "-m", "gputape.app.alerts.delivery.courier")
PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
          "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONPATH")  # fmt: skip
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
TAKEN_PERHAPS = ("ReadTimeout", "ChunkedEncodingError", "ContentDecodingError", "MemoryError")


def send(target: Target, message: Message, now: datetime, *, private: bool = False) -> Outcome:
    """Deliver one message, once. Never raises for what the network or a plugin does."""
    job = {"url": target.url, "id": message.id, "title": message.title, "private": private,
           "text": _body(message)}  # fmt: skip
    try:
        ended = subprocess.run(  # noqa: S603  # our own module; the job is on its stdin
            COURIER, input=json.dumps(job).encode(), capture_output=True, timeout=LIMIT_S,
            check=False, env=_environment(os.environ, private=private),
        )  # fmt: skip
        said = json.loads(ended.stdout)
    except subprocess.TimeoutExpired:
        return Outcome("unknown", f"no answer within {LIMIT_S:.0f} s")
    except ValueError:
        return Outcome("unknown", f"the courier ended with {ended.returncode} and said nothing")
    return _meaning(said, now)


def _body(message: Message) -> str:
    """Return the text without its first line when that is the title, which Apprise sends too."""
    first, _, rest = message.text.partition("\n")
    return rest if first == message.title and rest else message.text


def _environment(known: Mapping[str, str], *, private: bool) -> dict[str, str]:
    """Return what a courier is to know: no secrets; proxies only where any address is allowed."""
    names = {*PASSED, *PROXIES, *map(str.lower, PROXIES)} if private else set(PASSED)
    return {name: known[name] for name in names if name in known} | {"NETRC": os.devnull}


def _meaning(said: Mapping[str, Any], now: datetime) -> Outcome:
    if said["sent"]:
        return SENT
    if said["forbidden"]:
        return Outcome("failed", reach.forbidden(said["forbidden"]))
    if said["http"]:
        meant = of_status(said["http"], said["retry_after"], "the service", now)
        taken = Outcome("failed", f"HTTP {said['http']}, but Apprise did not take it for a success")
        return taken if meant is SENT else meant
    if said["smtp"]:
        reply = f"SMTP {said['smtp']} {said['smtp_text']}"
        return Outcome("refused" if said["smtp"] >= 500 else "failed", reply)
    error = said["error"] or "no answer, or none that it understood"
    return Outcome("unknown" if said["error"] in TAKEN_PERHAPS else "failed", f"Apprise: {error}")
