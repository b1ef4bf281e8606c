"""`sql`: the tape in plain SQL, read-only, shut off from files and the network."""

import sys
from pathlib import Path

import click

from gputape.app.cli.output import db_option, format_options, write

NOTHING = 4


@click.command()
@click.argument("query", required=False)
@click.option("--list", "listing", is_flag=True, help="Show the views and their columns.")
@format_options
@db_option
def sql(db: Path, fmt: str, output: Path | None, query: str | None, listing: bool) -> None:  # noqa: FBT001
    """Ask the tape in SQL; `-` reads the query from stdin.

    \b
    gputape sql "select provider, min(usd_gpu_hour) from v_offers group by all"
    gputape sql --list
    """
    from gputape.analysis.sql import ask
    from gputape.analysis.views import columns
    from gputape.store.tape import reading

    if listing == (query is not None):
        raise click.UsageError("give a query, or --list")
    words = sys.stdin.read() if query == "-" else query or ""
    with reading(db, sealed=True) as con:
        table = columns(con) if listing else ask(con, words)
    if table.rows or fmt not in ("table", "md"):
        write(table.rows, table.columns, fmt, output)
    if not table.rows:
        click.echo("no rows", err=True)
        raise click.exceptions.Exit(NOTHING)
