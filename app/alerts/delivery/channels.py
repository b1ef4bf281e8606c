"""Channels: where messages go, as the configuration says it.

    [alerts.channels.team]
    url = "${TEAM_SLACK_URL}"                     # any URL that Apprise knows

    [alerts.channels.mail]
    url = "mailtos://tape:${SMTP_PASSWORD}@mail.example.org?to=ops@example.org"
    fallback = true                               # told when another channel is given up

    [alerts.channels.bot]
    url = "webhook+https://bot.example.org/gpu"   # our own JSON
    secret = "${BOT_SECRET}"                      # signs it

`${NAME}` is the environment variable NAME, or what the file says that NAME_FILE names. Alone, it
is taken as it is; inside a URL it is percent-encoded, so a password may hold `@` and `/`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gputape.store.errors import BadInput

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
WEBHOOK = "webhook+"
SHORTEST_TOKEN = 6
"""Parts of a URL from so many characters on are hidden where an error repeats them."""


class Target(NamedTuple):
    """A channel's URL and secret with their variables filled in. Never to be shown."""

    url: str
    secret: str | None

    def hidden(self) -> list[str]:
        """Return the words that no error may repeat, the longest first."""
        parts = urlsplit(self.url)
        words = {self.url, self.secret, parts.password, parts.username, *parts.path.split("/"),
                 *(value for _, value in parse_qsl(parts.query))}  # fmt: skip
        known = {word for word in words if word and len(word) >= SHORTEST_TOKEN}
        return sorted(known | {unquote(word) for word in known}, key=len, reverse=True)


class Channel(BaseModel):
    """One `[alerts.channels.NAME]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr
    """An Apprise URL, or `webhook+https://…`."""
    kind: Literal["apprise", "webhook"] | None = None
    """None reads it off the URL."""
    secret: SecretStr | None = None
    """`${NAME}` of the key that signs a webhook."""
    allow_private: bool = False
    """Whether it may reach loopback, link-local and private addresses."""
    fallback: bool = False
    """Whether it is told what could not be delivered elsewhere."""
    per_hour: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Messages in an hour; the others are folded into one."""
    max_age_hours: Annotated[float, Field(gt=0)] = 6
    """Older messages are delivered as what they are: late, or over."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        said = self.url.get_secret_value()
        if "://" not in said and not VARIABLE.fullmatch(said):
            raise ValueError("url is no URL: write slack://…, webhook+https://… or ${NAME}")
        password = urlsplit(VARIABLE.sub("", said)).password if "://" in said else None
        if password:
            raise ValueError("url holds a password: put it into a variable and write ${NAME}")
        if said.startswith(WEBHOOK) and urlsplit(said.removeprefix(WEBHOOK)).username:
            raise ValueError("a webhook has no user: write https://host/path, and sign it")
        if self.secret and not VARIABLE.fullmatch(self.secret.get_secret_value()):
            raise ValueError("secret is read from the environment only: write ${NAME}")
        if self.secret and not self.is_webhook and not VARIABLE.fullmatch(said):
            raise ValueError("secret signs webhooks: this channel is none")
        return self

    @property
    def max_age(self) -> timedelta:
        """From when on a message is late."""
        return timedelta(hours=self.max_age_hours)

    @property
    def is_webhook(self) -> bool:
        """Whether it gets our own JSON."""
        return self.kind == "webhook" or self.url.get_secret_value().startswith(WEBHOOK)

    @property
    def variables(self) -> list[str]:
        """The environment variables that it needs."""
        said = [self.url, *([self.secret] if self.secret else [])]
        return [name for one in said for name in VARIABLE.findall(one.get_secret_value())]

    def shown(self) -> str:
        """Return it for people: what kind, and from which variables; no address, no token."""
        scheme, sep, _ = self.url.get_secret_value().partition("://")
        named = ", ".join(f"${{{name}}}" for name in self.variables)
        return (f"{scheme}://…" if sep else "") + (f" ({named})" if sep and named else named)

    def target(self, found: Mapping[str, str]) -> Target:
        """Fill in the variables. Raises `BadInput` naming those that are missing."""
        if missing := [name for name in self.variables if name not in found]:
            raise BadInput(f"{missing[0]} is not set: give it or {missing[0]}_FILE")
        secret = _filled(self.secret, found) if self.secret else None
        return Target(_filled(self.url, found), secret)


def _filled(said: SecretStr, found: Mapping[str, str]) -> str:
    words = said.get_secret_value()
    if whole := VARIABLE.fullmatch(words):
        return found[whole[1]]
    return VARIABLE.sub(lambda name: quote(found[name[1]], safe=""), words)


def redacted(said: str, hidden: Iterable[str]) -> str:
    """Return one line of at most 300 characters without the words that are to be hidden."""
    for word in hidden:
        said = said.replace(word, "…")
    return " ".join(said.split())[:300]


class Message(NamedTuple):
    """What is delivered."""

    id: str
    """Stays the same however often it is delivered."""
    payload: dict[str, Any]

    @property
    def title(self) -> str:
        """One line."""
        return str(self.payload["title"])

    @property
    def text(self) -> str:
        """All of it; the first line is the title, the last one names the event."""
        return str(self.payload["text"])
