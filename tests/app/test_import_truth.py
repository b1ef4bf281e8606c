"""All of the shared histories on one tape, against the same files read with plain pandas.

The truth is in `plain_truth.py` and uses nothing of ours. Where tape and truth differ, the price
is one that is held back, and these are few. By default a choice of the files is imported; all of
them, a minute and a half of a core, with GPUTAPE_SLOW=1, as CI does.
"""

import fcntl
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gputape.app import importing
from gputape.scrapers.importers.snapshot import ImportOptions
from gputape.store import tape

sys.path.insert(0, str(Path(__file__).parent))
import plain_truth as truth

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "history"
pytestmark = pytest.mark.skipif(not REAL.exists(), reason="needs the folder of real histories")

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TRACKER = {
    "provider": "=aws", "sku": "instance", "price": "price_usd", "observed_at": "timestamp",
    "region": "=us-east-1", "source": "=aws-gpu-price-tracker",
}  # fmt: skip
FORMATS = (
    ("skypilot", "skypilot", {}),
    ("gpurentalprices", "gpu-rental-prices", {}),
    ("gcosts", "gcp-gcosts", {}),
    ("fsdl", "fsdl-cloud-gpus", {}),
    ("csv", "aws-gpu-price-tracker/gpu_prices.csv", TRACKER),
)
SOME = (  # what the default run imports: every cloud, most dates that a question is about
    "skypilot/[!ag]*/*", "skypilot/azure/*", "skypilot/aws/2023-12-0[1-6]*",
    "skypilot/gcp*/2023-12-0[1-4]*",
    "gpu-rental-prices/snapshots/2026-07-21*", "gcp-gcosts/2025-06*", "gcp-gcosts/2025-12*",
    "gcp-gcosts/2026*",
    "fsdl-cloud-gpus/2023-05-29*", "fsdl-cloud-gpus/serverless/2023-07*",
)  # fmt: skip
SKYPILOT = timedelta(days=14)  # how long a price stands unseen: twice the days between looks
DAILY = timedelta(days=2)
CENT = Decimal("0.01")
MAY_BE_HELD = 0.025  # of a file's prices


@dataclass(frozen=True)
class History:
    """The files, and the tape of them."""

    root: Path
    db: Path
    con: duckdb.DuckDBPyConnection

    def files(self, folder: str) -> list[Path]:
        return sorted((self.root / folder).glob("*.csv.gz"))

    def clouds(self) -> list[tuple[str, list[Path]]]:
        """Return SkyPilot's clouds by our name, with their files by time."""
        folders = sorted(f for f in (self.root / "skypilot").iterdir() if f.is_dir())
        return [
            (truth.CLOUDS.get(folder.name, folder.name), self.files(f"skypilot/{folder.name}"))
            for folder in folders
            if folder.name != "gcp-hosts"
        ]

    def ask(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        return self.con.execute(sql, values or None).fetchall()


@pytest.fixture(scope="module", params=["all" if os.environ.get("GPUTAPE_SLOW") else "some"])
def h(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """Import once for all processes of a test run."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / f"histories-{request.param}"
    folder.mkdir(exist_ok=True)
    root = REAL if request.param == "all" else folder / "files"
    with (folder / "making").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            if request.param == "some":
                _choose(root)
            _import(root, folder / "tape.duckdb")
            (folder / "made").touch()
    with tape.reading(folder / "tape.duckdb") as con:
        yield History(root, folder / "tape.duckdb", con)


def _choose(root: Path) -> None:
    for file in (file for pattern in SOME for file in REAL.glob(pattern)):
        (root / file.relative_to(REAL)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, root / file.relative_to(REAL))
    table = REAL / "aws-gpu-price-tracker" / "gpu_prices.csv"
    (root / "aws-gpu-price-tracker").mkdir(parents=True, exist_ok=True)
    lines = table.read_text("utf-8").splitlines(keepends=True)
    summer = [line for line in lines[1:] if "2025-05-20" <= line[:10] <= "2025-06-20"]
    (root / "aws-gpu-price-tracker" / table.name).write_text("".join([lines[0], *summer]), "utf-8")


def _import(root: Path, db: Path) -> None:
    for fmt, path, columns in FORMATS:
        options = ImportOptions(columns=columns)
        plan = importing.ImportPlan(fmt=fmt, path=root / path, db=db, options=options, now=NOW)
        importing.run(plan, lambda _snapshot, _done: None)


# -- every price ----------------------------------------------------------------------------------

AT = """
select (sku, region, coalesce(zone, ''), option, coalesce(term_months, 0)) as key,
    case when state = 'firm' then price end,
    case state when 'suspect' then price else held_price end
from offers_at($at) where source = $source and provider = $provider
"""


def at(h: History, source: str, provider: str, when: datetime) -> tuple[truth.Prices, truth.Prices]:
    """Return what the tape says was charged at a moment, and what it holds back."""
    rows = h.ask(AT, at=when, source=source, provider=provider)
    return (
        {key: price for key, price, _ in rows if price is not None},
        {key: held for key, _, held in rows if held is not None},
    )


def unexplained(
    found: truth.Prices, held: truth.Prices, expected: truth.Prices
) -> list[tuple[truth.Key, Decimal | None, Decimal | None]]:
    """Return where tape and file differ and the file's price is not what is held back."""
    return [
        (key, found.get(key), expected.get(key))
        for key in found.keys() | expected.keys()
        if differ(found.get(key), expected.get(key)) and differ(held.get(key), expected.get(key))
    ]


def differ(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether two prices are not the same to the millionth."""
    if one is None or other is None:
        return one is not other
    return abs(one - other) > truth.MILLIONTH


def test_every_price_of_every_catalogue_file_is_what_the_tape_says_of_that_time(
    h: History,
) -> None:
    """No price more, none less, each to the millionth, and none is held back."""
    compared = doubted = 0
    for provider, files in h.clouds():
        for file in files:
            found, held = at(h, "skypilot", provider, truth.moment(file))
            expected = truth.skypilot(file)
            assert unexplained(found, held, expected) == [], file.name
            compared, doubted = compared + len(expected), doubted + len(held)
    assert compared > 12_000
    assert doubted == 0


def test_every_price_that_gcosts_composed_is_what_the_tape_says_of_that_time(h: History) -> None:
    """On demand, spot and under both terms; of the prices held back, each file has few."""
    for file in h.files("gcp-gcosts"):
        found, held = at(h, "gcosts", "gcp", truth.moment(file))
        expected = dict(truth.gcosts(file))
        assert unexplained(found, held, expected) == [], file.name
        assert len(expected) > 400
        assert len(held) <= MAY_BE_HELD * len(expected), file.name


def test_what_is_held_back_is_little_and_has_a_reason(h: History) -> None:
    """Of all that was imported, under one row of the log in a hundred waits, each with its why."""
    ((rows, held, silent),) = h.ask(
        "select count(*), count(*) filter (where state = 'suspect'), "
        "count(*) filter (where state = 'suspect' and reason is null) from price_log"
    )
    assert silent == 0
    assert held < rows / (100 if h.root == REAL else 40)


# -- cheapest at a date ---------------------------------------------------------------------------

CHEAPEST = """
select provider, min(price / gpu_count)::decimal(18,2),
    min(coalesce(held_price, price) / gpu_count)::decimal(18,2) from offers_at($at)
where source = 'skypilot' and state = 'firm' and family = $family
    and list_contains($gib, gpu_memory_gib)
    and option = $option group by provider order by provider
"""
CARDS = [
    ("A100-80GB", "a100", [80]), ("A100", "a100", [40]), ("V100", "v100", [16]),
    ("H100", "h100", [80, 94]), ("T4", "t4", [16]), ("A10G", "a10g", [24]),
]  # fmt: skip


@pytest.mark.parametrize(("card", "family", "gib"), CARDS, ids=[card for card, *_ in CARDS])
def test_the_cheapest_of_each_cloud_at_a_date(
    h: History, card: str, family: str, gib: list[int]
) -> None:
    """On demand and spot, on six days of three years: the same clouds, the same price per GPU."""
    answers = 0
    for day in ("2022-12-10", "2023-06-20", "2023-12-02", "2023-12-05", "2023-12-20", "2024-01-02"):
        when = datetime.fromisoformat(f"{day}T06:00:00+00:00")
        for option, column in (("on_demand", "Price"), ("spot", "SpotPrice")):
            expected = cheapest(h, card, column, when)
            rows = h.ask(CHEAPEST, at=when, family=family, gib=gib, option=option)
            assert {who: said for who, _, said in rows} == expected, day
            assert all(believed == said for _, believed, said in rows), "held back"
            answers += len(expected)
    assert answers > 3


def cheapest(h: History, card: str, column: str, when: datetime) -> dict[str, Decimal]:
    """Return the lowest price of each cloud in its newest file until a moment, to the cent."""
    found = {}
    for provider, files in h.clouds():
        before = [file for file in files if truth.moment(file) <= when]
        if before and (price := truth.cheapest_card(before[-1], card, column)):
            found[provider] = price.quantize(truth.MILLIONTH).quantize(CENT)
    return found


def test_the_command_line_answers_as_the_file_does(h: History, capsys: Any) -> None:
    """`offers --as-of` and `changes --since` print what the files say, and end with 0."""
    when = datetime(2023, 12, 3, 22, tzinfo=UTC)
    words = ("--gpu", "v100", "--provider", "aws", "--option", "spot", "--limit", "1")
    (best,) = run(capsys, "offers", *words, "--as-of", f"{when:%Y-%m-%dT%H:%M}", db=h.db)
    assert Decimal(str(best["usd_gpu_hour"])).quantize(CENT) == min(
        cheapest(h, card, "SpotPrice", when)["aws"] for card in ("V100", "V100-32GB")
    )
    moves = run(capsys, "changes", "--provider", "aws", "--since", "2025-01-01", db=h.db)
    assert [(m["changed_at"][:16], m["percent"]) for m in moves if m["sku"] == "p5.48xlarge"] == [
        ("2025-06-05T07:22", -44.02)
    ]


def run(capsys: Any, *words: str, db: Path) -> list[dict[str, Any]]:
    from gputape.app.cli.main import cli

    cli.main([*words, "--format", "json", "--db", str(db)], standalone_mode=False)
    answer: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return answer


def test_the_cheapest_of_each_seller_is_what_the_rental_page_said(h: History) -> None:
    """Per seller and GPU, as asked last until a moment; what differs is held back."""
    when = datetime(2026, 7, 22, tzinfo=UTC)
    expected = truth.rentals(h.root / "gpu-rental-prices" / "snapshots", when)
    rows = h.ask(
        "select provider, split_part(sku, ' ', 1), min(price / gpu_count), bool_or(state = "
        "'suspect' or held_price is not null) from offers_at($at) where source = 'gpurentalprices' "
        "and option = 'on_demand' and tier is null and state in ('firm', 'suspect') group by all",
        at=when,
    )
    found = {(who, gpu): (price, held) for who, gpu, price, held in rows}
    told = {(truth.SELLERS.get(who, who), gpu): price for (who, gpu), price in expected.items()}
    unknown = {sku.split(" ")[0] for (sku,) in h.ask(
        "select distinct sku from v_rejects where part = 'import/gpurentalprices'")}  # fmt: skip
    assert {key for key in told.keys() ^ found.keys() if key[1] not in unknown} == set()
    assert len(found) > 80
    wrong = {
        key for key, (price, held) in found.items() if round(price - told[key], 4) and not held
    }
    assert wrong == set()


def test_the_cheapest_of_each_cloud_is_what_the_hand_kept_table_said(h: History) -> None:
    """A100 with 80 GB on 29 May 2023, per GPU, to the cent."""
    file = h.root / "fsdl-cloud-gpus" / "2023-05-29T1759.csv"
    rows = h.ask(
        "select min(price / gpu_count)::decimal(18,6) from offers_at($at) where source = 'fsdl' "
        "and state = 'firm' and family = 'a100' and gpu_memory_gib = 80 and tier is null "
        "and option = 'on_demand' group by provider",
        at=truth.moment(file),
    )
    expected = truth.hand_kept(file, "A100 (80 GB)")
    assert len(expected) == 7
    assert Counter(price.quantize(CENT) for (price,) in rows) == Counter(
        price.quantize(CENT) for price in expected.values()
    )


# -- drops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["skypilot/aws", "skypilot/azure", "gcp-gcosts"])
def test_what_fell_by_a_tenth_between_two_dates(h: History, folder: str) -> None:
    """An older file and the newest: the same series, by the same percentage, or held back."""
    source, provider = ("gcosts", "gcp") if "gcosts" in folder else tuple(folder.split("/"))
    first, last = h.files(folder)[-3 if source == "gcosts" else 0], h.files(folder)[-1]
    read = truth.gcosts if source == "gcosts" else truth.skypilot
    expected = truth.drops(dict(read(first)), dict(read(last)), Decimal("0.1"))
    doubted = {
        key for file in (first, last) for key in at(h, source, provider, truth.moment(file))[1]
    }
    then, now = (at(h, source, provider, truth.moment(file))[0] for file in (first, last))
    found = truth.drops(then, now, Decimal("0.1"))

    assert expected.keys() - doubted
    assert found.keys() - doubted == expected.keys() - doubted
    assert max(abs(found[key] - expected[key]) for key in expected.keys() - doubted) <= CENT


def test_what_fell_from_one_look_to_the_next(h: History) -> None:
    """`changes_between` names series, moment and percentage of every fall of 4 % at AWS."""
    files = h.files("skypilot/aws")
    expected = {
        (*key, truth.moment(after)): by
        for before, after in pairwise(files)
        for key, by in truth.drops(
            truth.skypilot(before), truth.skypilot(after), Decimal("0.04")
        ).items()
    }
    rows = h.ask(
        "select sku, region, coalesce(zone, ''), option, 0, changed_at, percent, price / old_price "
        "from changes_between($a, $b) where provider = 'aws' and source = 'skypilot' "
        "and event = 'price' and price / old_price <= 0.96",
        a=truth.moment(files[0]), b=truth.moment(files[-1]),
    )  # fmt: skip
    found = {tuple(key): percent for *key, percent, _ in rows}

    assert len(expected) > 50
    assert found.keys() == expected.keys()
    assert max(abs(found[key] - by) for key, by in expected.items()) <= CENT


# -- means, first and last ------------------------------------------------------------------------

MEANS = """
select (sku, region, coalesce(zone, ''), option, 0) as key, mean, hours_covered
from summary_of(null, $a, $b) where provider = $provider and source = $source
"""


def test_the_mean_of_a_series_over_a_window(h: History) -> None:
    """The cut of June 2025 in the tracker: a price counts from a look to the next, two days at most."""  # noqa: E501
    looks = truth.tracker(h.root / "aws-gpu-price-tracker" / "gpu_prices.csv")
    for a, b in ((date(2025, 5, 25), date(2025, 6, 15)), (date(2025, 6, 4), date(2025, 6, 6))):
        begin, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (a, b))
        inside = [look for look in looks if look[0] < end]
        mean, hours = truth.mean(inside, begin, end, DAILY)
        ((_, found, covered),) = h.ask(
            MEANS, a=begin, b=end, provider="aws", source="aws-gpu-price-tracker"
        )
        assert Decimal("55.04") < mean < Decimal("98.32")
        assert abs(found - mean) < Decimal("1e-6")
        assert covered == hours.quantize(CENT)


@pytest.mark.parametrize(
    ("cloud", "a", "b"),
    [("aws", "2023-12-02", "2024-01-20"), ("azure", "2023-06-01", "2024-01-01")],
)
def test_the_mean_of_every_series_of_a_cloud(h: History, cloud: str, a: str, b: str) -> None:
    """Daily looks and looks months apart: nothing is counted more than two weeks after a look."""
    files, begin, end = h.files(f"skypilot/{cloud}"), *map(moment, (a, b))
    held = {key for file in files for key in at(h, "skypilot", cloud, truth.moment(file))[1]}
    rows = h.ask(MEANS, a=begin, b=end, provider=cloud, source="skypilot")
    found = {key: (mean, hours) for key, mean, hours in rows}
    prices = [(truth.moment(file), truth.skypilot(file)) for file in files]
    expected = {}
    for key in {key for _, said in prices for key in said} - held:
        looks = [(when, said.get(key)) for when, said in prices if when < end]
        if any(price and when + SKYPILOT > begin for when, price in looks):
            expected[key] = truth.mean(looks, begin, end, SKYPILOT)

    assert len(expected) > 300
    assert expected.keys() == found.keys() - held
    for key, (mean, hours) in expected.items():
        assert abs(found[key][0] - mean) < Decimal("1e-5"), key
        assert abs(found[key][1] - hours) <= CENT, key


def moment(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def test_the_mean_of_each_day_of_a_gpu(h: History) -> None:
    """AWS's spot V100 day by day: low, high, number of series and mean."""
    files = h.files("skypilot/aws")
    prices = [(truth.moment(file), truth.skypilot(file)) for file in files]
    gpus = {f"p3.{n}xlarge": count for n, count in ((2, 1), (8, 4), (16, 8))}
    keys = {k for _, said in prices for k in said if k[0] in gpus and k[3] == "spot"}
    rows = h.ask(
        "select day, series, low, high, mean from v_rolled "
        "where provider = 'aws' and source = 'skypilot' and gpu = 'v100-sxm-16' "
        "and option = 'spot' and day between '2023-12-01' and '2023-12-31' order by day"
    )
    assert len(rows) >= 18
    for day, series, low, high, mean in rows:
        begin = datetime.combine(day, datetime.min.time(), UTC)
        end, each = begin + timedelta(days=1), []
        for key in keys:
            looks = [(when, said.get(key)) for when, said in prices if when < end]
            spans = [p for p in looks if p[1] is not None and p[0] + SKYPILOT > begin]
            if spans and (known := hours_of(looks, begin, end)):
                each.append((known, {p / gpus[key[0]] for p in standing(looks, begin, end)},
                             gpus[key[0]]))  # fmt: skip
        weighted = sum(m * hours / n for (m, hours), _, n in each)
        assert series == len(each), day
        assert abs(low - min(min(ps) for _, ps, _ in each)) <= truth.MILLIONTH, day
        assert abs(high - max(max(ps) for _, ps, _ in each)) <= truth.MILLIONTH, day
        assert abs(Decimal(mean) - weighted / sum(hours for (_, hours), *_ in each)) < Decimal(
            "1e-5"
        ), day


Looks = list[tuple[datetime, Decimal | None]]


def hours_of(looks: Looks, begin: datetime, end: datetime) -> tuple[Decimal, Decimal] | None:
    """Return mean and hours of a day, None when no price stood in it."""
    return truth.mean(looks, begin, end, SKYPILOT) if standing(looks, begin, end) else None


def standing(looks: Looks, begin: datetime, end: datetime) -> list[Decimal]:
    """Return the prices that stood at some time of a day."""
    until = [when for when, _ in looks[1:]] + [end]
    return [
        price
        for (when, price), after in zip(looks, until, strict=True)
        if price is not None and min(after, when + SKYPILOT, end) > max(when, begin)
    ]


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp", "lambda"])
def test_first_and_last_seen(h: History, cloud: str) -> None:
    """Every series begins with the first file that has it, and ends at the first that has it no more."""  # noqa: E501
    provider, files = truth.CLOUDS.get(cloud, cloud), h.files(f"skypilot/{cloud}")
    looks = [truth.moment(file) for file in files]
    expected = {}
    for key, seen in truth.lives(files).items():
        after = [when for when in looks if when > seen[-1]]
        expected[key] = (seen[0], after[0] if after else None)
    rows = h.ask(
        "select (sku, region, coalesce(zone, ''), option, 0) as key, first_seen, state, since, "
        "last_seen from v_offers where source = 'skypilot' and provider = $provider",
        provider=provider,
    )
    found = {
        key: (first, None if state == "firm" else since) for key, first, state, since, _ in rows
    }
    assert len(expected) > 100
    assert found == expected
    assert {last for *_, last in rows} == {looks[-1]}
