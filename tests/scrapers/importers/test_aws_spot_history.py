"""Spot price histories of the AWS command line: every change at its own moment."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.importers import aws_spot_history
from gputape.scrapers.importers.aws_spot_history import LEFT_OUT, WITHOUT_GPU
from gputape.scrapers.importers.flaws import DUST, TWO_PRICES
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Option

ROOT = Path(__file__).resolve().parents[3]
HISTORY = ROOT / "fixtures" / "imports" / "aws-spot-history" / "us-east-1.json"
REAL = ROOT.parent / "shared" / "payloads" / "aws"
UTF16 = REAL / "describe_spot_price_history_2020-07-01_utf16.json"
P5 = {
    "AvailabilityZone": "us-east-1a", "InstanceType": "p5.48xlarge",
    "ProductDescription": "Linux/UNIX", "SpotPrice": "20.738000",
    "Timestamp": "2026-08-10T22:41:09.000Z",
}  # fmt: skip


def read(path: Path) -> list[Snapshot]:
    return list(aws_spot_history.snapshots(path, ImportOptions()))


def history(file: Path, *rows: dict[str, Any], encoding: str = "utf-8") -> Path:
    document = {"SpotPriceHistory": [P5 | row for row in rows]}
    file.write_text(json.dumps(document), encoding)
    return file


def test_every_change_is_a_snapshot_of_its_moment() -> None:
    """Rows come newest first and leave oldest first; a Local Zone is a region of its own."""
    found = [(s.observed_at.isoformat(), s.part, len(s.quotes)) for s in read(HISTORY)]

    assert found == [
        ("2026-08-09T22:40:51+00:00", "import/aws-spot-history/us-east-1", 1),
        ("2026-08-10T20:16:31+00:00", "import/aws-spot-history/us-east-1", 1),
        ("2026-08-10T21:02:55+00:00", "import/aws-spot-history/us-east-1-atl-1", 1),
        ("2026-08-10T22:41:09+00:00", "import/aws-spot-history/us-east-1", 1),
    ]


def test_a_change_says_nothing_of_the_other_series() -> None:
    """No snapshot is complete: a series that did not change is not gone."""
    assert not any(s.complete for s in read(HISTORY))


def test_a_price_is_the_zones_for_the_instance() -> None:
    """us-east-1a's p5.48xlarge at 20.738 is 2.59225 for each of its eight GPUs."""
    last = read(HISTORY)[-1]
    (offer,) = normalise("aws", last.quotes, last.observed_at).offers

    assert (offer.key.region, offer.key.zone, offer.key.option) == (
        "us-east-1", "us-east-1a", Option.SPOT,
    )  # fmt: skip
    assert offer.price / offer.gpu_count == Decimal("2.59225")


def test_other_systems_are_not_read_and_other_types_are_counted() -> None:
    """Windows is left out; m1.xlarge has no GPU, and its rows are counted."""
    found = read(HISTORY)

    assert {q.price for s in found for q in s.quotes}.isdisjoint({"29.570000", "0.095000"})
    assert [dict(s.defects) for s in found if s.defects] == [
        {WITHOUT_GPU: ("us-east-1.json: m1.xlarge × 1",)}
    ]


def test_an_accelerator_that_the_facts_do_not_know_is_counted_later(tmp_path: Path) -> None:
    """A type named like an accelerator is a quote, and `normalise` says that it is unknown."""
    (snapshot,) = read(history(tmp_path / "a.json", {"InstanceType": "p99.48xlarge"}))
    verdict = normalise("aws", snapshot.quotes, snapshot.observed_at)

    assert [reject.reason for reject in verdict.rejects] == ["unknown_instance"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_powershell_writes_another_encoding(tmp_path: Path, encoding: str) -> None:
    """UTF-8 with and without a mark and UTF-16 say the same."""
    (snapshot,) = read(history(tmp_path / "a.json", {}, encoding=encoding))

    assert [quote.price for quote in snapshot.quotes] == ["20.738000"]
    assert snapshot.read() == (tmp_path / "a.json").read_bytes()


def test_a_bare_list_and_a_packed_file_are_read(tmp_path: Path) -> None:
    """`--query SpotPriceHistory` leaves a list; .gz is unpacked."""
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps([P5]).encode()))

    assert len(read(tmp_path / "a.json.gz")) == 1


def test_a_folder_of_pages_is_one_history(tmp_path: Path) -> None:
    """A row that two pulls have is told once; a moment that two files share stays in both."""
    history(tmp_path / "1.json", {}, {"Timestamp": "2026-08-09T22:00:00Z", "SpotPrice": "21"})
    history(tmp_path / "2.json", {}, {"AvailabilityZone": "us-east-1b"})
    found = read(tmp_path)

    assert [(s.file, s.quotes[0].zone, s.observed_at.microsecond) for s in found] == [
        ("1.json", "us-east-1a", 0), ("1.json", "us-east-1a", 0), ("2.json", "us-east-1b", 1),
    ]  # fmt: skip


def test_two_prices_at_one_moment_are_named(tmp_path: Path) -> None:
    """One zone, one type, one second, two prices: both are quoted, and the place is said."""
    (snapshot,) = read(history(tmp_path / "a.json", {}, {"SpotPrice": "19.1"}))

    assert sorted(str(quote.price) for quote in snapshot.quotes) == ["19.1", "20.738000"]
    assert list(snapshot.defects) == [TWO_PRICES]


def test_dust_in_a_price_is_rounded(tmp_path: Path) -> None:
    """A tool that wrote floats is read to nine places."""
    (snapshot,) = read(history(tmp_path / "a.json", {"SpotPrice": 20.738000000000003}))

    assert [quote.price for quote in snapshot.quotes] == [Decimal("20.738")]
    assert list(snapshot.defects) == [DUST]


@pytest.mark.parametrize("row", [{"Timestamp": "today"}, {"AvailabilityZone": None}])
def test_a_row_that_can_not_be_read_costs_itself(tmp_path: Path, row: dict[str, Any]) -> None:
    """It is left out and named; the next one is read."""
    (snapshot,) = read(history(tmp_path / "a.json", row, {}))

    assert len(snapshot.quotes) == 1
    assert snapshot.defects == {LEFT_OUT: ("a.json: row 0",)}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "no SpotPriceHistory"),
        ("[]", "no rows"),
        ("{", "not JSON"),
        (json.dumps([P5 | {"InstanceType": "m1.xlarge"}]), "m1.xlarge × 1"),
    ],
)
def test_a_file_with_nothing_to_import_says_why(
    tmp_path: Path, content: str, sentence: str
) -> None:
    """One sentence: what was given, and what was in it."""
    file = tmp_path / "a.json"
    file.write_text(content, "utf-8")

    with pytest.raises(BadInput, match=sentence):
        read(file)


def test_rows_have_their_own_time() -> None:
    """`--observed-at` would put all changes at one moment, and is refused."""
    with pytest.raises(BadInput, match="its own time"):
        list(aws_spot_history.snapshots(
            HISTORY, ImportOptions(observed_at=datetime(2026, 8, 1, tzinfo=UTC))
        ))  # fmt: skip


@pytest.mark.skipif(not UTF16.exists(), reason="needs the folder of real responses")
def test_the_real_file_has_no_gpu() -> None:
    """A true PowerShell file of 2020: four Linux rows, all of m1.xlarge."""
    with pytest.raises(BadInput, match=r"m1\.xlarge × 4"):
        read(UTF16)
