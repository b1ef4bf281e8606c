"""gpuhunt's catalogues: three layouts of zips, what a row is a price of, and when."""

import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gputape.scrapers.importers import gpuhunt
from gputape.scrapers.importers.flaws import COUNT, DUST, TWO_PRICES
from gputape.scrapers.importers.moments import SAME_TIME
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput
from gputape.store.offer import Offer

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "fixtures" / "imports" / "gpuhunt"
AT = (2026, 8, 4, 5, 6, 8)
UNKNOWN = (1980, 1, 1, 0, 0, 0)
MOMENT = datetime(*AT, tzinfo=UTC)
V1 = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size\n"


def pack(path: Path, at: tuple[int, int, int, int, int, int] = AT, **texts: str) -> Path:
    """Write a zip of `<provider>.csv` members, or of the fixtures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members = texts or {f.stem: f.read_text("utf-8") for f in sorted(FIXTURES.glob("*.csv"))}
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in members.items():
            packed.writestr(zipfile.ZipInfo(f"{name}.csv", at), text)
    return path


def read(path: Path, observed_at: datetime | None = None) -> dict[str, Snapshot]:
    found = list(gpuhunt.snapshots(path, ImportOptions(observed_at=observed_at)))
    assert [s.observed_at for s in found] == sorted(s.observed_at for s in found)
    return {snapshot.file: snapshot for snapshot in found}


def one(path: Path) -> Snapshot:
    (only,) = read(path).values()
    return only


def offers(snapshot: Snapshot) -> dict[tuple[str, str, str, str | None], Offer]:
    verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)
    assert not verdict.rejects
    return {(o.key.sku, o.key.option.value, o.key.region, o.key.tier): o for o in verdict.offers}


def test_a_zip_has_a_snapshot_per_provider(tmp_path: Path) -> None:
    """v2: every provider in one zip, each with the bytes of its own file."""
    found = read(pack(tmp_path / "v2" / "20260804-77" / "catalog.zip"))

    assert {name: s.provider for name, s in found.items()} == {
        "catalog.zip:aws.csv": "aws",
        "catalog.zip:gcp.csv": "gcp",
        "catalog.zip:runpod.csv": "runpod",
    }
    assert {s.observed_at for s in found.values()} == {MOMENT}
    assert found["catalog.zip:aws.csv"].read() == (FIXTURES / "aws.csv").read_bytes()


def test_a_folder_of_zips_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    """v3: one provider a zip, versions of a day apart by the time that the zip keeps."""
    text = (FIXTURES / "aws.csv").read_text("utf-8")
    pack(tmp_path / "v3" / "aws" / "20260804-9" / "catalog.zip", (2026, 8, 4, 9, 0, 0), aws=text)
    pack(tmp_path / "v3" / "aws" / "20260804-10" / "catalog.zip", (2026, 8, 4, 10, 0, 0), aws=text)

    assert {name: s.observed_at.hour for name, s in read(tmp_path).items()} == {
        "v3/aws/20260804-9/catalog.zip:aws.csv": 9,
        "v3/aws/20260804-10/catalog.zip:aws.csv": 10,
    }


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Snapshot]:
    """The fixtures' snapshots by provider."""
    path = pack(tmp_path / "v2" / "20260804-77" / "catalog.zip")
    return {snapshot.provider: snapshot for snapshot in read(path).values()}


def test_a_price_is_for_the_instance(found: dict[str, Snapshot]) -> None:
    """p5.48xlarge on demand and spot; what has no GPU is no quote."""
    prices = {key: offer.price for key, offer in offers(found["aws"]).items()}

    assert prices == {
        ("p5.48xlarge", "on_demand", "us-east-1", None): Decimal("55.04"),
        ("p5.48xlarge", "spot", "us-east-1", None): Decimal("20.738"),
    }


def test_a_location_of_gcp_is_a_zone(found: dict[str, Snapshot]) -> None:
    """Two zones are one list price of their region; spot stays the zone's."""
    quotes = [quote for quote in found["gcp"].quotes if quote.sku == "a2-highgpu-1g"]

    assert [(q.option.value, q.region, q.zone, q.price) for q in quotes] == [
        ("on_demand", "us-central1", None, "3.673385"),
        ("spot", "us-central1", "us-central1-b", "1.92802"),
    ]


def test_a_sku_says_what_its_name_leaves_open(found: dict[str, Snapshot]) -> None:
    """One N1 machine holds one T4 or two, and a RunPod name any number of its GPU."""
    gcp, runpod = offers(found["gcp"]), offers(found["runpod"])

    assert gcp["n1-standard-4 + 2x T4", "on_demand", "us-central1", None].gpu_count == 2
    assert gcp["n1-standard-4 + 1x T4", "on_demand", "us-central1", None].price == Decimal("0.54")
    two = runpod["2x NVIDIA A100 80GB PCIe", "on_demand", "US-TX-3", "secure"]
    assert (two.gpu_count, two.price) == (2, Decimal("2.78"))


def test_a_flag_is_a_tier_or_nothing(found: dict[str, Snapshot]) -> None:
    """A cluster has its own price; `gcp-g4` only hides the row, and its preview twin repeats it."""
    g4 = [quote for quote in found["gcp"].quotes if quote.sku == "g4-standard-48"]
    runpod = {(q.region, q.tier) for q in found["runpod"].quotes}

    assert [quote.tier for quote in g4] == [None]
    assert runpod == {("US-TX-3", "secure"), ("US", "community"), ("US-TX-3", "cluster")}
    assert TWO_PRICES not in found["gcp"].defects


@pytest.mark.parametrize("name", ["v2-8", "tpu-v2-8"])
def test_a_tpu_is_called_as_google_calls_it(tmp_path: Path, name: str) -> None:
    """With a vendor column it is `v2-8`, without one `tpu-v2-8`: one series, four chips."""
    vendor = "google" if name == "v2-8" else ""
    text = (
        f"{V1.strip()},gpu_vendor\n{name},us-central1-b,4.5,96,334.0,1,{name},64,False,,{vendor}\n"
    )

    (offer,) = offers(one(pack(tmp_path / "20260804.zip", gcp=text))).values()

    assert (offer.key.sku, offer.gpu, offer.gpu_count) == ("tpu-v2-8", "tpu-v2", 4)


def test_the_first_catalogues_read_the_same(tmp_path: Path) -> None:
    """v1 has neither vendor nor flags; a day in the folder is the day of the file."""
    text = V1 + "Standard_NC24ads_A100_v4,eastus,3.673,24,220.0,1,A100,80.0,False,\n"
    pack(tmp_path / "v1" / "20231004" / "catalog.zip", UNKNOWN, azure=text)

    snapshot = one(tmp_path)

    assert snapshot.observed_at == datetime(2023, 10, 4, tzinfo=UTC)
    (offer,) = offers(snapshot).values()
    assert (offer.gpu, offer.price) == ("a100-pcie-80", Decimal("3.673"))


def test_what_nobody_printed_is_not_repeated(tmp_path: Path) -> None:
    """Half price at Oracle is a rule, and Lambda's memory a conversion of gpuhunt's own."""
    row = V1 + "{},r,{},30,214.8,1,A10,24.0,{},\n"
    path = pack(
        tmp_path / "20260804.zip",
        oci=row.format("VM.GPU.A10.1", "1.0", "True"),
        lambdalabs=row.format("gpu_1x_a10", "0.75", "False"),
    )

    by_provider = {s.provider: s.quotes[0] for s in read(path).values()}

    assert by_provider["oracle"].derived == "half of on demand: preemptible capacity rule"
    assert by_provider["lambda_labs"].memory_gib is None


def test_a_fraction_a_dust_and_a_doubt_are_named(tmp_path: Path) -> None:
    """A sixth of an A10 counted as one, a product of floats, and two prices for one key."""
    text = (
        V1
        + "Standard_NV6ads_A10_v5,eastus,0.45400000000000001,6,55.0,1,A10,24.0,False,\n"
        + "Standard_NV6ads_A10_v5,eastus,0.5,6,55.0,1,A10,24.0,False,\n"
    )
    snapshot = one(pack(tmp_path / "20260804.zip", azure=text))

    (offer,) = offers(snapshot).values()
    assert offer.gpu_count == Decimal("0.166667")
    assert offer.suspect is not None
    assert {kind: len(places) for kind, places in snapshot.defects.items()} == {
        COUNT: 2, DUST: 1, TWO_PRICES: 1,
    }  # fmt: skip


def test_two_zips_of_one_moment_both_survive(tmp_path: Path) -> None:
    """The later name counts as a microsecond later."""
    text = (FIXTURES / "aws.csv").read_text("utf-8")
    for name in ("a", "b"):
        pack(tmp_path / name / "20260804.zip", aws=text)

    first, second = read(tmp_path).values()

    assert second.observed_at - first.observed_at == timedelta(microseconds=1)
    assert second.defects == {SAME_TIME: ("b/20260804.zip:aws.csv",)}


def test_where_the_time_comes_from(tmp_path: Path) -> None:
    """The person, `version` beside the zip, the day of a path; the zip's own clock refines it."""
    text = (FIXTURES / "aws.csv").read_text("utf-8")
    path = pack(tmp_path / "latest" / "catalog.zip", UNKNOWN, aws=text)
    with pytest.raises(BadInput, match="--observed-at"):
        read(path)
    assert next(iter(read(path, MOMENT).values())).observed_at == MOMENT

    path.with_name("version").write_text("20260805-3\n", "utf-8")
    assert one(path).observed_at == datetime(2026, 8, 5, tzinfo=UTC)
    pack(path, AT, aws=text)  # packed on another day than the version says
    assert one(path).observed_at == datetime(2026, 8, 5, tzinfo=UTC)
    path.with_name("version").write_text("20260804-1\n", "utf-8")
    assert one(path).observed_at == MOMENT


def test_a_broken_catalogue_is_a_defect_and_not_the_end(tmp_path: Path) -> None:
    """No zip, another table and a row that lacks a field leave the rest as it is."""
    row = "p5.48xlarge,us-east-1,55.04,192,2048.0,8,H100,80.0,False,\n"
    short = "p4d.24xlarge,us-east-1\n"
    (tmp_path / "20260803.zip").write_bytes(b"no zip")
    pack(tmp_path / "20260804.zip", aws=V1 + short + row, azure="a,b\n1,2\n")

    found = {s.provider: s for s in read(tmp_path).values()}

    assert [quote.sku for quote in found["aws"].quotes] == ["p5.48xlarge"]
    assert list(found["aws"].defects) == [gpuhunt.MALFORMED, gpuhunt.LACKING]
    assert (found["azure"].complete, found["aws"].complete) == (False, False)


def test_a_damaged_member_costs_only_itself(tmp_path: Path) -> None:
    """Bytes that were flipped inside a zip are a defect, and what is archived is the zip."""
    row = "p5.48xlarge,us-east-1,55.04,192,2048.0,8,H100,80.0,False,\n"
    path = pack(tmp_path / "20260804.zip", aws=V1 + row)
    path.write_bytes(path.read_bytes().replace(b"55.04", b"45.04"))

    snapshot = one(path)

    assert (len(snapshot.quotes), snapshot.complete) == (0, False)
    assert list(snapshot.defects) == [gpuhunt.MALFORMED]
    assert snapshot.read() == path.read_bytes()
