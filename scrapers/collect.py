"""One collection: every provider side by side, each in its own failure, one writer.

    fetch ──▶ archive ──▶ parse ──▶ normalise ──▶ record
    └──── a thread per provider ────────────┘     └─ this thread

A part whose bytes are the ones we already read is not read again: its series are confirmed.
When our own reading has changed since (a parser's revision, a GPU fact), the bytes of the
last scan are read anew *first* and recorded as a correction, so that a fix of ours and a
move of the price never share a row.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from queue import Full, Queue
from threading import Event
from typing import Protocol

from gputape.scrapers import normalise as judge
from gputape.scrapers.adapter import Adapter, Provider
from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed, SourceError
from gputape.scrapers.http import Part, Session, Stopped, Visit
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Interruption
from gputape.scrapers.reading import read
from gputape.scrapers.tokens import judge_tokens
from gputape.store.errors import BadInput, GputapeError
from gputape.store.facts import generation
from gputape.store.offer import Origin
from gputape.store.scan import (
    OK,
    SKIPPED,
    UNCHANGED,
    Counts,
    InterruptionRow,
    LastScan,
    Listing,
    Memory,
    PageRow,
    RateRow,
    Scan,
)

WHOLE = "*"  # the part that stands for the provider itself
FAILED = frozenset({"unreachable", "refused", "changed"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one part came to."""

    scan: Scan
    counts: Counts

    @property
    def failed(self) -> bool:
        """Whether a person should look: `skipped` and `unconfigured` are not failures."""
        return self.scan.status in FAILED


class Report(Protocol):
    """Who watches a collection: a progress bar, plain lines, a test."""

    def started(self, provider: str, /) -> None:
        """Say that a provider is being asked."""

    def ended(self, provider: str, /) -> None:
        """Say that a provider has been asked."""

    def part(self, outcome: Outcome, /) -> None:
        """Show a part that was recorded."""


class Writer(Protocol):
    """What a collection needs of the tape (`store.record.Recorder`)."""

    def record(self, scan: Scan, listing: Listing | None = None) -> Counts:
        """Add one scan whole, or nothing of it."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """A scan on its way to the writer."""

    scan: Scan
    listing: Listing | None = None
    left: bool = False
    """Another collector asks for it: said, and not recorded."""


@dataclass(slots=True)
class Run:
    """One collection's circumstances."""

    run_id: int
    visit: Callable[[Adapter], Visit]
    memory: Memory
    now: Callable[[], datetime]
    origin: Origin = Origin.LIVE
    done: Callable[[str, str], None] = lambda _provider, _part: None
    """Hears of each part that is recorded."""
    queue: "Queue[Read | str]" = field(default_factory=lambda: Queue(maxsize=8))
    """Scans to record; a provider's slug when it is done."""
    closed: Event = field(default_factory=Event)
    """Set when nobody records any more: who still asks should stop."""

    def send(self, item: "Read | str") -> None:
        """Hand something to the writer, waiting for room. Raises `Stopped` when it is gone."""
        while not self.closed.is_set():
            with suppress(Full):
                self.queue.put(item, timeout=0.1)
                return
        raise Stopped


def collect(
    adapters: Sequence[Adapter],
    run: Run,
    writer: Writer,
    report: Report,
    after_record: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Ask every adapter and record what comes, in the order in which it comes."""
    outcomes = []
    with ThreadPoolExecutor(max(1, len(adapters)), "provider") as threads:
        asked = [threads.submit(_ask, adapter, run, report) for adapter in adapters]
        try:
            for item in _until_done(run.queue, len(adapters)):
                outcomes.append(_outcome(item, run, writer))
                report.part(outcomes[-1])
                after_record()
        finally:
            run.closed.set()
    for thread in asked:
        thread.result()
    return outcomes


def _outcome(item: Read, run: Run, writer: Writer) -> Outcome:
    if item.left:
        return Outcome(item.scan, Counts())
    outcome = _record(writer, in_order(item.scan, run.memory), item.listing)
    if item.scan.origin is not Origin.CORRECTION:  # which comes before its part's own scan
        run.done(item.scan.provider, item.scan.part)
    return outcome


def _record(writer: Writer, scan: Scan, listing: Listing | None) -> Outcome:
    """Record a scan; one that says what no tape can hold costs its part and nobody else."""
    try:
        return Outcome(scan, writer.record(scan, listing if scan.status == OK else None))
    except BadInput as error:
        failed = replace(scan, status="changed", sentence=judge.clean(str(error)))
        return Outcome(failed, writer.record(failed))


def _until_done(queue: "Queue[Read | str]", providers: int) -> Iterator[Read]:
    while providers:
        item = queue.get()
        if isinstance(item, str):
            providers -= 1
        else:
            yield item


def in_order(scan: Scan, memory: Memory) -> Scan:
    """Keep time running forwards within a part.

    A live clock that was set back is held at the last scan's time; a recording older than
    the tape is not recorded at all.
    """
    last = memory.parts.get((scan.provider, scan.part))
    if not last or scan.observed_at >= last.observed_at or scan.origin is Origin.CORRECTION:
        return scan
    if scan.origin is Origin.LIVE:
        return replace(scan, observed_at=last.observed_at)
    sentence = (
        f"recorded {scan.observed_at:%Y-%m-%d %H:%M}, but the tape already knows "
        f"{last.observed_at:%Y-%m-%d %H:%M}: give --db a file of its own"
    )
    return replace(scan, status=SKIPPED, sentence=sentence, quotes=0)


# -- one provider, in its own thread ---------------------------------------------------------


def _ask(adapter: Adapter, run: Run, report: Report) -> None:
    slug = adapter.PROVIDER.slug
    try:
        report.started(slug)
        believed = _Believed(adapter, run)
        session = Session(
            adapter.PROVIDER,
            run.visit(adapter),
            lambda part: believed.add(_read_part(adapter, part, run)),
        )
        whole = Part(WHOLE, run.now())
        stopped = False
        try:
            adapter.fetch(session)
        except Stopped:
            stopped = True
        except SourceError as error:
            believed.add([Read(_scan(adapter, whole, run, error=error))])
        except OSError:
            raise  # our own disk, not the provider's fault
        except Exception as error:  # noqa: BLE001  # an index that is not as it was
            shape = Changed(
                f"the index of {slug} is not as it was ({type(error).__name__}: {error})"
            )
            believed.add([Read(_scan(adapter, whole, run, error=shape))])
        believed.end(stopped=stopped)
    finally:
        with suppress(Stopped):
            run.send(slug)
        report.ended(slug)


class _Believed:
    """Holds scans back until a provider has said as much as can be true (`at_least`)."""

    def __init__(self, adapter: Adapter, run: Run) -> None:
        self._adapter = adapter
        self._run = run
        self._held: list[Read] = []
        self._quotes = 0
        self._failures = 0

    def add(self, items: Sequence[Read]) -> None:
        self._held += items
        self._quotes += sum(i.scan.quotes for i in items if i.scan.origin is self._run.origin)
        self._failures += sum(i.scan.status not in (OK, UNCHANGED) for i in items)
        if self._quotes >= self._adapter.PROVIDER.at_least:
            self._release()

    def end(self, *, stopped: bool) -> None:
        """Release what is held; when too little was said, disbelieve it first.

        Parts that failed explain a small number, but not a nothing.
        """
        if not stopped and not (self._failures and self._quotes):
            self._held = [self._disbelieve(item) for item in self._held]
        self._release()

    def _disbelieve(self, item: Read) -> Read:
        if item.scan.status not in (OK, UNCHANGED) or (item.listing and item.listing.interruptions):
            return item
        provider = self._adapter.PROVIDER
        sentence = (
            f"{provider.slug} listed {self._quotes} prices, fewer than the {provider.at_least} "
            "that can be true: the adapter needs a look"
        )
        return Read(replace(item.scan, status="changed", sentence=sentence))

    def _release(self) -> None:
        for item in self._held:
            self._run.send(item)
        self._held = []


def _read_part(adapter: Adapter, part: Part, run: Run) -> list[Read]:
    """Return what a fetched part says, after a correction of what we said before if need be."""
    if part.skip:
        left = replace(_scan(adapter, part, run, status=SKIPPED), quotes=part.skip.quotes)
        return [Read(replace(left, sentence=part.skip.why, pages=()), left=True)]
    if part.error:
        return [Read(_scan(adapter, part, run, error=part.error))]
    last = run.memory.parts.get((adapter.PROVIDER.slug, part.name))
    items = []
    if last and not read_alike(adapter, last):
        items += list(reread(adapter, part.name, last, run))
    elif last and _same(part, last):
        return [Read(replace(_scan(adapter, part, run, status=UNCHANGED), quotes=last.quotes))]
    return [*items, _read(adapter, part, run)]


def read_alike(adapter: Adapter, last: LastScan) -> bool:
    """Whether a look was read by the present parser and judged by the present facts."""
    return (last.parser_revision, last.normaliser) == (adapter.REVISION, normaliser())


def _same(part: Part, last: LastScan) -> bool:
    """Whether the bytes are those last read and still mean what they meant then."""
    seen_at = max((row.fetched_at for row in part.rows if not row.context), default=part.started_at)
    return (
        last.hashes == tuple(row.sha256 for row in part.rows)
        and not last.pending
        and not (last.next_effective_at and last.next_effective_at <= seen_at)
    )


def reread(adapter: Adapter, name: str, last: LastScan, run: Run) -> Iterator[Read]:
    """Read the bytes of a part's last scan with the present parser, as a correction.

    Yields nothing when the bytes can not be read any more: there is nothing to correct with.
    """
    archive = run.visit(adapter).archive
    part = Part(name, run.now(), [archived(archive, row) for row in last.pages], list(last.pages))
    try:
        item = _read(adapter, part, replace(run, origin=Origin.CORRECTION))
    except (GputapeError, OSError):
        return
    if item.scan.status == OK:
        scan = replace(item.scan, observed_at=last.observed_at, corrects=last.scan_id)
        yield replace(item, scan=scan)


def archived(archive: Archive, row: PageRow) -> Page:
    """Return a page as it lies in the archive."""
    return Page(
        url=row.url,
        fetched_at=row.fetched_at,
        read=lambda: archive.read(row.sha256),
        sha256=row.sha256,
        path=archive.path(row.sha256),
    )


def _read(adapter: Adapter, part: Part, run: Run) -> Read:
    try:
        said = read(adapter, part.pages)
    except SourceError as error:
        return Read(_scan(adapter, part, run, error=error))
    scan = replace(_scan(adapter, part, run), quotes=len(said.quotes) + len(said.tokens))
    verdict = judge.normalise(adapter.PROVIDER.slug, said.quotes, scan.observed_at)
    tokens, dropped = judge_tokens(adapter.PROVIDER.slug, said.tokens)
    listing = Listing(
        offers=verdict.offers,
        rejects=[*verdict.rejects, *dropped],
        tokens=tokens,
        interruptions=[
            InterruptionRow(**asdict(risk)) for risk in said.interruptions if _is_sound(risk)
        ],
        rates=[RateRow(**asdict(rate)) for rate in said.rates],
    )
    return Read(replace(scan, next_effective_at=verdict.next_effective_at), listing)


def _is_sound(risk: Interruption) -> bool:
    """Whether the figures are percentages and the words can be written."""
    figures = [risk.low_percent, risk.high_percent, risk.saving_percent or 0]
    return all(type(figure) is int and 0 <= figure <= 100 for figure in figures) and all(
        isinstance(word, str) and word == judge.clean(word) for word in (risk.sku, risk.region)
    )


def _scan(
    adapter: Adapter, part: Part, run: Run, *, status: str = OK, error: SourceError | None = None
) -> Scan:
    own = [row.fetched_at for row in part.rows if not row.context]
    return Scan(
        run_id=run.run_id,
        provider=adapter.PROVIDER.slug,
        part=part.name,
        started_at=part.started_at,
        finished_at=run.now(),
        observed_at=max(own, default=part.started_at),
        status=error.word if error else status,
        sentence=judge.clean(str(error)) if error else None,
        parser_revision=adapter.REVISION,
        normaliser=normaliser(),
        origin=run.origin,
        stands_s=int(2 * cadence(adapter.PROVIDER, part.name).total_seconds()),
        pages=tuple(part.rows),
    )


def cadence(provider: Provider, part: str) -> timedelta:
    """Return how often a part is asked; the last word of its name may be a group."""
    return provider.groups.get(part.rpartition("/")[2], provider.cadence)


def normaliser() -> str:
    """Return which judge this is: its revision and the facts it judges with."""
    return f"{judge.REVISION}.{generation()}"
