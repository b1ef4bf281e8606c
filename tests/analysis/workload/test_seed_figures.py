"""Every figure of the source articles that a program can compute: printed, right, and its verdict.

Typed here: what is printed and what is right. Computed there: `gputape.analysis.article`, on a
tape that holds the article's price table. A figure that was printed wrong comes with a note.
"""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from gputape.analysis.article.figures import Printed, figures
from gputape.analysis.article.table import Value
from gputape.app.article_tape import article_tape
from gputape.store import tape as store


class Right(NamedTuple):
    """What a computed number must be: the value, and how far it may be off, as a share."""

    name: str
    value: float
    within: float = 0.005


class Row(NamedTuple):
    """One figure of the table of figures."""

    id: str
    printed: str
    """Words of it that must stand in the output."""
    verdict: str
    right: tuple[Right, ...]
    note: str = ""
    """Words of the note; empty where none is needed."""


ROWS = (
    Row("F01", "6.73e18", "misprinted",
        (Right("3.3 billion", 6.732e18), Right("3.3 million", 6.732e15)), "3.3 billion"),
    Row("F02", "6.73e18", "understated",
        (Right("tokens of 3.3 billion words", 4.3e9, 0.03),
         Right("as it was trained, 40 times through", 2.8e20, 0.03)), "40 times"),
    Row("F03", "1.45e22", "right", (Right("6·N·D", 1.447e22),)),
    Row("F04", "3.14e23", "right", (Right("6·N·D", 3.14e23),)),
    Row("F05", "680 GFLOP", "inconsistent",
        (Right("1,000 tokens", 680e9), Right("1,024 tokens", 6.963e11)), "1,000 tokens"),
    Row("F06", "12 TFLOP", "inconsistent",
        (Right("1,000 tokens", 12e12), Right("1,024 tokens", 1.229e13)), "1,000 tokens"),
    Row("F07", "350 TFLOP", "inconsistent",
        (Right("1,000 tokens", 350e12), Right("1,024 tokens", 3.584e14)), "1,000 tokens"),
    Row("F08", "2·n·p", "ambiguous",
        (Right("without attention", 7.0e14), Right("1,000 tokens in and 1,000 out", 7.0e14, 0.02)),
        "2·p·(in + out)"),
    Row("F09", "about 3 times", "right", (Right("6·N / 2·N", 3, 0),)),
    Row("F10", "300 million times", "right", (Right("300 billion tokens / 1,024", 300e6, 0.03),)),
    Row("F11", "a billion", "right", (Right("training / a prompt", 8.8e8),)),
    Row("F12", "116,000 s, 32 hours", "right",
        (Right("at 3 GFLOP/s", 116_000, 0.01), Right("that is", 32, 0.02))),
    Row("F13", "512 tensor cores of 128", "wrong",
        (Right("512 cores x 128", 92.4), Right("432 cores x 512", 311.9),
         Right("its maker's figure", 312)), "432 cores"),
    Row("F14", "about 1 s", "right", (Right("at its peak", 1.12),)),
    Row("F15", "700 GB", "right", (Right("32 bits", 700, 0), Right("16 bits", 350, 0)), "FP32"),
    Row("F16", "over 1 TB", "lower bound",
        (Right("8 bytes a parameter", 1.40), Right("with FP32 weights, 12", 2.10),
         Right("mixed precision, 16", 2.80), Right("with FP32 gradients, 18", 3.15)), "2.1 TB"),
    Row("F17", "4B model", "wrong",
        (Right("by its own rule, 12 bytes", 1.0), Right("16 bytes", 0.75), Right("18 bytes", 0.667),
         Right("a 4B model by its rule", 48)), "trains 1.0B parameters"),
    Row("F18", "$0.0002 to $0.0014", "not derivable",
        (Right("at 0.88 an A100-hour", 0.00027, 0.02), Right("at 5.12 an A100-hour", 0.0016, 0.01),
         Right("0.0002 would be", 0.64, 0.01), Right("0.0014 would be", 4.49)),
        "0.00027 to 0.0016"),
    Row("F19", "$0.002", "right",
        (Right("over 0.0014", 1.4, 0.03), Right("over 0.0002", 10)), "10"),
    Row("F20", "dollars a year", "right",
        (Right("36,500 requests", 7.3), Right("36,500 requests", 51, 0.01))),
    Row("F21", "$560,000", "rate not printed",
        (Right("at 100 % of the peak", 279_558, 1e-5),
         Right("at 2.00, Oracle's spot price", 559_000, 0.001),
         Right("560,000 would be", 2.003), Right("as runs really go, at 2.62", 1.8e6, 0.05)),
        "$2.00 an hour"),
    Row("F22", "$4.6M", "right", (Right("355 V100-years at 1.50", 4.6e6, 0.03),)),
    Row("F23", "decades", "right", (Right("at 100 %", 31.9), Right("at 40 %", 80, 0.01))),
    Row("F24", "$3.19", "right", (Right("mean of 7", 3.19, 0),)),
    Row("F25", "$2.27", "wrong", (Right("mean of 5", 2.18, 0),), "leaves out CoreWeave's 1.80"),
    Row("F26", "$1.83", "right", (Right("mean of 3", 1.83, 0),)),
    Row("F27", "$2.62", "right", (Right("mean of 7", 2.62, 0),)),
    Row("F28", "$1.75", "right", (Right("mean of 6", 1.75, 0),)),
    Row("F29", "$1.42", "right", (Right("mean of 4", 1.42, 0),), "half-up"),
    Row("F30", "N/A", "right",
        (Right("on_demand, mean of 4, withheld", 1.70, 0),
         Right("reserved, mean of 2, withheld", 1.63, 0),
         Right("spot, mean of 3, withheld", 0.92, 0)), "below five sellers"),
    Row("F31", "almost 4 times", "right", (Right("dearest / cheapest, on demand", 3.73),)),
    Row("F32", "3 to 4 times", "partly right",
        (Right("a100-40 on_demand", 4.1), Right("a100-40 reserved", 4.0),
         Right("a100-40 spot", 2.5), Right("a100-80 on_demand", 5.12)), "spot is 2.5 times"),
    Row("F33", "$3.20", "an outlier", (Right("its A100 / its A10, on demand", 1.0625),), "3.40"),
    Row("F34", "25 %", "right", (Right("2.93 with a quarter more", 3.66, 0.001),), "not the same"),
    Row("F35", "3,500 kWh over three years", "inconsistent",
        (Right("energy a year", 3504), Right("energy in 3 years", 10_512)), "one year's"),
    Row("F36", "$1,000", "partly right",
        (Right("electricity in 3 years", 1000, 0.06), Right("cost of one card with it", 1.88),
         Right("cost of two cards with it", 1.44)), "1.44"),
    Row("F37", "about as fast", "partly right",
        (Right("two cards against an A100, FP16 accumulation", 0.87, 0.01),
         Right("two cards against an A100, FP32 accumulation", 0.44, 0.01)),
        "FP16 accumulation only"),
    Row("F38", "$50M", "a rule of thumb",
        (Right("what 50M USD a year rents", 19.1e6), Right("what that is", 2177)), "2,177 GPUs"),
    Row("F39", "10 times in a day", "an input",
        (Right("half more a week, in a year", 1.4e9, 0.03), Right("replicas, usual", 93, 0.5),
         Right("replicas, ten times in a day", 928, 0.5)), "spike"),
    Row("F40", "4 times from 16 to 4", "upper bound",
        (Right("qwen2.5-7b, 16 to 4 bits", 1.83, 0.2),
         Right("qwen2.5-72b, 16 to 4 bits", 2.55, 0.2)), "slower than 16 bits"),
    Row("F41", "10 times", "depends on the workload",
        (Right("Llama 70B on an H100, 2023 to 2025", 1.2),), "1.2 times"),
    Row("F42", "4 characters, or 0.75 words", "right",
        (Right("a token", 4, 0), Right("a token", 0.75, 0))),
    Row("F43", "20 times", "right",
        (Right("20 a parameter", 3.5e12), Right("work", 3.7e24, 0.01)), "does not print it"),
    Row("F44", "2023-04-07", "right", (Right("every price is of", 20230407, 0),)),
    Row("F45", "$100,000 to $1M", "right",
        (Right("$100,000", 50_000, 0), Right("$100,000", 6.2e22, 0.4),
         Right("$100,000, a 7B model", 1.5e12, 0.4), Right("$1,000,000", 500_000, 0),
         Right("$1,000,000", 6.2e23, 0.4)), "$2.00"),
    Row("F46", "dozens to hundreds", "right",
        (Right("24 runs", 2.4e6, 0), Right("300 runs", 300e6, 0)), "--runs"),
    Row("F48", "90 %", "right", (Right("7B for 70B", 0.9, 1e-9),)),
    Row("F49", "175B from scratch", "right",
        (Right("175B from scratch", 3.15e23), Right("7B by LoRA on 50M tokens", 1.4e18),
         Right("ratio", 225_000))),
    Row("F51", "hundreds of homes", "right",
        (Right("GPT-3", 121), Right("Llama 3.1 405B", 2037), Right("Llama 3.1 405B", 21_600))),
    Row("F52", "thousands", "right",
        (Right("a100-40, low", 10_000), Right("h100, high", 40_000))),
    Row("F53", "$25,000 to $40,000", "right",
        (Right("a100-40, low", 10_000), Right("a100-40, high", 15_000), Right("h100, low", 25_000),
         Right("h100, high", 40_000), Right("b200, low", 47_000, 0.25))),
    Row("F54", "$10 to $30", "wrong unit",
        (Right("a node of 8", 8.8), Right("a node of 8", 32.8), Right("a GPU", 1.10)), "node of 8"),
    Row("F55", "24 GB", "right", (Right("4 bits, no cache", 40, 0.03),)),
    Row("F57", "millions to trillions", "wrong",
        (Right("BERT", 6.7e18), Right("Llama 3.1 405B", 3.8e25)), "6 to 13 orders"),
    Row("F58", "exponentially", "loose wording",
        (Right("twice the parameters, same tokens", 2),
         Right("twice the parameters, 20 tokens each", 4)), "linear"),
    Row("F59", "kWh a day", "right",
        (Right("an H100's day", 16.8), Right("Llama 3.1 8B on an H100, a token", 10, 0.5))),
)  # fmt: skip
NOT_COMPUTED = {
    "F47": "what another company spent: outside every model",
    "F50": "a company's capital expenses and a market's size: context",
    "F56": "how many GPUs and how much RAM people use: context",
}


@pytest.fixture(scope="module")
def computed() -> Iterator[dict[str, tuple[Printed, list[Value]]]]:
    """Every figure with what is computed for it, from a tape of the article's table."""
    with article_tape() as tape, store.reading(tape) as con:
        yield {printed.id: (printed, values) for printed, values in figures(con)}


def met(right: Right, value: Value) -> bool:
    """Tell whether a computed number is the right one."""
    if isinstance(value.value, date):
        return value.value.strftime("%Y%m%d") == str(right.value)
    if isinstance(value.value, Decimal) and not right.within:
        return f"{value.value:.2f}" == f"{right.value:.2f}"
    return float(value.value) == pytest.approx(right.value, rel=right.within, abs=0)


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_figure(computed: dict[str, tuple[Printed, list[Value]]], row: Row) -> None:
    """The program prints what the article printed, computes what is right, and says so."""
    printed, values = computed[row.id]

    assert row.printed in printed.printed
    assert printed.verdict == row.verdict
    for right in row.right:
        assert any(right.name == value.name and met(right, value) for value in values), right
    assert row.note in printed.note
    assert bool(printed.note) == bool(row.note)
    assert row.note or row.verdict == "right"


def test_nothing_is_shown_that_nobody_checked(
    computed: dict[str, tuple[Printed, list[Value]]],
) -> None:
    """Each figure of the program has its row here, in the same order."""
    assert list(computed) == [row.id for row in ROWS]
    assert not NOT_COMPUTED.keys() & computed.keys()


def test_the_printed_cost_of_a_request_overlaps_the_computed_one(
    computed: dict[str, tuple[Printed, list[Value]]],
) -> None:
    """$0.0002 to $0.0014 can not be derived, and overlaps what the table's own prices give."""
    low, high = (
        float(value.value) for value in computed["F18"][1] if value.unit == "USD"
    )  # fmt: skip

    assert low < 0.0014
    assert high > 0.0002


def test_the_average_is_rounded_as_decimals_are(
    computed: dict[str, tuple[Printed, list[Value]]],
) -> None:
    """1.415 is 1.42 half-up; the same prices summed as binary floats round to 1.41."""
    (mean,) = computed["F29"][1]

    assert mean.value == Decimal("1.42")
    assert round(sum([1.22, 2.04, 1.52, 0.88]) / 4, 2) == 1.41


def test_no_row_of_the_table_of_figures_is_forgotten(shared: Path) -> None:
    """Every row is computed here, or excluded by name with its reason."""
    with (shared / "workload/seed_figures.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]

    assert sorted([*(row.id for row in ROWS), *NOT_COMPUTED]) == sorted(ids)
