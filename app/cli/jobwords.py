"""The options that say a job, and the tables that they come to: what a job file holds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from gputape.app.cli.shape import WHOLE
from gputape.app.cli.shares import Amount, Share
from gputape.app.cli.sizes import Size
from gputape.app.cli.words import Moment, Money, Span, Term

F = TypeVar("F", bound=Callable[..., Any])

# option → where it stands in a job file; what is not here is a question about the job
MODEL = ("name", "params", "active", *WHOLE)
BUY = (
    "options", "term_months", "utilisation", "max_nodes", "network", "deadline_hours",
    "budget_usd", "runs", "setup_hours", "disk_gib", "egress_gib", "interruption",
    "save_minutes", "restart_minutes", "gpus", "providers", "region", "include",
)  # fmt: skip
HOURS = {"deadline_hours", "setup_hours"}
MINUTES = {"save_minutes", "restart_minutes"}


def buying_options(command: F) -> F:
    """Add what says how capacity may be bought, and what is asked about it."""
    for option in reversed((
        click.option("--option", "options", multiple=True,
                     type=click.Choice(["on_demand", "spot", "reserved"]),
                     help="Repeatable; both on demand and spot by default."),
        click.option("--term", "term_months", type=Term(),
                     help="Allows commitments up to 12, 12m or 1y."),
        click.option("--utilisation", type=Share(), help="Share of a commitment that is used."),
        click.option("--max-nodes", type=click.IntRange(1, 8192), help="Instances at the most."),
        click.option("--network", type=click.Choice(["known", "any"]),
                     help="Several instances only where their network is known."),
        click.option("--deadline", "deadline_hours", type=Span(), help="Wall time at most: 36h."),
        click.option("--budget", "budget_usd", type=Money(), help="Dollars at most."),
        click.option("--runs", type=Amount(), help="Tries that a result takes."),
        click.option("--setup", "setup_hours", type=Span(), help="Paid and idle before each run."),
        click.option("--disk", "disk_gib", type=Size(zero=True), help="GiB kept meanwhile."),
        click.option("--egress", "egress_gib", type=Size(zero=True),
                     help="GiB that leave after each run, or in a month of service."),
        click.option("--interruption", metavar="RATE",
                     help="Of spot: 5%/month, 10%/day or 2%/hour."),
        click.option("--save", "save_minutes", type=Span(), help="How long one checkpoint takes."),
        click.option("--restart", "restart_minutes", type=Span(), help="And a restart."),
        click.option("--gpu", "gpus", multiple=True, help="An id, a family or a glob; repeatable."),
        click.option("--provider", "providers", multiple=True, help="A slug; repeatable."),
        click.option("--region", help="A prefix (us-east) or a continent (europe, …)."),
        click.option("--include", help="Also price, with commas: derived, imported, marketplace, "
                     "suspect, unavailable."),
        click.option("--job", type=click.Path(path_type=Path, dir_okay=False),
                     help="A job file; options go over it."),
        click.option("--write-job", type=click.Path(path_type=Path, dir_okay=False),
                     help="Write the job to a file."),
        click.option("--as-of", type=Moment(), help="With the offers of a moment."),
        click.option("--history", type=Span(), help="The same job on each day: 90d."),
        click.option("--explain", is_flag=True, help="Show the working of the cheapest."),
        click.option("--each-provider", is_flag=True, help="Only the cheapest of every seller."),
        click.option("--limit", type=click.IntRange(1, 10**6), default=20, show_default=True),
    )):  # fmt: skip
        command = option(command)
    return command


def tables(kind: str, said: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """Return the tables of a job: a file's, and what the command line says over them."""
    known = _stored(kind, file) if file else {"model": {}, "work": {}, "buy": {}}
    words = {"name" if name == "model" else name: value
             for name, value in said.items() if value is not None and value != ()}  # fmt: skip
    if {"params", "name"} <= words.keys():
        raise click.UsageError("--model names a shape and --params states one: give one of them")
    if {"params", "name"} & words.keys():
        known["model"] = {}  # another model than the file's, not a mixture of both
    for name, value in words.items():
        table = "model" if name in MODEL else "buy" if name in BUY else "work"
        known[table][name] = _plain(name, value)
    return {"kind": kind, **{name: table for name, table in known.items() if table}}


def _stored(kind: str, file: Path) -> dict[str, dict[str, Any]]:
    from gputape.analysis.cost.job import read, to_tables
    from gputape.store.errors import BadInput

    stored = read(file)
    if stored.kind != kind:
        raise BadInput(f"{file} is a job to {stored.kind}: `gputape cost {stored.kind}`")
    found = to_tables(stored)
    return {name: found.get(name, {}) for name in ("model", "work", "buy")}


def _plain(name: str, value: Any) -> Any:
    """Return a value as a job file holds it."""
    if name in HOURS:
        return value.total_seconds() / 3600
    if name in MINUTES:
        return value.total_seconds() / 60
    if name == "include":
        return [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, tuple):
        return list(value)
    return float(value) if name == "budget_usd" else value
