"""The article's table of April 2023: seven sellers, three GPUs, three options."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gputape.scrapers.importers import article
from gputape.scrapers.importers.flaws import TWO_PRICES
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option

ROOT = Path(__file__).resolve().parents[3]
ARTICLE = ROOT / "fixtures" / "articles" / "2023-04-07.csv"
HEADER = ",".join(ARTICLE.read_text("utf-8").splitlines()[0].split(","))


def read(path: Path = ARTICLE, observed_at: datetime | None = None) -> list[Snapshot]:
    return list(article.snapshots(path, ImportOptions(observed_at=observed_at)))


def offers(found: list[Snapshot]) -> list[Offer]:
    return [o for s in found for o in normalise(s.provider, s.quotes, s.observed_at).offers]


def test_every_printed_price_is_an_offer_of_one_gpu() -> None:
    """41 figures of seven sellers, each for one GPU, in no region; nothing is rejected."""
    found = read()

    assert [s.provider for s in found] == [
        "aws", "azure", "coreweave", "fluidstack", "gcp", "lambda_labs", "oracle",
    ]  # fmt: skip
    assert len(offers(found)) == 41
    assert {(o.gpu_count, o.key.region) for o in offers(found)} == {(Decimal(1), "unstated")}
    assert {s.observed_at for s in found} == {datetime(2023, 4, 7, tzinfo=UTC)}


def test_a_figure_read_by_hand_is_there() -> None:
    """AWS's A100 80 GB: 5.12 on demand, 3.00 for a year, no spot price printed."""
    found = {
        (o.key.option, o.key.term_months): o.price
        for o in offers(read())
        if o.key.provider == "aws" and o.key.sku == "A100 80 GB"
    }

    assert found == {
        (Option.ON_DEMAND, None): Decimal("5.12"), (Option.RESERVED, 12): Decimal("3.00"),
    }  # fmt: skip


def test_no_figure_is_lost() -> None:
    """Every cell with a figure is one quote, as printed."""
    text = ARTICLE.read_text("utf-8").splitlines()[1:]
    figures = [cell for line in text for cell in line.split(",")[3:] if cell]

    assert sorted(str(q.price) for s in read() for q in s.quotes) == sorted(figures)


def test_a_persons_time_overrides_the_tables() -> None:
    """`--observed-at` is when it was true."""
    then = datetime(2023, 5, 1, tzinfo=UTC)

    assert {s.observed_at for s in read(observed_at=then)} == {then}


def test_a_gpu_printed_twice_is_named(tmp_path: Path) -> None:
    """One GPU of one seller with two prices."""
    file = tmp_path / "twice.csv"
    file.write_text(f"{HEADER}\n2023-04-07,A10,AWS,1.00,,\n2023-04-07,A10,AWS,2.00,,\n", "utf-8")
    (snapshot,) = read(file)

    assert snapshot.defects == {TWO_PRICES: ("twice.csv: aws: A10 unstated on_demand: 1 and 2",)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{HEADER}\nyesterday,A10,AWS,1.00,,\n", "line 2"),
        (f"{HEADER}\n2023-04-07\n", "line 2"),
        ("as_of,gpu,provider\n", "no column on_demand_usd_gpu_hour"),
    ],
)
def test_another_table_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    """A missing column or an unreadable day is said with its line."""
    file = tmp_path / "article.csv"
    file.write_text(text, "utf-8")

    with pytest.raises(BadInput, match=sentence):
        read(file)
