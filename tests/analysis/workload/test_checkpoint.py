"""Interruptions: three units, two intervals, and what saving and losing work costs."""

import math
import random
from itertools import product

import pytest

from gputape.analysis.workload.checkpoint import (
    Interruptions,
    checkpoint_bytes,
    daly_hours,
    first_order,
    multiplier,
    save_hours,
    slowdown,
    young_hours,
)
from gputape.store.errors import BadInput

MINUTE = 1 / 60
KNOWN = [  # MTBF h, save min, restart min, interval h by Daly, expected multiplier
    (24, 5, 10, 1.9448, 1.0958),
    (6, 5, 10, 0.9452, 1.2204),
    (2, 5, 10, 0.5231, 1.472),
    (168, 5, 15, 5.2361, 1.0337),
]


@pytest.mark.parametrize(("mtbf", "save", "restart", "interval", "expected"), KNOWN)
def test_dalys_interval_and_multiplier(
    mtbf: float, save: float, restart: float, interval: float, expected: float
) -> None:
    """Daly's worked cases, recomputed independently."""
    step = daly_hours(mtbf, save * MINUTE)
    assert step == pytest.approx(interval, abs=5e-4)
    assert multiplier(mtbf, step, save * MINUTE, restart * MINUTE) == pytest.approx(
        expected, abs=5e-4
    )


def test_the_multiplier_meets_simulation() -> None:
    """Ten thousand intervals lived through, failure by failure, take what the formula says."""
    mtbf, step, save, restart = 6.0, 1.0, 5 * MINUTE, 10 * MINUTE
    dice = random.Random(7)  # noqa: S311 - a simulation, not a secret
    wall, done = 0.0, 0
    while done < 10_000:
        survives = dice.expovariate(1 / mtbf)
        need = step + save
        if survives >= need:
            wall, done = wall + need, done + 1
            continue
        wall += survives
        while (again := dice.expovariate(1 / mtbf)) < restart:
            wall += again
        wall += restart
    assert wall / (done * step) == pytest.approx(multiplier(mtbf, step, save, restart), rel=0.01)


def test_dalys_interval_is_close_to_the_best() -> None:
    """No interval nearby takes noticeably less wall time."""
    for mtbf, save in product((2.0, 24.0, 500.0), (1 * MINUTE, 30 * MINUTE)):
        chosen = multiplier(mtbf, daly_hours(mtbf, save), save, 0.2)
        best = min(
            multiplier(mtbf, daly_hours(mtbf, save) * k / 20, save, 0.2) for k in range(8, 60)
        )
        assert chosen <= best * 1.001


def test_young_is_the_first_term_of_daly() -> None:
    """Both agree when saving is quick: within 1 % at 10 seconds a day."""
    assert young_hours(24, 10 / 3600) == pytest.approx(daly_hours(24, 10 / 3600), rel=0.02)


def test_the_first_order_is_low_when_interruptions_are_frequent() -> None:
    """At two hours between interruptions the usual approximation is 7 % low."""
    step = daly_hours(2, 5 * MINUTE)
    short = first_order(2, step, 5 * MINUTE, 10 * MINUTE)
    assert short / multiplier(2, step, 5 * MINUTE, 10 * MINUTE) == pytest.approx(0.93, abs=0.01)


def test_three_clouds_state_three_units() -> None:
    """5 % a month, a day and an hour are 14,037, 468 and 19.5 hours between interruptions."""
    for rate, hours in (
        (Interruptions.per_month(0.05), 14_037),
        (Interruptions.per_day(0.05), 468),
        (Interruptions.per_hour(0.05), 19.5),
    ):
        assert rate.mtbf_hours() == pytest.approx(hours, rel=0.001)


def test_a_job_is_interrupted_with_any_of_its_instances() -> None:
    """AWS's ">20 %" a month is 3,227 hours for one instance, a sixteenth of it for sixteen."""
    rate = Interruptions.per_month(0.2)
    assert rate.mtbf_hours() == pytest.approx(3227, rel=0.001)
    assert rate.mtbf_hours(16) == pytest.approx(3227 / 16, rel=0.001)


def test_hardware_fails_on_demand_too() -> None:
    """Llama 3's rate: 16,384 GPUs every 3.09 h, 1,024 every 49.5 h, 8 every 264 days."""
    for gpus, hours in ((16_384, 3.09), (1024, 49.5), (8, 264 * 24)):
        assert Interruptions.of_hardware(gpus).mtbf_hours() == pytest.approx(hours, rel=0.003)


def test_the_band_holds_nine_runs_in_ten() -> None:
    """Of 2,000 simulated runs of 36 hours, 85-97 % end inside the 5-95 % band."""
    mtbf, save, restart, work = 6.0, 5 * MINUTE, 10 * MINUTE, 36.0
    band = slowdown(mtbf, save, restart, work)
    step = daly_hours(mtbf, save)
    dice = random.Random(11)  # noqa: S311 - a simulation, not a secret
    inside = 0
    for _ in range(2000):
        wall, done = 0.0, 0.0
        while done < work:
            part = min(step, work - done)
            survives = dice.expovariate(1 / mtbf)
            if survives >= part + save:
                wall, done = wall + part + save, done + part
            else:
                wall += survives + restart
        inside += band.low <= wall / work <= band.high
    assert 0.85 <= inside / 2000 <= 0.97


def test_nothing_happens_to_a_run_without_interruptions() -> None:
    """An interruption rate of zero costs nothing and needs no saving."""
    band = slowdown(Interruptions.per_day(0).mtbf_hours(), 0.1, 0.1, 100)
    assert (band.point, band.low, band.high) == (1, 1, 1)
    assert multiplier(math.inf, 1, 0.1, 0.1) == pytest.approx(1.1)


def test_blooms_checkpoint_is_2295_gib() -> None:
    """14 bytes of 176 billion parameters, saved at 10 GB/s in four minutes."""
    assert checkpoint_bytes(176_247_271_424) / 2**30 == pytest.approx(2298, rel=0.002)
    assert save_hours(176_247_271_424, 10) * 60 == pytest.approx(4.1, rel=0.01)


@pytest.mark.parametrize("share", [-0.1, 1.0, 5])
def test_a_rate_is_a_share(share: float) -> None:
    """5 instead of 0.05 is refused."""
    with pytest.raises(BadInput, match=r"0\.05 for 5 %"):
        Interruptions.per_month(share)
