"""Oracle: a price list of parts, the shapes made of them, and what shares their unit."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.errors import Changed
from gputape.scrapers.normalise import Verdict, normalise
from gputape.scrapers.page import Page
from gputape.scrapers.providers import oracle
from gputape.scrapers.quote import Of, Quote
from gputape.scrapers.reading import read
from gputape.store.instances import instances
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = (ROOT / "fixtures/oracle/products.json").read_bytes()
PAYLOADS = ROOT.parent / "shared/payloads/oracle"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded list is not here")
SEEN = datetime(2026, 8, 22, tzinfo=UTC)
H100: dict[str, Any] = json.loads(PRODUCTS)["items"][0]


def quotes(body: bytes) -> list[Quote]:
    """Return what the adapter reads in a product list."""
    return read(oracle, [Page(url=oracle.URL, fetched_at=SEEN, read=lambda: body)]).quotes


def of_item(**change: Any) -> list[Quote]:
    """Return the quotes of a list with the H100 part alone, changed as asked."""
    return quotes(json.dumps({"items": [H100 | change]}).encode())


def judged(found: list[Quote]) -> Verdict:
    """Return what the house makes of quotes on the day they were seen."""
    return normalise("oracle", found, SEEN)


def recorded_list() -> bytes:
    """Return the list recorded in August 2026."""
    return (PAYLOADS / "gpu-index_products_usd_2026-08-22.json").read_bytes()


@recorded
def test_recorded_prices_are_per_gpu() -> None:
    """August 2026: H100 and H200 are 10 a GPU, B300 15, MI300X 6, an L40S 3.5."""
    prices = {q.sku: q.price for q in quotes(recorded_list()) if q.option is Option.ON_DEMAND}
    assert prices["BM.GPU.H100.8"] == prices["BM.GPU.H200.8"] == 10
    assert prices["BM.GPU.B300.8"] == 15
    assert prices["BM.GPU.MI300X.8"] == 6
    assert prices["BM.GPU.L40S.4"] == Decimal("3.5")


@recorded
def test_recorded_list_has_every_gpu_part_once() -> None:
    """Eighteen GPU parts of 35 rows are quoted; licences, appliances and nodes are not."""
    found = quotes(recorded_list())
    parts = {q.source_sku for q in found}
    licences = {f"B1118{n}" for n in range(24, 32)}
    appliances = {"B110965", "B111454", "B111455", "B111463", "B109493"}
    assert len(parts) == 18
    assert not parts & (licences | appliances | {"B108806", "B108807", "B108808"})


@recorded
def test_recorded_shapes_have_the_parts_that_we_say() -> None:
    """A second list of shapes and parts, saved by another project, agrees with ours."""
    said = json.loads((PAYLOADS / "opencost_shape_part_numbers.json").read_bytes())
    ours = {shape: facts.part for shape, facts in instances("oracle").items()}
    theirs = {shape: parts["GPU"] for shape, parts in said.items() if parts["GPU"]}
    assert {shape: ours[shape] for shape in theirs if shape in ours} == {
        shape: part for shape, part in theirs.items() if shape in ours
    }
    assert len(set(theirs) & set(ours)) >= 7


def test_a_part_is_quoted_for_each_of_its_shapes() -> None:
    """One A10 part makes three shapes: a metal machine of four and VMs of one and two."""
    a10 = [q for q in quotes(PRODUCTS) if q.source_sku == "B95909"]
    assert {q.sku for q in a10} == {"BM.GPU.A10.4", "VM.GPU.A10.1", "VM.GPU.A10.2"}
    assert {(q.price, q.of) for q in a10} == {(2, Of.GPU)}
    assert {o.key.sku: o.price for o in judged(a10).offers} == {
        "BM.GPU.A10.4": 8,
        "VM.GPU.A10.1": 2,
        "VM.GPU.A10.2": 4,
    }


def test_a_machine_costs_its_gpus() -> None:
    """Eight H100 at 10 are 80 an hour, host included."""
    [offer] = judged(of_item()).offers
    assert (offer.key.sku, offer.gpu, offer.gpu_count) == ("BM.GPU.H100.8", "h100-sxm-80", 8)
    assert (offer.price, offer.key.region) == (80, "global")


def test_the_highest_usage_range_counts() -> None:
    """A first free range is not the price."""
    prices = [
        {"model": "PAY_AS_YOU_GO", "value": 0, "rangeMin": 0, "rangeMax": 100},
        {"model": "PAY_AS_YOU_GO", "value": 10, "rangeMin": 100},
        {"model": "MONTHLY_COMMIT", "value": 7},
    ]
    money = [{"currencyCode": "USD", "prices": prices}]
    assert [q.price for q in of_item(currencyCodeLocalizations=money)] == [10]


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"items": []}', b"<html></html>"])
def test_a_list_of_another_shape_is_changed(body: bytes) -> None:
    """A list without items is not a list without GPUs."""
    with pytest.raises(Changed):
        quotes(body)


def test_a_part_without_dollars_has_no_price() -> None:
    """A price in another currency alone is no price in dollars, and is shown as none."""
    found = of_item(currencyCodeLocalizations=[{"currencyCode": "EUR", "prices": []}])
    assert [r.reason for r in judged(found).rejects] == ["no_price"]


# -- traps ---------------------------------------------------------------------------------------


def test_trap_15_spot_is_half_by_rule_and_says_so() -> None:
    """A preemptible V100 VM is 1.475 and derived; metal shapes have no spot price."""
    spot = [q for q in quotes(PRODUCTS) if q.option is Option.SPOT]
    assert {(q.sku, q.price) for q in spot if q.source_sku == "B89734"} == {
        ("VM.GPU3.1", Decimal("1.475")),
        ("VM.GPU3.2", Decimal("1.475")),
        ("VM.GPU3.4", Decimal("1.475")),
    }
    assert {q.derived for q in spot} == {"half of on demand: preemptible capacity rule"}
    assert all(q.derived is None for q in quotes(PRODUCTS) if q.option is Option.ON_DEMAND)
    assert not any(q.sku.startswith("BM.") for q in spot)


def test_trap_15_no_spot_where_the_shape_does_not_say() -> None:
    """The A10 VMs may be preemptible; the shape list does not say, so nothing is invented."""
    assert instances("oracle")["VM.GPU.A10.1"].preemptible is None
    assert not [q for q in quotes(PRODUCTS) if q.sku == "VM.GPU.A10.1" and q.option is Option.SPOT]


def test_trap_17_one_price_is_not_fanned_out_over_regions() -> None:
    """The list names no region, so there is one series: global."""
    assert {q.region for q in quotes(PRODUCTS)} == {"global"}


@pytest.mark.parametrize(
    "change",
    [
        {"displayName": "OCI - NVIDIA AI Enterprise - H100"},
        {"serviceCategory": "Compute Cloud@Customer"},
        {"metricName": "Node Per Hour", "serviceCategory": "Compute - VMware"},
        {"metricName": "Resource Possession Per Day"},
        {"metricName": "OCPU Per Hour"},
        {"serviceCategory": None},
    ],
)
def test_trap_10_what_shares_a_unit_is_not_a_gpu(change: dict[str, Any]) -> None:
    """A licence has a GPU's metric and category; an appliance has a GPU's name."""
    assert of_item(**change) == []


def test_trap_27_h100t_is_not_an_h100() -> None:
    """A part that no shape knows is shown under its number with the name it has, and rejected."""
    [part] = [q for q in quotes(PRODUCTS) if q.source_sku == "B109480"]
    assert (part.sku, part.gpu, part.gpu_count) == ("B109480", "H100T", 1)
    assert [r.reason for r in judged([part]).rejects] == ["unknown_gpu"]


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("Oracle Cloud Infrastructure - Compute - GPU - B400", "B400"),
        ("OCI- Compute - GPU - MI455X", "MI455X"),
        ("Compute  - GPU - A10", "A10"),
        ("Compute - GPU - A100 - v2", "A100 - v2"),
        ("Compute - GPU Standard - V2", "V2"),
        ("Compute - Something New", "Compute - Something New"),
    ],
)
def test_trap_26_a_new_part_is_named_by_its_display_name(name: str, gpu: str) -> None:
    """Display names are spelled five ways; what follows the GPU is the name."""
    [found] = of_item(partNumber="B999999", displayName=name)
    assert found.gpu == gpu


@pytest.mark.parametrize("value", [3.5, 10, "10", "n/a", None])
def test_trap_38_a_price_of_another_type_loses_one_row_at_most(value: Any) -> None:
    """Prices are integers or fractions; text or nothing is passed on as it is."""
    money = [{"currencyCode": "USD", "prices": [{"model": "PAY_AS_YOU_GO", "value": value}]}]
    found = of_item(partNumber="B89734", currencyCodeLocalizations=money)
    assert len([q for q in found if q.option is Option.ON_DEMAND]) == 4
    assert len([q for q in found if q.option is Option.SPOT]) == (
        3 if isinstance(value, int | float) else 0
    )
