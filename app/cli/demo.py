"""`demo`: what the program does, on sample data, in a file of its own."""

import shutil
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import write

if TYPE_CHECKING:
    import duckdb

    from gputape.analysis.spread import Spread

ARTICLE = "articles/2023-04-07.csv"
ARTICLE_DAY = datetime(2023, 4, 7, tzinfo=UTC)
GROUPS = (("A100 80 GB", "a100", 80), ("A100 40 GB", "a100", 40), ("A10 24 GB", "a10", 24))
JOB = {
    "kind": "finetune",
    "model": {"name": "llama-3.1-70b"},
    "work": {"method": "lora", "tokens": 50e6},
    "buy": {"gpus": ["a100", "h100", "h200", "b200"]},
}
JOB_WORDS = "LoRA of Llama 3.1 70B on 50 million tokens"
CHEAPEST = """
select provider, usd_gpu_hour from offers_at($at::timestamptz)
where family = $family and gpu_memory_gib = $memory and option = $option and tier is null
    and state = 'firm' and derived is null and gpu_count >= 1 and usd_gpu_hour is not null
    and (origin = 'import') = $then
order by usd_gpu_hour, provider limit 1
"""


@click.command()
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file for the sample.  [default: demo.duckdb in the data folder]",
)
def demo(db: Path | None) -> None:
    """Collect from recorded sample responses of seven clouds and show the answers.

    Nothing is asked from the network, and your own tape is not touched.
    """
    from gputape.app.places import demo_tape
    from gputape.store.tape import reading

    tape = db or demo_tape()
    _start_afresh(tape, ours=db is None)
    click.echo("SAMPLE DATA: recorded in 2025 and 2026, not today's prices.\n")
    _collect(tape)
    with reading(tape) as con:
        _show_collected(con)
        _show_then_and_now(con)
        _show_spread(con)
        _show_job(con)
    program = "gputape" if shutil.which("gputape") else sys.argv[0]
    click.echo(
        "\nSAMPLE DATA ends. Try next:\n"
        f"  {program} offers --gpu h100 --count 8 --db {tape}\n"
        f"  {program} cost finetune --model llama-3.1-70b --tokens 50M --explain --db {tape}\n"
        f"  {program} sql --list --db {tape}\n"
        f"  {program} collect        # today's prices, from the providers themselves"
    )


def _start_afresh(tape: Path, *, ours: bool) -> None:
    from gputape.store.errors import BadInput
    from gputape.store.tape import Place

    place = Place(tape)
    if not ours and (place.published.exists() or place.writer.exists()):
        raise BadInput(f"{tape} exists: the demonstration wants a new file")
    for file in (place.published, place.writer):
        file.unlink(missing_ok=True)
        file.with_name(file.name + ".wal").unlink(missing_ok=True)
    shutil.rmtree(place.archive, ignore_errors=True)


def _collect(tape: Path) -> None:
    """Import the article's table, then run the collector on the bundled responses."""
    from gputape.app import collecting, importing
    from gputape.app.cli.progress import Silence
    from gputape.scrapers.importers.snapshot import ImportOptions
    from gputape.scrapers.registry import ADAPTERS

    folder = Path(str(files("gputape.fixtures")))
    table = importing.ImportPlan(
        fmt="article", path=folder / ARTICLE, db=tape, options=ImportOptions(),
        now=datetime.now(UTC),
    )  # fmt: skip
    importing.run(table, lambda _snapshot, _done: None)
    plan = collecting.Plan(
        adapters=ADAPTERS, db=tape, replay=folder, groups=frozenset({"reserved"})
    )
    collecting.run(plan, Silence())


def _show_collected(con: "duckdb.DuckDBPyConnection") -> None:
    rows = con.execute(
        "select provider, count(*), count(distinct gpu), count(distinct region), "
        "string_agg(distinct option, ', ' order by option), max(last_seen)::date "
        "from v_offers where origin = 'replay' and state = 'firm' "
        "group by provider order by provider"
    ).fetchall()
    click.echo("What was collected:")
    write(rows, ("provider", "offers", "gpus", "regions", "options", "recorded"), "table")
    asked = {row[0] for row in rows}
    silent = con.execute("select distinct provider from scan order by provider").fetchall()
    for (slug,) in silent:
        if slug not in asked:
            click.echo(f"{slug}: its page lists no price, so there is none here")


def _show_then_and_now(con: "duckdb.DuckDBPyConnection") -> None:
    click.echo("\nCheapest per GPU-hour, then (a published table of 2023-04-07) and in the sample:")
    rows = [
        [words, option, *_best(con, family, memory, option, then=True),
         *_best(con, family, memory, option, then=False)]
        for words, family, memory in GROUPS
        for option in ("on_demand", "spot")
    ]  # fmt: skip
    write(rows, ("gpu", "option", "2023", "by", "sample", "by "), "table")


def _best(
    con: "duckdb.DuckDBPyConnection", family: str, memory: int, option: str, *, then: bool
) -> tuple[Decimal | None, str]:
    at = ARTICLE_DAY if then else datetime.now(UTC)
    values: dict[str, Any] = {"at": at, "family": family, "memory": memory, "option": option,
                              "then": then}  # fmt: skip
    rows = con.execute(CHEAPEST, values).fetchall()
    return (rows[0][1], rows[0][0]) if rows else (None, "")


def _show_spread(con: "duckdb.DuckDBPyConnection") -> None:
    from gputape.analysis.spread import spread

    then = spread(con, "a100-40", "on_demand", ARTICLE_DAY)
    now = spread(con, "a100-sxm-40", "on_demand", datetime.now(UTC))
    click.echo("\nThe same GPU, on demand, from different sellers:")
    for words, found in (("A100 40 GB, 2023-04-07", then), ("A100 SXM 40 GB, sample", now)):
        if found:
            click.echo(f"  {words}: {_apart(found)}")


def _show_job(con: "duckdb.DuckDBPyConnection") -> None:
    from gputape.analysis.cost.job import job
    from gputape.analysis.cost.rank import rank
    from gputape.store.offer import half_up

    found = rank(con, job(JOB), datetime.now(UTC), limit=3)
    click.echo(f"\nA whole job: {JOB_WORDS}, on {found.matched} offers that can run it:")
    rows = [
        (half_up(one.usd, 2), half_up(one.usd_low, 2), half_up(one.usd_high, 2),
         half_up(Decimal(repr(one.hours)), 1), *(one.offer[name] for name in ("provider", "sku",
                                                                            "option")))
        for one in found.rows
    ]  # fmt: skip
    write(rows, ("usd", "low", "high", "hours", "provider", "sku", "option"), "table")


def _apart(found: "Spread") -> str:
    from gputape.store.offer import half_up

    return (
        f"{half_up(found.low_usd_gpu_hour, 2)} at {found.low_provider}, "
        f"{half_up(found.high_usd_gpu_hour, 2)} at {found.high_provider}: "
        f"{half_up(found.ratio, 2)}x apart among {found.sellers} sellers"
    )
