"""A year of hourly looks at 60,000 series, drawn: how big it is, and how fast it answers.

Half of the series are spot prices, of which a tenth moves in any hour. The first and the last
hours are recorded by the program itself, as are rolls and frames; the hours between are written
straight into the log and the scan log in the shape that recording gives them, for recording them
would take an hour. No figure here is anybody's price.

    python bench/year.py make TAPE [DAYS]      python bench/year.py ask TAPE
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import market
from measure import Line, cost, python, slower, within

from gputape.app.collecting import open_recorder
from gputape.store import tape
from gputape.store.record import Recorder

SERIES = 60_000
BYTES = 0.8  # an observation, days and frames included; (time, id, DOUBLE) a row took 3.02
MOVING = 10  # of so many spot prices, one moves in an hour
HOURS_RECORDED = 5  # at either end, by the program itself
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
CHANGES = """
insert into price_log by name
select series_id, timestamptz '{start}' + to_hours(h::integer) as observed_at,
    {scan_id} + h * 3_600_000_000 + slot as scan_id, 'firm' as state,
    round(price * (0.95 + (hash(series_id, h) % 1000) / 10_000), 4)::decimal(18,9) as price,
    'USD' as currency, 'live' as origin
from range({first}, {end}) hours(h), spot
where hash(series_id * 7919 + h) % {moving} = 0
order by h, slot, series_id
"""
SCANS = """
insert into scan by name
select p.* exclude (slot), {scan_id} + h * 3_600_000_000 + slot as scan_id,
    timestamptz '{start}' + to_hours(h::integer) as observed_at,
    timestamptz '{start}' + to_hours(h::integer) as started_at,
    timestamptz '{start}' + to_hours(h::integer) as finished_at
from range({first}, {end}) hours(h), parts p order by h, slot
"""


def record_hour(recorder: Recorder, tables: dict[str, Any], at: datetime, seed: int) -> float:
    """Record every part of every provider as seen at an hour; return seconds."""
    seconds = 0.0
    for provider, table in tables.items():
        spot = market.part_of(table, "spot")
        rows = [n for n in range(spot.num_rows) if hash((n, seed)) % MOVING == 0]
        parts = {part: market.part_of(table, part) for part in ("on_demand", "reserved")}
        parts["spot"] = market.moved(spot, rows, seed) if seed else spot
        for part, listed in parts.items():
            began = time.perf_counter()
            recorder.record_table(market.scan(provider, part, at), listed)
            seconds += time.perf_counter() - began
    return seconds


def tables(series: int = SERIES) -> dict[str, Any]:
    """Return each provider's offers, about half of them spot."""
    return {
        provider: market.offers(provider, round(series * share))
        for provider, share in market.SHARES.items()
    }


def make(
    path: Path, days: int, series: int = SERIES, recorded: int = HOURS_RECORDED
) -> dict[str, float]:
    """Make the tape; return what recording took per hour at its start and at its end."""
    listed, start = tables(series), END - timedelta(days=days)
    hours = [range(recorded), range(days * 24 - recorded, days * 24)]
    with tape.writing(path, start) as con:
        first = _record(Recorder(con), listed, start, hours[0])
        fill(con, start, hours[0].stop, hours[1].start)
    with open_recorder(path, END) as recorder:
        began = time.perf_counter()
        recorder.settle(start + timedelta(hours=hours[1].start))
        settled = time.perf_counter() - began
    with open_recorder(path, END) as recorder:  # as tomorrow's collection would
        last = _record(recorder, listed, start, hours[1])
    return {"first_s": median(first[1:]), "last_s": median(last), "settle_s": settled}


def _record(
    recorder: Recorder, listed: dict[str, Any], start: datetime, hours: range
) -> list[float]:
    return [record_hour(recorder, listed, start + timedelta(hours=hour), hour) for hour in hours]


def fill(con: duckdb.DuckDBPyConnection, start: datetime, first: int, end: int) -> None:
    """Write the hours that the program does not record itself."""
    scan_id = int(start.timestamp() * 1_000_000) + 1000
    con.execute(
        "create temp table parts as select *, row_number() over (order by provider, part) as slot "
        "from (select distinct on (provider, part) * exclude "
        "(scan_id, observed_at, started_at, finished_at) from scan order by provider, part)"
    )
    con.execute(
        "create temp table spot as select s.series_id, l.price, p.slot "
        "from series s join firm_at('infinity'::timestamptz, null) l using (series_id) "
        "join parts p on p.provider = s.provider and p.part = 'spot' where s.option = 'spot'"
    )
    for month in range(first, end, 730):
        words: dict[str, object] = {"start": start, "scan_id": scan_id, "moving": MOVING,
                 "first": month, "end": min(end, month + 730)}  # fmt: skip
        con.execute(SCANS.format(**words))
        con.execute(CHANGES.format(**words))
    con.execute("checkpoint")


QUESTIONS = {
    "cheapest now": (
        "select gpu, min(usd_gpu_hour) from v_offers where state = 'firm' group by gpu", 25
    ),
    "as of any moment": (
        "select count(*), sum(usd_hour) from offers_at(timestamptz '{moment}')", 15
    ),
    "one series' year": (
        "select count(*), avg(usd_hour) from v_prices where series_id = {series}", 35
    ),
    "one GPU's daily year": (
        "select * from v_daily where gpu = 'h100-sxm-80' order by day", 50
    ),
    "all GPUs' daily year": ("select * from v_daily order by day", 350),
}  # fmt: skip


def ask(path: Path) -> dict[str, Any]:
    """Return milliseconds of each question, warm, and of a scan of the bare table."""
    with tape.reading(path) as con:
        observations, rows = con.execute(
            "select (select count(distinct (observed_at)) from scan where provider = 'aws') "
            "* (select count(*) from series), (select count(*) from price_log)"
        ).fetchall()[0]
        (series, moment) = con.execute(
            "select min(series_id), (select min(observed_at) + (max(observed_at) - "
            "min(observed_at)) * 0.61 from scan) from series where option = 'spot'"
        ).fetchall()[0]
        bare = _ms(lambda: con.execute("select sum(price) from price_log").fetchall())
        found = {
            name: _ms(
                lambda q=sql: con.sql(q.format(series=series, moment=moment)).to_arrow_table()
            )  # type: ignore[misc]
            for name, (sql, _) in QUESTIONS.items()
        }
    size = path.stat().st_size
    return {"bytes_per_observation": size / observations, "mb": size / 1e6, "rows": rows,
            "bare": bare, **found}  # fmt: skip


def _ms(work: Callable[[], object], repeats: int = 7) -> float:
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:  # noqa: ARG001  # a year is long
    """Make the tape in one child and ask it in another."""
    tape, days = folder / "year.duckdb", max(3, round(365 * scale))
    me = Path(__file__)
    made = json.loads(cost(python(me, "make", tape, days)).said)
    found = json.loads(cost(python(me, "ask", tape)).said)
    what = f"{days} days of {SERIES:,} series, hourly, {found['mb']:.0f} MB"
    return [
        within(f"bytes per observation ({what}); a DOUBLE a row", found["bytes_per_observation"],
               3.02, "B", BYTES),
        slower("an hour recorded, at the end against the start", made["last_s"], made["first_s"],
               "s", 1.5),
        *(within(f"{name}, bare scan of {found['rows']:,} rows", found[name], found["bare"], "ms",
                 goal) for name, (_, goal) in QUESTIONS.items()),
    ]  # fmt: skip


def main(verb: str, path: str, days: str = "365") -> None:
    """Make a tape or ask it; the figures are one JSON object on stdout."""
    print(json.dumps(make(Path(path), int(days)) if verb == "make" else ask(Path(path))))


if __name__ == "__main__":
    main(*sys.argv[1:])
