"""SkyPilot's catalogue: whole machines, joined hosts, and what is wrong with the files."""

import gzip
import os
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gputape.scrapers.importers import skypilot
from gputape.scrapers.importers.flaws import COUNT, DUST, TWO_PRICES
from gputape.scrapers.importers.moments import SAME_TIME
from gputape.scrapers.importers.skypilot_gcp import ALONE, HALF_FREE, NO_HOST
from gputape.scrapers.importers.skypilot_gpu_info import (
    IN_GIB,
    SIZE_AS_TOTAL,
    TOTAL_AS_SIZE,
    UNCLEAR,
    memory,
)
from gputape.scrapers.importers.skypilot_rows import CUT, DISAGREE, TWICE
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Offer, Option

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "fixtures" / "imports" / "skypilot"
REAL = ROOT.parent / "shared" / "history" / "skypilot"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")

MOMENT = datetime(2026, 8, 18, 15, 30, tzinfo=UTC)
HEADER = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,"
    "Region,AvailabilityZone\n"
)
V100 = "p3.2xlarge,V100,1.0,8.0,61.0,V100,{price},{spot},us-east-1,{zone}\n"


def read(path: Path, observed_at: datetime | None = None) -> list[Snapshot]:
    return list(skypilot.snapshots(path, ImportOptions(observed_at=observed_at)))


def of(folder: Path, text: str, cloud: str = "aws") -> Snapshot:
    """Read one catalogue file of our own."""
    file = folder / cloud / "2026-08-18T1530.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    (only,) = read(file)
    return only


def prices(snapshot: Snapshot) -> dict[tuple[str, str, str | None], str]:
    return {(q.sku, q.option.value, q.zone): str(q.price) for q in snapshot.quotes}


def offers(snapshot: Snapshot) -> dict[tuple[str, str, str | None], Offer]:
    verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)
    assert not verdict.rejects
    return {(o.key.sku, o.key.option.value, o.key.zone): o for o in verdict.offers}


def the(snapshot: Snapshot) -> Quote:
    (only,) = snapshot.quotes
    return only


# -- prices -------------------------------------------------------------------------------------


def test_a_price_is_for_the_instance_and_once_a_region() -> None:
    """Zone rows repeat the list price; spot is each zone's own, and a blank one is no quote."""
    (snapshot,) = read(FIXTURES / "aws_2026-08-18T1530.csv")

    assert (snapshot.provider, snapshot.observed_at) == ("aws", MOMENT)
    assert snapshot.complete
    assert prices(snapshot) == {
        ("p5.48xlarge", "on_demand", None): "55.04",
        ("p5.48xlarge", "spot", "use1-az4"): "20.738",
        ("p4d.24xlarge", "on_demand", None): "21.957642",
    }
    assert snapshot.defects == {}


def test_a_machine_that_is_known_is_what_the_facts_say() -> None:
    """`A100` of p4d is the SXM one of 40 GB, and a machine without a GPU is no quote."""
    (snapshot,) = read(FIXTURES / "aws_2026-08-18T1530.csv")

    found = offers(snapshot)

    assert found["p4d.24xlarge", "on_demand", None].gpu == "a100-sxm-40"
    assert found["p5.48xlarge", "spot", "use1-az4"].gpu_count == 8
    assert {offer.relay for offer in found.values()} == {skypilot.SOURCE.name}


def test_columns_are_known_by_name_and_may_be_missing(tmp_path: Path) -> None:
    """Another order, `GPUInfo`, a zone id column, no spot and no zone column read the same."""
    one = of(tmp_path, "Region,AvailabilityZoneId,GPUInfo,Price,AcceleratorCount,AcceleratorName,"
             "InstanceType\nus-east-1,use1-az4,V100,3.06,1,V100,p3.2xlarge\n")  # fmt: skip
    two = of(tmp_path, "InstanceType,AcceleratorName,AcceleratorCount,Price,SpotPrice,"
             "AvailabilityZoneId\np3.2xlarge,V100,1,,0.9,use1-az4\n")  # fmt: skip

    assert prices(one) == {("p3.2xlarge", "on_demand", None): "3.06"}
    assert prices(two) == {("p3.2xlarge", "spot", "use1-az4"): "0.9"}


def test_a_machine_without_any_price_is_listed_without_one(tmp_path: Path) -> None:
    """It is sold, so it must not look gone; a sister zone's price is enough for the region."""
    nothing = V100.format(price="", spot="", zone="use1-az1")
    alone = of(tmp_path, HEADER + nothing)
    beside = of(tmp_path, HEADER + nothing + V100.format(price="3.06", spot="", zone="use1-az2"))

    (reject,) = normalise("aws", alone.quotes, MOMENT).rejects
    assert reject.reason == "no_price"
    assert prices(beside) == {("p3.2xlarge", "on_demand", None): "3.06"}


def test_zones_that_disagree_are_both_quoted_and_held_back(tmp_path: Path) -> None:
    """Two list prices in one region are a doubt, named with the second one's place."""
    snapshot = of(
        tmp_path,
        HEADER
        + V100.format(price="3.06", spot="", zone="use1-az1")
        + V100.format(price="3.060", spot="", zone="use1-az2")
        + V100.format(price="4.06", spot="", zone="use1-az3"),
    )

    (offer,) = normalise("aws", snapshot.quotes, MOMENT).offers
    assert offer.suspect is not None
    assert "3.06" in offer.suspect
    assert snapshot.defects == {
        DISAGREE: ("aws/2026-08-18T1530.csv: line 4: p3.2xlarge use1-az3",)
    }  # fmt: skip


def test_a_row_twice_is_one_quote_and_a_key_with_two_prices_two(tmp_path: Path) -> None:
    """The same words again are a repetition; other words for the key are named apart."""
    row = V100.format(price="3.06", spot="0.9", zone="use1-az1")
    twice = of(tmp_path, HEADER + row + row)
    other = of(tmp_path, HEADER + row + V100.format(price="3.06", spot="0.8", zone="use1-az1"))

    listed = of(tmp_path, HEADER + row + V100.format(price="3.16", spot="0.9", zone="use1-az1"))

    assert (len(twice.quotes), list(twice.defects)) == (2, [TWICE])
    assert (len(listed.quotes), list(listed.defects)) == (3, [TWO_PRICES])
    assert (len(other.quotes), list(other.defects)) == (3, [TWO_PRICES])


def test_float_dust_is_rounded_half_up_and_counted(tmp_path: Path) -> None:
    """The double that was meant as 0.3 is 0.3 on the tape."""
    snapshot = of(tmp_path, HEADER + V100.format(price="0.30000000000000004", spot="", zone="z"))

    assert the(snapshot).price == Decimal("0.3")
    assert len(snapshot.defects[DUST]) == 1


def test_scaleway_prints_euros(tmp_path: Path) -> None:
    """Its rows are the seller's own: "EUR in my case", skypilot-catalog#54."""
    row = "RENDER-S,P100,1,10,42,P100,1.2426,,fr-par,fr-par-1\n"

    (offer,) = normalise("scaleway", of(tmp_path, HEADER + row, "scaleway").quotes, MOMENT).offers

    assert (offer.currency, offer.price) == ("EUR", Decimal("1.2426"))


def test_runpod_has_two_tiers(tmp_path: Path) -> None:
    """Its types end in the cloud they are of, whose prices move apart."""
    row = "1x_A40_{},A40,1,9,50,,0.4,,US,\n"
    snapshot = of(tmp_path, HEADER + row.format("SECURE") + row.format("COMMUNITY"), "runpod")

    assert [quote.tier for quote in snapshot.quotes] == ["secure", "community"]


# -- identity -----------------------------------------------------------------------------------


def test_instance_facts_win_over_a_count(tmp_path: Path) -> None:
    """A third of an A10 is printed as one: the facts say a third, and the defect says so."""
    row = "Standard_NV12ads_A10_v5,A10,1,12,110,A10,0.908,,eastus,\n"
    snapshot = of(tmp_path, HEADER + row, "azure")

    (offer,) = normalise("azure", snapshot.quotes, MOMENT).offers
    assert offer.gpu_count == Decimal("0.333333")
    assert [len(places) for places in snapshot.defects.values()] == [1]
    assert list(snapshot.defects) == [COUNT]


GPU_INFO = "{'Gpus': [{'Name': 'x', 'Count': %s, 'MemoryInfo': {'SizeInMiB': %s}}], %s}"


@pytest.mark.parametrize(
    ("name", "count", "size", "total", "gib", "flaw"),
    [
        ("A100-80GB", "8.0", 81920, "'TotalGpuMemoryInMiB': 655360", "80", None),
        ("V100", "8.0", 16384, "'TotalGpuMemoryInMiB': 16384", "16", SIZE_AS_TOTAL),
        ("RTX5090", "2", 65214, "'TotalGpuMemoryInMiB': 65214", "31.8427734375", TOTAL_AS_SIZE),
        ("L40S", "2", 48, "'TotalGpuMemoryInMiB': 96", "48", IN_GIB),
        ("A100", "2", 81920, "'TotalGpuMemoryInMiB': 81920", None, UNCLEAR),
        ("H100", "1", 81559, "'Manufacturer': null", "79.6474609375", None),
    ],
)
def test_a_total_does_not_pass_for_one_gpu(
    name: str, count: str, size: int, total: str, gib: str | None, flaw: str | None
) -> None:
    """Size and total are told apart by the count, else by the memories the name can have."""
    told = memory("lambda_labs", name, count, GPU_INFO % (count, size, total))

    assert told == (gib and Decimal(gib), flaw)


@pytest.mark.parametrize("info", ["", "V100", "{'Gpus': [{'GpuMemory': 24}]}", "{not python", "{}"])
def test_words_without_a_size_say_no_memory(info: str) -> None:
    """A name alone, the first OCI files and broken text leave the memory open."""
    assert memory("aws", "V100", "1", info) == (None, None)


def test_a_spelling_that_nobody_knows_is_kept_as_a_reject(tmp_path: Path) -> None:
    """An FPGA is an accelerator to SkyPilot and no GPU to us, and it is counted."""
    snapshot = of(tmp_path, HEADER + "f1.2xlarge,VU9P,1,8,122,,1.65,,us-east-1,use1-az1\n")

    assert [r.reason for r in normalise("aws", snapshot.quotes, MOMENT).rejects] == ["unknown_gpu"]


# -- GCP ----------------------------------------------------------------------------------------


def test_an_accelerator_is_joined_with_its_host_in_its_zone() -> None:
    """us-central1: 2.933908 + 0.739477 is the 3.673385 that Google prints for a2-highgpu-1g."""
    (snapshot,) = read(FIXTURES / "gcp_2026-08-18T1530.csv")
    found = offers(snapshot)

    listed = found["a2-highgpu-1g", "on_demand", None]
    assert (listed.price, listed.gpu, listed.vcpus) == (Decimal("3.673385"), "a100-sxm-40", 12)
    assert listed.derived == "host + accelerator, two rows of one zone"
    assert found["a2-highgpu-1g", "spot", "us-central1-a"].price == Decimal("1.1")
    assert ("a2-highgpu-1g", "spot", "us-central1-b") not in found


def test_attached_gpus_are_sold_without_a_host() -> None:
    """A T4 goes with an N1 machine of any size: the accelerator alone, in a tier of its own."""
    (snapshot,) = read(FIXTURES / "gcp_2026-08-18T1530.csv")

    pair = offers(snapshot)["2x T4", "on_demand", None]

    assert (pair.price, pair.gpu_count, pair.key.tier) == (Decimal("0.7"), 2, "accelerator")
    assert pair.derived == ALONE


def test_a_tpu_slice_is_whole_and_knows_its_chips() -> None:
    """`tpu-v2-8` is four chips and one row, which is no contradiction."""
    (snapshot,) = read(FIXTURES / "gcp_2026-08-18T1530.csv")

    tpu = offers(snapshot)["tpu-v2-8", "on_demand", None]

    assert (tpu.gpu, tpu.gpu_count, tpu.key.tier) == ("tpu-v2", 4, None)
    assert COUNT not in snapshot.defects


def test_a_machine_with_a_part_missing_is_no_cheap_machine(tmp_path: Path) -> None:
    """Without its host in the zone, or with a part at 0, there is no price but a defect."""
    (snapshot,) = read(FIXTURES / "gcp_2026-08-18T1530.csv")
    free = of(
        tmp_path,
        HEADER
        + "a2-highgpu-1g,,,12,85,,0.0,0.0,us-central1,us-central1-a\n"
        + ",A100,1,,,,2.933908,0.88,us-central1,us-central1-a\n",
        "gcp",
    )

    assert "a2-megagpu-16g" not in {quote.sku for quote in snapshot.quotes}
    assert list(snapshot.defects) == [NO_HOST]
    rejects = normalise("gcp", free.quotes, MOMENT).rejects
    assert [reject.reason for reject in rejects] == ["zero", "zero"] == ["zero"] * len(free.quotes)
    assert list(free.defects) == [HALF_FREE]


def test_hosts_kept_apart_are_archived_with_their_accelerators(tmp_path: Path) -> None:
    """What is archived holds both halves of a price, and reads the same by itself."""
    header, *lines = (FIXTURES / "gcp_2026-08-18T1530.csv").read_text("utf-8").splitlines()
    name = "2026-08-18T1530.csv.gz"
    for folder, is_host in (("gcp", False), ("gcp-hosts", True)):
        (tmp_path / folder).mkdir()
        part = [header, *(line for line in lines if line.startswith("a2-") is is_host)]
        (tmp_path / folder / name).write_bytes(gzip.compress("\n".join(part).encode()))

    (apart,) = read(tmp_path)
    (alone,) = read(tmp_path / "gcp" / name)
    again = of(tmp_path / "again", apart.read().decode(), "gcp")

    assert apart.file == "gcp/2026-08-18T1530.csv.gz"
    assert apart.quotes == alone.quotes == again.quotes
    assert {quote.sku for quote in apart.quotes} >= {"a2-highgpu-1g", "T4"}


# -- files --------------------------------------------------------------------------------------


def test_a_damaged_half_is_a_defect(tmp_path: Path) -> None:
    """With the hosts cut, no accelerator is believed, and its bytes can still be archived."""
    for folder, cut in (("gcp", None), ("gcp-hosts", 40)):
        (tmp_path / folder).mkdir()
        body = gzip.compress((FIXTURES / "gcp_2026-08-18T1530.csv").read_bytes())[:cut]
        (tmp_path / folder / "2026-08-18T1530.csv.gz").write_bytes(body)

    (snapshot,) = read(tmp_path)

    assert (len(snapshot.quotes), list(snapshot.defects)) == (0, [skypilot.MALFORMED])
    assert snapshot.read() == (tmp_path / "gcp" / "2026-08-18T1530.csv.gz").read_bytes()


def test_a_folder_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    """Across clouds, packed or not; what is no catalogue file does not get in the way."""
    row = HEADER + V100.format(price="3.06", spot="", zone="z")
    for cloud, name in (("aws", "2023-12-02T2110.csv"), ("lambda", "2023-12-01T1414.csv")):
        (tmp_path / cloud).mkdir()
        (tmp_path / cloud / name).write_text(row, "utf-8")
    (tmp_path / "aws" / "2023-12-01T0000.csv.gz").write_bytes(gzip.compress(row.encode()))
    (tmp_path / "aws" / "images.csv").write_text("ImageId\nami-1\n", "utf-8")

    found = read(tmp_path)

    assert [(s.provider, s.file) for s in found] == [
        ("aws", "aws/2023-12-01T0000.csv.gz"),
        ("lambda_labs", "lambda/2023-12-01T1414.csv"),
        ("aws", "aws/2023-12-02T2110.csv"),
    ]
    assert found[0].read() == gzip.compress(row.encode())


def test_two_snapshots_in_one_minute_both_survive(tmp_path: Path) -> None:
    """The later name counts as a microsecond later, and the defect says so."""
    for seconds, price in (("05", "3.06"), ("40", "3.07")):
        file = tmp_path / "aws" / f"2023-12-01T2111{seconds}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEADER + V100.format(price=price, spot="", zone="z"), "utf-8")

    one, two = read(tmp_path)

    assert two.observed_at - one.observed_at == timedelta(microseconds=1)
    assert (the(one).price, the(two).price) == ("3.06", "3.07")
    assert two.defects == {SAME_TIME: ("aws/2023-12-01T211140.csv",)}


@pytest.mark.parametrize(
    "body",
    [b"", b"ImageId\nami-1\n", b"\xff\xfe\x00", gzip.compress(HEADER.encode() * 99)[:60]],
    ids=["empty", "another table", "no text", "cut gzip"],
)
def test_a_malformed_file_is_a_defect_and_not_the_end(tmp_path: Path, body: bytes) -> None:
    """Its snapshot says nothing, and that is not what is gone."""
    name = "2023-12-01T2111.csv.gz" if body.startswith(b"\x1f\x8b") else "2023-12-01T2111.csv"
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / name).write_bytes(body)
    good = HEADER + V100.format(price="3.06", spot="", zone="z")
    (tmp_path / "aws" / "2023-12-02T2111.csv").write_text(good, "utf-8")

    bad, rest = read(tmp_path)

    assert (bad.quotes, bad.complete, list(bad.defects)) == ((), False, [skypilot.MALFORMED])
    assert (len(rest.quotes), rest.complete, rest.defects) == (1, True, {})


def test_a_row_that_is_cut_short_costs_only_itself(tmp_path: Path) -> None:
    """The others are read, the line is named, and what it said is not gone."""
    snapshot = of(tmp_path, HEADER + "p3.2xlarge,V100\n" + V100.format(price="3", spot="", zone=""))

    assert (len(snapshot.quotes), snapshot.complete) == (1, False)
    assert snapshot.defects == {CUT: ("aws/2026-08-18T1530.csv: line 2",)}


def test_a_copy_of_the_catalogue_needs_a_time_and_uses_its_highest_schema(tmp_path: Path) -> None:
    """v10 before v8, and an old cloud keeps the last schema that it has."""
    files = {
        "catalogs/v10/aws/vms.csv": "3.10",
        "catalogs/v8/aws/vms.csv": "3.08",
        "catalogs/v5/ibm/vms.csv": "2.50",
        "catalogs/v1/gcp.csv": "2.48",
    }
    for name, price in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        row = V100.format(price=price, spot="", zone="z")
        (tmp_path / name).write_text(HEADER + row, "utf-8")

    found = read(tmp_path, MOMENT)

    assert {(s.provider, s.file, the(s).price) for s in found} == {
        ("aws", "v10/aws/vms.csv", "3.10"),
        ("ibm", "v5/ibm/vms.csv", "2.50"),
        ("gcp", "v1/gcp.csv", "2.48"),
    }
    assert {s.observed_at for s in found} == {MOMENT}
    with pytest.raises(BadInput, match="--observed-at"):
        read(tmp_path)


def test_what_says_no_time_or_no_cloud_is_named(tmp_path: Path) -> None:
    """Beside dated files it is left out and said; alone it is an error that says what to do."""
    good = HEADER + V100.format(price="3.06", spot="", zone="z")
    for name in ("aws/2023-12-01T2111.csv", "v8_sample_verda.csv", "downloads/2023-12-01T2111.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(good, "utf-8")

    (only,) = read(tmp_path)

    assert only.defects == {
        skypilot.NO_CLOUD: ("downloads/2023-12-01T2111.csv",),
        skypilot.NO_TIME: (f"{tmp_path.name}/v8_sample_verda.csv",),
    }
    assert read(tmp_path / "v8_sample_verda.csv", MOMENT)[0].provider == "verda"
    with pytest.raises(BadInput, match="has no file of SkyPilot's catalogue"):
        read(tmp_path / "downloads")


def test_one_time_can_not_be_given_for_many_dated_files(tmp_path: Path) -> None:
    """A whole history at one moment would be no history."""
    for day in (1, 2):
        file = tmp_path / "aws" / f"2023-12-0{day}T2111.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEADER, "utf-8")

    with pytest.raises(BadInput, match="--observed-at"):
        read(tmp_path, MOMENT)


# -- a clone ------------------------------------------------------------------------------------


class Clone:
    """A git repository whose commits are at times of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._git("init", "--quiet", "--initial-branch=master")

    def commit(self, at: str, **files: str | None) -> str:
        for name, price in files.items():
            path = self.path / "catalogs" / name.replace("__", "/")
            path = path.with_name(path.name + ".csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            if price is None:
                path.unlink()
            else:
                row = V100.format(price=price, spot="", zone="z")
                path.write_text(HEADER + row if price else "broken\n", "utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message=x", at=at)
        return self._git("rev-parse", "--short=7", "HEAD").strip()

    def _git(self, *words: str, at: str = "2023-01-01T00:00:00Z") -> str:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        who = {f"GIT_{w}_{f}": "x" for w in ("AUTHOR", "COMMITTER") for f in ("NAME", "EMAIL")}
        when = {"GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": at}
        done = subprocess.run(["git", "-C", self.path, *words], env=kept | who | when, text=True,
                              check=True, capture_output=True)  # fmt: skip
        return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "catalogue")


def told(found: list[Snapshot]) -> list[tuple[str, str, object]]:
    return [(s.provider, f"{s.observed_at:%m-%d %H:%M}", the(s).price) for s in found]


def test_a_clone_is_walked_commit_by_commit(clone: Clone) -> None:
    """Each change of a cloud's file is a snapshot at its committer date, in UTC."""
    first = clone.commit("2023-03-01T12:00:00+02:00", v5__aws__vms="3.06", v5__lambda__vms="1.1")
    clone.commit("2023-03-02T10:00:00Z", v5__aws__images="0")
    clone.commit("2023-03-03T10:00:00Z", v5__aws__vms="3.07", v1__ibm="2.5")

    found = read(clone.path)

    assert told(found) == [
        ("aws", "03-01 10:00", "3.06"),
        ("lambda_labs", "03-01 10:00", "1.1"),
        ("ibm", "03-03 10:00", "2.5"),
        ("aws", "03-03 10:00", "3.07"),
    ]
    assert found[0].file == f"{first}:catalogs/v5/aws/vms.csv"
    assert found[0].read().decode() == HEADER + V100.format(price="3.06", spot="", zone="z")


def test_the_highest_schema_of_a_commit_counts(clone: Clone) -> None:
    """v6 takes over when it appears; what is done to v5 later is not what is published."""
    clone.commit("2023-03-01T10:00:00Z", v5__aws__vms="3.05")
    clone.commit("2023-03-02T10:00:00Z", v5__aws__vms="3.15", v6__aws__vms="3.06")
    clone.commit("2023-03-03T10:00:00Z", v5__aws__vms="3.25")
    clone.commit("2023-03-04T10:00:00Z", v6__aws__vms=None)
    clone.commit("2023-03-05T10:00:00Z", v5__aws__vms="3.35")

    assert told(read(clone.path)) == [
        ("aws", "03-01 10:00", "3.05"),
        ("aws", "03-02 10:00", "3.06"),
        ("aws", "03-05 10:00", "3.35"),
    ]


def test_a_clone_survives_disorder(clone: Clone) -> None:
    """A broken file, one second twice and a clock that went back are defects, and not the end."""
    clone.commit("2023-03-01T10:00:00Z", v5__aws__vms="3.05")
    clone.commit("2023-03-01T10:00:00Z", v5__aws__vms="3.06")
    late = clone.commit("2023-02-01T10:00:00Z", v5__aws__vms="2.99")
    clone.commit("2023-03-02T10:00:00Z", v5__aws__vms="")

    found = read(clone.path)

    assert told(found[:3]) == [
        ("aws", "02-01 10:00", "2.99"),
        ("aws", "03-01 10:00", "3.05"),
        ("aws", "03-01 10:00", "3.06"),
    ]
    assert found[0].defects == {skypilot.DISORDER: (late,)}
    assert found[2].observed_at - found[1].observed_at == timedelta(microseconds=1)
    assert list(found[2].defects) == [SAME_TIME]
    assert (found[3].complete, list(found[3].defects)) == (False, [skypilot.MALFORMED])


def test_a_bare_clone_reads_the_same(clone: Clone, tmp_path: Path) -> None:
    """No working tree is needed: git's own objects are read."""
    clone.commit("2023-03-01T10:00:00Z", v5__aws__vms="3.05")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", clone.path, bare], check=True)

    assert told(read(bare)) == told(read(clone.path)) == [("aws", "03-01 10:00", "3.05")]


def test_a_clone_of_something_else_says_so(clone: Clone, tmp_path: Path) -> None:
    """No catalogue in it, and a folder that git can not read, are one sentence each."""
    clone.commit("2023-03-01T10:00:00Z")
    broken = tmp_path / "broken"
    (broken / ".git").mkdir(parents=True)

    with pytest.raises(BadInput, match="clone without catalogs/"):
        read(clone.path)
    with pytest.raises(BadInput, match="git can not read"):
        read(broken)


# -- the real history ---------------------------------------------------------------------------


@needs_real
@pytest.mark.slow
def test_the_real_history_resolves() -> None:
    """59 snapshots; what is left over is FPGAs, blanks and zeros, and nothing is in doubt."""
    snapshots, rejects, suspects = Counter[str](), Counter[tuple[str, str]](), 0
    times = []
    for snapshot in skypilot.snapshots(REAL, ImportOptions()):
        verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)
        snapshots[snapshot.provider] += 1
        times.append(snapshot.observed_at)
        suspects += sum(offer.suspect is not None for offer in verdict.offers)
        rejects.update((reject.reason, reject.key.sku.split(".")[0]) for reject in verdict.rejects)

    assert times == sorted(times)
    assert snapshots == {
        "aws": 31, "gcp": 12, "lambda_labs": 5, "azure": 3, "oracle": 3, "scaleway": 2, "ibm": 1,
        "scp": 1, "ovh": 1,
    }  # fmt: skip
    assert suspects == 0
    assert {key for key in rejects if key[0] == "unknown_gpu"} == {("unknown_gpu", "f1")}
    assert {reason for reason, _ in rejects} == {"unknown_gpu", "no_price", "zero"}


@needs_real
@pytest.mark.parametrize(
    ("file", "sku", "region", "option", "zone", "price", "gpu", "count"),
    [
        ("aws/2023-12-31T2110.csv.gz", "p5.48xlarge", "us-east-1", Option.ON_DEMAND, None,
         "98.32", "h100-sxm-80", 8),
        ("gcp/2023-12-19T2112.csv.gz", "a2-ultragpu-1g", "us-central1", Option.ON_DEMAND, None,
         "5.0277", "a100-sxm-80", 1),
        ("gcp/2023-12-19T2112.csv.gz", "a2-ultragpu-1g", "us-central1", Option.SPOT,
         "us-central1-a", "2.01103", "a100-sxm-80", 1),
        ("gcp/2023-12-19T2112.csv.gz", "tpu-v4-8", "us-central2", Option.ON_DEMAND, None,
         "12.88", "tpu-v4", 4),
        ("lambda/2023-06-15T2016.csv.gz", "gpu_1x_h100_pcie", "asia-south-1", Option.ON_DEMAND,
         None, "1.99", "h100-80", 1),
        ("ibm/2023-01-15T2249.csv.gz", "gx2-8x64x1v100", "us-south", Option.ON_DEMAND, None,
         "2.497", "v100-16", 1),
    ],
)  # fmt: skip
def test_a_figure_read_by_hand(
    file: str, sku: str, region: str, option: Option, zone: str | None, price: str, gpu: str,
    count: int,
) -> None:  # fmt: skip
    """A person read the row, and added host and accelerator where there are two."""
    (snapshot,) = read(REAL / file)
    verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)

    (offer,) = [
        o
        for o in verdict.offers
        if (o.key.sku, o.key.region, o.key.option, o.key.zone) == (sku, region, option, zone)
    ]

    assert (offer.price, offer.gpu, offer.gpu_count) == (Decimal(price), gpu, count)


@needs_real
def test_every_price_of_a_real_file_is_quoted() -> None:
    """Counted with nothing but the csv module: list prices by type and region, spot by zone."""
    import csv

    name = "aws/2023-12-31T2110.csv.gz"
    with gzip.open(REAL / name, "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    listed = {(r["InstanceType"], r["Region"]): Decimal(r["Price"]) for r in rows if r["Price"]}
    spot = {
        (r["InstanceType"], r["AvailabilityZone"]): Decimal(r["SpotPrice"])
        for r in rows
        if r["SpotPrice"]
    }

    (snapshot,) = read(REAL / name)

    quoted = [(q, Decimal(str(q.price))) for q in snapshot.quotes]
    assert {(q.sku, q.region): p for q, p in quoted if q.option is Option.ON_DEMAND} == listed
    assert {(q.sku, q.zone): p for q, p in quoted if q.option is Option.SPOT} == spot
    assert len(quoted) == len(listed) + len(spot)
