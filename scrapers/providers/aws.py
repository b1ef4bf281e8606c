"""AWS: EC2 on demand, spot and reserved, every region, without an account.

Sources: the feeds behind https://aws.amazon.com/ec2/pricing/ (b0.p.awsstatic.com: one file of
Linux prices per location; spot.json: the lowest spot price of a region's zones), the spot
advisor's interruption buckets, and the Price List bulk files for reserved instances
(docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/fetching-price-list-files-manually.html).
With AWS keys, DescribeSpotPriceHistory adds spot per zone; zone names differ per account.
Unit: US dollars per instance-hour before tax; what is in an instance is in `store/instances/`.
Oddities: a location is "EU (Frankfurt)" in the files and "Europe (Frankfurt)" on the page;
spot.json lists some sizes twice; spot is sold where on demand is not (p5e, trn2); Capacity
Blocks have their price only on a page, and a twin at $0 in the bulk files.
"""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from gputape.scrapers import ec2_offer, sigv4
from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Interruption, Quote
from gputape.store.instances import instances
from gputape.store.offer import Option
from gputape.store.regions import places

PROVIDER = Provider(
    slug="aws",
    name="AWS",
    prices_at="https://aws.amazon.com/ec2/pricing/on-demand/",
    terms_url="https://aws.amazon.com/service-terms/",
    options=frozenset({Option.ON_DEMAND, Option.RESERVED, Option.SPOT}),
    cadence=timedelta(hours=1),
    at_least=30,
    keys=sigv4.KEYS,
    groups={"reserved": timedelta(days=7)},
    note="Spot is the lowest of a region's zones; with AWS keys, each zone's price is added.",
)
REVISION = 1
FEEDS = "https://b0.p.awsstatic.com"
LOCATIONS = f"{FEEDS}/locations/1.0/aws/current/locations.json"
ON_DEMAND = (
    f"{FEEDS}/pricing/2.0/meteredUnitMaps/ec2/USD/current/"
    "ec2-ondemand-without-sec-sel/{location}/Linux/index.json"
)
SPOT = "https://website.spot.ec2.aws.a2z.com/spot.json"
ADVISOR = "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json"
BULK = "https://pricing.us-east-1.amazonaws.com"
REGION_INDEX = f"{BULK}/offers/v1.0/aws/AmazonEC2/current/region_index.json"
# in locations.json, not among the 106 locations of the feed's own metadata.json, 2026-08-06
WITHOUT_FEED = frozenset(
    {
        "AWS European Sovereign Cloud (Germany)",
        "SG Government (Singapore)",
        "US East (Kansas City)",  # "US East (Kansas City 2)" has one
    }
)
OLD_NAMES = {  # spot.js, frozen since 2024-05
    "us-east": "us-east-1",
    "us-west": "us-west-1",
    "eu-ireland": "eu-west-1",
    "apac-sin": "ap-southeast-1",
    "apac-syd": "ap-southeast-2",
    "apac-tokyo": "ap-northeast-1",
}
FAMILIES = ("dl", "g", "inf", "p", "trn")  # filter values take wildcards: "p*"
LINUX = frozenset({"Linux/UNIX", "Linux/UNIX (Amazon VPC)"})
ZONE_LETTER = re.compile(r"(?<=\d)[a-z]$")  # "us-east-1a", "us-west-2-lax-1a"
CALLBACK = re.compile(r"\s*callback\((.*)\);?\s*", re.DOTALL)  # spot.js wraps its JSON


def fetch(http: Http) -> None:
    """Ask for every location's feed and both spot files; for more when wanted or unlocked."""
    locations = http.get(LOCATIONS)
    for name, code in _codes(locations.json()).items():
        if name not in WITHOUT_FEED:
            with http.part(f"{code}/on_demand", locations):
                http.get(ON_DEMAND.format(location=quote(name, safe="()")))
    with http.part("spot"):
        http.get(SPOT)
    with http.part("interruption"):
        http.get(ADVISOR)
    if http.wants("reserved"):
        fetch_reserved(http, frozenset(_codes(locations.json(), "AWS Region").values()))
    if http.secret(sigv4.KEYS[0]):
        fetch_spot_by_zone(http)


def fetch_reserved(http: Http, sold_in: Iterable[str]) -> None:
    """Ask for each region's offer file: 300 MB, and never twice for one version of it."""
    offers: dict[str, Any] = {}
    with http.part("reserved"):
        index = http.get(REGION_INDEX)
        offers = index.json()["regions"]
    for code in sorted(offers.keys() & sold_in):  # Local Zones sell no reserved instances
        with http.part(f"{code}/reserved", index):
            version = offers[code]["currentVersionUrl"].removesuffix(".json")
            http.get(f"{BULK}{version}.csv", forever=True, max_mib=2048)


def fetch_spot_by_zone(http: Http) -> None:
    """Ask each region that the account has enabled for the spot prices in force now."""
    regions: list[str] = []
    with http.part("spot_az"):
        enabled = sigv4.answer(sigv4.ask(http, "us-east-1", {"Action": "DescribeRegions"}))
        regions = sorted(region["RegionName"] for region in enabled["RegionInfo"])
    asked = {
        "Action": "DescribeSpotPriceHistory",
        "StartTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",  # begins with those in force then
        "ProductDescription.1": "Linux/UNIX",
        "Filter.1.Name": "instance-type",
        **{f"Filter.1.Value.{n}": f"{family}*" for n, family in enumerate(FAMILIES, start=1)},
    }
    for region in regions:
        with http.part(f"{region}/spot_az"):
            page = sigv4.ask(http, region, asked)
            while token := sigv4.answer(page).get("NextToken"):
                page = sigv4.ask(http, region, {**asked, "NextToken": token})


def parse(pages: Sequence[Page]) -> Iterator[Quote | Interruption]:
    """Read each page as what it is; region index and locations only help to read the others."""
    known = instances(PROVIDER.slug)
    documents = [_document(page) for page in pages]
    codes = {name: code for code, name in places(PROVIDER.slug).items()}
    for document in filter(_is_locations, documents):
        codes |= _codes(document)
    weekly = any(map(_is_region_index, documents))
    history: list[Mapping[str, str]] = []
    for page, document in zip(pages, documents, strict=True):
        match document:
            case None:
                found = ec2_offer.quotes(ec2_offer.csv_rows(page), known, codes)
                # the feeds have the on-demand series already, every hour
                yield from (q for q in found if not (weekly and q.option is Option.ON_DEMAND))
            case {"products": offered} if offered:
                yield from ec2_offer.quotes(ec2_offer.json_rows(document), known, codes)
            case {"manifest": _, "regions": locations} if any(locations.values()):
                yield from on_demand(document, known, codes)
            case {"config": {"regions": [_, *_] as regions}}:
                yield from spot(regions, known)
            case {"spot_advisor": regions, "ranges": buckets} if regions:
                yield from interruptions(regions, buckets, known)
            case {"SpotPriceHistory": entries}:
                history += entries
            case _ if not (_is_locations(document) or _is_region_index(document)):
                raise Changed(f"{page.url} is no AWS price file that we know", url=page.url)
    yield from spot_by_zone(history, known)


def on_demand(
    feed: Mapping[str, Any], known: Container[str], codes: Mapping[str, str]
) -> Iterator[Quote]:
    """Yield the accelerators of a location's feed."""
    for location, rows in feed["regions"].items():
        for row in rows.values():
            if ec2_offer.is_accelerated(row, known) and ec2_offer.is_plain_linux(row):
                yield Quote(
                    sku=row["Instance Type"],
                    option=Option.ON_DEMAND,
                    price=row["price"],
                    currency=feed["manifest"]["currencyCode"],
                    region=codes.get(location, location),
                    vcpus=row["vCPU"],
                    memory_gib=ec2_offer.memory_gib(row),
                    source_sku=row["rateCode"],
                )


def spot(regions: Iterable[Mapping[str, Any]], known: Container[str]) -> Iterator[Quote]:
    """Yield spot.json's Linux column. A price may read "N/A*"."""
    for region in regions:
        code = OLD_NAMES.get(region["region"], region["region"])
        for group in region["instanceTypes"]:
            for size in group["sizes"]:
                if not ec2_offer.is_accelerated_by_name(size["size"], known):
                    continue
                for column in size["valueColumns"]:
                    if column["name"] == "linux":
                        ((currency, price),) = column["prices"].items()
                        yield Quote(
                            sku=size["size"],
                            option=Option.SPOT,
                            price=price,
                            currency=currency,
                            region=code,
                        )


def interruptions(
    regions: Mapping[str, Any], buckets: Iterable[Mapping[str, Any]], known: Container[str]
) -> Iterator[Interruption]:
    """Yield the spot advisor's buckets by their labels: "<5%", "5-10%", …, ">20%"."""
    percent: dict[int, tuple[int, int]] = {}
    for bucket in buckets:
        ends = [int(end) for end in re.findall(r"\d+", bucket["label"])]
        low = 0 if bucket["label"].startswith("<") else ends[0]
        high = 100 if bucket["label"].startswith(">") else ends[-1]
        percent[bucket["index"]] = (low, high)
    for region, systems in regions.items():
        for sku, seen in systems.get("Linux", {}).items():
            if ec2_offer.is_accelerated_by_name(sku, known):
                low, high = percent[seen["r"]]
                yield Interruption(
                    sku=sku,
                    region=region,
                    low_percent=low,
                    high_percent=high,
                    saving_percent=seen["s"],
                )


def spot_by_zone(history: Iterable[Mapping[str, str]], known: Container[str]) -> Iterator[Quote]:
    """Yield the newest price of each zone and type; older ones are history."""
    newest: dict[tuple[str, str], Mapping[str, str]] = {}
    for entry in history:
        series = entry["AvailabilityZone"], entry["InstanceType"]
        if entry["ProductDescription"] in LINUX and (
            series not in newest or entry["Timestamp"] > newest[series]["Timestamp"]
        ):
            newest[series] = entry
    for (zone, sku), entry in newest.items():
        if ec2_offer.is_accelerated_by_name(sku, known):
            yield Quote(
                sku=sku,
                option=Option.SPOT,
                price=entry["SpotPrice"],
                region=ZONE_LETTER.sub("", zone),
                zone=zone,
            )


def _document(page: Page) -> Any:
    """Return what a page says as JSON would; None for an offer file, which stays on disk."""
    if ec2_offer.is_offer_csv(page):
        return None
    if page.text.lstrip().startswith("<"):
        return sigv4.answer(page)
    wrapped = CALLBACK.fullmatch(page.text)
    return json.loads(wrapped[1], parse_float=Decimal) if wrapped else page.json()


def _codes(locations: Mapping[str, Any], kind: str = "") -> dict[str, str]:
    """Return name → code of the places of a kind ("AWS Region"), or of all."""
    return {name: place["code"] for name, place in locations.items() if kind in {"", place["type"]}}


def _is_locations(document: Any) -> bool:
    places = document.values() if isinstance(document, dict) else ()
    return any(places) and all(isinstance(place, dict) and "code" in place for place in places)


def _is_region_index(document: Any) -> bool:
    """Say whether a document lists regions: of the offer files, or of an account."""
    if not isinstance(document, dict) or "manifest" in document:
        return False
    return bool(document.get("regions") or document.get("RegionInfo"))
