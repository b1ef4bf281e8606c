"""Rules: which series, what to wait for, how sure to be, whom to tell.

    [alerts.rules.cheap-h100]
    gpu = "h100-sxm-80"           # an id, a family (h100) or a glob (rtx-*); also a list
    option = "on_demand"
    when = "drop 5% of median:14d"
    channels = ["team"]

`AlertsConfig` is the whole `[alerts]` table. The default policy is two rules: 5 % for price lists,
15 % for marketplaces and spot, against the median of 14 days (alerts.md 5.1 and 5.3).
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from gputape.app.alerts.condition import Condition, condition
from gputape.app.alerts.times import Digest, QuietHours
from gputape.store.errors import BadInput
from gputape.store.gpus import select

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SPAN = re.compile(r"([0-9]{1,5})\s?(min|m|h|d|w)")
UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DEFAULT_PREFIX = "default-"


def span(words: Any) -> Any:
    """Read 90m, 6h, 7d, 2w. Raises `ValueError`, which pydantic reports with the key."""
    if not isinstance(words, str):
        return words
    found = SPAN.fullmatch(words.strip())
    if not found:
        raise ValueError(f"{words!r} is no span: write 90m, 6h, 7d or 2w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _words(said: Any) -> Any:
    return (said,) if isinstance(said, str) else tuple(said) if isinstance(said, list) else said


def _number(said: Any) -> Any:
    return str(said) if isinstance(said, int | float) and not isinstance(said, bool) else said


def _span_words(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    return f"{days}d" if not rest else f"{length // timedelta(minutes=1)}m"


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Span = Annotated[timedelta, BeforeValidator(span), PlainSerializer(_span_words)]
Scope = Literal["each", "best", "index", "workload", "spread"]


@lru_cache(maxsize=1024)  # 0.3 ms a call, and a rule is asked about every series
def _ids(words: tuple[str, ...]) -> frozenset[str]:
    return select(words)


class Rule(BaseModel):
    """One rule as it is configured, flat; what is left out is as the default says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    when: str
    """The condition, as `condition.py` lists them."""
    scope: Scope = "each"

    gpu: Words = ()
    provider: Words = ()
    region: str | None = None
    """A prefix of the provider's code."""
    option: Literal["on_demand", "reserved", "spot"] | None = None
    tier: str | None = None
    term_months: Annotated[int, Field(ge=1, le=120)] | None = None
    min_gpus: Annotated[Decimal, BeforeValidator(_number), Field(gt=0)] | None = None
    market: Literal["firm", "market", "any"] = "any"
    """`firm`: price lists. `market`: spot, marketplaces, brokers, machines of other people."""
    workload: str | None = None
    """A job file, for scope `workload`."""

    confirm: Annotated[int, Field(ge=1, le=20)] | None = None
    """Distinct looks that must agree: 2, of a source's failures 3, and one more beyond 50 %."""
    min_observations: Annotated[int, Field(ge=1)] = 5
    min_days: Annotated[int, Field(ge=0)] | None = None
    already_true: bool = True
    """Whether an absolute rule says at once what is true when it is made."""

    channels: Words = ()
    """None named: every configured one."""
    digest: str | None = None
    """`daily 09:00 Europe/Berlin`: one message a day."""
    quiet: str | None = None
    """`22:00-07:00 Europe/Berlin`: what is said then waits for the end."""
    cooldown: Span = timedelta(hours=24)
    ttl: Span | None = None
    """How long the rule lives; its end is told."""
    recovered: bool | None = None
    """Whether its end is told too; by default of sources only."""
    late: Literal["send", "drop"] = "send"
    """What becomes of a message that is over before it is delivered."""
    enabled: bool = True

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        found = self.condition
        for reads in (lambda: select(self.gpu), lambda: self.digest_at, lambda: self.quiet_hours):
            try:
                reads()
            except BadInput as error:
                raise ValueError(str(error)) from None
        if wrong := _unfit(self, found):
            raise ValueError(wrong)
        return self

    @property
    def condition(self) -> Condition:
        """The condition, read."""
        try:
            return condition(self.when)
        except BadInput as error:
            raise ValueError(str(error)) from None

    @property
    def digest_at(self) -> Digest | None:
        """When its digest goes out."""
        return Digest.read(self.digest) if self.digest else None

    @property
    def quiet_hours(self) -> QuietHours | None:
        """When it says nothing."""
        return QuietHours.read(self.quiet) if self.quiet else None

    @property
    def gpus(self) -> frozenset[str] | None:
        """The ids it is about; None for all."""
        return _ids(self.gpu) if self.gpu else None

    @property
    def tells_recovery(self) -> bool:
        """Whether the end of an episode is told."""
        return self.condition.of_sources if self.recovered is None else self.recovered

    @property
    def version(self) -> str:
        """A hash of what it watches and how: an edited rule has another."""
        said = self.model_dump(mode="json", exclude={"name", "channels", "digest", "quiet",
                                                     "cooldown", "ttl", "recovered", "late",
                                                     "enabled"})  # fmt: skip
        return hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:16]

    def selector_words(self) -> str:
        """Say which series it is about."""
        said = [*self.gpu, *self.provider, self.region, self.option, self.tier,
                self.term_months and f"{self.term_months} months",
                self.min_gpus and f"at least {self.min_gpus} GPUs",
                None if self.market == "any" else f"{self.market} prices"]  # fmt: skip
        return ", ".join(str(word) for word in said if word) or "everything"


def _unfit(rule: Rule, found: Condition) -> str | None:
    """Say what in a rule does not go together."""
    one_gpu = len(rule.gpus or ()) == 1
    wrong = {
        f"{rule.name!r} is no name: small letters, digits, dots and dashes":
            rule.name and not NAME.fullmatch(rule.name),
        f"scope spread has a ratio, not a price: write when = 'spread 3', not {rule.when!r}":
            rule.scope == "spread" and found.kind not in ("spread", "drop", "rise"),
        "the condition spread compares sellers: write scope = 'spread'":
            found.kind == "spread" and rule.scope != "spread",
        f"an index moves or is below: {rule.when!r} is nothing it does":
            rule.scope == "index" and found.kind not in ("drop", "rise", "below", "at_or_below"),
        f"scope {rule.scope} is of one GPU: write gpu = 'h100-sxm-80'":
            rule.scope in ("index", "spread") and not one_gpu,
        "scope workload needs a job file: write workload = 'job.toml'":
            rule.scope == "workload" and not rule.workload,
        f"{found.kind} is of each source: leave scope out":
            found.of_sources and rule.scope != "each",
    }  # fmt: skip
    return next((why for why, is_so in wrong.items() if is_so), None)


class AlertsConfig(BaseModel):
    """The `[alerts]` table of the configuration."""

    model_config = ConfigDict(extra="forbid")

    default_policy: bool = True
    """Whether the default policy runs beside the rules."""
    rules: dict[str, Rule] = {}

    @model_validator(mode="after")
    def _name_rules(self) -> Self:
        for name in self.rules:
            if not NAME.fullmatch(name) or name.startswith(DEFAULT_PREFIX):
                raise ValueError(
                    f"{name!r} is no name for a rule: small letters, digits, dots and dashes, "
                    f"not beginning with {DEFAULT_PREFIX!r}"
                )
        self.rules = {name: rule.model_copy(update={"name": name})
                      for name, rule in self.rules.items()}  # fmt: skip
        return self

    def all_rules(self, added: Mapping[str, Rule] | None = None) -> list[Rule]:
        """Return the rules that run: the default policy, the file's, and those added by command.

        Raises `BadInput` when a name was given twice.
        """
        added = added or {}
        if twice := sorted(self.rules.keys() & added.keys()):
            raise BadInput(
                f"two rules are called {twice[0]!r}, in the configuration and by command: "
                f"`gputape alerts remove {twice[0]}`, or rename the other"
            )
        default = default_policy() if self.default_policy else []
        return [r for r in (*default, *self.rules.values(), *added.values()) if r.enabled]


def default_policy() -> list[Rule]:
    """Return the two rules of the default policy."""
    return [
        Rule(name="default-list", when="drop 5% of median:14d", market="firm"),
        Rule(name="default-market", when="drop 15% of median:14d", market="market"),
    ]


def rule(name: str, said: Mapping[str, Any]) -> Rule:
    """Read a rule from words. Raises `BadInput`: the key, what is wrong, the nearest key."""
    if not NAME.fullmatch(name) or name.startswith(DEFAULT_PREFIX):
        raise BadInput(
            f"{name!r} is no name for a rule: small letters, digits, dots and dashes, "
            f"not beginning with {DEFAULT_PREFIX!r}"
        )
    try:
        return Rule.model_validate({**said, "name": name})
    except ValidationError as error:
        raise BadInput(f"rule {name}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """Return the first thing that is wrong, as a sentence."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        near = get_close_matches(key.rpartition(".")[2], Rule.model_fields, 1)
        return f"there is no key {key!r}" + (f": did you mean {near[0]!r}?" if near else "")
    return f"{key}: {text}" if key else text


def named(rules: Mapping[str, Rule], name: str) -> Rule:
    """Return the rule of a name. Raises `BadInput` with the nearest one."""
    if name in rules:
        return rules[name]
    near = get_close_matches(name, rules, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(rules) or 'none'}"
    raise BadInput(f"there is no rule {name!r}: {hint}")
