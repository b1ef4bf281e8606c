"""Our own JSON, over HTTP, signed.

    POST, Content-Type: application/json; charset=utf-8
    X-Gputape-Event-Id, Idempotency-Key   the event's id: the same on every try
    X-Gputape-Schema-Version              1
    X-Gputape-Timestamp                   seconds since 1970, of this try
    X-Gputape-Signature                   v1=<hex of HMAC-SHA256(secret, timestamp + "." + body)>

The scheme is that of Stripe and Slack: the timestamp is signed too, so an old body can not be
sent again later. One connection per message, to the address that `reach` checked; redirects are
not followed, proxies not used, at most 64 KiB of an answer read, and all of it within `LIMIT_S`.
"""

import hashlib
import hmac
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Timer
from urllib.parse import SplitResult, urlsplit

from gputape.app.alerts.delivery import reach
from gputape.app.alerts.delivery.channels import WEBHOOK, Message, Target
from gputape.app.alerts.delivery.outcome import Outcome, of_status

STEP_S = 8.0
LIMIT_S = 20.0
LONGEST_ANSWER = 64 * 1024


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what X-Gputape-Signature says."""
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def headers(message: Message, body: bytes, secret: str | None, now: datetime) -> dict[str, str]:
    """Return the headers of one try."""
    timestamp = str(int(now.timestamp()))
    said = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "gputape",
        "Connection": "close",
        "Idempotency-Key": message.id,
        "X-Gputape-Event-Id": message.id,
        "X-Gputape-Schema-Version": str(message.payload["schema_version"]),
        "X-Gputape-Timestamp": timestamp,
    }
    signed = {"X-Gputape-Signature": signature(secret, timestamp, body)} if secret else {}
    return said | signed


def send(target: Target, message: Message, now: datetime, *, private: bool = False) -> Outcome:
    """Deliver one message, once. Never raises for what the network does."""
    url = urlsplit(target.url.removeprefix(WEBHOOK))
    host = url.hostname
    if url.scheme not in ("http", "https") or not host or url.username:
        return Outcome("failed", "the webhook's URL is to be https://host/path, without a user")
    body = json.dumps(message.payload, ensure_ascii=False).encode()
    try:
        with _connected(url, host, private=private) as wire:
            wire.request("POST", _path(url), body, headers(message, body, target.secret, now))
            with wire.getresponse() as answer:
                answer.read(LONGEST_ANSWER)
                return of_status(answer.status, answer.headers["Retry-After"], host, now)
    except (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError, reach.Forbidden
            ) as error:  # fmt: skip
        return Outcome("failed", f"{host}: {error.strerror or error}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome("unknown", f"{host}: {str(error) or type(error).__name__}")


def _path(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


@contextmanager
def _connected(url: SplitResult, host: str, *, private: bool
               ) -> Iterator[http.client.HTTPConnection]:  # fmt: skip
    """Yield a connection that ends by itself after `LIMIT_S`, however slowly it is answered."""
    secure = url.scheme == "https"
    made = reach.connect(host, url.port or (443 if secure else 80), STEP_S, private=private)
    if secure:
        made = ssl.create_default_context().wrap_socket(
            made, server_hostname=host, do_handshake_on_connect=False
        )
    end = Timer(LIMIT_S, _cut, [made])
    end.daemon = True
    end.start()
    wire = http.client.HTTPConnection(url.netloc)
    try:
        if isinstance(made, ssl.SSLSocket):
            made.do_handshake()
        wire.sock = made
        yield wire
    finally:
        end.cancel()
        wire.close()
        made.close()


def _cut(made: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(made, socket.SHUT_RDWR)  # of TLS too: no farewell, from this thread
