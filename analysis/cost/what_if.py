"""Other questions about the same job: faster for more, and the most for a budget.

    frontier(con, ranked)                     the cheapest way for every deadline
    most(con, ranked, "tokens", 100_000)      the longest training that a budget buys

Both reckon with the cheapest offer of each shape that the last `rank` found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from gputape.analysis.cost.choice import wall
from gputape.analysis.cost.facts import RDMA_GBIT_S_GPU, UNKNOWN_STEP_S, billing
from gputape.analysis.cost.job import BatchWork, Job, ServeWork, TrainWork
from gputape.analysis.cost.rank import Ranked
from gputape.analysis.cost.spot import rates
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.analysis.workload.models import sized
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus

if TYPE_CHECKING:
    import duckdb

Sought = Literal["tokens", "requests", "model"]
SHAPES_TRIED = 24  # the cheapest; the best of another size of job is among them
TOKENS_A_PARAMETER = 20  # Hoffmann et al., arXiv 2203.15556 ("Chinchilla")
HALVINGS = 30
CHEAPEST = """
select gpu, gpu_count, rate, option, joined, min(usd_hour) as usd_hour,
    arg_min(provider, usd_hour) as provider, arg_min(sku, usd_hour) as sku,
    arg_min(region, usd_hour) as region, min(usd) as usd
from (
    select * exclude (joined), false as joined from ranked where why is null
    union all by name
    select * exclude (joined), true as joined from ranked where why is null
        and (gbit_s >= {rdma} * gpu_count or {any} and gbit_s is null)
)
group by all order by usd, gpu, gpu_count, option
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A way to run the job, and what it costs on the cheapest offer of its shape."""

    hours: float
    usd: Decimal
    way: Way
    option: str
    provider: str
    sku: str
    region: str


def frontier(con: "duckdb.DuckDBPyConnection", ranked: Ranked) -> list[Point]:
    """Return the ways that nothing beats in both time and cost, the fastest first."""
    job = ranked.job
    if isinstance(job.work, ServeWork):
        raise BadInput("a service has no end: a frontier is of training, fine-tuning and batches")
    known = rates(job)
    points = [
        _point(job, way, offer, known)
        for offer in _cheapest(con, job)
        for way in ranked.ways.get((offer["gpu"], offer["gpu_count"]), [])
        if offer["joined"] == _joined(job, way)
    ]
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.hours, point.usd)):
        if not best or point.usd < best[-1].usd:
            best.append(point)
    return best


def _joined(job: Job, way: Way) -> bool:
    return way.instances > 1 and isinstance(job.work, TrainWork)


def _cheapest(con: "duckdb.DuckDBPyConnection", job: Job) -> list[dict[str, Any]]:
    found = con.execute(
        CHEAPEST.format(any=str(job.buy.network == "any").lower(), rdma=RDMA_GBIT_S_GPU)
    )
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _point(job: Job, way: Way, offer: Mapping[str, Any], known: Mapping[str, Any]) -> Point:
    hours = wall(job, way, known.get(offer["rate"])).point
    return Point(
        hours=hours, usd=_usd(job, way, hours, offer), way=way, option=offer["option"],
        provider=offer["provider"], sku=offer["sku"], region=offer["region"],
    )  # fmt: skip


def _usd(job: Job, way: Way, hours: float, offer: Mapping[str, Any]) -> Decimal:
    """Return the same money as `rank`: steps of billing, runs, idle commitment; without extras."""
    facts = billing().get(offer["provider"])
    step, least = (facts.step_s, facts.least_s) if facts else (UNKNOWN_STEP_S, UNKNOWN_STEP_S)
    seconds = max(least, -(-(hours + job.buy.setup_hours) * 3600 // step) * step)
    used = job.buy.utilisation if offer["option"] == "reserved" else 1
    usd = offer["usd_hour"] * way.instances * seconds / 3600 * job.buy.runs / used
    return Decimal(repr(usd))


# -- the most for a budget -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Most:
    """The largest job of its kind that a budget buys, and how."""

    sought: Sought
    amount: float
    job: Job
    point: Point


def most(
    con: "duckdb.DuckDBPyConnection", ranked: Ranked, sought: Sought, budget_usd: float
) -> Most:
    """Return how many tokens or requests, or how large a dense model, a budget buys.

    A model is trained on 20 tokens a parameter (Hoffmann et al. 2022). Raises BadInput when the
    budget buys none, or the kind of job has no such size.
    """
    grown = _grown(ranked.job, sought)
    shapes = _cheapest(con, ranked.job)[:SHAPES_TRIED]
    low, high = 1.0, 1e30
    found: Point | None = None
    if (found := _best(grown(_least(sought)), shapes)) is None or found.usd > budget_usd:
        raise BadInput(f"${budget_usd:,.0f} buys no such job on any offer that fits")
    low = _least(sought)
    for _ in range(HALVINGS * 2):
        middle = (low * high) ** 0.5
        point = _best(grown(middle), shapes)
        if point is not None and point.usd <= budget_usd:
            low, found = middle, point
        else:
            high = middle
        if high / low < 1.001:  # a tenth of a percent
            break
    return Most(sought, low, grown(low), found)


def _least(sought: Sought) -> float:
    return 1e6 if sought == "model" else 1.0


def _best(job: Job, shapes: list[dict[str, Any]]) -> Point | None:
    known = rates(job)
    points = []
    for offer in shapes:
        able = ways(job, gpus()[offer["gpu"]], offer["gpu_count"])
        if isinstance(able, Misfit):
            continue
        fitting = [way for way in able if _joined(job, way) == offer["joined"]]
        timed = (_point(job, way, offer, known) for way in fitting)
        deadline = job.buy.deadline_hours
        kept = (point for point in timed if deadline is None or point.hours <= deadline)
        points += [point for point in (next(kept, None),) if point]
    return min(points, key=lambda point: point.usd, default=None)


def _grown(job: Job, sought: Sought) -> Callable[[float], Job]:
    """Return the function that makes the same job of another size."""
    work = job.work
    if sought == "tokens" and isinstance(work, TrainWork):
        return lambda tokens: replace(job, work=replace(work, tokens=tokens))
    if sought == "requests" and isinstance(work, BatchWork):
        return lambda requests: replace(job, work=replace(work, requests=requests))
    if sought == "model" and isinstance(work, TrainWork):
        return lambda params: replace(
            job, model=sized(params), work=replace(work, tokens=params * TOKENS_A_PARAMETER)
        )
    kinds = {"tokens": "training", "requests": "a batch", "model": "training"}
    raise BadInput(f"the most {sought} for a budget is a question of {kinds[sought]}")
