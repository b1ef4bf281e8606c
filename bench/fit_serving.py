"""Fit the multiples of serving times on measured rows: analysis/workload/fitted_serving.toml.

    python bench/fit_serving.py CALIB      a folder with the four inference tables

The ideal times are those of `steptime.py`, the form that of `log_fit.py`: multiples c around the
usual loss, factors f around 1. A group is one model on one part with one engine. Intervals come
from predicting every group, and every model, from the others.
"""

import csv
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from log_fit import Array, Form, Seen, design, interval, left_out, solve

from gputape.analysis.workload import constants, steptime, throughput
from gputape.analysis.workload.jobs_serving import (
    Job,
    batch1_job,
    mlperf_job,
    offline_job,
    online_job,
)
from gputape.analysis.workload.layout import Layout, read
from gputape.analysis.workload.rows_serving import PROMPT, reads_prompt
from gputape.analysis.workload.throughput import layouts, most, one_copy, traits_of
from gputape.analysis.workload.work import decode_flop_token
from gputape.store.errors import BadInput

Row = dict[str, str]

OUT = Path(__file__).parents[1] / "analysis" / "workload" / "fitted_serving.toml"


BUSY = {
    "weights": (1.5, 0.3),
    "experts": (1.8, 0.5),
    "kv": (1.8, 0.5),
    "compute": (1.0, 0.7),
    "prefill": (1.5, 0.3),
    "sparse_prefill": (1.5, 1.0),
    "traffic": (1.5, 0.7),
    "layers": (1.0, 1.0),
    "sparse_layers": (2.0, 1.0),
    "hops": (0.5, 1.0),
    "across": (0.5, 1.5),
    "sequences": (0.5, 1.5),
    "step": (0.5, 1.5),
}
FULL = BUSY | {
    "experts": (1.5, 0.5),
    "kv": (1.5, 0.5),
    "sparse_prefill": (2.0, 1.0),
    "traffic": (1.3, 0.7),
    "layers": (1.5, 1.0),
    "sparse_layers": (3.0, 1.0),
    "hops": (1.0, 1.0),
    "across": (1.2, 1.5),
    "sequences": (1.5, 1.0),
}
ALONE = BUSY | {
    "weights": (1.4, 0.15),
    "experts": (1.5, 0.4),
    "compute": (1.0, 0.5),
    "prefill": (1.8, 0.4),
    "traffic": (1.3, 0.7),
    "layers": (3.0, 0.7),
    "sparse_layers": (4.0, 0.7),
    "hops": (1.5, 0.7),
    "across": (1.2, 1.0),
    "sequences": (1.0, 1.0),
    "step": (0.7, 1.0),
}
FORMS = {
    "online": Form("online", BUSY, (("all", "generation", 0.1), ("all", "version", 0.4))),
    "offline": Form("offline", FULL, (("all", "generation", 0.1), ("all", "engine", 0.4))),
    "single": Form(
        "single",
        ALONE,
        (
            ("layers", "engine", 1.0),
            ("kv", "engine", 1.0),
            ("weights", "memory", 0.3),
            ("layers", "format", 0.3),
            ("sparse_layers", "format", 2.0),
        ),
    ),
    "prompt": Form(
        "prompt",
        {"prefill": (2.0, 1.0), "doubling": (1.0, 0.5)},
        (("prefill", "width", 0.3), ("prefill", "generation", 0.3)),
    ),
}


def table(calib: Path, name: str) -> list[Row]:
    """Return the rows of one table."""
    with (calib / name).open(newline="") as file:
        return list(csv.DictReader(file))


def seen(job: Job, ideal: dict[str, float], seconds: float) -> Seen:
    """Return a measured row."""
    work = job.work
    return Seen(
        ideal,
        seconds,
        traits_of(work, job.engine, job.version),
        (work.model.id, work.gpu.id, job.engine),
    )


def online(calib: Path) -> Iterator[Seen]:
    """Yield the rows of time per token."""
    for row in table(calib, "inference_online_silicon.csv"):
        job = online_job(row)
        ideal = steptime.steady(job.work, job.batch or 1, job.n_in, job.n_out)
        yield seen(job, ideal, float(row["silicon_tpot_ms"]) / 1e3)


def offline(calib: Path) -> Iterator[Seen]:
    """Yield the rows of highest throughput, MLPerf's Offline scenario among them."""
    for row in table(calib, "inference_offline.csv"):
        job = offline_job(row)
        stated = read(row["parallelism"], job.work.layout.gpus)
        yield from _at_most(job, stated, float(row["out_tok_s_total"]))
    for row in table(calib, "mlperf_inference.csv"):
        if row["scenario"] == "Offline" and row["tokens_per_s"]:
            try:
                job = mlperf_job(row)
            except BadInput:
                continue
            for found in _at_most(job, None, float(row["tokens_per_s"])):
                yield replace(found, table="mlperf")


def _at_most(job: Job, stated: Layout | None, tokens_s: float) -> Iterator[Seen]:
    # without a stated layout: the one whose copies hold the largest batch with room for 32 each
    options = (
        [stated] if stated else list(layouts(job.work.model, job.work.gpu, job.work.layout.gpus))
    )
    works = [replace(job.work, layout=option) for option in options]
    held = [(work, _batch(work, job)) for work in works]
    good = [pair for pair in held if pair[1] >= MANY] or [max(held, key=lambda pair: pair[1])]
    work, each = good[-1]
    if each < 1:
        return
    copies = work.layout.copies
    alone = one_copy(work)
    ideal = steptime.steady(alone, each, job.n_in, job.n_out)
    yield seen(job, ideal, copies * each / tokens_s)


MANY = 128  # sequences a copy: fewer copies are faster than so small batches


def _batch(work: steptime.Work, job: Job) -> float:
    return job.batch or most(one_copy(work), job.n_in, job.n_out)


def single(calib: Path) -> Iterator[Seen]:
    """Yield the rows of one sequence, as seconds per written token."""
    for row, job in _alone(calib):
        if reads_prompt(row):
            continue
        ideal = steptime.terms(job.work, 1, job.n_in + job.n_out / 2)
        seconds = 1 / float(row["tok_s"])
        if "(prompt+generated)" in row["tok_s_definition"]:
            prompt = steptime.prompt_terms(job.work, 1, job.n_in)
            ideal = {name: t + prompt.get(name, 0) / job.n_out for name, t in ideal.items()}
            seconds *= (job.n_in + job.n_out) / job.n_out
        yield seen(job, ideal, seconds)


def prompt(calib: Path) -> Iterator[Seen]:
    """Yield the rows of a prompt that is read, as seconds per token; `doubling` is a power."""
    for row, job in _alone(calib):
        if not reads_prompt(row):
            continue
        model, gpu = job.work.model, job.work.gpu
        rate = float(gpu.fp16acc16_tflops or gpu.fp16_tflops or 0) * 1e12
        flops = decode_flop_token(model, PROMPT / 2)
        traits = {"gpus": str(job.work.layout.gpus)}
        found = seen(job, {"prefill": flops / rate}, 1 / float(row["tok_s"]))
        yield replace(found, traits=found.traits | traits)


def _alone(calib: Path) -> Iterator[tuple[Row, Job]]:
    for row in table(calib, "inference_batch1.csv"):
        try:
            yield row, batch1_job(row)
        except BadInput:
            continue


SOURCES = {"online": online, "offline": offline, "single": single, "prompt": prompt}


def errors(calib: Path, name: str) -> tuple[Array, Array, list[Seen]]:
    """Return log errors with the group left out, with the whole model left out, and the rows."""
    rows = list(SOURCES[name](calib))
    arrays = design(FORMS[name], rows)
    return (
        left_out(arrays, [row.group for row in rows]),
        left_out(arrays, [row.group[0] for row in rows]),
        rows,
    )


def constant_lines(path: str, value: float, rows: int, extra: str = "") -> str:
    """Return one constant as TOML."""
    return (
        f"[serving.{path}]\nvalue = {value:.4g}\n{extra}rows = {rows}\n"
        'source = "bench/fit_serving.py on measured rows; sources in the tables"\n'
    )


def fitted(calib: Path, name: str) -> str:
    """Return the constants of one set as TOML."""
    form = FORMS[name]
    by_group, by_model, rows = errors(calib, name)
    arrays = design(form, rows)
    at = solve(arrays)
    columns = [term for term in form.terms if term != "doubling"]
    lines = [
        constant_lines(f"{name}.base.{term}", math.exp(value), len(rows), 'unit = "x ideal"\n')
        for term, value in zip(columns, at, strict=False)
    ]
    for (term, kind, value), log, (_, mask) in zip(
        arrays.names, at[len(columns) :], arrays.touches, strict=True
    ):
        place = f"factor.{term}.{kind}.{quoted(value)}" if value else f"{term}.{kind}"
        count = int((mask > 0).sum())
        lines.append(constant_lines(f"{name}.{place}", math.exp(log), count, 'unit = "x"\n'))
    for kind in ("engine", "generation"):
        for value, count in sorted(Counter(row.traits[kind] for row in rows).items()):
            lines.append(constant_lines(f"{name}.seen.{kind}.{quoted(value)}", count, count))
    plain = np.array([row.table != "mlperf" for row in rows])  # tuned runs err less than others
    ratios = interval(np.concatenate([by_group[plain], by_model[plain]]))
    lines.append(ratio_lines(f"{name}.error", ratios, len(rows)))
    wide = tuple(ratio**1.5 for ratio in ratios)
    lines.append(ratio_lines(f"{name}.error_new", wide, len(rows)))
    return "\n".join(lines)


def ratio_lines(path: str, ratios: tuple[float, ...], rows: int) -> str:
    """Return an interval as a constant of value 1."""
    extra = f'unit = "x"\nratios = [{ratios[0]:.3f}, {ratios[1]:.3f}]\n'
    return constant_lines(path, 1.0, rows, extra)


def quoted(key: str) -> str:
    """Return a key as TOML takes it."""
    return f'"{key}"'


QUEUELESS = 8  # sequences at once with which a prompt seldom waits


def first_token(calib: Path) -> str:
    """Return the multiple of the ideal time to the first token; written after the online set."""
    ratios = []
    for row in table(calib, "inference_online_silicon.csv"):
        job = online_job(row)
        if (job.batch or 1) > QUEUELESS:
            continue
        traits = traits_of(job.work, job.engine)
        prompt_alone = steptime.prompt_terms(job.work, 1, job.n_in)
        alone = throughput.fit("online").seconds(prompt_alone, traits)
        step = throughput.step_seconds(
            job.work, job.batch or 1, job.n_in, job.n_out, regime="online", engine=job.engine
        )
        ratios.append(float(row["silicon_ttft_ms"]) / 1e3 / (alone + step))
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    extra = f'unit = "x ideal"\nratios = [{low / middle:.3f}, {high / middle:.3f}]\n'
    return constant_lines("online.ttft", float(middle), len(ratios), extra)


def main(calib: Path) -> None:
    """Fit every set and write the constants."""
    head = "# Written by bench/fit_serving.py from measured rows; do not edit.\n\n"
    text = head + "\n".join(fitted(calib, name) for name in FORMS)
    OUT.write_text(text)
    constants.constants.cache_clear()
    throughput.fit.cache_clear()
    OUT.write_text(text + "\n" + first_token(calib))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
