"""`alerts`: rules that wait for prices, what they saw, and what they would have said."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import db_option, format_options, write
from gputape.app.cli.words import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gputape.app.alerts.ledger import Ledger
    from gputape.app.alerts.rules import AlertsConfig, Rule

NOTHING = 4
TRUE = 6
LISTED = ("rule", "when", "scope", "about", "channels", "from", "firing", "pending")
CHECKED = ("rule", "subject", "price", "currency", "against", "reference", "state")
LOGGED = ("at", "rule", "subject", "kind", "episode", "gate", "price", "baseline", "sentence")
WHY = ("at", "price", "reference", "state", "gate", "sentence")
PLAYED = ("time", "rule", "provider", "series", "kind", "text")


@click.group()
def alerts() -> None:
    """Rules that wait for prices: confirmed, said once, explained.

    \b
    gputape alerts add cheap-h100 "drop 5% of median:14d" --gpu h100-sxm-80
    gputape alerts backtest cheap-h100 --days 90
    gputape alerts check
    """


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _ledger(db: Path) -> "Iterator[Ledger]":
    from gputape.app.alerts.ledger import open_ledger

    ledger = open_ledger(db)
    try:
        yield ledger
    finally:
        ledger.close()


def _configured() -> "AlertsConfig":
    """Return the `[alerts]` table; without one, the defaults."""
    from gputape.app.alerts.rules import AlertsConfig
    from gputape.app.config import load

    config, _ = load()
    found = getattr(config, "alerts", None)
    return found if isinstance(found, AlertsConfig) else AlertsConfig()


def _rules(ledger: "Ledger") -> "dict[str, Rule]":
    """Return every rule that runs, by name."""
    return {rule.name: rule for rule in _configured().all_rules(ledger.added_rules())}


# -- rules ------------------------------------------------------------------------------------


@alerts.command()
@click.argument("name")
@click.argument("when")
@click.option("--gpu", multiple=True, help="An id, a family or a glob; repeatable.")
@click.option("--provider", multiple=True)
@click.option("--region", help="A prefix of the provider's code.")
@click.option("--option", type=click.Choice(["on_demand", "reserved", "spot"]))
@click.option("--tier")
@click.option("--term", "term_months", type=int, metavar="MONTHS")
@click.option("--min-gpus", help="GPUs in the sku, at least.")
@click.option("--market", type=click.Choice(["firm", "market", "any"]))
@click.option("--scope", type=click.Choice(["each", "best", "index", "workload", "spread"]))
@click.option("--workload", help="A job file, for --scope workload.")
@click.option("--confirm", type=int, metavar="LOOKS", help="Looks that must agree.")
@click.option("--channel", "channels", multiple=True, help="Default: every configured one.")
@click.option("--digest", help="daily 09:00 Europe/Berlin")
@click.option("--quiet", help="22:00-07:00 Europe/Berlin")
@click.option("--cooldown", help="Between two messages of an episode: 24h.")
@click.option("--ttl", help="How long the rule lives: 30d.")
@click.option("--recovered/--no-recovered", default=None, help="Tell the end too.")
@click.option("--not-if-true", is_flag=True, help="Say nothing of what is true already.")
@db_option
def add(
    db: Path, name: str, when: str, not_if_true: bool, **said: Any,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """Add the rule NAME, which waits for WHEN; one of that name is replaced.

    \b
    WHEN: below 2.50 · at_or_below 2.50 · drop 5% of median:14d (previous, max:30d, entry)
          rise 10% of median:14d · new_low all · within 5% of low:90d · spread 3 · available
          source_down · stale 6h
    """
    from gputape.app.alerts.evaluate import begin
    from gputape.app.alerts.measures import measure_of
    from gputape.app.alerts.rules import rule
    from gputape.store.errors import BadInput, NoTape
    from gputape.store.tape import reading

    words = {key: list(value) if isinstance(value, tuple) else value
             for key, value in said.items() if value not in (None, ())}  # fmt: skip
    made = rule(name, {**words, "when": when, "already_true": not not_if_true})
    if made.scope != "each":
        measure_of(made)
    with _ledger(db) as ledger:
        if name in _configured().rules:
            raise BadInput(f"{name!r} is a rule of the configuration: edit it there")
        try:
            with reading(db) as con:
                _check_providers(con, made)
                begin(con, ledger)
        except NoTape:
            click.echo("there is no tape yet: the rule waits for `gputape collect`", err=True)
        with ledger.whole():
            ledger.add_rule(made, _now())
    click.echo(f"{name}: {made.when}, {made.selector_words()}; "
               f"try it: gputape alerts backtest {name}", err=True)  # fmt: skip


def _check_providers(con: Any, made: "Rule") -> None:
    from gputape.analysis.views import check_providers

    check_providers(con, made.provider)


@alerts.command("remove")
@click.argument("name")
@db_option
def remove(db: Path, name: str) -> None:
    """Forget a rule that was added by command, and what it remembers."""
    from gputape.app.alerts.rules import named
    from gputape.store.errors import BadInput

    with _ledger(db) as ledger:
        if name in _configured().rules:
            raise BadInput(f"{name!r} is a rule of the configuration: remove it there")
        named(ledger.added_rules(), name)
        with ledger.whole():
            ledger.remove_rule(name)
    click.echo(f"removed {name}", err=True)


@alerts.command("list")
@format_options
@db_option
def list_(db: Path, fmt: str, output: Path | None) -> None:
    """List the rules that run, and what is silenced."""
    from gputape.app.alerts.evaluate import counts

    with _ledger(db) as ledger:
        added, now = ledger.added_rules(), _now()
        tally = counts(ledger)
        rows = [
            (rule.name, rule.when, rule.scope, rule.selector_words(),
             ", ".join(rule.channels) or "all", _origin(rule.name, set(added)),
             tally[rule.name, "FIRING"], tally[rule.name, "PENDING"])
            for rule in _rules(ledger).values()
        ]  # fmt: skip
        silences = ledger.silences(now)
    write(rows, LISTED, fmt, output)
    for silence in silences:
        reason = f": {silence.reason}" if silence.reason else ""
        click.echo(f"silent until {silence.until:%Y-%m-%d %H:%M} UTC: {silence.kind} "
                   f"{silence.word}{reason}", err=True)  # fmt: skip


def _origin(name: str, added: set[str]) -> str:
    if name.startswith("default-"):
        return "default policy"
    return "command" if name in added else "configuration"


# -- what is true -----------------------------------------------------------------------------


@alerts.command()
@click.argument("name", required=False)
@format_options
@db_option
def check(db: Path, fmt: str, output: Path | None, name: str | None) -> None:
    """Take what is new on the tape, and list what is true now; ends with 6 when anything is.

    Messages that follow go to the outbox; `gputape run` delivers them.
    """
    from gputape.app.alerts.evaluate import evaluate
    from gputape.app.alerts.posting import Routes
    from gputape.app.alerts.rules import named
    from gputape.app.alerts.standing import standing
    from gputape.store.tape import reading

    with _ledger(db) as ledger, reading(db) as con:
        rules, now = _rules(ledger), _now()
        chosen = [named(rules, name)] if name else list(rules.values())
        config = _configured()
        routes = Routes(channels=channels_of(config), per_hour=config.per_hour)
        done = evaluate(con, ledger, list(rules.values()), now, routes)
        found = standing(con, ledger, chosen, now)
    rows = [(one.rule, one.subject, one.price, one.currency, one.against, one.text, one.state)
            for one in found]  # fmt: skip
    if rows or fmt not in ("table", "md"):
        write(rows, CHECKED, fmt, output)
    click.echo(f"{len(rows)} true of {len(chosen)} rules; {len(done.posted)} new messages in the "
               "outbox", err=True)  # fmt: skip
    if rows:
        raise click.exceptions.Exit(TRUE)


def channels_of(config: object) -> tuple[str, ...]:
    """Return the names of the configured channels."""
    return tuple(getattr(config, "channels", None) or ())


@alerts.command()
@click.argument("rule")
@click.argument("series")
@format_options
@db_option
def why(db: Path, fmt: str, output: Path | None, rule: str, series: str) -> None:
    """Show the last ten evaluations of RULE on SERIES, each with the gate that stopped it.

    SERIES is a part of its words (`alerts log` shows them) or a fingerprint.
    """
    from gputape.app.alerts.rules import named
    from gputape.store.errors import BadInput

    with _ledger(db) as ledger:
        named(_rules(ledger), rule)
        subjects = ledger.subjects(rule)
        found = [
            p
            for p, words in subjects.items()
            if series == p or all(w in words.split() or w in words for w in series.split())
        ]
        if not found:
            raise BadInput(f"{rule} has judged nothing called {series!r}: a price is judged when "
                           f"it changes; {len(subjects)} were")  # fmt: skip
        for print_ in found[:5]:
            click.echo(f"{subjects[print_]} [{print_}]", err=True)
            rows = [[row[key] for key in WHY] for row in ledger.journal.evaluations(rule, print_)]
            write(rows, WHY, fmt, output)
    if len(found) > 5:
        click.echo(f"and {len(found) - 5} more: say more of its words", err=True)


@alerts.command()
@click.option("--since", type=Span(), default="30d", show_default=True)
@click.option("--rule", "name")
@click.option("--json", "as_json", is_flag=True, help="As --format jsonl.")
@format_options
@db_option
def log(
    db: Path, fmt: str, output: Path | None, since: timedelta, name: str | None,
    as_json: bool,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """What happened, sent or not: fired, further, recovered, glitches, corrections, offers gone."""
    with _ledger(db) as ledger:
        found = [row for row in ledger.journal.log(_now() - since) if name in (None, row["rule"])]
    rows = [[row["words"] if key == "subject" else row[key] for key in LOGGED] for row in found]
    if rows or fmt not in ("table", "md") or as_json:
        write(rows, LOGGED, "jsonl" if as_json else fmt, output)
    if not rows:
        click.echo("nothing happened", err=True)
        raise click.exceptions.Exit(NOTHING)


# -- what would have been ---------------------------------------------------------------------


@alerts.command()
@click.argument("rule", required=False)
@click.option(
    "--days", type=click.IntRange(1, 36_500), help="Before the newest look. Default: all."
)
@format_options
@db_option
def backtest(db: Path, fmt: str, output: Path | None, rule: str | None, days: int | None) -> None:
    """Play the tape, imported history included, through RULE; the default policy without one.

    Nothing is sent. Beside it the number of messages that "10 % below the previous scrape" would
    have sent.
    """
    from gputape.app.alerts import backtest as module
    from gputape.app.alerts.rules import named
    from gputape.store.tape import reading

    with _ledger(db) as ledger, reading(db) as con:
        rules = [named(_rules(ledger), rule)] if rule else None
        since = module.days_back(con, days) if days else None
        result = module.backtest(con, rules, since)
    if fmt == "json":
        text = json.dumps(module.as_json(result), indent=1, ensure_ascii=False)
        if output:
            output.write_text(text + "\n", "utf-8")
        else:
            click.echo(text)
    else:
        rows = [(m.time, m.rule, m.provider, m.series, m.kind, _short(m.text, fmt))
                for m in result.messages]  # fmt: skip
        write(rows, PLAYED, fmt, output)
    span = f" from {result.first:%Y-%m-%d} to {result.last:%Y-%m-%d}" if result.first and \
        result.last else ""  # fmt: skip
    click.echo(f"{len(result.messages)} messages in {result.looks} looks{span}; "
               f'"10 % below the previous scrape" would have sent {result.naive_messages}',
               err=True)  # fmt: skip


def _short(text: str, fmt: str) -> str:
    return text.splitlines()[0] if fmt in ("table", "md") else text


# -- silence and trial ------------------------------------------------------------------------


@alerts.command()
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

    now = _now()
    with _ledger(db) as ledger:
        if lift:
            with ledger.whole():
                count = ledger.lift(kind, word, now)
            click.echo(f"lifted {count}", err=True)
            return
        if duration is None:
            raise click.UsageError("say for how long: 90m, 6h, 7d or 2w")
        if kind == "rule":
            named(_rules(ledger), word)
        if kind == "gpu":
            select([word])
        with ledger.whole():
            ledger.silence(silence_of(kind, word, now + duration, reason), now)
    click.echo(f"silent until {now + duration:%Y-%m-%d %H:%M} UTC", err=True)


@alerts.command()
@click.option("--channel", "channels", multiple=True, help="Default: every configured one.")
@db_option
def test(db: Path, channels: tuple[str, ...]) -> None:
    """Send a test message to each channel, and whatever else is due; ends with 1 when one fails."""
    from gputape.app.alerts.delivery.doors import doors
    from gputape.app.alerts.delivery.sender import Sender
    from gputape.app.alerts.posting import post_test

    config = _configured()
    names = _known_channels(config, channels)
    with _ledger(db) as ledger:
        with ledger.whole():
            id_ = post_test(ledger, names, _now())[0].id
        tried = Sender(ledger, doors(getattr(config, "channels", {})), _now).run()
    states = {one.channel: one for one in tried if one.id == id_}
    for name in names:
        one = states.get(name)
        said = f": {one.outcome.said}" if one and one.outcome.said else ""
        click.echo(f"{name} {one.state if one else 'waiting'}{said}", err=True)
    if any(name not in states or states[name].state != "sent" for name in names):
        raise click.exceptions.Exit(1)


def _known_channels(config: object, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the channels that are meant. Raises `BadInput` with the nearest name."""
    from difflib import get_close_matches

    from gputape.store.errors import BadInput

    known = channels_of(config)
    if not known:
        raise BadInput("no channel is configured: add [alerts.channels.NAME] with a url")
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"there is no channel {name!r}: {hint}")
    return named or known
