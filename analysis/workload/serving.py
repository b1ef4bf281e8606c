"""Serving people who wait: the largest batch that keeps its promises, and how many replicas.

one = serve(model, gpu, 8, "fp8", 1000, 500, tpot_ms=50, ttft_ms=2000)
replicas(20, one, 500, spike=3)
"""

import math
from collections.abc import Callable

from gputape.analysis.workload.constants import constant
from gputape.analysis.workload.layout import Layout
from gputape.analysis.workload.models import Model
from gputape.analysis.workload.precision import Precision
from gputape.analysis.workload.throughput import Throughput, most, stated, work_of
from gputape.store.errors import BadInput
from gputape.store.gpus import Gpu


def serve(
    model: Model,
    gpu: Gpu,
    n_gpus: int,
    precision: str | Precision,
    n_in: float,
    n_out: float,
    *,
    tpot_ms: float,
    ttft_ms: float,
    engine: str | None = None,
    layout: Layout | None = None,
) -> Throughput | None:
    """Return how one replica serves at the largest batch that meets both targets at its point.

    None when the model does not fit or one sequence alone is too slow. Impossible input raises
    BadInput. Both times grow with the batch, so that the largest is found by halving.
    """
    if min(tpot_ms, ttft_ms) <= 0 or n_in < 0 or n_out < 1:
        raise BadInput("targets are above 0 ms, n_in at least 0 and n_out at least 1 token")
    work = work_of(model, gpu, n_gpus, precision, n_in + n_out, engine=engine, layout=layout)
    full = int(most(work, n_in, n_out))

    def at(batch: int) -> Throughput:
        return stated(work, batch, n_in, n_out, regime="online", engine=engine or "any")

    def kept(batch: int) -> bool:
        found = at(batch)
        return found.tpot_ms.point <= tpot_ms and found.ttft_ms.point <= ttft_ms

    if full < 1 or not kept(1):
        return None
    return at(largest(kept, full))


def largest(kept: Callable[[int], bool], most_: int) -> int:
    """Return the largest batch up to `most_` that is kept, when 1 is and larger ones stop being."""
    low, high = 1, most_
    while low < high:
        middle = (low + high + 1) // 2
        if kept(middle):
            low = middle
        else:
            high = middle - 1
    return low


def replicas(
    peak_requests_s: float,
    throughput: Throughput,
    n_out: float,
    *,
    utilisation: float | None = None,
    spike: float = 1.0,
    spare: int = 0,
) -> int:
    """Return the replicas that hold the peak: ⌈req/s·n_out·spike/(tokens/s·utilisation)⌉ + spare.

    `spike` is how far demand jumps above the stated peak before more can be started; without
    `utilisation` the share is the cited headroom.
    """
    share = constant("serving.utilisation").value if utilisation is None else utilisation
    if peak_requests_s < 0 or n_out < 1 or spike < 1 or spare < 0:
        raise BadInput("requests are at least 0, n_out and spike at least 1, spare at least 0")
    if not 0 < share <= 1:
        raise BadInput("a utilisation lies above 0 and at most at 1")
    demand = peak_requests_s * n_out * spike
    needed = math.ceil(demand / (throughput.tokens_s.point * share) - 1e-9)
    return max(1, needed) + spare
