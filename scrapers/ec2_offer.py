"""EC2 offer files: everything AWS sells per hour in a region, on demand and reserved.

Format: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/bulk-api-reading-price-list-files.html
One CSV line is one rate of one term of one product; the JSON says the same as a tree, and is
read into the CSV's column names, so that each rule is written once. Columns come and go with
the years: they are addressed by name, and one that a file lacks is "".
Prices are text, per instance. `GPU Memory` is the total of the instance, and `GPU` counts
Trainium chips too but no slices (`g6f`): neither is read, the facts in `store/instances/` are.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from gputape.scrapers.csvpage import start
from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.store.offer import Option

Row: TypeAlias = Mapping[str, str]
"""Column name → text: a line of the CSV, and of the pricing page's feed as far as it goes."""

PRODUCT = {
    "Product Family": "productFamily",
    "Location": "location",
    "Region Code": "regionCode",
    "Instance Type": "instanceType",
    "Instance Family": "instanceFamily",
    "vCPU": "vcpu",
    "Memory": "memory",
    "GPU": "gpu",
    "Tenancy": "tenancy",
    "Operating System": "operatingSystem",
    "Pre Installed S/W": "preInstalledSw",
    "License Model": "licenseModel",
    "CapacityStatus": "capacitystatus",
    "MarketOption": "marketoption",
    "operation": "operation",
}
"""The CSV's columns that describe a product, and the JSON's names for them."""
TERM = ("LeaseContractLength", "PurchaseOption", "OfferingClass")
RATE = ("SKU", "OfferTermCode", "RateCode", "TermType", "Unit", "PricePerUnit", "Currency")
COLUMNS = (*RATE, *TERM, *PRODUCT)

# "Bring your own license" Windows costs what Linux costs, SQL Server differs by Pre Installed S/W
# alone, and a Capacity Block twin has the usage type of the instance and a price of 0
PLAIN_LINUX: Mapping[str, Collection[str]] = {
    "Product Family": {"Compute Instance", "Compute Instance (bare metal)"},
    "Tenancy": {"Shared"},
    "Operating System": {"Linux"},
    "Pre Installed S/W": {"NA", ""},
    "CapacityStatus": {"Used", ""},  # the file of 2017-03 lacks the column
    "License Model": {"No License required"},
    "MarketOption": {"OnDemand", ""},  # the file of 2020-10 lacks the column
}
CAPACITY_BLOCK = "RunInstances:CB"
ACCELERATED = frozenset({"GPU instance", "Machine Learning ASIC Instances"})
OTHER_ACCELERATORS = frozenset({"FPGA Instances", "Media Accelerator Instances"})  # f1, f2; vt1
NAMED_ACCELERATED = re.compile(r"(?:u-)?(?:p|gr?|trn|inf|dl)\d")  # "p6-b200.48xlarge", "gr6f.…"
YEARS = re.compile(r"(\d+) ?yr")  # "1yr", "3 yr"
PAYMENT = {"No Upfront": "none", "Partial Upfront": "partial", "All Upfront": "all"}


def is_offer_csv(page: Page) -> bool:
    """Whether a page is an offer file in CSV, by its first bytes: the whole is 300 MB."""
    return start(page).startswith(b'"FormatVersion"')


def csv_rows(page: Page) -> list[dict[str, str]]:
    """Rows of an offer file in CSV that may be about an accelerator, a thousandth of it."""
    rows = page.csv(
        COLUMNS,
        keep={
            "Instance Type": f"^{NAMED_ACCELERATED.pattern}",
            "Instance Family": f"^(?:{'|'.join(sorted(ACCELERATED))})$",
        },
        only=PLAIN_LINUX,
    )
    if rows and not any(row["TermType"] and row["PricePerUnit"] for row in rows):
        raise Changed(f"{page.url} has no TermType or no PricePerUnit", url=page.url)
    return rows


def json_rows(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Every rate of an offer file in JSON, in the CSV's words."""
    for term_type, skus in document["terms"].items():
        for sku, terms in skus.items():
            sold = document["products"][sku]
            about = {"productFamily": sold.get("productFamily", ""), **sold["attributes"]}
            described = {column: about.get(name, "") for column, name in PRODUCT.items()}
            for term in terms.values():
                for rate in _rates(sku, term):
                    yield {**described, **rate, "TermType": term_type}


def _rates(sku: str, term: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    attributes = term.get("termAttributes", {})
    agreed = {name: attributes.get(name, "") for name in TERM}
    for rate in term["priceDimensions"].values():
        for currency, price in rate["pricePerUnit"].items():
            yield {
                **agreed,
                "SKU": sku,
                "OfferTermCode": term["offerTermCode"],
                "RateCode": rate["rateCode"],
                "Unit": rate["unit"],
                "PricePerUnit": price,
                "Currency": currency,
            }


def is_plain_linux(row: Row) -> bool:
    """Whether a row is a shared Linux instance without software, as most people rent it.

    Only columns that the row has are asked: the pricing page's feed is filtered already.
    """
    return row.get("operation") != CAPACITY_BLOCK and all(
        row[column] in fit for column, fit in PLAIN_LINUX.items() if column in row
    )


def is_accelerated(row: Row, known: Container[str]) -> bool:
    """Whether a row is about an accelerator: a type we know, or one that AWS says is one.

    An unknown type is let through on purpose: it is counted as unknown, and so gets noticed.
    """
    if row["Instance Type"] in known:
        return True
    family = row.get("Instance Family", "")
    counted = row.get("GPU", "").isdigit() and int(row["GPU"]) > 0
    return family in ACCELERATED or (counted and family not in OTHER_ACCELERATORS)


def is_accelerated_by_name(sku: str, known: Container[str]) -> bool:
    """Say the same where the name is all there is: spot prices carry no family."""
    return sku in known or NAMED_ACCELERATED.match(sku) is not None


def quotes(rows: Iterable[Row], known: Container[str], codes: Mapping[str, str]) -> Iterator[Quote]:
    """Every price of an accelerator: the on-demand rows, then the reserved terms.

    `codes` maps a location's name to its region code, for files without `Region Code`.
    """
    terms: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if not (is_accelerated(row, known) and is_plain_linux(row)):
            continue
        if row["TermType"] == "OnDemand" and row["Unit"] == "Hrs":
            yield _on_demand(row, codes)
        elif row["TermType"] == "Reserved":
            terms.setdefault((row["SKU"], row["OfferTermCode"]), {})[row["Unit"]] = row
    for rates in terms.values():
        yield _reserved(rates, codes)


def _on_demand(row: Row, codes: Mapping[str, str]) -> Quote:
    return Quote(
        sku=row["Instance Type"],
        option=Option.ON_DEMAND,
        price=row["PricePerUnit"],
        currency=row["Currency"],
        region=row["Region Code"] or codes.get(row["Location"], row["Location"]),
        vcpus=row["vCPU"],
        memory_gib=memory_gib(row),
        source_sku=row["RateCode"],
    )


def _reserved(rates: Mapping[str, Row], codes: Mapping[str, str]) -> Quote:
    """Join a term's two rates: `Hrs` per hour, and `Quantity` once for the whole term."""
    row = rates.get("Hrs") or rates["Quantity"]
    years = YEARS.match(row["LeaseContractLength"])
    standard = row["OfferingClass"] in {"standard", ""}
    return Quote(
        sku=row["Instance Type"],
        option=Option.RESERVED,
        price=rates["Hrs"]["PricePerUnit"] if "Hrs" in rates else "0",
        upfront=rates["Quantity"]["PricePerUnit"] if "Quantity" in rates else None,
        currency=row["Currency"],
        region=row["Region Code"] or codes.get(row["Location"], row["Location"]),
        tier=None if standard else row["OfferingClass"],
        term_months=12 * int(years[1]) if years else None,
        payment=PAYMENT.get(row["PurchaseOption"], row["PurchaseOption"]),
        vcpus=row["vCPU"],
        memory_gib=memory_gib(row),
        source_sku=row["RateCode"],
    )


def memory_gib(row: Row) -> str:
    """Return the memory without its unit: "2048 GiB" → "2048"."""
    return row["Memory"].removesuffix(" GiB")
