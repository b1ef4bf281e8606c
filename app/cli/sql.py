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
    import duckdb

    from gputape.analysis.views import columns
    from gputape.store.errors import BadInput
    from gputape.store.tape import reading

    if listing == (query is not None):
        raise click.UsageError("give a query, or --list")
    with reading(db, sealed=True) as con:
        if listing:
            table = columns(con)
            write(table.rows, table.columns, fmt, output)
            return
        try:
            result = con.execute(sys.stdin.read() if query == "-" else query or "")
            names = [column[0] for column in result.description or ()]
            rows = result.fetchall()
        except duckdb.Error as error:
            raise BadInput(str(error).strip().replace("\n", "\n  ")) from None
    if not rows:
        click.echo("no rows", err=True)
        raise click.exceptions.Exit(NOTHING)
    write(rows, names, fmt, output)
