"""Every region has the provider's own name and a continent."""

import json
from pathlib import Path

import pytest

from gputape.store.regions import CONTINENTS, continent, places, regions

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"


@pytest.mark.parametrize("provider", ["aws", "azure", "coreweave", "gcp"])
def test_every_region_is_on_a_continent(provider: str) -> None:
    """A region has a name, and one of seven continents or the Middle East."""
    for code, region in regions(provider).items():
        assert region.name, code
        assert region.continent in CONTINENTS, code


@pytest.mark.parametrize(
    ("provider", "code", "where"),
    [
        ("aws", "us-east-1", "north-america"),
        ("aws", "us-east-1-bue-1", "south-america"),
        ("aws", "us-east-1-qro-1", "north-america"),
        ("aws", "eu-west-3-wl1-dss1", "africa"),
        ("aws", "ap-southeast-2-akl-1", "oceania"),
        ("aws", "ap-southeast-3", "asia"),
        ("aws", "il-central-1", "middle-east"),
        ("azure", "westus3", "north-america"),
        ("azure", "swedencentral", "europe"),
        ("azure", "usgovvirginia", "north-america"),
        ("azure", "qatarcentral", "middle-east"),
        ("gcp", "me-west1", "middle-east"),
        ("gcp", "australia-southeast2", "oceania"),
        ("coreweave", "europe", "europe"),
        ("oracle", "global", None),
        ("lambda_labs", "global", None),
        ("aws", "mars-north-1", None),
        ("nobody", "global", None),
    ],
)
def test_continents(provider: str, code: str, where: str | None) -> None:
    """A zone belongs to where it stands, not to its parent region; what is global is nowhere."""
    assert continent(provider, code) == where


def test_names_are_the_provider_s_own() -> None:
    """AWS keeps the older spelling of European regions in its feed's addresses."""
    assert places("aws")["eu-central-1"] == "EU (Frankfurt)"
    assert places("aws")["us-gov-west-1"] == "AWS GovCloud (US)"
    assert places("gcp")["southamerica-east1"] == "São Paulo"
    assert places("nobody") == {}


def test_aws_names_are_those_of_its_feed() -> None:
    """Every location that AWS lists is here under its code and name, and no other."""
    path = SHARED / "payloads" / "aws" / "locations.json"
    if not path.is_file():
        pytest.skip("the published file is not beside this checkout")
    listed = json.loads(path.read_text("utf-8")).values()
    assert places("aws") == {place["code"]: place["name"] for place in listed}
    assert len(places("aws")) == 109
