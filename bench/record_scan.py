"""A scan of 60,000 offers with 3,000 new prices into a tape that knows them, on disk.

Ours is `Recorder.record_table`: comparing, appending what changed, commit, checkpoint.
Theirs is DuckDB's own bulk load of the same Arrow table into a file table, every column of
every row and nothing compared: `insert into offer select * from incoming`, commit.
`python bench/recording.py where` prints what each of our statements costs.
"""

import json
from pathlib import Path
from statistics import median

from measure import Line, cost, python, slower

OFFERS, CHANGES = 60_000, 3_000
AT_MOST = 1.5
SIDES = ("ours", "insert", "checkpoint")


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Time both in one child, in turn, and return the medians."""
    sizes = (int(OFFERS * scale), int(CHANGES * scale))
    child = python(Path(__file__).with_name("recording.py"), "time", folder, *sizes, repeats)
    runs = json.loads(cost(child).said)
    wall, cpu = ({side: median(run[side][i] for run in runs) for side in SIDES} for i in (0, 1))
    size = f"{sizes[0]:,} offers, {sizes[1]:,} new prices"
    return [
        slower(f"record, bulk insert, wall ({size})", wall["ours"], wall["insert"], "s", AT_MOST),
        slower("record, bulk insert, CPU", cpu["ours"], cpu["insert"], "CPU s"),
        slower("record, bulk insert + checkpoint, wall", wall["ours"], _whole(wall), "s"),
        slower("record, bulk insert + checkpoint, CPU", cpu["ours"], _whole(cpu), "CPU s"),
    ]


def _whole(seconds: dict[str, float]) -> float:
    return seconds["insert"] + seconds["checkpoint"]
