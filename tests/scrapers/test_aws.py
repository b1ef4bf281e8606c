"""AWS: what its feeds say, what they leave out, and the ways they could be misread."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gputape.scrapers import sigv4
from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed, Unconfigured, Unreachable
from gputape.scrapers.http import Pace, Part, Session, Visit, client
from gputape.scrapers.normalise import normalise
from gputape.scrapers.page import Page
from gputape.scrapers.providers import aws
from gputape.scrapers.quote import Interruption, Of, Per, Quote
from gputape.scrapers.reading import read
from gputape.scrapers.recording import Replay
from gputape.store.offer import Offer, Option
from gputape.store.scan import Answer, Memory

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "aws"
PAYLOADS = ROOT.parent / "shared" / "payloads"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded files are not here")
SEEN = datetime(2026, 9, 10, 20, tzinfo=UTC)
FAKE = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example/secret"}


def page(source: Path | bytes | str, url: str = "https://example.test/file") -> Page:
    """Return a file or a body as a page."""
    if isinstance(source, Path):
        return Page(url=source.name, fetched_at=SEEN, read=source.read_bytes, path=source)
    body = source.encode() if isinstance(source, str) else source
    return Page(url=url, fetched_at=SEEN, read=lambda: body)


def quotes(*sources: Path | bytes | str) -> list[Quote]:
    """Return the prices of one part."""
    return read(aws, [page(source) for source in sources]).quotes


def risks(source: Path) -> list[Interruption]:
    """Return the interruption buckets of one part."""
    return read(aws, [page(source)]).interruptions


def payload(name: str) -> Path:
    """Return one of AWS's recorded files."""
    return PAYLOADS / "aws" / name


def prices(found: Iterable[Quote], region: str) -> dict[str, object]:
    """Return price as printed by sku, of one region."""
    return {q.sku: q.price for q in found if q.region == region}


def offers(found: Iterable[Quote]) -> dict[str, Offer]:
    """Return what the judge makes of prices of one region, by sku."""
    return {offer.key.sku: offer for offer in normalise("aws", found, SEEN).offers}


def fetched(
    folder: Path,
    archive: Path,
    *,
    groups: Iterable[str] = (),
    memory: Memory | None = None,
    secrets: Mapping[str, str] | None = None,
) -> dict[str, Part]:
    """Return the parts that a recording gives, fetched by the real client."""
    parts: list[Part] = []
    with client(Replay(folder.parent, folder.name)) as replay:
        visit = Visit(
            client=replay,
            archive=Archive(archive),
            memory=memory or Memory(),
            pace=Pace(timedelta(0), clock=lambda: 0.0, sleep=lambda _: None),
            now=lambda: SEEN,
            secrets=secrets or {},
            wanted=frozenset(groups),
        )
        aws.fetch(Session(aws.PROVIDER, visit, parts.append))
    assert len({part.name for part in parts}) == len(parts)
    return {part.name: part for part in parts}


def said(part: Part) -> list[Quote]:
    """Return the prices of a fetched part."""
    assert part.error is None
    return read(aws, part.pages).quotes


def changed_copy(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """Return a folder whose recording of AWS is the fixture's with its index changed."""
    shutil.copytree(FIXTURES, folder / "aws")
    entries = json.loads((FIXTURES / "pages.json").read_text())
    change(entries)
    (folder / "aws" / "pages.json").write_text(json.dumps(entries))
    return folder / "aws"


# -- recorded files ------------------------------------------------------------------------------


@recorded
def test_recorded_on_demand_prices_are_those_read_by_eye() -> None:
    """In August 2026 us-east-1 lists 91 accelerators; p5.48xlarge is 55.04 an hour."""
    found = prices(
        quotes(payload("meteredUnitMaps_ec2-ondemand_us-east-1_Linux_index.json")), "us-east-1"
    )
    assert len(found) == 91
    assert found["p5.48xlarge"] == "55.0400000000"
    assert found["p6-b300.48xlarge"] == "142.4160000000"
    assert found["p4d.24xlarge"] == "21.9576420000"
    assert found["trn1n.32xlarge"] == "24.7800000000"
    assert found["g6f.large"] == "0.2020000000"
    assert not {"p5e.48xlarge", "trn2.48xlarge", "f2.12xlarge", "vt1.3xlarge"} & set(found)


@recorded
def test_recorded_spot_prices_are_those_read_by_eye() -> None:
    """In August 2026 p5.48xlarge is 20.738 on the spot market of us-east-1."""
    found = quotes(payload("spot.json"))
    assert len({q.region for q in found}) == 30  # of 40: ten rent no accelerator on the market
    assert {q.option for q in found} == {Option.SPOT}
    assert prices(found, "us-east-1")["p5.48xlarge"] == "20.738"
    assert prices(found, "us-east-1-atl-1") == {
        "p5.48xlarge": "20.518",
        "p5en.48xlarge": "27.3692",
        "p6-b200.48xlarge": "42.4741",
        "p6-b300.48xlarge": "43.3216",
    }


@recorded
def test_recorded_spot_prices_are_all_known_types() -> None:
    """Every accelerator that spot.json lists is quoted where it is listed, and known."""
    listed = {
        (region["region"], size["size"])
        for region in json.loads(payload("spot.json").read_text())["config"]["regions"]
        for group in region["instanceTypes"]
        if group["type"] == "gpuCurrentGen"
        for size in group["sizes"]
    }
    found = quotes(payload("spot.json"))
    video = {pair for pair in listed if pair[1].startswith("vt1.")}
    assert {(q.region, q.sku) for q in found} == listed - video
    assert not normalise("aws", found, SEEN).rejects


@recorded
def test_recorded_advisor_has_a_bucket_and_a_saving() -> None:
    """In July 2025 p5.48xlarge in us-east-1 is interrupted over 20 % of the time, 52 % off."""
    found = risks(payload("spot-advisor-data.json"))
    assert len({risk.region for risk in found}) == 27  # of 33
    [p5] = [r for r in found if (r.sku, r.region) == ("p5.48xlarge", "us-east-1")]
    assert p5 == Interruption(
        sku="p5.48xlarge", region="us-east-1", low_percent=20, high_percent=100, saving_percent=52
    )
    assert not [risk for risk in found if risk.sku.startswith(("vt1.", "f1."))]


@recorded
def test_recorded_offer_file_is_read_by_region_code() -> None:
    """The bulk file of September 2026 has the price of each region, to the last decimal."""
    found = quotes(payload("recomposed_AmazonEC2_offer_20260910195514.json"))
    p4d = {q.region: q.price for q in found if q.sku == "p4d.24xlarge"}
    assert p4d == {
        "us-east-1": "21.9576420000",
        "us-west-2": "21.9576400000",
        "eu-west-1": "23.7156900000",
    }
    assert "m5.xlarge" not in {q.sku for q in found}


@recorded
def test_recorded_feed_and_offer_file_agree() -> None:
    """The page's feed and the bulk file name the same rates, whichever of them is read."""
    feed = quotes(payload("meteredUnitMaps_ec2-ondemand_us-east-1_Linux_index.json"))
    offer = quotes(payload("recomposed_AmazonEC2_offer_20260910195514.json"))
    rates = {q.source_sku: q for q in feed}
    here = [q for q in offer if q.region == "us-east-1"]
    assert here == [rates[q.source_sku] for q in here]


@recorded
def test_recorded_history_in_utf_16_is_read() -> None:
    """The command line's output on Windows is UTF-16; in 2020 it lists no accelerator."""
    assert quotes(payload("describe_spot_price_history_2020-07-01_utf16.json")) == []
    text = (
        payload("describe_spot_price_history_2020-07-01_utf16.json").read_bytes().decode("utf-16")
    )
    found = quotes(text.replace("m1.xlarge", "p3.2xlarge").encode("utf-16"))
    assert {(q.zone, q.region, q.option) for q in found} >= {
        ("us-east-1a", "us-east-1", Option.SPOT),
        ("us-east-1b", "us-east-1", Option.SPOT),
    }


@recorded
def test_recorded_collection_fails_only_where_nothing_was_recorded(tmp_path: Path) -> None:
    """The recording holds one location's feed and both spot files: the rest fail alone."""
    parts = fetched(PAYLOADS / "aws", tmp_path)
    assert len(parts) == 106 + 2
    assert {name for name, part in parts.items() if not part.error} == {
        "us-east-1/on_demand",
        "spot",
        "interruption",
    }
    assert all(isinstance(part.error, Unreachable | None) for part in parts.values())
    assert len(said(parts["us-east-1/on_demand"])) == 91


# -- one file at a time --------------------------------------------------------------------------


def test_an_on_demand_row_is_read_whole() -> None:
    """The feed's words stay text; what is inside the instance is left to the facts."""
    [found] = [q for q in quotes(FIXTURES / "on-demand.us-east-1.json") if q.sku == "p5.48xlarge"]
    assert found == Quote(
        sku="p5.48xlarge",
        option=Option.ON_DEMAND,
        price="55.0400000000",
        region="us-east-1",
        vcpus="192",
        memory_gib="2048",
        source_sku="3D4V8UAYEMB38GU2.JRTCKXETXF.6YS6EN2CT7",
    )


def test_a_location_is_placed_by_the_file_that_lists_locations() -> None:
    """A location that is newer than our own list is found in the fetched one."""
    places = json.loads((FIXTURES / "locations.json").read_text())
    places["EU (Ireland)"]["code"] = "eu-new-9"
    feed = FIXTURES / "on-demand.eu-west-1.json"
    assert {q.region for q in quotes(feed)} == {"eu-west-1"}
    assert {q.region for q in quotes(json.dumps(places), feed)} == {"eu-new-9"}


def test_a_location_without_accelerators_says_nothing() -> None:
    """Las Vegas rents no GPU: no quote, and no error."""
    assert quotes(FIXTURES / "on-demand.us-west-2-las-1.json") == []


def test_locations_and_indices_are_no_prices() -> None:
    """What helps to read other pages has no price of its own."""
    files = ("locations.json", "region_index.json", "keyed/regions.xml")
    assert quotes(*(FIXTURES / name for name in files)) == []


def test_spot_js_is_the_same_list_under_old_names() -> None:
    """spot.js wraps the JSON in a call, and says us-east for us-east-1."""
    text = (FIXTURES / "spot.json").read_text()
    old = text.replace('"us-east-1"', '"us-east"')
    assert quotes(f"callback({old});") == quotes(text)


@pytest.mark.parametrize(
    ("label", "ends"),
    [("<5%", (0, 5)), ("5-10%", (5, 10)), ("15-20%", (15, 20)), (">20%", (20, 100))],
)
def test_an_interruption_bucket_has_two_ends(label: str, ends: tuple[int, int]) -> None:
    """The bucket's label says both ends; the file's `max` (5, 11, 16, 22) is not a percentage."""
    advisor = json.loads((FIXTURES / "spot-advisor-data.json").read_text())
    [index] = [b["index"] for b in advisor["ranges"] if b["label"] == label]
    types = advisor["spot_advisor"]["us-east-1"]["Linux"]
    types["p5.48xlarge"]["r"] = index
    [found] = [
        risk
        for risk in read(aws, [page(json.dumps(advisor))]).interruptions
        if (risk.sku, risk.region) == ("p5.48xlarge", "us-east-1")
    ]
    assert (found.low_percent, found.high_percent) == ends


def test_the_newest_price_of_a_zone_counts() -> None:
    """Over both pages, each zone and type has one price: its last."""
    names = ("keyed/history.us-east-1.2.xml", "keyed/history.us-east-1.1.xml")
    found = quotes(*(FIXTURES / name for name in names))
    assert {(q.zone, q.region, q.sku, q.price) for q in found} == {
        ("us-east-1a", "us-east-1", "p5.48xlarge", "20.738000"),
        ("us-east-1-atl-1a", "us-east-1-atl-1", "p5.48xlarge", "20.518000"),
        ("us-east-1b", "us-east-1", "trn1.32xlarge", "2.948300"),
        ("us-east-1d", "us-east-1", "p4d.24xlarge", "18.835200"),
    }


# -- the parts -----------------------------------------------------------------------------------


def test_a_plain_collection_asks_for_every_location_and_spot(tmp_path: Path) -> None:
    """One part per location that has a feed; reserved and zones are asked for only on demand."""
    parts = fetched(FIXTURES, tmp_path)
    assert not [part.error for part in parts.values() if part.error]
    assert set(parts) == {
        "eu-west-1/on_demand",
        "us-east-1/on_demand",
        "us-west-2-las-1/on_demand",
        "spot",
        "interruption",
    }
    assert sum(len(said(part)) for part in parts.values()) >= aws.PROVIDER.at_least


def test_reserved_asks_for_each_regions_offer_file(tmp_path: Path) -> None:
    """Local Zones sell no reserved instances, and the index leaks codes of China."""
    parts = fetched(FIXTURES, tmp_path, groups=["reserved"])
    assert {name for name in parts if "reserved" in name} == {"reserved", "us-east-1/reserved"}
    found = said(parts["us-east-1/reserved"])
    assert {q.option for q in found} == {Option.RESERVED}
    assert len(found) == 14


def test_an_unchanged_offer_file_is_not_asked_for_again(tmp_path: Path) -> None:
    """The address names the version: what is in the archive is not downloaded twice."""
    groups = ["reserved"]
    first = fetched(FIXTURES, tmp_path, groups=groups)
    rows = [row for part in first.values() for row in part.rows]
    memory = Memory(
        answers={
            (row.method, row.url): Answer(row.etag, row.last_modified, row.sha256, row.bytes)
            for row in rows
        }
    )
    folder = changed_copy(tmp_path / "copy", lambda entries: entries.pop())
    again = fetched(folder, tmp_path, groups=groups, memory=memory)
    assert again["us-east-1/reserved"].rows[-1].status == 304
    assert said(again["us-east-1/reserved"]) == said(first["us-east-1/reserved"])


def test_a_person_reads_both_kinds_in_an_offer_file() -> None:
    """Alone, the file's on-demand rows count; beside the index they are the feeds' series."""
    offer, index = FIXTURES / "offer.us-east-1.csv", FIXTURES / "region_index.json"
    assert {q.option for q in quotes(offer)} == {Option.ON_DEMAND, Option.RESERVED}
    assert {q.option for q in quotes(index, offer)} == {Option.RESERVED}


def test_keys_add_spot_per_zone(tmp_path: Path) -> None:
    """Every region that the account has enabled is asked, page after page."""
    pytest.importorskip("botocore")
    parts = fetched(FIXTURES / "keyed", tmp_path, secrets=FAKE)
    assert not [part.error for part in parts.values() if part.error]
    assert len(parts["us-east-1/spot_az"].pages) == 2
    assert {q.zone: q.price for q in said(parts["us-east-2/spot_az"])} == {"us-east-2c": "8.596400"}


def test_what_is_sent_is_what_was_signed(tmp_path: Path) -> None:
    """The client leaves the address as it is: a rewritten one would void the signature."""
    pytest.importorskip("botocore")
    parts = fetched(FIXTURES / "keyed", tmp_path, secrets=FAKE)
    asked = [page.url for name in parts if "spot_az" in name for page in parts[name].pages]
    assert len(asked) == 4
    assert [str(httpx.URL(url)) for url in asked] == asked
    assert all("Value.1=dl%2A&" in url for url in asked if "Filter" in url)  # as SigV4 spells it


def test_a_signature_covers_the_request_and_stays_out_of_the_address() -> None:
    """The key's id is in the header for this region and service; the secret is nowhere."""
    pytest.importorskip("botocore")
    url = "https://ec2.us-east-2.amazonaws.com/?Action=DescribeRegions&Version=2016-11-15"
    signed = sigv4.headers(url, "us-east-2", {**FAKE, "AWS_SESSION_TOKEN": "token"}.get)
    assert signed["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/us-east-2/ec2/aws4_request" in signed["Authorization"]
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in signed["Authorization"]
    assert signed["X-Amz-Security-Token"] == "token"
    assert FAKE["AWS_SECRET_ACCESS_KEY"] not in str(signed)


def test_without_botocore_only_the_zones_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install; everything else was fetched."""
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    parts = fetched(FIXTURES / "keyed", tmp_path, secrets=FAKE)
    assert {name for name, part in parts.items() if part.error} == {"spot_az"}
    assert isinstance(parts["spot_az"].error, Unconfigured)
    assert "pip install 'gputape[aws]'" in str(parts["spot_az"].error)


def test_half_a_key_is_no_key(tmp_path: Path) -> None:
    """An id without its secret skips the zones and says which variable is missing."""
    parts = fetched(FIXTURES / "keyed", tmp_path, secrets={"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"})
    assert isinstance(parts["spot_az"].error, Unconfigured)
    assert "AWS_SECRET_ACCESS_KEY" in str(parts["spot_az"].error)


# -- traps ---------------------------------------------------------------------------------------


@recorded
def test_trap_01_zero_price_capacity_block() -> None:
    """The offer file's p5 twin at $0 is a Capacity Block: p5 in us-east-1 has one price."""
    name = "recomposed_AmazonEC2_offer_20260910195514.json"
    twin = json.loads(payload(name).read_text())["products"]["5Q7AP3RH7KTVUNCJ"]["attributes"]
    assert (twin["instanceType"], twin["marketoption"]) == ("p5.48xlarge", "CapacityBlock")
    found = [q for q in quotes(payload(name)) if q.region == "us-east-1"]
    assert [q.price for q in found if q.sku == "p5.48xlarge"] == ["55.0400000000"]
    assert "0.0000000000" not in {q.price for q in found}


def test_trap_01_zero_price_capacity_block_in_csv() -> None:
    """The same twin in the CSV, told by its operation and its market."""
    assert b'"0.0000000000"' in (FIXTURES / "offer.us-east-1.csv").read_bytes()
    found = [q for q in quotes(FIXTURES / "offer.us-east-1.csv") if q.option is Option.ON_DEMAND]
    assert "0.0000000000" not in {q.price for q in found}


def test_trap_05_prices_are_per_instance() -> None:
    """A p5.48xlarge costs 55.04 for its eight GPUs, 6.88 for one."""
    found = quotes(FIXTURES / "on-demand.us-east-1.json")
    assert {(q.of, q.per) for q in found} == {(Of.SKU, Per.HOUR)}
    p5 = offers(found)["p5.48xlarge"]
    assert p5.price / p5.gpu_count == Decimal("6.88")


def test_trap_07_a_reserved_price_is_never_on_demand() -> None:
    """An hourly rate of a term is marked reserved, with its term."""
    found = quotes(FIXTURES / "offer.us-east-1.csv")
    assert all(q.term_months for q in found if q.option is Option.RESERVED)
    assert not [q.term_months for q in found if q.option is Option.ON_DEMAND and q.term_months]


def test_trap_12_the_upfront_part_is_not_forgotten() -> None:
    """All Upfront prints $0 an hour; with its 113,600 a year it is 12.97."""
    found = quotes(FIXTURES / "region_index.json", FIXTURES / "offer.us-east-1.csv")
    verdict = normalise("aws", found, SEEN)
    assert not verdict.rejects
    by_key = {(o.key.sku, o.key.term_months, o.key.tier, o.key.payment): o for o in verdict.offers}
    year = by_key["p4d.24xlarge", 12, None, "all"]
    assert year.upfront == 113_600
    assert year.price == (Decimal(113_600) / 8760).quantize(Decimal("1e-9"))


def test_trap_16_a_size_listed_twice_is_one_price() -> None:
    """spot.json repeats p4de with the same price: one offer, and no doubt about it."""
    found = [q for q in quotes(FIXTURES / "spot.json") if q.sku == "p4de.24xlarge"]
    assert [q.price for q in found] == ["21.7833", "21.7833"]
    assert offers(found)["p4de.24xlarge"].suspect is None
    assert len(normalise("aws", found, SEEN).offers) == 1


def test_trap_17_a_price_is_only_where_it_is_listed() -> None:
    """p5e is sold in us-east-2 and nowhere else, and on the spot market only."""
    names = ("on-demand.us-east-1.json", "on-demand.eu-west-1.json", "spot.json")
    found = [q for name in names for q in quotes(FIXTURES / name) if q.sku == "p5e.48xlarge"]
    assert [(q.region, q.option, q.price) for q in found] == [("us-east-2", Option.SPOT, "25.1918")]


def test_trap_19_one_failing_region_stops_no_other(tmp_path: Path) -> None:
    """A location that answers 404 fails alone."""

    def lose_ireland(entries: list[dict[str, Any]]) -> None:
        [ireland] = [entry for entry in entries if "Ireland" in entry["url"]]
        ireland["status"] = 404

    parts = fetched(changed_copy(tmp_path / "copy", lose_ireland), tmp_path)
    assert {name for name, part in parts.items() if part.error} == {"eu-west-1/on_demand"}
    assert said(parts["us-east-1/on_demand"])


def test_trap_19_an_index_that_is_gone_stops_only_reserved(tmp_path: Path) -> None:
    """Without the region index there is no offer file to ask for; the rest is there."""
    folder = changed_copy(tmp_path / "copy", lambda entries: entries.pop(-2))
    parts = fetched(folder, tmp_path, groups=["reserved"])
    assert {name for name, part in parts.items() if part.error} == {"reserved"}
    assert "us-east-1/reserved" not in parts


def test_trap_21_every_page_of_a_history_is_asked_for() -> None:
    """A token says that there is more; an empty one that there is not."""
    first = sigv4.answer(page(FIXTURES / "keyed/history.us-east-1.1.xml"))
    last = sigv4.answer(page(FIXTURES / "keyed/history.us-east-1.2.xml"))
    assert (first["NextToken"], last["NextToken"]) == ("eyJ2IjoiMiJ9+/=", "")


def test_trap_27_a_gpu_is_named_by_the_facts() -> None:
    """AWS's own API once called p5en's GPUs "NVIDIA": no name of theirs is taken."""
    found = quotes(FIXTURES / "on-demand.us-east-1.json") + quotes(FIXTURES / "spot.json")
    assert {q.gpu for q in found} == {None}
    assert offers(found)["p5en.48xlarge"].gpu == "h200-sxm-141"
    assert offers(found)["p5.48xlarge"].gpu == "h100-sxm-80"


def test_trap_29_gpu_memory_of_the_file_is_not_read() -> None:
    """The offer file says 640 GB for the eight GPUs of a p5: a total, so it is left alone."""
    assert b"640 GB HBM3" in (FIXTURES / "offer.us-east-1.csv").read_bytes()
    assert {q.gpu_memory_gib for q in quotes(FIXTURES / "offer.us-east-1.csv")} == {None}


def test_trap_31_a_slice_is_a_fraction() -> None:
    """g6f.large is an eighth of an L4 for $0.202, which makes a whole one $1.616."""
    found = [q for q in quotes(FIXTURES / "on-demand.us-east-1.json") if q.sku == "g6f.large"]
    assert [q.gpu_count for q in found] == [None]
    slice_ = offers(found)["g6f.large"]
    assert slice_.gpu_count == Decimal("0.125")
    assert slice_.price / slice_.gpu_count == Decimal("1.616")


def test_trap_33_chips_that_are_no_gpu_are_offers_too() -> None:
    """Trainium, Inferentia and Gaudi are accelerators of their own; FPGA and video are not."""
    found = offers(quotes(FIXTURES / "on-demand.us-east-1.json"))
    assert found["trn1.32xlarge"].gpu_count == 16
    assert {"inf2.48xlarge", "dl1.24xlarge"} <= set(found)
    assert not {"f2.12xlarge", "vt1.3xlarge"} & set(found)


@recorded
def test_trap_35_windows_at_the_linux_price_is_not_linux() -> None:
    """Windows with one's own licence costs what Linux costs: only the columns tell."""
    tree = json.loads(payload("recomposed_AmazonEC2_offer_20260910195514.json").read_text())
    for product in tree["products"].values():
        if product["attributes"]["instanceType"] == "m5.xlarge":  # the file's six trap rows
            product["attributes"] |= {
                "instanceType": "p3.2xlarge",
                "instanceFamily": "GPU instance",
            }
    assert "p3.2xlarge" in json.dumps(tree)
    assert "p3.2xlarge" not in {q.sku for q in quotes(json.dumps(tree))}


def test_trap_36_a_local_zone_is_a_place_of_its_own() -> None:
    """us-east-1-atl-1 is not us-east-1, in spot.json as in a zone's name."""
    spot = quotes(FIXTURES / "spot.json")
    assert prices(spot, "us-east-1")["p5.48xlarge"] == "20.738"
    assert prices(spot, "us-east-1-atl-1")["p5.48xlarge"] == "20.518"
    zones = quotes(FIXTURES / "keyed/history.us-east-1.1.xml")
    assert {(q.zone, q.region) for q in zones} >= {("us-east-1-atl-1a", "us-east-1-atl-1")}


def test_trap_37_the_currency_is_the_one_printed() -> None:
    """The feed's manifest says the currency; the column says Linux, not Windows."""
    feed = (FIXTURES / "on-demand.eu-west-1.json").read_text()
    assert {q.currency for q in quotes(feed)} == {"USD"}
    assert {q.currency for q in quotes(feed.replace('"USD"', '"CNY"'))} == {"CNY"}


def test_trap_38_a_price_may_be_words() -> None:
    """The text "N/A*" becomes no price, and 9.0E-4 is a number."""
    text = (FIXTURES / "spot.json").read_text().replace('"2.6295"', '"9.0E-4"')
    found = [q for q in quotes(text) if q.region == "us-east-1"]
    assert prices(found, "us-east-1")["dl1.24xlarge"] == "N/A*"
    verdict = normalise("aws", found, SEEN)
    assert [(no.key.sku, no.reason) for no in verdict.rejects] == [("dl1.24xlarge", "no_price")]
    assert offers(found)["p5.4xlarge"].price == Decimal("0.0009")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "null",
        "[1]",
        '"moved"',
        "<html><body>gone</body></html>",
        "not json",
        '{"message": "moved"}',
        '{"manifest": {}, "regions": {}}',
        '{"manifest": {}, "regions": {"US East (N. Virginia)": {}}}',
        '{"config": {"regions": []}}',
        '{"spot_advisor": {}, "ranges": []}',
        '{"products": {}, "terms": {}}',
        '{"regions": {}}',
        "callback({);",
        "<DescribeSpotPriceHistoryResponse>",
    ],
)
def test_trap_39_another_shape_is_changed(body: str) -> None:
    """An answer without the prices it should have is an error, never an empty list."""
    with pytest.raises(Changed):
        quotes(body)


def test_trap_40_a_type_that_nobody_knows_is_noticed() -> None:
    """A new family becomes a reject that says what to add, not a silent gap."""
    for name in ("on-demand.us-east-1.json", "spot.json"):
        text = (FIXTURES / name).read_text()
        found = quotes(text.replace("p6-b300.48xlarge", "p9-x.48xlarge"))
        rejects = normalise("aws", found, SEEN).rejects
        assert {no.reason for no in rejects if no.key.sku == "p9-x.48xlarge"} == {
            "unknown_instance"
        }
