"""What every folder of tests shares: where things are, and two tapes that nobody writes to."""

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from gputape.store import tape as store

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes seconds to CI, or to who asks for it."""
    if os.environ.get("GPUTAPE_SLOW"):
        return
    skip = pytest.mark.skip(reason="slow: set GPUTAPE_SLOW=1, as CI does")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder `shared` is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of everything in `fixtures/`, reserved files included."""
    return _once(tmp_path_factory, "recorded", _collect_recorded)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape with one offer of each kind that an answer treats apart, all for one GPU."""
    return _once(tmp_path_factory, "kinds", _record_kinds)


FROM_NOTHING = {"test_tape", "test_killed", "test_faults", "test_same_answers"}  # a tape begins


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The writer's file of a tape in which nothing stands yet."""
    return store.Place(_once(tmp_path_factory, "blank", _begin)).writer


@pytest.fixture(autouse=True)
def _begun(request: pytest.FixtureRequest, blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a tape as a copy of one that is migrated: 0.3 CPU s less for each of 700 tests."""
    if request.module.__name__.rpartition(".")[2] in FROM_NOTHING:
        return
    tidy = store._tidy

    def begin(place: store.Place) -> None:
        tidy(place)
        if not place.writer.exists():
            copyfile(blank, place.writer)

    monkeypatch.setattr(store, "_tidy", begin)


def _begin(db: Path) -> None:
    with store.writing(db, datetime(2026, 1, 1, tzinfo=UTC)) as con:
        store.publish(con, db)


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Make a tape once for all processes of a test run."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / name
    folder.mkdir(exist_ok=True)
    db = folder / "tape.duckdb"
    with (folder / "making").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not db.exists():
            make(db)
    return db


def _collect_recorded(db: Path) -> None:
    from gputape.app import collecting
    from gputape.app.cli.progress import Silence
    from gputape.scrapers.registry import ADAPTERS, HOSTED

    plan = collecting.Plan(
        adapters=ADAPTERS,
        hosted=HOSTED,
        db=db,
        replay=ROOT / "fixtures",
        groups=frozenset({"reserved"}),
    )
    collecting.run(plan, Silence())


def _record_kinds(db: Path) -> None:
    from gputape.app.collecting import gpu_rows
    from gputape.store import tape
    from gputape.store.record import Recorder

    now = datetime.now(UTC)
    facts = [
        ("acme", "Acme", "list", 3600, "https://acme.example/prices", "https://acme.example/terms"),
        ("bazaar", "Bazaar", "marketplace", 3600, "https://b.example", "https://b.example/terms"),
        ("slow", "Slow", "list", 3600, "https://slow.example", "https://slow.example/terms"),
    ]
    with tape.writing(db, now) as con:
        recorder = Recorder(con)
        recorder.note_facts("test", gpu_rows(), facts, now)
        hour = timedelta(hours=1)
        _record(recorder, "slow", now - 5 * hour, [_offer("slow", "old", "2.90")])
        _record(recorder, "acme", now - 3 * hour, _acme(then=True))
        _record(recorder, "acme", now - hour / 6, _acme(then=False))
        _record(recorder, "bazaar", now - hour / 6, [_offer("bazaar", "host-1", "1.80")])
        printed = [_offer("acme", "H100 80 GB", "1.10", region="unstated")]
        _record(recorder, "acme", now - 400 * 24 * hour, printed, part="import/a", origin="import")
        tape.publish(con, db)


def _acme(*, then: bool) -> list[Any]:
    """A list of prices before, and after one went, one jumped and one came that is not believed."""
    offers = [
        _offer("acme", "plain", "3.00"),
        _offer("acme", "eight", "20.00", gpu_count=Decimal(8)),
        _offer("acme", "formula", "1.50", derived="half of on demand"),
        _offer("acme", "slice", "0.30", gpu_count=Decimal("0.125")),
        _offer("acme", "paris", "2.00", currency="EUR"),
        _offer("acme", "sold-out", "3.50", available=False),
        _offer("acme", "jumper", "2.50" if then else "0.90"),
        _offer("acme", "mover", "3.20" if then else "2.80"),
    ]
    return [
        *offers,
        _offer("acme", "leaver", "2.00")
        if then
        else _offer("acme", "dubious", "0.05", suspect="0.05 USD is outside its band"),
    ]


def _offer(provider: str, sku: str, price: str, *, region: str = "eu-1", **more: Any) -> Any:
    from gputape.store.offer import Offer, Option, SeriesKey

    key = SeriesKey(provider=provider, sku=sku, region=region, option=Option.ON_DEMAND)
    more = {"gpu_count": Decimal(1)} | more
    return Offer(key=key, gpu="h100-sxm-80", price=Decimal(price), **more)


def _record(
    recorder: Any,
    provider: str,
    at: datetime,
    offers: list[Any],
    *,
    part: str = "list",
    origin: str = "live",
) -> None:
    from gputape.store.offer import Origin
    from gputape.store.scan import Listing, Scan

    scan = Scan(
        run_id=1, provider=provider, part=part, started_at=at, finished_at=at, observed_at=at,
        status="ok", quotes=len(offers), parser_revision=1, normaliser="1", origin=Origin(origin),
    )  # fmt: skip
    recorder.record(scan, Listing(offers=offers))
