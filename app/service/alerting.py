"""Alerts in a service: what the configuration says of them, and what follows each collection."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from gputape.app.alerts.delivery.channels import Channel
from gputape.app.alerts.rules import AlertsConfig, Rule, explain
from gputape.app.config import Config, secrets
from gputape.store.errors import BadInput
from gputape.store.places import Where

if TYPE_CHECKING:
    import duckdb

    from gputape.app.alerts.delivery.health import Health
    from gputape.app.alerts.delivery.sender import Try
    from gputape.app.alerts.evaluate import Evaluated
    from gputape.app.alerts.ledger import Ledger

GROUP_WAIT = timedelta(seconds=60)


class Alerts(AlertsConfig):
    """The whole `[alerts]` table: rules, and the channels that they go to."""

    channels: dict[str, Channel] = Field(default_factory=dict)


def read(said: object) -> Alerts:
    """Read an `[alerts]` table. Raises `BadInput` naming the key and the nearest known one."""
    if isinstance(said, Alerts):
        return said
    try:
        found = Alerts.model_validate(said)
    except ValidationError as error:
        raise BadInput(f"alerts: {explain(error)}") from None
    for rule in found.rules.values():
        if unknown := sorted(set(rule.channels) - set(found.channels)):
            known = ", ".join(found.channels) or "none"
            raise BadInput(
                f"alerts.rules.{rule.name}: there is no channel {unknown[0]!r} (known: {known})"
            )
    return found


def shown(alerts: Alerts) -> dict[str, Any]:
    """Return it for people: a channel's address and key are named by their variables only."""
    said = alerts.model_dump(mode="json", exclude={"channels"})
    said["channels"] = {
        name: channel.model_dump(mode="json", exclude={"secret"}) | {"url": channel.shown()}
        for name, channel in alerts.channels.items()
    }
    return said


def of(config: Config) -> Alerts:
    """Return what a configuration says of alerts, the defaults when it says nothing."""
    return config.alerts or Alerts()


def hidden(config: Config) -> list[str]:
    """Return the words of channels that no log may repeat. Unset variables hide nothing."""
    words: list[str] = []
    for channel in of(config).channels.values():
        found = secrets(channel.variables, os.environ)
        if len(found) == len(set(channel.variables)):
            words += channel.target(found).hidden()
    return words


def after_collection(
    db: Where, con: "duckdb.DuckDBPyConnection", config: Config, now: datetime,
    group_wait: timedelta = GROUP_WAIT,
) -> "Evaluated":  # fmt: skip
    """Take what is new on the tape through every rule; what follows is in the outbox then.

    `con` reads what was recorded. `group_wait`: how long a message waits for others of its rule.
    Raises `BadInput`, `Busy`; the tape is never touched.
    """
    from gputape.app.alerts.evaluate import evaluate  # noqa: PLC0415  # with all of analysis
    from gputape.app.alerts.posting import Routes  # noqa: PLC0415  # same

    said = of(config)
    routes = Routes(channels=tuple(said.channels), group_wait=group_wait)
    with open_ledger(db) as ledger:
        return evaluate(con, ledger, rules(ledger, said), now, routes)


def deliver(
    db: Where, config: Config, clock: Callable[[], datetime], stop: Callable[[], bool]
) -> "list[Try]":
    """Send what is due in the outbox, and return each try."""
    from gputape.app.alerts.delivery.doors import doors  # noqa: PLC0415  # same
    from gputape.app.alerts.delivery.sender import Sender  # noqa: PLC0415  # same

    channels = of(config).channels
    if not channels:
        return []
    with open_ledger(db) as ledger:
        return Sender(ledger, doors(channels), clock).run(stop)


def rules(ledger: "Ledger", said: Alerts) -> list[Rule]:
    """Return every rule that runs: the default policy, the file's, those added by command."""
    return said.all_rules(ledger.added_rules())


@contextmanager
def open_ledger(db: Where) -> "Iterator[Ledger]":
    """Open what a tape's alerts remember. Raises `Busy`, `Damaged`, `TooNew`."""
    from gputape.app.alerts import ledger  # noqa: PLC0415  # same

    with closing(ledger.open_ledger(db)) as found:
        yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How alerts stand, for doctor and metrics."""

    firing: int = 0
    silences: int = 0
    channels: "Sequence[Health]" = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    """By channel, what its environment lacks."""

    @property
    def waiting(self) -> int:
        """Messages that wait to be sent."""
        return sum(channel.waiting for channel in self.channels)

    @property
    def dead(self) -> int:
        """Messages that were given up."""
        return sum(channel.dead for channel in self.channels)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest message that still waits was written."""
        return min((c.oldest for c in self.channels if c.oldest), default=None)


def standing(db: Where, config: Config, now: datetime) -> Standing:
    """Return how alerts stand."""
    from gputape.app.alerts.delivery.health import Health, health  # noqa: PLC0415  # same
    from gputape.app.alerts.ledger import place  # noqa: PLC0415  # same

    channels = of(config).channels
    lacking = {name: why for name, one in channels.items() if (why := _lacks(one))}
    if not place(db).exists():
        return Standing(channels=[Health(name) for name in sorted(channels)], lacking=lacking)
    with open_ledger(db) as ledger:
        firing = sum(
            "FIRING" in (state.name, state.frozen) for state, _ in ledger.active().values()
        )
        return Standing(
            firing=firing,
            silences=len(ledger.silences(now)),
            channels=health(ledger, channels),
            lacking=lacking,
        )


def _lacks(channel: Channel) -> str | None:
    try:
        channel.target(secrets(channel.variables, os.environ))
    except BadInput as error:
        return str(error)
    return None
