"""Archived EC2 offer files: they fill the series that a live run fills."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gputape.scrapers.importers import aws_offer
from gputape.scrapers.importers.flaws import TWO_PRICES
from gputape.scrapers.importers.moments import SAME_TIME
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.scrapers.page import Page
from gputape.scrapers.providers import aws
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput, GputapeError
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[3]
OFFER = ROOT / "fixtures" / "aws" / "offer.us-east-1.csv"
REAL = ROOT.parent / "shared" / "payloads" / "aws"
real = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real responses")
PUBLISHED = datetime(2026, 9, 10, 19, 55, 14, tzinfo=UTC)


def read(path: Path, **options: Any) -> list[Snapshot]:
    return list(aws_offer.snapshots(path, ImportOptions(**options)))


def quotes(found: list[Snapshot]) -> list[Quote]:
    return [quote for snapshot in found for quote in snapshot.quotes]


def test_the_parts_are_the_live_ones() -> None:
    """On demand and reserved lie where a live run puts them, and no source is in their key."""
    found = read(OFFER)

    assert [(s.provider, s.part, s.observed_at) for s in found] == [
        ("aws", "us-east-1/on_demand", PUBLISHED),
        ("aws", "us-east-1/reserved", PUBLISHED),
    ]
    assert aws_offer.SOURCE.slug is None


def test_only_the_reserved_part_is_the_live_document() -> None:
    """The live on-demand part reads another feed: this file can not say that a series is gone."""
    assert [s.complete for s in read(OFFER)] == [False, True]


def test_the_quotes_are_what_the_live_adapter_reads() -> None:
    """Same bytes, same quotes, in their parts."""
    page = Page(url="offer", fetched_at=PUBLISHED, read=OFFER.read_bytes, path=OFFER)
    live = {quote for quote in aws.parse([page]) if isinstance(quote, Quote)}

    assert set(quotes(read(OFFER))) == live
    assert len(live) == len(quotes(read(OFFER)))


def test_a_capacity_block_twin_is_no_offer() -> None:
    """p4d.24xlarge is sold at 21.957642, and its twin at $0 is not there."""
    on_demand = read(OFFER)[0]
    verdict = normalise("aws", on_demand.quotes, on_demand.observed_at)
    prices = {offer.key.sku: offer.price for offer in verdict.offers}

    assert prices["p4d.24xlarge"] == Decimal("21.957642")
    assert verdict.rejects == []


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_packed_file_is_read(tmp_path: Path, ending: str) -> None:
    """.gz and .zst say what the plain file says, and stay what they are in the archive."""
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor(write_checksum=True).compress}
    packed = tmp_path / f"index.csv{ending}"
    packed.write_bytes(pack[ending](OFFER.read_bytes()))
    found = read(packed)

    assert quotes(found) == quotes(read(OFFER))
    assert found[0].read() == packed.read_bytes()


def test_a_persons_time_overrides_the_files() -> None:
    """`--observed-at` is when it was true; without it, AWS's publication date is."""
    then = datetime(2026, 9, 12, tzinfo=UTC)

    assert {s.observed_at for s in read(OFFER, observed_at=then)} == {then}


def test_a_folder_is_read_in_the_order_of_publication(tmp_path: Path) -> None:
    """The name does not matter; a version kept twice is a microsecond later, and named."""
    text = OFFER.read_text("utf-8")
    (tmp_path / "a.csv").write_text(text, "utf-8")
    (tmp_path / "b.csv").write_text(text.replace("2026-09-10T19:55:14Z", "2025-01-02T03:04:05Z"))
    (tmp_path / "c.csv").write_text(text, "utf-8")
    found = read(tmp_path)

    assert [s.file for s in found[::2]] == ["b.csv", "a.csv", "c.csv"]
    assert [s.file for s in found if SAME_TIME in s.defects] == ["c.csv", "c.csv"]
    assert [s.observed_at.microsecond for s in found] == [0, 0, 0, 0, 1, 1]


def offer_json(*prices: str) -> dict[str, Any]:
    """Return an offer file in JSON with g4dn.xlarge at these prices."""
    attributes = {
        "location": "EU (Paris)", "instanceType": "g4dn.xlarge", "instanceFamily": "GPU instance",
        "vcpu": "4", "memory": "16 GiB", "tenancy": "Shared", "operatingSystem": "Linux",
        "preInstalledSw": "NA", "licenseModel": "No License required", "capacitystatus": "Used",
        "marketoption": "OnDemand", "operation": "RunInstances", "regionCode": "eu-west-3",
    }  # fmt: skip
    names = [f"SKU{n}" for n, _ in enumerate(prices)]
    return {
        "formatVersion": "v1.0",
        "publicationDate": "2026-09-10T19:55:14Z",
        "products": {
            name: {"productFamily": "Compute Instance", "attributes": attributes} for name in names
        },
        "terms": {
            "OnDemand": {
                name: {
                    f"{name}.T": {
                        "offerTermCode": "T",
                        "priceDimensions": {
                            "R": {"rateCode": "R", "unit": "Hrs", "pricePerUnit": {"USD": price}}
                        },
                    }
                }
                for name, price in zip(names, prices, strict=True)
            }
        },
    }


def test_json_is_read_but_claims_no_completeness(tmp_path: Path) -> None:
    """The live part reads the CSV; a JSON file may be an excerpt."""
    file = tmp_path / "offer.json"
    file.write_text(json.dumps(offer_json("0.6150000000", "0.7000000000")), "utf-8")
    (snapshot,) = read(file)

    assert (snapshot.part, snapshot.complete) == ("eu-west-3/on_demand", False)
    assert snapshot.defects == {
        TWO_PRICES: ("offer.json: eu-west-3: g4dn.xlarge eu-west-3 on_demand: 0.615 and 0.7",)
    }


def test_a_reserved_price_in_json_claims_no_completeness_either(tmp_path: Path) -> None:
    """Nor does it for a reserved part, which the CSV would close."""
    document = offer_json("0.6150000000")
    (sku,) = document["terms"]["OnDemand"]
    agreed = {"LeaseContractLength": "1yr", "PurchaseOption": "No Upfront"}
    term = document["terms"]["OnDemand"].pop(sku)[f"{sku}.T"] | {"termAttributes": agreed}
    document["terms"] = {"Reserved": {sku: {f"{sku}.T": term}}}
    file = tmp_path / "offer.json"
    file.write_text(json.dumps(document), "utf-8")
    (snapshot,) = read(file)

    assert (snapshot.part, snapshot.complete) == ("eu-west-3/reserved", False)
    assert [(q.term_months, q.price) for q in snapshot.quotes] == [(12, "0.6150000000")]


def test_a_file_of_several_regions_closes_none(tmp_path: Path) -> None:
    """The global file is not the document of any live part."""
    lines = OFFER.read_text("utf-8").splitlines()
    there = ['"EU' + line[3:].replace('"us-east-1"', '"eu-west-3"') for line in lines[6:]]
    file = tmp_path / "index.csv"
    file.write_text("\n".join([*lines, *there]) + "\n", "utf-8")

    assert [(s.part, s.complete) for s in read(file)] == [
        ("eu-west-3/on_demand", False), ("eu-west-3/reserved", False),
        ("us-east-1/on_demand", False), ("us-east-1/reserved", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("SKU,PricePerUnit\n", "no publication date"),
        ('"FormatVersion","v1.0"\n"Publication Date","2026-09-10T19:55:14Z"\n', "no header"),
        ('{"publicationDate": "2026-09-10T19:55:14Z", "terms": {}}', "no EC2 offer file"),
        ('{"publicationDate": "2026-09-10T19:55:14Z", }', "no EC2 offer file"),
        (json.dumps(offer_json()), "no EC2 offer file"),
    ],
)
def test_another_file_is_said(tmp_path: Path, content: str, sentence: str) -> None:
    """What is no offer file, or a cut one, ends in one sentence."""
    file = tmp_path / "index.csv"
    file.write_text(content, "utf-8")

    with pytest.raises(BadInput, match=sentence):
        read(file)


def test_a_cut_archive_is_said(tmp_path: Path) -> None:
    """Half a .gz and half a .zst are damaged, not shorter."""
    body = OFFER.read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(body)[:-30])
    (tmp_path / "b.csv.zst").write_bytes(zstandard.compress(body)[:-30])

    for name in ("a.csv.gz", "b.csv.zst"):
        with pytest.raises(GputapeError, match=r"can not be read|damaged"):
            read(tmp_path / name)


@real
def test_a_real_figure_of_three_regions_is_there() -> None:
    """p5.48xlarge costs 55.04 in us-east-1 in AWS's file of 2026-09-10; nothing is rejected."""
    found = read(REAL / "recomposed_AmazonEC2_offer_20260910195514.json")
    rejects = [r for s in found for r in normalise("aws", s.quotes, s.observed_at).rejects]
    prices = {q.price for q in quotes(found) if q.sku == "p5.48xlarge" and q.region == "us-east-1"}

    assert len({quote.region for quote in quotes(found)}) == 3
    assert {Decimal(str(price)) for price in prices} == {Decimal("55.04")}
    assert rejects == []
    assert {quote.option for quote in quotes(found)} == {Option.ON_DEMAND}


@real
def test_a_real_file_without_accelerators_says_so() -> None:
    """A file of eu-west-3 of 2020, cut to rows of no accelerator."""
    with pytest.raises(BadInput, match="no accelerator"):
        read(REAL / "terracost_AmazonEC2_eu-west-3_2020-10.csv")
