"""How far sellers of the same thing are apart: like for like, each seller's best.

Like is the same GPU, option, tier and term. A derived price, a fraction of a GPU, a doubted price
or an imported table's on another day is no seller's best. What sellers differ in beside the price
is named, for it explains a part of the distance and perhaps all of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from gputape.analysis.closes import Closes, Day, days
from gputape.store.literal import filled
from gputape.store.offer import half_up

if TYPE_CHECKING:
    import duckdb

FLAGGED, LOUD = Decimal("1.5"), Decimal(3)  # times the cheapest: worth a look, worth a call
FEWEST = 5  # sellers, for an average that says anything
NEARLY, STRONGER = Decimal("1.15"), Decimal("1.5")
"""A GPU is dear when its seller's own stronger one (so many times its peak) costs hardly more."""


class Kind(NamedTuple):
    """What is compared: only prices of one kind are alike."""

    gpu: str
    option: str
    tier: str | None
    term_months: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """A seller's cheapest price of one kind, USD per GPU-hour, and what comes with it."""

    provider: str
    usd_gpu_hour: Decimal
    sku: str
    region: str
    gpu_count: Decimal
    payment: str | None = None
    market: str = "list"
    relay: str | None = None
    source: str | None = None
    last_seen: datetime
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """All sellers of one kind, each with its best, cheapest first; two at least."""

    kind: Kind
    bests: tuple[Best, ...]

    @property
    def gpu(self) -> str:
        """The canonical id."""
        return self.kind.gpu

    @property
    def option(self) -> str:
        """How the hour is bought."""
        return self.kind.option

    @property
    def sellers(self) -> int:
        """How many."""
        return len(self.bests)

    @property
    def low_usd_gpu_hour(self) -> Decimal:
        """The cheapest seller's price."""
        return self.bests[0].usd_gpu_hour

    @property
    def low_provider(self) -> str:
        """The cheapest seller."""
        return self.bests[0].provider

    @property
    def high_usd_gpu_hour(self) -> Decimal:
        """The dearest seller's price."""
        return self.bests[-1].usd_gpu_hour

    @property
    def high_provider(self) -> str:
        """The dearest seller."""
        return self.bests[-1].provider

    @property
    def ratio(self) -> Decimal:
        """Dearest / cheapest."""
        return self.high_usd_gpu_hour / self.low_usd_gpu_hour

    @property
    def flag(self) -> str | None:
        """`flagged` from 1.5 times, `loud` from 3 times; None below."""
        return flag(self.ratio)

    def average(self, fewest: int = FEWEST) -> Decimal | None:
        """Return the mean of the sellers' best to the cent, half-up; None below `fewest`."""
        if self.sellers < fewest:
            return None
        return half_up(sum((b.usd_gpu_hour for b in self.bests), Decimal()) / self.sellers, 2)


def flag(ratio: Decimal) -> str | None:
    """Return how a ratio of prices is to be taken, on what a person reads: two places."""
    shown = half_up(ratio, 2)
    return "loud" if shown >= LOUD else "flagged" if shown >= FLAGGED else None


BESTS = """
select gpu, option, tier, term_months, provider, usd_gpu_hour, sku, region, gpu_count, payment,
    coalesce(market, 'list') as market, relay, source, last_seen, stale
from {offers}
where state = 'firm' and derived is null and gpu_count >= 1 and usd_gpu_hour is not null
    and not ((origin = 'import' or source is not null) and stale)
    and option = coalesce($option, option)
-- its own word before what others say of it
qualify row_number() over (
    partition by gpu, option, tier, term_months, provider
    order by relay is not null or source is not null, usd_gpu_hour, region, sku, gpu_count,
        series_id) = 1
order by gpu, option, term_months nulls first, tier nulls first, usd_gpu_hour, provider
"""


def bests(
    con: "duckdb.DuckDBPyConnection", as_of: datetime, *,
    gpus: frozenset[str] | None = None, option: str | None = None,
) -> dict[Kind, tuple[Best, ...]]:  # fmt: skip
    """Return every seller's best of every kind at a moment, cheapest first; one question."""
    sql = BESTS.format(offers="offers_of($gpus, $at)")
    values = {"at": as_of, "gpus": None if gpus is None else sorted(gpus), "option": option}
    found: dict[Kind, list[Best]] = defaultdict(list)
    for row in con.execute(filled(sql, values)).fetchall():
        found[Kind(*row[:4])].append(_best(row[4:]))
    return {kind: tuple(sellers) for kind, sellers in found.items()}


def _best(row: Sequence[Any]) -> Best:
    names = ("provider", "usd_gpu_hour", "sku", "region", "gpu_count", "payment", "market",
             "relay", "source", "last_seen", "stale")  # fmt: skip
    return Best(**dict(zip(names, row, strict=True)))


def spreads(found: dict[Kind, tuple[Best, ...]]) -> list[Spread]:
    """Return the kinds that two sellers sell, widest first."""
    wide = [Spread(kind, sellers) for kind, sellers in found.items() if len(sellers) > 1]
    return sorted(wide, key=lambda s: (-s.ratio, s.gpu, s.option))


def spread(
    con: "duckdb.DuckDBPyConnection", gpu: str, option: str, as_of: datetime
) -> Spread | None:
    """Return the spread of one GPU and plain option at a moment, or None below two sellers."""
    found = bests(con, as_of, gpus=frozenset({gpu}), option=option)
    sellers = found.get(Kind(gpu, option, None, None), ())
    return Spread(Kind(gpu, option, None, None), sellers) if len(sellers) > 1 else None


# -- what explains it ---------------------------------------------------------------------------


def differences(found: Spread) -> list[str]:
    """Say what else the cheapest and the dearest differ in, and what nobody publishes."""
    low, high = found.bests[0], found.bests[-1]
    said = [
        *_unlike("node", _gpus(low), _gpus(high)),
        *_unlike("region", low.region, high.region),
        *_unlike("market", low.market, high.market),
        *_unlike("paid upfront", low.payment or "nothing", high.payment or "nothing"),
        *(f"{b.provider} as printed by {b.relay or b.source}" for b in (low, high)
          if b.relay or b.source),
        *_ages(low, high),
    ]  # fmt: skip
    return [*said, *_form(found.gpu), "network between nodes: not in price lists"]


def _gpus(best: Best) -> str:
    return f"{best.gpu_count.normalize():f} GPU{'s' if best.gpu_count > 1 else ''}"


def _unlike(what: str, low: str, high: str) -> list[str]:
    return [] if low == high else [f"{what}: {low} against {high}"]


def _ages(low: Best, high: Best) -> list[str]:
    apart = abs(low.last_seen - high.last_seen)
    stale = [f"{best.provider} not seen since {best.last_seen:%Y-%m-%d %H:%M}"
             for best in (low, high) if best.stale]  # fmt: skip
    if apart < timedelta(hours=24) or stale:
        return stale
    return [f"age: seen {apart.days} day{'s' if apart.days > 1 else ''} apart"]


def _form(gpu: str) -> list[str]:
    from gputape.store.gpus import gpus  # noqa: PLC0415  # 18 ms of TOML

    facts = gpus().get(gpu)
    if facts is None:
        return []
    if facts.either:
        return [f"form factor not stated: {' or '.join(facts.either)}"]
    return [f"links inside a node, as its maker says: {facts.scaleup_gb_s.normalize():f} GB/s"
            ] if facts.scaleup_gb_s else []  # fmt: skip


# -- inside one seller --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A GPU that costs nearly what its seller asks for a much stronger one."""

    kind: Kind
    best: Best
    stronger: str
    stronger_best: Best

    @property
    def ratio(self) -> Decimal:
        """The stronger one's price / this one's: below 1 the stronger one is the cheaper."""
        return self.stronger_best.usd_gpu_hour / self.best.usd_gpu_hour


def anomalies(found: dict[Kind, tuple[Best, ...]]) -> Iterator[Anomaly]:
    """Yield a seller's GPUs whose price its own stronger ones do not explain, cheapest of each.

    Stronger: of the same maker, so that the same programs run, 1.5 times the dense 16-bit peak at
    least, and no less memory. Nearly: its price is below 1.15 times this one's.
    """
    by_seller: dict[tuple[object, ...], dict[str, Best]] = defaultdict(dict)
    for kind, sellers in found.items():
        for best in sellers:
            by_seller[(*kind[1:], best.provider)][kind.gpu] = best
    for (option, tier, term, _), sold in by_seller.items():
        for gpu, best in sold.items():
            stronger = [(sold[s].usd_gpu_hour, s) for s in sold if _is_stronger(s, gpu)]
            if stronger and (cheapest := min(stronger))[0] < NEARLY * best.usd_gpu_hour:
                kind = Kind(gpu, str(option), tier, term)  # type: ignore[arg-type]  # as grouped
                yield Anomaly(kind, best, cheapest[1], sold[cheapest[1]])


def stronger(gpus: frozenset[str]) -> frozenset[str]:
    """Return the GPUs that are stronger than one of these."""
    from gputape.store.gpus import gpus as known  # noqa: PLC0415  # 18 ms of TOML

    return frozenset(one for one in known() for other in gpus if _is_stronger(one, other))


def _is_stronger(one: str, other: str) -> bool:
    from gputape.store.gpus import gpus  # noqa: PLC0415  # 18 ms of TOML

    a, b = gpus().get(one), gpus().get(other)
    if not a or not b or a.vendor != b.vendor or a.memory_gib < b.memory_gib:
        return False
    # cards before Ampere know no BF16: their FP16 peak is of the same tensor cores
    peaks = (a.bf16_tflops or a.fp16_tflops, b.bf16_tflops or b.fp16_tflops)
    return bool(peaks[0] and peaks[1] and peaks[0] >= STRONGER * peaks[1])


def beside(
    found: dict[Kind, tuple[Best, ...]], gpu: str, other: str
) -> list[tuple[Kind, Best, Best]]:
    """Return, for each seller and kind of both GPUs, its best of the one and of the other."""
    pairs = [
        (kind, one, two)
        for kind, sellers in found.items() if kind.gpu == gpu
        for one in sellers
        for two in found.get(kind._replace(gpu=other), ()) if two.provider == one.provider
    ]  # fmt: skip
    return sorted(pairs, key=lambda p: (p[0].option, p[0].term_months or 0, p[1].provider))


# -- how it went --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpreadDay:
    """A kind's spread at the end of a day."""

    day: date
    kind: Kind
    sellers: int
    low_usd_gpu_hour: Decimal
    low_provider: str
    high_usd_gpu_hour: Decimal
    high_provider: str

    @property
    def ratio(self) -> Decimal:
        """Dearest / cheapest."""
        return self.high_usd_gpu_hour / self.low_usd_gpu_hour


def spread_history(
    con: "duckdb.DuckDBPyConnection", gpus: frozenset[str], option: str | None,
    first: date, last: date, now: datetime,
) -> Iterator[SpreadDay]:  # fmt: skip
    """Yield the spread of each kind on each day that two sellers had it."""
    asked = Closes(gpus=gpus, option=option, any_tier=True)
    for day in days(con, asked, first, last, now):
        yield from _of(day)


def _of(day: Day) -> Iterator[SpreadDay]:
    for kind, best in sorted(_bests_of(day).items(), key=lambda pair: str(pair[0])):
        ranked = sorted((price, provider) for provider, (_, price) in best.items())
        if len(ranked) > 1:
            (low, cheapest), (high, dearest) = ranked[0], ranked[-1]
            yield SpreadDay(day.day, kind, len(ranked), low, cheapest, high, dearest)


def _bests_of(day: Day) -> dict[Kind, dict[str, tuple[bool, Decimal]]]:
    found: dict[Kind, dict[str, tuple[bool, Decimal]]] = defaultdict(dict)
    for standing in day.standing:
        s, price = standing.series, standing.usd_gpu_hour
        if price is not None:
            sellers = found[Kind(s.gpu, s.option, s.tier, s.term_months)]
            offer = (bool(s.relay or s.source), price)
            sellers[s.provider] = min(offer, sellers.get(s.provider, offer))
    return found
