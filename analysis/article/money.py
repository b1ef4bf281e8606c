"""The articles' figures of prices, purchases and budgets: how each is computed."""

from collections.abc import Mapping
from decimal import Decimal

from gputape.analysis import buy
from gputape.analysis.article.physics import GPT_3, HOUR_S, PRINTED_FLOP, ROUND, forward_flop
from gputape.analysis.article.physics import ideal_hours as hours
from gputape.analysis.article.table import Computed, Table, Value
from gputape.analysis.spread import anomalies, beside
from gputape.analysis.workload.accelerator import peak_flop_s
from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.models import model, sized
from gputape.analysis.workload.serving import replicas
from gputape.analysis.workload.throughput import offline
from gputape.analysis.workload.training import gpu_hours, run_mfu
from gputape.analysis.workload.work import Training, train_flop_token
from gputape.store.gpus import gpus

USD = "USD per GPU-hour"
REQUEST_USD = (0.0002, 0.0014)
"""What the article prints for 1,000 tokens of GPT-3, without profit."""
OPENAI_USD = 0.002
A_YEAR = 36_500
"""Requests, a hundred a day."""
RUN_USD, CYCLES = (1e5, 1e6), (24, 300)
"""What it prints for a run, and what it calls dozens to hundreds."""
HOUR_USD = 2.0
"""Of an H100: what a budget is turned into hours at."""
OPTIONS = ("on_demand", "reserved", "spot")


# -- the table's averages and distances ------------------------------------------------------------


def _average(gpu: str, option: str) -> Computed:
    def computed(table: Table) -> list[Value]:
        found = table.spread(gpu, option)
        mean = found.average(fewest=1) or Decimal()
        return [Value(f"mean of {found.sellers}", mean, USD)]

    return computed


def _few(table: Table) -> list[Value]:
    found = [(option, table.spread("a10-24", option)) for option in OPTIONS]
    return [
        Value(f"{option}, mean of {of.sellers}, {_withheld(of.average())}",
              of.average(fewest=1) or Decimal(), USD)
        for option, of in found
    ]  # fmt: skip


def _withheld(mean: Decimal | None) -> str:
    return "withheld" if mean is None else "shown"


def _apart(table: Table) -> list[Value]:
    return [Value("dearest / cheapest, on demand", table.spread("a100-40", "on_demand").ratio, "x")]


def _on_aws(table: Table) -> list[Value]:
    found = []
    for gpu in ("a100-40", "a100-80"):
        pairs = beside(dict(table.bests), gpu, "a10-24")
        found += [
            Value(f"{gpu} {kind.option}", one.usd_gpu_hour / two.usd_gpu_hour, "x")
            for kind, one, two in pairs if one.provider == "aws"
        ]  # fmt: skip
    return found


def _azure(table: Table) -> list[Value]:
    odd = {(a.kind.option, a.best.provider): a for a in anomalies(dict(table.bests))
           if a.kind.gpu == "a10-24"}  # fmt: skip
    return [Value("its A100 / its A10, on demand", odd["on_demand", "azure"].ratio, "x")]


def _surcharge(table: Table) -> list[Value]:
    return [Value("2.93 with a quarter more",
                  table.price("gcp", "a100-40", "on_demand") * Decimal("1.25"), USD)]  # fmt: skip


def _as_of(table: Table) -> list[Value]:
    days = {best.last_seen.date() for sellers in table.bests.values() for best in sellers}
    return [Value("every price is of", day, "") for day in sorted(days)]


def _node(table: Table) -> list[Value]:
    found = table.spread("a100-40", "on_demand")
    ends = (found.low_usd_gpu_hour, found.high_usd_gpu_hour)
    return [
        *(Value("a GPU", usd, USD) for usd in ends),
        *(Value("a node of 8", 8 * usd, "USD an hour") for usd in ends),
    ]


# -- what GPT-3 costs ------------------------------------------------------------------------------


def _request(table: Table) -> list[Value]:
    took = hours(forward_flop(GPT_3, ROUND), "a100-40")
    rates = [best.usd_gpu_hour for kind, sellers in table.bests.items()
             if kind.gpu.startswith("a100") for best in sellers]  # fmt: skip
    return [
        *(Value(f"at {usd:.2f} an A100-hour", took * float(usd), "USD")
          for usd in (min(rates), max(rates))),
        *(Value(f"{usd} would be", usd / took, "USD per A100-hour") for usd in REQUEST_USD),
    ]  # fmt: skip


def _markup(_: Table) -> list[Value]:
    return [Value(f"over {usd}", OPENAI_USD / usd, "x") for usd in reversed(REQUEST_USD)]


def _requests(_: Table) -> list[Value]:
    return [Value("36,500 requests", A_YEAR * usd, "USD") for usd in REQUEST_USD]


def _trained(table: Table) -> list[Value]:
    whole = hours(PRINTED_FLOP, "a100-80")
    rate = float(table.price("oracle", "a100-80", "spot"))
    mean = float(table.spread("a100-40", "on_demand").average() or 0)
    job = Training(model=model("gpt-3-175b"), tokens=300e9, seq_len=2048)
    really = gpu_hours(job, gpus()["a100-sxm-80"], 1024)
    return [
        Value("at 100 % of the peak", whole, "A100-hours"),
        Value(f"at {rate:.2f}, Oracle's spot price", whole * rate, "USD"),
        Value("560,000 would be", 560_000 / whole, "USD per A100-hour"),
        Value("as runs really go", really.point, "A100-hours"),
        Value(f"as runs really go, at {mean:.2f}", really.point * mean, "USD"),
    ]


def _others(_: Table) -> list[Value]:
    years, usd = (constant(f"article.gpt3.v100_{name}") for name in ("years", "usd_hour"))
    whole = years.value * buy.HOURS_PER_YEAR * usd.value
    return [Value(f"{years.value:g} V100-years at {usd.value:.2f}", whole, "USD")]


# -- buying ----------------------------------------------------------------------------------------


def _example(*names: str) -> Computed:
    def computed(_: Table) -> list[Value]:
        found = {figure.name: figure for figure in buy.example()}
        return [Value(name, found[name].value, found[name].unit) for name in names]

    return computed


def _cards(*names: str) -> Computed:
    def computed(_: Table) -> list[Value]:
        found = [(name, buy.purchase(buy.named(name)).card_usd) for name in names]
        return [
            Value(f"{name}, {which}", usd, "USD")
            for name, card in found
            for which, usd in (("low", card.low), ("high", card.high))
        ]

    return computed


# -- budgets and growth ----------------------------------------------------------------------------


def _budget(_: Table) -> list[Value]:
    h100 = gpus()["h100-sxm-80"]
    job = Training(model=sized(7e9), tokens=1.5e12)
    useful = run_mfu(job, h100, 64).point * peak_flop_s(h100) * HOUR_S
    found = []
    for usd in RUN_USD:
        rented = usd / HOUR_USD
        flop = rented * useful
        found += [
            Value(f"${usd:,.0f}", rented, "H100-hours"),
            Value(f"${usd:,.0f}", flop, "FLOP"),
            Value(f"${usd:,.0f}, a 7B model", flop / train_flop_token(job.model, None), "tokens"),
        ]
    return found


def _cycles(_: Table) -> list[Value]:
    return [
        Value(f"{runs} runs", runs * usd, "USD")
        for runs, usd in zip(CYCLES, RUN_USD, strict=True)
    ]  # fmt: skip


def _growth(_: Table) -> list[Value]:
    one = offline(model("llama-3.1-8b"), gpus()["h100-sxm-80"], 1, "fp8", 1000, 500)
    usual, spiked = (replicas(1000, one, 500, spike=spike) for spike in (1, 10))
    return [
        Value("half more a week, in a year", 1.5**52, "x"),
        Value("replicas, usual", usual, ""),
        Value("replicas, ten times in a day", spiked, ""),
    ]


MONEY: Mapping[str, Computed] = {
    "F18": _request, "F19": _markup, "F20": _requests, "F21": _trained, "F22": _others,
    "F24": _average("a100-80", "on_demand"), "F25": _average("a100-80", "reserved"),
    "F26": _average("a100-80", "spot"), "F27": _average("a100-40", "on_demand"),
    "F28": _average("a100-40", "reserved"), "F29": _average("a100-40", "spot"),
    "F30": _few, "F31": _apart, "F32": _on_aws, "F33": _azure, "F34": _surcharge,
    "F35": _example("energy a year", "energy in 3 years"),
    "F36": _example("electricity in 3 years", "cost of one card with it",
                    "cost of two cards with it"),
    "F37": _example("two cards against an A100, FP16 accumulation",
                    "two cards against an A100, FP32 accumulation"),
    "F38": _example("what 50M USD a year rents", "what that is"),
    "F39": _growth, "F44": _as_of, "F45": _budget, "F46": _cycles,
    "F52": _cards("a100-40", "h100"), "F53": _cards("a100-40", "h100", "b200"), "F54": _node,
}  # fmt: skip
