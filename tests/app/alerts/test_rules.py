"""Rules as people write them: conditions, keys, times; and every refusal with what is right."""

import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from gputape.app.alerts.condition import condition
from gputape.app.alerts.rules import AlertsConfig, Rule, default_policy, explain, rule
from gputape.app.alerts.times import Digest, QuietHours
from gputape.store.errors import BadInput

D = Decimal


@pytest.mark.parametrize(
    "words",
    ["below 2.5", "at_or_below 2.5", "drop 5% of median:14d", "drop 15% of previous",
     "drop 10% of max:30d", "drop 10% of entry", "rise 10% of median:7d", "new_low all",
     "new_low 90d", "within 5% of low:90d", "spread 3", "available", "source_down", "stale 6h"],
)  # fmt: skip
def test_a_condition_is_written_as_it_is_read(words: str) -> None:
    """What `words` prints is what was typed."""
    assert condition(words).words() == words


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("bellow 2", "did you mean 'below 2.50'"),
        ("below cheap", "write below 2.50"),
        ("below 0", "asks for nothing"),
        ("drop 5%", "write drop 5% of median:14d"),
        ("drop 0% of previous", "asks for nothing"),
        ("drop 100% of previous", "no price falls by 100 %"),
        ("drop 5% of median:0d", "a day at least"),
        ("spread 1", "at least 1 times"),
        ("cheaper", "one of below"),
    ],
)
def test_a_condition_that_can_not_be_read_says_what_can(words: str, hint: str) -> None:
    """A refusal shows the nearest form."""
    with pytest.raises(BadInput, match=hint.replace("%", "%")):
        condition(words)


@pytest.mark.parametrize(
    ("words", "reference", "true", "still", "over"),
    [  # true at, neither true nor over at, over at
        ("below 2", "2", "1.99", "2.04", "2.05"),
        ("at_or_below 2", "2", "2", "2.04", "2.05"),
        ("drop 10% of median:14d", "2", "1.80", "1.90", "1.91"),
        ("rise 10% of median:14d", "2", "2.20", "2.10", "2.09"),
        ("new_low all", "2", "1.98", "2", "2.01"),
        ("within 5% of low:90d", "2", "2.10", "2.14", "2.15"),
        ("spread 3", "3", "3", "2.95", "2.94"),
    ],
)
def test_a_condition_is_left_further_on_than_it_is_entered(
    words: str, reference: str, true: str, still: str, over: str
) -> None:
    """Hysteresis: half the threshold of a relative rule, 2 % of an absolute one."""
    found, against = condition(words), D(reference)

    assert found.holds(D(true), against)
    assert not found.holds(D(still), against)
    assert not found.released(D(still), against)
    assert found.released(D(over), against)


def test_below_leaves_out_the_limit_itself() -> None:
    """2.00 is not below 2; `at_or_below` takes ties."""
    assert not condition("below 2").holds(D(2), D(2))
    assert condition("at_or_below 2").holds(D(2), D(2))


TOML = """
[rules.cheap-h100]
gpu = "h100"
provider = ["aws", "gcp"]
when = "below 2.50"
channels = ["team"]
cooldown = "6h"
ttl = "30d"
min_gpus = 8
"""


def test_rules_are_read_from_the_configuration() -> None:
    """A flat table; one word stands for a list of one, a span for a time."""
    found = AlertsConfig.model_validate(tomllib.loads(TOML)).rules["cheap-h100"]

    assert (found.name, found.gpu, found.channels) == ("cheap-h100", ("h100",), ("team",))
    assert (found.cooldown, found.ttl) == (timedelta(hours=6), timedelta(days=30))
    assert found.min_gpus == 8
    assert found.gpus is not None
    assert "h100-sxm-80" in found.gpus


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"when": "below 2", "gpus": "h100"}, "no key 'gpus': did you mean 'gpu'"),
        ({"when": "bellow 2"}, "did you mean 'below 2.50'"),
        ({"when": "below 2", "gpu": "h100-sxm-8"}, "did you mean h100-sxm-80"),
        ({"when": "below 2", "cooldown": "soon"}, "write 90m, 6h, 7d or 2w"),
        ({"when": "below 2", "digest": "weekly"}, "write daily 09:00 Europe/Berlin"),
        ({"when": "below 2", "digest": "daily 25:00"}, "no time of day"),
        ({"when": "below 2", "quiet": "22:00-07:00 Mars"}, "no time zone 'Mars'"),
        ({"when": "below 2", "quiet": "22:00-22:00"}, "no quiet hours"),
        ({"when": "spread 3"}, "scope = 'spread'"),
        ({"when": "below 3", "scope": "spread", "gpu": "h100-sxm-80"}, "a ratio, not a price"),
        ({"when": "spread 3", "scope": "spread"}, "is of one GPU"),
        ({"when": "available", "scope": "index", "gpu": "h100-sxm-80"}, "nothing it does"),
        ({"when": "below 3", "scope": "workload"}, "needs a job file"),
        ({"when": "source_down", "scope": "best"}, "leave scope out"),
        ({"when": "below 2", "option": "spott"}, "option: "),
    ],
)
def test_a_rule_that_makes_no_sense_says_what_would(said: dict[str, Any], hint: str) -> None:
    """The key, what is wrong, the nearest that is right."""
    with pytest.raises(BadInput) as error:
        rule("mine", said)

    assert hint in str(error.value)
    assert str(error.value).startswith("rule mine: ")


@pytest.mark.parametrize("name", ["Mine", "default-mine", "", "a b", "x" * 65])
def test_a_name_is_small_letters(name: str) -> None:
    """And not one of the default policy's, by command and in the file."""
    with pytest.raises(BadInput, match="no name for a rule"):
        rule(name, {"when": "below 2"})
    with pytest.raises(ValidationError, match="no name for a rule"):
        AlertsConfig.model_validate({"rules": {name: {"when": "below 2"}}})


def test_an_unknown_key_of_a_rule_in_the_file_names_the_nearest() -> None:
    """As `config` explains it."""
    with pytest.raises(ValidationError) as error:
        AlertsConfig.model_validate({"rules": {"a": {"when": "below 2", "channel": "x"}}})

    assert explain(error.value) == "there is no key 'rules.a.channel': did you mean 'channels'?"


def test_the_default_policy_is_five_and_fifteen_percent() -> None:
    """Price lists and markets, against 14 days."""
    assert [(r.market, r.when) for r in default_policy()] == [
        ("firm", "drop 5% of median:14d"), ("market", "drop 15% of median:14d"),
    ]  # fmt: skip


def test_a_rule_that_was_kept_is_the_rule_that_was_made() -> None:
    """As JSON and back, spans and figures and all."""
    made = rule("a", {"when": "below 2", "ttl": "90d", "cooldown": "90m", "min_gpus": 0.5})

    assert Rule.model_validate_json(made.model_dump_json()) == made


def test_what_runs_is_the_policy_the_file_and_what_was_added() -> None:
    """A name given twice is refused; what is turned off does not run."""
    config = AlertsConfig.model_validate(
        {"rules": {"a": {"when": "below 2"}, "b": {"when": "below 2", "enabled": False}}}
    )
    added = Rule(name="c", when="below 3")

    assert [r.name for r in config.all_rules({"c": added})] == [
        "default-list", "default-market", "a", "c",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="two rules are called 'a'"):
        config.all_rules({"a": added})


def test_a_route_does_not_make_another_rule() -> None:
    """Another channel is no edit; another limit is."""
    one = Rule(name="a", when="below 2")

    assert one.version == one.model_copy(update={"channels": ("x",)}).version
    assert one.version != one.model_copy(update={"when": "below 3"}).version


# -- times ------------------------------------------------------------------------------------


def utc(*words: int) -> datetime:
    return datetime(*words, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (utc(2026, 3, 28, 7, 59), utc(2026, 3, 28, 8)),  # winter: 09:00 is 08:00 UTC
        (utc(2026, 3, 28, 8, 0), utc(2026, 3, 29, 7)),  # the night of the change: an hour less
        (utc(2026, 10, 24, 7, 0), utc(2026, 10, 25, 8)),  # and back: an hour more
    ],
)
def test_a_digest_is_at_nine_on_the_wall_in_summer_and_winter(now: datetime, due: datetime) -> None:
    """The day of 23 hours and the day of 25 have one digest each, at nine in Berlin."""
    assert Digest.read("daily 09:00 Europe/Berlin").after(now) == due


@pytest.mark.parametrize("day", [29, 25])
def test_a_time_that_does_not_exist_or_is_there_twice_comes_once(day: int) -> None:
    """Half past two on the days of the change: once each, in order."""
    month = 3 if day == 29 else 10
    digest = Digest.read("daily 02:30 Europe/Berlin")
    due, moments = utc(2026, month, day - 2), []
    for _ in range(4):
        due = digest.after(due)
        moments.append(due)

    assert len({m.astimezone(digest.zone).date() for m in moments}) == 4
    assert all(timedelta(hours=22) < b - a < timedelta(hours=26)
               for a, b in pairwise(moments))  # fmt: skip


def test_quiet_hours_reach_over_midnight() -> None:
    """From ten in the evening until seven; at noon nothing waits."""
    quiet = QuietHours.read("22:00-07:00 Europe/Berlin")

    assert quiet.until(utc(2026, 7, 1, 21)) == utc(2026, 7, 2, 5)
    assert quiet.until(utc(2026, 7, 1, 2)) == utc(2026, 7, 1, 5)
    assert quiet.until(utc(2026, 7, 1, 12)) == utc(2026, 7, 1, 12)
