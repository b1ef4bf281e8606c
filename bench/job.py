"""One job on every current offer, and day by day over 90 days; both warm, in one process.

The job fine-tunes Llama 3.1 70B with LoRA on 50 million tokens, on demand or spot. Ranked over
100,000 current offers; the bare side groups the same offers by GPU. Its history is asked of the
tape of `year.py`, 90 days long; the bare side sums the price log.

    python bench/job.py rank|history TAPE SCALE REPEATS
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import market
import year
from measure import Line, cost, python, within

from gputape.analysis.cost.job import job
from gputape.analysis.cost.rank import rank
from gputape.analysis.cost.timeline import timeline
from gputape.app.collecting import open_recorder
from gputape.store import tape

OFFERS, DAYS = 100_000, 90
RANK_S, HISTORY_S = 0.5, 2.0
JOB = {
    "kind": "finetune",
    "model": {"name": "llama-3.1-70b"},
    "work": {"method": "lora", "tokens": 50e6},
}
BARE = "select gpu, min(usd_gpu_hour), count(*) from v_offers where state = 'firm' group by gpu"


def make(path: Path, offers: int) -> None:
    """Record so many offers of seven sellers, all seen now."""
    now = datetime.now(UTC)
    with open_recorder(path, now) as recorder:
        for provider, share in market.SHARES.items():
            table = market.offers(provider, round(offers * share))
            for part in ("on_demand", "reserved", "spot"):
                listed = market.part_of(table, part)
                recorder.record_table(market.scan(provider, part, now), listed)


def ranked(path: Path, scale: float, repeats: int) -> dict[str, float]:
    """Return seconds of ranking the job, of the bare question, and how many offers run it."""
    make(path, round(OFFERS * scale))
    now = datetime.now(UTC)
    asked = job(JOB)
    with tape.reading(path) as con:
        found = rank(con, asked, now)
        return {
            "ours": seconds(lambda: rank(con, asked, now), repeats),
            "bare": seconds(lambda: con.execute(BARE).fetchall(), repeats),
            "rows": found.matched,
        }


def history(path: Path, scale: float, repeats: int) -> dict[str, float]:
    """Return seconds of the job's history, of a sum over the log, and how many days it has."""
    days = max(3, round(DAYS * scale))
    year.make(path, days, round(year.SERIES * scale), recorded=2)
    now, asked = datetime.now(UTC), job(JOB)
    first = (now - timedelta(days=days)).date()
    with tape.reading(path) as con:
        found = timeline(con, asked, first, now.date(), now)
        return {
            "ours": seconds(lambda: timeline(con, asked, first, now.date(), now), repeats),
            "bare": seconds(lambda: con.execute("select sum(price) from price_log").fetchall(),
                            repeats),
            "rows": len(found.days),
        }  # fmt: skip


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median of some runs after a first that warms caches."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Ask each in a child of its own."""
    offers, series = round(OFFERS * scale), round(year.SERIES * scale)
    me = Path(__file__)
    one = json.loads(cost(python(me, "rank", folder / "now.duckdb", scale, repeats)).said)
    many = json.loads(cost(python(me, "history", folder / "then.duckdb", scale, repeats)).said)
    if not one["rows"] or not many["rows"]:
        raise SystemExit(f"nothing can run the job: {one}, {many}")
    days = f"a job's history ({many['rows']:.0f} days seen of {series:,} series), bare scan"
    return [
        within(f"one job ranked over {offers:,} current offers ({one['rows']:.0f} run it), bare",
               one["ours"], one["bare"], "s", RANK_S),
        within(days, many["ours"], many["bare"], "s", HISTORY_S),
    ]  # fmt: skip


def main(verb: str, path: str, size: str, repeats: str) -> None:
    """Make a tape and ask it; the figures are one JSON object on stdout."""
    asked = ranked if verb == "rank" else history
    print(json.dumps(asked(Path(path), float(size), int(repeats))))


if __name__ == "__main__":
    main(*sys.argv[1:])
