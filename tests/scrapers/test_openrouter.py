"""Hosted token prices: what the list says, what is none, and when it is asked."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gputape.app import collecting
from gputape.app.cli.progress import Silence
from gputape.scrapers import openrouter
from gputape.scrapers.page import Page
from gputape.scrapers.reading import read
from gputape.scrapers.recording import Replay
from gputape.scrapers.registry import ADAPTERS, HOSTED, adapter, chosen
from gputape.scrapers.token_quote import TokenQuote
from gputape.scrapers.tokens import judge_tokens
from gputape.store.offer import Origin
from gputape.store.tape import reading

if TYPE_CHECKING:
    from tests.scrapers.conftest import House

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
LIST = json.loads((FIXTURES / "openrouter/models.json").read_text("utf-8"))


def collected(house: "House", listed: Any = None) -> Any:
    """Collect the fixture, or another list in its place, and return the last outcome."""
    if listed is None:
        way: httpx.BaseTransport = Replay(FIXTURES, "openrouter")
        return house.collect([openrouter], lambda _: way, origin=Origin.REPLAY)[-1]
    way = httpx.MockTransport(lambda _: httpx.Response(200, json=listed))
    return house.collect([openrouter], lambda _: way)[-1]


def quote(**more: Any) -> TokenQuote:
    return TokenQuote(**{"model": "m", "price_in": "1", "price_out": "2", **more})


def verdict(*quotes: TokenQuote) -> tuple[list[Any], list[str]]:
    rows, rejects = judge_tokens("openrouter", quotes)
    return rows, [reject.reason for reject in rejects]


def test_prices_are_dollars_for_a_million_tokens(house: "House") -> None:
    """0.0000004 a token is 0.40 a million; cached input, context and tier come along."""
    collected(house)
    rows = house.ask(
        "select model, usd_per_million_input, usd_per_million_output, "
        "usd_per_million_cached_input, context, tier_from, hub_id from v_tokens "
        "where model like 'meta%' or model like '%luna%' or model like 'deepseek%' order by 1"
    )

    assert rows == [
        ("deepseek/deepseek-chat", Decimal("0.2002"), Decimal("0.8001"), None, 131_072, None,
         "deepseek-ai/DeepSeek-V3"),
        ("meta-llama/llama-3.1-70b-instruct", Decimal("0.4"), Decimal("0.4"), None, 131_072, None,
         "meta-llama/Meta-Llama-3.1-70B-Instruct"),
        ("openai/gpt-5.6-luna-pro", Decimal("0.5"), Decimal(3), Decimal("0.05"), 1_050_000,
         272_000, None),
    ]  # fmt: skip


def test_what_is_no_price_is_a_reject_with_its_reason(house: "House") -> None:
    """Free is a promotion, -1 a router, an image no text: none is a price, each can be seen."""
    outcome = collected(house)
    rows = house.ask("select sku, reason from v_rejects where present order by 1")

    assert rows == [
        ("google/gemini-3-pro-image", "not_text"),
        ("inclusionai/ling-3.0-flash:free", "zero"),
        ("openrouter/auto", "no_price"),
    ]
    assert house.ask("select count(*) from v_tokens") == [(7,)]
    assert (outcome.scan.quotes, outcome.counts.rejects) == (10, 3)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"price_in": "0", "price_out": "1"}, "zero"),
        ({"price_out": 0}, "zero"),
        ({"model": "m:free"}, "zero"),
        ({"price_in": "-1"}, "no_price"),
        ({"price_out": None}, "no_price"),
        ({"price_out": ""}, "no_price"),
        ({"output": ("text", "image")}, "not_text"),
        ({"output": ()}, "not_text"),
        ({"price_in": "cheap"}, "unreadable"),
        ({"price_in": "NaN"}, "unreadable"),
        ({"model": None}, "unreadable"),
        ({"model": " "}, "unreadable"),
        ({"price_in": "0.5", "per": 1}, "impossible"),
        ({"price_in": "0.0000000001"}, "impossible"),
    ],
)
def test_one_bad_row_is_one_reject(said: dict[str, Any], reason: str) -> None:
    """Whatever a row says, it is named, and the rows beside it stay."""
    rows, reasons = verdict(quote(**said), quote(model="good"))

    assert reasons == [reason]
    assert [row.model for row in rows] == ["good"]


def test_a_model_listed_twice_keeps_its_first_price() -> None:
    """The same again is no news, another price is doubtful and left out."""
    rows, reasons = verdict(quote(), quote(), quote(price_in="9"))

    assert [row.price_in for row in rows] == [Decimal(1)]
    assert reasons == ["ambiguous"]


def test_a_free_cache_is_not_known_to_cost_nothing() -> None:
    """A cached price of 0 or less is none, and costs the model nothing."""
    rows, reasons = verdict(*(quote(model=f"m{n}", price_cached=n) for n in ("0", "-1", None)))

    assert [row.price_cached for row in rows] == [None] * 3
    assert reasons == []


def test_the_same_list_again_adds_nothing(house: "House") -> None:
    """Equal bytes confirm the part and write no price."""
    collected(house)
    before = house.ask("from token_price order by all")
    again = collected(house)

    assert again.scan.status == "unchanged"
    assert house.ask("from token_price order by all") == before


def test_every_price_opens_to_its_bytes(house: "House") -> None:
    """A price names its scan, which names the hash of the answer."""
    collected(house)
    ((sha256,),) = house.ask("select distinct sha256 from token_price join page using (scan_id)")
    (file,) = (house.folder / "archive").rglob(f"*{sha256}*")

    assert file.exists()


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param({"data": []}, id="emptied"),
        pytest.param({"models": LIST["data"]}, id="renamed"),
        pytest.param({"data": [{"id": "a", "price": 1}]}, id="another shape"),
        pytest.param({"data": LIST["data"][:4]}, id="too few"),
    ],
)
def test_a_list_of_another_shape_is_changed(house: "House", listed: Any) -> None:
    """What can not be true ends in its named error, and the tape keeps what it knew."""
    collected(house)
    house.clock.turn(days=300)
    outcome = collected(house, listed)

    assert outcome.scan.status == "changed"
    assert house.ask("select count(*) from v_tokens") == [(7,)]


def test_a_fix_of_ours_is_a_correction(house: "House", monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that read differently after a fix write a correction at the time of their look."""
    collected(house)

    def fixed(pages: Sequence[Page]) -> Any:
        for said in ours(pages):
            yield replace(said, price_cached=None) if said.model == "openai/gpt-4o" else said

    ours = openrouter.parse
    monkeypatch.setattr(openrouter, "parse", fixed)
    monkeypatch.setattr(openrouter, "REVISION", 2)
    collected(house)
    rows = house.ask(
        "select price_cached, origin, observed_at = min(observed_at) over () from token_price "
        "where model = 'openai/gpt-4o' order by scan_id"
    )

    assert rows == [(Decimal("1.25"), "replay", True), (None, "correction", True)]
    assert house.ask(
        "select usd_per_million_cached_input from v_tokens where model = 'openai/gpt-4o'"
    ) == [(None,)]


# -- who is asked, and when -------------------------------------------------------------------


def test_it_is_a_list_of_its_own_among_those_asked() -> None:
    """It is found by name, and is no provider of GPU hours."""
    assert adapter("openrouter") is openrouter
    assert openrouter in HOSTED
    assert openrouter not in ADAPTERS
    assert openrouter not in chosen(())


def test_the_recording_of_somebody_else_is_read_whole(shared: Path) -> None:
    """Both answers of OpenRouter that others kept are read without an error."""
    models = []
    for file in sorted((shared / "payloads/openrouter").glob("openrouter_*.json")):
        page = Page(url=openrouter.URL, fetched_at=None, read=file.read_bytes)  # type: ignore[arg-type]  # no matter here
        rows, rejects = judge_tokens("openrouter", read(openrouter, [page]).tokens)
        models += [len(rows), len(rejects)]

    assert models == [3, 1, 6, 0]


def test_a_collection_asks_it_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hourly collections ask it again when its look is most of a day old, and not before."""
    asked = []

    def answer(_: object, request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json=LIST)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    counts = []
    for hours in (0, 1, 10, 24, 25, 47.9):
        at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hours)
        plan = collecting.Plan(adapters=[], hosted=HOSTED, db=tmp_path / "t.duckdb",
                               now=lambda at=at: at)  # fmt: skip
        collecting.run(plan, Silence())
        counts.append(len(asked))

    assert counts == [1, 1, 1, 2, 2, 3]
    assert {str(url) for url in asked} == {openrouter.URL}


def test_a_recording_without_it_asks_nobody(tmp_path: Path) -> None:
    """A replay of a folder that has no answer of the list leaves it alone."""
    (tmp_path / "kept").mkdir()
    plan = collecting.Plan(adapters=[], hosted=HOSTED, db=tmp_path / "t.duckdb",
                           replay=tmp_path / "kept")  # fmt: skip

    assert collecting.run(plan, Silence()) == []


def test_a_recording_with_it_is_replayed(tmp_path: Path) -> None:
    """`--replay` reads the list from the recording, as of its day."""
    plan = collecting.Plan(adapters=[], hosted=HOSTED, db=tmp_path / "t.duckdb", replay=FIXTURES)
    (outcome,) = collecting.run(plan, Silence())
    with reading(tmp_path / "t.duckdb") as con:
        seen = con.execute("select distinct last_seen::date::varchar from v_tokens").fetchall()

    assert outcome.scan.status == "ok"
    assert seen == [("2026-07-27",)]
