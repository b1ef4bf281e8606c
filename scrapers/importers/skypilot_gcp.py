"""GCP in SkyPilot's catalogue: an accelerator has a row of its own, its machine has another.

A2, A3, A4, G2 and G4 machines hold a fixed number of accelerators, and the price of one is the
host's row plus the accelerator's in the same zone, on demand and spot each. Both parts have to
be known. Local SSD that comes with the machine is in neither.
T4, V100, P100, P4 and K80 attach to an N1 machine of any size, so there is no one host: what is
sold is the accelerator, sku `T4` or `2x T4`, tier `accelerator`, without any machine.
A TPU's row is the whole of it (sku `tpu-v2-8`).
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.skypilot_rows import Row
from gputape.store.instances import instance, instances

# how the names of the machines begin that hold an accelerator, as SkyPilot spells it
# (https://cloud.google.com/compute/docs/accelerator-optimized-machines)
HOSTS = {
    "A100": ("a2-highgpu-", "a2-megagpu-"),
    "A100-80GB": ("a2-ultragpu-",),
    "B200": ("a4-highgpu-",),
    "GB200": ("a4x-highgpu-",),
    "H100": ("a3-highgpu-",),
    "H100-MEGA": ("a3-megagpu-",),
    "H200": ("a3-ultragpu-",),
    "L4": ("g2-standard-",),
    "RTXPRO6000": ("g4-standard-",),
}
ALONE_TIER = "accelerator"
ALONE = "accelerator alone, without its N1 host"
JOINED = "host + accelerator, two rows of one zone"
NO_SSD = "; the local SSD of the machine is not in it"
NO_HOST = "accelerators with no priced host machine in their zone, left out"
HALF_FREE = "machines of which one part is priced 0, and so the whole"
FREE = "0"  # which `normalise` rejects: without one part a machine is not cheap, but unknown


def joined(rows: Iterable[Row], flaws: Flaws) -> Iterator[Row]:
    """Yield whole machines, TPUs, and accelerators that have no one host."""
    hosts: dict[tuple[str, str], list[Row]] = {}
    accelerators = []
    for row in rows:
        if row.sku and row.gpu:
            yield row
        elif row.gpu:
            accelerators.append(row)
        elif row.sku:
            _keep(hosts.setdefault((row.sku, row.zone), []), row)
    for row in accelerators:
        yield from _whole(row, hosts, flaws)


def _keep(there: list[Row], row: Row) -> None:
    """Keep a host once for each price that it is said to have."""
    if all((row.price, row.spot) != (host.price, host.spot) for host in there):
        there.append(row)


def _whole(row: Row, hosts: dict[tuple[str, str], list[Row]], flaws: Flaws) -> Iterator[Row]:
    if row.gpu not in HOSTS:
        yield _alone(row)
        return
    skus = machines(row.gpu, row.gpus)
    there = [host for sku in skus for host in hosts.get((sku, row.zone), ())]
    if not there:
        flaws.add(NO_HOST, f"line {row.line}: {row.gpus} {row.gpu} {row.zone}")
    for host in there:
        price, spot = _sum(host.price, row.price), _sum(host.spot, row.spot)
        if FREE in (price, spot):
            flaws.add(HALF_FREE, f"line {row.line}: {host.sku} {row.zone}")
        if price or spot:
            ssd = _local_ssd(host.sku)
            yield row._replace(
                sku=host.sku, price=price, spot=spot, vcpus=host.vcpus,
                memory_gib=host.memory_gib, derived=JOINED + (NO_SSD if ssd else ""),
            )  # fmt: skip


def _alone(row: Row) -> Row:
    """Return a TPU slice or an accelerator under its own name, several of them as `2x T4`.

    One `tpu-v2-8` is one slice; how many chips that is, the instance facts know.
    """
    count = row.gpus.removesuffix(".0")
    sku = row.gpu if count == "1" else f"{count}x {row.gpu}"
    if row.gpu.startswith("tpu-"):
        return row._replace(sku=sku, gpus="" if count == "1" else count)
    return row._replace(sku=sku, tier=ALONE_TIER, derived=ALONE)


@lru_cache(maxsize=256)
def machines(accelerator: str, count: str) -> tuple[str, ...]:
    """Return the machine types that hold so many of an accelerator."""
    with suppress(InvalidOperation):
        gpus = Decimal(count)
        return tuple(
            sku
            for sku, facts in instances("gcp").items()
            if sku.startswith(HOSTS[accelerator]) and facts.gpu_count == gpus
        )
    return ()


@lru_cache(maxsize=256)
def _local_ssd(sku: str) -> bool:
    facts = instance("gcp", sku)
    return bool(facts and facts.local_ssd_gib)


def _sum(host: str, accelerator: str) -> str:
    """Return both together, "" when one is not known, `FREE` when one is 0."""
    if not host or not accelerator:
        return ""
    try:
        parts = Decimal(host), Decimal(accelerator)
    except InvalidOperation:
        return f"{host} + {accelerator}"
    return format(sum(parts), "f") if all(parts) else FREE
