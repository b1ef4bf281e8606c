"""How much longer a job takes on capacity that is taken back."""

from decimal import Decimal
from typing import Any

import pytest

from gputape.analysis.cost.job import Job, job
from gputape.analysis.cost.spot import BUCKETS, multiplier, rates
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.analysis.workload.checkpoint import slowdown
from gputape.store.gpus import gpus

SMALL = {"name": "llama-3.1-8b"}


def run(**buy: Any) -> Job:
    return job({"kind": "train", "model": SMALL, "work": {"tokens": 1e11}, "buy": buy})


def way_of(asked: Job, place: int = 0) -> Way:
    found = ways(asked, gpus()["h100-sxm-80"], Decimal(8))
    assert not isinstance(found, Misfit)
    return found[place]


def test_three_units_are_one() -> None:
    """AWS's months, Google's days and Azure's hours, each as a rate an hour."""
    known = {name: rate.per.rate_hour for name, rate in rates(run()).items() if rate}

    assert known["aws 0"] < known["aws 5"] < known["aws 20"] < known["gcp"] < known["azure"]
    assert known["unknown"] == known["gcp"]
    assert known.keys() == {"gcp", "azure", "unknown", *BUCKETS}


@pytest.mark.parametrize(
    ("words", "hours"), [("5%/month", 14_037), ("10%/day", 227.8), ("2%/hour", 49.5)]
)
def test_a_stated_rate_is_everybodys(words: str, hours: float) -> None:
    """What a person states goes over what is published, in its own unit."""
    stated = rates(run(interruption=words))

    assert all(rate.per.mtbf_hours() == pytest.approx(hours, rel=1e-3)
               for name, rate in stated.items() if rate)  # fmt: skip
    assert stated["none"] is None


def test_capacity_that_stays_takes_no_longer() -> None:
    """On demand the multiplier is 1, without doubt."""
    found = multiplier(run(), way_of(run()), None)

    assert (found.point, found.low, found.high) == (1, 1, 1)


def test_a_run_loses_with_any_instance() -> None:
    """Eight instances lose eight times as often as one: Daly's formula at MTBF over eight."""
    asked = run(interruption="10%/day", save_minutes=5, restart_minutes=10)
    rate, way = rates(asked)["gcp"], way_of(asked, 3)
    assert rate
    assert way.instances == 8
    by_hand = slowdown(rate.per.mtbf_hours(8), 5 / 60, 10 / 60, way.hours.point)

    assert multiplier(asked, way, rate).point == pytest.approx(by_hand.point)
    assert by_hand.point > 1


def test_the_example_of_daly() -> None:
    """M = 24 h, C = 5 min, R = 10 min: 1.096 times the work."""
    share = 1 - 2.718281828459045**-1
    asked = run(interruption=f"{share * 100}%/day", save_minutes=5, restart_minutes=10)

    assert multiplier(asked, way_of(asked), rates(asked)["gcp"]).point == pytest.approx(
        1.096, abs=2e-3
    )


def test_the_band_holds_the_expected() -> None:
    """5 to 95 % of outcomes lie around it, and what was assumed is said."""
    asked = run(interruption="30%/day")
    found = multiplier(asked, way_of(asked), rates(asked)["unknown"])

    assert 1 < found.low < found.point < found.high
    assert found.assumptions[-1].name == "interruptions"


def test_adapters_are_saved_faster() -> None:
    """A fine-tune of adapters saves a hundredth of what a full one does."""
    buy = {"interruption": "90%/hour"}
    work = {"tokens": 1e8, "method": "full"}
    full = job({"kind": "finetune", "model": SMALL, "work": work, "buy": buy})
    lora = job({"kind": "finetune", "model": SMALL, "work": work | {"method": "lora"}, "buy": buy})
    rate = rates(full)["azure"]

    assert multiplier(lora, way_of(full), rate).point < multiplier(full, way_of(full), rate).point


def test_a_service_does_not_wait() -> None:
    """People are served by the replicas that are left: spares are for that."""
    asked = job({"kind": "serve", "model": SMALL,
                 "work": {"requests_s": 1, "input_tokens": 10, "output_tokens": 10}})  # fmt: skip

    assert multiplier(asked, way_of(asked), rates(asked)["azure"]).point == 1
