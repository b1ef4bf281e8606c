"""`alerts check`, `why`, `log`, `backtest`: what is true, what was judged, what would have been."""

import json
from datetime import timedelta
from pathlib import Path

import click

from gputape.app.cli.alertledger import clock, configured, ledger_of, rules_of
from gputape.app.cli.output import db_option, format_options, write
from gputape.app.cli.words import Span

NOTHING = 4
TRUE = 6
CHECKED = ("rule", "subject", "price", "currency", "against", "reference", "state")
LOGGED = ("at", "rule", "subject", "kind", "episode", "gate", "price", "baseline", "sentence")
WHY = ("at", "price", "reference", "state", "gate", "sentence")
PLAYED = ("time", "rule", "provider", "series", "kind", "text")


@click.command()
@click.argument("name", required=False)
@click.option("--send", is_flag=True, help="Deliver what is due, for a cron without `run`.")
@format_options
@db_option
def check(db: Path, fmt: str, output: Path | None, name: str | None, send: bool) -> None:  # noqa: FBT001  # click's way
    """Take what is new on the tape, and list what is true now; ends with 6 when anything is.

    Messages that follow go to the outbox; `gputape run` delivers them, and so does --send.

    \b
    gputape collect; gputape alerts check --send
    """
    from gputape.app.alerts.evaluate import evaluate
    from gputape.app.alerts.posting import Routes
    from gputape.app.alerts.rules import named
    from gputape.app.alerts.standing import standing
    from gputape.store.tape import reading

    with ledger_of(db) as ledger, reading(db) as con:
        rules, now = rules_of(ledger), clock()
        chosen = [named(rules, name)] if name else list(rules.values())
        config = configured()
        routes = Routes(channels=tuple(config.channels))
        done = evaluate(con, ledger, list(rules.values()), now, routes)
        found = standing(con, ledger, chosen, now)
    rows = [(one.rule, one.subject, one.price, one.currency, one.against, one.text, one.state)
            for one in found]  # fmt: skip
    if rows or fmt not in ("table", "md"):
        write(rows, CHECKED, fmt, output)
    click.echo(f"{len(rows)} true of {len(chosen)} rules; {len(done.posted)} new messages in the "
               "outbox", err=True)  # fmt: skip
    if send:
        _send(db)
    if rows:
        raise click.exceptions.Exit(TRUE)


def _send(db: Path) -> None:
    """Deliver what is due; what is not taken is tried again by the next one who sends."""
    from gputape.app.config import load
    from gputape.app.service.alerting import deliver

    for one in deliver(db, load()[0], clock, lambda: False):
        said = f": {one.outcome.said}" if one.outcome.said else ""
        click.echo(f"{one.channel} {one.state}{said}", err=True)


@click.command()
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

    with ledger_of(db) as ledger:
        named(rules_of(ledger), rule)
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


@click.command()
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
    with ledger_of(db) as ledger:
        found = [row for row in ledger.journal.log(clock() - since) if name in (None, row["rule"])]
    rows = [[row["words"] if key == "subject" else row[key] for key in LOGGED] for row in found]
    if rows or fmt not in ("table", "md") or as_json:
        write(rows, LOGGED, "jsonl" if as_json else fmt, output)
    if not rows:
        click.echo("nothing happened", err=True)
        raise click.exceptions.Exit(NOTHING)


@click.command()
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

    with ledger_of(db) as ledger, reading(db) as con:
        rules = [named(rules_of(ledger), rule)] if rule else None
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
