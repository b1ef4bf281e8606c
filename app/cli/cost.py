"""`cost`: what a whole job costs on the cheapest offers that can really run it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.jobwords import buying_options, tables
from gputape.app.cli.output import db_option, format_options
from gputape.app.cli.shape import shape_options
from gputape.app.cli.shares import Amount, Share
from gputape.app.cli.sizes import Size, WholeSize
from gputape.app.cli.words import Money

if TYPE_CHECKING:
    from gputape.analysis.cost.job import Job

QUESTIONS = ("job", "write_job", "as_of", "history", "explain", "each_provider", "limit",
             "frontier", "most", "spend", "users", "requests_user_hour")  # fmt: skip


@click.group()
def cost() -> None:
    """What a job costs on the cheapest offer that can really run it.

    Every figure is expected dollars before tax, with the range in which four in five lie.
    """


@cost.command()
@shape_options
@click.option("--tokens", type=Size(), help="Of the data set: 15T.")
@click.option(
    "--seq-len", type=WholeSize(), help="Tokens of a sequence.  [default: 4096, or all context]"
)
@click.option("--epochs", type=Amount())
@click.option("--precision", help="bf16 (the default), fp8, …")
@click.option("--method", type=click.Choice(["pretrain", "distill"]))
@click.option("--teacher", help="Of distillation: a published shape.")
@click.option("--micro-batch", type=WholeSize())
@click.option("--optimizer", help="adamw, adamw_8bit, …")
@click.option("--frontier", is_flag=True, help="Cheapest for every deadline instead.")
@click.option("--most", type=click.Choice(["tokens", "model"]), help="The most for --spend.")
@click.option("--spend", type=Money(), help="What --most may cost.")
@buying_options
@format_options
@db_option
def train(**said: Any) -> None:
    """Pre-train a model.

    Longer than 90 days only with a --deadline that allows it.

    \b
    gputape cost train --model llama-3.1-8b --tokens 15T --deadline 30d
    gputape cost train --params 7B --tokens 1T --most tokens --spend 100000
    """
    _answer("train", said)


@cost.command()
@shape_options
@click.option("--tokens", type=Size(), help="Of the data set, once through: 50M.")
@click.option("--method", type=click.Choice(["lora", "qlora", "full", "dpo", "rl"]),
              help="[default: lora]")  # fmt: skip
@click.option(
    "--seq-len", type=WholeSize(), help="Tokens of a sequence.  [default: 4096, or all context]"
)
@click.option("--epochs", type=Amount())
@click.option("--padding", type=Share(), help="Share of positions that hold padding.")
@click.option("--precision", help="bf16 (the default), fp8, …")
@click.option("--micro-batch", type=WholeSize())
@click.option("--optimizer", help="adamw, adamw_8bit, …")
@click.option("--frontier", is_flag=True, help="Cheapest for every deadline instead.")
@click.option("--most", type=click.Choice(["tokens"]), help="The most for --spend.")
@click.option("--spend", type=Money(), help="What --most may cost.")
@buying_options
@format_options
@db_option
def finetune(**said: Any) -> None:
    """Fine-tune a model: LoRA unless --method says otherwise.

    \b
    gputape cost finetune --model llama-3.1-70b --tokens 50M --epochs 3 --explain
    """
    _answer("finetune", said)


@cost.command()
@shape_options
@click.option("--requests", type=Size(), help="How many: 1M.")
@click.option("--input-tokens", type=Size(zero=True), help="Of one request.")
@click.option("--output-tokens", type=Size(), help="Of one request.")
@click.option("--precision", help="Narrowest that each GPU computes in by default.")
@click.option("--engine", help="vllm, tensorrt-llm, sglang.")
@click.option("--frontier", is_flag=True, help="Cheapest for every deadline instead.")
@click.option("--most", type=click.Choice(["requests"]), help="The most for --spend.")
@click.option("--spend", type=Money(), help="What --most may cost.")
@buying_options
@format_options
@db_option
def batch(**said: Any) -> None:
    """Answer many requests that nobody waits for.

    \b
    gputape cost batch --model llama-3.1-8b --requests 1M --input-tokens 1000 --output-tokens 300
    """
    _answer("batch", said)


@cost.command()
@shape_options
@click.option("--requests-s", type=Amount(), help="Requests a second at the peak, …")
@click.option("--users", type=Amount(), help="… or users, each with …")
@click.option("--requests-user-hour", type=Amount(), default="12", show_default=True,
              help="… so many requests an hour.")  # fmt: skip
@click.option("--input-tokens", type=Size(zero=True), help="Of one request.")
@click.option("--output-tokens", type=Size(), help="Of one request.")
@click.option("--tpot", "tpot_ms", type=Amount(), help="Longest ms per token.  [default: 50]")
@click.option("--ttft", "ttft_ms", type=Amount(), help="Longest ms to the first.  [default: 2000]")
@click.option("--spike", type=Amount(), help="Demand jumps to so many times the peak.")
@click.option("--spare", type=click.IntRange(0), help="Replicas beside.")
@click.option("--load", type=Share(), help="Average demand over the peak's.  [default: 0.4]")
@click.option("--precision", help="Narrowest that each GPU computes in by default.")
@click.option("--engine", help="vllm, tensorrt-llm, sglang.")
@buying_options
@format_options
@db_option
def serve(**said: Any) -> None:
    """Serve people who wait: what an hour and a million tokens cost, and hosts' prices beside.

    \b
    gputape cost serve --model llama-3.1-70b --requests-s 5 --input-tokens 1000 --output-tokens 300
    """
    if said["users"] is not None:
        if said["requests_s"] is not None:
            raise click.UsageError("--users and --requests-s say the same: give one of them")
        said["requests_s"] = said["users"] * said["requests_user_hour"] / 3600
    _answer("serve", said)


def _answer(kind: str, said: dict[str, Any]) -> None:
    from gputape.analysis.cost.job import job, to_toml
    from gputape.app.cli import costshown

    db, fmt, output = said.pop("db"), said.pop("fmt"), said.pop("output")
    asked = {name: said.pop(name, None) for name in QUESTIONS}
    found = job(tables(kind, said, asked["job"]))
    if asked["write_job"]:
        _write(asked["write_job"], to_toml(found))
    now = datetime.now(UTC)
    show = costshown.Shown(fmt, output, now)
    if asked["history"]:
        _history(db, found, asked["history"], asked["as_of"] or now, show)
        return
    _ranked(db, found, asked, show)


def _ranked(db: Path, found: "Job", asked: Mapping[str, Any], show: Any) -> None:
    from gputape.analysis.cost.rank import rank
    from gputape.analysis.cost.what_if import frontier, most
    from gputape.store.tape import reading

    if asked["most"] and not asked["spend"]:
        raise click.UsageError("--most needs what it may cost: --spend 100000")
    with reading(db) as con:
        ranked = rank(con, found, show.now, as_of=asked["as_of"], limit=asked["limit"],
                      each_provider=asked["each_provider"])  # fmt: skip
        if asked["most"] and ranked.best:
            show.most(most(con, ranked, asked["most"], float(asked["spend"])), ranked)
        elif asked["frontier"] and ranked.best:
            show.frontier(frontier(con, ranked), ranked)
        else:
            hosts = show.hosts(con, ranked, asked["as_of"] or show.now) if (
                found.kind == "serve") else None  # fmt: skip
            show.ranked(ranked, hosts, explain=asked["explain"])


def _history(db: Path, found: "Job", span: timedelta, end: datetime, show: Any) -> None:
    from gputape.analysis.cost.timeline import DAY, timeline
    from gputape.store.tape import reading

    first = end.date() - max(1, round(span / DAY)) * DAY + DAY
    with reading(db) as con:
        show.history(timeline(con, found, first, end.date(), end))


def _write(file: Path, text: str) -> None:
    from gputape.store.errors import BadInput

    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"can not write {file}: {error.strerror}") from None
    click.echo(f"wrote {file}", err=True)
