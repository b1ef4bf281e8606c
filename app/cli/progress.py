"""Who watches a collection: bars on a terminal, plain lines otherwise. All on stderr."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from gputape.scrapers.collect import Outcome, Report


@contextmanager
def watch(slugs: Sequence[str], progress: bool | None) -> "Iterator[Report]":  # noqa: FBT001
    """Return the report that fits where stderr goes."""
    if progress if progress is not None else sys.stderr.isatty():
        with _bars() as bars:
            yield Bars(bars, slugs)
    else:
        yield Lines()


def _bars() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(), TextColumn("{task.description:12}"), TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))


class Bars:
    """A line per provider that moves."""

    def __init__(self, bars: "Progress", slugs: Sequence[str]) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {
            slug: bars.add_task(slug, total=None, state="waiting") for slug in slugs
        }
        self._parts: dict[str, list[int]] = {slug: [0, 0, 0] for slug in slugs}

    def started(self, provider: str, /) -> None:
        """Say that it is being asked."""
        if provider not in self._tasks:
            self._tasks[provider] = self._bars.add_task(provider, total=None, state="")
            self._parts[provider] = [0, 0, 0]
        self._bars.update(self._tasks[provider], state="asking")

    def ended(self, provider: str, /) -> None:
        """Stop its clock."""
        task = self._tasks[provider]
        self._bars.update(task, total=1, completed=1)

    def part(self, outcome: "Outcome", /) -> None:
        """Count parts, offers and failures."""
        slug = outcome.scan.provider
        if slug not in self._tasks:
            return
        so_far = self._parts[slug]
        so_far[0] += 1
        so_far[1] += outcome.counts.offers + (
            outcome.counts.unchanged if outcome.scan.status == "unchanged" else 0
        )
        so_far[2] += outcome.failed
        parts, offers, failed = so_far
        trouble = f", {failed} failed" if failed else ""
        self._bars.update(self._tasks[slug], state=f"{parts} parts, {offers} offers{trouble}")


class Lines:
    """A line when a provider begins and ends."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def started(self, provider: str, /) -> None:
        """Say that it is being asked."""
        self._began[provider] = time.monotonic()
        _say(f"{provider}: asking")

    def ended(self, provider: str, /) -> None:
        """Say how long it took."""
        seconds = time.monotonic() - self._began[provider]
        _say(f"{provider}: asked, {seconds:.1f} s")

    def part(self, outcome: "Outcome", /) -> None:
        """Keep quiet: the summary says it."""


def _say(line: str) -> None:
    """Talk on stderr; a reader that has left does not stop a collection."""
    with suppress(OSError):
        click.echo(line, err=True)


class Silence:
    """Nobody watches."""

    def started(self, provider: str, /) -> None:
        """Say nothing."""

    def ended(self, provider: str, /) -> None:
        """Say nothing."""

    def part(self, outcome: "Outcome", /) -> None:
        """Say nothing."""
