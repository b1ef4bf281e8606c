"""What a price does not say: how time is billed, disks and traffic, networks between instances."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

HOUR_S = 3600
UNKNOWN_STEP_S = HOUR_S  # where nobody states the step of billing, an hour begun is an hour paid
RDMA_GBIT_S_GPU = 100
"""Least network a GPU for one job over several instances (workloads 2.7: 100 to 400)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """How a seller bills time and what its disks and traffic cost; None is not known."""

    provider: str
    step_s: int = UNKNOWN_STEP_S
    least_s: int = UNKNOWN_STEP_S
    disk_usd_gib_month: float | None = None
    egress_usd_gib: float | None = None
    known: bool = False
    """Whether somebody stated the step."""


@cache
def _facts() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("facts.toml").read_text("utf-8"))


@cache
def billing() -> Mapping[str, Billing]:
    """Return what is known of each seller."""
    facts = _facts()
    sellers = facts["billing"].keys() | facts["extras"].keys()
    return {
        name: Billing(
            provider=name,
            known=name in facts["billing"],
            **_without_source(facts["billing"].get(name, {})),
            **_without_source(facts["extras"].get(name, {})),
        )
        for name in sorted(sellers)
    }


def _without_source(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "source"}


@cache
def networks() -> Mapping[tuple[str, str], float]:
    """Return Gbit/s of an instance to the others by (provider, sku)."""
    return {
        (provider, sku): float(speed)
        for provider, skus in _facts()["network"].items()
        for sku, speed in _without_source(skus).items()
    }
