"""`estimate`: the physics of a job without a price, for one job or for every row of a table."""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.ending import chosen, finish
from gputape.app.cli.output import format_options, write
from gputape.app.cli.shape import shape, shape_options
from gputape.app.cli.shares import Share
from gputape.app.cli.sizes import Size, WholeSize
from gputape.store.offer import half_up

if TYPE_CHECKING:
    from datetime import date

    from gputape.analysis.article.table import Value
    from gputape.analysis.estimate import Answer
    from gputape.analysis.workload.prediction import Prediction
    from gputape.analysis.workload.work import Training

KINDS = click.Choice(
    ["train-run", "train-throughput", "mlperf-lora", "memory", "offline", "online", "batch1"]
)
METHODS = click.Choice(["pretrain", "full", "lora", "qlora", "dpo", "distill"])
SHARDINGS = click.Choice(["ddp", "zero1", "zero2", "zero3"])
APPENDED = ("predicted", "low", "high", "unit", "note")
ONE = ("figure", "value", "low", "high", "unit", "note")
EVERY = (*ONE, "model", "gpu", "gpus", "assumptions")
TRAINS = ("tokens", "seq_len", "method", "epochs", "padding", "optimizer", "sharding",
          "micro_batch", "teacher")  # fmt: skip
SERVES = ("input_tokens", "output_tokens", "batch", "engine")
SEQUENCE = 4096


@click.command()
@click.argument("jobs", required=False, metavar="[JOBS.csv]")
@click.option("--kind", type=KINDS, help="What the rows of JOBS.csv are; - reads stdin.")
@shape_options
@click.option("--gpu", help="An id, a spelling or a family: h100-sxm-80, A100, h100.")
@click.option("--gpus", type=WholeSize(example="8"), default=8, show_default=True)
@click.option("--precision", help="bf16, fp16, fp8, fp4; of weights also int8, int4.")
@click.option("--tokens", type=Size(), help="Training: tokens of the data set, 15T.")
@click.option("--seq-len", type=WholeSize(example="4096"), help="Training: 4096 unless stated.")
@click.option("--method", type=METHODS, help="Training: pretrain unless stated.")
@click.option("--epochs", type=Size(example="3"), help="Training: times through the data.")
@click.option("--padding", type=Share(), help="Training: positions that hold padding: 0.2.")
@click.option("--teacher", metavar="NAME", help="Training: the model that is distilled.")
@click.option("--micro-batch", type=WholeSize(example="1"), help="Training: sequences of a GPU.")
@click.option("--optimizer", help="Training: adamw, adamw_8bit, adamw_bf16, …")
@click.option("--sharding", type=SHARDINGS, help="Training: zero3 (FSDP) unless stated.")
@click.option("--no-checkpointing", is_flag=True, help="Training: keep every activation.")
@click.option("--input-tokens", type=Size(zero=True), help="Serving: tokens of a prompt.")
@click.option("--output-tokens", type=Size(), help="Serving: tokens of an answer.")
@click.option("--batch", type=WholeSize(example="32"), help="Serving: sequences at once.")
@click.option("--engine", help="Serving: vllm, tensorrt-llm, sglang, llama.cpp, …")
@click.option("--figures", is_flag=True, help="The source articles' figures, and what is right.")
@format_options
def estimate(
    fmt: str, output: Path | None, jobs: str | None, kind: str | None,
    figures: bool, **asked: Any,  # noqa: FBT001  # click's way
) -> None:  # fmt: skip
    """How much work a job is, how long it takes and what it holds in memory, without a price.

    One job from options, or a prediction beside each row of JOBS.csv. Every figure has its 80 %
    interval; below a table, and in json, stands what it rests on.

    \b
    gputape estimate --model llama-3.1-70b --gpu h100 --gpus 512 --tokens 15T --seq-len 8192
    gputape estimate --params 7B --gpu a100-80 --method lora --tokens 50M --epochs 3
    gputape estimate --model llama-3.1-8b --gpu l4 --gpus 1 --input-tokens 1000 --output-tokens 500
    gputape estimate jobs.csv --kind offline --format csv -o predicted.csv
    """
    if figures:
        _figures(fmt, output)
        return
    if jobs:
        if not kind:
            raise click.UsageError(f"{jobs}: which kind of rows? --kind {KINDS.choices[0]}, …")
        _table(jobs, kind, fmt, output)
        return
    if kind:
        raise click.UsageError("--kind is of a table: gputape estimate JOBS.csv --kind …")
    _one(_answer(asked), fmt, output)


# -- one job ---------------------------------------------------------------------------------------


def _answer(asked: dict[str, Any]) -> "Answer":
    from gputape.store.errors import BadInput

    trains = [name for name in TRAINS if asked[name] is not None]
    trains += ["no_checkpointing"] * asked["no_checkpointing"]
    serves = [name for name in SERVES if asked[name] is not None]
    if trains and serves:
        raise BadInput(
            f"--{_flag(trains[0])} is of training and --{_flag(serves[0])} of serving: one job is "
            "one or the other"
        )
    if not trains and not serves:
        raise BadInput("what is to be done? --tokens 15T trains, --input-tokens 1000 serves")
    if not asked["gpu"]:
        raise BadInput("on which GPU? --gpu h100-sxm-80; `gputape gpus` lists them all")
    return _training(asked) if trains else _serving(asked)


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _training(asked: dict[str, Any]) -> "Answer":
    from gputape.analysis import estimate as analysis
    from gputape.analysis.workload.memory import Setup
    from gputape.store.errors import BadInput

    if asked["tokens"] is None:
        raise BadInput("how many tokens does it train on? --tokens 15T")
    setup = Setup(
        n_gpus=asked["gpus"],
        micro_batch=asked["micro_batch"] or 1,
        sharding=asked["sharding"] or "zero3",
        checkpointing="none" if asked["no_checkpointing"] else "full",
        optimizer=asked["optimizer"] or "adamw",
    )
    return analysis.training(
        _job(asked), analysis.gpu_named(asked["gpu"]), asked["gpus"], setup
    )  # fmt: skip


def _job(asked: dict[str, Any]) -> "Training":
    from gputape.analysis.workload.models import model
    from gputape.analysis.workload.work import Training

    meant = shape(asked)
    return Training(
        model=meant,
        tokens=asked["tokens"],
        seq_len=asked["seq_len"] or min(SEQUENCE, meant.max_context or SEQUENCE),
        method=asked["method"] or "pretrain",
        epochs=asked["epochs"] or 1,
        padding=asked["padding"] or 0,
        precision=asked["precision"],
        teacher=model(asked["teacher"]) if asked["teacher"] else None,
        micro_batch=asked["micro_batch"] or 1,
    )


def _serving(asked: dict[str, Any]) -> "Answer":
    from gputape.analysis import estimate as analysis
    from gputape.store.errors import BadInput

    if asked["input_tokens"] is None or asked["output_tokens"] is None:
        raise BadInput("serving has both lengths: --input-tokens 1000 --output-tokens 500")
    job = analysis.Serving(
        model=shape(asked),
        n_in=asked["input_tokens"],
        n_out=asked["output_tokens"],
        batch=asked["batch"],
        precision=asked["precision"],
        engine=asked["engine"],
    )
    return analysis.serving(job, analysis.gpu_named(asked["gpu"]), asked["gpus"])


def _one(answer: "Answer", fmt: str, output: Path | None) -> None:
    people = fmt in ("table", "md")
    digits: Callable[[float], Any] = significant if people else _six
    rows = [
        [
            line.figure, digits(found.point), digits(found.low), digits(found.high), found.unit,
            line.note, answer.model.name, answer.gpu.id, answer.gpus,
            _said([*answer.common, *found.assumptions], fmt),
        ]
        for line in answer.lines
        for found in (line.estimate,)
    ]  # fmt: skip
    names = chosen(fmt, ONE, EVERY)
    rests = [f"{a.name} = {a.value}: {a.source}" for a in answer.assumptions] if people else []
    title = f"{answer.model.name} on {answer.gpus} x {answer.gpu.id}; low to high: 80 % interval"
    said = [title, *(f"  {line}" for line in rests)]
    finish([row[: len(names)] for row in rows], names, fmt, output, said if people else [])


def _said(assumptions: Sequence[Any], fmt: str) -> Any:
    """Return assumptions as objects in JSON, as words elsewhere."""
    if fmt in ("json", "jsonl"):
        return [{"name": a.name, "value": a.value, "source": a.source} for a in assumptions]
    return "; ".join(f"{a.name} = {a.value}" for a in assumptions)


def significant(value: float) -> str:
    """Return a number as a person reads it: three digits, 1.23e+21 from a million on."""
    if not 1 <= abs(value) < 1e6:
        return f"{value:.3g}"
    whole = isinstance(value, int) or abs(value) >= 100
    return f"{value:,.0f}" if whole else f"{value:.{3 - len(str(int(abs(value))))}f}"


def _six(value: float | None) -> float | None:
    """Return six digits, of which no estimate has so many."""
    return None if value is None else float(f"{value:.6g}")


# -- a table of jobs -------------------------------------------------------------------------------


def _table(jobs: str, kind: str, fmt: str, output: Path | None) -> None:
    from gputape.analysis.jobrows import answer, columns_missing
    from gputape.app.cli.jobtable import named, read
    from gputape.store.errors import BadInput

    header, rows = read(jobs)
    if missing := columns_missing(kind, header):
        raise BadInput(
            f"{named(jobs)} has no column {missing[0]!r}, which a table of {kind} jobs needs"
        )
    found = [answer(kind, dict(zip(header, row, strict=True))) for row in rows]
    kept = [f"input_{name}" if name in APPENDED else name for name in header]
    done = [[*row, *_cells(one)] for row, one in zip(rows, found, strict=True)]
    if done or fmt in ("table", "md"):
        finish(done, [*kept, *APPENDED], fmt, output, [_count(found)])
    else:
        write(done, [*kept, *APPENDED], fmt, output)


def _cells(found: "Prediction") -> list[Any]:
    return [*map(_six, (found.predicted, found.low, found.high)), found.unit, found.note]


def _count(found: Sequence["Prediction"]) -> str:
    without = sum(one.predicted is None for one in found)
    return f"{len(found)} jobs, {without} without a prediction" if found else "no jobs"


# -- the articles' figures -------------------------------------------------------------------------

FIGURES = ("id", "article", "printed", "computed", "verdict", "note")


def _figures(fmt: str, output: Path | None) -> None:
    from gputape.analysis.article.figures import figures
    from gputape.app.article_tape import article_tape
    from gputape.store.tape import reading

    between = "\n" if fmt == "table" else "; "
    with article_tape() as tape, reading(tape) as con:
        rows = [
            [one.id, one.article, one.printed, _computed(values, between), one.verdict, one.note]
            for one, values in figures(con)
        ]
    finish(rows, FIGURES, fmt, output, [_verdicts(rows)])


def _computed(values: "Sequence[Value]", between: str) -> str:
    return between.join(f"{v.name}: {_number(v.value)} {v.unit}".strip() for v in values)


def _number(value: "float | Decimal | date") -> str:
    from datetime import date

    if isinstance(value, date):
        return value.isoformat()
    return f"{half_up(value, 2):,}" if isinstance(value, Decimal) else significant(value)


def _verdicts(rows: Sequence[Sequence[Any]]) -> str:
    found = Counter(row[4] for row in rows)
    return ", ".join(f"{count} {verdict}" for verdict, count in found.most_common())
