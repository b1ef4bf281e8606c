"""Tables of jobs, a row a job: what each kind of table needs, and the prediction of a row.

    columns_missing("offline", header)      ["isl", "osl"], or nothing
    answer("offline", row)                  a Prediction; a row that has none says why

Kinds are those of `workload/rows_training.py` and `workload/rows_serving.py`.
"""

from collections.abc import Collection

from gputape.analysis.workload import rows_serving, rows_training
from gputape.analysis.workload.prediction import Prediction, unpredicted
from gputape.analysis.workload.rows import Row, number
from gputape.store.errors import BadInput

UNITS = rows_training.UNITS | rows_serving.UNITS
KINDS = tuple(UNITS)

NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "train-run": (("model",), ("accelerator",), ("tokens",)),
    "train-throughput": (("model",), ("accelerator",)),
    "mlperf-lora": (("accel",), ("gpus", "nodes")),
    "offline": (("model",), ("gpu",), ("isl", "scenario"), ("osl", "scenario")),
    "online": (("model_path", "model"), ("system",), ("batch_size",)),
    "batch1": (("model",), ("gpu",)),
    "memory": (("model",),),
}
"""What a table must have, each as one column or another; MLPerf's rows tell lengths by scenario."""


COUNTS = ("n_accel", "gpus", "n_gpus", "nodes", "per_node", "tp_size", "attention_dp_size")
MOST_GPUS = 1_000_000
"""More than anybody's largest cluster has."""


def columns_missing(kind: str, header: Collection[str]) -> list[str]:
    """Return the columns without which no row of a kind can be predicted, by their first names."""
    return [either[0] for either in NEEDED[kind] if not set(either) & set(header)]


def answer(kind: str, row: Row) -> Prediction:
    """Return the prediction of a row; figures too large or small to reckon with are no figure."""
    if many := _too_many(row):
        return unpredicted(UNITS[kind], f"{many} is more than the GPUs of the largest cluster")
    predict = rows_serving.predict if kind in rows_serving.UNITS else rows_training.predict
    try:
        return predict(kind, row)
    except (ArithmeticError, ValueError) as error:
        return unpredicted(UNITS[kind], f"the figures of this row give no number: {error}")


def _too_many(row: Row) -> str:
    """Return the first count of GPUs that nobody has, as it is written."""
    for name in COUNTS:
        try:
            count = number(row, name)
        except BadInput:
            continue  # the row's own reader says so when it needs the number
        if count is not None and count > MOST_GPUS:
            return f"{name} {row[name]}"
    return ""
