"""Hosted token prices of a model, and the volume from which a node of one's own is cheaper.

Two sources, each named on its prices: what the tape holds (`scrapers/openrouter.py`: dated, and
opens to its bytes), and genai-prices (MIT), a table that people keep by hand and a library brings
along: undated, the default of a tape that never looked. Only text; free and batch prices drop out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.workload.models import VARIANT, Model, find
from gputape.store.errors import BadInput

if TYPE_CHECKING:
    import duckdb

SECONDS_DAY = 86_400
MILLION = 1_000_000
# how hosts spell what they serve: words of theirs before and after a model's own name
VENDOR = re.compile(
    r"^(?:(?:us|eu|apac|global|regional)\.)?"
    r"(?:meta|mistral|openai|qwen|minimax|moonshot)\.|^databricks-|^meta-"
)
SERVED = re.compile(
    r"-(turbo|versatile|instant|specdec|lite|fast|maas|preview|tput|thinking|hf|latest|v?\d:\d)$"
)
LEAST_LETTERS = 4  # "r1" alone, as in r1-1776, is not a name
LISTED = """
select coalesce(host, provider), model, hub_id, usd_per_million_input, usd_per_million_output,
    usd_per_million_cached_input, context, tier_from, provider, last_seen, stale
from tokens_at($as_of::timestamptz)
where usd_per_million_input is not null and usd_per_million_output is not null
"""
REJECTED = """
select any_value(provider), any_value(sku), any_value(reason),
    max_by(quote, moment(seen_at, scan_id))->>'hub_id'
from reject
where provider in (select distinct provider from token_price) and seen_at <= $as_of::timestamptz
group by reject_key having max_by(present, moment(seen_at, scan_id))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPrice:
    """What one host takes for a million tokens of a model, in US dollars before tax."""

    host: str
    """Who serves it, or who lists it when the list does not say."""
    model: str
    """As they call it; the shape may be served quantised."""
    usd_per_million_input: Decimal
    usd_per_million_output: Decimal
    usd_per_million_cached_input: Decimal | None = None
    context: int | None = None
    tier_from: int | None = None
    """Input tokens of a request from which a dearer price holds; None when none is known."""
    source: str
    """`openrouter`, or `genai-prices 0.2.3`."""
    observed_at: datetime | None = None
    """When it was last seen; None for a table without dates."""
    stale: bool = False

    def usd_per_million(self, tokens_in: float, tokens_out: float) -> Decimal:
        """Return the price of a million tokens mixed as `tokens_in` to `tokens_out`."""
        share = _share_in(tokens_in, tokens_out)
        return share * self.usd_per_million_input + (1 - share) * self.usd_per_million_output

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago it was seen; None when nobody said when."""
        return None if self.observed_at is None else now - self.observed_at


@dataclass(frozen=True, slots=True)
class Dropped:
    """A listed price that is none to compare with, and why: zero, no_price, batch, …."""

    source: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hosted:
    """The hosted prices of a model, and what was left out."""

    prices: tuple[HostedPrice, ...]
    dropped: tuple[Dropped, ...]

    @property
    def left_out(self) -> dict[str, int]:
        """How many were dropped for each reason."""
        return dict(Counter(dropped.reason for dropped in self.dropped))


def hosted(con: "duckdb.DuckDBPyConnection | None", model: Model, as_of: datetime) -> Hosted:
    """Return what hosts take for a model's shape at a moment, and what was dropped.

    `con` is a tape, or None for the embedded table alone. Of a list that the tape holds, the
    table's copy is not taken.
    """
    prices: list[HostedPrice] = []
    dropped: list[Dropped] = []
    own: set[str] = set()
    if con is not None:
        own = {p for (p,) in con.execute("select distinct provider from token_price").fetchall()}
        _sort(_of_tape(con, model, as_of), prices, dropped)
    _sort(_of_table(model, as_of, own), prices, dropped)
    return Hosted(tuple(prices), tuple(dropped))


def hosted_prices(
    con: "duckdb.DuckDBPyConnection | None", model: Model, as_of: datetime
) -> list[HostedPrice]:
    """Return the prices of `hosted`: those of the tape first, then the embedded table's."""
    return list(hosted(con, model, as_of).prices)


def cheapest(
    prices: Sequence[HostedPrice], tokens_in: float, tokens_out: float
) -> HostedPrice | None:
    """Return the cheapest host at a mix of tokens, None when there is none.

    A price seen lately beats one that is stale or undated, which may be long gone.
    """
    fresh = [price for price in prices if price.observed_at and not price.stale]
    return min(
        fresh or prices,
        key=lambda price: (price.usd_per_million(tokens_in, tokens_out), price.host, price.model),
        default=None,
    )


# -- break-even -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which volume a node of one's own costs less than a hosted price."""

    tokens_day: Decimal
    tokens_s: Decimal
    """The same as an average rate."""
    share_of_capacity: Decimal
    """Of what the node can do; above 1 the hosted price stays cheaper however much is asked."""

    @property
    def reachable(self) -> bool:
        """Whether the node can do so much."""
        return self.share_of_capacity <= 1


def break_even(
    node_usd_hour: Decimal, tokens_s_capacity: float, usd_per_million: Decimal
) -> BreakEven:
    """Return the tokens a day at which a node costs what a host would take for them.

    node $/day / (hosted $/million) · 1e6: eight H100 at $2.50 are $480 a day, against $0.60
    0.8 billion tokens (`HostedPrice.usd_per_million` of the same mix). `tokens_s_capacity`
    counts the tokens that the price counts: input and output together for a mixed price.
    """
    if node_usd_hour <= 0 or usd_per_million <= 0 or not tokens_s_capacity > 0:
        raise BadInput("a break-even needs a node's price, its tokens/s and a hosted price above 0")
    tokens_day = node_usd_hour * 24 / usd_per_million * MILLION
    tokens_s = tokens_day / SECONDS_DAY
    return BreakEven(
        tokens_day=tokens_day,
        tokens_s=tokens_s,
        share_of_capacity=tokens_s / Decimal(str(tokens_s_capacity)),
    )


def _share_in(tokens_in: float, tokens_out: float) -> Decimal:
    if not (tokens_in >= 0 and tokens_out >= 0 and tokens_in + tokens_out > 0):
        raise BadInput(f"{tokens_in:g} tokens in to {tokens_out:g} out is no mix: write 3 and 1")
    given, taken = Decimal(str(tokens_in)), Decimal(str(tokens_out))
    return given / (given + taken)


# -- which model is meant -------------------------------------------------------------------


def shape_of(name: str, hub_id: str | None = None) -> Model | None:
    """Return the shape that a host's name means, or None; the weights' Hub id counts first."""
    if hub_id and (found := find(hub_id)):
        return found
    short = _cleaned(name)
    return find(short) if len(re.sub(r"[^a-z0-9]", "", short)) >= LEAST_LETTERS else None


def _is(found: Model | None, model: Model) -> bool:
    return found is not None and found.id == model.id


def _cleaned(name: str) -> str:
    """Take away what is the host's: `meta.llama3-1-8b-instruct-v1:0` is llama3-1-8b."""
    short = VENDOR.sub("", name.strip().casefold().rsplit("/", 1)[-1])
    short = VENDOR.sub("", short).replace("qwen-", "qwen").replace("deepseek.", "deepseek-")
    short = re.sub(r"(?<=\d)p(?=\d)", ".", re.sub(r"v(?=\dp\d)", "", short))
    short = re.sub(r":[a-z]\w*$", "", short)
    while short != (cut := SERVED.sub("", VARIANT.sub("", short))):
        short = cut
    return short


# -- the two sources ------------------------------------------------------------------------

Found = HostedPrice | Dropped


def _sort(found: Iterator[Found], prices: list[HostedPrice], dropped: list[Dropped]) -> None:
    for one in found:
        if isinstance(one, Dropped):
            dropped.append(one)
        elif reason := _variant(one.model):
            dropped.append(Dropped(one.source, one.model, reason))
        else:
            prices.append(one)


def _variant(model: str) -> str | None:
    """Return why a variant is no price of an online service: half of it for a day's wait, or 0."""
    return {"batch": "batch", "free": "zero"}.get(model.rpartition(":")[2])


def _of_tape(con: "duckdb.DuckDBPyConnection", model: Model, as_of: datetime) -> Iterator[Found]:
    words = {"as_of": as_of}
    for host, name, hub_id, usd_in, usd_out, cached, *rest in con.execute(LISTED, words).fetchall():
        if _is(shape_of(name, hub_id), model):
            context, tier_from, source, last_seen, stale = rest
            yield HostedPrice(
                host=host,
                model=name,
                usd_per_million_input=usd_in,
                usd_per_million_output=usd_out,
                usd_per_million_cached_input=cached,
                context=context,
                tier_from=tier_from,
                source=source,
                observed_at=last_seen,
                stale=stale,
            )
    for source, name, reason, hub_id in con.execute(REJECTED, words).fetchall():
        if _is(shape_of(name, hub_id), model):
            yield Dropped(source, name, reason)


def _of_table(model: Model, as_of: datetime, own: set[str]) -> Iterator[Found]:
    """Yield what genai-prices knows; it takes 0.3 s to import, of which 0.05 s are the prices."""
    from importlib.metadata import version  # noqa: PLC0415  # with the library it speaks of

    from genai_prices.data import providers  # noqa: PLC0415  # see above

    source = f"genai-prices {version('genai-prices')}"
    for provider in providers:
        if provider.id not in own:
            for listed in provider.models:
                if _is(shape_of(listed.id), model):
                    yield _priced(source, provider.id, listed, as_of)


def _priced(source: str, host: str, listed: Any, as_of: datetime) -> Found:
    prices = listed.get_prices(as_of)
    usd_in, usd_out, cached = (
        _base(getattr(prices, name, None)) for name in ("input_mtok", "output_mtok",
                                                        "cache_read_mtok")
    )  # fmt: skip
    if listed.deprecated or usd_in is None or usd_out is None or usd_in <= 0 or usd_out <= 0:
        reason = "deprecated" if listed.deprecated else _variant(listed.id)
        return Dropped(source, listed.id, reason or ("zero" if usd_in == 0 else "no_price"))
    return HostedPrice(
        host=host,
        model=listed.id,
        usd_per_million_input=usd_in,
        usd_per_million_output=usd_out,
        usd_per_million_cached_input=cached or None,
        context=listed.context_window,
        tier_from=_first_tier(getattr(prices, "input_mtok", None)),
        source=source,
    )


def _base(price: Any) -> Decimal | None:
    """Return the price of a short request; long ones have tiers of their own."""
    base = getattr(price, "base", price)
    return None if base is None else Decimal(base)


def _first_tier(price: Any) -> int | None:
    return min((int(tier.start) for tier in getattr(price, "tiers", ())), default=None)
