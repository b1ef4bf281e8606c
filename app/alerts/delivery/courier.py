"""A process that hands one message to Apprise, and ends: `python -m …courier < job.json`.

Why a process. Apprise's hundred plugins connect by requests, smtplib, paho or plain sockets, each
in its own way, follow redirects, and read answers of any length. Here all of that is held:

- Where: an audit hook (PEP 578) sees every `socket.connect` and `sendto` that CPython makes, with
  the numeric address that is really used, after DNS; it refuses what `reach` refuses. A hook can
  not be taken off again, and touches nobody else, because the process is this message's own.
- How long: the parent kills it after `apprise.LIMIT_S`; that counts as unknown.
- How much: its memory is limited, so an endless answer ends it and not the service.
- Redirects are not followed, ~/.netrc and proxies not used (they would hide the address).

What the plugins do not tell is noted on the way: HTTP status and Retry-After, SMTP replies.
Nothing of the job is in its arguments or environment; its answer is one line of JSON.
"""

import email.utils
import json
import resource
import smtplib
import sys
from typing import Any

from gputape.app.alerts.delivery import reach

MEMORY_BYTES = 512 << 20  # of which Apprise takes 70 MB
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
SIGNED_IN = 235
MISUNDERSTOOD = range(500, 505)  # of a command (EHLO, AUTH …) for which there is another
LEAST_TIMEOUT_S = 8.0
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")


class Noted:
    """What happened on the wire, as far as it says why a message was not taken."""

    def __init__(self) -> None:
        self.http: int | None = None
        self.retry_after: str | None = None
        self.smtp: int | None = None
        self.smtp_text = ""
        self.error = ""
        self.forbidden = ""

    def said(self, *, sent: bool) -> dict[str, Any]:
        """Return it for the parent."""
        return {"sent": sent, **vars(self)}


def main() -> None:
    """Read a job from stdin, deliver it, write what it came to on stdout."""
    job = json.load(sys.stdin)
    noted = Noted()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    email.utils.make_msgid = _message_id(job["id"])
    _note_http(noted)
    _note_smtp(noted)
    if not job["private"]:
        sys.addaudithook(_guard(noted))
    try:
        sent = _deliver(job, noted)
    except Exception as error:  # noqa: BLE001  # a plugin's; only its kind is safe to repeat
        noted.error = noted.error or type(error).__name__
        sent = False
    print(json.dumps(noted.said(sent=sent)))  # noqa: T201  # the answer to the parent


def _deliver(job: dict[str, Any], noted: Noted) -> bool:
    import apprise  # noqa: PLC0415  # after what it takes from email.utils was exchanged

    asset = apprise.AppriseAsset(app_id="gputape", app_desc="Gputape", storage_mode="memory")
    plugin = apprise.Apprise.instantiate(job["url"], asset=asset)
    if plugin is None:
        noted.error = "it does not know this URL: see its page about the service"
        return False
    if len(plugin) > 1:
        noted.error = f"the URL names {len(plugin)} targets: write a channel for each"
        return False
    plugin.socket_connect_timeout = max(plugin.socket_connect_timeout, LEAST_TIMEOUT_S)
    plugin.socket_read_timeout = max(plugin.socket_read_timeout, LEAST_TIMEOUT_S)
    return bool(plugin.notify(body=job["text"], title=job["title"], body_format="text"))


def _message_id(id_: str) -> Any:
    def make_msgid(idstring: str | None = None, domain: str | None = None) -> str:  # noqa: ARG001  # its signature
        return f"<{id_}@{domain or 'gputape.invalid'}>"

    return make_msgid


def _guard(noted: Noted) -> Any:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in STARTING:
            noted.forbidden = "a program of this machine"
            raise reach.Forbidden("no program is started")
        if event not in CONNECTING:
            return
        address = args[-1]
        host = str(address[0]) if isinstance(address, tuple) else "a local socket"
        if not reach.is_public(host):
            noted.forbidden = host
            raise reach.Forbidden(reach.forbidden(host))

    return hook


def _note_http(noted: Noted) -> None:
    import requests  # noqa: PLC0415  # 60 ms

    send = requests.Session.send

    def noting(self: Any, request: Any, **how: Any) -> Any:
        noted.http, noted.retry_after, noted.error = None, None, ""
        try:
            answer = send(self, request, **how)
        except requests.RequestException as error:
            noted.error = type(error).__name__
            raise
        noted.http, noted.retry_after = answer.status_code, answer.headers.get("Retry-After")
        return answer

    requests.Session.send = noting  # type: ignore[method-assign]
    requests.Session.get_redirect_target = lambda self, resp: None  # type: ignore[method-assign]  # noqa: ARG005  # its signature


def _note_smtp(noted: Noted) -> None:
    getreply = smtplib.SMTP.getreply

    def noting(self: smtplib.SMTP) -> tuple[int, bytes]:
        code, text = getreply(self)
        if code == SIGNED_IN:
            noted.smtp = None
        elif code >= 400 and code not in MISUNDERSTOOD:
            noted.smtp, noted.smtp_text = code, text.decode("utf-8", "replace")
        return code, text

    smtplib.SMTP.getreply = noting  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
