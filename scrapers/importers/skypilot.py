"""SkyPilot's catalogue: what a machine costs per cloud, region and zone, since 2022.

Source: https://github.com/skypilot-org/skypilot-catalog, US dollars per instance-hour (Scaleway's
rows are euros), spot where the cloud has it: AWS looked at daily, GCP weekly, others now and then.
`snapshots` reads one dated file, a folder of `<cloud>/<time>.csv(.gz)`, a copy of the catalogue
(schemas v1 to v8, the highest counts) at a given time, or a git clone commit by commit.
A clone says when a file changed and not when it was looked at, so each change is one snapshot.
Oddities: an accelerator of GCP is priced apart from its host (`skypilot_gcp.py`); `GpuInfo` is
told by `skypilot_gpu_info.py`. FPGAs (`f1`) are among the accelerators and end as rejects.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gputape.scrapers.importers import git_history, kept, skypilot_gcp, skypilot_layout
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.moments import SAME_TIME, Moments
from gputape.scrapers.importers.skypilot_layout import Place
from gputape.scrapers.importers.skypilot_rows import CUT, RELAY, quotes, rows
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.quote import Quote
from gputape.store.errors import BadInput

SOURCE = ImportSource(
    slug="skypilot",
    name=RELAY,
    url="https://github.com/skypilot-org/skypilot-catalog",
    licence="None is stated: for your own use, not to be passed on.",
    cadence=timedelta(days=7),  # AWS daily; GCP up to six days apart in December 2023
)
REVISION = 1

MALFORMED = "files that are no catalogue, left out"
NO_TIME = "files with no time in their name, left out: give one file and --observed-at"
NO_CLOUD = "files whose folder names no cloud, left out"
DISORDER = "commits dated before the one they follow"


class Look(NamedTuple):
    """One file that waits to be read."""

    moment: datetime
    cloud: str
    file: str
    read: Callable[[], bytes]
    text: Callable[[], str]


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield every snapshot at `path`, in the order of time. Raises `BadInput`."""
    moments = Moments()
    if path.is_dir() and git_history.is_repository(path):
        kept.check_one_moment([path] * 2, options)
        yield from _of_clone(path, moments)
        return
    looks, left_out = _of_folder(path, options)
    for look in looks:
        yield _snapshot(look, moments, left_out)


def _snapshot(look: Look, moments: Moments, flaws: Flaws) -> Snapshot:
    """Read one file. `flaws` are those found before it, which it takes along."""
    provider = skypilot_layout.provider(look.cloud)
    observed_at, moved = moments.apart(provider, look.moment)
    if moved:
        flaws.add(SAME_TIME, look.file)
    inside = Flaws()
    found: Sequence[Quote] = ()
    blank: Sequence[Quote] = ()
    whole = False
    try:
        found, blank = _quotes(provider, look.text(), inside)
        whole = CUT not in inside.seen
    except (BadInput, UnicodeDecodeError) as error:
        flaws.add(MALFORMED, f"{look.file}: {error}")
    for kind, places in inside.all().items():
        for place in places:
            flaws.add(kind, f"{look.file}: {place}")
    return Snapshot(
        provider=provider, observed_at=observed_at, quotes=found, file=look.file, read=look.read,
        complete=whole, blank=blank, defects=flaws.take(),
    )  # fmt: skip


def _quotes(provider: str, text: str, flaws: Flaws) -> tuple[Sequence[Quote], Sequence[Quote]]:
    found = rows(text, flaws)
    if provider == "gcp":
        found = skypilot_gcp.joined(found, flaws)
    return quotes(provider, found, flaws)


# -- files --------------------------------------------------------------------------------------


def _of_folder(path: Path, options: ImportOptions) -> tuple[list[Look], Flaws]:
    """Return what lies at a path by time, and what can not be used."""
    flaws, files = Flaws(), dict[Path, Place]()
    for file in kept.listed(path, ".csv"):
        if place := skypilot_layout.kept_file(file):
            files[file] = place
        elif kept.named_moment(file):
            flaws.add(NO_CLOUD, kept.called(file, path))
    dated = [file for file, place in files.items() if place.moment and not place.hosts]
    kept.check_one_moment(dated, options)
    files = _newest_schema(files)
    looks = [
        look
        for file, place in files.items()
        if not place.hosts and (look := _look(file, place, options, flaws))
    ]
    if not looks:
        raise BadInput(
            f"{path} has no file of SkyPilot's catalogue with a time: name it "
            "<cloud>/2023-12-01T2111.csv, or give --observed-at"
        )
    looks.sort(key=lambda look: (look.moment, look.cloud, kept.stem(Path(look.file))))
    return looks, flaws


def _newest_schema(files: dict[Path, Place]) -> dict[Path, Place]:
    """Leave out v5 of a cloud where there is a v8; files of their own time all count."""
    newest: dict[str, int] = {}
    for place in files.values():
        if place.moment is None:
            newest[place.cloud] = max(place.version, newest.get(place.cloud, 0))
    return {
        file: place
        for file, place in files.items()
        if place.moment or place.version == newest[place.cloud]
    }


def _look(file: Path, place: Place, options: ImportOptions, flaws: Flaws) -> Look | None:
    name = skypilot_layout.label(file)
    moment = options.observed_at or place.moment
    if moment is None:
        flaws.add(NO_TIME, name)
        return None
    hosts = file.parent.parent / skypilot_layout.HOSTS / file.name
    if place.cloud == "gcp" and hosts.is_file():
        text = partial(_joined_text, file, hosts)
        return Look(moment, place.cloud, name, partial(_joined_bytes, file, hosts), text)
    return Look(moment, place.cloud, name, file.read_bytes, partial(kept.text, file))


def _joined_text(file: Path, hosts: Path) -> str:
    """Return accelerators and hosts as one file."""
    return f"{kept.text(file).rstrip()}\n{kept.text(hosts)}"


def _joined_bytes(file: Path, hosts: Path) -> bytes:
    """Return them for the archive, so that it has both halves of a price."""
    try:
        return _joined_text(file, hosts).encode()
    except BadInput:  # one is damaged: nothing was read from either
        return file.read_bytes()


# -- a clone ------------------------------------------------------------------------------------


def _of_clone(path: Path, moments: Moments) -> Iterator[Snapshot]:
    changes, flaws = _changes(path)
    if not changes:
        raise BadInput(f"{path} is a clone without catalogs/v*/<cloud>/vms.csv: clone the whole")
    with git_history.blobs(path) as blobs:
        for moment, cloud, file, blob in changes:
            data = blobs.read(blob)
            text = partial(_decoded, data, file)
            look = Look(moment, cloud, file, partial(bytes, data or b""), text)
            yield _snapshot(look, moments, flaws)


def _decoded(data: bytes | None, file: str) -> str:
    if data is None:
        raise BadInput(f"the clone lacks the bytes of {file}: clone without --filter")
    return data.decode("utf-8-sig")


def _changes(path: Path) -> tuple[list[tuple[datetime, str, str, str]], Flaws]:
    """Return time, cloud, name and blob of each change of a cloud's highest schema, by time."""
    flaws, found = Flaws(), list[tuple[datetime, str, str, str]]()
    there: dict[str, dict[str, tuple[int, str]]] = {}
    for commit in git_history.commits(path, skypilot_layout.PATTERNS):
        if found and commit.committed_at < found[-1][0]:
            flaws.add(DISORDER, commit.sha[:7])
        for cloud in _update(there, commit):
            _, name = max(there[cloud].values())
            if blob := commit.blobs.get(name):
                label = f"{commit.sha[:7]}:{name}"
                found.append((commit.committed_at, cloud, label, blob))
    return sorted(found, key=lambda change: change[0]), flaws


def _update(there: dict[str, dict[str, tuple[int, str]]], commit: git_history.Commit) -> list[str]:
    """Keep the books of which schemas of a cloud exist; return the clouds that a commit touched."""
    touched = dict[str, None]()
    for name, blob in commit.blobs.items():
        if place := skypilot_layout.published(name):
            files = there.setdefault(place.cloud, {})
            if blob:
                files[name] = (place.version, name)
            else:
                files.pop(name, None)
            touched[place.cloud] = None
    return [cloud for cloud in touched if there[cloud]]
