"""Google Cloud: machines put together from the catalogue, the list that does it for us, traps."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from gputape.scrapers.archive import Archive
from gputape.scrapers.errors import Changed
from gputape.scrapers.http import Pace, Part, Session, Visit, client
from gputape.scrapers.normalise import Verdict, normalise
from gputape.scrapers.page import Page
from gputape.scrapers.providers import gcp
from gputape.scrapers.quote import Per, Quote
from gputape.scrapers.reading import read
from gputape.scrapers.recording import Replay
from gputape.store.offer import Option
from gputape.store.scan import Memory

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "gcp"
LIST = (FIXTURES / "pricing.yml").read_bytes()
CATALOG = [(FIXTURES / "keyed" / name).read_bytes() for name in ("skus_1.json", "skus_2.json")]
PAYLOADS = ROOT.parent / "shared/payloads/gcp"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded answers are not here")
SEEN = datetime(2026, 7, 30, tzinfo=UTC)
KEY = "AIza-not-a-key"
IOWA = ["us-central1"]


def quotes(*bodies: bytes) -> list[Quote]:
    """Return what the adapter reads in the pages of one part."""
    pages = [Page(url="page", fetched_at=SEEN, read=lambda body=body: body) for body in bodies]
    return read(gcp, pages).quotes


def judged(found: list[Quote]) -> Verdict:
    """Return what the house makes of quotes on the day they were seen."""
    return normalise("gcp", found, SEEN)


def price(found: list[Quote], sku: str, region: str = "us-central1", **terms: Any) -> Any:
    """Return the one price of a machine: on demand unless said otherwise."""
    terms = {"option": Option.ON_DEMAND, "term_months": None} | terms
    [quote] = [
        q
        for q in found
        if (q.sku, q.region) == (sku, region)
        and (q.option, q.term_months) == (terms["option"], terms["term_months"])
    ]
    return quote.price


def row(
    description: str, price: str, usage: str = "OnDemand", unit: str = "h", currency: str = "USD"
) -> dict[str, Any]:
    """Return a catalogue row for Iowa as Google writes it."""
    units, _, nanos = price.partition(".")
    money = {"currencyCode": currency, "units": units, "nanos": int(f"{nanos:0<9}")}
    expression = {"usageUnit": unit, "tieredRates": [{"startUsageAmount": 0, "unitPrice": money}]}
    return {
        "name": f"{gcp.SERVICE}/skus/{description}",
        "skuId": description,
        "description": description,
        "category": {"usageType": usage},
        "serviceRegions": IOWA,
        "pricingInfo": [{"pricingExpression": expression, "effectiveTime": "2026-06-15"}],
    }


def of_rows(*rows: dict[str, Any]) -> list[Quote]:
    """Return the quotes of a catalogue of these rows."""
    return quotes(json.dumps({"skus": rows, "nextPageToken": ""}).encode())


def a2(usage: str = "OnDemand", currency: str = "USD") -> list[dict[str, Any]]:
    """Return the parts of the A2 machines in Iowa."""
    return [
        row("Nvidia Tesla A100 GPU running in Iowa", "2.933908", usage, "h", currency),
        row("A2 Instance Core running in Iowa", "0.031611", usage, "h", currency),
        row("A2 Instance Ram running in Iowa", "0.004237", usage, "GiBy.h", currency),
    ]


def fetched(folder: Path, archive: Path, key: str = "") -> tuple[Part, list[str]]:
    """Return the part that a recording gives, and the addresses that were asked."""
    parts: list[Part] = []
    asked: list[str] = []
    with client(Replay(folder.parent, folder.name)) as replay:
        replay.event_hooks["request"].append(
            lambda request: asked.append(f"{request.url} {request.headers.get('X-Goog-Api-Key')}")
        )
        visit = Visit(
            client=replay,
            archive=Archive(archive),
            memory=Memory(),
            pace=Pace(timedelta(0), clock=lambda: 0.0, sleep=lambda _: None),
            now=lambda: SEEN,
            secrets={"GCP_API_KEY": key},
        )
        gcp.fetch(Session(gcp.PROVIDER, visit, parts.append))
    [part] = parts
    return part, asked


# -- recorded answers ----------------------------------------------------------------------------


@recorded
def test_recorded_parts_compose_to_the_published_machine() -> None:
    """2.933908 + 12 x 0.031611 + 85 x 0.004237 is 3.673385, a2-highgpu-1g in Iowa."""
    found = quotes((PAYLOADS / "opencost_skus.json").read_bytes())
    assert price(found, "a2-highgpu-1g") == Decimal("3.673385")
    assert {q.region for q in found} == {"us-central1", "us-east1", "us-west1"}
    assert {q.sku for q in found} == {
        "a2-highgpu-1g", "a2-highgpu-2g", "a2-highgpu-4g", "a2-highgpu-8g", "a2-megagpu-16g",
    }  # fmt: skip


@recorded
def test_recorded_list_is_read_in_well_under_a_second() -> None:
    """3.9 MB and 139,000 lines; the prices are those read by eye."""
    body = (PAYLOADS / "cyclenerd_pricing_2026-07-30_derived.yml").read_bytes()
    start = perf_counter()
    found = quotes(body)
    assert perf_counter() - start < 1
    assert price(found, "a2-highgpu-1g") == "3.673385"
    assert price(found, "a3-highgpu-8g") == "88.4899999025753"
    assert price(found, "a3-highgpu-8g", option=Option.SPOT) == "50.6095408219178"
    assert price(found, "g2-standard-4", "europe-west4", option=Option.RESERVED, term_months=36)
    assert len({q.sku for q in found}) == 29
    assert judged(found).rejects == []


@recorded
def test_recorded_commitment_per_gpu_hour() -> None:
    """44,810.08 a month for a3-highgpu-8g is 61.38 an hour and 7.673 a GPU; three years 4.858."""
    found = quotes((PAYLOADS / "cyclenerd_pricing_2026-07-30_derived.yml").read_bytes())
    offers = {
        o.key.term_months: o.price / o.gpu_count
        for o in judged(found).offers
        if (o.key.sku, o.key.region) == ("a3-highgpu-8g", "us-central1")
    }
    assert round(offers[12], 3) == Decimal("7.673")
    assert round(offers[36], 3) == Decimal("4.858")


# -- fetch ---------------------------------------------------------------------------------------


def test_without_a_key_the_list_is_asked(tmp_path: Path) -> None:
    """One address, no key in it."""
    part, asked = fetched(FIXTURES, tmp_path)
    assert part.error is None
    assert asked == [f"{gcp.LIST} None"]


def test_with_a_key_every_page_of_the_catalogue_is_asked(tmp_path: Path) -> None:
    """The key travels as a header: no address, and so no archive, ever holds it."""
    part, asked = fetched(FIXTURES / "keyed", tmp_path, KEY)
    assert part.error is None
    assert [line.split()[0] for line in asked] == [
        gcp.CATALOG,
        f"{gcp.CATALOG}&pageToken=AP%2F2%2Bb%3D",
    ]
    assert all(line.endswith(KEY) for line in asked)
    assert not any(KEY in row.url for row in part.rows)
    assert not any(KEY.encode() in page.body for page in part.pages)


def test_both_ways_lead_to_the_same_series(tmp_path: Path) -> None:
    """A key changes who adds up, and neither the part, the machines' names nor their keys."""
    assert fetched(FIXTURES, tmp_path)[0].name == fetched(FIXTURES / "keyed", tmp_path, KEY)[0].name
    ours = {o.key for o in judged(quotes(*CATALOG)).offers}
    theirs = {o.key for o in judged(quotes(LIST)).offers}
    assert {(k.sku, k.option) for k in ours & theirs} >= {("a3-highgpu-8g", Option.ON_DEMAND)}


@pytest.mark.parametrize(
    "body", [b"{}", b'{"skus": []}', b'{"skus": [{"name": "services/E000-3F24-B8AA/skus/1"}]}']
)
def test_an_empty_catalogue_or_another_service_is_changed(body: bytes) -> None:
    """A wrong service id answers with an empty list and status 200."""
    with pytest.raises(Changed, match="Compute Engine"):
        quotes(body)


def test_an_empty_catalogue_fails_the_fetch(tmp_path: Path) -> None:
    """The first page tells; the next is not asked."""
    (tmp_path / "gcp").mkdir()
    (tmp_path / "gcp" / "none.json").write_text('{"skus": [], "nextPageToken": "more"}')
    entry = {"method": "GET", "url": f"{gcp.CATALOG}*", "file": "none.json", "status": 200,
             "fetched_at": "2026-07-30T00:00:00Z"}  # fmt: skip
    (tmp_path / "gcp" / "pages.json").write_text(json.dumps([entry, entry]))
    part, asked = fetched(tmp_path / "gcp", tmp_path / "archive", KEY)
    assert isinstance(part.error, Changed)
    assert len(asked) == 1


# -- the catalogue -------------------------------------------------------------------------------


def test_a_machine_is_the_sum_of_its_parts() -> None:
    """A3 high of eight: 87.832465656 for GPUs, cores and RAM, 6,000 GiB of SSD on top."""
    found = quotes(*CATALOG)
    assert round(price(found, "a3-highgpu-8g"), 9) == Decimal("88.489999903")
    assert price(found, "a2-highgpu-1g") == Decimal("3.673385")
    assert price(found, "a2-megagpu-16g") == Decimal("55.739504")
    assert price(found, "g4-standard-48") == Decimal("4.49993")


def test_a_composed_price_says_that_it_is_ours() -> None:
    """The sum carries every part's id and is marked as derived."""
    found = next(q for q in quotes(*CATALOG) if q.sku == "a2-highgpu-1g")
    assert found.derived == "sum of GPU, core, RAM and SSD prices"
    assert found.source_sku == "039F-D0DA-4055+2922-40C5-B19F+2390-DCAF-DA38"
    assert found.relay is None


def test_h100_plus_is_the_gpu_of_a3_mega() -> None:
    """The "Mega" GPU was renamed "Plus"; with its own A3Plus host, a3-megagpu-8g is 93.40."""
    assert round(price(quotes(*CATALOG), "a3-megagpu-8g"), 2) == Decimal("93.40")


def test_a_slice_covers_its_share_of_the_machine() -> None:
    """A4: eight slices of 16.11, 11.1159 and 7.0884 committed, 4.28 on spot; no host on top."""
    found = quotes(*CATALOG)
    assert price(found, "a4-highgpu-8g") == 8 * Decimal("16.11")
    assert price(found, "a4-highgpu-8g", option=Option.SPOT) == 8 * Decimal("4.28")
    for months, each in ((12, "11.1159"), (36, "7.0884")):
        committed = price(found, "a4-highgpu-8g", option=Option.RESERVED, term_months=months)
        assert committed == 8 * Decimal(each)
    assert {q.tier for q in found if q.option is Option.RESERVED} == {"cud"}


def test_a_chip_includes_its_host() -> None:
    """TPU v5e in Delhi: 1.44132 a chip, four chips 5.76528; v6e is 1.89 for a year."""
    found = quotes(*CATALOG)
    assert price(found, "ct5lp-hightpu-1t", "asia-south2") == Decimal("1.44132")
    assert price(found, "ct5lp-hightpu-4t", "asia-south2") == Decimal("5.76528")
    year = price(found, "ct6e-standard-1t", "us-east5", option=Option.RESERVED, term_months=12)
    assert year == Decimal("1.89")


def test_a_chip_of_a_new_generation_is_seen_and_rejected() -> None:
    """TPU9x comes through under its own name, and the judge says what to add."""
    found = of_rows(row("TPU9x running in Iowa", "20"))
    assert [(q.sku, q.gpu, q.price) for q in found] == [("TPU9x", "TPU9x", 20)]
    assert [r.reason for r in judged(found).rejects] == ["unknown_gpu"]


@pytest.mark.parametrize("ending", ["for 1 Year", "for 3 Year", "for 3 Years"])
def test_a_commitment_is_spelled_three_ways(ending: str) -> None:
    """The end of the sentence gives the term, with or without the s."""
    rows = [r | {"description": f"Commitment v1: {r['description']} {ending}"} for r in a2()]
    rows[1]["description"] = f"Commitment v1: A2 Cpu in Iowa {ending}"
    rows[2]["description"] = f"Commitment v1: A2 Ram in Iowa {ending}"
    months = 12 if "1" in ending else 36
    assert price(of_rows(*rows), "a2-highgpu-1g", option=Option.RESERVED, term_months=months)


def test_five_years_are_not_on_demand() -> None:
    """A commitment for five years has the usage type "Commit": left out."""
    rows = [
        r | {"description": f"Commitment v1: {r['description']} for 5 Years"} for r in a2("Commit")
    ]
    assert of_rows(*rows) == []


def test_the_newest_of_two_rows_counts_whatever_the_order() -> None:
    """Two rows for one part: the later price, and of one date the dearer."""
    old, new = row("TpuV6e running in Iowa", "2"), row("TpuV6e running in Iowa", "3")
    old["pricingInfo"][0]["effectiveTime"] = "2025-01-01"
    for order in ([old, new], [new, old]):
        assert price(of_rows(*order), "ct6e-standard-1t") == 3


def test_the_last_tier_and_the_last_date_count() -> None:
    """A first tier for nothing is not the price, and neither is last year's."""
    rows = a2()
    rates = rows[0]["pricingInfo"][0]["pricingExpression"]["tieredRates"]
    free = {"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": "0", "nanos": 0}}
    rates.insert(0, free)
    rows[1]["pricingInfo"].insert(0, row("A2 Instance Core", "9")["pricingInfo"][0])
    assert price(of_rows(*rows), "a2-highgpu-1g") == Decimal("3.673385")


# -- the list ------------------------------------------------------------------------------------


def test_the_list_gives_hours_months_and_spot_as_printed() -> None:
    """Numbers stay text, a commitment is per month, and the relay is named."""
    found = [q for q in quotes(LIST) if (q.sku, q.region) == ("a2-highgpu-1g", "us-central1")]
    assert {(q.option, q.tier, q.term_months, q.per, q.price) for q in found} == {
        (Option.ON_DEMAND, None, None, Per.HOUR, "3.673385"),
        (Option.SPOT, None, None, Per.HOUR, "1.92802"),
        (Option.RESERVED, "cud", 12, Per.MONTH, "1689.3711392"),
        (Option.RESERVED, "cud", 36, Per.MONTH, "938.56707798"),
    }
    assert {q.relay for q in found} == {"Cyclenerd/google-cloud-pricing-cost-calculator"}


def test_machines_without_gpus_and_licences_are_passed_over() -> None:
    """c4-standard-2 has no accelerator, and the licence of a2-highgpu-1g is another section."""
    found = quotes(LIST)
    assert "c4-standard-2" not in {q.sku for q in found}
    assert "0.1296" not in {q.price for q in found}


def test_a_machine_that_is_only_in_the_list_is_seen_and_rejected() -> None:
    """A new type with an accelerator comes through, and the judge says what to add."""
    text = LIST.replace(b"    g2-standard-4:\n", b"    g9-standard-4:\n")
    new = [q for q in quotes(text) if q.sku == "g9-standard-4"]
    assert len(new) == 4
    assert {r.reason for r in judged(new).rejects} == {"unknown_instance"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("compute:\n", "computing:\n"),
        ("  instance:\n", "  instances:\n"),
        ("    a2-highgpu-1g:\n", "    a2-highgpu-1g: {}\n"),
        ("          hour: 3.673385\n", "          hour: about 3.67\n"),
        ("          hour: 3.673385\n", "          week: 3.673385\n"),
        ("          hour: 3.673385\n", "          hour:\n            usd: 3.673385\n"),
        ("        us-central1:\n", "        - us-central1\n"),
        ("      cost:\n", "\tcost:\n"),
    ],
)
def test_a_list_of_another_shape_is_changed(old: str, new: str) -> None:
    """The reader knows one nesting and says where the file leaves it."""
    text = LIST.decode()
    assert old in text
    with pytest.raises(Changed):
        quotes(text.replace(old, new, 1).encode())


def test_a_figure_in_scientific_notation_is_read() -> None:
    """A price below a ten-thousandth may be printed as 5e-05; it is text until it is judged."""
    text = LIST.replace(b"hour: 3.673385\n", b"hour: 3.673385e0\n")
    assert price(quotes(text), "a2-highgpu-1g") == "3.673385e0"


# -- traps ---------------------------------------------------------------------------------------


def test_trap_03_a_part_for_nothing_is_a_preview() -> None:
    """RTX PRO 6000 was listed at 0 before G4 was sold: no machine is composed of it."""
    host = [
        row("G4 Instance Core running in Iowa", "0.04891"),
        row("G4 Instance Ram running in Iowa", "0.00587", unit="GiBy.h"),
    ]
    assert of_rows(*host, row("RTX 6000 96GB running in Iowa", "0")) == []
    assert len(of_rows(*host, row("RTX 6000 96GB running in Iowa", "1.09565"))) == 4


def test_trap_09_the_sentence_decides_what_is_spot() -> None:
    """B200 spot rows carry the usage type OnDemand; "Spot Preemptible" wins."""
    found = of_rows(
        row("A4 Nvidia B200 (1 gpu slice) running in Iowa", "16.11"),
        row("Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Iowa", "4.28"),
    )
    assert price(found, "a4-highgpu-8g") == Decimal("128.88")
    assert price(found, "a4-highgpu-8g", option=Option.SPOT) == Decimal("34.24")


@pytest.mark.parametrize(
    "description",
    [
        "RTX 6000 96GB attached to DWS Defined Duration VMs running in Iowa",
        "DWS Calendar Mode RTX 6000 96GB running in Iowa",
        "Reserved RTX 6000 96GB in Iowa",
        "Reserved RTX 6000 96GB in Iowa in Calendar Mode",
        "RTX 6000 96GB attached to Sole Tenancy VMs running in Iowa",
        "Capacity Optimized RTX 6000 96GB running in Iowa",
        "RTX 6000 96GB vWS running in Iowa",
        "RTX 6000 96GB Virtual Workstation GPU running in Iowa",
        "Suspended RTX 6000 96GB running in Iowa",
        "Premium for RTX 6000 96GB running in Iowa",
    ],
)
def test_trap_10_other_products_share_the_gpu(description: str) -> None:
    """A DWS row, whichever comes last, is not the price on demand of an RTX PRO 6000."""
    host = [
        row("G4 Instance Core running in Iowa", "0.04891"),
        row("G4 Instance Ram running in Iowa", "0.00587", unit="GiBy.h"),
    ]
    other = row(description, "0.5")
    assert of_rows(*host, other) == []
    found = of_rows(*host, row("RTX 6000 96GB running in Iowa", "1.09565"), other)
    assert price(found, "g4-standard-48") == Decimal("4.49993")


def test_trap_11_a_commitment_is_never_on_demand() -> None:
    """A TPU's one-year price tagged OnDemand is a commitment: the sentence says so."""
    found = of_rows(row("Commitment v1: TpuV6e running in Columbus for 1 Year", "1.89"))
    assert {(q.option, q.tier, q.term_months) for q in found} == {(Option.RESERVED, "cud", 12)}


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_trap_12_a_machine_without_a_part_is_not_a_cheap_machine(missing: int) -> None:
    """a2-highgpu-1g at 0.94 was the host alone: without GPU, core or RAM nothing is said."""
    rows = a2()
    del rows[missing]
    assert of_rows(*rows) == []


def test_trap_12_bundled_ssd_is_part_of_the_price() -> None:
    """a2-ultragpu-1g comes with 375 GiB: no SSD price, no machine; 0.08 a month is 0.0411."""
    rows = [row("Nvidia Tesla A100 80GB GPU running in Iowa", "3.928100"), *a2()[1:]]
    assert of_rows(*rows) == []
    found = of_rows(*rows, row("SSD backed Local Storage", "0.08", unit="GiBy.mo"))
    without = Decimal("3.9281") + 12 * Decimal("0.031611") + 170 * Decimal("0.004237")
    assert round(price(found, "a2-ultragpu-1g") - without, 6) == Decimal("0.041096")


def test_trap_12_a_part_in_another_unit_is_not_added() -> None:
    """RAM per decimal gigabyte is not RAM per GiB."""
    rows = a2()
    rows[2]["pricingInfo"][0]["pricingExpression"]["usageUnit"] = "GBy.h"
    assert of_rows(*rows) == []


def test_trap_12_a_gpu_without_its_own_host_is_not_composed() -> None:
    """H200 is listed and A3Ultra is not: nothing is borrowed from A3."""
    assert not any(q.sku == "a3-ultragpu-8g" for q in quotes(*CATALOG))


def test_trap_13_a_tpu_is_priced_with_its_host() -> None:
    """A chip-hour of v5e to v7 includes the host; v2 to v4, which did not, are left out."""
    found = quotes(*CATALOG)
    tpus = [q for q in found if q.sku.startswith("ct")]
    assert {q.derived for q in tpus} == {"sum of slice or chip prices, host included"}
    assert not any(q.sku.startswith("tpu-v") for q in found)


def test_trap_14_a_missing_price_has_no_placeholder() -> None:
    """TPU v6e is not listed in Delhi, so there is none at 700."""
    assert not [q for q in quotes(*CATALOG) if q.sku[:4] == "ct6e" and q.region == "asia-south2"]


def test_trap_17_a_price_is_written_where_it_is_listed() -> None:
    """One row for the Americas is three regions, the three it names."""
    regions = {q.region for q in quotes(*CATALOG) if q.sku == "a2-highgpu-1g"}
    assert regions == {"us-central1", "us-east1", "us-west1"}


def test_trap_24_a100_40_and_80_are_two_parts() -> None:
    """The 40 GB price makes no a2-ultragpu, and the 80 GB price no a2-highgpu."""
    ssd = row("SSD backed Local Storage", "0.08", unit="GiBy.mo")
    assert {q.sku[:8] for q in of_rows(*a2(), ssd)} == {"a2-highg", "a2-megag"}
    eighty = row("Nvidia Tesla A100 80GB GPU running in Iowa", "3.9281")
    assert {q.sku[:8] for q in of_rows(eighty, *a2()[1:], ssd)} == {"a2-ultra"}


def test_trap_31_an_eighth_of_a_gpu_has_its_own_price() -> None:
    """g4-standard-6, -12 and -24 are one, two and four slices of 0.64688, not a scaled GPU."""
    found = quotes(*CATALOG)
    assert price(found, "g4-standard-6") == Decimal("0.64688")
    assert price(found, "g4-standard-12") == Decimal("1.29376")
    assert price(found, "g4-standard-24") == Decimal("2.58752")
    [offer] = [o for o in judged(found).offers if o.key.sku == "g4-standard-6"]
    assert offer.gpu_count == Decimal("0.125")


def test_trap_31_the_list_scales_and_we_say_so() -> None:
    """The list has no slices; its fractions of a GPU are marked as derived, whole GPUs are not."""
    derived = {q.sku: q.derived for q in quotes(LIST)}
    assert derived["g4-standard-6"] == "scaled down from a whole GPU"
    assert derived["g4-standard-48"] is None


def test_trap_37_a_machine_has_one_currency() -> None:
    """Parts in rupiah make a price in rupiah; dollars and rupiah make none."""
    rupiah = of_rows(*a2(currency="IDR"))
    assert {q.currency for q in rupiah} == {"IDR"}
    assert of_rows(a2()[0], *a2(currency="IDR")[1:]) == []


def test_trap_41_a_price_that_can_not_be_bought_says_so() -> None:
    """A4 and small A3 have a price on demand and are not sold so: kept, and not available."""
    for found in (quotes(*CATALOG), quotes(LIST)):
        sold = {q.sku: q.available for q in found if q.option is Option.ON_DEMAND}
        assert sold["a3-highgpu-1g"] is False
        assert sold["a3-highgpu-8g"] is None
        assert {q.available for q in found if q.option is not Option.ON_DEMAND} == {None}


def test_a_relay_that_lost_a_gpu_is_passed_on_as_printed() -> None:
    """a3-megagpu-8g at 10.1176 lacks its GPUs; the adapter reports, the judge weighs."""
    assert price(quotes(LIST), "a3-megagpu-8g") == "10.1176"
