"""Other questions about the same job: faster for more, and the most for a budget.

    frontier(con, ranked)                     the cheapest way for every deadline
    most(con, ranked, "tokens", 100_000)      the longest training that a budget buys

Both reckon with each seller's cheapest offer of each shape that the last `rank` found.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from gputape.analysis.cost.choice import able_ways, in_time, joined, wall
from gputape.analysis.cost.facts import RDMA_GBIT_S_GPU
from gputape.analysis.cost.money import usd
from gputape.analysis.cost.rank import Ranked
from gputape.analysis.cost.spot import Rate, rates
from gputape.analysis.cost.stated import BatchWork, Job, ServeWork, TrainWork
from gputape.analysis.cost.ways import Misfit, Way
from gputape.analysis.workload.models import sized
from gputape.store.errors import BadInput

if TYPE_CHECKING:
    import duckdb

Sought = Literal["tokens", "requests", "model"]
SHAPES_TRIED = 48  # the cheapest; the best of another size of job is among them
TOKENS_A_PARAMETER = 20  # Hoffmann et al., arXiv 2203.15556 ("Chinchilla")
LEAST, MOST = {"tokens": 1.0, "requests": 1.0, "model": 1e6}, 1e30
CLOSE = 1.001  # a tenth of a percent
# what a seller takes differs between offers of one shape only by the price of an hour
CHEAPEST = """
select s.gpu, s.gpu_count, s.rate, s.option, goes.joined, s.provider, min(s.usd_hour) as usd_hour,
    min_by({{'sku': s.sku, 'region': s.region}}, (s.usd_hour, s.sku, s.region)) as place,
    min(r.usd) as usd
from ranked r join sold s using (series_id), (values (false), (true)) goes(joined)
where r.why is null and (not goes.joined or coalesce(s.gbit_s >= {rdma} * s.gpu_count, {any}))
group by all order by usd, s.gpu, s.gpu_count, s.option, s.provider, goes.joined
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
    most_usd = job.buy.budget_usd
    points = [
        point for point in _points(job, _cheapest(con, job))
        if most_usd is None or point.usd <= most_usd
    ]  # fmt: skip
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.hours, point.usd)):
        if not best or point.usd < best[-1].usd:
            best.append(point)
    return best


def _cheapest(con: "duckdb.DuckDBPyConnection", job: Job) -> list[dict[str, Any]]:
    sql = CHEAPEST.format(any=str(job.buy.network == "any").lower(), rdma=RDMA_GBIT_S_GPU)
    found = con.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _points(job: Job, offers: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    """Yield what each offer's ways cost, those that keep the deadline."""
    known = rates(job)
    able: dict[tuple[str, Decimal], list[Way] | Misfit] = {}
    for offer in offers:
        shape = offer["gpu"], offer["gpu_count"]
        if shape not in able:
            able[shape] = able_ways(job, *shape)
        of_shape = able[shape]
        if not isinstance(of_shape, Misfit):
            yield from _of_offer(job, offer, of_shape, known[offer["rate"]])


def _of_offer(
    job: Job, offer: Mapping[str, Any], able: Iterable[Way], rate: Rate | None
) -> Iterator[Point]:
    for way in able:
        if joined(job, way) != offer["joined"]:
            continue
        hours = wall(job, way, rate).point
        if in_time(job, hours):
            yield Point(
                hours=hours, usd=usd(job, way.instances, hours, offer), way=way,
                option=offer["option"], provider=offer["provider"], **offer["place"],
            )  # fmt: skip


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
    shapes = _few(_cheapest(con, ranked.job))

    def bought(amount: float) -> Point | None:
        points = _points(grown(amount), shapes)
        best = min(points, key=lambda point: point.usd, default=None)
        return best if best and best.usd <= budget_usd else None

    low, high = LEAST[sought], MOST
    if (found := bought(low)) is None:
        raise BadInput(f"${budget_usd:,.2f} buys no such job on any offer that fits")
    while high / low > CLOSE:
        middle = (low * high) ** 0.5
        if point := bought(middle):
            low, found = middle, point
        else:
            high = middle
    return Most(sought, low, grown(low), found)


def _few(offers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cheapest offer of each of the cheapest shapes."""
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for offer in offers:
        shape = tuple(offer[name] for name in ("gpu", "gpu_count", "rate", "option", "joined"))
        first.setdefault(shape, offer)
    return list(first.values())[:SHAPES_TRIED]


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
