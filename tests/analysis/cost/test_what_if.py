"""Faster for more, and the most for a budget: against the ranking they come from."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from markets import at
from sellers import market

from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.rank import Ranked, rank
from gputape.analysis.cost.what_if import Sought, frontier, most
from gputape.store import tape as store
from gputape.store.errors import BadInput

SMALL = {"name": "llama-3.1-8b"}
NOW = at(2)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of six sellers."""
    return market(tmp_path_factory.mktemp("market") / "tape.duckdb").db


@pytest.fixture
def con(db: Path) -> Iterator[Any]:
    with store.reading(db) as opened:
        yield opened


def run(**buy: Any) -> Job:
    return job({"kind": "train", "model": SMALL, "work": {"tokens": 1e11}, "buy": buy})


def ranked(con: Any, asked: Job) -> Ranked:
    return rank(con, asked, NOW, limit=None)


@pytest.mark.parametrize(
    "buy",
    [{}, {"network": "any"}, {"disk_gib": 2000, "egress_gib": 9, "runs": 2, "setup_hours": 3},
     {"options": ["reserved"], "term_months": 36, "utilisation": 0.4}],
)  # fmt: skip
def test_the_cheap_end_is_the_cheapest_offer(con: Any, buy: dict[str, Any]) -> None:
    """The last point of a frontier costs what the first row of the ranking does: one money."""
    found = ranked(con, run(**buy))
    points = frontier(con, found)
    assert found.best

    assert float(points[-1].usd) == pytest.approx(float(found.best.usd))
    assert points[-1].provider == found.best.offer["provider"]
    assert points[-1].sku == found.best.offer["sku"]


def test_a_frontier_falls(con: Any) -> None:
    """From the fastest on each point is slower and cheaper."""
    points = frontier(con, ranked(con, run()))
    hours, usd = [point.hours for point in points], [point.usd for point in points]

    assert len(points) > 2
    assert hours == sorted(hours)
    assert usd == sorted(usd, reverse=True)


def test_a_point_is_the_ranking_of_its_deadline(con: Any) -> None:
    """With the hours of a point as the deadline nothing is cheaper than the point."""
    for point in frontier(con, ranked(con, run())):
        best = ranked(con, run(deadline_hours=point.hours * (1 + 1e-12))).best
        assert best
        assert float(best.usd) == pytest.approx(float(point.usd))


def test_a_frontier_keeps_deadline_and_budget(con: Any) -> None:
    """No point is later or dearer than is allowed."""
    whole = frontier(con, ranked(con, run()))
    deadline, budget = whole[-2].hours, float(whole[1].usd)
    few = frontier(con, ranked(con, run(deadline_hours=deadline, budget_usd=budget)))

    assert few == whole[1:-1]


def test_a_service_has_no_frontier(con: Any) -> None:
    """A service has no end to be early for."""
    service = job({"kind": "serve", "model": SMALL,
                   "work": {"requests_s": 1, "input_tokens": 10, "output_tokens": 10}})  # fmt: skip
    with pytest.raises(BadInput, match="has no end"):
        frontier(con, ranked(con, service))


@pytest.mark.parametrize("sought", ["tokens", "model"])
def test_the_most_is_what_the_budget_buys(con: Any, sought: Sought) -> None:
    """The found job costs the budget at most by the ranking too, and 1 % more of it costs more."""
    found = most(con, ranked(con, run()), sought, 20_000)
    best = ranked(con, found.job).best
    assert best

    assert found.point.usd <= 20_000
    assert float(best.usd) == pytest.approx(float(found.point.usd))
    work = found.job.trained
    more = replace(found.job, work=replace(work, tokens=work.tokens * 1.01))
    best_of_more = ranked(con, more).best
    assert best_of_more
    assert best_of_more.usd > 20_000


def test_a_model_takes_twenty_tokens_a_parameter(con: Any) -> None:
    """The largest model for a budget is trained as Hoffmann et al. would."""
    found = most(con, ranked(con, run()), "model", 20_000)

    assert found.job.model.params == pytest.approx(found.amount, rel=1e-6)
    assert found.job.trained.tokens == pytest.approx(20 * found.amount)


def test_requests_of_a_batch(con: Any) -> None:
    """Twice the money answers about twice the requests."""
    work = {"requests": 1e7, "input_tokens": 1000, "output_tokens": 100}
    batch = job({"kind": "batch", "model": SMALL, "work": work})
    asked = ranked(con, batch)
    once, twice = (most(con, asked, "requests", usd).amount for usd in (100, 200))

    assert twice == pytest.approx(2 * once, rel=0.05)


def test_what_no_money_buys(con: Any) -> None:
    """A cent buys nothing, and a batch has no tokens to seek."""
    with pytest.raises(BadInput, match=r"\$0.01 buys no such job"):
        most(con, ranked(con, run()), "tokens", 0.001 * 10)
    with pytest.raises(BadInput, match="is a question of a batch"):
        most(con, ranked(con, run()), "requests", 100)
