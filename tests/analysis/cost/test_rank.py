"""A ranking against the plain model of it, and what it leaves out."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from markets import Market, article, at, offer, scan
from plainly import plainly
from sellers import Sellers, market

from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.rank import rank
from gputape.store import tape as store
from gputape.store.errors import BadInput
from gputape.store.scan import InterruptionRow

SMALL = {"name": "llama-3.1-8b"}
THEN = at(1, 23)
JOBS: dict[str, dict[str, Any]] = {
    "a run": {"kind": "train", "model": SMALL, "work": {"tokens": 200e9}},
    "a run in a week": {"kind": "train", "model": SMALL, "work": {"tokens": 100e9},
                        "buy": {"deadline_hours": 168, "budget_usd": 30_000}},
    "a run over any network": {"kind": "train", "model": SMALL, "work": {"tokens": 100e9},
                               "buy": {"network": "any", "max_nodes": 8, "setup_hours": 2.5}},
    "a run over a month": {"kind": "train", "model": {"params": 1e9}, "work": {"tokens": 20e9},
                           "buy": {"interruption": "30%/day", "save_minutes": 5}},
    "a fine-tune": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6}},
    "many tries": {"kind": "finetune", "model": SMALL, "work": {"tokens": 5e6, "epochs": 3},
                   "buy": {"runs": 12, "setup_hours": 0.4, "disk_gib": 500, "egress_gib": 16}},
    "reserved": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6},
                 "buy": {"options": ["reserved"], "term_months": 12, "utilisation": 0.6}},
    "everything": {"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6},
                   "buy": {"term_months": 36,
                           "include": ["marketplace", "derived", "suspect", "unavailable"]}},
    "a batch": {"kind": "batch", "model": SMALL,
                "work": {"requests": 1e6, "input_tokens": 1000, "output_tokens": 300},
                "buy": {"deadline_hours": 12, "max_nodes": 4}},
    "a service": {"kind": "serve", "model": SMALL,
                  "work": {"requests_s": 40, "input_tokens": 1000, "output_tokens": 300},
                  "buy": {"disk_gib": 100, "egress_gib": 50}},
}  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of six sellers, four days long."""
    return market(tmp_path_factory.mktemp("market") / "tape.duckdb", days=4).db


@pytest.fixture
def con(db: Path) -> Iterator[Any]:
    with store.reading(db) as opened:
        yield opened


def tuned(**buy: Any) -> Job:
    return job({"kind": "finetune", "model": SMALL, "work": {"tokens": 50e6}, "buy": buy})


def ranked(db: Path, asked: Job, **more: Any) -> Any:
    with store.reading(db) as con:
        return rank(con, asked, datetime.now(UTC), limit=None, **more)


# -- the plain model --------------------------------------------------------------------------


@pytest.mark.parametrize("when", [None, at(2, 9), at(4, 23)], ids=["now", "second", "fourth"])
@pytest.mark.parametrize("name", JOBS)
def test_a_ranking_is_the_plain_one(con: Any, name: str, when: datetime | None) -> None:
    """Every offer costs what the cheapest of all its ways costs; all others are counted once."""
    asked = job(JOBS[name])
    found = rank(con, asked, datetime.now(UTC), as_of=when, limit=None)
    plain = plainly(con, asked, when)

    costs = {one.offer["series_id"]: float(one.usd) for one in found.rows}

    assert costs == pytest.approx(plain.usd, rel=1e-9)
    assert plain.usd
    assert [one.usd for one in found.rows] == sorted(one.usd for one in found.rows)
    assert found.matched == len(found.rows)
    assert sum(found.left_out.values()) == plain.unable + plain.outside.total()
    assert plain.outside.items() <= found.left_out.items()


def test_the_market_has_every_kind(con: Any) -> None:
    """What is proved of this market is proved of each reason."""
    told = ("a run", "a run in a week", "a fine-tune", "reserved", "a service")
    reasons = {
        why for name in told
        for why in rank(con, job(JOBS[name]), datetime.now(UTC), as_of=at(2, 9)).left_out
    }  # fmt: skip

    assert reasons >= {
        "gone", "suspect", "marketplace", "derived", "fraction", "reserved, not asked for",
        "longer term", "not available", "no rate of exchange", "too little memory", "no bf16",
        "slower than the deadline", "over the budget", "network between instances not known",
        "no 16-bit arithmetic that is known", "memory bandwidth not known",
    }  # fmt: skip


# -- GPT-3 ------------------------------------------------------------------------------------


def test_gpt_3_on_the_table_of_2023(tmp_path: Path) -> None:
    """At honest utilisation GPT-3 is no $560,000: about twice the seed's A100-hours at its rate."""
    asked = job({"kind": "train", "model": {"name": "gpt-3-175b"}, "work": {"tokens": 300e9},
                 "buy": {"options": ["on_demand"], "gpus": ["a100-40"], "network": "any",
                         "max_nodes": 8192, "include": ["imported"]}})  # fmt: skip
    found = ranked(
        article(tmp_path / "tape.duckdb").db, asked, as_of=datetime(2023, 4, 8, tzinfo=UTC)
    )
    cheapest = {one.offer["provider"]: one for one in found.rows}
    hours = {name: one.hours * one.gpus for name, one in cheapest.items()}

    assert len(set(hours.values())) == 1
    assert 279_558 / 0.55 < hours["aws"] < 279_558 / 0.30
    assert cheapest["lambda_labs"] is found.rows[0]
    assert cheapest["aws"].usd / cheapest["lambda_labs"].usd == pytest.approx(
        Decimal("3.73"), rel=Decimal("0.01")
    )
    assert found.rows[0].usd_low < found.rows[0].usd < found.rows[0].usd_high


# -- what is asked ----------------------------------------------------------------------------


def test_the_cheapest_of_every_seller(con: Any) -> None:
    """`each_provider` keeps one row a seller: its cheapest, in the same order."""
    now = datetime.now(UTC)
    every = rank(con, tuned(), now, limit=None)
    each = rank(con, tuned(), now, limit=None, each_provider=True)
    first: dict[str, Decimal] = {}
    for one in every.rows:
        first.setdefault(one.offer["provider"], one.usd)

    assert {one.offer["provider"]: one.usd for one in each.rows} == first
    assert len(first) > 2
    assert each.matched == every.matched


def test_a_limit_shows_fewer_and_counts_all(con: Any) -> None:
    """`limit` cuts the rows, not what is known of the others."""
    now = datetime.now(UTC)
    every, few = rank(con, tuned(), now, limit=None), rank(con, tuned(), now, limit=3)

    assert few.rows == every.rows[:3]
    assert (few.matched, few.left_out, few.newest) == (every.matched, every.left_out, every.newest)


@pytest.mark.parametrize(
    ("buy", "wrong"),
    [
        ({"providers": ["asw"]}, "no provider 'asw': did you mean aws?"),
        ({"gpus": ["h1000"]}, "h100"),
        ({"region": "us-esat"}, "no region 'us-esat': did you mean us-east-1"),
    ],
)
def test_a_name_nobody_has(con: Any, buy: dict[str, Any], wrong: str) -> None:
    """An unknown seller, GPU or region is refused with the nearest that is known."""
    with pytest.raises(BadInput, match=wrong):
        rank(con, tuned(**buy), datetime.now(UTC))


def test_a_region_with_nothing_now_is_no_mistake(con: Any) -> None:
    """A known place where none is sold gives an empty answer."""
    assert rank(con, tuned(region="africa"), datetime.now(UTC)).rows == []


def test_a_continent(con: Any) -> None:
    """`europe` means the regions on it, of those sellers whose places are known."""
    places = {one.offer["region"] for one in rank(con, tuned(region="europe"), at(9)).rows}

    assert places == {"eu-west-1"}


def test_a_term_that_nobody_sells(tmp_path: Path) -> None:
    """A commitment shorter than all is refused with the terms that are sold."""
    year = offer("one", "1.00", option="reserved", term_months=12)
    db = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), [year])).db

    assert ranked(db, tuned(term_months=12)).matched == 1
    with pytest.raises(BadInput, match="at most 6 months of these: sold are 12 months"):
        ranked(db, tuned(term_months=6))


def test_a_moment_before_any_commitment(tmp_path: Path) -> None:
    """A past without the term is an empty answer: a rule that is played back goes on."""
    year = offer("one", "1.00", option="reserved", term_months=12)
    market = Market(tmp_path / "tape.duckdb").day(at(1), one="2.00")
    db = market.tell((scan("one", at(3), part="reserved"), [year])).db
    asked = tuned(options=["reserved"], term_months=12)

    assert ranked(db, asked, as_of=at(2)).rows == []
    assert ranked(db, asked, as_of=at(4)).matched == 1


def test_no_commitment_at_all(tmp_path: Path) -> None:
    """Where none is sold, that is said."""
    db = Market(tmp_path / "tape.duckdb").day(at(1), one="2.00").db
    with pytest.raises(BadInput, match="none is sold at all"):
        ranked(db, tuned(term_months=12))


# -- money ------------------------------------------------------------------------------------


def test_an_idle_commitment_is_paid_too(tmp_path: Path) -> None:
    """At 60 % use each hour that is used costs 1/0.6 of the commitment's hour."""
    year = offer("one", "1.00", option="reserved", term_months=12)
    db = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), [year])).db
    full = ranked(db, tuned(options=["reserved"], term_months=12)).rows[0].usd
    part = ranked(db, tuned(options=["reserved"], term_months=12, utilisation=0.6)).rows[0].usd

    assert float(part) == pytest.approx(float(full) / 0.6)


def test_whole_instances_are_paid(tmp_path: Path) -> None:
    """Eight GPUs cost what the machine costs, and an unknown seller's hour begun is paid whole."""
    eight = offer("one", "20.00", "eight", gpu_count=Decimal(8))
    db = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), [eight])).db
    found = ranked(db, tuned()).rows[0]

    assert found.hours < 1
    assert found.usd == 20


def test_a_second_is_a_second_where_it_is_known(tmp_path: Path) -> None:
    """AWS bills by the second: the same machine there costs its share of the hour, rounded up."""
    eight = offer("aws", "20.00", "p5.48xlarge", gpu_count=Decimal(8))
    db = Market(tmp_path / "tape.duckdb").tell((scan("aws", at(1)), [eight])).db
    found = ranked(db, tuned()).rows[0]
    seconds = float(found.usd) / 20 * 3600

    assert seconds == pytest.approx(round(seconds))
    assert found.hours * 3600 <= seconds < found.hours * 3600 + 1


def test_what_may_not_be_bought_now(tmp_path: Path) -> None:
    """An offer that is sold out is left out, and with `unavailable` ranked again."""
    offers = [offer("one", "1.00", "out", available=False), offer("one", "2.00", "in")]
    db = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), offers)).db
    plain, every = ranked(db, tuned()), ranked(db, tuned(include=["unavailable"]))

    assert [one.offer["sku"] for one in plain.rows] == ["in"]
    assert plain.left_out == {"not available": 1}
    assert [one.offer["sku"] for one in every.rows] == ["out", "in"]


def test_an_instance_is_taken_back_as_was_known_then(tmp_path: Path) -> None:
    """`as_of` reckons with the bucket of that day, not with a later one."""
    sellers = Sellers(tmp_path / "tape.duckdb")
    eight = offer("aws", "20.00", "p5.48xlarge", gpu_count=Decimal(8), option="spot")
    for day, low in ((1, 0), (2, 20)):
        row = InterruptionRow(sku="p5.48xlarge", region="eu", low_percent=low,
                              high_percent=low + 5, saving_percent=None)  # fmt: skip
        sellers.rare(scan("aws", at(day), part="advisor"), [row])
        sellers.tell((scan("aws", at(day)), [eight]))
    first = ranked(sellers.db, tuned(), as_of=THEN).rows[0]
    second = ranked(sellers.db, tuned(), as_of=THEN + timedelta(days=1)).rows[0]

    assert (first.offer["rate"], second.offer["rate"]) == ("aws 0", "aws 20")
    assert first.hours < second.hours


def test_a_gpu_that_only_a_later_program_knows(tmp_path: Path) -> None:
    """A part without an entry here is counted, and nothing breaks."""
    db = Market(tmp_path / "tape.duckdb").tell(
        (scan("one", at(1)), [offer("one", "9.00", "new", gpu="z900-512"), offer("one", "2.00")])
    ).db  # fmt: skip

    assert ranked(db, tuned()).left_out == {"a GPU that this program does not know": 1}


def test_one_gpu_and_a_half(tmp_path: Path) -> None:
    """A machine of no whole number of GPUs is a fraction like a slice."""
    offers = [
        offer("one", "2.00", "half", gpu_count=Decimal("1.5")),
        offer("one", "1.00", "slice", gpu_count=Decimal("0.5")),
        offer("one", "3.00"),
    ]
    db = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), offers)).db

    assert ranked(db, tuned()).left_out == {"fraction": 2}
