"""Online serving: promises kept at the largest batch, and enough replicas."""

import pytest

from gputape.analysis.workload.models import model
from gputape.analysis.workload.serving import replicas, serve
from gputape.analysis.workload.throughput import Throughput, offline
from gputape.store.errors import BadInput
from gputape.store.gpus import gpus

H100 = gpus()["h100-sxm-80"]
LLAMA = model("llama-3.1-70b")


def served(tpot_ms: float, ttft_ms: float = 5000) -> Throughput | None:
    """Return Llama 3.1 70B in FP8 behind 1,000 tokens of prompt."""
    return serve(LLAMA, H100, 4, "fp8", 1000, 500, tpot_ms=tpot_ms, ttft_ms=ttft_ms)


def test_both_promises_are_kept_at_the_largest_batch() -> None:
    """One more sequence would break the promise, or the memory."""
    found = served(50)
    assert found is not None
    assert found.tpot_ms.point <= 50
    assert found.ttft_ms.point <= 5000
    looser = served(50.5)
    assert looser is not None
    assert looser.batch > found.batch


def test_a_tighter_promise_costs_throughput() -> None:
    """From 200 to 100 to 50 to 25 ms a token, fewer tokens a second leave the replica."""
    found = [served(tpot) for tpot in (200, 100, 50, 25)]
    rates = [one.tokens_s.point for one in found if one]
    assert len(rates) == 4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_the_first_token_s_promise_binds_too() -> None:
    """With all the time per token in the world, a short wait for the first still limits."""
    free, bound = served(10_000, 100_000), served(10_000, 400)
    assert free is not None
    assert bound is not None
    assert bound.batch < free.batch


def test_a_promise_no_batch_can_keep_gives_none() -> None:
    """A hundredth of a millisecond, or a model that does not fit."""
    assert served(0.01) is None
    assert serve(LLAMA, H100, 1, "bf16", 1000, 500, tpot_ms=50, ttft_ms=5000) is None


def test_replicas_hold_the_peak_with_headroom() -> None:
    """20 requests of 500 tokens at 70 %: the least number whose capacity is enough."""
    one = served(50)
    assert one is not None
    count = replicas(20, one, 500)
    capacity = one.tokens_s.point * 0.7
    assert count * capacity >= 20 * 500 > (count - 1) * capacity
    assert replicas(20, one, 500, spare=2) == count + 2
    assert replicas(20, one, 500, spike=10) * capacity >= 20 * 500 * 10
    assert replicas(0, one, 500) == 1


def test_offline_is_never_slower_than_a_promise() -> None:
    """Waiting people cost throughput; MLPerf's Interactive reaches 0.3 to 0.6 of Offline."""
    one = serve(LLAMA, H100, 4, "fp8", 294, 294, tpot_ms=40, ttft_ms=450)
    whole = offline(LLAMA, H100, 4, "fp8", 294, 294)
    assert one is not None
    assert one.tokens_s.point < whole.tokens_s.point


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"utilisation": 0.0}, "above 0 and at most at 1"),
        ({"utilisation": 1.5}, "above 0 and at most at 1"),
        ({"spike": 0.5}, "spike at least 1"),
        ({"spare": -1}, "spare at least 0"),
    ],
)
def test_impossible_demands_are_refused(numbers: dict[str, float], why: str) -> None:
    """A sentence says which number cannot be."""
    one = served(50)
    assert one is not None
    with pytest.raises(BadInput, match=why):
        replicas(20, one, 500, **numbers)  # type: ignore[arg-type]


def test_targets_are_times() -> None:
    """A target of no milliseconds is refused."""
    with pytest.raises(BadInput, match="above 0 ms"):
        served(0)
