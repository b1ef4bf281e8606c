"""What looks said of series, for the schedule and for the backtest; `tapelooks` reads it.

A look is one `ok` or `unchanged` scan of a part. What it said of a series is the newest row of the
log at its time: rows are written only when something changed. A look that is not complete says
something of a series only where it has a row of its own, or listed as many as there are.

A course is the history of one series as we read it now: of two readings of one moment the newer
counts. Where a correction says another price than was read before, what lies behind it was read
otherwise and is not compared, unless it was read anew too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gputape.store.gpus import gpus

SEEN = ("ok", "unchanged")
FAILED = ("unreachable", "refused", "changed")
WITNESSED = "moved"  # in the tape's reason for holding a price back: it moved, nothing else is odd


class Look(NamedTuple):
    """One attempt at one part."""

    scan_id: int
    run_id: int
    provider: str
    part: str
    at: datetime
    status: str
    complete: bool
    offers: int
    origin: str
    version: str
    """Of the parser and of the facts that it was read with."""
    finished_at: datetime
    stands_s: int | None
    anew: bool
    """Old bytes, read again."""
    sentence: str | None

    @property
    def seen(self) -> bool:
        """Whether something was seen at all."""
        return self.status in SEEN

    @property
    def fresh(self) -> bool:
        """Whether it was recorded when it was true: a late one is no news."""
        return self.finished_at - self.at < timedelta(seconds=self.stands_s or 7200)


class Entry(NamedTuple):
    """One row of the log."""

    series_id: int
    at: datetime
    scan_id: int
    state: str
    price: Decimal | None
    currency: str
    reason: str | None
    available: bool | None
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One thing whose price moves, and what we understand it to be."""

    series_id: int
    fingerprint: str
    """Of the provider's own words: the same in every tape."""
    provider: str
    sku: str
    region: str
    zone: str | None
    option: str
    tier: str | None
    term_months: int | None
    payment: str | None
    source: str | None
    gpu: str
    gpu_count: Decimal
    part: str
    relay: str | None
    market: str | None

    @property
    def firm(self) -> bool:
        """Whether its price is a price list's: not spot, a market's, or other people's."""
        resold = self.market in ("marketplace", "broker") or self.tier == "community"
        return self.option != "spot" and not resold

    @property
    def words(self) -> str:
        """Return it as a person names it."""
        region = None if self.region == "unstated" else self.region
        term = self.term_months and f"{self.term_months} months"
        said = (self.provider, self.sku, region, self.zone, self.option, self.tier, term,
                self.payment)  # fmt: skip
        return " ".join(str(word) for word in said if word)

    def like(self, other: "Series") -> bool:
        """Whether another differs in nothing but its name (and where that is stated, its part)."""
        return all(getattr(self, word) == getattr(other, word) for word in LIKE)


LIKE = ("provider", "region", "zone", "option", "tier", "term_months", "payment", "source",
        "gpu_count")  # fmt: skip


@dataclass(slots=True)
class Looks:
    """The looks of one part, in order, as they are read now."""

    times: list[datetime] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    whole: list[datetime] = field(default_factory=list)
    """Those that say something of every series of the part."""
    _alike: list[datetime] = field(default_factory=list)
    """Since when each was read as it is, without a break."""

    def add(self, look: Look, *, whole: bool) -> None:
        """Add a look that is not older than the last; a new reading takes the old one's place."""
        if self.times and self.times[-1] == look.at:
            for column in (self.times, self.versions, self._alike):
                column.pop()
        elif whole:
            self.whole.append(look.at)
        same = bool(self.versions) and self.versions[-1] == look.version
        self._alike.append(self._alike[-1] if same else look.at)
        self.times.append(look.at)
        self.versions.append(look.version)

    def between(self, start: datetime, end: datetime) -> int:
        """Return how many whole looks lie in [start, end)."""
        return bisect_left(self.whole, end) - bisect_left(self.whole, start)

    def breaks_at(self, at: datetime) -> bool:
        """Whether the look before the one at `at` was read otherwise."""
        i = bisect_right(self.times, at) - 1
        return i > 0 and self.times[i] == at == self._alike[i]

    def read_alike_since(self, at: datetime) -> datetime:
        """Return from which look on everything until `at` was read as the look at `at` is."""
        i = bisect_right(self.times, at) - 1
        return self._alike[i] if i >= 0 else at


@dataclass(slots=True)
class Course:
    """The history of one series, a row per moment at which something changed."""

    rows: list[Entry]
    looks: Looks
    replayed: bool = False
    """Every reading as of now, from the beginning: a correction is a cut only where it is one."""
    _entries: list[Entry] = field(init=False)
    _times: list[datetime] = field(init=False)
    _cuts: list[tuple[datetime, datetime, int]] = field(init=False)
    """(moment, comparable from, scan) of each correction."""

    def __post_init__(self) -> None:
        self._read()

    def take_up(self, before: list[Entry], at: datetime) -> None:
        """Continue another course: the same thing was called otherwise until `at`."""
        self.rows = before + [row for row in self.rows if row.at >= at]
        self._read()

    def _read(self) -> None:
        newest: dict[datetime, Entry] = {}
        cuts = []
        standing: Entry | None = None
        for row in sorted(self.rows, key=lambda r: (r.at, r.scan_id)):
            before = newest.get(row.at) or standing
            anew = row.origin == "correction" and not self.replayed
            if before and _differs(before, row) and (anew or self.looks.breaks_at(row.at)):
                cuts.append((row.at, self.looks.read_alike_since(row.at), row.scan_id))
            newest[row.at] = row
            standing = row
        self._entries = list(newest.values())
        self._times = list(newest)
        self._cuts = cuts

    def at(self, moment: datetime) -> Entry | None:
        """Return the row that holds at a moment."""
        i = bisect_right(self._times, moment)
        return self._entries[i - 1] if i else None

    def firm_at(self, moment: datetime) -> Entry | None:
        """Return the newest row with a price that is believed, at a moment."""
        i = bisect_right(self._times, moment)
        return next((e for e in reversed(self._entries[:i]) if e.state == "firm"), None)

    def correction_at(self, moment: datetime) -> bool:
        """Whether this very moment says another price than it was read to say."""
        return any(at == moment for at, _, _ in self._cuts)

    def reading(self, moment: datetime) -> int:
        """Return the newest correction up to a moment, 0 without one."""
        return max((scan for at, _, scan in self._cuts if at <= moment), default=0)

    def comparable_from(self, moment: datetime) -> datetime | None:
        """Return since when everything up to a moment was read alike, None for always."""
        return max((since for at, since, _ in self._cuts if at <= moment), default=None)

    def runs(self, start: datetime | None, end: datetime, currency: str) -> "list[Run]":
        """Return the believed prices in [start, end), each with how many looks said it."""
        since = self.comparable_from(end)
        start = max((t for t in (start, since) if t), default=None)
        found = []
        first = max(0, bisect_right(self._times, start) - 1) if start else 0
        for i in range(first, len(self._entries)):
            entry = self._entries[i]
            if entry.at >= end:
                break
            until = min(self._times[i + 1] if i + 1 < len(self._times) else end, end)
            from_ = max(entry.at, start) if start else entry.at
            if entry.state == "firm" and entry.currency == currency and entry.price is not None:
                own = 0 if self._is_whole(from_) or from_ > entry.at else 1
                found.append(Run(entry.price, from_, self.looks.between(from_, until) + own))
        return [run for run in found if run.looks]

    def _is_whole(self, moment: datetime) -> bool:
        i = bisect_left(self.looks.whole, moment)
        return i < len(self.looks.whole) and self.looks.whole[i] == moment

    @property
    def first_at(self) -> datetime:
        """When it was first known."""
        return self._times[0]


class Run(NamedTuple):
    """One price and how many looks said it."""

    price: Decimal
    since: datetime
    looks: int


def _differs(before: Entry, after: Entry) -> bool:
    return (before.price, before.currency) != (after.price, after.currency)


def median(runs: Iterable[Run]) -> Decimal | None:
    """Return the median price over looks: every look counts alike."""
    ranked = sorted(runs)
    total = sum(run.looks for run in ranked)
    if not total:
        return None
    return (_ranked(ranked, (total - 1) // 2) + _ranked(ranked, total // 2)) / 2


def _ranked(runs: Sequence[Run], place: int) -> Decimal:
    for run in runs:
        place -= run.looks
        if place < 0:
            return run.price
    raise IndexError(place)


def outside_band(series: Series, entry: Entry) -> str | None:
    """Say why a price can not be true of its GPU; None when it can, or nobody can say."""
    gpu = gpus().get(series.gpu)
    if gpu is None or entry.price is None or entry.currency != "USD":
        return None
    low, high = gpu.band_usd_gpu_hour
    usd_gpu_hour = entry.price / series.gpu_count
    if low <= usd_gpu_hour <= high:
        return None
    return f"{usd_gpu_hour:.4f} USD per GPU-hour is outside {low}–{high} for {gpu.id}"
