"""A collection put together: the adapters, the tape, the transports, the clock.

The command line and the schedule both come through here.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from gputape.scrapers import ecb
from gputape.scrapers.adapter import Adapter, Source
from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import Outcome, Report, Run, collect, read_alike, reread
from gputape.scrapers.http import Pace, Visit, client
from gputape.scrapers.recording import Recording, Replay
from gputape.scrapers.registry import ADAPTERS, recorded
from gputape.scrapers.retention import sweep
from gputape.scrapers.robots import Robots
from gputape.store import tape
from gputape.store.facts import generation
from gputape.store.gpus import gpus
from gputape.store.offer import Origin
from gputape.store.places import Where, archive_of
from gputape.store.record import Recorder
from gputape.store.remember import looks, memory
from gputape.store.scan import LastScan, Memory
from gputape.store.turns import Alone

if TYPE_CHECKING:
    import duckdb

    from gputape.app.sharing import Shared

PAUSE = timedelta(milliseconds=250)  # between two requests to one host
PUBLISH_EVERY_S = 60
DUE = 0.6  # of a cadence, as in a lake (`sharing.FRESH`)
LAST_LOOK = """
select max(observed_at) from scan where provider = ? and status in ('ok', 'unchanged')
"""
GPU_COLUMNS = (
    "id", "name", "vendor", "family", "architecture", "memory_gib", "bandwidth_gb_s",
    "bf16_tflops", "fp16_tflops", "fp8_tflops", "tdp_w", "scaleup_gb_s", "form_factor",
    "launch_year", "source",
)  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Plan:
    """What one collection should do."""

    adapters: Sequence[Adapter]
    db: Where
    replay: Path | None = None
    record: Path | None = None
    groups: frozenset[str] = frozenset()
    secrets: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = _now
    stopped: Callable[[], bool] = lambda: False
    hosted: Sequence[Adapter] = ()
    """Lists of hosted token prices, each asked when its newest look is a cadence old."""
    keep: timedelta | None = None
    """How long raw bytes are kept; None for ever."""
    notes: list[str] = field(default_factory=list)
    """What else a person should hear in the end."""

    @property
    def origin(self) -> Origin:
        """Say whether these are the providers themselves or a recording of them."""
        return Origin.REPLAY if self.replay else Origin.LIVE


def run(plan: Plan, report: Report) -> list[Outcome]:
    """Collect, record, publish. Raises `Busy` when somebody else writes this tape."""
    with ExitStack() as stack, opened(plan) as (recorder, shared):
        publish = _publisher(recorder, plan.db)
        outcomes = _collect(plan, plan.adapters, recorder, report, stack, publish, shared)
        if _needs_rates(plan, recorder):
            outcomes += _collect(plan, [ecb], recorder, report, stack, publish, shared)
        if due := [found for found in plan.hosted if _is_due(plan, recorder, found)]:
            outcomes += _collect(plan, due, recorder, report, stack, publish, shared)
        if plan.keep:
            sweep(recorder.con, Archive(archive_of(plan.db)), plan.now(), plan.keep)
        return outcomes


def _collect(
    plan: Plan,
    adapters: Sequence[Adapter],
    recorder: Recorder,
    report: Report,
    stack: ExitStack,
    publish: Callable[[], None],
    shared: "Shared | None",
) -> list[Outcome]:
    known = memory(recorder.con)
    circumstances = _run(plan, known, _visits(plan, known, stack, shared))
    if shared:
        circumstances.done = shared.give
    return collect(adapters, circumstances, recorder, report, publish)


@dataclass(slots=True)
class Reread:
    """What reading anew came to."""

    looks: int = 0
    corrections: int = 0
    alike: int = 0
    """Looks that this parser and these facts had read already."""
    lost: int = 0
    """Looks whose bytes are gone, or mean nothing to the present parser."""


def reparse(plan: Plan, since: datetime, until: datetime, *, force: bool = False) -> Reread:
    """Read the looks of a period anew and record what differs as corrections.

    `force` reads also what the present parser has read already.
    """
    done = Reread()
    with ExitStack() as stack, open_recorder(plan.db, plan.now()) as recorder:
        known = memory(recorder.con)
        circumstances = _run(plan, known, _visits(plan, known, stack))
        for adapter in plan.adapters:
            found = looks(recorder.con, adapter.PROVIDER.slug, since, until)
            for part, of_part in groupby(found, key=lambda look: look[0]):
                again = [look for _, look in of_part if force or not read_alike(adapter, look)]
                _reread_part(adapter, part, again, circumstances, recorder, done)
            done.alike += len(found)
    done.alike -= done.looks + done.lost
    return done


def _reread_part(
    adapter: Adapter,
    part: str,
    again: Sequence[LastScan],
    run: Run,
    recorder: Recorder,
    done: Reread,
) -> None:
    first, last = recorder.next_id(), None
    for look in again:
        for item in reread(adapter, part, look, run):
            counts = recorder.record(item.scan, item.listing, alone=False)
            done.looks += 1
            done.corrections += counts.changed + counts.new + counts.gone
            last = item.scan
        done.lost += last is None or last.corrects != look.scan_id
    if last:
        recorder.rejoin(last, first)


@contextmanager
def open_recorder(db: Where, now: datetime) -> Iterator[Recorder]:
    """Open the tape for writing; what was recorded is published whatever happens."""
    with opened(Plan(adapters=(), db=db, now=lambda: now)) as (recorder, _):
        yield recorder


@contextmanager
def opened(plan: Plan) -> Iterator["tuple[Recorder, Shared | None]"]:
    """Open what `plan.db` names; beside the recorder, what a lake's collectors need of others."""
    now = plan.now()
    with tape.writing(plan.db, now) as con, _turns(plan, con) as (turns, shared):
        recorder = Recorder(con, turns)
        recorder.note_facts(generation(), gpu_rows(), provider_rows(), now)
        try:
            yield recorder, shared
            recorder.settle(now)
        finally:
            tape.publish(con, plan.db)


@contextmanager
def _turns(plan: Plan, con: "duckdb.DuckDBPyConnection") -> Iterator["tuple[Alone, Shared | None]"]:
    if isinstance(plan.db, Path):
        yield Alone(con), None
        return
    from gputape.app.sharing import Shared, together  # noqa: PLC0415  # a file needs nothing of it

    with together(plan.db, con, plan.notes) as (turns, claims), con.cursor() as eyes:
        eyes.execute("use tape")
        yield turns, Shared(claims, eyes, plan.now, plan.stopped)


def gpu_rows() -> list[tuple[Any, ...]]:
    """Return the GPU facts that the tape carries, in its columns' order."""
    return [tuple(getattr(gpu, name) for name in GPU_COLUMNS) for gpu in gpus().values()]


def provider_rows() -> list[tuple[Any, ...]]:
    """Return the provider facts that the tape carries, in its columns' order."""
    return [
        (
            p.slug, p.name, p.market.value, int(p.cadence.total_seconds()), p.prices_at, p.terms_url
        )
        for p in (adapter.PROVIDER for adapter in ADAPTERS)
    ]  # fmt: skip


def _needs_rates(plan: Plan, recorder: Recorder) -> bool:
    """Whether the tape holds a price that is not in dollars, and rates can be asked."""
    foreign = recorder.con.execute("select 1 from price_log where currency <> 'USD' limit 1")
    recorded = plan.replay is None or (plan.replay / ecb.PROVIDER.slug).exists()
    return bool(foreign.fetchall()) and recorded and not plan.stopped()


def _is_due(plan: Plan, recorder: Recorder, found: Adapter) -> bool:
    """Whether a list is old enough to be asked again, or a recording has an answer of it."""
    slug = found.PROVIDER.slug
    if plan.stopped() or plan.replay:
        return not plan.stopped() and bool(plan.replay and recorded(plan.replay, [found]))
    (at,) = recorder.con.execute(LAST_LOOK, [slug]).fetchall()[0]
    # daily means daily also when today's collection begins a little earlier than yesterday's
    return at is None or plan.now() - at > DUE * found.PROVIDER.cadence


def _run(plan: Plan, known: Memory, visit: Callable[[Adapter], Visit]) -> Run:
    return Run(
        run_id=int(plan.now().timestamp() * 1_000_000),
        visit=visit,
        memory=known,
        now=plan.now,
        origin=plan.origin,
    )


def _publisher(recorder: Recorder, db: Where) -> Callable[[], None]:
    """Return what publishes the tape, at most once a minute."""
    last = time.monotonic()

    def publish() -> None:
        nonlocal last
        if time.monotonic() - last > PUBLISH_EVERY_S:
            tape.publish(recorder.con, db)
            last = time.monotonic()

    return publish


def _visits(
    plan: Plan, known: Memory, stack: ExitStack, shared: "Shared | None" = None
) -> Callable[[Adapter], Visit]:
    """Return what gives each provider its way out: the network, a recording, or both."""
    live = httpx.HTTPTransport(limits=httpx.Limits(max_connections=32))
    stack.callback(live.close)
    polite = client(live)
    robots = Robots(polite.get)
    pace = Pace(timedelta() if plan.replay else PAUSE, time.monotonic, time.sleep)
    archive = Archive(archive_of(plan.db))
    # a recording is asked in full: its answers do not depend on what we already have
    remembered = replace(known, answers={}) if plan.replay or plan.record else known

    def visit_of(adapter: Adapter) -> Visit:
        slug = adapter.PROVIDER.slug
        way: httpx.BaseTransport = Replay(plan.replay, slug) if plan.replay else live
        if plan.record:
            way = Recording(way, plan.record, slug, plan.secrets.values())
        ask_robots = adapter.PROVIDER.source is Source.PAGE and not plan.replay
        visit = Visit(
            client=client(way),
            archive=archive,
            memory=remembered,
            pace=pace,
            now=plan.now,
            robots=robots if ask_robots else None,
            secrets={
                key: plan.secrets[key] for key in adapter.PROVIDER.keys if key in plan.secrets
            },
            wanted=plan.groups & frozenset(adapter.PROVIDER.groups),
            stopped=plan.stopped,
        )
        if shared:
            visit.claim = lambda part: shared.take(adapter.PROVIDER, part, known)
        return visit

    return visit_of
