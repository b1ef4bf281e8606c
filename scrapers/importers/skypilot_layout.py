"""Where SkyPilot's catalogue files lie, and which cloud and version a path means.

The catalogue publishes `catalogs/v8/aws/vms.csv`, and published `catalogs/v1/gcp.csv` and
`catalogs/v4/gcp/instances.csv`; people keep `aws/2023-12-01T2111.csv.gz`, with GCP's machines
apart in `gcp-hosts/2023-12-01T1414.csv.gz`, or `aws/vms.csv`, `aws.csv`, `v8_sample_verda.csv`,
`aws_2023-12-01T2111.csv`.
"""

import re
from datetime import datetime
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from gputape.scrapers.importers import kept, sellers

# SkyPilot's short words; every other cloud is called by its name
CLOUDS = {"aws": "aws", "azure": "azure", "do": "digitalocean", "gcp": "gcp", "oci": "oracle"}
NAMED = frozenset(
    (
        "cudo", "daytona", "fluidstack", "hyperbolic", "hyperstack", "ibm", "jarvislabs", "lambda",
        "lium", "mithril", "nebius", "ovhcloud", "paperspace", "primeintellect", "runpod",
        "scaleway", "scp", "seeweb", "shadeform", "simplepod", "spheron", "vast", "verda", "yotta",
    )
)  # fmt: skip
KNOWN = CLOUDS.keys() | NAMED
HOSTS = "gcp-hosts"
PUBLISHED = re.compile(r"(?:.*/)?v(?P<version>\d+)/(?P<cloud>[\w-]+)(?:/(?:vms|instances))?\.csv")
PATTERNS = ("**/vms.csv", "**/instances.csv", "**/v[0-9]/*.csv", "**/v[0-9][0-9]/*.csv")


class Place(NamedTuple):
    """What a path says about its file."""

    cloud: str
    version: int
    moment: datetime | None
    hosts: bool = False
    """GCP's machines alone."""


def provider(cloud: str) -> str:
    """Return our slug."""
    return CLOUDS.get(cloud) or sellers.slug(cloud)


def published(path: str) -> Place | None:
    """Return what a path of the catalogue itself means; None for images, quotas, metadata."""
    found = PUBLISHED.fullmatch(str(PurePosixPath(path)))
    if found is None or found["cloud"] in {"vms", "instances", "common"}:
        return None
    return Place(found["cloud"], int(found["version"]), None)


def kept_file(path: Path) -> Place | None:
    """Return what a kept file's path means, or None when no cloud can be told from it."""
    bare = path.with_name(kept.stem(path) + ".csv")
    if place := published(bare.as_posix()):
        return place
    folder, stem = path.parent.name, bare.stem
    moment = kept.named_moment(path)
    if folder == HOSTS:
        return Place("gcp", 0, moment, hosts=True)
    if moment is None and stem in {"vms", "instances"}:
        return Place(folder, 0, None) if folder else None
    first, _, last = stem.partition("_")
    words = (folder, stem, first, last.rpartition("_")[2])
    cloud = next((word for word in words if word in KNOWN), None)
    return Place(cloud, 0, moment) if cloud else None


def label(path: PurePath) -> str:
    """Return what a person calls a file: its last folders from the version or cloud on."""
    return "/".join(path.parts[-3 if re.fullmatch(r"v\d+", path.parent.parent.name) else -2 :])
