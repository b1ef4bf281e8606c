"""`alerts add`, `remove`, `list`: the rules that run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.alertledger import clock, configured, ledger_of, rules_of
from gputape.app.cli.output import db_option, format_options, write

if TYPE_CHECKING:
    from gputape.app.alerts.rules import Rule

LISTED = ("rule", "when", "scope", "about", "channels", "from", "firing", "pending")


@click.command()
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
@click.option(
    "--workload", type=click.Path(resolve_path=True), help="A job file, for --scope workload."
)
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
    with ledger_of(db) as ledger:
        if name in configured().rules:
            raise BadInput(f"{name!r} is a rule of the configuration: edit it there")
        try:
            with reading(db) as con:
                _check_providers(con, made)
                begin(con, ledger)
        except NoTape:
            click.echo("there is no tape yet: the rule waits for `gputape collect`", err=True)
        with ledger.whole():
            ledger.add_rule(made, clock())
    click.echo(f"{name}: {made.when}, {made.selector_words()}; "
               f"try it: gputape alerts backtest {name}", err=True)  # fmt: skip


def _check_providers(con: Any, made: "Rule") -> None:
    from gputape.analysis.views import check_providers

    check_providers(con, made.provider)


@click.command("remove")
@click.argument("name")
@db_option
def remove(db: Path, name: str) -> None:
    """Forget a rule that was added by command, and what it remembers."""
    from gputape.app.alerts.rules import named
    from gputape.store.errors import BadInput

    with ledger_of(db) as ledger:
        if name in configured().rules:
            raise BadInput(f"{name!r} is a rule of the configuration: remove it there")
        named(ledger.added_rules(), name)
        with ledger.whole():
            ledger.remove_rule(name)
    click.echo(f"removed {name}", err=True)


@click.command("list")
@format_options
@db_option
def list_(db: Path, fmt: str, output: Path | None) -> None:
    """List the rules that run, and what is silenced."""
    from gputape.app.alerts.evaluate import counts

    with ledger_of(db) as ledger:
        added, now = ledger.added_rules(), clock()
        tally = counts(ledger)
        rows = [
            (rule.name, rule.when, rule.scope, rule.selector_words(),
             ", ".join(rule.channels) or "all", _origin(rule.name, set(added)),
             tally[rule.name, "FIRING"], tally[rule.name, "PENDING"])
            for rule in rules_of(ledger).values()
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
