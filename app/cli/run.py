"""`run`: collect on a schedule, evaluate alerts, send them, until somebody says stop."""

import logging
import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING

import click

from gputape.app.cli.output import db_option
from gputape.store.places import Where

if TYPE_CHECKING:
    from types import FrameType

    from gputape.app.service.service import Service

PATIENCE_S = 6.0  # for the scan in hand; with closing the tape it ends within 10 s


@click.command()
@click.argument("providers", nargs=-1)
@click.option("--once", is_flag=True, help="Ask what is due, and end: for cron and timers.")
@click.option("--host", help="Address of health and metrics.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Its port; 0: any.  [default: 9464]")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
@db_option
def run(
    db: Where, providers: tuple[str, ...], once: bool, host: str | None,  # noqa: FBT001  # click's way
    port: int | None, log_format: str | None,
) -> None:  # fmt: skip
    """Ask PROVIDERS (default: all that are on) on a schedule, evaluate alerts and send them.

    SIGTERM ends it within 10 s; SIGHUP, or a changed file, reads the configuration anew.
    `docs/service.md` says more.

    \b
    gputape run
    gputape run --once --log-format json
    """
    from gputape.app import logs
    from gputape.app.service import status
    from gputape.app.service.service import Service

    logs.configure(log_format or "text", logs.Hidden())
    with status.sole(db):
        service = Service(db, providers)
        said = service.watch.loaded.config.service
        logs.configure(log_format or said.log_format, service.hidden)
        if once:
            raise click.exceptions.Exit(_once(service))
        _serve(service, host or said.host, said.port if port is None else port)


def _once(service: "Service") -> int:
    from gputape.app.cli.collect import INTERRUPTED, summarise

    stop = _on_signals(lambda: setattr(service, "stopping", True))
    due = service.once()
    ended = service.stop(PATIENCE_S)
    outcomes = [o for name in due if (t := service.lines[name].last) for o in t.outcomes]
    code = summarise(outcomes) if outcomes else 0
    if not due:
        click.echo("nothing is due", err=True)
    trouble = service.last_error is not None
    if stop.is_set():
        code = INTERRUPTED
    _leave(code or int(trouble), ended=ended)
    return code or int(trouble)


def _serve(service: "Service", host: str, port: int) -> None:
    from gputape.app.service.health import Health

    wake = Event()
    stop = _on_signals(wake.set)
    again = Event()

    def read_again(_: int, __: "FrameType | None") -> None:
        again.set()
        wake.set()

    signal.signal(signal.SIGHUP, read_again)
    health = Health(service, host, port)
    log = logging.getLogger("gputape.service")
    log.info("health and metrics", extra={"url": health.url})
    service.start()
    while not stop.is_set():
        wake.wait()
        wake.clear()
        if again.is_set():
            again.clear()
            service.reload(asked=True)
    log.info("stopping")
    ended = service.stop(PATIENCE_S)
    health.close()
    log.info("stopped")
    _leave(0, ended=ended)


def _on_signals(heard: object) -> Event:
    """Return an event that SIGINT and SIGTERM set; a second one ends at once."""
    stop = Event()

    def on_signal(number: int, _: "FrameType | None") -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        if callable(heard):
            heard()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def _leave(code: int, *, ended: bool) -> None:
    """Leave threads behind that hang in a request: the tape is closed, nothing of them counts."""
    if not ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
