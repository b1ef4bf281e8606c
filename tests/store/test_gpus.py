"""A spelling means one part or none; every entry says where its figures are from."""

import json
from collections import defaultdict
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import pytest

from gputape.store.errors import BadInput
from gputape.store.gpus import (
    FIGURES,
    NOMINAL,
    families,
    fold,
    gpus,
    resolve,
    select,
    spellings,
    suggestion,
)
from gputape.store.instances import instances

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"


def _id(spelling: str, memory: str | None = None, provider: str | None = None) -> str | None:
    gpu = resolve(spelling, Decimal(memory) if memory else None, provider)
    return gpu.id if gpu else None


# -- the data -----------------------------------------------------------------------------------


def test_entries_are_sorted_by_id() -> None:
    """The file reads like an index: every entry is where its id belongs."""
    assert list(gpus()) == sorted(gpus())


def test_every_entry_says_where_its_figures_are_from() -> None:
    """Source, day checked, band and memory are never missing."""
    for gpu in gpus().values():
        low, high = gpu.band_usd_gpu_hour
        assert gpu.source, gpu.id
        assert gpu.checked.year >= 2026, gpu.id
        assert 0 < low < high <= 50, gpu.id
        assert gpu.memory_gib > 0, gpu.id


def test_ids_carry_form_factor_and_memory() -> None:
    """An NVIDIA or AMD id ends in its memory; a form factor in it is the entry's own."""
    for gpu in gpus().values():
        if gpu.vendor in {"NVIDIA", "AMD"}:
            assert gpu.id.endswith(f"-{gpu.memory_gib}"), gpu.id
        for form in ("sxm", "pcie"):
            if f"-{form}-" in gpu.id:
                assert (gpu.form_factor or "").lower().startswith(form), gpu.id


def test_no_spelling_and_memory_fit_two_entries() -> None:
    """Entries that share an alias differ so much in memory that no figure fits both."""
    sharing = defaultdict(set)
    for gpu in gpus().values():
        for spelling in spellings(gpu):
            sharing[fold(_without_memory(spelling))].add(gpu.id)
    for spelling, ids in sharing.items():
        for less, more in combinations(sorted(ids, key=lambda id_: gpus()[id_].memory_gib), 2):
            reach = gpus()[less].memory_gib * NOMINAL[1], gpus()[more].memory_gib * NOMINAL[0]
            assert reach[0] < reach[1], (spelling, less, more)


def _without_memory(spelling: str) -> str:
    return " ".join(word for word in spelling.split() if not word.endswith("GB"))


def test_every_id_and_name_means_its_own_entry() -> None:
    """The id, the name and each alias resolve to their entry once its memory is given."""
    for gpu in gpus().values():
        for spelling in (gpu.id, gpu.name, *gpu.aliases):
            assert _id(spelling, str(gpu.memory_gib)) == gpu.id, spelling


def test_a_provider_is_understood_by_its_own_words() -> None:
    """Each spelling in `says` resolves to its entry in that provider's mouth."""
    for gpu in gpus().values():
        for provider, told in gpu.says.items():
            for spelling in told:
                assert _id(spelling, str(gpu.memory_gib), provider) == gpu.id, spelling


def test_no_alias_repeats_what_folding_already_knows() -> None:
    """An alias is listed only when id and name do not fold to it."""
    for gpu in gpus().values():
        folded = [fold(alias) for alias in gpu.aliases]
        assert len(folded) == len(set(folded) - {fold(gpu.id), fold(gpu.name)}), gpu.id


def test_an_unstated_entry_has_only_what_its_parts_share() -> None:
    """No figure of `h100-80` is the SXM's alone, and its band spans both parts'."""
    for gpu in gpus().values():
        parts = [gpus()[id_] for id_ in gpu.either]
        for name in FIGURES if parts else ():
            figures = {getattr(part, name) for part in parts}
            assert {getattr(gpu, name)} == (figures if len(figures) == 1 else {None}), gpu.id
        for part in parts:
            assert part.family == gpu.family
            assert gpu.band_usd_gpu_hour[0] <= part.band_usd_gpu_hour[0]
            assert gpu.band_usd_gpu_hour[1] >= part.band_usd_gpu_hour[1]


def test_the_figures_of_the_reference_cards_are_the_datasheets() -> None:
    """H100 SXM5 is 989 dense BF16 TFLOPS and 3350 GB/s; the A10G has half an A10's rate."""
    h100 = gpus()["h100-sxm-80"]
    assert h100.bf16_tflops == 989
    assert h100.bandwidth_gb_s == 3350
    assert h100.tf32_tflops == Decimal("494.5")
    assert h100.cuda_cc == "9.0"
    assert gpus()["a10g-24"].bf16_tflops == 70
    assert gpus()["a10-24"].bf16_tflops == 125
    assert gpus()["h100-80"].bf16_tflops is None
    assert gpus()["v100-sxm-16"].bf16_tflops is None


# -- what spellings mean ------------------------------------------------------------------------

MEANT = {
    "RTXPRO6000": "rtx-pro-6000-96",
    "RTX-PRO-6000": "rtx-pro-6000-96",
    "RTX-PRO6000": "rtx-pro-6000-96",
    "RTX PRO 6000 96GB": "rtx-pro-6000-96",
    "RTX 6000 96GB": "rtx-pro-6000-96",
    "RTX PRO Server 6000": "rtx-pro-6000-server-96",
    "NVIDIA RTX Pro 6000 SE": "rtx-pro-6000-server-96",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000-server-96",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000-workstation-96",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "rtx-pro-6000-max-q-96",
    "RTX PRO 6000 WS": "rtx-pro-6000-workstation-96",
    "RTX6000-Ada": "rtx-6000-ada-48",
    "RTX6000Ada": "rtx-6000-ada-48",
    "RTX-6000-Ada": "rtx-6000-ada-48",
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada-48",
    "RTX6000Ada_48GB": "rtx-6000-ada-48",
    "NVIDIA Quadro RTX 6000": "quadro-rtx-6000-24",
    "Quadro RTX 6000 (24 GB)": "quadro-rtx-6000-24",
    "RTX6000 24GB": "quadro-rtx-6000-24",
    "RTXA6000": "rtx-a6000-48",
    "A6000": "rtx-a6000-48",
    "rtx_2000_ada": "rtx-2000-ada-16",
    "V100 32G": "v100-32",
    "V100-32GB": "v100-32",
    "Tesla V100 16GB": "v100-16",
    "V100": None,
    "A100": None,
    "A100 SXM": None,
    "A100 80GB": "a100-80",
    "A100_80G": "a100-80",
    "a100_40gb": "a100-40",
    "A100 (40 GB)": "a100-40",
    "A100 (40GB)": "a100-40",
    "A100 (20 GB)": None,
    "A100 SXM4 80GB": "a100-sxm-80",
    "NVIDIA A100-SXM4-80GB": "a100-sxm-80",
    "NVIDIA A100-SXM4-40GB": "a100-sxm-40",
    "NVIDIA A100 80GB PCIe": "a100-pcie-80",
    "A100_PCIE_80GB": "a100-pcie-80",
    "A100-80G-PCIe-NVLink": "a100-pcie-80",
    "H100": "h100-80",
    "H100_80GB": "h100-80",
    "H100 SXM": "h100-sxm-80",
    "H100 SXM5": "h100-sxm-80",
    "H100_SXM5_80GB": "h100-sxm-80",
    "h100-sxm5-80gb": "h100-sxm-80",
    "H100 (80 GB SXM5)": "h100-sxm-80",
    "NVIDIA H100 80GB HBM3": "h100-sxm-80",
    "NVIDIA HGX H100": "h100-sxm-80",
    "H100 HGX (80GB)": "h100-sxm-80",
    "H100-PCIe": "h100-pcie-80",
    "H100 PCIe (80GB)": "h100-pcie-80",
    "H100 NVL": "h100-nvl-94",
    "H100_nvl": "h100-nvl-94",
    "H100T": None,
    "H200": "h200-141",
    "H200 SXM5 141GB": "h200-sxm-141",
    "h200_nvl": "h200-nvl-141",
    "NVIDIA HGX B200": "b200-sxm-180",
    "B200 SXM6 180GB": "b200-sxm-180",
    "B200 192GB": "b200-sxm-180",
    "B300-SXM": "b300-sxm-270",
    "NVIDIA B300 SXM6 AC": "b300-sxm-270",
    "B300 SXM6 268GB": "b300-sxm-270",
    "B300 288GB": "b300-sxm-270",
    "GB200": "gb200-186",
    "NVIDIA GB200 NVL72": "gb200-186",
    "NVIDIA GB300 NVL72": "gb300-279",
    "GH200 (96 GB)": "gh200-96",
    "NVIDIA GH200": None,
    "Tesla T4": "t4-16",
    "T4g": "t4g-16",
    "Nvidia L4": "l4-24",
    "L40": "l40-48",
    "NVIDIA L40s": "l40s-48",
    "A10 (24 GB PCIe)": "a10-24",
    "A10G (24GB)": "a10g-24",
    "NVIDIA A10": "a10-24",
    "K80 (12 GB)": "k80-12",
    "3080Ti (12 GB)": "rtx-3080-ti-12",
    "NVIDIA GeForce RTX 4090": "rtx-4090-24",
    "RTX4090": "rtx-4090-24",
    "RTX 5090": "rtx-5090-32",
    "RTX4000 (8 GB)": "quadro-rtx-4000-8",
    "RTX5000 (16GB)": "quadro-rtx-5000-16",
    "AMD MI300X": "mi300x-192",
    "AMD Instinct MI300X OAM": "mi300x-192",
    "nvidia_h100": "h100-80",
    "amd_mi300x": "mi300x-192",
    "AMD MI325X": "mi325x-256",
    "AMD MI355X": "mi355x-288",
    "Radeon Pro V520": "radeon-pro-v520-8",
    "Radeon MI25": "mi25-16",
    "Trainium": "trainium1",
    "Trainium2": "trainium2",
    "Inferentia": "inferentia1",
    "Inferentia2": "inferentia2",
    "Habana Gaudi HL-205": "gaudi1",
    "Gaudi HL-205": "gaudi1",
    "Gaudi3": "gaudi3",
    "Qualcomm AI100": "ai100-16",
    "TPU v5e": "tpu-v5e",
    "TpuV5e": "tpu-v5e",
    "v5litepod": "tpu-v5e",
    "tpu-v6e": "tpu-v6e",
    "Trillium": "tpu-v6e",
    "TPU7x": "tpu-v7",
    "Ironwood": "tpu-v7",
    "tpu-v3-8": None,
    "Virtex UltraScale (VU9P)": None,
    "": None,
}


@pytest.mark.parametrize(("spelling", "id_"), MEANT.items())
def test_spellings_that_were_seen(spelling: str, id_: str | None) -> None:
    """Spellings of published price lists mean this part, and vague ones mean none."""
    assert _id(spelling) == id_


@pytest.mark.parametrize(
    ("spelling", "memory", "id_"),
    [
        ("RTX 6000", "24", "quadro-rtx-6000-24"),
        ("RTX 6000", "48", "rtx-6000-ada-48"),
        ("RTX 6000", "96", "rtx-pro-6000-96"),
        ("RTX 6000", None, None),
        ("A100", "40", "a100-40"),
        ("A100", "79.99", "a100-80"),
        ("A100", "24", None),
        ("A100 80GB", "40", None),
        ("NVIDIA A100 SXM", "40", "a100-sxm-40"),
        ("NVIDIA A100 SXM", "80", "a100-sxm-80"),
        ("NVIDIA H100 SXM", "80", "h100-sxm-80"),
        ("H100 SXM", "79.647", "h100-sxm-80"),
        ("H100 NVL", "80", None),
        ("H100", "640", None),
        ("H100", "94", None),
        ("H200", "143", "h200-141"),
        ("B200", "192", "b200-sxm-180"),
        ("B300", "262", "b300-sxm-270"),
        ("B300", "288", "b300-sxm-270"),
        ("GB300", "288", "gb300-279"),
        ("NVIDIA GH200", "96", "gh200-96"),
        ("GH200", "144", "gh200-144"),
        ("V100", "31.75", "v100-32"),
        ("RTX 3080", "12", "rtx-3080-12"),
        ("RTX 3080", None, None),
        ("RTX 3060", None, "rtx-3060-12"),
        ("A40", "16", None),
        ("RTX PRO 6000", "24", None),
    ],
)
def test_memory_decides(spelling: str, memory: str | None, id_: str | None) -> None:
    """Memory breaks a tie, tolerates usable for nominal, and refuses to be contradicted."""
    assert _id(spelling, memory) == id_


@pytest.mark.parametrize(
    ("spelling", "mib", "id_"),
    [
        ("L4", 22888, "l4-24"),
        ("A10G", 22888, "a10g-24"),
        ("L40S", 45776, "l40s-48"),
        ("B200", 183359, "b200-sxm-180"),
        ("B300", 275040, "b300-sxm-270"),
        ("GB300", 284208, "gb300-279"),
        ("H200 SXM", 144384, "h200-sxm-141"),
        ("H100 SXM", 81559, "h100-sxm-80"),
        ("K80", 11441, "k80-12"),
    ],
)
def test_usable_memory_is_the_nominal_part(spelling: str, mib: int, id_: str) -> None:
    """What drivers and EC2 report in MiB, some 7 % below the label, is the same part."""
    assert resolve(spelling, Decimal(mib) / 1024) == gpus()[id_]


@pytest.mark.parametrize(
    ("provider", "spelling", "memory", "id_"),
    [
        ("coreweave", "NVIDIA A100", "80", "a100-sxm-80"),
        ("coreweave", "NVIDIA A100", "40", "a100-40"),
        ("coreweave", "NVIDIA H100", "80", "h100-sxm-80"),
        ("coreweave", "NVIDIA GH200", None, "gh200-96"),
        (
            "coreweave",
            "NVIDIA RTX PRO 6000 Blackwell Server Edition (High Memory)",
            "96",
            "rtx-pro-6000-server-96",
        ),
        ("lambda_labs", "NVIDIA H100", None, "h100-sxm-80"),
        ("lambda_labs", "H100", "80", "h100-80"),
        ("lambda_labs", "NVIDIA H100 PCIe", "80", "h100-pcie-80"),
        ("lambda_labs", "NVIDIA A6000", "48", "rtx-a6000-48"),
        ("lambda_labs", "NVIDIA Tesla V100", "16", "v100-16"),
        ("gcp", "A100", None, "a100-sxm-40"),
        ("gcp", "A100-80GB", None, "a100-sxm-80"),
        ("gcp", "Nvidia Tesla A100 80GB GPU", None, "a100-sxm-80"),
        ("gcp", "H100 80GB Mega", None, "h100-sxm-80"),
        ("gcp", "Nvidia H100 80GB Plus", None, "h100-sxm-80"),
        ("gcp", "RTX 6000 96GB", None, "rtx-pro-6000-server-96"),
        ("gcp", "V100", None, "v100-16"),
        ("hyperstack", "NVIDIA H100", "80", "h100-pcie-80"),
        ("hyperstack", "NVIDIA H100 NVLink", "80", "h100-pcie-80"),
        ("hyperstack", "NVIDIA H100 SXM", "80", "h100-sxm-80"),
        ("fluidstack", "H100_NVLINK_80GB", None, "h100-pcie-80"),
        ("digitalocean", "NVIDIA RTX 6000", None, "rtx-6000-ada-48"),
        ("digitalocean", "NVIDIA B300, liquid-cooled", None, "b300-sxm-270"),
        ("runpod", "NVIDIA H200", "141", "h200-sxm-141"),
        ("verda", "B300 CC SXM6 268GB", None, "b300-sxm-270"),
        ("verda", "GB300 SXM6 288GB", None, "gb300-279"),
        ("nebius", "NVIDIA L40S with AMD CPU", None, "l40s-48"),
    ],
)
def test_a_provider_s_own_words(provider: str, spelling: str, memory: str | None, id_: str) -> None:
    """A spelling means more in the mouth of a provider whose other words are known."""
    assert _id(spelling, memory, provider) == id_


@pytest.mark.parametrize(
    "spelling",
    [
        "A100 MIG 1g.5gb",
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 1g.24gb",
        "H100 1g.12gb",
        "A40 (graphics mode)",
    ],
)
def test_a_slice_is_not_its_card(spelling: str) -> None:
    """A MIG slice or a mode of a card resolves to nothing rather than to the whole card."""
    assert _id(spelling) is None


def test_no_name_falls_into_another_by_substring() -> None:
    """GB200 is not B200, L40S not L40, RTX A6000 neither RTX 6000 Ada nor Turing."""
    assert len({_id("GB200"), _id("B200")}) == 2
    assert len({_id("L40S"), _id("L40"), _id("L4")}) == 3
    six = {"RTX A6000", "RTX 6000 Ada", "Quadro RTX 6000", "RTX PRO 6000", "RTX PRO 6000 Server"}
    assert len({_id(spelling) for spelling in six}) == len(six)


def test_fold_drops_makers_and_keeps_what_tells_parts_apart() -> None:
    """Case, punctuation, makers and brands go; Quadro, Ada and PRO stay."""
    assert fold("NVIDIA GeForce RTX-4090") == fold("rtx4090") == "rtx4090"
    assert fold("AMD Instinct MI300X") == "mi300x"
    assert fold("Quadro RTX 6000") != fold("RTX 6000") != fold("RTX PRO 6000")


def test_a_suggestion_is_the_line_to_add() -> None:
    """The line carries the spelling as TOML, its memory, and the entries it looks like."""
    line = suggestion("H100T", Decimal(80))
    assert line.startswith('aliases = ["H100T"]')
    assert "80 GiB" in line
    assert "h100-80" in line
    assert suggestion('a "quoted" part').startswith(r'aliases = ["a \"quoted\" part"]')


# -- selecting ----------------------------------------------------------------------------------


def test_select_unites_ids_families_and_globs() -> None:
    """A person names an id, a family or a glob, in any case; the words add up."""
    assert select(["h100-sxm-80"]) == {"h100-sxm-80"}
    assert select(["H100"]) == {"h100-80", "h100-nvl-94", "h100-pcie-80", "h100-sxm-80"}
    assert select(["h100*", "l4-24"]) == select(["h100"]) | {"l4-24"}
    assert select(["l40"]) == {"l40-48"}
    assert select(["a100*80"]) == {"a100-80", "a100-pcie-80", "a100-sxm-80"}
    assert "gb200-186" not in select(["b200"])
    assert select([]) == frozenset()


def test_select_names_the_nearest_when_it_knows_no_such_word() -> None:
    """A typing error is answered with the names it looks like, an alias with its id."""
    with pytest.raises(BadInput, match=r"'h1000'.*h100"):
        select(["l4-24", "h1000"])
    with pytest.raises(BadInput, match="did you mean rtx-4090-24"):
        select(["RTX4090"])
    with pytest.raises(BadInput, match="gputape gpus"):
        select(["%%%"])


# -- bands --------------------------------------------------------------------------------------


def test_bands_hold_for_every_spot_price_that_aws_published() -> None:
    """No real spot price of 2026-08-11 in 40 regions lies outside its GPU's band."""
    path = SHARED / "payloads" / "aws" / "spot.json"
    if not path.is_file():
        pytest.skip("the published file is not beside this checkout")
    machines, checked = instances("aws"), 0
    for region in json.loads(path.read_text("utf-8"))["config"]["regions"]:
        for size in (size for kind in region["instanceTypes"] for size in kind["sizes"]):
            linux = {column["name"]: column["prices"]["USD"] for column in size["valueColumns"]}
            machine = machines.get(size["size"])
            if machine and linux["linux"] != "N/A*":
                low, high = gpus()[machine.gpu].band_usd_gpu_hour
                paid = Decimal(linux["linux"]) / machine.gpu_count
                assert low <= paid <= high, (region["region"], size["size"], paid)
                checked += 1
    assert checked > 500


@pytest.mark.parametrize(
    ("id_", "usd_gpu_hour"),
    [
        ("a100-sxm-40", "0.37"),
        ("a100-pcie-80", "0.61"),
        ("a100-80", "5.12"),
        ("h100-sxm-80", "17.70"),
        ("h100-sxm-80", "12.29"),
        ("t4-16", "0.053"),
        ("t4-16", "4.352"),
        ("t4-16", "6.702"),
        ("l4-24", "3.397"),
        ("l4-24", "0.077"),
        ("b200-sxm-180", "16.11"),
        ("b300-sxm-270", "17.802"),
        ("gb300-279", "18"),
        ("gb200-186", "27.04"),
        ("a10-24", "0.60"),
        ("rtx-4090-24", "0.204"),
        ("mi25-16", "2.24"),
        ("inferentia1", "0.027"),
        ("tpu-v4", "3.22"),
    ],
)
def test_bands_hold_for_dear_and_cheap_prices(id_: str, usd_gpu_hour: str) -> None:
    """Prices that were really asked between 2022 and 2026 lie inside their band."""
    low, high = gpus()[id_].band_usd_gpu_hour
    assert low <= Decimal(usd_gpu_hour) <= high


def test_the_quick_way_to_ids_and_families_says_what_the_parser_says() -> None:
    """Two patterns over the file find every id with its family, in the file's order."""
    assert dict(families()) == {gpu.id: gpu.family for gpu in gpus().values()}
