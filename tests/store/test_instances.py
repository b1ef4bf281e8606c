"""Machine types carry the right GPU, the right count and fractions as fractions."""

import json
import tomllib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from gputape.store.gpus import gpus
from gputape.store.instances import instance, instances

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
PROVIDERS = ("aws", "azure", "gcp", "oracle")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_gpu_exists_and_is_one_exact_part(provider: str) -> None:
    """Each row names an entry of gpus.toml and a count above zero."""
    for machine in instances(provider).values():
        assert machine.gpu in gpus(), machine.sku
        assert 0 < machine.gpu_count <= 4096, machine.sku


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_file_says_where_it_is_from(provider: str) -> None:
    """A file of facts has a source and the day it was checked."""
    text = files("gputape.store").joinpath(f"instances/{provider}.toml").read_text("utf-8")
    header = tomllib.loads(text)
    assert header["source"]
    assert header["checked"].year >= 2026


@pytest.mark.parametrize(
    ("provider", "sku", "gpu", "count"),
    [
        ("aws", "p5.48xlarge", "h100-sxm-80", "8"),
        ("aws", "p5.4xlarge", "h100-sxm-80", "1"),
        ("aws", "p4d.24xlarge", "a100-sxm-40", "8"),
        ("aws", "p4de.24xlarge", "a100-sxm-80", "8"),
        ("aws", "p5en.48xlarge", "h200-sxm-141", "8"),
        ("aws", "p6-b300.48xlarge", "b300-sxm-270", "8"),
        ("aws", "p6e-gb200.36xlarge", "gb200-186", "4"),
        ("aws", "p3dn.24xlarge", "v100-sxm-32", "8"),
        ("aws", "p2.16xlarge", "k80-12", "16"),
        ("aws", "g3s.xlarge", "m60-8", "1"),
        ("aws", "g4dn.12xlarge", "t4-16", "4"),
        ("aws", "g5g.metal", "t4g-16", "2"),
        ("aws", "g6.16xlarge", "l4-24", "1"),
        ("aws", "g6f.large", "l4-24", "0.125"),
        ("aws", "gr6f.4xlarge", "l4-24", "0.5"),
        ("aws", "g7e.12xlarge", "rtx-pro-6000-server-96", "2"),
        ("aws", "trn1.32xlarge", "trainium1", "16"),
        ("aws", "inf2.24xlarge", "inferentia2", "6"),
        ("aws", "dl1.24xlarge", "gaudi1", "8"),
        ("aws", "dl2q.24xlarge", "ai100-16", "8"),
        ("azure", "Standard_ND96isr_H100_v5", "h100-sxm-80", "8"),
        ("azure", "Standard_NC80adis_H100_v5", "h100-nvl-94", "2"),
        ("azure", "Standard_NC24ads_A100_v4", "a100-pcie-80", "1"),
        ("azure", "Standard_ND96asr_v4", "a100-sxm-40", "8"),
        ("azure", "Standard_ND96asr_A100_v4", "a100-sxm-40", "8"),
        ("azure", "Standard_ND96amsr_A100_v4", "a100-sxm-80", "8"),
        ("azure", "Standard_NV6ads_A10_v5", "a10-24", "0.166667"),
        ("azure", "Standard_NV12ads_A10_v5", "a10-24", "0.333333"),
        ("azure", "Standard_NV4as_v4", "mi25-16", "0.125"),
        ("azure", "Standard_ND128isr_NDR_GB200_v6", "gb200-186", "4"),
        ("gcp", "a2-megagpu-16g", "a100-sxm-40", "16"),
        ("gcp", "a2-ultragpu-1g", "a100-sxm-80", "1"),
        ("gcp", "a3-megagpu-8g", "h100-sxm-80", "8"),
        ("gcp", "g2-standard-32", "l4-24", "1"),
        ("gcp", "g4-standard-6", "rtx-pro-6000-server-96", "0.125"),
        ("gcp", "tpu-v3-32", "tpu-v3", "16"),
        ("gcp", "ct5lp-hightpu-8t", "tpu-v5e", "8"),
        ("oracle", "BM.GPU.H100.8", "h100-sxm-80", "8"),
        ("oracle", "BM.GPU4.8", "a100-sxm-40", "8"),
        ("oracle", "BM.GPU.A100-v2.8", "a100-sxm-80", "8"),
        ("oracle", "BM.GPU.GB300.4", "gb300-279", "4"),
    ],
)
def test_machine_types_hold_what_their_makers_say(
    provider: str, sku: str, gpu: str, count: str
) -> None:
    """The form factor is the machine's own, and a sixth of a GPU is a sixth."""
    machine = instance(provider, sku)
    assert machine is not None
    assert (machine.gpu, machine.gpu_count) == (gpu, Decimal(count))


def test_the_rest_of_a_machine_is_known_where_the_source_states_it() -> None:
    """CPUs, memory, bundled disk, part number and preemptibility; None is not stated."""
    p5, a3 = instance("aws", "p5.48xlarge"), instance("gcp", "a3-highgpu-8g")
    assert p5 is not None
    assert [p5.vcpus, p5.memory_gib, p5.local_ssd_gib] == [192, 2048, None]
    assert a3 is not None
    assert [a3.vcpus, a3.memory_gib, a3.local_ssd_gib] == [208, 1872, 6000]
    g3s = instance("aws", "g3s.xlarge")
    assert g3s is not None
    assert g3s.memory_gib == Decimal("30.5")
    v100 = instance("oracle", "VM.GPU3.1")
    assert v100 is not None
    assert (v100.part, v100.preemptible) == ("B89734", True)


def test_only_the_old_oracle_vms_are_preemptible() -> None:
    """Half-price preemptible capacity is stated for VM.GPU2 and VM.GPU3 and nothing else."""
    preemptible = {sku for sku, machine in instances("oracle").items() if machine.preemptible}
    assert preemptible == {"VM.GPU2.1", "VM.GPU3.1", "VM.GPU3.2", "VM.GPU3.4"}


def test_an_fpga_or_an_unknown_type_has_no_facts() -> None:
    """FPGA and media machines are not GPUs; an unknown type or provider is None or empty."""
    assert instance("aws", "f2.48xlarge") is None
    assert instance("aws", "vt1.24xlarge") is None
    assert instance("azure", "Standard_NC8ads_A10_v4") is None
    assert instances("nobody") == {}


def test_every_accelerator_that_aws_lists_is_covered() -> None:
    """Each type of the spot file's GPU group and of the GPU and ML price families is known."""
    folder = SHARED / "payloads" / "aws"
    if not folder.is_dir():
        pytest.skip("the published files are not beside this checkout")
    spot = json.loads((folder / "spot.json").read_text("utf-8"))["config"]["regions"]
    listed = {
        size["size"]
        for region in spot
        for kind in region["instanceTypes"]
        if kind["type"] == "gpuCurrentGen"
        for size in kind["sizes"]
    }
    feed = next(folder.glob("meteredUnitMaps_*"))
    for rows in json.loads(feed.read_text("utf-8"))["regions"].values():
        for row in rows.values():
            if row["Instance Family"] in {"GPU instance", "Machine Learning ASIC Instances"}:
                listed.add(row["Instance Type"])
    left = {sku for sku in listed - instances("aws").keys() if not sku.startswith("vt1.")}
    assert not left
