"""`collect` and `reparse`: prices into the tape."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from gputape.app.cli.output import db_option
from gputape.app.cli.words import Moment, Start
from gputape.store.places import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gputape.scrapers.collect import Outcome

ERROR, PARTIAL, INTERRUPTED = 1, 3, 130


@click.command()
@click.argument("providers", nargs=-1)
@click.option("--reserved", is_flag=True, help="Also the large reserved price files (weekly).")
@click.option("--replay", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Answer from a recording instead of the network.")  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path, file_okay=False),
              help="Keep every answer in a folder, for --replay.")  # fmt: skip
@click.option("--progress/--no-progress", default=None, help="Default: on a terminal.")
@db_option
def collect(
    db: Where, providers: tuple[str, ...], reserved: bool, replay: Path | None,  # noqa: FBT001
    record: Path | None, progress: bool | None,  # noqa: FBT001
) -> None:  # fmt: skip
    """Ask PROVIDERS (default: all that are on) for their prices and add them to the tape.

    \b
    gputape collect
    gputape collect aws azure --reserved
    """
    from gputape.app import collecting, config
    from gputape.app.cli.progress import watch
    from gputape.scrapers.registry import ADAPTERS, HOSTED, adapter, chosen, recorded

    settings, _ = config.load()
    for slug in settings.providers:
        adapter(slug)  # a name that does not exist is refused, not ignored
    adapters = recorded(replay) if replay and not providers else [
        found
        for found in chosen(providers, settings.enabled())
        if providers or found.PROVIDER.slug not in settings.enabled(False)
    ]  # fmt: skip
    if not adapters:
        raise click.UsageError(f"{replay or 'the configuration'} leaves no provider to ask")
    keys = [key for found in ADAPTERS for key in found.PROVIDER.keys]
    stop = _stop_on_signal()
    plan = collecting.Plan(
        adapters=adapters,
        db=db,
        replay=replay,
        record=record,
        hosted=()
        if providers
        else [found for found in HOSTED if found.PROVIDER.slug not in settings.enabled(False)],
        groups=frozenset({"reserved"} if reserved else ()),
        secrets=config.secrets(keys, os.environ),
        stopped=stop.is_set,
        keep=settings.archive.keep,
    )
    with watch([found.PROVIDER.slug for found in adapters], progress) as report:
        outcomes = collecting.run(plan, report)
    click.echo("\n".join([f"tape: {db}", *plan.notes]), err=True)
    raise click.exceptions.Exit(INTERRUPTED if stop.is_set() else summarise(outcomes))


@click.command()
@click.argument("providers", nargs=-1)
@click.option("--since", type=Start(), help="Only looks from then on.")
@click.option("--until", type=Moment(), help="Only looks until then.")
@click.option("--force", is_flag=True, help="Also looks that this parser has read already.")
@db_option
def reparse(
    db: Where, providers: tuple[str, ...], since: datetime | None, until: datetime | None,
    force: bool,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """Read the archived bytes of PROVIDERS (default: all) anew; what differs is a correction.

    A correction is never a price move: `changes` and alerts do not see it. `--as-recorded`
    shows what was believed before.

    \b
    gputape reparse oracle --since 2026-08-01
    """
    from gputape.app import collecting
    from gputape.scrapers.registry import ADAPTERS, chosen
    from gputape.store.errors import NoTape
    from gputape.store.tape import Place

    if isinstance(db, Path) and not (Place(db).writer.exists() or db.exists()):
        raise NoTape(f"there is no tape at {db}: nothing to read anew")
    plan = collecting.Plan(
        adapters=chosen(providers) if providers else list(ADAPTERS),
        db=db,
        now=lambda: datetime.now(UTC),
    )
    began = since or datetime.min.replace(year=1970, tzinfo=UTC)
    done = collecting.reparse(plan, began, until or datetime.now(UTC), force=force)
    click.echo(f"read {done.looks} looks anew: {done.corrections} corrections")
    if done.alike:
        click.echo(f"{done.alike} looks were read by this parser already", err=True)
    if done.lost:
        click.echo(f"{done.lost} looks can not be read any more: their bytes are gone or damaged",
                   err=True)  # fmt: skip


def summarise(outcomes: "Sequence[Outcome]") -> int:
    """Print what each provider came to, and return the exit code."""
    from gputape.app.cli.output import write

    by_provider: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_provider.setdefault(outcome.scan.provider, []).append(outcome)
    columns = ("provider", "parts ok", "failed", "offers", "new", "changed", "gone", "suspect",
               "rejected", "unchanged")  # fmt: skip
    rows = [_line(slug, by_provider[slug]) for slug in sorted(by_provider)]
    write(rows, columns, "table")
    _say_why(by_provider)
    failed = [outcome for outcome in outcomes if outcome.failed]
    if not failed:
        return 0
    return ERROR if len(failed) == len(outcomes) else PARTIAL


def _line(slug: str, outcomes: "Sequence[Outcome]") -> list[object]:
    good = [o for o in outcomes if o.scan.status in ("ok", "unchanged")]
    sums = [
        sum(getattr(o.counts, name) for o in outcomes)
        for name in ("new", "changed", "gone", "suspects", "rejects", "unchanged")
    ]
    offers = sum(
        o.counts.offers if o.scan.status == "ok" else o.counts.unchanged
        for o in good if o.scan.origin != "correction"
    )  # fmt: skip
    return [slug, len(good), sum(o.failed for o in outcomes), offers, *sums]


def _say_why(by_provider: "dict[str, list[Outcome]]") -> None:
    """Say each kind of failure once, with how many parts it took."""
    for slug, outcomes in sorted(by_provider.items()):
        bad = [outcome.scan for outcome in outcomes if outcome.scan.sentence]
        for status in dict.fromkeys(scan.status for scan in bad):
            first, *rest = (scan for scan in bad if scan.status == status)
            more = f" (and {len(rest)} more parts)" if rest else ""
            click.echo(f"{slug} {first.part}: {first.status}: {first.sentence}{more}", err=True)


def _stop_on_signal() -> Event:
    """Return an event that SIGINT and SIGTERM set: the scan in hand is finished, no other begun.

    A second signal ends at once; what was recorded stays, and the next reader publishes it.
    """
    stop = Event()

    def on_signal(number: int, _: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop
