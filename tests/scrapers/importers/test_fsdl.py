"""The Full Stack's hand-kept tables: what an instance costs, and where a row contradicts itself."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.scrapers.importers import fsdl
from gputape.scrapers.importers.flaws import COUNT, OTHER_GPU, TWO_PRICES
from gputape.scrapers.importers.fsdl import LEFT_OUT, NO_INSTANCE_PRICE, PER_GPU
from gputape.scrapers.importers.moments import SAME_TIME
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option

ROOT = Path(__file__).resolve().parents[3]
TABLES = ROOT / "fixtures" / "imports" / "fsdl"
REAL = ROOT.parent / "shared" / "history" / "fsdl-cloud-gpus"
real = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")
HEADER = "Cloud,GPU Type,GPU Arch,GPUs,GPU RAM,vCPUs,RAM,On-demand,Per-GPU,Spot,Name"


def read(path: Path, **options: Any) -> list[Snapshot]:
    return list(fsdl.snapshots(path, ImportOptions(**options)))


def offers(found: list[Snapshot]) -> list[Offer]:
    return [o for s in found for o in normalise(s.provider, s.quotes, s.observed_at).offers]


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "2024-01-02T0304.csv"
    file.write_text("\n".join((header, *rows)) + "\n", "utf-8")
    return file


def defects(found: list[Snapshot]) -> dict[str, list[str]]:
    kinds = dict.fromkeys(kind for s in found for kind in s.defects)
    return {kind: [p for s in found for p in s.defects.get(kind, ())] for kind in kinds}


def test_the_early_table_prints_dollars_and_the_late_one_does_not() -> None:
    """p4d.24xlarge costs 32.77 on demand and 9.83 on spot in both, for the whole instance."""
    for name in ("2022-08-05T0406.csv", "2025-04-22T0014.csv"):
        aws = [s for s in read(TABLES / name) if s.provider == "aws"]
        said = {(o.key.option, o.price, o.gpu, o.gpu_count) for o in offers(aws)}

        assert said == {
            (Option.ON_DEMAND, Decimal("32.77"), "a100-sxm-40", Decimal(8)),
            (Option.SPOT, Decimal("9.83"), "a100-sxm-40", Decimal(8)),
        }


def test_the_time_is_in_the_name() -> None:
    """A file is of the minute in its name; a person's time overrides it."""
    then = datetime(2022, 9, 1, tzinfo=UTC)
    file = TABLES / "2022-08-05T0406.csv"

    assert {s.observed_at for s in read(file)} == {datetime(2022, 8, 5, 4, 6, tzinfo=UTC)}
    assert {s.observed_at for s in read(file, observed_at=then)} == {then}
    with pytest.raises(BadInput, match="one file"):
        read(TABLES, observed_at=then)


def test_a_file_without_a_time_asks_for_one(tmp_path: Path) -> None:
    """`cloud-gpus.csv`, as the repository calls it, needs --observed-at."""
    file = tmp_path / "cloud-gpus.csv"
    file.write_bytes((TABLES / "2022-08-05T0406.csv").read_bytes())

    with pytest.raises(BadInput, match="observed-at"):
        read(file)


def test_a_nameless_row_is_named_by_what_is_in_it() -> None:
    """Lambda prints no machine name: GPUs, CPUs and memory tell its rows apart."""
    (quote,) = [q for s in read(TABLES) for q in s.quotes if s.provider == "lambda_labs"]

    assert (quote.sku, quote.price) == ("1x A100 (40 GB), 30 vCPUs, 200 GB", "$1.10")


def test_gcp_attaches_gpus_to_one_machine() -> None:
    """n1-highmem-8 with a V100, a P100, a K80, a T4 or two P4 are five series."""
    gcp = [s for s in read(TABLES) if s.provider == "gcp"]

    assert {o.key.sku for o in offers(gcp)} == {
        "n1-highmem-8 + 1x V100 (16 GB)", "n1-highmem-8 + 1x P100 (16 GB)",
        "n1-highmem-8 + 1x K80 (12 GB)", "n1-highmem-8 + 1x T4 (16 GB)",
        "n1-highmem-8 + 2x P4 (8 GB)",
    }  # fmt: skip
    assert TWO_PRICES not in defects(gcp)


def test_a_price_per_gpu_that_contradicts_the_instance_is_named() -> None:
    """Cudo's A5000 costs 0.57 and 0.55 per GPU of one: the instance's price is used."""
    found = read(TABLES / "2025-04-22T0014.csv")
    cudo = [s for s in found if s.provider == "cudo_compute"]

    assert defects(found)[PER_GPU] == ["2025-04-22T0014.csv:5: 0.57 for 1, 0.55 each"]
    assert [q.price for s in cudo for q in s.quotes] == ["0.53", "0.57"]
    (twice,) = defects(found)[TWO_PRICES]
    assert twice.startswith("2025-04-22T0014.csv: cudo_compute: 1x A5000 (24 GB), 2 vCPUs, 4 GB")
    assert twice.endswith("0.53 and 0.57")


def test_a_price_per_gpu_alone_is_no_price() -> None:
    """Exoscale's rows of 2025 have only a figure under Per-GPU: listed without a price."""
    found = read(TABLES / "2025-04-22T0014.csv")
    (exoscale,) = [s for s in found if s.provider == "exoscale"]
    verdict = normalise("exoscale", exoscale.quotes, exoscale.observed_at)

    assert defects(found)[NO_INSTANCE_PRICE] == ["2025-04-22T0014.csv:7: 0.92361"]
    assert [reject.reason for reject in verdict.rejects] == ["no_price"]


def test_the_facts_win_over_a_wrong_count(tmp_path: Path) -> None:
    """An AWS or Azure type has the GPUs that it has, whatever a row says; the row is named."""
    found = read(table(
        tmp_path,
        "AWS,A100 (80 GB),Ampere,4,320,96,1152,32.77,8.19,,p4d.24xlarge",
        "Azure,T4 (16 GB),Turing,2,32,4,28,0.53,0.27,,NC4as T4 v3",
    ))  # fmt: skip

    assert {(o.key.sku, o.gpu, o.gpu_count) for o in offers(found)} == {
        ("p4d.24xlarge", "a100-sxm-40", 8), ("NC4as T4 v3", "t4-16", 1),
    }  # fmt: skip
    assert defects(found)[COUNT] == [
        "2024-01-02T0304.csv:2: p4d.24xlarge says 4, the facts 8",
        "2024-01-02T0304.csv:3: NC4as T4 v3 says 2, the facts 1",
    ]
    assert defects(found)[OTHER_GPU] == [
        "2024-01-02T0304.csv:2: p4d.24xlarge says A100 (80 GB), the facts a100-sxm-40"
    ]


def test_memory_comes_from_the_total_where_the_name_lacks_it() -> None:
    """Eight A40 of 384 GB have 48 each; Mystic's "Nvidia A100" has 40GB or 80GB."""
    found = {o.key.sku: o.gpu for o in offers(read(TABLES))}

    assert found["8x A40 (384 GB in all), 48 vCPUs, 680 GB"] == "a40-48"
    assert found["1x Nvidia A100 (40 GB in all), 0 vCPUs, 0 GB"] == "a100-40"
    assert found["1x Nvidia A100 (80 GB in all), 0 vCPUs, 0 GB"] == "a100-80"


def test_serverless_is_a_tier_and_a_part_of_its_own() -> None:
    """A cloud of both tables is not gone from one because the other was read."""
    parts = {(s.part, q.tier) for s in read(TABLES) for q in s.quotes}

    assert parts == {(None, None), ("import/fsdl/serverless", "serverless")}


def test_two_files_of_one_minute_stay_in_order() -> None:
    """Replicate's cut of 2023-10-31 is the later of two files of 04:20, and both are kept."""
    found = [s for s in read(TABLES) if s.observed_at.date().isoformat() == "2023-10-31"]
    replicate = [(s.observed_at.microsecond, s.quotes[0].price) for s in found[1::2]]

    assert replicate == [(0, "8.28"), (1, "4.14")]
    assert defects(found)[SAME_TIME] == ["serverless-2023-10-31T0420-adc145e.csv"]


def test_a_slice_of_a_gpu_is_not_taken_for_one() -> None:
    """Modal's "A100 (20 GB)" is a slice of an A100: rejected, not an A100 at half its memory."""
    found = [s for s in read(TABLES) if s.provider == "modal"]
    rejects = [r for s in found for r in normalise("modal", s.quotes, s.observed_at).rejects]

    assert {(r.key.sku, r.reason) for r in rejects} == {
        ("1x A100 (20 GB), 4 vCPUs, 16 GB", "unknown_gpu")
    }


@pytest.mark.parametrize("row", [",A10,Ampere,1,24,8,32,1.00,1.00,,", "Beam,,,1,24,8,32,1,1,,"])
def test_a_row_without_seller_or_gpu_is_left_out(tmp_path: Path, row: str) -> None:
    """Half a row costs itself, and is named."""
    found = read(table(tmp_path, row, "Beam,A10 (24 GB),Ampere,1,24,8,32,1.20,1.20,,"))

    assert [s.provider for s in found] == ["beam"]
    assert defects(found) == {LEFT_OUT: ["2024-01-02T0304.csv:2"]}


def test_columns_go_by_name_and_most_may_lack(tmp_path: Path) -> None:
    """Another order, thousands separators and trailing commas are read."""
    file = table(
        tmp_path, '8,"$1,098.32",H100 (80 GB),Beam,,', header="GPUs,On-demand,GPU Type,Cloud"
    )
    (offer,) = offers(read(file))

    assert (offer.gpu, offer.gpu_count, offer.price) == ("h100-80", 8, Decimal("1098.32"))


def test_another_table_is_said(tmp_path: Path) -> None:
    """A CSV without Cloud or Vendor, like the folder's index.csv, is none of the two tables."""
    with pytest.raises(BadInput, match="no Cloud and no Vendor"):
        read(table(tmp_path, "2022-08-05T0406,64463be", header="committed_utc,commit"))


@real
def test_the_real_history_is_read_whole() -> None:
    """58 files, 9,386 quotes: six without a price, and eighteen of Modal's slices."""
    found = read(REAL)
    verdicts = [normalise(s.provider, s.quotes, s.observed_at) for s in found]
    rejects = Counter((r.key.provider, r.reason) for v in verdicts for r in v.rejects)

    assert len({s.file for s in found}) == 58
    assert sum(len(s.quotes) for s in found) == 9386
    assert rejects == {("modal", "unknown_gpu"): 18, ("exoscale", "no_price"): 6}
    assert {kind: len(at) for kind, at in defects(found).items()} == {
        PER_GPU: 426,
        TWO_PRICES: 198,
        SAME_TIME: 3,
        NO_INSTANCE_PRICE: 6,
    }
    assert [s.observed_at for s in found] == sorted(s.observed_at for s in found)


@real
def test_a_figure_read_by_hand_is_there() -> None:
    """GCP's a2-megagpu-16g cost 55.68 in April 2025, 3.48 per GPU; 16.72 on spot."""
    (gcp,) = [s for s in read(REAL / "2025-04-22T0014.csv") if s.provider == "gcp"]
    mega = [o for o in offers([gcp]) if o.key.sku == "a2-megagpu-16g"]

    assert [(o.price, o.gpu_count) for o in mega] == [
        (Decimal("55.68"), 16),
        (Decimal("16.72"), 16),
    ]
