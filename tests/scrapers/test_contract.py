"""The one test that questions every adapter.

A golden file that is missing is written, and the test fails: read it, then commit it.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gputape.app.cli.output import plain
from gputape.scrapers.adapter import Adapter
from gputape.scrapers.collect import Outcome
from gputape.scrapers.registry import ADAPTERS

if TYPE_CHECKING:
    from tests.scrapers.conftest import House

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "GCP_API_KEY": "not-a-real-key",
    "LAMBDA_API_KEY": "not-a-real-key",
}
COLUMNS = (
    "sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu", "gpu_count",
    "price", "currency", "usd_hour", "usd_gpu_hour", "upfront", "available", "derived", "relay",
    "state", "reason",
)  # fmt: skip
FOLDERS = [
    pytest.param(adapter, folder, id=f"{adapter.PROVIDER.slug}-{folder.name}")
    for adapter in ADAPTERS
    for folder in (FIXTURES / adapter.PROVIDER.slug, FIXTURES / adapter.PROVIDER.slug / "keyed")
    if folder.exists()
]
EACH = [pytest.param(adapter, id=adapter.PROVIDER.slug) for adapter in ADAPTERS]


def replayed(house: "House", adapter: Adapter, folder: Path) -> list[Outcome]:
    secrets = KEYS if folder.name == "keyed" else {}
    return house.replay(adapter, folder, secrets=secrets, wanted=frozenset(adapter.PROVIDER.groups))


@pytest.mark.parametrize(("adapter", "folder"), FOLDERS)
def test_offers_are_the_ones_a_person_has_read(
    house: "House", adapter: Adapter, folder: Path
) -> None:
    """What the tape says after replaying a fixture equals its reviewed `offers.json`."""
    replayed(house, adapter, folder)
    offers = [
        {name: plain(value) for name, value in zip(COLUMNS, row, strict=True)}
        for row in house.ask(f"select {', '.join(COLUMNS)} from v_offers order by all")
    ]
    golden = folder / "offers.json"
    if not golden.exists():
        lines = ",\n".join(json.dumps(offer, ensure_ascii=False) for offer in offers)
        golden.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        pytest.fail(f"{golden} was missing and is written now: read it, then commit it")

    assert json.loads(golden.read_text("utf-8")) == offers


@pytest.mark.parametrize(("adapter", "folder"), FOLDERS)
def test_an_adapter_keeps_the_facts_it_declares(
    house: "House", adapter: Adapter, folder: Path
) -> None:
    """Options sold, the fewest quotes that can be true, and no price at 0."""
    outcomes = replayed(house, adapter, folder)
    provider = adapter.PROVIDER

    assert {row[0] for row in house.ask("select option from v_offers")} <= set(provider.options)
    assert sum(outcome.scan.quotes for outcome in outcomes) >= provider.at_least
    assert house.ask("select count(*) from v_offers where state = 'firm' and price <= 0") == [(0,)]
    assert all(page.sha256 for outcome in outcomes for page in outcome.scan.pages)


@pytest.mark.parametrize("adapter", EACH)
def test_every_fetched_byte_of_a_fixture_is_used(house: "House", adapter: Adapter) -> None:
    """Each recorded answer of a fixture is asked for: a fixture holds nothing idle."""
    folder = FIXTURES / adapter.PROVIDER.slug
    replayed(house, adapter, folder)
    recorded = len(json.loads((folder / "pages.json").read_text()))

    assert house.ask("select count(distinct url) from page") == [(recorded,)]


@pytest.mark.parametrize("adapter", EACH)
def test_reading_the_same_bytes_again_changes_nothing(house: "House", adapter: Adapter) -> None:
    """A second collection of equal bytes confirms every part and adds no price."""
    folder = FIXTURES / adapter.PROVIDER.slug
    first = replayed(house, adapter, folder)
    prices = house.ask("select count(*) from price_log")
    again = replayed(house, adapter, folder)

    assert house.ask("select count(*) from price_log") == prices
    # a part with a price held back is read again, to see whether it was meant
    doubted = [outcome.counts.suspects for outcome in first if not outcome.failed]
    words = ["ok" if suspects else "unchanged" for suspects in doubted]
    assert [outcome.scan.status for outcome in again if not outcome.failed] == words


def test_every_module_on_disk_is_registered_and_has_its_fixture() -> None:
    """A provider is one module, one name in the registry, one fixture folder, one README row."""
    folder = ROOT / "scrapers" / "providers"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    slugs = [adapter.PROVIDER.slug for adapter in ADAPTERS]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(modules) == slugs
    assert all((FIXTURES / slug / "pages.json").exists() for slug in slugs)
    assert set(slugs) <= set(rows)


# -- broken on purpose --------------------------------------------------------------------------

CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"


def broken(folder: Path, copy: Path, change: Any) -> Path:
    """Return a copy of a fixture in which every body is changed."""
    copy.mkdir(parents=True)
    for entry in json.loads((folder / "pages.json").read_text()):
        body = (folder / entry["file"]).read_bytes()
        (copy / entry["file"]).write_bytes(change(entry["file"], body))
    (copy / "pages.json").write_bytes((folder / "pages.json").read_bytes())
    return copy


def renamed(_: str, body: bytes) -> bytes:
    """Give every class, attribute, key and column that an adapter may hold on to another name."""
    text = body.decode()
    if text.lstrip().startswith(("{", "[")):
        return re.sub(r'"([A-Za-z_]\w*)"(\s*:)', r'"x\1"\2', text).encode()
    if text.startswith('"FormatVersion"'):
        return text.replace('"Instance Type"', '"Kind"').encode()
    if text.lstrip().startswith("<"):
        text = re.sub(r'\b(class|data-[\w-]+|role|id)="', r'\1="x', text)
        return re.sub(r"<(/?)(th|td|h\d)\b", r"<\1span", text).encode()
    return re.sub(r"^(\s*)([a-z][\w-]*):", r"\1x\2:", text, flags=re.MULTILINE).encode()


def cut(_: str, body: bytes) -> bytes:
    """Cut a body in half, as a broken connection would."""
    return body[: len(body) // 2]


def emptied(_: str, body: bytes) -> bytes:
    """Take out every row and keep the frame."""
    text = body.decode()
    if text.lstrip().startswith(("{", "[")):
        return json.dumps(_without_rows(json.loads(text))).encode()
    if text.startswith('"FormatVersion"'):
        return "".join(text.splitlines(keepends=True)[:6]).encode()
    if text.lstrip().startswith("<"):
        text = re.sub(r"(?s)(<tbody[^>]*>).*?(</tbody>)", r"\1\2", text)
        return re.sub(r'(?s)<div role="listitem".*', "</body></html>", text).encode()
    return re.sub(r"^ +(hour|month)\w*: .*\n", "", text, flags=re.MULTILINE).encode()


def _without_rows(value: Any) -> Any:
    if isinstance(value, list):
        return []
    if isinstance(value, dict):
        rows = len(value) > 1 and all(isinstance(inner, dict) for inner in value.values())
        return {} if rows else {key: _without_rows(inner) for key, inner in value.items()}
    return value


@pytest.mark.parametrize("adapter", EACH)
@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param(renamed, "changed", id="renamed"),
        pytest.param(cut, "changed", id="cut"),
        pytest.param(emptied, "changed", id="emptied"),
        pytest.param(lambda *_: CHALLENGE, "refused", id="challenge"),
    ],
)
def test_a_broken_page_ends_in_its_named_error(
    house: "House", adapter: Adapter, change: Any, word: str, tmp_path: Path
) -> None:
    """A renamed class, a cut body, an empty table, a challenge page: each has its name."""
    slug = adapter.PROVIDER.slug
    folder = broken(FIXTURES / slug, tmp_path / "broken" / slug, change)
    outcomes = house.replay(adapter, folder)
    asked = [o for o in outcomes if o.scan.status != "unreachable"]

    assert {o.scan.status for o in asked} == {word}, [o.scan.sentence for o in asked]
    assert house.ask("select count(*) from price_log") == [(0,)]
    assert all(o.scan.sentence for o in asked)


def test_money_in_golden_files_is_exact() -> None:
    """usd_gpu_hour in every golden file is its price over its GPUs, to a millionth."""
    for golden in FIXTURES.glob("*/**/offers.json"):
        for offer in json.loads(golden.read_text("utf-8"), parse_float=Decimal):
            if offer["currency"] == "USD":
                exact = Decimal(offer["price"]) / offer["gpu_count"]
                assert abs(exact - offer["usd_gpu_hour"]) <= Decimal("0.000001")
