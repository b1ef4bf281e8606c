"""Lambda: what its page and its API say, and the ways they could be misread."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed
from gputape.scrapers.http import Pace, Part, Session, Visit, client
from gputape.scrapers.page import Page
from gputape.scrapers.providers import lambda_labs
from gputape.scrapers.quote import Of, Quote
from gputape.scrapers.reading import read
from gputape.scrapers.recording import Replay
from gputape.store.offer import Option
from gputape.store.scan import Memory

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "lambda_labs"
PRICING = (FIXTURES / "pricing.html").read_bytes()
API = (FIXTURES / "keyed" / "instance-types.json").read_bytes()
RECORDED = ROOT.parent / "shared/payloads/lambda_labs/lambda_pricing_2026-08-22.html"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded page is not here")
SEEN = datetime(2026, 8, 22, tzinfo=UTC)
UP_TO_A_YEAR = "2 weeks \N{EN DASH} 1 year"


def page(body: bytes) -> Page:
    """Return the page holding these bytes."""
    return Page(url=lambda_labs.PROVIDER.prices_at, fetched_at=SEEN, read=lambda: body)


def quotes(*bodies: bytes) -> list[Quote]:
    """Return what the adapter reads in the pages of one part."""
    return read(lambda_labs, [page(body) for body in bodies]).quotes


def prices(found: list[Quote]) -> dict[str, object]:
    """Return prices as printed, by sku."""
    assert len({q.sku for q in found}) == len(found)
    return {q.sku: q.price for q in found}


def fetched(slug: str, folder: Path, archive: Path, key: str = "") -> list[Part]:
    """Return the parts that a recording gives, fetched by the real client."""
    parts: list[Part] = []
    with client(Replay(folder, slug)) as replay:
        visit = Visit(
            client=replay,
            archive=Archive(archive),
            memory=Memory(),
            pace=Pace(timedelta(0), clock=lambda: 0.0, sleep=lambda _: None),
            now=lambda: SEEN,
            secrets={"LAMBDA_API_KEY": key},
        )
        lambda_labs.fetch(Session(lambda_labs.PROVIDER, visit, parts.append))
    return parts


# -- the page ------------------------------------------------------------------------------------


@recorded
def test_recorded_page_has_22_instances_and_8_clusters() -> None:
    """In August 2026 the page lists 22 instance rows and 8 cluster rows, each once."""
    found = quotes(RECORDED.read_bytes())
    assert len(prices(found)) == 30
    assert [q.option for q in found].count(Option.ON_DEMAND) == 22
    assert [q.tier for q in found].count("cluster") == 8


@recorded
def test_recorded_prices_are_those_read_by_eye() -> None:
    """The price falls with the size of the instance: H100 SXM 3.99, 4.09, 4.19, 4.29 a GPU."""
    found = prices(quotes(RECORDED.read_bytes()))
    assert {sku: price for sku, price in found.items() if "x NVIDIA H100 " in sku} == {
        "8x NVIDIA H100 SXM 80 GB": "$3.99",
        "4x NVIDIA H100 SXM 80 GB": "$4.09",
        "2x NVIDIA H100 SXM 80 GB": "$4.19",
        "1x NVIDIA H100 SXM 80 GB": "$4.29",
        "1x NVIDIA H100 PCIe 80 GB": "$3.29",
    }
    assert found["8x NVIDIA B200 SXM6 180 GB"] == "$6.69"
    assert found["1x NVIDIA Quadro RTX 6000 24 GB"] == "$0.69"


def test_a_row_is_read_whole() -> None:
    """The tab gives the GPUs of an instance, the row the rest; the price is for one GPU."""
    first = next(q for q in quotes(PRICING) if q.sku.startswith("8x NVIDIA H100"))
    assert first == Quote(
        sku="8x NVIDIA H100 SXM 80 GB",
        option=Option.ON_DEMAND,
        price="$3.99",
        of=Of.GPU,
        gpu="NVIDIA H100 SXM",
        gpu_count="8",
        gpu_memory_gib="80",
        vcpus="208",
        memory_gib="1800",
    )


def test_a_cluster_is_reserved_for_its_shortest_commitment() -> None:
    """Two weeks round up to one month, "1 year+" is twelve, and the sku keeps the words."""
    clusters = {q.sku: (q.term_months, q.gpu_count, q.price) for q in quotes(PRICING) if q.tier}
    assert clusters == {
        f"1-Click Cluster NVIDIA HGX B200 16 {UP_TO_A_YEAR}": (1, "16", "$9.86"),
        f"1-Click Cluster NVIDIA HGX B200 64 {UP_TO_A_YEAR}": (1, "64", "$9.36"),
        f"1-Click Cluster NVIDIA HGX B200 256+ {UP_TO_A_YEAR}": (1, "256+", "$8.87"),
        "1-Click Cluster NVIDIA HGX B200 16+ 1 year+": (12, "16+", "—"),
        f"1-Click Cluster NVIDIA H100 16 {UP_TO_A_YEAR}": (1, "16", "$6.16"),
    }


@pytest.mark.parametrize(
    ("duration", "months"),
    [("5 weeks", 2), ("3 months", 3), ("1 month to 1 year", 1), ("On request", None)],
)
def test_a_duration_is_rounded_up_to_whole_months(duration: str, months: int | None) -> None:
    """Weeks become the months that cover them; words alone become no term."""
    text = PRICING.decode().replace("1 year+", duration)
    [found] = [q for q in quotes(text.encode()) if q.gpu_count == "16+"]
    assert found.term_months == months


def test_trap_05_page_prices_are_per_gpu() -> None:
    """Every price of the page is for one GPU of a counted sku, never for the instance."""
    assert {q.of for q in quotes(PRICING)} == {Of.GPU}
    assert all(q.gpu_count for q in quotes(PRICING))


def test_trap_16_the_escaped_copy_in_the_script_is_not_read() -> None:
    """The script repeats the B200 clusters; the rows are still counted once."""
    assert b"newIslands" in PRICING
    assert PRICING.count(b"$9.86") == 2
    assert [q.price for q in quotes(PRICING)].count("$9.86") == 1


def test_trap_24_two_a100_sxm_rows_are_two_skus() -> None:
    """An 8x A100 SXM has 80 GB at $2.79 or 40 GB at $1.99: memory tells them apart."""
    rows = [q for q in quotes(PRICING) if q.gpu == "NVIDIA A100 SXM" and q.gpu_count == "8"]
    assert {(q.sku, q.gpu_memory_gib, q.price) for q in rows} == {
        ("8x NVIDIA A100 SXM 80 GB", "80", "$2.79"),
        ("8x NVIDIA A100 SXM 40 GB", "40", "$1.99"),
    }


def test_trap_25_sxm_and_pcie_are_two_skus() -> None:
    """One H100 is $4.29 as SXM and $3.29 as PCIe."""
    found = prices(quotes(PRICING))
    assert found["1x NVIDIA H100 SXM 80 GB"] == "$4.29"
    assert found["1x NVIDIA H100 PCIe 80 GB"] == "$3.29"


def test_class_names_do_not_matter() -> None:
    """Another deployment's class hashes change nothing."""
    assert quotes(PRICING.replace(b"3954x", b"z1nfw").replace(b"hdiy5", b"ywv0y")) == quotes(
        PRICING
    )


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('role="tabpanel"', 'role="region"', "[role=tabpanel][aria-labelledby]:has(table)"),
        ("data-plan", "data-name", "tr[data-plan]"),
        ("data-label", "data-title", "[data-label]"),
        ('data-label="VRAM/GPU"', 'data-label="VRAM"', "VRAM/GPU"),
        ("PRICE/GPU/HR*", "PRICE/HR", "PRICE/GPU/HR*"),
        (">8x<", ">8 GPUs<", "'8 GPUs'"),
        ('id="tab-:', 'id="other-:', 'id="tab-:'),
    ],
)
def test_a_page_of_another_shape_is_changed(old: str, new: str, named: str) -> None:
    """A renamed attribute, label or tab is an error that names what was sought."""
    text = PRICING.decode()
    assert old in text
    with pytest.raises(Changed) as caught:
        quotes(text.replace(old, new).encode())
    assert named in str(caught.value)


def test_an_empty_table_is_changed() -> None:
    """A table that lost its rows is not a tab without offers."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(PRICING, "lxml")
    for row in soup.select("tr[data-plan='NVIDIA H100']"):
        row.decompose()
    with pytest.raises(Changed, match="data-plan"):
        quotes(str(soup).encode())


# -- the API -------------------------------------------------------------------------------------


def test_trap_37_cents_become_dollars() -> None:
    """3192 cents an hour are $31.92 for the instance, which is 8 times the page's $3.99."""
    [found] = [q for q in quotes(API) if q.sku == "gpu_8x_h100_sxm5"]
    assert found == Quote(
        sku="gpu_8x_h100_sxm5",
        option=Option.ON_DEMAND,
        price=Decimal("31.92"),
        gpu="H100 (80 GB SXM5)",
        gpu_count=8,
        vcpus=208,
        memory_gib=1800,
        available=True,
    )


def test_trap_06_api_prices_are_per_instance() -> None:
    """Every price of the API is for the whole sku."""
    assert {q.of for q in quotes(API)} == {Of.SKU}


def test_trap_17_a_type_is_quoted_once_however_many_regions_have_it() -> None:
    """A price is not written for regions; none free means not available, not absent."""
    found = quotes(API)
    assert {q.region for q in found} == {"global"}
    assert {q.sku: q.available for q in found} == {
        "gpu_8x_b200_sxm6": False,
        "gpu_8x_h100_sxm5": True,
        "gpu_1x_h100_pcie": True,
        "gpu_8x_a100_80gb_sxm4": True,
        "gpu_8x_a100": False,
        "gpu_1x_a100": False,
        "gpu_8x_v100": True,
        "gpu_1x_gh200": True,
        "gpu_1x_a10": True,
    }


def test_types_without_gpus_are_left_out() -> None:
    """A CPU type is no GPU offer."""
    assert b"cpu_4x_general" in API
    assert not [q for q in quotes(API) if q.sku.startswith("cpu")]


def test_trap_01_a_price_of_null_stays_none() -> None:
    """One type without a price does not lose the others, and is not free."""
    body = json.loads(API)
    body["data"]["gpu_1x_a10"]["instance_type"]["price_cents_per_hour"] = None
    found = prices(quotes(json.dumps(body).encode()))
    assert found["gpu_1x_a10"] is None
    assert len(found) == 9


@pytest.mark.parametrize("lost", ["data", "price_cents_per_hour", "gpu_description", "specs"])
def test_an_answer_of_another_shape_is_changed(lost: str) -> None:
    """A field that is gone is named."""
    with pytest.raises(Changed, match=lost):
        quotes(API.replace(f'"{lost}"'.encode(), b'"renamed"'))


# -- which of them is asked ----------------------------------------------------------------------


def test_without_a_key_the_page_is_one_part(tmp_path: Path) -> None:
    """The default collection asks for one page and needs no key."""
    [part] = fetched("lambda_labs", FIXTURES.parent, tmp_path)
    assert (part.name, part.error) == ("pricing", None)
    assert read(lambda_labs, part.pages).quotes == quotes(PRICING)


def test_with_a_key_nothing_is_listed_twice(tmp_path: Path) -> None:
    """The API lists the instances; of the page only the clusters are read."""
    api, clusters = fetched("keyed", FIXTURES, tmp_path, key="secret")
    assert [api.name, clusters.name] == ["api", "clusters"]
    assert {q.option for q in read(lambda_labs, api.pages).quotes} == {Option.ON_DEMAND}
    assert prices(read(lambda_labs, clusters.pages).quotes) == {
        f"1-Click Cluster NVIDIA HGX B200 16 {UP_TO_A_YEAR}": "$9.86"
    }


def test_with_a_key_and_no_answer_the_page_does_not_stand_in(tmp_path: Path) -> None:
    """When the API fails its series keep their last state; the page's names do not replace them."""
    [part] = fetched("lambda_labs", FIXTURES.parent, tmp_path, key="secret")
    assert part.name == "api"
    assert part.error is not None
    assert part.error.word == "unreachable"
