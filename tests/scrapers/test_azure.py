"""Azure: the rows of the Retail Prices API, and the ways they could be misread."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed
from gputape.scrapers.http import Pace, Part, Session, Visit, client
from gputape.scrapers.normalise import Verdict, normalise
from gputape.scrapers.page import Page
from gputape.scrapers.providers import azure
from gputape.scrapers.quote import Per, Quote
from gputape.scrapers.reading import read
from gputape.scrapers.recording import Replay
from gputape.store.instances import instances
from gputape.store.offer import Option
from gputape.store.regions import places
from gputape.store.scan import Memory

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "azure"
RECORDED = ROOT.parent / "shared/payloads/azure"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not here")
SEEN = datetime(2026, 7, 27, tzinfo=UTC)
ND = "Standard_ND96isr_H100_v5"
ROW: dict[str, Any] = json.loads((FIXTURES / "eastus_1.json").read_bytes())["Items"][0]


def quotes(*bodies: bytes) -> list[Quote]:
    """Return what the adapter reads in the pages of one part."""
    pages = [Page(url=azure.API, fetched_at=SEEN, read=lambda body=body: body) for body in bodies]
    return read(azure, pages).quotes


def of_rows(*changes: dict[str, Any]) -> list[Quote]:
    """Return the quotes of an answer with the 98.32 row, changed as asked, once a change."""
    return quotes(json.dumps({"Items": [ROW | change for change in changes]}).encode())


def judged(found: list[Quote]) -> Verdict:
    """Return what the house makes of quotes on the day they were seen."""
    return normalise("azure", found, SEEN)


def fixture() -> list[Quote]:
    """Return the quotes of both recorded regions."""
    return quotes(*((FIXTURES / name).read_bytes() for name in
                    ("eastus_1.json", "eastus_2.json", "westus3.json")))  # fmt: skip


def of(sku: str, found: list[Quote]) -> set[tuple[Any, ...]]:
    """Return what a size costs: option, tier, term, price."""
    return {(q.option, q.tier, q.term_months, q.price) for q in found if q.sku == sku}


def fetched(archive: Path, folder: Path = FIXTURES) -> dict[str, Part]:
    """Return every part that a recording gives, fetched by the real client."""
    parts: list[Part] = []
    with client(Replay(folder.parent, folder.name)) as replay:
        visit = Visit(
            client=replay,
            archive=Archive(archive),
            memory=Memory(),
            pace=Pace(timedelta(0), clock=lambda: 0.0, sleep=lambda _: None),
            now=lambda: SEEN,
        )
        azure.fetch(Session(azure.PROVIDER, visit, parts.append))
    assert len({part.name for part in parts}) == len(parts)
    return {part.name: part for part in parts}


# -- recorded answers ----------------------------------------------------------------------------


@recorded
def test_recorded_h100_machine_costs_what_azure_says() -> None:
    """ND96isr H100 v5 in eastus: 98.32 an hour, 551,221 a year, 1,134,310 for three."""
    found = quotes((RECORDED / "retail_eastus_nd_2026-07-27.json").read_bytes())
    assert of(ND, found) == {
        (Option.ON_DEMAND, None, None, Decimal("98.32")),
        (Option.RESERVED, None, 12, Decimal(551221)),
        (Option.RESERVED, None, 36, Decimal(1134310)),
    }
    assert of("Standard_ND96is_H100_v5", found) == {
        (Option.ON_DEMAND, None, None, Decimal("88.488"))
    }
    assert of("Standard_ND96asr_v4", found) == {(Option.SPOT, None, None, Decimal("5.98334"))}
    assert len(found) == 5  # of 10 rows: Low Priority, Windows and DevTest are other products


@recorded
def test_recorded_reservation_per_gpu_hour() -> None:
    """551,221 a year is 62.92 an hour and 7.866 a GPU-hour; three years come to 5.395."""
    found = quotes((RECORDED / "retail_eastus_nd_2026-07-27.json").read_bytes())
    offers = {o.key.term_months: o for o in judged(found).offers if o.key.sku == ND}
    assert round(offers[12].price, 2) == Decimal("62.92")
    assert round(offers[12].price / offers[12].gpu_count, 3) == Decimal("7.866")
    assert round(offers[36].price / offers[36].gpu_count, 3) == Decimal("5.395")


@recorded
def test_recorded_page_of_all_regions_keeps_its_two_gpu_rows() -> None:
    """Of 100 rows of all sizes and regions two are GPU machines: NV4as v4 Spot, NC48ads."""
    found = quotes((RECORDED / "retail_page-1_2022-04-19.json").read_bytes())
    assert {(q.sku, q.region, q.option, q.price) for q in found} == {
        ("Standard_NV4as_v4", "usgovarizona", Option.SPOT, Decimal("0.031282")),
        ("Standard_NC48ads_A100_v4", "eastus2", Option.ON_DEMAND, Decimal("7.346")),
    }


# -- fetch ---------------------------------------------------------------------------------------


def test_every_region_is_a_part_and_eastus_is_the_first(tmp_path: Path) -> None:
    """Sixty regions are asked one by one; those that are not recorded fail alone."""
    parts = fetched(tmp_path)
    assert next(iter(parts)) == "eastus"
    assert set(parts) == set(places("azure"))
    assert {name for name, part in parts.items() if not part.error} == {"eastus", "westus3"}


def test_trap_21_pages_are_followed_to_the_end(tmp_path: Path) -> None:
    """A part has the pages behind NextPageLink too, asked once each, on port 443 or not."""
    assert [len(part.pages) for part in fetched(tmp_path).values() if not part.error] == [2, 1]


@pytest.mark.parametrize(
    "link",
    [
        "https://prices.azure.com.example.net/api/retail/prices?$skip=1000",
        "http://prices.azure.com/api/retail/prices?$skip=1000",
        f"{azure.API}?{azure.query('eastus')}",
    ],
)
def test_a_link_that_leads_away_or_back_fails_the_part(tmp_path: Path, link: str) -> None:
    """Another host or plain http is not asked, nor a page that names itself for ever."""
    (tmp_path / "azure").mkdir()
    answer = {"Items": [ROW], "NextPageLink": link}
    (tmp_path / "azure" / "page.json").write_text(json.dumps(answer))
    entry = {"method": "GET", "url": f"{azure.API}*%27eastus%27*", "file": "page.json",
             "status": 200, "fetched_at": "2026-07-27T00:00:00Z"}  # fmt: skip
    (tmp_path / "azure" / "pages.json").write_text(json.dumps([entry, entry]))
    part = fetched(tmp_path / "archive", tmp_path / "azure")["eastus"]
    assert isinstance(part.error, Changed)
    assert "NextPageLink" in str(part.error)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"error": {"code": 1}}', b"<html>"])
def test_an_answer_of_another_shape_is_changed(body: bytes) -> None:
    """No Items, no list of prices."""
    with pytest.raises(Changed):
        quotes(body)


# -- rows ----------------------------------------------------------------------------------------


def test_a_row_is_read_whole() -> None:
    """The size is the sku, the meter and Azure's own skuId say where the price is from."""
    assert of_rows({}) == [
        Quote(
            sku=ND,
            option=Option.ON_DEMAND,
            price=Decimal("98.32"),
            region="eastus",
            source_sku="03f48dbf-423c-5af8-9e6f-36e42dda07ec/DZH318Z0KN53/0046",
            valid_from=datetime(2023, 12, 1, tzinfo=UTC),
        )
    ]


def test_a_reservation_is_priced_for_its_term() -> None:
    """The unit says "1 Hour" and means one or three years."""
    terms = {(q.term_months, q.per, q.price) for q in fixture() if q.per is not Per.HOUR}
    assert terms == {(12, Per.TERM, Decimal(551221)), (36, Per.TERM, Decimal(1134310))}


def test_a_savings_plan_is_hourly_and_its_own_tier() -> None:
    """NC40ads H100 v5: 6.98 an hour, 5.8067 and 4.306 under a plan of one and three years."""
    found = [q for q in fixture() if q.sku == "Standard_NC40ads_H100_v5"]
    assert of("Standard_NC40ads_H100_v5", found) == {
        (Option.ON_DEMAND, None, None, Decimal("6.98")),
        (Option.RESERVED, "savings_plan", 12, Decimal("5.8067")),
        (Option.RESERVED, "savings_plan", 36, Decimal("4.306")),
    }
    assert {q.per for q in found} == {Per.HOUR}


def test_an_unknown_term_is_left_to_the_judge() -> None:
    """A reservation for "1 Decade" is listed without months and rejected by name."""
    [found] = of_rows({"type": "Reservation", "reservationTerm": "1 Decade"})
    assert found.term_months is None
    assert [r.reason for r in judged([found]).rejects] == ["no_term"]


def test_a_copy_for_another_meter_region_gives_way() -> None:
    """NC24ads A100 v4 has a primary and another row: one price; ND96amsr has only the other."""
    found = fixture()
    ours = [q for q in found if q.sku == "Standard_NC24ads_A100_v4" and not q.tier]
    assert [q.source_sku for q in ours] == [
        "00000000-0000-0000-0000-000000000006/DZH318Z09TGJ/001Q"
    ]
    only = (Option.ON_DEMAND, None, None, Decimal("32.77"))
    assert only in of("Standard_ND96amsr_A100_v4", found)


def test_the_newest_row_in_force_wins_whatever_the_order() -> None:
    """Of 2023, June 2026 and September 2026, seen in July: June; September waits its turn."""
    rows = [
        {"retailPrice": 98.32},
        {"retailPrice": 90, "effectiveStartDate": "2026-06-01T00:00:00Z"},
        {"retailPrice": 80, "effectiveStartDate": "2026-09-01T00:00:00Z"},
    ]
    for order in (rows, rows[::-1]):
        verdict = judged(of_rows(*order))
        assert [(o.price, o.suspect) for o in verdict.offers] == [(Decimal(90), None)]
        assert [r.reason for r in verdict.rejects] == ["not_in_force"]
        assert verdict.next_effective_at == datetime(2026, 9, 1, tzinfo=UTC)


def test_a_row_that_ended_gives_way_to_one_in_force() -> None:
    """A newer row that is over does not hide the older one."""
    over = {
        "retailPrice": 1,
        "effectiveStartDate": "2026-06-01T00:00:00Z",
        "effectiveEndDate": "2026-07-01T00:00:00Z",
    }
    assert [q.price for q in of_rows(over, {})] == [Decimal("98.32")]


def test_two_prices_of_equal_rank_are_both_shown() -> None:
    """Two primary rows of one day that differ are a doubt for the judge, not a choice of ours."""
    [offer] = judged(of_rows({}, {"retailPrice": 70})).offers
    assert offer.suspect is not None
    assert "two prices" in offer.suspect


def test_a_row_without_a_readable_date_is_still_a_price() -> None:
    """A missing or odd date loses neither the row nor the run."""
    assert [q.price for q in of_rows({"effectiveStartDate": None})] == [Decimal("98.32")]
    assert [q.valid_from for q in of_rows({"effectiveStartDate": "soon"})] == [None]


def test_an_unknown_size_is_seen_and_rejected() -> None:
    """A new N-series size comes through without a GPU, and the judge says what to add."""
    [found] = of_rows({"armSkuName": "Standard_NZ9_v9"})
    assert found.gpu is None
    assert [r.reason for r in judged([found]).rejects] == ["unknown_instance"]


# -- traps ---------------------------------------------------------------------------------------


def test_trap_02_a_price_of_zero_is_shown_and_rejected() -> None:
    """GB300 was listed at 0 before it had a price."""
    [zero] = [q for q in fixture() if q.sku == "Standard_ND128isr_GB300_v6"]
    assert zero.price == 0
    assert [r.reason for r in judged([zero]).rejects] == ["zero"]


def test_trap_24_nd_and_ndm_are_two_machines() -> None:
    """ND96asr v4 has eight A100 of 40 GB, ND96amsr A100 v4 eight of 80 GB."""
    gpus = {o.key.sku: o.gpu for o in judged(fixture()).offers}
    assert gpus["Standard_ND96asr_v4"] == "a100-sxm-40"
    assert gpus["Standard_ND96amsr_A100_v4"] == "a100-sxm-80"


def test_trap_31_a_sixth_of_a_gpu_is_a_sixth() -> None:
    """NV6ads A10 v5 is a sixth of an A10, not one."""
    [offer] = [o for o in judged(fixture()).offers if o.key.sku == "Standard_NV6ads_A10_v5"]
    assert offer.gpu_count == Decimal("0.166667")


def test_trap_32_an_h100_machine_has_eight_gpus() -> None:
    """The resource API says 12 for ND96isr H100 v5; the price list says nothing."""
    assert instances("azure")[ND].gpu_count == 8


def test_trap_34_a_promotion_is_another_price() -> None:
    """A K80 at $0.18 "Promo" is not the K80 at $0.90."""
    assert not any("Promo" in q.sku for q in fixture())


@pytest.mark.parametrize(
    "change",
    [
        {"productName": "Virtual Machines NDsr H100 v5 Series Windows"},
        {"productName": "Virtual Machines NCCadsv5 Srs Win"},
        {"meterName": "ND96isrH100v5 Low Priority", "skuName": "ND96isrH100v5 Low Priority"},
        {"type": "DevTestConsumption"},
        {"productName": "Virtual Machines NC Series HDInsight"},
        {"serviceName": "HDInsight"},
        {"productName": "NVSv3 Series CloudServices"},
        {"productName": "NVSv3 Series Cloud Services"},
        {"armSkuName": "NDasrA100v4_Type1"},
        {"armSkuName": "Standard_NC6_Promo"},
        {"armSkuName": "Standard_NP10s"},
        {"armSkuName": "Standard_D5_v2"},
        {"armSkuName": None},
    ],
)
def test_trap_35_other_products_share_the_size(change: dict[str, Any]) -> None:
    """Windows is spelled two ways, and five more products carry a GPU machine's name."""
    assert of_rows(change) == []


def test_trap_35_a_linux_product_may_say_so() -> None:
    """The product "NCads A100 v4 Series Linux" is the plain machine; "Winter" is not Windows."""
    assert len(of_rows({"productName": "NCads A100 v4 Series Linux"})) == 1
    assert len(of_rows({"productName": "Virtual Machines Winter Series"})) == 1


def test_trap_36_a_region_has_one_spelling() -> None:
    """Rows for "WestUS3" and "westus3" are of one region."""
    assert {q.region for q in fixture()} == {"eastus", "westus3"}
    assert len(of_rows({"armRegionName": "WestUS3"}, {"armRegionName": "westus3"})) == 2
    assert (
        len(judged(of_rows({"armRegionName": "WestUS3"}, {"armRegionName": "westus3"})).offers) == 1
    )


def test_trap_37_a_row_keeps_its_currency() -> None:
    """A row in another currency is not passed off as dollars."""
    assert [q.currency for q in of_rows({"currencyCode": "EUR"})] == ["EUR"]


def test_trap_40_a_cheap_machine_stays_cheap() -> None:
    """Eight A100 on spot at 5.98 is what Azure said; nothing here makes it dearer."""
    assert (Option.SPOT, None, None, Decimal("5.98334")) in of("Standard_ND96asr_v4", fixture())
