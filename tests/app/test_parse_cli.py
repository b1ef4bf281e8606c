"""`gputape parse`: the loop of somebody who writes an adapter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
PROMISED = {
    "provider", "sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu",
    "gpu_count", "price", "currency", "usd_hour", "usd_gpu_hour", "upfront", "available", "derived",
}  # fmt: skip
SAVED = {
    "aws": "spot.json",
    "azure": "westus3.json",
    "coreweave": "pricing.html",
    "fluidstack": "pricing.html",
    "gcp": "pricing.yml",
    "lambda_labs": "pricing.html",
    "oracle": "products.json",
}


@pytest.mark.parametrize(("slug", "name"), SAVED.items())
def test_an_offer_has_every_promised_key(gputape: Run, root: Path, slug: str, name: str) -> None:
    """Whatever the provider, the JSON names identity, terms and money alike."""
    ran = gputape("parse", slug, root / "fixtures" / slug / name, "--format", "json")

    assert ran.code == 0
    assert ran.json
    for offer in ran.json:
        assert set(offer) >= PROMISED
        assert offer["provider"] == slug
        assert offer["usd_gpu_hour"] == pytest.approx(
            offer["usd_hour"] / offer["gpu_count"], abs=1e-6
        )


def test_what_is_parsed_is_what_is_collected(gputape: Run, root: Path) -> None:
    """An offer that `parse` prints is the one in the tape."""
    parsed = gputape("parse", "oracle", root / "fixtures/oracle/products.json", "--format",
                     "json").json  # fmt: skip
    kept = gputape("offers", "--provider", "oracle", "--include", "derived,fraction", "--format",
                   "json").json  # fmt: skip
    keys = PROMISED & set(kept[0])

    def sorted_rows(rows: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps({key: row[key] for key in sorted(keys)}) for row in rows)

    assert sorted_rows(parsed) == sorted_rows(kept)


def test_nothing_is_stored(gputape: Run, root: Path, home: Path, tmp_path: Path) -> None:
    """`parse` makes no tape and no archive."""
    gputape("parse", "oracle", root / "fixtures/oracle/products.json", db=tmp_path / "no.duckdb")

    assert not home.exists()
    assert not (tmp_path / "no.duckdb").exists()


def test_the_count_goes_to_stderr(gputape: Run, root: Path) -> None:
    """Quotes, offers and rejects are counted in one line of talk."""
    ran = gputape("parse", "oracle", root / "fixtures/oracle/products.json")

    assert ran.err == "20 quotes: 19 offers, 1 rejects\n"
    assert len(ran.out.splitlines()) == 1 + 19


def test_rejects_come_with_the_line_to_add(gputape: Run, root: Path) -> None:
    """`--rejects` shows what was not understood, whole, and how to teach it."""
    (reject,) = gputape("parse", "oracle", root / "fixtures/oracle/products.json", "--rejects",
                        "--format", "json").json  # fmt: skip

    assert reject["reason"] == "unknown_gpu"
    assert 'aliases = ["H100T"]' in reject["sentence"]
    assert json.loads(reject["quote"])["price"] == "10.75"


def test_several_files_are_read_together(gputape: Run, root: Path) -> None:
    """The pages of one answer belong together."""
    folder = root / "fixtures/azure"
    both = gputape("parse", "azure", folder / "eastus_1.json", folder / "eastus_2.json",
                   "--format", "jsonl")  # fmt: skip
    one = gputape("parse", "azure", folder / "eastus_1.json", "--format", "jsonl")

    assert both.code == one.code == 0
    assert len(both.out.splitlines()) > len(one.out.splitlines())


def test_an_unknown_provider_names_the_nearest(gputape: Run, root: Path) -> None:
    """A misspelt slug ends with usage and the slug that was meant."""
    ran = gputape("parse", "coreweav", root / "fixtures/coreweave/pricing.html")

    assert ran.code == 2
    assert ran.err == "gputape: there is no provider 'coreweav': did you mean coreweave?\n"


@pytest.mark.parametrize("slug", ["coreweave", "fluidstack", "lambda_labs"])
def test_a_page_of_somebody_else_has_changed(gputape: Run, root: Path, slug: str) -> None:
    """A file of another shape ends with 1 and names itself."""
    file = root / "fixtures/oracle/products.json"
    ran = gputape("parse", slug, file)

    assert ran.code == 1
    assert ran.err.startswith(f"gputape: {file.as_uri()} ")
    assert ran.out == ""


@pytest.mark.parametrize("slug", SAVED)
@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe\x80 garbage", b"{}", b"[]", b"<html></html>"])
def test_no_bytes_are_a_traceback(gputape: Run, tmp_path: Path, slug: str, body: bytes) -> None:
    """Whatever a file holds, the answer is a sentence, or no offer."""
    (tmp_path / "saved").write_bytes(body)
    ran = gputape("parse", slug, "saved")

    assert ran.code in (1, 4)
    assert ran.err.startswith("gputape: ") if ran.code == 1 else "0 offers" in ran.err
    assert "mistake of the program" not in ran.err


def test_a_file_that_is_not_there_is_usage(gputape: Run) -> None:
    """The path is named."""
    ran = gputape("parse", "oracle", "no-such-file.json")

    assert ran.code == 2
    assert "no-such-file.json" in ran.err
