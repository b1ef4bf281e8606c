"""What they say becomes what we say: the one judge for every provider.

Quote in, `Offer` or `Reject` out; nothing raises, nothing is lost. Identity comes from data
(`store/gpus.toml`, `store/instances/`), units from `HOURS_PER_MONTH`, and a price that can
not be true is held back as suspect rather than believed or thrown away.

| reason           | the quote …                                              |
|------------------|----------------------------------------------------------|
| no_price         | says that there is none: "Contact sales", N/A, —, empty   |
| zero             | says 0 or less, which is never a price                    |
| unreadable       | has a figure that is no number, or a field of another type |
| unknown_gpu      | spells an accelerator that no alias knows                 |
| unknown_instance | names a type that the instance facts do not know          |
| not_in_force     | starts later, or is over                                  |
| currency         | does not say a currency as three letters, or prints another |
| no_term          | is a commitment without a term                            |
| impossible       | has a figure beyond anything that is sold                 |

Anything else that goes wrong with a quote is `unreadable` too.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from statistics import median

from gputape.scrapers import money
from gputape.scrapers.quote import Figure, Of, Per, Quote
from gputape.store.gpus import Gpu, gpus, resolve, suggestion
from gputape.store.instances import Instance, instance
from gputape.store.offer import HOURS_PER_MONTH, PRICE_STEP, Offer, Option, SeriesKey
from gputape.store.scan import Reject

REVISION = 1  # rises when the same quote is judged differently
MAX_USD_HOUR = Decimal(1_000_000)  # a whole GB300 rack is under 2,000
MIN_GPUS, MAX_GPUS = Decimal("0.001"), Decimal(100_000)
MAX_TERM_MONTHS = 120
OUTLIER_RATIO = 3  # list prices of one sku differ up to 2x between a cloud's regions
OUTLIER_REGIONS = 2
UNITS = {Per.HOUR: money.HOUR, Per.MONTH: money.MONTH, Per.TERM: money.NO_UNIT}
TEXTS = ("zone", "tier", "payment", "gpu", "derived", "relay", "source_sku")


@dataclass(slots=True)
class Verdict:
    """What one part came to."""

    offers: list[Offer] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    next_effective_at: datetime | None = None
    """When the same bytes will mean something else, because a dated price starts or ends."""


class Rejected(Exception):
    """Why one quote can not become an offer."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def normalise(
    provider: str, quotes: Iterable[Quote], observed_at: datetime, source: str | None = None
) -> Verdict:
    """Judge every quote of one part as of the moment its bytes were fetched.

    `source` is who kept them, when it was not the provider that printed them.
    """
    verdict = Verdict()
    found: dict[SeriesKey, list[Offer]] = {}
    for quote in quotes:
        key = _key(provider, quote, source)
        try:
            _check_types(quote)
            _note_dates(verdict, quote, observed_at)
            offer = _offer(key, quote, observed_at)
        except Rejected as no:
            verdict.rejects.append(_reject(key, quote, no))
        except Exception as error:  # noqa: BLE001  # one quote is never worth the others
            fault = Rejected("unreadable", f"{type(error).__name__}: {error}")
            verdict.rejects.append(_reject(key, quote, fault))
        else:
            found.setdefault(key, []).append(offer)
    verdict.offers = _doubt_outliers([_settle(offers) for offers in found.values()])
    return verdict


def _reject(key: SeriesKey, quote: Quote, no: Rejected) -> Reject:
    return Reject(
        key=key,
        reason=no.reason,
        sentence=_text(no.sentence) or "",
        quote_json=_as_json(quote),
    )


def _offer(key: SeriesKey, quote: Quote, observed_at: datetime) -> Offer:
    if (
        not (quote.valid_from or observed_at)
        <= observed_at
        < (quote.valid_to or _after(observed_at))
    ):
        raise Rejected("not_in_force", f"valid from {quote.valid_from} to {quote.valid_to}")
    _check_term(key)
    facts = instance(key.provider, key.sku) if quote.gpu is None else None
    gpu = _gpu(key.provider, quote, facts)
    count = _count(quote, facts)
    price, upfront = _price(quote, count)
    currency = _currency(quote)
    return Offer(
        key=key,
        gpu=gpu.id,
        gpu_count=count,
        price=price,
        currency=currency,
        upfront=upfront,
        vcpus=facts.vcpus if facts else _count_of(quote.vcpus),
        memory_gib=facts.memory_gib if facts else _count_of(quote.memory_gib),
        available=quote.available,
        derived=_text(quote.derived),
        relay=_text(quote.relay),
        source_sku=_text(quote.source_sku),
        suspect=_outside_band(gpu, price / count) if currency == "USD" else None,
    )


# -- identity -----------------------------------------------------------------------------------


def _key(provider: str, quote: Quote, source: str | None) -> SeriesKey:
    return SeriesKey(
        provider=provider,
        sku=_text(quote.sku) or "?",
        region=_text(quote.region) or "global",
        zone=_text(quote.zone),
        option=quote.option if isinstance(quote.option, Option) else Option.ON_DEMAND,
        tier=_text(quote.tier),
        term_months=_small(quote.term_months),
        payment=_text(quote.payment),
        source=source,
    )


def _gpu(provider: str, quote: Quote, facts: Instance | None) -> Gpu:
    if facts:
        return gpus()[facts.gpu]
    if quote.gpu is None:
        raise Rejected(
            "unknown_instance",
            f"{quote.sku} is not among the instance facts: add to store/instances/{provider}.toml "
            f'`"{quote.sku}" = {{ gpu = "…", gpu_count = … }}`',
        )
    memory = _count_of(quote.gpu_memory_gib)
    gpu = resolve(quote.gpu, memory, provider)
    if gpu is None:
        raise Rejected("unknown_gpu", suggestion(quote.gpu, memory))
    return gpu


def _count(quote: Quote, facts: Instance | None) -> Decimal:
    count = facts.gpu_count if facts else _count_of(quote.gpu_count)
    if count is None:
        count = Decimal(1)
    if not MIN_GPUS <= count <= MAX_GPUS:
        raise Rejected("impossible", f"{count} GPUs in one sku")
    return count


# -- money --------------------------------------------------------------------------------------


def _price(quote: Quote, count: Decimal) -> tuple[Decimal, Decimal | None]:
    """Return the whole sku's effective hourly price and its upfront part, native currency.

    Effective hourly = recurring + upfront / hours of the term (8,760 h a year).
    """
    recurring = _read(quote.price, UNITS[quote.per])
    upfront = _read(quote.upfront, money.NO_UNIT)
    if recurring is None and not upfront:
        raise Rejected("no_price", f"says {quote.price!r}")
    hours = Decimal(HOURS_PER_MONTH * (quote.term_months or 0))
    price = (recurring or Decimal(0)) / _hours(quote.per, hours)
    if upfront and not hours:
        raise Rejected("no_term", f"{upfront} upfront for no stated term")
    price += (upfront or 0) / hours if hours else 0
    if quote.of is Of.GPU:
        price, upfront = price * count, upfront and upfront * count
    price = price.quantize(Decimal("1e-9"))
    if price < PRICE_STEP:
        raise Rejected("zero", f"a price of {quote.price} is no price")
    if price > MAX_USD_HOUR or (upfront or 0) > MAX_USD_HOUR * 1000:
        raise Rejected("impossible", f"{price} an hour is beyond anything that is sold")
    return price, upfront or None


def _hours(per: Per, term_hours: Decimal) -> Decimal:
    if per is Per.HOUR:
        return Decimal(1)
    if per is Per.MONTH:
        return Decimal(HOURS_PER_MONTH)
    if not term_hours:
        raise Rejected("no_term", "priced for its whole term, which it does not state")
    return term_hours


def _read(value: Figure, units: Collection[str]) -> Decimal | None:
    try:
        return money.figure(value, units)
    except money.Unreadable as error:
        raise Rejected("unreadable", str(error)) from None


def _count_of(value: Figure) -> Decimal | None:
    try:
        return money.count(value)
    except money.Unreadable as error:
        raise Rejected("unreadable", str(error)) from None


def _currency(quote: Quote) -> str:
    word = quote.currency
    if not (len(word) == 3 and word.isascii() and word.isupper()):
        raise Rejected("currency", f"{word!r} is no currency")
    for value in (quote.price, quote.upfront):
        if printed := money.contradicts(value, word):
            raise Rejected("currency", f"{value!r} prints {printed}, which is not {word}")
    return word


def _check_term(key: SeriesKey) -> None:
    months = key.term_months
    if key.option is Option.RESERVED and not months:
        raise Rejected("no_term", "reserved, but for how long is not said")
    if months is not None and not 0 < months <= MAX_TERM_MONTHS:
        raise Rejected("impossible", f"a term of {months} months")


# -- plausibility -------------------------------------------------------------------------------


def _outside_band(gpu: Gpu, usd_gpu_hour: Decimal) -> str | None:
    low, high = gpu.band_usd_gpu_hour
    if low <= usd_gpu_hour <= high:
        return None
    return f"{usd_gpu_hour:.4f} USD per GPU-hour is outside {low}–{high} for {gpu.id}"


def _settle(offers: Sequence[Offer]) -> Offer:
    """Return one offer for one series; two different prices for it are a doubt, not a choice.

    The dearer one is kept, so that a doubtful row never looks cheap.
    """
    dearest = max(offers, key=lambda offer: offer.price)
    cheapest = min(offers, key=lambda offer: offer.price)
    if dearest.price - cheapest.price < PRICE_STEP:
        return offers[0]
    return replace(
        dearest, suspect=f"two prices for one series: {cheapest.price} and {dearest.price}"
    )


def _doubt_outliers(offers: list[Offer]) -> list[Offer]:
    """Doubt a list price far from what the same sku costs in the part's other regions.

    Seen: a relay printed a3-megagpu-8g at 10.12 an hour in one region, a GPU price missing,
    and near 90 in the others. Spot prices do differ that much.
    """
    elsewhere: dict[tuple[object, ...], list[Decimal]] = {}
    for offer in offers:
        elsewhere.setdefault(_like(offer), []).append(offer.price)
    usual = {
        like: median(prices) for like, prices in elsewhere.items() if len(prices) >= OUTLIER_REGIONS
    }
    return [_doubt(offer, usual.get(_like(offer))) for offer in offers]


def _like(offer: Offer) -> tuple[object, ...]:
    key = offer.key
    return (key.sku, key.option, key.tier, key.term_months, key.payment, offer.currency)


def _doubt(offer: Offer, usual: Decimal | None) -> Offer:
    if usual is None or offer.suspect or offer.key.option is Option.SPOT:
        return offer
    if usual / OUTLIER_RATIO <= offer.price <= usual * OUTLIER_RATIO:
        return offer
    return replace(offer, suspect=f"{offer.price} here, {usual} in the middle of its regions")


def _note_dates(verdict: Verdict, quote: Quote, observed_at: datetime) -> None:
    for date in (quote.valid_from, quote.valid_to):
        if date and date > observed_at:
            verdict.next_effective_at = min(verdict.next_effective_at or date, date)


# -- types: an adapter reports what it found, and a document can hold anything -------------------


def _check_types(quote: Quote) -> None:
    """Reject a field of a type that it does not have; figures are `money`'s to judge."""
    expected: list[tuple[type, tuple[str, ...]]] = [
        (str, ("sku", "region", "currency")), (Option, ("option",)), (Per, ("per",)), (Of, ("of",)),
    ]  # fmt: skip
    if_there: list[tuple[type, tuple[str, ...]]] = [
        (str, TEXTS), (int, ("term_months",)), (bool, ("available",)),
        (datetime, ("valid_from", "valid_to")),
    ]  # fmt: skip
    for kind, names in expected:
        _check_kind(quote, kind, names)
    for kind, names in if_there:
        _check_kind(quote, kind, [name for name in names if getattr(quote, name) is not None])
    for moment in (quote.valid_from, quote.valid_to):
        if moment and moment.tzinfo is None:
            raise Rejected("unreadable", f"{moment} is a time without a zone")


def _check_kind(quote: Quote, kind: type, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(quote, name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Rejected("unreadable", f"a {name} is no {type(value).__name__}")


# -- words --------------------------------------------------------------------------------------


def _after(moment: datetime) -> datetime:
    return datetime.max.replace(tzinfo=moment.tzinfo)


def _text(value: object) -> str | None:
    """Return a value as clean text, or None when it is empty."""
    if value is None:
        return None
    return clean(_word(value)).strip() or None


def clean(text: str) -> str:
    """Return text that a database takes: a lone surrogate or NUL becomes `?`."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _word(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # an int of 5,000 digits, an object of somebody's own
        return type(value).__name__


def _small(months: object) -> int | None:
    return max(-1, min(months, 32_767)) if isinstance(months, int) else None


def _as_json(quote: Quote) -> str:
    said = {known.name: getattr(quote, known.name) for known in fields(quote)}
    words = {
        name: value if isinstance(value, bool) or _is_small(value) else _word(value)
        for name, value in said.items()
        if value is not None
    }
    return _text(json.dumps(words, ensure_ascii=False)) or "{}"


def _is_small(value: object) -> bool:
    """Whether JSON keeps it as a number that every reader reads the same."""
    return isinstance(value, int) and abs(value) < 2**53
