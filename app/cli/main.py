"""`gputape`: the verbs, and how every one of them ends.

Exit codes: 0 ok · 1 error · 2 usage · 3 partial (some providers failed) · 4 nothing matched ·
5 data older than --max-age · 6 condition true · 130 interrupted · 141 pipe closed.
"""

import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from gputape.store.errors import BadInput, GputapeError

# verb → module under gputape.app.cli that holds a click command of that name;
# a module is imported when its verb is used, so that `--help` costs next to nothing
VERBS = {
    "collect": ("collect", "Ask providers for their prices and add them to the tape."),
    "run": ("run", "Collect on a schedule, evaluate alerts and send them."),
    "demo": ("demo", "Show what it does, on sample data in a file of its own."),
    "providers": ("know", "List providers: what they sell, who is on, and why not."),
    "gpus": ("know", "List accelerators and their facts."),
    "offers": ("offers", "What a GPU hour costs now, or at a moment, cheapest first."),
    "history": ("history", "How prices of a GPU or a sku went, as intervals."),
    "changes": ("history", "Which prices moved."),
    "cost": ("cost", "What a whole job costs on the cheapest offer that can run it."),
    "estimate": ("estimate", "What a job takes without a price: FLOPs, hours, memory, speed."),
    "spread": ("spread", "How far sellers of the same thing are apart."),
    "index": ("index", "Where a GPU's price stands, and the proof of it."),
    "commit": ("commitment", "Whether a reserved price is worth it."),
    "buy": ("buy", "Rent, or a card of one's own."),
    "tokens": ("tokens", "What hosts take for a million tokens of a model."),
    "alerts": ("alerts", "Rules that wait for prices, and what they would have said."),
    "sql": ("sql", "Ask the tape in SQL, read-only."),
    "import": ("imports", "Bring in a history that others kept."),
    "export": ("export", "Write the history to files that other programs read."),
    "backup": ("keep", "Copy the tape to a file, while it is written, and read it back."),
    "restore": ("keep", "Put a backup in the tape's place."),
    "compact": ("keep", "Rewrite the tape without what nothing reads any more."),
    "check": ("keep", "Walk the invariants and name what is wrong."),
    "copy": ("copy", "Move a tape to another place, a lake too, and compare both ends."),
    "parse": ("parse", "Read saved responses through an adapter, without storing."),
    "reparse": ("collect", "Read archived bytes anew and record corrections."),
    "config": ("config", "What is configured, and where each value came from."),
    "doctor": ("doctor", "Say what works, what does not, and what to do."),
}


class Verbs(click.Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the verbs in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the verb's module."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"gputape.app.cli.{VERBS[cmd_name][0]}")
        # a verb that Python keeps for itself (`import`) ends in an underscore there
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Name the nearest verb when there is none of that name."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, 1)
            hint = f"did you mean {near[0]}?" if near else "see `gputape --help`"
            ctx.fail(f"there is no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs with one sentence each, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, sentence) for verb, (_, sentence) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gputape")
def cli() -> None:
    """The tape of what a GPU hour costs, everywhere: your own history in one DuckDB file."""


def main() -> None:
    """Run a verb; whatever happens, end with a sentence and a code, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001  # the last door
        code = _end(error)
    sys.exit(code if isinstance(code, int) else 0)


def _end(error: BaseException) -> int:  # noqa: PLR0911  # one return for each way to end
    """Say what has to be said of an error, and return the code to end with."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return 130
        case SystemExit():  # how click ends when the reader of a pipe has left
            return 141
        case click.ClickException():
            error.show()
            return error.exit_code
        case GputapeError():
            return _say(error, 2 if isinstance(error, BadInput) else 1)
        case OSError():
            return _say(f"{error.filename or 'the disk'}: {error.strerror or error}", 1)
    if os.environ.get("GPUTAPE_DEBUG"):
        raise error
    return _say(_our_fault(error), 1)


def _our_fault(error: BaseException) -> str:
    return (
        f"a mistake of the program ({type(error).__name__}: {error}): run it again with "
        "GPUTAPE_DEBUG=1 and report what it prints"
    )


def _say(sentence: object, code: int) -> int:
    click.echo(f"gputape: {sentence}", err=True)
    return code


if __name__ == "__main__":
    main()
