"""Hosted token prices: which model is meant, what counts, and when a node of one's own pays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis import tokens
from gputape.analysis.tokens import HostedPrice, break_even, cheapest, hosted, shape_of
from gputape.analysis.workload.models import model, models, sized
from gputape.store.errors import BadInput
from gputape.store.tape import reading

NOW = datetime(2026, 7, 28, tzinfo=UTC)  # a day after the recorded list
LLAMA = model("llama-3.1-70b")


@pytest.fixture
def con(tape: Path) -> Iterator[Any]:
    """A reader of the recorded tape."""
    with reading(tape) as opened:
        yield opened


def price(usd_in: str, usd_out: str, **more: Any) -> HostedPrice:
    said: dict[str, Any] = {"host": "h", "model": "m", "source": "s"}
    return HostedPrice(
        usd_per_million_input=Decimal(usd_in), usd_per_million_output=Decimal(usd_out),
        **{**said, **more},
    )  # fmt: skip


# -- which model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("meta-llama/llama-3.1-70b-instruct", "llama-3.1-70b"),
        ("meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", "llama-3.1-70b"),
        ("meta.llama3-1-8b-instruct-v1:0", "llama-3.1-8b"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "llama-3.3-70b"),
        ("llama-v3p1-8b-instruct", "llama-3.1-8b"),
        ("llama3.1-8b", "llama-3.1-8b"),
        ("Meta-Llama-3_3-70B-Instruct", "llama-3.3-70b"),
        ("databricks-meta-llama-3-3-70b-instruct", "llama-3.3-70b"),
        ("@cf/meta/llama-3.1-8b-instruct-fp8-fast", "llama-3.1-8b"),
        ("deepseek.r1-v1:0", "deepseek-r1"),
        ("deepseek/deepseek-r1-0528", "deepseek-r1"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
        ("qwen/qwen3-235b-a22b-thinking-2507", "qwen3-235b-a22b"),
        ("openai/gpt-oss-120b:batch", "gpt-oss-120b"),
        ("deepseek/deepseek-r1-distill-llama-70b", None),
        ("nousresearch/hermes-3-llama-3.1-70b", None),
        ("perplexity/r1-1776", None),
        ("meta-llama/llama-guard-4-12b", None),
        ("deepseek/deepseek-v3.2", None),
        ("openrouter/auto", None),
    ],
)
def test_a_hosts_name_means_a_shape_or_none(name: str, shape: str | None) -> None:
    """Hosts' own words fall away; a fine-tune, a distillate, another version is another model."""
    found = shape_of(name)

    assert (found and found.id) == shape


def test_the_hub_id_says_which_weights() -> None:
    """A name that says nothing is known by its weights."""
    assert shape_of("deepseek/deepseek-chat") is None
    assert shape_of("deepseek/deepseek-chat", "deepseek-ai/DeepSeek-V3") is model("deepseek-v3")


# -- the sources ------------------------------------------------------------------------------


def test_the_tapes_prices_come_dated(con: Any) -> None:
    """The recorded list's price of a model, with where it is from and how old it is."""
    (found,) = [p for p in hosted(con, LLAMA, NOW).prices if p.source == "openrouter"]

    assert found == HostedPrice(
        host="openrouter",
        model="meta-llama/llama-3.1-70b-instruct",
        usd_per_million_input=Decimal("0.4"),
        usd_per_million_output=Decimal("0.4"),
        context=131_072,
        source="openrouter",
        observed_at=datetime(2026, 7, 27, tzinfo=UTC),
    )
    assert found.age(NOW) == timedelta(days=1)


def test_before_the_tape_looked_it_knows_nothing(con: Any) -> None:
    """As of an earlier day the recorded list had said nothing yet; later its price is stale."""
    before = hosted(con, LLAMA, NOW - timedelta(days=9)).prices
    later = hosted(con, LLAMA, NOW + timedelta(days=9)).prices

    assert all(p.observed_at is None for p in before)
    assert [p.stale for p in later if p.source == "openrouter"] == [True]


def test_what_the_tape_rejected_is_dropped_with_its_reason() -> None:
    """A free variant of a known model is named among what was dropped."""
    with reading_with_free() as con:
        found = hosted(con, LLAMA, NOW)

    assert ("zero", "openrouter") in {(d.reason, d.source) for d in found.dropped}


def reading_with_free() -> Any:
    """Return an empty tape in memory, on which one free model was rejected."""
    import duckdb

    from gputape.store.migrate import migrate

    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    migrate(con, NOW, "memory")  # type: ignore[arg-type]  # no file
    con.execute(
        "insert into token_price values ('openrouter', 'models', 'x', null, $1, 1, 'listed', 1, 2, "
        "null, 'USD', null, null, null, 'live')", [NOW],
    )  # fmt: skip
    con.execute(
        "insert into reject values ('k', 1, $1, true, 'openrouter', 'models', "
        "'meta-llama/llama-3.1-70b-instruct:free', 'zero', 'a price of 0', '{}')", [NOW],
    )  # fmt: skip
    return con


def test_without_a_tape_the_embedded_table_answers() -> None:
    """Several hosts sell the best-known open models; none of them says when."""
    found = hosted(None, model("llama-3.3-70b"), NOW)
    hosts = {p.host for p in found.prices}

    assert {"groq", "together", "openrouter"} <= hosts
    assert {p.source for p in found.prices} == {found.prices[0].source}
    assert found.prices[0].source.startswith("genai-prices ")
    assert all(p.observed_at is None and p.age(NOW) is None for p in found.prices)


def test_a_list_that_the_tape_holds_is_not_taken_twice(con: Any) -> None:
    """The table's copy of OpenRouter stands aside for the tape's own look."""
    found = hosted(con, LLAMA, NOW).prices

    assert [p.source for p in found if p.host == "openrouter"] == ["openrouter"]
    assert any(p.source.startswith("genai-prices") for p in found)


def test_no_price_is_free_or_a_batchs() -> None:
    """Of every shape that anybody hosts, what is not sold for money at once is dropped."""
    all_of = [hosted(None, shape, NOW) for shape in models().values()]
    prices = [p for found in all_of for p in found.prices]

    assert len(prices) > 100
    assert all(p.usd_per_million_input > 0 and p.usd_per_million_output > 0 for p in prices)
    assert not [p.model for p in prices if p.model.endswith((":free", ":batch"))]
    assert {"zero", "batch", "deprecated"} <= {r for found in all_of for r in found.left_out}


def test_a_shape_of_figures_has_no_host() -> None:
    """A model that is stated by its parameters is nobody's."""
    assert hosted(None, sized(7e9), NOW) == tokens.Hosted((), ())


def test_a_price_in_force_is_taken_at_its_moment() -> None:
    """The table's own dates count: what began later is not yet there."""
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint

    later = ConditionalPrice(
        constraint=StartDateConstraint(start_date=NOW.date()),
        prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
    )
    first = ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(3)))
    info = ModelInfo(id="m", match=None, prices=[first, later])  # type: ignore[arg-type]  # not asked
    found = [tokens._priced("t", "h", info, NOW + timedelta(days=days)) for days in (-1, 1)]

    assert [f.usd_per_million_input for f in found if isinstance(f, HostedPrice)] == [3, 1]


# -- the mix ----------------------------------------------------------------------------------


def test_a_mix_weighs_input_and_output() -> None:
    """Three in to one out at 0.40 and 1.20 is 0.60 a million."""
    assert price("0.4", "1.2").usd_per_million(3, 1) == Decimal("0.6")
    assert price("0.4", "1.2").usd_per_million(0, 5) == Decimal("1.2")


@pytest.mark.parametrize("mix", [(0, 0), (-1, 2), (float("nan"), 1)])
def test_a_mix_of_nothing_is_refused(mix: tuple[float, float]) -> None:
    """A ratio needs tokens."""
    with pytest.raises(BadInput, match="is no mix"):
        price("1", "1").usd_per_million(*mix)


def test_the_cheapest_depends_on_the_mix() -> None:
    """Cheap input wins for long prompts, cheap output for long answers."""
    reader, writer = price("0.1", "2", host="reader"), price("1", "1", host="writer")

    assert cheapest([reader, writer], 10, 1) is reader
    assert cheapest([reader, writer], 1, 10) is writer
    assert cheapest([], 1, 1) is None


def test_a_price_seen_lately_beats_a_cheaper_one_without_a_date() -> None:
    """An old or undated price may be long gone; with nothing else it has to do."""
    seen = price("2", "2", observed_at=NOW)
    old = price("1", "1", observed_at=NOW, stale=True)
    undated = price("0.5", "0.5")

    assert cheapest([seen, old, undated], 1, 1) is seen
    assert cheapest([old, undated], 1, 1) is undated


# -- break-even -------------------------------------------------------------------------------


def test_eight_h100_against_sixty_cents() -> None:
    """$480 a day against $0.60 a million are 0.8 billion tokens a day, 9.3k a second."""
    found = break_even(Decimal(8) * Decimal("2.50"), 20_000, Decimal("0.60"))

    assert found.tokens_day == 800_000_000
    assert round(found.tokens_s) == 9259
    assert round(found.share_of_capacity, 3) == Decimal("0.463")
    assert found.reachable


def test_a_node_that_is_too_slow_never_pays() -> None:
    """Below 9,259 tokens/s the hosted price stays cheaper, and it is said."""
    assert not break_even(Decimal(20), 9_000, Decimal("0.60")).reachable
    assert break_even(Decimal(20), 9_260, Decimal("0.60")).reachable


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_a_break_even_of_nothing_is_refused(wrong: tuple[int, int, int]) -> None:
    """Prices and speed are above 0."""
    with pytest.raises(BadInput, match="above 0"):
        break_even(Decimal(wrong[0]), wrong[1], Decimal(wrong[2]))
