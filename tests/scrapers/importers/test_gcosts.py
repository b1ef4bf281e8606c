"""gcosts: GCP's machines with their commitments, as CSV and as pricing.yml."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gputape.scrapers.importers import gcosts
from gputape.scrapers.importers.flaws import COUNT, DUST, TWO_PRICES
from gputape.scrapers.importers.moments import SAME_TIME
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option, SeriesKey

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "fixtures" / "imports" / "gcosts"
CSV, YAML = FIXTURES / "2026-07-30T0613.csv", FIXTURES / "pricing.yml"
REAL = ROOT.parent / "shared" / "history" / "gcp-gcosts"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")

HEADER = "instance,gpus,cpu,ram,region,hour,hour_spot,month,month_1y,month_3y,month_spot\n"
ROW = "a2-highgpu-1g,a100=1,12,85,us-central1,{hour},,,{year},,\n"


def read(path: Path, observed_at: datetime | None = None) -> list[Snapshot]:
    return list(gcosts.snapshots(path, ImportOptions(observed_at=observed_at)))


def of(folder: Path, text: str) -> Snapshot:
    (folder / "2026-07-30T0613.csv").write_text(HEADER + text, "utf-8")
    (only,) = read(folder)
    return only


def offers(snapshot: Snapshot) -> dict[SeriesKey, Offer]:
    verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)
    assert not verdict.rejects
    return {offer.key: offer for offer in verdict.offers}


def key(sku: str, option: Option, term_months: int | None = None) -> SeriesKey:
    tier = "cud" if term_months else None
    return SeriesKey(provider="gcp", sku=sku, region="us-central1", option=option, tier=tier,
                     term_months=term_months)  # fmt: skip


def test_a_row_is_four_prices_of_a_machine() -> None:
    """On demand and spot per hour, two commitments per month of 730 hours: the adapter's series."""
    (snapshot,) = read(CSV)
    found = offers(snapshot)

    assert snapshot.observed_at == datetime(2026, 7, 30, 6, 13, tzinfo=UTC)
    assert found[key("a2-highgpu-1g", Option.ON_DEMAND)].price == Decimal("3.673385")
    assert found[key("a2-highgpu-1g", Option.SPOT)].price == Decimal("1.92802")
    year = found[key("a2-highgpu-1g", Option.RESERVED, 12)]
    assert year.price == Decimal("2.314207040")  # 1689.3711392 / 730 = 2.31420704
    assert (year.gpu, year.gpu_count, year.memory_gib) == ("a100-sxm-40", 1, 85)
    assert found[key("a3-highgpu-8g", Option.RESERVED, 36)].price == Decimal("38.864381115")
    assert len(found) == 16


def test_the_list_itself_says_the_same_as_rows_of_it() -> None:
    """pricing.yml carries its own time, and every offer but the hints of a row is equal."""
    (rows,), (listed,) = read(CSV), read(YAML)

    assert listed.observed_at == datetime(2026, 7, 30, 6, 13, 17, tzinfo=UTC)
    assert offers(listed) == offers(rows)
    assert listed.read() == YAML.read_bytes()


def test_what_can_not_be_bought_on_demand_is_not_available() -> None:
    """One H100 alone has a list price and is sold by reservation and spot only."""
    (snapshot,) = read(CSV)
    found = offers(snapshot)

    assert found[key("a3-highgpu-1g", Option.ON_DEMAND)].available is False
    assert found[key("a3-highgpu-1g", Option.SPOT)].available is None


def test_a_slice_is_marked_as_scaled_down() -> None:
    """An eighth of an RTX PRO 6000 has no price of its own in the list."""
    slice_ = offers(read(CSV)[0])[key("g4-standard-6", Option.ON_DEMAND)]

    assert (slice_.gpu_count, slice_.derived) == (Decimal("0.125"), gcosts.SCALED)


def test_a_blank_is_not_known_and_dust_is_rounded(tmp_path: Path) -> None:
    """Blanks are no quotes; a price of 13 decimals has nine on the tape, and is counted."""
    snapshot = of(tmp_path, ROW.format(hour="3.6733850000001", year=""))

    (quote,) = snapshot.quotes
    assert quote.price == Decimal("3.673385")
    assert len(snapshot.defects[DUST]) == 1


def test_facts_win_and_two_prices_are_named(tmp_path: Path) -> None:
    """A wrong count and a row that contradicts another are defects, with their places."""
    rows = ROW.format(hour="3.6", year="") + ROW.format(hour="3.7", year="")
    snapshot = of(tmp_path, rows.replace("a100=1", "a100=2", 1))

    (offer,) = offers(snapshot).values()
    assert (offer.gpu_count, offer.suspect is not None) == (1, True)
    assert set(snapshot.defects) == {COUNT, TWO_PRICES}
    assert "line 2" in snapshot.defects[COUNT][0]


def test_an_unknown_machine_is_what_the_row_says(tmp_path: Path) -> None:
    """Its GPU is read from the row; one that nobody knows is counted as a reject."""
    rows = "a9-x-2g,l4=2,8,32,us-central1,1,,,,,\na9-y-1g,q9=1,8,32,us-central1,1,,,,,\n"
    verdict = normalise("gcp", of(tmp_path, rows).quotes, datetime(2026, 8, 1, tzinfo=UTC))

    assert [(o.gpu, o.gpu_count) for o in verdict.offers] == [("l4-24", 2)]
    assert [reject.reason for reject in verdict.rejects] == ["unknown_gpu"]


def test_a_row_that_is_cut_short_costs_only_itself(tmp_path: Path) -> None:
    """The others are read, and what the line said is not gone."""
    snapshot = of(tmp_path, ROW.format(hour="3", year="") + "a2-highgpu-2g,a100=2\n")

    assert (len(snapshot.quotes), snapshot.complete) == (1, False)
    assert list(snapshot.defects) == [gcosts.CUT]


def test_a_folder_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    """Packed and plain, list and rows; at one time the later name is a microsecond later."""
    row = (HEADER + ROW.format(hour="3", year="")).encode()
    (tmp_path / "b_2023-01-02T0000.csv").write_bytes(row)
    (tmp_path / "a_2023-01-02T0000.csv").write_bytes(row)
    (tmp_path / "z_2022-01-02T0000.csv.gz").write_bytes(gzip.compress(row))
    (tmp_path / "pricing.yml").write_bytes(YAML.read_bytes())

    found = read(tmp_path)

    assert [s.file for s in found] == [
        "z_2022-01-02T0000.csv.gz", "a_2023-01-02T0000.csv", "b_2023-01-02T0000.csv",
        "pricing.yml",
    ]  # fmt: skip
    assert found[2].observed_at - found[1].observed_at == timedelta(microseconds=1)
    assert found[2].defects == {SAME_TIME: ("b_2023-01-02T0000.csv",)}


@pytest.mark.parametrize("name", ["2022-01-02T0000.csv", "2022-01-02T0000.yml"])
def test_a_malformed_file_is_a_defect_and_not_the_end(tmp_path: Path, name: str) -> None:
    """It says nothing about what is gone."""
    (tmp_path / name).write_text("a,b\n1,2\n", "utf-8")
    (tmp_path / CSV.name).write_bytes(CSV.read_bytes())

    bad, good = read(tmp_path)

    assert (len(bad.quotes), bad.complete, list(bad.defects)) == (0, False, [gcosts.MALFORMED])
    assert (len(good.quotes), good.complete) == (16, True)


def test_a_time_must_come_from_somewhere(tmp_path: Path) -> None:
    """From the name, the list or the person; beside others a file without one is named."""
    for name in ("prices.csv", CSV.name):
        (tmp_path / name).write_bytes(CSV.read_bytes())
    given = datetime(2026, 8, 1, tzinfo=UTC)

    assert read(tmp_path / "prices.csv", given)[0].observed_at == given
    assert read(tmp_path)[0].defects[gcosts.NO_TIME] == ("prices.csv",)
    with pytest.raises(BadInput, match="give --observed-at"):
        read(tmp_path / "prices.csv")
    with pytest.raises(BadInput, match="one file"):
        read(tmp_path, given)
    with pytest.raises(BadInput, match="no folder with"):
        read(tmp_path / "nothing")


@needs_real
def test_the_real_history_resolves() -> None:
    """12 snapshots: no reject, and only A2 prices that lack their GPU in one region in doubt."""
    found = read(REAL)
    verdicts = [normalise(s.provider, s.quotes, s.observed_at) for s in found]

    assert [f"{s.observed_at:%Y-%m}" for s in found] == [
        "2022-02", "2022-06", "2022-10", "2023-03", "2023-06", "2023-11", "2024-03", "2024-08",
        "2025-01", "2025-06", "2025-12", "2026-05",
    ]  # fmt: skip
    assert sum(len(verdict.rejects) for verdict in verdicts) == 0
    doubtful = {o.key for v in verdicts for o in v.offers if o.suspect}
    assert {key.sku.split("-")[0] for key in doubtful} == {"a2"}


@needs_real
def test_figures_read_by_hand() -> None:
    """asia-east1 in February 2022: 3.65768 an hour, 1682.1512932 / 730 under a year."""
    first = offers(read(REAL / "2022-02-09T2307.csv.gz")[0])
    found = {
        (k.option, k.term_months): o.price
        for k, o in first.items()
        if (k.sku, k.region) == ("a2-highgpu-1g", "asia-east1")
    }

    assert found == {
        (Option.ON_DEMAND, None): Decimal("3.65768"),
        (Option.RESERVED, 12): Decimal("2.304316840"),
        (Option.RESERVED, 36): Decimal("1.280206962"),
    }
