"""What a collection hands to the tape: one scan, and what it listed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from gputape.store.offer import Offer, Origin, SeriesKey

OK = "ok"
UNCHANGED = "unchanged"
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """One line of the archive's index: which bytes answered which request."""

    method: str
    url: str
    status: int
    fetched_at: datetime
    etag: str | None
    last_modified: str | None
    sha256: str
    bytes: int
    context: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One attempt at one part of a provider."""

    run_id: int
    provider: str
    part: str
    started_at: datetime
    finished_at: datetime
    observed_at: datetime
    """When the newest of its own pages was fetched; `started_at` when there is none."""
    status: str
    sentence: str | None = None
    quotes: int = 0
    parser_revision: int
    normaliser: str
    next_effective_at: datetime | None = None
    origin: Origin = Origin.LIVE
    stands_s: int | None = None
    """How long its prices stand unseen, in seconds: twice the cadence of its source."""
    complete: bool = True
    """False when what it does not list may still be sold."""
    corrects: int | None = None
    """The scan whose bytes it read anew."""
    source: str | None = None
    """Who kept it when it was imported."""
    pages: tuple[PageRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A quote that could not become an offer, whole, with the reason."""

    key: SeriesKey
    reason: str
    sentence: str
    quote_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionRow:
    """How often a spot sku is taken back in a region: percent of instances in a month."""

    sku: str
    region: str
    low_percent: int
    high_percent: int
    saving_percent: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """What one unit of a currency was worth on a day, in US dollars."""

    day: date
    currency: str
    usd_per_unit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """What a million hosted tokens of a model cost; `store/tokenlog.py` keeps this order."""

    model: str
    host: str | None
    """Who serves it; None when the list does not say."""
    price_in: Decimal
    price_out: Decimal
    price_cached: Decimal | None
    currency: str
    context: int | None
    tier_from: int | None
    """Input tokens of a request from which another price holds; None when one price holds."""
    hub_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything one complete scan listed."""

    offers: Sequence[Offer] = ()
    rejects: Sequence[Reject] = ()
    interruptions: Sequence[InterruptionRow] = ()
    rates: Sequence[RateRow] = ()
    tokens: Sequence[TokenRow] = ()


@dataclass(slots=True)
class Counts:
    """What a scan came to, as the scan log keeps it."""

    offers: int = 0
    rejects: int = 0
    suspects: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class LastScan:
    """What the tape remembers of a part: enough to know that nothing has changed."""

    observed_at: datetime
    pages: tuple[PageRow, ...]
    parser_revision: int
    normaliser: str
    next_effective_at: datetime | None
    quotes: int
    pending: int = 0
    """Prices held back until a second fetch agrees: the part must be read again."""
    scan_id: int | None = None

    @property
    def hashes(self) -> tuple[str, ...]:
        """The bodies it read, in order."""
        return tuple(page.sha256 for page in self.pages)


@dataclass(frozen=True, slots=True)
class Answer:
    """The last whole answer of an address: what a conditional request needs."""

    etag: str | None
    last_modified: str | None
    sha256: str
    bytes: int
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the tape knew when a collection began; safe to share between threads."""

    parts: dict[tuple[str, str], LastScan] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    """By (method, url)."""
