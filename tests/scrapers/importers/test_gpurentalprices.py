"""gpurentalprices.com's daily files: who was really asked when, and for how many GPUs."""

import gzip
import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gputape.scrapers.importers import gpurentalprices
from gputape.scrapers.importers.flaws import DUST, TWO_PRICES
from gputape.scrapers.importers.gpurentalprices import CARRIED, LEFT_OUT
from gputape.scrapers.importers.snapshot import ImportOptions, Snapshot
from gputape.scrapers.normalise import normalise
from gputape.store.errors import BadInput, Damaged
from gputape.store.offer import Offer, Option

ROOT = Path(__file__).resolve().parents[3]
DAYS = ROOT / "fixtures" / "imports" / "gpurentalprices"
REAL = ROOT.parent / "shared" / "history" / "gpu-rental-prices"
real = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")


def read(path: Path, **options: Any) -> list[Snapshot]:
    return list(gpurentalprices.snapshots(path, ImportOptions(**options)))


def offers(found: list[Snapshot]) -> list[Offer]:
    return [o for s in found for o in normalise(s.provider, s.quotes, s.observed_at).offers]


def day(folder: Path, *rows: dict[str, Any], **about: Any) -> Path:
    """Write a daily file of 2026-07-20."""
    usual = {
        "provider": "lambda", "gpu": "h100-sxm", "vram_gb": 80, "usd_hr": 2.99,
        "kind": "on-demand", "fetched_at": "2026-07-20T08:00:00Z",
    }  # fmt: skip
    file = folder / "2026-07-20.json"
    document = {"generated_at": "2026-07-20T08:01:00Z", "offers": [usual | row for row in rows]}
    file.write_text(json.dumps(document | about), "utf-8")
    return file


def test_a_price_is_per_gpu_of_the_smallest_machine_it_holds_for() -> None:
    """CoreWeave's 6.155 holds for eight H100: the machine costs 49.24, a GPU 6.155."""
    (coreweave,) = [s for s in read(DAYS / "2026-07-09.json") if s.provider == "coreweave"]
    h100, gh200 = offers([coreweave])

    assert (h100.key.sku, h100.gpu_count, h100.price) == ("h100 80 GB x8", 8, Decimal("49.24"))
    assert (gh200.key.sku, gh200.gpu_count, gh200.price) == ("gh200 96 GB", 1, Decimal("6.5"))


def test_one_and_eight_gpus_are_two_series() -> None:
    """AWS's L4 costs 0.8048 alone and 1.6688 in eights: two series, no contradiction."""
    found = read(DAYS / "2026-07-18.json")
    prices = {
        o.key.sku: o.price / o.gpu_count for o in offers(found) if o.key.option == "on_demand"
    }

    assert prices == {"l4 24 GB": Decimal("0.8048"), "l4 24 GB x8": Decimal("1.6688")}
    assert all(not o.suspect for o in offers(found))


def test_rows_carried_forward_stand_at_the_time_they_were_fetched() -> None:
    """Vultr refused on 07-08 and 07-09: both files repeat older rows, and none is of that day."""
    vultr = [s.observed_at.isoformat(" ", "minutes") for s in read(DAYS) if s.provider == "vultr"]
    told = [place for s in read(DAYS) for place in s.defects.get(CARRIED, ())]

    assert vultr == ["2026-07-07 19:16+00:00", "2026-07-08 14:15+00:00"]
    assert told == [
        "2026-07-08.json: vultr of 2026-07-07 19:16",
        "2026-07-09.json: vultr of 2026-07-08 14:15",
    ]


def test_a_repeated_file_says_nothing_new(tmp_path: Path) -> None:
    """`latest.json` beside the daily file it is a copy of adds no snapshot."""
    for name in ("2026-07-18.json", "latest.json"):
        shutil.copy(DAYS / "2026-07-18.json", tmp_path / name)

    assert [s.file for s in read(tmp_path)] == ["2026-07-18.json"]


def test_snapshots_come_in_the_order_of_time() -> None:
    """Four files of a folder yield times that never step back."""
    times = [s.observed_at for s in read(DAYS)]

    assert times == sorted(times)
    assert len(times) == len({(s.provider, s.observed_at) for s in read(DAYS)}) == 8


def test_kinds_are_options_and_tiers() -> None:
    """Secure, community and serverless are tiers of on demand; spot is an option."""
    kinds = {(q.option, q.tier) for s in read(DAYS) for q in s.quotes}

    assert kinds == {
        (Option.ON_DEMAND, None), (Option.ON_DEMAND, "secure"), (Option.ON_DEMAND, "community"),
        (Option.ON_DEMAND, "serverless"), (Option.SPOT, None),
    }  # fmt: skip


def test_memory_keeps_a_wrong_name_apart() -> None:
    """The first file calls a GPU of 16 GB `a40`: rejected under its own key, beside the A40."""
    (runpod,) = [s for s in read(DAYS / "2026-07-05.json") if s.provider == "runpod"]
    verdict = normalise("runpod", runpod.quotes, runpod.observed_at)

    assert {(r.key.sku, r.reason) for r in verdict.rejects} == {("a40 16 GB", "unknown_gpu")}
    assert {(o.key.sku, o.gpu) for o in verdict.offers} == {("a40 48 GB", "a40-48")}


def test_float_dust_is_gone_and_named() -> None:
    """3.9492000000000003 is 3.9492."""
    found = read(DAYS / "2026-07-08.json")
    prices = {q.sku: q.price for s in found for q in s.quotes if s.provider == "modal"}

    assert prices["h100 80 GB"] == Decimal("3.9492")
    assert [p for s in found for p in s.defects.get(DUST, ())] == [
        "2026-07-08.json: offers[6]: 3.9492000000000003"
    ]


def test_two_prices_for_one_key_are_named_and_held_back() -> None:
    """RunPod's RTX PRO 6000 at 1.64 and 1.69: both quotes, one suspect offer."""
    found = read(DAYS / "2026-07-08.json")
    community = [o for o in offers(found) if o.key.tier == "community"]

    assert [p for s in found for p in s.defects.get(TWO_PRICES, ())] == [
        "2026-07-08.json: runpod: rtx-pro-6000 96 GB unstated on_demand community: 1.64 and 1.69",
        "2026-07-08.json: runpod: rtx-pro-6000 96 GB unstated on_demand secure: 1.99 and 1.89",
    ]
    assert [(o.price, bool(o.suspect)) for o in community] == [(Decimal("1.69"), True)]


@pytest.mark.parametrize(
    "row",
    [{"kind": "auction"}, {"fetched_at": "yesterday"}, {"fetched_at": None}, {"provider": 7}],
)
def test_a_row_that_can_not_be_read_costs_itself(tmp_path: Path, row: dict[str, Any]) -> None:
    """A kind or a time that we do not know is left out and named; the others are read."""
    (snapshot,) = read(day(tmp_path, row, {}))

    assert [q.sku for q in snapshot.quotes] == ["h100-sxm 80 GB"]
    assert snapshot.defects == {LEFT_OUT: ("2026-07-20.json: offers[0]",)}


def test_a_zero_is_left_to_the_judge(tmp_path: Path) -> None:
    """A price of 0 is a quote, and `normalise` counts it as `zero`."""
    (snapshot,) = read(day(tmp_path, {"usd_hr": 0}))
    verdict = normalise(snapshot.provider, snapshot.quotes, snapshot.observed_at)

    assert [reject.reason for reject in verdict.rejects] == ["zero"]


def test_a_seller_asked_twice_is_complete_in_neither(tmp_path: Path) -> None:
    """Fresh rows beside older ones do not say that the older ones are gone."""
    file = day(tmp_path, {}, {"gpu": "b200", "fetched_at": "2026-07-18T08:00:00Z"})

    assert [(s.observed_at.day, s.complete) for s in read(file)] == [(18, False), (20, False)]
    assert read(DAYS / "2026-07-18.json")[0].complete


def test_the_bytes_are_the_file_and_packed_ones_are_read(tmp_path: Path) -> None:
    """A .json.gz says what its .json says, and `read` returns it as it lies there."""
    packed = tmp_path / "2026-07-18.json.gz"
    packed.write_bytes(gzip.compress((DAYS / "2026-07-18.json").read_bytes()))
    (snapshot,) = read(packed)

    assert snapshot.quotes == read(DAYS / "2026-07-18.json")[0].quotes
    assert snapshot.read() == packed.read_bytes()


def test_a_persons_time_overrides_the_rows() -> None:
    """`--observed-at` moves one file, and is refused for a folder."""
    then = datetime(2026, 7, 10, tzinfo=UTC)

    assert {s.observed_at for s in read(DAYS / "2026-07-09.json", observed_at=then)} == {then}
    with pytest.raises(BadInput, match="one file"):
        read(DAYS, observed_at=then)


def test_a_row_a_day_older_is_carried_without_a_flag(tmp_path: Path) -> None:
    """A file that lost its `providers`, or has other things there, still shows what is old."""
    old = {"fetched_at": "2026-07-18T08:00:00Z"}

    for states in (None, [], {"lambda": "ok"}):
        (snapshot,) = read(day(tmp_path, old, providers=states))
        assert list(snapshot.defects) == [CARRIED]
    assert not read(day(tmp_path, old, generated_at="now"))[0].defects


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b'{"offers": {}}', "has no offers"), (b"<html>", "is not JSON"), (b"\x1f\x8b", "UTF-8")],
)
def test_what_is_no_daily_file_is_said(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Other JSON, no JSON and damaged files end in one sentence."""
    file = tmp_path / "latest.json"
    file.write_bytes(content)

    with pytest.raises(BadInput, match=sentence):
        read(file)


def test_a_cut_archive_is_said(tmp_path: Path) -> None:
    """Half a .gz is damaged, and a folder without a file is empty."""
    half = tmp_path / "2026-07-18.json.gz"
    half.write_bytes(gzip.compress((DAYS / "2026-07-18.json").read_bytes())[:-20])

    with pytest.raises(BadInput, match="can not be read"):
        read(half)
    cut = tmp_path / "2026-07-18.json.zst"
    cut.write_bytes(zstandard.compress((DAYS / "2026-07-18.json").read_bytes())[:-20])
    with pytest.raises(Damaged, match="does not end"):
        read(cut)
    with pytest.raises(BadInput, match="no folder"):
        read(tmp_path / "nothing")


@real
def test_the_real_month_is_read_whole() -> None:
    """27 files: 5,933 of 5,998 rows after 12 repeats of sellers, and nine GPUs that are none."""
    found = read(REAL)
    verdicts = [normalise(s.provider, s.quotes, s.observed_at) for s in found]
    reasons = Counter(r.reason for v in verdicts for r in v.rejects)
    days = Counter(r.key.sku for v in verdicts for r in v.rejects)

    assert (len(found), sum(len(s.quotes) for s in found)) == (652, 5933)
    assert reasons == {"unknown_gpu": 9}
    assert set(days) == {
        "a40 16 GB", "rtx-pro-6000 24 GB", "rtx-pro-6000 48 GB", "a100-sxm-80 40 GB",
        "a100-pcie-80 40 GB",
    }  # fmt: skip
    assert sum(len(s.defects.get(CARRIED, ())) for s in found) == 12
    assert [s.observed_at for s in found] == sorted(s.observed_at for s in found)
