"""`copy`: a tape moved between a file and a lake."""

from datetime import UTC, datetime

import click

from gputape.app.cli.output import TapeName
from gputape.store.places import Where


@click.command()
@click.argument("source", metavar="FROM", type=TapeName())
@click.argument("target", metavar="TO", type=TapeName())
@click.option("--force", is_flag=True, help="Replace what TO has.")
@click.option("--archive", is_flag=True, help="Also the raw bytes.")
def copy(source: Where, target: Where, force: bool, archive: bool) -> None:  # noqa: FBT001
    """Copy a tape, a file or ducklake:postgres:…, to another place, and compare both ends.

    \b
    gputape copy tape.duckdb "ducklake:postgres:dbname=gputape host=db?data_path=s3://bucket/tape"
    """
    from gputape.store.copying import copy as put

    done = put(source, target, datetime.now(UTC), force=force, archive=archive)
    click.echo(f"{target}: {done.rows:,} rows of {done.tables} tables, equal to {source}")
    if archive:
        click.echo(f"{done.bodies:,} bodies of the archive added")
    for finding in done.findings:
        click.echo(f"check, at both ends: {finding.count} {finding.finding}", err=True)
