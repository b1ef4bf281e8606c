"""How a shape of offer runs a job: instances, hours, fit, and why not."""

from decimal import Decimal
from typing import Any

import pytest

from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.analysis.workload.training import gpu_hours
from gputape.store.gpus import gpus

SMALL = {"name": "llama-3.1-8b"}
LARGE = {"name": "llama-3.1-70b"}
REQUESTS = {"requests": 1e6, "input_tokens": 1000, "output_tokens": 300}
USERS = {"requests_s": 20, "input_tokens": 1000, "output_tokens": 300}


def made(kind: str, model: dict[str, Any], work: dict[str, Any], **buy: Any) -> Job:
    return job({"kind": kind, "model": model, "work": work, "buy": buy})


def able(asked: Job, gpu: str, count: str) -> list[Way]:
    found = ways(asked, gpus()[gpu], Decimal(count))
    assert not isinstance(found, Misfit), found
    return found


def refused(asked: Job, gpu: str, count: str) -> str:
    found = ways(asked, gpus()[gpu], Decimal(count))
    assert isinstance(found, Misfit)
    return found.reason


def test_a_run_is_its_gpu_hours_over_its_gpus() -> None:
    """Wall hours are what the physics says of all GPUs, divided by them; instances double."""
    run = made("train", SMALL, {"tokens": 1e12}, max_nodes=8)
    found = able(run, "h100-sxm-80", "8")
    whole = gpu_hours(run.training, gpus()["h100-sxm-80"], 32)

    assert [way.instances for way in found] == [1, 2, 4, 8]
    assert found[2].hours.point == pytest.approx(whole.point / 32)
    assert found[2].hours.low < found[2].hours.point < found[2].hours.high


def test_more_instances_take_more_gpu_hours() -> None:
    """Utilisation falls as a run grows, so that the fewest are the cheapest."""
    found = able(made("train", SMALL, {"tokens": 1e12}), "h100-sxm-80", "8")
    spent = [way.hours.point * way.instances for way in found]

    assert spent == sorted(spent)
    assert len(spent) == 10


def test_eight_ones_are_as_fast_as_one_eight() -> None:
    """The same GPUs run alike however many an instance has: the network decides elsewhere."""
    run = made("train", {"params": 5e8}, {"tokens": 1e10})
    ones = {way.instances: way.hours.point for way in able(run, "h100-sxm-80", "1")}
    eights = {way.instances * 8: way.hours.point for way in able(run, "h100-sxm-80", "8")}

    assert {n: ones[n] for n in (8, 64)} == {n: eights[n] for n in (8, 64)}


@pytest.mark.parametrize(
    ("gpu", "count", "why"),
    [
        ("h100-sxm-80", "0.5", "fraction"),
        ("h100-sxm-80", "1.5", "fraction"),
        ("l4-24", "1", "too little memory"),
        ("k80-12", "8", "no bf16"),
        ("h100-80", "8", "no 16-bit arithmetic that is known"),
    ],
)
def test_why_a_card_can_not_train(gpu: str, count: str, why: str) -> None:
    """One reason each, in a few words."""
    assert refused(made("finetune", LARGE, {"tokens": 1e6}), gpu, count) == why


def test_a_precision_that_the_card_lacks() -> None:
    """FP8 needs capability 8.9: not an A100. Sixteen bits on a V100 are FP16."""
    narrow = made("finetune", SMALL, {"tokens": 1e6, "precision": "fp8"})

    assert refused(narrow, "a100-sxm-80", "1") == "no fp8"
    assert able(narrow, "h100-sxm-80", "1")
    assert able(made("finetune", {"params": 1e9}, {"tokens": 1e6}), "v100-sxm-16", "1")
    stated = made("finetune", {"params": 1e9}, {"tokens": 1e6, "precision": "bf16"})
    assert refused(stated, "v100-sxm-16", "1") == "no bf16"


def test_memory_of_a_full_fine_tune() -> None:
    """70B in full takes 16 bytes a parameter: more than one node of 80 GB, and two hold it."""
    full = made("finetune", LARGE, {"tokens": 1e6, "method": "full"}, max_nodes=4)

    assert able(full, "h100-sxm-80", "8")[0].instances == 2


def test_a_batch_splits_evenly() -> None:
    """Twice the instances take half the hours, and the requests are all answered."""
    one, two = able(made("batch", SMALL, REQUESTS, max_nodes=2), "h100-sxm-80", "8")
    assert one.served
    written = one.served.tokens_s.point * one.replicas * one.hours.point * 3600

    assert one.hours.point == pytest.approx(2 * two.hours.point)
    assert written == pytest.approx(REQUESTS["requests"] * REQUESTS["output_tokens"])


@pytest.mark.parametrize("count", ["1", "2", "3", "4", "6", "8"])
def test_replicas_take_whole_instances(count: str) -> None:
    """Every GPU of an instance is in a replica, of three and six too."""
    (way,) = able(made("batch", SMALL, REQUESTS), "h100-sxm-80", count)
    each = int(way.notes[1].split(" of ")[1].split()[0])

    assert way.replicas * each == int(count)


def test_three_cards_hold_what_two_do_not() -> None:
    """A model that only all of an odd instance hold runs on it."""
    sixteen = made("batch", {"params": 85e9}, REQUESTS | {"precision": "bf16"})

    assert refused(sixteen, "h100-sxm-80", "2") == "too little memory"
    assert able(sixteen, "h100-sxm-80", "3")[0].replicas == 1


def test_a_service_keeps_its_targets_with_headroom() -> None:
    """Replicas carry the peak at the cited share of their throughput, and spares come on top."""
    plain = able(made("serve", SMALL, USERS), "l4-24", "1")[0]
    spare = able(made("serve", SMALL, USERS | {"spare": 2}), "l4-24", "1")[0]
    spiky = able(made("serve", SMALL, USERS | {"spike": 3}), "l4-24", "1")[0]
    assert plain.served

    assert plain.served.tpot_ms.point <= 50
    assert plain.served.ttft_ms.point <= 2000
    assert plain.replicas * plain.served.tokens_s.point > 20 * 300
    assert spare.replicas == plain.replicas + 2
    assert 2 * plain.replicas < spiky.replicas <= 3 * plain.replicas
    assert plain.hours.low < plain.hours.point == 1 < plain.hours.high


def test_targets_that_no_batch_meets() -> None:
    """One sequence alone too slow is another reason than memory."""
    hasty = made("serve", SMALL, USERS | {"tpot_ms": 1})

    assert refused(hasty, "l4-24", "1") == "too slow for the targets"
    assert refused(made("serve", LARGE, USERS), "l4-24", "1") == "too little memory"
    assert refused(hasty, "a100-80", "1") == "memory bandwidth not known"


def test_what_other_makers_need_is_said() -> None:
    """No CUDA on an MI300X."""
    tune = made("finetune", SMALL, {"tokens": 1e6})

    assert "needs ROCm" in able(tune, "mi300x-192", "1")[0].notes
    assert not any("needs" in note for note in able(tune, "h100-sxm-80", "1")[0].notes)
