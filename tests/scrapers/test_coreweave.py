"""CoreWeave: what its page prints, and the ways it could be misread."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.providers import coreweave
from gputape.scrapers.quote import Of, Quote
from gputape.scrapers.reading import read
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "fixtures" / "coreweave" / "pricing.html"
RECORDED = ROOT.parent / "shared/payloads/coreweave/coreweave_pricing_excerpt_2026-10.html"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded page is not here")


def page(body: bytes) -> Page:
    """Return the page holding these bytes."""
    return Page(
        url=coreweave.PROVIDER.prices_at,
        fetched_at=datetime(2026, 10, 1, tzinfo=UTC),
        read=lambda: body,
    )


def quotes(body: bytes) -> list[Quote]:
    """Return what the adapter reads in a page."""
    return read(coreweave, [page(body)]).quotes


def prices(found: list[Quote], sku: str) -> dict[tuple[str, Option], object]:
    """Return one sku's prices as printed, by region and option."""
    return {(q.region, q.option): q.price for q in found if q.sku == sku}


def edited(old: str, new: str) -> bytes:
    """Return the fixture after one edit that must matter."""
    text = FIXTURE.read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new).encode()


@recorded
def test_recorded_h100_is_one_instance_of_eight_in_both_regions() -> None:
    """In October 2026 an 8-GPU H100 instance is $49.24, spot $19.71 and in Europe $19.51."""
    assert prices(quotes(RECORDED.read_bytes()), "hgx-h100") == {
        ("north-america", Option.ON_DEMAND): "$49.24",
        ("north-america", Option.SPOT): "$19.71",
        ("europe", Option.ON_DEMAND): "$49.24",
        ("europe", Option.SPOT): "$19.51",
    }


@recorded
def test_recorded_b300_is_sold_by_sales_and_still_has_a_spot_price() -> None:
    """A row without an on-demand price keeps its spot price."""
    assert prices(quotes(RECORDED.read_bytes()), "nvidia-b300") == {
        ("north-america", Option.ON_DEMAND): "Contact sales",
        ("north-america", Option.SPOT): "$35.84",
        ("europe", Option.ON_DEMAND): "Contact sales",
        ("europe", Option.SPOT): "$36.70",
    }


@recorded
def test_recorded_page_has_twelve_models_in_two_regions() -> None:
    """Twelve GPU rows, two regions and two options are 48 quotes with 48 keys."""
    found = quotes(RECORDED.read_bytes())
    assert len(found) == 48
    assert len({(q.sku, q.region, q.option) for q in found}) == 48
    assert {q.of for q in found} == {Of.SKU}


@recorded
def test_recorded_europe_prices_every_spot_row() -> None:
    """Europe's spot column, read by eye."""
    spot = {
        q.sku: q.price
        for q in quotes(RECORDED.read_bytes())
        if (q.region, q.option) == ("europe", Option.SPOT)
    }
    assert spot == {
        "nvidia-gb300-nvl72": "N/A",
        "nvidia-gb200-nvl72": "N/A",
        "nvidia-b300": "$36.70",
        "nvidia-b200": "$34.87",
        "nvidia-rtx-pro-6000-blackwell-server-edition": "$11.01",
        "nvidia-rtx-pro-6000-blackwell-server-edition-standard-memory": "$9.56",
        "nvidia-gh200": "N/A",
        "hgx-h100": "$19.51",
        "nvidia-l40": "N/A",
        "hgx-h200": "$20.64",
        "nvidia-l40s": "N/A",
        "nvidia-a100": "$9.51",
    }


@recorded
def test_trap_24_the_a100_states_its_memory() -> None:
    """Every A100 row says 80 GB, which its name does not."""
    memory = {q.gpu_memory_gib for q in quotes(RECORDED.read_bytes()) if q.sku == "nvidia-a100"}
    assert memory == {"80"}


def test_text_stays_as_printed() -> None:
    """Footnotes, separators and memory reach the reader as the page has them."""
    first = next(q for q in quotes(FIXTURE.read_bytes()) if q.sku == "nvidia-gb200-nvl72")
    assert first == Quote(
        sku="nvidia-gb200-nvl72",
        option=Option.ON_DEMAND,
        price="$42.00",
        region="north-america",
        gpu="NVIDIA GB200 NVL72",
        gpu_count="4^1",
        gpu_memory_gib="186",
        vcpus="144",
        memory_gib="960",
    )
    assert {q.memory_gib for q in quotes(FIXTURE.read_bytes()) if q.sku == "hgx-h100"} == {"2,048"}


def test_trap_05_price_is_the_instance_and_not_the_inference_gpu() -> None:
    """The column "Inference Single GPU Price" never becomes a price."""
    assert not {"$6.16", "$10.50", "$2.70"} & {q.price for q in quotes(FIXTURE.read_bytes())}


def test_trap_16_values_repeated_for_phones_are_read_once() -> None:
    """Eight rows over two regions are sixteen quotes, whatever the phone's copies say."""
    found = quotes(FIXTURE.read_bytes())
    assert len(found) == len({(q.sku, q.region, q.option) for q in found}) == 16


def test_trap_16_cpu_tables_of_the_same_class_are_left_out() -> None:
    """A CPU instance is no GPU offer although its table wears the same class."""
    assert not [q for q in quotes(FIXTURE.read_bytes()) if "genoa" in q.sku]


def test_trap_03_no_price_is_reported_as_text() -> None:
    """A missing price is "Contact sales" or "N/A", neither empty nor zero."""
    unpriced = {str(q.price) for q in quotes(FIXTURE.read_bytes()) if "$" not in str(q.price)}
    assert unpriced == {"Contact sales", "N/A"}


def test_columns_are_found_by_their_words() -> None:
    """Two columns that change places, header and cells, change nothing."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(FIXTURE.read_bytes(), "lxml")
    for grid in soup.select(".table-grid"):
        cells = grid.select(":scope > .table-v2-cell")
        cells[1].insert_before(cells[3].extract())
    moved = quotes(str(soup).encode())
    assert moved == quotes(FIXTURE.read_bytes())


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("table-v2 gpu-pricing", "table-v3 gpu-pricing", "div.table-v2.gpu-pricing"),
        ("table-row-v2", "table-row-v3", ".table-row-v2"),
        ("data-product", "data-sku", "data-product"),
        ('header-text">GPU Count', 'header-text">GPUs', "GPU Count"),
        ("On-Demand Price (Per Hour)", "On-Demand Price (Per GPU Hour)", "(Per Hour)"),
        ("REGION: EUROPE", "EUROPE", "EUROPE over a table"),
    ],
)
def test_a_page_of_another_shape_is_changed(old: str, new: str, named: str) -> None:
    """A renamed class, attribute, column or region is an error that names what was sought."""
    with pytest.raises(Changed) as caught:
        quotes(edited(old, new))
    assert named in str(caught.value)
    assert caught.value.url == coreweave.PROVIDER.prices_at


def test_a_row_with_a_cell_too_few_is_changed() -> None:
    """Cells that could slide under the wrong header are refused."""
    with pytest.raises(Changed, match="shorter"):
        quotes(edited('<div class="table-v2-cell"><div>$49.24</div></div>', ""))


def test_an_empty_table_is_changed() -> None:
    """A header without rows is not a day without offers."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(FIXTURE.read_bytes(), "lxml")
    for row in soup.select(".table-row-v2"):
        row.decompose()
    with pytest.raises(Changed, match=r"\.table-row-v2"):
        quotes(str(soup).encode())
