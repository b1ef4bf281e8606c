"""What is wrong with a file that is read all the same: named, counted, never repaired in silence.

An importer notes a flaw where it sees it and hands the notes on in `Snapshot.defects`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal

from gputape.scrapers import money
from gputape.scrapers.quote import Figure, Quote
from gputape.store.gpus import gpus, resolve
from gputape.store.instances import Instance, instance

PLACES = 9  # the tape's column of money has nine
DUST = "prices with more than nine decimals, rounded half up"
TWO_PRICES = "one key with two prices"
COUNT = "GPU counts that contradict the instance facts, which win"
OTHER_GPU = "GPUs that contradict the instance facts, which win"


@dataclass(slots=True)
class Flaws:
    """What was seen in one snapshot: a sentence per kind → places."""

    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, place: str) -> None:
        """Note one place."""
        self.seen[kind].append(place)

    def all(self) -> Mapping[str, Sequence[str]]:
        """Return the notes as a snapshot carries them."""
        return {kind: tuple(places) for kind, places in self.seen.items()}

    def take(self) -> Mapping[str, Sequence[str]]:
        """Return the notes and forget them: what is wrong with a file is said once."""
        taken = self.all()
        self.seen.clear()
        return taken

    def dusted(self, price: Figure, place: str) -> Figure:
        """Return a price without float dust: 3.9492000000000003 is 3.9492."""
        number = _number(price)
        if number is None or not number.is_finite() or -_exponent(number) <= PLACES:
            return price
        self.add(DUST, f"{place}: {price}")
        rounded = number.quantize(Decimal(1).scaleb(-PLACES), rounding=ROUND_HALF_UP)
        return rounded.normalize() + Decimal(0)

    def note_two_prices(self, quotes: Iterable[Quote], place: str) -> None:
        """Note every key that stands there with two prices; `normalise` holds it back."""
        prices: dict[tuple[object, ...], dict[object, None]] = defaultdict(dict)
        for quote in quotes:
            prices[_key(quote)][_comparable(quote.price)] = None
        for key, different in prices.items():
            if len(different) > 1:
                words = " ".join(str(word) for word in key if word is not None)
                self.add(TWO_PRICES, f"{place}: {words}: {' and '.join(map(str, different))}")

    def by_facts(self, provider: str, quote: Quote, place: str, sku: str | None = None) -> Quote:
        """Return a quote in which the instance facts win over what the file says is inside.

        `sku` is the name the facts know it by, where the file prints another.
        """
        facts = instance(provider, sku or quote.sku)
        if facts is None:
            return quote
        if _differs(quote.gpu_count, facts.gpu_count):
            told = f"{quote.gpu_count}, the facts {facts.gpu_count}"
            self.add(COUNT, f"{place}: {quote.sku} says {told}")
        if _is_other(provider, quote, facts):
            self.add(OTHER_GPU, f"{place}: {quote.sku} says {quote.gpu}, the facts {facts.gpu}")
        known = instance(provider, quote.sku) is not None
        return replace(
            quote,
            gpu=None if known else facts.gpu,
            gpu_count=facts.gpu_count,
            gpu_memory_gib=None,
        )


def _key(quote: Quote) -> tuple[object, ...]:
    return (
        quote.sku, quote.region, quote.zone, quote.option, quote.tier, quote.term_months,
        quote.payment,
    )  # fmt: skip


def _comparable(price: Figure) -> object:
    """Return "3.40" and "3.4" as one."""
    number = _number(price)
    return price if number is None else number.normalize()


def _number(price: Figure) -> Decimal | None:
    with suppress(money.Unreadable):
        return money.figure(price)
    return None


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _differs(count: Figure, true: Decimal) -> bool:
    try:
        said = money.count(count)
    except money.Unreadable:
        return True
    return said is not None and said != true


def _is_other(provider: str, quote: Quote, facts: Instance) -> bool:
    """Whether the file names another part; a part that leaves open which one is none."""
    said = resolve(quote.gpu, None, provider) if quote.gpu else None
    true = gpus()[facts.gpu]
    return said is not None and (said.family, said.memory_gib) != (true.family, true.memory_gib)
