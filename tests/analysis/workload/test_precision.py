"""Which formats a GPU computes in, and what a spelling of one means."""

import pytest

from gputape.analysis.workload.precision import (
    best_precision,
    parsed,
    peak_tflops,
    stored_bits,
    supports,
)
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus


@pytest.mark.parametrize(
    ("gpu", "can", "cannot", "best"),
    [
        ("v100-sxm-16", {"fp16"}, {"bf16", "fp8", "fp4"}, "fp16"),
        ("a100-sxm-80", {"bf16"}, {"fp8", "fp4"}, "bf16"),
        ("l4-24", {"bf16", "fp8"}, {"fp4"}, "fp8"),
        ("h100-sxm-80", {"bf16", "fp8"}, {"fp4"}, "fp8"),
        ("b200-sxm-180", {"bf16", "fp8", "fp4"}, set(), "fp4"),
        ("mi300x-192", {"bf16", "fp8"}, {"fp4"}, "fp8"),
        ("mi355x-288", {"bf16", "fp8", "fp4"}, set(), "fp4"),
    ],
)
def test_a_card_computes_in_the_formats_of_its_generation(
    gpu: str, can: set[str], cannot: set[str], best: str
) -> None:
    """BF16 from capability 8.0, FP8 from 8.9 or MI300, FP4 from 10.0 or MI355X."""
    part = gpus()[gpu]
    assert all(supports(part, name) for name in can)
    assert not any(supports(part, name) for name in cannot)
    assert best_precision(part) == best


def test_weights_of_four_bits_suit_every_card() -> None:
    """Int4 is a format of storage: an old card widens it and computes in 16 bits."""
    part = gpus()["v100-sxm-16"]
    assert supports(part, "int4")
    assert peak_tflops(part, "int4") == 125


@pytest.mark.parametrize(
    ("spelling", "name", "bits", "format_"),
    [
        ("BF16", "bf16", 16, "16-bit"),
        ("F16", "fp16", 16, "16-bit"),
        ("nvfp4", "fp4", 4.5, "fp4"),
        ("fp8_block", "fp8", 8, "fp8"),
        ("GPTQ-Int8", "int8", 8, "gptq-int8"),
        ("GPTQ-Int4", "int4", 4.15, "gptq-int4"),
        ("AWQ", "int4", 4.15, "awq"),
        ("bnb.nf4", "int4", 4.15, "bitsandbytes"),
    ],
)
def test_a_spelling_says_arithmetic_width_and_packing(
    spelling: str, name: str, bits: float, format_: str
) -> None:
    """Tables write one format in many ways."""
    found = parsed(spelling)
    assert (found.name, found.bits, found.format) == (name, bits, format_)


def test_a_stated_width_goes_before_the_usual_one() -> None:
    """Q4_K_M takes 4.85 bits a weight when the table says so."""
    assert parsed("Q4_K_M", 4.85).bits == 4.85
    assert stored_bits("int4") == 4.15


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    """The sentence names what would be right."""
    with pytest.raises(BadInput, match="no precision is called 'posit8'; one of fp32, fp16"):
        parsed("posit8")
