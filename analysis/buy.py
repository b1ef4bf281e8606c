"""Rent or buy: what an hour of a GPU of one's own costs, and from which use on it beats the market.

Per hour used = (card x server x cluster - resale + staff and operations x years)
                / (years x 8,766 h x utilisation)
              + TDP x share drawn x server's part x PUE x USD per kWh

after Epoch AI's model of amortised training cost (arXiv 2405.21015), whose constants stand in
`workload/constants_buy.toml`. An idle machine is taken to be off. The interval combines those of
the constants as independent: what is stated by the asker has none.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gputape.analysis.workload.constants import Constant, constant, constants
from gputape.analysis.workload.figure import Assumption, Estimate, exact, within
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu, resolve

HOURS_PER_YEAR = 8766  # 365.25 days


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What is bought and how it is used; each with its doubt. Money is US dollars per GPU."""

    card_usd: Estimate
    tdp_w: float
    utilisation: float
    server_overhead: Estimate
    interconnect_share: Estimate
    """Of what the cluster costs; 0 for machines that need no fast network between them."""
    tdp_fraction: Estimate
    chip_to_server_power: Estimate
    pue: Estimate
    usd_kwh: Estimate
    years: Estimate
    operations: Estimate
    """A year, as a share of what the hardware costs."""
    staff_usd_year: Estimate
    resale_share: Estimate
    """Of the hardware's price, got back at the end."""

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise BadInput(
                f"a utilisation of {self.utilisation:g} can not be: it is a share of the hours, "
                "above 0 and at most 1"
            )
        if self.tdp_w <= 0 or self.card_usd.point <= 0 or self.years.low <= 0:
            raise BadInput("a card has a price, draws power and lasts: each must be above 0")
        if not (self.interconnect_share.high < 1 and self.resale_share.high < 1):
            raise BadInput("the interconnect's and the resale's shares are below 1: write 0.19")

    @property
    def hardware_usd(self) -> float:
        """The card with its part of server and cluster."""
        servers = self.card_usd.point * self.server_overhead.point
        return servers / (1 - self.interconnect_share.point)

    @property
    def kw(self) -> float:
        """What the wall delivers while it works."""
        drawn = self.tdp_w * self.tdp_fraction.point * self.chip_to_server_power.point
        return drawn * self.pue.point / 1000

    @property
    def fixed_usd_year(self) -> float:
        """What a year costs, used or not."""
        kept = self.hardware_usd * (1 - self.resale_share.point) / self.years.point
        return kept + self.hardware_usd * self.operations.point + self.staff_usd_year.point

    @property
    def power_usd_hour(self) -> float:
        """What an hour's electricity costs."""
        return self.kw * self.usd_kwh.point

    @property
    def usd_hour(self) -> float:
        """What an hour used costs."""
        return self.fixed_usd_year / (HOURS_PER_YEAR * self.utilisation) + self.power_usd_hour


DOUBTED = tuple(field.name for field in fields(Purchase) if field.type is Estimate)


def hourly(purchase: Purchase) -> Estimate:
    """Return what an hour used costs, USD per GPU, with what it rests on."""
    return _estimate(purchase, lambda p: p.usd_hour, "USD per GPU-hour")


def break_even(purchase: Purchase, market_usd_hour: float) -> Estimate | None:
    """Return the utilisation from which owning is cheaper than a market price.

    Above 1 it never is, whatever its use; None when the electricity alone costs more.
    """
    if purchase.power_usd_hour >= market_usd_hour:
        return None
    return _estimate(
        purchase,
        lambda p: p.fixed_usd_year / HOURS_PER_YEAR / max(market_usd_hour - p.power_usd_hour, 1e-6),
        "of the hours",
    )


def _estimate(purchase: Purchase, ask: Callable[[Purchase], float], unit: str) -> Estimate:
    """Return a figure; its interval is the root of the squares of what each doubt moves alone."""
    point, below, above = ask(purchase), 0.0, 0.0
    assumptions: list[Assumption] = []
    for name in DOUBTED:
        doubt: Estimate = getattr(purchase, name)
        assumptions += doubt.assumptions
        ends = (ask(_with(purchase, name, x)) - point for x in (doubt.low, doubt.high))
        low, high = sorted(ends)
        below, above = below + min(low, 0) ** 2, above + max(high, 0) ** 2
    return Estimate(
        point=point, low=max(0.0, point - math.sqrt(below)), high=point + math.sqrt(above),
        unit=unit, assumptions=tuple(assumptions),
    )  # fmt: skip


def _with(purchase: Purchase, name: str, value: float) -> Purchase:
    changed: Any = {name: exact(value, getattr(purchase, name).unit)}
    return replace(purchase, **changed)


# -- what is known of a card ----------------------------------------------------------------------


def purchase(
    gpu: Gpu, *, utilisation: float = 1.0, cluster: bool = False,
    stated: Mapping[str, float] | None = None,
) -> Purchase:  # fmt: skip
    """Return a purchase of a GPU: what is stated, and constants for the rest.

    `stated`: any field of `Purchase` by name. Raises `BadInput` for a card whose price or power is
    not known and not stated.
    """
    given = dict(stated or {})
    tdp = given.pop("tdp_w", None) or (float(gpu.tdp_w) if gpu.tdp_w else _tdp(gpu))
    if tdp is None:
        raise BadInput(f"{gpu.id}: its maker states no power: give --tdp in watts")
    known: dict[str, Estimate] = {
        "card_usd": _card(gpu, given.pop("card_usd", None)),
        "interconnect_share": exact(0.0, "of a cluster"),
        "staff_usd_year": exact(0.0, "USD a year"),
        "resale_share": exact(0.0, "of the hardware"),
    }  # fmt: skip
    if cluster:
        known["interconnect_share"] = _of("buy.interconnect_share")
    if gpu.vendor == "Google":
        known["tdp_fraction"] = _of("buy.tdp_fraction_tpu")
    for name in DOUBTED:
        if name in given:
            known[name] = exact(given[name], "as stated")
        elif name not in known:
            known[name] = _of(f"buy.{name}")
    return Purchase(tdp_w=tdp, utilisation=utilisation, **known)


def _of(name: str) -> Estimate:
    found = constant(name)
    return within(found.value, found.unit, found.ratios, found.assumption)


def _tdp(gpu: Gpu) -> float | None:
    """Return the greatest power of the parts that an entry may be."""
    from gputape.store.gpus import gpus  # noqa: PLC0415  # beside its one use

    powers = [gpus()[one].tdp_w for one in gpu.either]
    return max((float(power) for power in powers if power), default=None)


def _card(gpu: Gpu, stated: float | None) -> Estimate:
    if stated is not None:
        return exact(stated, "USD")
    if found := _priced(gpu):
        return within(found.value, found.unit, found.ratios, found.assumption)
    known = ", ".join(sorted(n.partition(".")[2] for n in constants() if n.startswith("card.")))
    raise BadInput(f"no card price of {gpu.id} is known: give --card-price (known: {known})")


def _priced(gpu: Gpu) -> Constant | None:
    """Return the price of a card: by id, by family and memory, or by family."""
    for name in (gpu.id, f"{gpu.family}-{gpu.memory_gib.normalize():f}", gpu.family):
        if found := constants().get(f"card.{name}"):
            return found
    return None


# -- the working ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, how it comes about, and what must be said of it."""

    name: str
    value: float
    unit: str
    working: str
    note: str = ""


def working(p: Purchase) -> list[Figure]:
    """Return the steps of `hourly`, each with its numbers put in."""
    years, used = p.years.point, HOURS_PER_YEAR * p.utilisation
    kept = p.hardware_usd * (1 - p.resale_share.point)
    return [
        Figure("hardware", p.hardware_usd, "USD",
               f"{p.card_usd.point:,.0f} x {p.server_overhead.point:g} / "
               f"(1 - {p.interconnect_share.point:g})"),
        Figure("write-off", kept / years / used, "USD per GPU-hour",
               f"{kept:,.0f} / ({years:g} x {HOURS_PER_YEAR:,} h x {p.utilisation:g})"),
        Figure("operations", p.hardware_usd * p.operations.point / used, "USD per GPU-hour",
               f"{p.hardware_usd:,.0f} x {p.operations.point:g} / {used:,.0f} h"),
        Figure("staff", p.staff_usd_year.point / used, "USD per GPU-hour",
               f"{p.staff_usd_year.point:,.0f} / {used:,.0f} h"),
        Figure("power", p.power_usd_hour, "USD per GPU-hour",
               f"{p.tdp_w:g} W x {p.tdp_fraction.point:g} x {p.chip_to_server_power.point:g} x "
               f"{p.pue.point:g} x {p.usd_kwh.point:g} USD/kWh"),
        Figure("total", p.usd_hour, "USD per GPU-hour",
               "write-off + operations + staff + power"),
    ]  # fmt: skip


def example() -> list[Figure]:
    """Compute the example of the article `003`: cards at 700 W and 300 W, and two for an A100."""
    from gputape.analysis.printed import note_on_example  # noqa: PLC0415  # beside its one use

    kwh, usd = 0.4 * 8760, 0.10
    card = constant("card.rtx-3080-ti-12").value
    energy = 3 * kwh * usd
    small, big = (_gpu(name) for name in ("rtx-3080-ti-12", "a100-40"))
    peak, plain, a100 = (float(x or 0) for x in (
        small.fp16acc16_tflops, small.fp16_tflops, big.fp16_tflops))  # fmt: skip
    rows = [
        Figure("energy a year", kwh, "kWh", "(700 W - 300 W) x 8,760 h"),
        Figure("energy in 3 years", 3 * kwh, "kWh", "(700 W - 300 W) x 26,280 h"),
        Figure("electricity in 3 years", energy, "USD", f"{3 * kwh:,.0f} kWh x {usd:.2f} USD"),
        Figure("cost of one card with it", (card + energy) / card, "x the card",
               f"({card:,.0f} + {energy:,.0f}) / {card:,.0f}"),
        Figure("cost of two cards with it", (2 * card + energy) / (2 * card), "x the cards",
               f"({2 * card:,.0f} + {energy:,.0f}) / {2 * card:,.0f}"),
        Figure("two cards against an A100, FP16 accumulation", 2 * peak / a100, "x",
               f"2 x {peak:g} / {a100:g} TFLOPS"),
        Figure("two cards against an A100, FP32 accumulation", 2 * plain / a100, "x",
               f"2 x {plain:g} / {a100:g} TFLOPS"),
        Figure("what 50M USD a year rents", 50e6 / 2.62, "A100-hours", "50,000,000 / 2.62 USD"),
        Figure("what that is", 50e6 / 2.62 / HOURS_PER_YEAR, "A100s all year",
               f"{50e6 / 2.62:,.0f} h / {HOURS_PER_YEAR:,} h"),
    ]  # fmt: skip
    return [replace(row, note=note_on_example(row.name)) for row in rows]


def _gpu(name: str) -> Gpu:
    from gputape.store.gpus import gpus  # noqa: PLC0415  # beside its one use

    return gpus()[name]


def named(word: str) -> Gpu:
    """Return the GPU that a word means. Raises `BadInput` with the nearest names."""
    from gputape.store.gpus import gpus, select  # noqa: PLC0415  # beside its one use

    if found := resolve(word):
        return found
    ids = sorted(select([word]))
    if len(ids) > 1 and len({gpus()[one].family for one in ids}) > 1:
        raise BadInput(f"{word} is several GPUs: {', '.join(ids)}")
    return gpus()[ids[0]]
