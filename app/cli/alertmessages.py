"""`alerts silence` and `test`: what is sent, and what is not."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gputape.app.cli.alertledger import clock, configured, ledger_of, rules_of
from gputape.app.cli.output import db_option
from gputape.app.cli.words import Span

if TYPE_CHECKING:
    from collections.abc import Collection


@click.command()
@click.argument("kind", type=click.Choice(["rule", "gpu", "provider"]))
@click.argument("word")
@click.argument("duration", type=Span(), required=False)
@click.argument("reason", default="")
@click.option("--lift", is_flag=True, help="End it now.")
@db_option
def silence(
    db: Path, kind: str, word: str, duration: timedelta | None, reason: str,
    lift: bool,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """Say nothing of a rule, a GPU or a provider for DURATION (7d); it ends by itself.

    What begins meanwhile and is still true at its end is told then.
    """
    from gputape.app.alerts.ledger import silence_of
    from gputape.app.alerts.rules import named
    from gputape.store.gpus import select

    now = clock()
    with ledger_of(db) as ledger:
        if lift:
            with ledger.whole():
                count = ledger.lift(kind, word, now)
            click.echo(f"lifted {count}", err=True)
            return
        if duration is None:
            raise click.UsageError("say for how long: 90m, 6h, 7d or 2w")
        if kind == "rule":
            named(rules_of(ledger), word)
        if kind == "gpu":
            select([word])
        with ledger.whole():
            ledger.silence(silence_of(kind, word, now + duration, reason), now)
    click.echo(f"silent until {now + duration:%Y-%m-%d %H:%M} UTC", err=True)


@click.command()
@click.option("--channel", "channels", multiple=True, help="Default: every configured one.")
@db_option
def test(db: Path, channels: tuple[str, ...]) -> None:
    """Send a test message to each channel, and whatever else is due; ends with 1 when one fails."""
    from gputape.app.alerts.delivery.doors import doors
    from gputape.app.alerts.delivery.sender import Sender
    from gputape.app.alerts.posting import post_test

    config = configured()
    names = _known_channels(config.channels, channels)
    with ledger_of(db) as ledger:
        with ledger.whole():
            id_ = post_test(ledger, names, clock())[0].id
        tried = Sender(ledger, doors(config.channels), clock).run()
    states = {one.channel: one for one in tried if one.id == id_}
    for name in names:
        one = states.get(name)
        said = f": {one.outcome.said}" if one and one.outcome.said else ""
        click.echo(f"{name} {one.state if one else 'waiting'}{said}", err=True)
    if any(name not in states or states[name].state != "sent" for name in names):
        raise click.exceptions.Exit(1)


def _known_channels(known: "Collection[str]", named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the channels that are meant. Raises `BadInput` with the nearest name."""
    from difflib import get_close_matches

    from gputape.store.errors import BadInput

    if not known:
        raise BadInput("no channel is configured: add [alerts.channels.NAME] with a url")
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"there is no channel {name!r}: {hint}")
    return named or tuple(known)
