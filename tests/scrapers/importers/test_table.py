"""Any CSV with a map: our words, their columns, and what a table does not say."""

import tomllib
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.importers import table
from gputape.scrapers.importers.flaws import COUNT, DUST, TWO_PRICES
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.importers.table import BLANK, LEFT_OUT, ONE_MINUTE, OUT_OF_ORDER
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[3]
P5 = ROOT / "fixtures" / "imports" / "csv" / "p5.csv"
MAP = tomllib.loads(P5.with_suffix(".toml").read_text("utf-8"))
REAL = ROOT.parent / "shared" / "history" / "aws-gpu-price-tracker" / "gpu_prices.csv"
HEADER = "provider,sku,gpu,price,observed_at"


def read(path: Path, columns: dict[str, Any] | None = None, **options: Any) -> list[Snapshot]:
    return list(table.snapshots(path, ImportOptions(columns=columns or {}, **options)))


def csv(folder: Path, *rows: str, header: str = HEADER, name: str = "prices.csv") -> Path:
    file = folder / name
    file.write_text("\n".join((header, *rows)) + "\n", "utf-8")
    return file


def defects(found: list[Snapshot]) -> dict[str, list[str]]:
    kinds = dict.fromkeys(kind for s in found for kind in s.defects)
    return {kind: [p for s in found for p in s.defects.get(kind, ())] for kind in kinds}


def test_a_series_over_time_needs_four_lines() -> None:
    """One instance's daily price: a snapshot per row, in the order of time, gone never said."""
    found = read(P5, MAP)

    assert [(s.observed_at.date().isoformat(), [q.price for q in s.quotes]) for s in found] == [
        ("2025-05-01", []), ("2025-06-04", ["98.32"]), ("2025-06-06", ["55.04"]),
        ("2025-06-07", ["55.04"]),
    ]  # fmt: skip
    assert {(s.provider, s.complete) for s in found} == {("aws", False)}


def test_what_the_table_does_not_say_is_as_documented() -> None:
    """On demand, USD, the whole sku, per hour, region unstated; the facts know the GPUs."""
    last = read(P5, MAP)[-1]
    (offer,) = normalise("aws", last.quotes, last.observed_at).offers

    assert (offer.key.region, offer.key.option, offer.currency) == (
        "unstated", Option.ON_DEMAND, "USD",
    )  # fmt: skip
    assert (offer.gpu, offer.gpu_count, offer.price) == ("h100-sxm-80", 8, Decimal("55.04"))


def test_rows_out_of_order_and_blank_prices_are_named() -> None:
    """The month that was filled in later lies in its place, without a price."""
    assert defects(read(P5, MAP)) == {BLANK: ["p5.csv:3"], OUT_OF_ORDER: ["p5.csv:3"]}


def test_newest_first_is_an_order_too(tmp_path: Path) -> None:
    """A table that always steps back has no row out of order."""
    file = csv(tmp_path, "a,x,L4,1,2024-01-03", "a,x,L4,2,2024-01-02", "a,x,L4,3,2024-01-01")
    found = read(file)

    assert [s.quotes[0].price for s in found] == ["3", "2", "1"]
    assert defects(found) == {}


def test_complete_is_what_the_map_says_unless_a_price_is_blank(tmp_path: Path) -> None:
    """A blank price is nothing known, never a series gone."""
    file = csv(tmp_path, "a,x,L4,1,2024-01-01", "a,x,L4,1,2024-01-02", "a,y,L4,,2024-01-02")

    for said in (True, "true", "=yes"):
        assert [s.complete for s in read(file, {"complete": said})] == [True, False]
    assert [s.complete for s in read(file)] == [False, False]


def test_columns_that_have_our_names_need_no_map(tmp_path: Path) -> None:
    """Providers and moments are told apart, and a seller's name becomes its slug."""
    file = csv(tmp_path, "AWS,x,L4,1,2024-01-01", "Lambda,x,L4,2,2024-01-01")

    assert [(s.provider, s.quotes[0].price) for s in read(file)] == [
        ("aws", "1"), ("lambda_labs", "2"),
    ]  # fmt: skip


def test_a_constant_stands_before_a_column_of_its_name(tmp_path: Path) -> None:
    """`provider = "=acme"` holds for a table that has a provider column too."""
    (snapshot,) = read(csv(tmp_path, "a,x,L4,1,2024-01-01"), {"provider": "=acme"})

    assert snapshot.provider == "acme"


def test_every_field_of_a_quote_can_be_said(tmp_path: Path) -> None:
    """Columns, constants after `=`, and TOML's numbers."""
    header = "who;what;cost;when;how;card;n"
    file = csv(
        tmp_path, "Acme;box;$1,000;2024-01-01 12:00+02:00;Pre-emptible;L40S;4", header=header
    )
    (snapshot,) = read(file, {
        "provider": "who", "sku": "what", "price": "cost", "observed_at": "when", "option": "how",
        "gpu": "card", "gpu_count": "n", "region": "=eu-1", "zone": "=eu-1a", "per": "=month",
        "of": "=gpu", "tier": "=secure", "gpu_memory_gib": 48, "vcpus": 32, "memory_gib": "=256",
        "available": True, "currency": "=EUR", "payment": "=none", "term_months": 12,
        "upfront": 0,
    })  # fmt: skip
    (quote,) = snapshot.quotes

    assert snapshot.observed_at == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert (quote.option, quote.region, quote.zone, quote.tier, quote.payment) == (
        Option.SPOT, "eu-1", "eu-1a", "secure", "none",
    )  # fmt: skip
    assert (quote.term_months, quote.available, quote.currency) == (12, True, "EUR")
    assert (quote.price, quote.gpu_count, quote.per, quote.of) == ("$1,000", "4", "month", "gpu")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"price": "prise"}, "no column 'prise': did you mean 'price'"),
        ({"pirce": "price"}, "no field 'pirce': did you mean 'price'"),
        ({"price": "=1", "sku": "zzz"}, "no column 'zzz': known are provider"),
    ],
)
def test_a_wrong_map_names_the_nearest(
    tmp_path: Path, columns: dict[str, str], sentence: str
) -> None:
    """A column or a field that is not there ends in the name it was near to."""
    with pytest.raises(BadInput, match=sentence):
        read(csv(tmp_path, "a,x,L4,1,2024-01-01"), columns)


def test_a_needed_column_is_asked_for(tmp_path: Path) -> None:
    """Provider, sku and price must be said."""
    with pytest.raises(BadInput, match="which column is the price: did you mean 'prices'"):
        read(csv(tmp_path, "a,x,1", header="provider,sku,prices"))


def test_a_time_may_come_from_the_name_or_a_person(tmp_path: Path) -> None:
    """2024-05-06.csv is of that day; `--observed-at` overrides even the rows."""
    then = datetime(2024, 2, 2, tzinfo=UTC)
    file = csv(tmp_path, "a,x,L4,1", header="provider,sku,gpu,price", name="2024-05-06.csv")
    rows = csv(tmp_path, "a,x,L4,1,2024-01-01")

    assert read(file)[0].observed_at == datetime(2024, 5, 6, tzinfo=UTC)
    assert read(rows, observed_at=then)[0].observed_at == then


@pytest.mark.parametrize(
    "row",
    ["a,x,L4,1,soon", "a,x,L4,1,", ",x,L4,1,2024-01-01", "a,,L4,1,2024-01-01"],
)
def test_a_row_that_can_not_be_read_costs_itself(tmp_path: Path, row: str) -> None:
    """It is left out and named with its line; a table of such rows is refused."""
    (snapshot,) = read(csv(tmp_path, row, "a,x,L4,1,2024-01-01"))

    assert len(snapshot.quotes) == 1
    assert [place.split(":")[1] for place in snapshot.defects[LEFT_OUT]] == ["2"]
    with pytest.raises(BadInput, match=r"no row that can be read \(prices.csv:2"):
        read(csv(tmp_path, row))


def test_an_option_that_is_none_is_named(tmp_path: Path) -> None:
    """A word that no option has is not taken for on demand."""
    with pytest.raises(BadInput, match="'auction' is no option"):
        read(csv(tmp_path, "a,x,L4,1,2024-01-01"), {"option": "=auction"})


def test_common_defects_are_survived_and_named(tmp_path: Path) -> None:
    """Dust, two prices, a wrong GPU count and two moments of one minute."""
    found = read(csv(
        tmp_path,
        "aws,p5.48xlarge,H100,4,98.32000000000001,2024-01-01 00:00:01",
        "aws,p5.48xlarge,H100,8,55.04,2024-01-01 00:00:01",
        "aws,p5.48xlarge,H100,8,55.04,2024-01-01 00:00:59",
        header="provider,sku,gpu,gpu_count,price,observed_at",
    ))  # fmt: skip

    assert defects(found) == {
        DUST: ["prices.csv:2: 98.32000000000001"],
        COUNT: ["prices.csv:2: p5.48xlarge says 4, the facts 8"],
        ONE_MINUTE: ["prices.csv: aws 2024-01-01 00:00"],
        TWO_PRICES: ["prices.csv: aws 2024-01-01: p5.48xlarge unstated on_demand: 98.32 and 55.04"],
    }
    assert found[0].quotes[0].price == Decimal("98.32")


def test_zero_is_left_to_the_judge(tmp_path: Path) -> None:
    """A price of 0 is a quote, rejected as `zero`."""
    (snapshot,) = read(csv(tmp_path, "a,x,L4,0,2024-01-01"))
    verdict = normalise("a", snapshot.quotes, snapshot.observed_at)

    assert [reject.reason for reject in verdict.rejects] == ["zero"]


def test_the_map_says_who_kept_the_table() -> None:
    """Source, licence, attribution and address are the map's; the slug is the source's name."""
    said = table.source(ImportOptions(columns={
        "source": "AWS GPU price tracker", "licence": "=MIT", "url": "https://example.org",
    }))  # fmt: skip

    assert (said.slug, said.name, said.licence, said.url) == (
        "aws-gpu-price-tracker", "AWS GPU price tracker", "MIT", "https://example.org",
    )  # fmt: skip
    assert table.source(ImportOptions()) == table.SOURCE


@pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")
def test_the_real_tracker_has_the_cut_of_june_2025() -> None:
    """500 rows, 13 blank; p5.48xlarge falls from 98.32 to 55.04 on 2025-06-05."""
    found = read(REAL, MAP)
    priced = [(s.observed_at, s.quotes[0].price) for s in found if s.quotes]
    first = min(when for when, price in priced if price == "55.04")

    assert len(found) == 500
    assert Counter(price for _, price in priced) == {"55.04": 443, "98.32": 44}
    assert first == datetime(2025, 6, 5, 7, 22, 36, tzinfo=UTC)
    assert len(defects(found)[BLANK]) == 13
