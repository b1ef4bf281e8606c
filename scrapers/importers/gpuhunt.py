"""gpuhunt: the catalogue that dstack collects from nine clouds, hourly since 2026, daily before.

Source: https://github.com/dstackai/gpuhunt, zips on its bucket: v1/<day>/catalog.zip and
v2/<day>-<run>/catalog.zip with every provider's CSV, v3/<provider>/<day>-<run>/catalog.zip with
one. A person gives a zip or a folder of them. Unit: US dollars per instance-hour.
A file is true at the time that the zip keeps of it (its runner's clock is UTC) when that is the
day that its folder, its name or the file `version` beside it says, else at that day's midnight.
A flag gives a row a tier, or only hides it from old versions of dstack (for one of them every g4
row stands there twice). v1 has no flags and no vendor, and spells a TPU's name `tpu-v2-8`.
Oddities: GCP's locations are zones; RunPod's are data centers for its secure cloud, countries for
its community cloud; one RunPod or N1 name holds any number of GPUs, so the sku says how many.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gputape.scrapers.importers import kept, sellers
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import SAME_TIME, Moments
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.providers.oracle import HALF
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(
    slug="gpuhunt",
    name="dstackai/gpuhunt",
    url="https://github.com/dstackai/gpuhunt",
    licence="None is stated for the data (the program is MPL-2.0): for your own use.",
)
REVISION = 1

SLUGS = {"lambdalabs": "lambda_labs", "oci": "oracle", "vastai": "vast"}
COLUMNS = ("instance_name", "location", "price", "gpu_count", "gpu_name", "spot")
DAY = re.compile(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?!\d)")  # "20240508", "20260804-1234"
COUNTED = frozenset({"cudo", "runpod", "tensordock", "vastai"})
"""Whose instance name says no count: `NVIDIA H100 PCIe` is 1 to 8 of them."""
TIERS = {"runpod-cluster": "cluster", "gcp-dws-calendar-mode": "dws_calendar_mode"}
NO_FIGURE = frozenset({"lambdalabs"})
"""Their memory is GiB times 1.074, which nobody printed."""

MALFORMED = "catalogues that can not be read, left out"
LACKING = "rows that lack a field, left out"
NO_TIME = "zips that say no day, left out: give one and --observed-at"


class Member(NamedTuple):
    """One provider's CSV in a zip."""

    moment: datetime
    name: str
    zip: Path


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per provider and zip, in the order of time. Raises `BadInput`."""
    zips = kept.listed(path, ".zip")
    kept.check_one_moment(zips, options)
    flaws, moments, members = Flaws(), Moments(), list[Member]()
    for file in zips:
        _list(file, kept.called(file, path), options.observed_at, members, flaws)
    if not members:
        raise BadInput(
            f"{path} has no <provider>.csv with a time: give a catalog.zip in its folder "
            "v3/aws/20260804-1, or --observed-at"
        )
    for member in sorted(members):
        yield _snapshot(member, kept.called(member.zip, path), moments, flaws)


def _list(
    file: Path, name: str, given: datetime | None, members: list[Member], flaws: Flaws
) -> None:
    """Add what a zip holds."""
    try:
        with zipfile.ZipFile(file) as opened:
            for info in opened.infolist():
                if not info.filename.endswith(".csv"):
                    continue
                if moment := given or _moment(file, info, _version(opened)):
                    members.append(Member(moment, info.filename, file))
                else:
                    flaws.add(NO_TIME, name)
    except (zipfile.BadZipFile, OSError) as error:
        flaws.add(MALFORMED, f"{name}: {error}")


def _version(opened: zipfile.ZipFile) -> str:
    """Return the text of `version`, where somebody put it into the zip."""
    return opened.read("version").decode() if "version" in opened.namelist() else ""


def _moment(file: Path, info: zipfile.ZipInfo, version: str) -> datetime | None:
    beside = file.with_name("version")
    words = [version, file.name, *reversed(file.parent.parts)]
    if beside.is_file():
        words.insert(1, beside.read_text("utf-8"))
    day = next((found for word in words if (found := _day(word))), None)
    clock = _clock(info)
    if day is None or (clock and clock.date() == day.date()):
        return clock
    return day


def _day(word: str) -> datetime | None:
    for found in DAY.finditer(word):
        try:
            return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
        except ValueError:
            continue
    return None


def _clock(info: zipfile.ZipInfo) -> datetime | None:
    """Return when the file was written; 1980 is a zip's way of saying that it does not know."""
    try:
        moment = datetime(*info.date_time, tzinfo=UTC)
    except ValueError:
        return None
    return moment if moment.year > 1980 else None


# -- rows ---------------------------------------------------------------------------------------


def _snapshot(member: Member, name: str, moments: Moments, flaws: Flaws) -> Snapshot:
    seller = Path(member.name).stem
    provider = _slug(seller)
    observed_at, moved = moments.apart(provider, member.moment)
    file = f"{name}:{member.name}"
    if moved:
        flaws.add(SAME_TIME, file)
    quotes, whole = list[Quote](), False
    try:
        text = _bytes(member).decode("utf-8-sig")
        quotes = list(dict.fromkeys(_quotes(seller, text, file, flaws)))
        whole = LACKING not in flaws.seen
    except (BadInput, UnicodeDecodeError, csv.Error) as error:
        flaws.add(MALFORMED, f"{file}: {error}")
    flaws.note_two_prices(quotes, file)
    return Snapshot(
        provider=provider, observed_at=observed_at, quotes=quotes, file=file,
        read=partial(_archived, member), complete=whole, defects=flaws.take(),
    )  # fmt: skip


def _slug(seller: str) -> str:
    return SLUGS.get(seller) or sellers.slug(seller)


def _bytes(member: Member) -> bytes:
    try:
        with zipfile.ZipFile(member.zip) as opened:
            return opened.read(member.name)
    except (
        zipfile.BadZipFile,
        OSError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        zlib.error,
    ) as error:
        raise BadInput(f"{member.zip} is damaged ({error}): get it again") from None


def _archived(member: Member) -> bytes:
    """Return what goes to the archive: the member, or the whole zip when it is damaged."""
    try:
        return _bytes(member)
    except BadInput:
        return member.zip.read_bytes()


def _quotes(seller: str, text: str, file: str, flaws: Flaws) -> Iterator[Quote]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        raise BadInput(f"it has no column {', '.join(sorted(missing))}")
    for row in reader:
        place = f"{file}: line {reader.line_num}"
        flags = (row.get("flags") or "").split()
        if row["gpu_count"] in {"", "0"}:
            continue
        spot = (row["spot"] or "").lower()
        if not row["gpu_count"] or not row["instance_name"] or spot not in {"true", "false"}:
            flaws.add(LACKING, place)
            continue
        quote = _quote(seller, row, flags, spot=spot == "true")
        price = flaws.dusted(quote.price, place)
        yield flaws.by_facts(_slug(seller), replace(quote, price=price), place)


def _quote(seller: str, row: Mapping[str, str], flags: list[str], *, spot: bool) -> Quote:
    region, zone = _where(seller, row["location"])
    memory = None if seller in NO_FIGURE else row.get("memory")
    return Quote(
        sku=_sku(seller, row),
        option=Option.SPOT if spot else Option.ON_DEMAND,
        price=row["price"],
        region=region,
        zone=zone if spot else None,
        tier=next((TIERS[flag] for flag in flags if flag in TIERS), _tier(seller, region)),
        gpu=row["gpu_name"],
        gpu_count=row["gpu_count"],
        gpu_memory_gib=row.get("gpu_memory"),
        vcpus=row.get("cpu"),
        memory_gib=memory,
        derived=HALF if spot and seller == "oci" else None,
        relay=SOURCE.name,
    )


def _where(seller: str, location: str) -> tuple[str, str | None]:
    """Return region and zone: `us-central1-a` is a zone of GCP."""
    if seller != "gcp":
        return location, None
    return location.rpartition("-")[0] or location, location


def _tier(seller: str, location: str) -> str | None:
    if seller != "runpod":
        return None
    return "community" if len(location) == 2 else "secure"


def _sku(seller: str, row: Mapping[str, str]) -> str:
    """Return the instance's name, with its GPUs where the name leaves them open."""
    name, gpu = row["instance_name"], row["gpu_name"] or ""
    if gpu.startswith("tpu-") or row.get("gpu_vendor") == "google":
        return f"tpu-{name.removeprefix('tpu-')}"
    if seller in COUNTED:
        return f"{row['gpu_count']}x {name}"
    if name.startswith("n1-"):
        return f"{name} + {row['gpu_count']}x {gpu}"
    return name
