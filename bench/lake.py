"""The same tape as a file and as a lake: what collecting and asking cost on each, in one run.

    python bench/lake.py "ducklake:postgres:dbname=empty host=127.0.0.1?data_path=/tmp/lake"

The lake must be a new one. Generated: two providers, hourly scans, one price in twenty moves.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp

from gputape.app.collecting import gpu_rows, provider_rows
from gputape.app.sharing import together
from gputape.store import tape
from gputape.store.copying import copy
from gputape.store.gpus import gpus
from gputape.store.offer import Offer, Option, SeriesKey
from gputape.store.places import Where, where
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

SERIES, HOURS, MORE = 3000, 96, 12
PROVIDERS = ("aws", "azure")
GPUS = sorted(gpus())
DICE = random.Random(20261121)  # noqa: S311  # a repeatable choice
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
THEN = NOW - timedelta(days=2)
QUESTIONS = {
    "cheapest now, each GPU": "select gpu, min(usd_gpu_hour) from v_offers group by gpu",
    "all prices two days ago": f"select sum(price) from offers_at(timestamptz '{THEN}')",
    "every GPU day by day": "select sum(series_hours) from v_daily where day < current_date",
    "history of one GPU": f"select sum(price) from v_prices where gpu = '{GPUS[3]}'",
    "number of scans": "select count(*) from scan",
}


def offers(provider: str) -> list[Offer]:
    """Return what a provider lists at first."""
    return [
        Offer(
            key=SeriesKey(provider=provider, sku=f"sku-{n}", region=f"r{n % 30}",
                          option=Option.SPOT),
            gpu=GPUS[n % len(GPUS)], gpu_count=Decimal(1),
            price=Decimal(DICE.randrange(100, 900)) / 100,
        )
        for n in range(SERIES // len(PROVIDERS))
    ]  # fmt: skip


def moved(listed: list[Offer]) -> list[Offer]:
    """Return the same an hour later."""
    return [
        replace(o, price=o.price * Decimal(DICE.choice(("0.97", "1.03"))))
        if o.price and DICE.random() < 0.05 else o for o in listed
    ]  # fmt: skip


def record(db: Where, hours: range, listed: dict[str, list[Offer]]) -> list[float]:
    """Record hourly scans, and return the seconds that each took."""
    took = []
    with ExitStack() as stack:
        con = stack.enter_context(tape.writing(db, NOW))
        turns = None
        if not isinstance(db, Path):
            turns, _ = stack.enter_context(together(db, con, []))
        recorder = Recorder(con, turns)
        recorder.note_facts("bench", gpu_rows(), provider_rows(), NOW)
        for hour in hours:
            at = NOW - timedelta(hours=HOURS - hour)
            for provider in PROVIDERS:
                listed[provider] = moved(listed[provider])
                scan = Scan(
                    run_id=1, provider=provider, part="list", started_at=at, finished_at=at,
                    observed_at=at, status="ok", quotes=SERIES, parser_revision=1, normaliser="1",
                )  # fmt: skip
                began = time.perf_counter()
                recorder.record(scan, Listing(offers=listed[provider]))
                took.append(time.perf_counter() - began)
        tape.publish(con, db)
    return took


def timed(work: Callable[[], object], rounds: int = 7) -> float:
    """Return the median milliseconds of a warm question."""
    work()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def main() -> None:
    """Print the table of `docs/scale.md`."""
    lake = where(sys.argv[1])
    file = Path(mkdtemp(prefix="gputape-bench-")) / "tape.duckdb"
    listed = {provider: offers(provider) for provider in PROVIDERS}
    record(file, range(HOURS - MORE), listed)
    began = time.perf_counter()
    rows = copy(file, lake, NOW).rows
    copied = time.perf_counter() - began
    state, again = DICE.getstate(), dict(listed)
    in_file = record(file, range(HOURS - MORE, HOURS), listed)
    DICE.setstate(state)
    in_lake = record(lake, range(HOURS - MORE, HOURS), again)
    print(f"| {SERIES:,} series, {rows:,} rows; load {os.getloadavg()[0]:.0f} | file | lake |")
    print("|---|---:|---:|")
    print(f"| copy into the lake, verified | | {copied:.1f} s |")
    middle = [statistics.median(took) * 1000 for took in (in_file, in_lake)]
    print("| one scan recorded | {:.0f} ms | {:.0f} ms |".format(*middle))
    with tape.reading(file) as one, tape.reading(lake) as two:
        for name, query in QUESTIONS.items():
            answers = [con.execute(query).fetchall() for con in (one, two)]
            assert len(answers[0]) == len(answers[1]), name  # noqa: S101  # as many rows
            times = [timed(lambda c=con, q=query: c.execute(q).fetchall()) for con in (one, two)]
            print("| {} | {:.0f} ms | {:.0f} ms |".format(name, *times))
    whole = []
    for db in (str(file), sys.argv[1]):
        program = Path(sys.executable).with_name("gputape")
        command = [program, "offers", "--gpu", "h100", "--db", db]
        whole.append(
            timed(lambda c=command: subprocess.run(c, capture_output=True, check=False), 3)
        )
    print("| `gputape offers --gpu h100` | {:.0f} ms | {:.0f} ms |".format(*whole))


if __name__ == "__main__":
    main()
