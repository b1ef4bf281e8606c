"""FluidStack: each layout its page has had, and honest emptiness."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.providers import fluidstack
from gputape.scrapers.quote import Of, Quote
from gputape.scrapers.reading import read
from gputape.store.offer import Option

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "fluidstack" / "pricing.html"
TABLE = FIXTURE.read_text(encoding="utf-8")
CARDS = """<!DOCTYPE html><html><head><title>FluidStack pricing</title></head><body>
<div class="framer-67kbit">
  <div class="framer-1a"><h3 class="framer-text">H100 SXM</h3>
    <div data-framer-name="$2.10 / GPU / H"><p class="framer-text">$2.10 / GPU / H</p></div></div>
  <div class="framer-1a"><h3 class="framer-text">GB200 NVL72</h3>
    <div data-framer-name="On Request"><p class="framer-text">On Request</p></div></div>
</div></body></html>"""


def quotes(text: str) -> list[Quote]:
    """Return what the adapter reads in a page."""
    page = Page(
        url=fluidstack.PROVIDER.prices_at,
        fetched_at=datetime(2025, 1, 9, tzinfo=UTC),
        read=text.encode,
    )
    return read(fluidstack, [page]).quotes


def test_table_of_january_2025_prices_a_gpu_on_demand_and_for_a_year() -> None:
    """An H100 PCIe was $2.89 on demand and $2.05 for a year; the host is included."""
    assert [q for q in quotes(TABLE) if q.sku == "Nvidia H100 PCIe"] == [
        Quote(
            sku="Nvidia H100 PCIe",
            option=option,
            term_months=term,
            price=price,
            of=Of.GPU,
            gpu="Nvidia H100 PCIe",
            gpu_count=1,
            gpu_memory_gib="80",
        )
        for option, term, price in (
            (Option.ON_DEMAND, None, "$2.89"),
            (Option.RESERVED, 12, "$2.05"),
        )
    ]


def test_a_placeholder_keeps_its_column() -> None:
    """An H200 had no on-demand price, and its $2.45 is the price for a year."""
    found = {(q.option, q.price) for q in quotes(TABLE) if q.sku == "Nvidia H200"}
    assert found == {(Option.ON_DEMAND, "n/a"), (Option.RESERVED, "$2.45")}


def test_table_of_2024_committed_for_six_months() -> None:
    """The earlier words "GPU Model" and "GPU 6 Month Price (/hr)" mean a term of six months."""
    text = TABLE.replace("<p>Model", "<p>GPU Model")
    text = text.replace("On-Demand Price", "GPU On-Demand Price")
    text = text.replace("1 Year price", "GPU 6 Month Price")
    found = quotes(text)
    assert len(found) == 10
    assert {(q.option, q.term_months) for q in found} == {
        (Option.ON_DEMAND, None),
        (Option.RESERVED, 6),
    }


def test_trap_24_a100_40_and_80_are_two_skus() -> None:
    """Memory is in the name and in its own column."""
    memory = {q.sku: q.gpu_memory_gib for q in quotes(TABLE) if "A100" in q.sku}
    assert memory == {"Nvidia A100 80GB PCIe": "80", "Nvidia A100 40GB PCIe": "40"}


def test_trap_12_a_gpu_billed_apart_from_its_host_is_no_price() -> None:
    """In 2023 vCPU and RAM had prices of their own: the GPU's column was only a part."""
    with pytest.raises(Changed, match=r"\$0\.01/hr"):
        quotes(TABLE.replace("Max vCPUs per GPU", "Max vCPUs per GPU ($0.01/hr)"))


def test_cards_of_2025_are_clusters_without_a_stated_term() -> None:
    """A card is a GPU's heading and a price, or "On Request"."""
    found = [(q.sku, q.option, q.tier, q.term_months, q.price, q.of) for q in quotes(CARDS)]
    assert found == [
        ("H100 SXM", Option.ON_DEMAND, "cluster", None, "$2.10", Of.GPU),
        ("GB200 NVL72", Option.ON_DEMAND, "cluster", None, "On Request", Of.GPU),
    ]


def test_a_page_without_prices_lists_nothing() -> None:
    """The platform is retired: a FluidStack page that prints no price is a whole answer."""
    page = "<html><title>FluidStack</title><body><h1>Talk to us about capacity</h1></body></html>"
    assert quotes(page) == []
    assert fluidstack.PROVIDER.at_least == 0


@pytest.mark.parametrize(
    "page",
    [
        "<html><title>Domain for sale</title><body>Make an offer</body></html>",
        CARDS.replace("/ GPU / H", "per GPU-hour").replace("On Request", "Ask us"),
        TABLE.replace("table", "section"),
    ],
    ids=["another site", "prices in an unknown card", "prices outside a table"],
)
def test_emptiness_that_can_not_be_honest_is_changed(page: str) -> None:
    """Another site, or prices that no known layout holds, is not an empty list."""
    with pytest.raises(Changed, match="no table or card"):
        quotes(page)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("On-Demand Price (/hr)", "Price", "'Price'"),
        ("1 Year price (/hr)", "1 Year price (/month)", "(/month)"),
        ("<p>Model", "<p>Name", "'Name'"),
        ("VRAM (GB)", "Memory", "'Memory'"),
        ("thead", "tbody", "thead th"),
        ('<td class="col"><div class="pricing_cell hide-line"><p>$2.45</p></div></td>', "", "H200"),
    ],
)
def test_a_table_of_another_shape_is_changed(old: str, new: str, named: str) -> None:
    """A table that lost a column it used to have is an error that says what it has."""
    assert old in TABLE
    with pytest.raises(Changed) as caught:
        quotes(TABLE.replace(old, new))
    assert named in str(caught.value)


def test_an_empty_table_is_changed() -> None:
    """A header without rows is not an empty list."""
    start, end = TABLE.index("<tbody"), TABLE.index("</tbody>")
    with pytest.raises(Changed, match="tbody tr"):
        quotes(TABLE[:start] + "<tbody>" + TABLE[end:])
