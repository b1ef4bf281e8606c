"""EC2 offer files: which of a million rows are prices, and how a reserved term is joined."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers import ec2_offer
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.store.instances import instances
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[2]
OFFER = ROOT / "fixtures" / "aws" / "offer.us-east-1.csv"
PAYLOADS = ROOT.parent / "shared" / "payloads" / "aws"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded files are not here")
KNOWN = instances("aws")
CODES = {"US East (N. Virginia)": "us-east-1", "EU (Paris)": "eu-west-3"}


def page(path: Path) -> Page:
    """Return a file as a page."""
    seen = datetime(2026, 9, 10, tzinfo=UTC)
    return Page(url=path.name, fetched_at=seen, read=path.read_bytes, path=path)


def csv_quotes(path: Path = OFFER) -> list[Quote]:
    """Return what an offer file in CSV says."""
    return list(ec2_offer.quotes(ec2_offer.csv_rows(page(path)), KNOWN, CODES))


def json_quotes(document: dict[str, Any], known: Iterable[str] = KNOWN) -> list[Quote]:
    """Return what an offer file in JSON says."""
    return list(ec2_offer.quotes(ec2_offer.json_rows(document), frozenset(known), CODES))


def terms(found: Iterable[Quote], sku: str) -> dict[tuple[object, ...], tuple[object, object]]:
    """Return term → hourly and upfront, as printed."""
    return {
        (q.term_months, q.tier, q.payment): (q.price, q.upfront)
        for q in found
        if q.sku == sku and q.option is Option.RESERVED
    }


def good_row(**changed: str) -> dict[str, str]:
    """Return the row of p4d.24xlarge on demand, with some columns changed."""
    [row] = [
        row
        for row in ec2_offer.csv_rows(page(OFFER))
        if (row["SKU"], row["TermType"]) == ("H7NGEAC6UEHNTKSJ", "OnDemand")
    ]
    return row | {name.replace("_", " "): text for name, text in changed.items()}


# -- which rows ----------------------------------------------------------------------------------


def test_on_demand_rows_of_a_csv() -> None:
    """Of eight on-demand rows three are plain Linux accelerators."""
    found = {q.sku: q for q in csv_quotes() if q.option is Option.ON_DEMAND}
    assert {sku: q.price for sku, q in found.items()} == {
        "p4d.24xlarge": "21.9576420000",
        "p5.48xlarge": "55.0400000000",
        "trn1.32xlarge": "21.5000000000",
    }
    assert found["p4d.24xlarge"] == Quote(
        sku="p4d.24xlarge",
        option=Option.ON_DEMAND,
        price="21.9576420000",
        region="us-east-1",
        vcpus="96",
        memory_gib="1152",
        source_sku="H7NGEAC6UEHNTKSJ.JRTCKXETXF.6YS6EN2CT7",
    )


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("Product Family", "Dedicated Host"),
        ("Tenancy", "Dedicated"),
        ("Tenancy", "Host"),
        ("Operating System", "Windows"),
        ("Operating System", "RHEL"),
        ("Pre Installed S/W", "SQL Ent"),
        ("CapacityStatus", "UnusedCapacityReservation"),
        ("CapacityStatus", "AllocatedCapacityReservation"),
        ("License Model", "Bring your own license"),
        ("MarketOption", "CapacityBlock"),
        ("operation", "RunInstances:CB"),
        ("Unit", "Quantity"),
        ("TermType", "Spot"),
    ],
)
def test_each_condition_keeps_a_row_out(column: str, text: str) -> None:
    """Any one column of another product is enough."""
    rows = [good_row(), good_row() | {column: text}]
    assert [q.sku for q in ec2_offer.quotes(rows, KNOWN, CODES)] == ["p4d.24xlarge"]


@pytest.mark.parametrize("column", ["MarketOption", "CapacityStatus", "Pre Installed S/W"])
def test_a_column_that_an_old_file_lacks_excludes_nothing(column: str) -> None:
    """Files from before the column existed have no text in it."""
    assert list(ec2_offer.quotes([good_row() | {column: ""}], KNOWN, CODES))


def test_bare_metal_is_an_instance() -> None:
    """g4dn.metal is sold under a product family of its own."""
    row = good_row(Product_Family="Compute Instance (bare metal)", Instance_Type="g4dn.metal")
    assert [q.sku for q in ec2_offer.quotes([row], KNOWN, CODES)] == ["g4dn.metal"]


@pytest.mark.parametrize(
    ("family", "gpus", "kept"),
    [
        ("GPU instance", "", True),
        ("Machine Learning ASIC Instances", "NA", True),
        ("Some later family", "4", True),
        ("Some later family", "0", False),
        ("Some later family", "NA", False),
        ("FPGA Instances", "8", False),
        ("Media Accelerator Instances", "1", False),
        ("General purpose", "", False),
    ],
)
def test_an_unknown_accelerator_is_let_through(family: str, gpus: str, kept: bool) -> None:
    """A type that the facts lack becomes a quote, so that it is counted and noticed."""
    row = good_row(Instance_Type="x99.large", Instance_Family=family, GPU=gpus)
    found = list(ec2_offer.quotes([row], KNOWN, CODES))
    assert [(q.sku, q.gpu) for q in found] == ([("x99.large", None)] if kept else [])


def test_every_known_type_is_found_by_its_name() -> None:
    """The CSV is searched by name before it is parsed: no type of the facts may slip through."""
    assert KNOWN
    assert not [sku for sku in KNOWN if not ec2_offer.NAMED_ACCELERATED.match(sku)]


def test_names_of_other_instances_are_not_taken_for_accelerators() -> None:
    """No CPU, FPGA or media family begins like an accelerator's."""
    others = ("m8in.8xlarge", "t3.nano", "c7gn.large", "i4i.metal", "x2gd.large", "f2.6xlarge",
              "vt1.3xlarge", "d3en.xlarge", "u-6tb1.metal", "hpc7g.4xlarge", "mac2.metal",
              "im4gn.large", "is4gen.large", "trn", "r6gd.large", "z1d.large")  # fmt: skip
    assert not [sku for sku in others if ec2_offer.is_accelerated_by_name(sku, KNOWN)]


# -- reserved ------------------------------------------------------------------------------------


def test_a_term_is_one_quote_with_both_parts() -> None:
    """p4d is sold in twelve ways: the hourly part as printed, the upfront part beside it."""
    assert terms(csv_quotes(), "p4d.24xlarge") == {
        (12, None, "none"): ("13.9211000000", None),
        (12, None, "partial"): ("6.6200000000", "58000"),
        (12, None, "all"): ("0.0000000000", "113600"),
        (36, None, "none"): ("9.3742000000", None),
        (36, None, "partial"): ("4.4600000000", "117000"),
        (36, None, "all"): ("0", "229000"),
        (12, "convertible", "none"): ("15.9000000000", None),
        (12, "convertible", "partial"): ("7.5700000000", "66300"),
        (12, "convertible", "all"): ("0.0000000000", "130000"),
        (36, "convertible", "none"): ("11.3000000000", None),
        (36, "convertible", "partial"): ("5.3800000000", "141400"),
        (36, "convertible", "all"): ("0.0000000000", "277000"),
    }


def test_reserved_prices_of_june_2026() -> None:
    """In June 2026 a p5 is 23.7773 for three years, a g6e.xlarge 1.1724 for one."""
    found = csv_quotes()
    assert terms(found, "p5.48xlarge") == {(36, None, "none"): ("23.7773000000", None)}
    assert terms(found, "g6e.xlarge") == {(12, None, "none"): ("1.1724000000", None)}


def test_reserved_windows_and_dedicated_are_not_read() -> None:
    """Reserved terms exist for every product: the product decides, not the term."""
    assert b'"DEDICATEDG4DNXLG","4NA7Y494T4"' in OFFER.read_bytes()
    assert b'"WINDOWSG4DNXLRGE","4NA7Y494T4"' in OFFER.read_bytes()
    assert not [q for q in csv_quotes() if q.sku == "g4dn.xlarge"]


def test_source_sku_is_the_hourly_rate_code() -> None:
    """The rate code names product, term and rate; without an hourly rate, the upfront one."""
    codes = {(q.term_months, q.payment): q.source_sku for q in csv_quotes() if not q.tier}
    assert codes[12, "partial"] == "H7NGEAC6UEHNTKSJ.HU7G6KETJZ.6YS6EN2CT7"
    assert codes[36, "all"] == "H7NGEAC6UEHNTKSJ.NQ3QZPMQV9.2TG2D8R56U"


def test_a_term_without_a_length_has_none() -> None:
    """A lease that does not say its years is left for the judge to refuse."""
    row = good_row(TermType="Reserved", LeaseContractLength="", PurchaseOption="Heavy Utilization")
    [found] = ec2_offer.quotes([row], KNOWN, CODES)
    assert (found.term_months, found.payment, found.tier) == (None, "Heavy Utilization", None)


# -- two formats ---------------------------------------------------------------------------------


def as_json(rows: Iterable[dict[str, str]]) -> dict[str, Any]:
    """Return CSV rows as the tree that the JSON file would be."""
    tree: dict[str, Any] = {"products": {}, "terms": {}}
    for row in rows:
        about = {name: row[column] for column, name in ec2_offer.PRODUCT.items()}
        tree["products"][row["SKU"]] = {
            "sku": row["SKU"],
            "productFamily": about.pop("productFamily"),
            "attributes": about,
        }
        term = (
            tree["terms"]
            .setdefault(row["TermType"], {})
            .setdefault(row["SKU"], {})
            .setdefault(f"{row['SKU']}.{row['OfferTermCode']}", {"priceDimensions": {}})
        )
        term["offerTermCode"] = row["OfferTermCode"]
        term["termAttributes"] = {name: row[name] for name in ec2_offer.TERM if row[name]}
        term["priceDimensions"][row["RateCode"]] = {
            "rateCode": row["RateCode"],
            "unit": row["Unit"],
            "pricePerUnit": {row["Currency"]: row["PricePerUnit"]},
        }
    return tree


def test_json_and_csv_say_the_same() -> None:
    """The two formats of one price list are the same quotes."""
    document = as_json(ec2_offer.csv_rows(page(OFFER)))
    assert {repr(q) for q in json_quotes(document)} == {repr(q) for q in csv_quotes()}


def test_currency_is_the_one_printed() -> None:
    """China's files are in the same shape, in yuan."""
    document = as_json([good_row(Currency="CNY")])
    assert [q.currency for q in json_quotes(document)] == ["CNY"]


def test_a_file_without_region_codes_is_placed_by_its_locations() -> None:
    """Before 2021 only the location's name is there; a name nobody knows is kept as printed."""
    paris, moon = good_row(Location="EU (Paris)"), good_row(Location="Moon (Tycho)")
    rows = [row | {"Region Code": ""} for row in (paris, moon)]
    found = ec2_offer.quotes(rows, KNOWN, CODES)
    assert [q.region for q in found] == ["eu-west-3", "Moon (Tycho)"]


def test_a_csv_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    """What a file is does not hang on its name."""
    (tmp_path / "a.csv").write_text('{"products": {}}')
    assert ec2_offer.is_offer_csv(page(OFFER))
    assert not ec2_offer.is_offer_csv(page(tmp_path / "a.csv"))


@pytest.mark.parametrize("column", ["TermType", "PricePerUnit", "Instance Type"])
def test_a_csv_without_a_column_we_need_is_changed(column: str, tmp_path: Path) -> None:
    """A renamed column is an error, not a region without accelerators."""
    changed = tmp_path / "index.csv"
    changed.write_text(OFFER.read_text().replace(f'"{column}"', '"Renamed"', 1))
    with pytest.raises(Changed, match=column):
        csv_quotes(changed)


# -- recorded files ------------------------------------------------------------------------------


@recorded
def test_recorded_header_of_2020_is_read() -> None:
    """The header of October 2020 lacks Region Code and MarketOption; its rows are disks."""
    assert csv_quotes(PAYLOADS / "terracost_AmazonEC2_eu-west-3_2020-10.csv") == []


@recorded
def test_recorded_terms_of_2016_have_both_parts() -> None:
    """c4.large in 2016: 0.100 on demand; one year partial upfront is 263 and 0.030 an hour."""
    items = json.loads((PAYLOADS / "lyft_ec2_offer_2016-17.json").read_text())
    [item] = [i for i in items["BASIC_EC2_OFFER_MODIFIED_FORMAT"].values() if "product" in i]
    sku = item["product"]["sku"]
    document = {
        "products": {sku: item["product"]},
        "terms": {kind: {sku: found} for kind, found in item["terms"].items()},
    }
    found = json_quotes(document, known=["c4.large"])
    assert [(q.price, q.region) for q in found if q.option is Option.ON_DEMAND] == [
        ("0.1000000000", "us-east-1")
    ]
    assert terms(found, "c4.large") == {
        (12, None, "partial"): ("0.0300000000", "263"),
        (12, None, "none"): ("0.0630000000", None),
        (36, None, "partial"): ("0.0210000000", "539"),
        (36, "convertible", "partial"): ("0.0270000000", "710"),
    }


@recorded
def test_recorded_p4d_of_2024_has_a_capacity_block_twin() -> None:
    """In May 2024 p4d is 32.7726 on demand; the twin at $0.00 under the same usage type is not."""
    text = (PAYLOADS / "opencost_offer_excerpt_20240528203522.json").read_text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    found = json_quotes(json.loads(re.sub(r",(\s*})", r"\1", text)))  # a comma too many
    assert [(q.sku, q.price) for q in found] == [("p4d.24xlarge", "32.7726000000")]
