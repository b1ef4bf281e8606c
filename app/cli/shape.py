"""Options that say which model is meant: by name, or by its figures."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gputape.app.cli.sizes import Size, WholeSize

if TYPE_CHECKING:
    from gputape.analysis.workload.models import Model

Command = TypeVar("Command", bound=Callable[..., Any])
WHOLE = {
    "layers": "Layers.", "hidden": "Width.", "heads": "Attention heads.",
    "kv_heads": "Heads of keys and values.", "head_dim": "Width of a head.",
    "ffn": "Width of the MLP.", "vocab": "Tokens of the vocabulary.",
    "experts": "Experts of a layer.", "top_k": "Experts that a token passes.",
    "max_context": "Longest context.",
}  # fmt: skip


def shape_options(command: Command) -> Command:
    """Add `--model`, or `--params` with what else is known of a shape."""
    for name, words in reversed(WHOLE.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, type=WholeSize(example="32 or 128k"), help=words)(command)
    for flag, words in (
        ("--active", "Parameters that one token touches: 37B."),
        ("--params", "Instead of a name: 70B."),
    ):
        command = click.option(flag, type=Size(example="70B or 7e9"), help=words)(command)
    return click.option("--model", metavar="NAME", help="llama-3.1-70b, a Hub id, …")(command)


def shape_words(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said of the model: `name`, or `params` and its other figures."""
    names = ("params", "active", *WHOLE)
    said = {name: asked[name] for name in names if asked.get(name) is not None}
    return {"name": asked["model"]} | said if asked.get("model") else said


def shape(asked: Mapping[str, Any]) -> "Model":
    """Return the model that options mean. Raises BadInput with one sentence."""
    from gputape.analysis.workload.models import model, sized
    from gputape.store.errors import BadInput

    said = shape_words(asked)
    name = said.pop("name", None)
    if name and said:
        raise BadInput(f"--model {name} has its own shape: leave out --{_flag(said)}, or --model")
    if name:
        return model(name)
    if "params" not in said:
        raise BadInput("which model? --model llama-3.1-8b, or figures: --params 7B --layers 32")
    if "experts" in said and "active" not in said:
        raise BadInput("a model of experts says what one token touches: --params 671B --active 37B")
    return sized(said.pop("params"), said.pop("active", None), **said)


def _flag(said: Mapping[str, Any]) -> str:
    return next(iter(said)).replace("_", "-")
