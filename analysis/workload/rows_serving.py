"""Rows of tables of serving measurements, answered with predictions.

    predict("offline", row)     output tokens/s of all GPUs together; MLPerf rows too
    predict("online", row)      milliseconds per output token
    predict("batch1", row)      tokens/s as the row's own definition counts them

A row that cannot be predicted gets no figure and the reason in its note.
"""

from gputape.analysis.workload.constants import Constant, constant, constants
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.jobs_serving import (
    Job,
    batch1_job,
    mlperf_job,
    mlperf_name,
    offline_job,
    online_job,
    part,
)
from gputape.analysis.workload.layout import read
from gputape.analysis.workload.losses import doubt, rated, timed
from gputape.analysis.workload.prediction import Prediction, predicted, unpredicted
from gputape.analysis.workload.rows import Row, number, word
from gputape.analysis.workload.steptime import Work
from gputape.analysis.workload.throughput import (
    first_token,
    layouts,
    offline_rate,
    prompt_seconds,
    single_seconds,
    step_seconds,
)
from gputape.store.errors import BadInput

UNITS = {"offline": "tokens/s", "online": "ms", "batch1": "tokens/s"}


def predict(kind: str, row: Row) -> Prediction:
    """Return the prediction of a row of one kind: `offline`, `online` or `batch1`."""
    if kind not in UNITS:
        raise BadInput(f"no table of serving is called {kind!r}; one of {', '.join(UNITS)}")
    try:
        if kind == "online":
            return _online(row)
        if kind == "batch1":
            return _batch1(row)
        return _mlperf(row) if word(row, "round") else _offline(row)
    except BadInput as error:
        return unpredicted(UNITS[kind], str(error))


def _offline(row: Row) -> Prediction:
    job = offline_job(row)
    stated = read(word(row, "parallelism"), job.work.layout.gpus) is not None
    rate, batch, work = highest(job, stated=stated)
    if rate <= 0:
        gpus, model = job.work.layout.gpus, job.work.model
        raise BadInput(
            f"{model.name} does not fit on {gpus} x {job.work.gpu.name} in this precision"
        )
    error = doubt("offline", work, job.engine)
    return predicted(
        rated(1 / rate, 1, "tokens/s", error),
        _note(job, f"{work.layout.name}, batch {batch:.0f}"),
    )


def highest(job: Job, *, stated: bool) -> tuple[float, float, Work]:
    """Return tokens/s, batch and work of the stated layout, or of the fastest one."""
    here = job.work
    options = [here.layout] if stated else layouts(here.model, here.gpu, here.layout.gpus)
    works = [Work(here.model, here.gpu, each, here.precision, here.kv_bits) for each in options]
    rates = [
        (*offline_rate(work, job.n_in, job.n_out, job.batch, job.engine), work) for work in works
    ]
    return max(rates, key=lambda found: found[0])


def _online(row: Row) -> Prediction:
    job = online_job(row)
    seconds = online_seconds(job)
    error = doubt("online", job.work, job.engine)
    first = first_token(job.work, job.batch or 1, job.n_in, job.n_out, job.engine)
    seen = f"{job.work.layout.name}, time to first token {first.point:.0f} ms"
    return predicted(timed(seconds, error), _note(job, seen))


def online_seconds(job: Job) -> float:
    """Return the time per output token of an online row in seconds."""
    return step_seconds(
        job.work,
        job.batch or 1,
        job.n_in,
        job.n_out,
        regime="online",
        engine=job.engine,
        version=job.version,
    )


def _batch1(row: Row) -> Prediction:
    job = batch1_job(row)
    set_ = "prompt" if reads_prompt(row) else "single"
    rate = rate_of(row, job)
    return predicted(rated(1 / rate, 1, "tokens/s", doubt(set_, job.work, job.engine)), _note(job))


def reads_prompt(row: Row) -> bool:
    """Tell whether a row's tokens are those of a prompt that is read."""
    return "prompt eval" in word(row, "tok_s_definition").casefold()


def rate_of(row: Row, job: Job) -> float:
    """Return tokens/s of a batch-1 row as its definition counts them.

    Three definitions occur: prompt tokens read, tokens written, and both over the whole time.
    """
    if reads_prompt(row):
        length = PROMPT if not job.n_in else job.n_in
        return length / prompt_seconds(job.work, length, job.engine)
    step, prompt = single_seconds(job.work, job.n_in, job.n_out, job.engine)
    if "prompt+generated" in word(row, "tok_s_definition").replace(" ", ""):
        return (job.n_in + job.n_out) / (prompt + job.n_out * step)
    return 1 / step


PROMPT = 1024.0  # tokens of llama.cpp's prompt test in the table, whose definition names them

SCENARIOS = {"Offline": None, "Server": "server", "Interactive": "interactive"}


def _mlperf(row: Row) -> Prediction:
    name = mlperf_name(row)
    unit = (word(row, "units") or "tokens/s").casefold()
    if (scenario := word(row, "scenario")) not in SCENARIOS:
        return unpredicted(unit, f"scenario {scenario!r} measures a latency, not a throughput")
    if name == "stable-diffusion-xl":
        return predicted(_sdxl(row), "images per second, from the same part's MLPerf result")
    if not any(path.startswith(f"serving.mlperf.{name}.") for path in constants()):
        return unpredicted(
            unit,
            f"no method is known for MLPerf's {name}; it is no language model "
            "that writes token by token, or writes by beam search",
        )
    job = mlperf_job(row)
    rate, batch, work = highest(job, stated=False)
    if rate <= 0:
        raise BadInput(f"{job.work.model.name} does not fit on these GPUs in this precision")
    best = rated(1 / rate, 1, "tokens/s", doubt("offline", work, job.engine))
    note = _note(job, f"{work.layout.name}, batch {batch:.0f}")
    return predicted(_under_latency(best, SCENARIOS[word(row, "scenario")]), note)


def _under_latency(best: Estimate, target: str | None) -> Estimate:
    if target is None:
        return best
    share = constant(f"serving.mlperf.{target}")
    low, high = share.ratios
    ratios = (best.low / best.point * low, best.high / best.point * high)
    return within(best.point * share.value, best.unit, ratios, share.assumption)


def _sdxl(row: Row) -> Estimate:
    gpu, _ = part(word(row, "gpu"))
    images = diffusion(gpu.id)
    gpus = number(row, "n_gpus") or 1
    best = within(images.value * gpus, "images/s", images.ratios, images.assumption)
    return _under_latency(best, SCENARIOS[word(row, "scenario")])


def diffusion(gpu_id: str) -> Constant:
    """Return the images per second of Stable Diffusion XL that MLPerf measured on one GPU."""
    found = constants().get(f"serving.sdxl.{gpu_id}")
    if found is None:
        raise BadInput(
            f"nobody measured Stable Diffusion XL on {gpu_id}; FLOP rules do not fit U-Nets"
        )
    return found


def _note(job: Job, *more: str) -> str:
    said = (*job.notes, *more)
    if job.work.model.assumed:
        said += (f"shape assumed: {', '.join(job.work.model.assumed)}",)
    return "; ".join(said)
