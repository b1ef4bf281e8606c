"""The channels of a configuration, ready to send."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gputape.app.alerts.delivery import apprise, webhook
from gputape.app.alerts.delivery.channels import Channel, Message, redacted
from gputape.app.alerts.delivery.outcome import Outcome
from gputape.app.config import secrets
from gputape.store.errors import BadInput


class Door(Protocol):
    """A channel as the sender sees it."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def fallback(self) -> bool:
        """Whether it is told what could not be delivered elsewhere."""

    @property
    def per_hour(self) -> int:
        """Messages in an hour."""

    @property
    def max_age(self) -> timedelta:
        """From when on a message is late."""

    def send(self, message: Message, now: datetime) -> Outcome:
        """Deliver one message, once."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A channel of the configuration; its secrets are looked up at each message, and kept nowhere.

    So a file that is exchanged (`NAME_FILE`) counts from the next message on.
    """

    name: str
    channel: Channel
    environment: Mapping[str, str]

    @property
    def fallback(self) -> bool:
        """Whether it is told what could not be delivered elsewhere."""
        return self.channel.fallback

    @property
    def per_hour(self) -> int:
        """Messages in an hour."""
        return self.channel.per_hour

    @property
    def max_age(self) -> timedelta:
        """From when on a message is late."""
        return self.channel.max_age

    def send(self, message: Message, now: datetime) -> Outcome:
        """Deliver one message, once; what it came to repeats no part of the URL and no secret."""
        try:
            found = secrets(self.channel.variables, self.environment)
            target = self.channel.target(found)
        except BadInput as error:
            return Outcome("failed", str(error))
        way = webhook.send if self.channel.is_webhook else apprise.send
        outcome = way(target, message, now, private=self.channel.allow_private)
        return outcome._replace(said=redacted(outcome.said, target.hidden()))


def doors(
    channels: Mapping[str, Channel], environment: Mapping[str, str] = os.environ
) -> list[Door]:
    """Return the doors of the configured channels, those that are told of the others' end last."""
    found: Iterable[Door] = (Configured(name, one, environment) for name, one in channels.items())
    return sorted(found, key=lambda door: (door.fallback, door.name))
