"""A job from tables or a file, and back: what `--job` reads and `--write-job` writes.

    kind = "finetune"
    [model]
    name = "llama-3.1-70b"
    [work]
    method = "lora"
    tokens = 50e6
    [buy]
    options = ["on_demand", "spot"]
    deadline_hours = 36

`from_toml(to_toml(job)) == job`. Unknown keys are refused with the nearest known one.
"""

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from gputape.analysis.cost.limits import check
from gputape.analysis.cost.stated import BatchWork, Buying, Job, Kind, ServeWork, TrainWork
from gputape.analysis.workload.models import FIGURES, Model, model, models, sized
from gputape.store.errors import BadInput

__all__ = ["BatchWork", "Buying", "Job", "Kind", "ServeWork", "TrainWork", "from_toml", "job",
           "read", "to_tables", "to_toml"]  # fmt: skip

T = TypeVar("T")
STATED = tuple(sorted(FIGURES - {"id", "name", "assumed", "source"}))
"""Figures that a model may be stated by."""
WORK: Mapping[str, type[TrainWork | BatchWork | ServeWork]] = {
    "train": TrainWork, "finetune": TrainWork, "batch": BatchWork, "serve": ServeWork,
}  # fmt: skip


def job(tables: Mapping[str, Any]) -> Job:
    """Return the job that tables describe, each checked; raises BadInput with one sentence."""
    _known(tables, ("kind", "model", "work", "buy"), "a job")
    kind: Any = tables.get("kind")
    if not isinstance(kind, str) or kind not in WORK:
        raise BadInput(f"kind is {kind!r}: one of {', '.join(WORK)} would be right")
    usual = {"method": "lora"} if kind == "finetune" else {}
    made = Job(
        kind=kind,  # type: ignore[arg-type]  # a key of WORK
        model=_model(_table(tables, "model")),
        work=_filled(WORK[kind], usual | _table(tables, "work"), "work"),
        buy=_filled(Buying, _table(tables, "buy"), "buy"),
    )
    check(made)
    return made


def from_toml(text: str) -> Job:
    """Return the job that a text holds."""
    try:
        return job(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"not TOML: {error}") from None


def read(path: Path) -> Job:
    """Return the job that a file holds."""
    try:
        return from_toml(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"can not read the job {path}: {error.strerror}") from None
    except (UnicodeDecodeError, BadInput) as error:
        raise BadInput(f"{path}: {error}") from None


def to_tables(made: Job) -> dict[str, Any]:
    """Return the tables of a job: what was said, nothing of what was assumed."""
    tables = {"model": _figures(made.model), "work": _said(made.work), "buy": _said(made.buy)}
    return {"kind": made.kind, **{name: table for name, table in tables.items() if table}}


def to_toml(made: Job) -> str:
    """Return the file of a job."""
    tables = to_tables(made)
    lines = [f'kind = "{tables.pop("kind")}"']
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


# -- writing ---------------------------------------------------------------------------------------


def _said(made: TrainWork | BatchWork | ServeWork | Buying) -> dict[str, Any]:
    """Return the fields that are not as they are by default."""
    values = {one.name: (getattr(made, one.name), one.default) for one in fields(made)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, (value, default) in values.items() if value != default
    }  # fmt: skip


def _figures(shape: Model) -> dict[str, Any]:
    if models().get(shape.id) == shape:
        return {"name": shape.id}
    given = {one.name: (getattr(shape, one.name), one.default) for one in fields(Model)}
    return {
        name: given[name][0] for name in STATED
        if name not in shape.assumed and given[name][0] != given[name][1]
    }  # fmt: skip


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


# -- reading ---------------------------------------------------------------------------------------


def _table(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise BadInput(f"{name} is {table!r}: a table [{name}] would be right")
    return dict(table)


def _model(table: Mapping[str, Any]) -> Model:
    _known(table, ("name", *STATED), "model")
    if not table:
        raise BadInput("a job needs a model: --model llama-3.1-8b, or figures: --params 7B")
    figures = {name: _figure(name, value) for name, value in table.items() if name != "name"}
    if not figures:
        return model(str(table["name"]))
    if "params" not in figures:
        raise BadInput("a model stated by figures needs params: --params 7B")
    if "name" in table:
        raise BadInput("a name is of a published shape and params state one: give one of them")
    return sized(figures.pop("params"), figures.pop("active", None), **figures)


FIGURE_FIELDS: Mapping[str, Field[Any]] = {one.name: one for one in fields(Model)}


def _figure(name: str, value: Any) -> Any:
    return _typed(FIGURE_FIELDS[name].type, value, f"model.{name}")


def _filled(made: type[T], table: Mapping[str, Any], where: str) -> T:
    """Return a dataclass from a table, numbers as numbers."""
    known = {one.name: one for one in fields(made)}  # type: ignore[arg-type]  # any dataclass
    _known(table, known, where)
    missing = [
        name for name, one in known.items()
        if one.default is MISSING and one.default_factory is MISSING and name not in table
    ]  # fmt: skip
    if missing:
        raise BadInput(f"{where} says no {missing[0]}: --{missing[0].replace('_', '-')} would")
    return made(**{name: _typed(known[name].type, value, f"{where}.{name}")
                   for name, value in table.items()})  # fmt: skip


def _typed(kind: Any, value: Any, where: str) -> Any:
    """Return a value as its field wants it, or refuse it."""
    if get_origin(kind) is tuple:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
            raise BadInput(f"{where} is {value!r}: a list of words would be right")
        return tuple(words)
    plain = {one for one in (get_args(kind) or (kind,)) if one is not type(None)}
    if plain & {int, float}:
        return _number(value, where, whole=float not in plain)
    if plain == {bool} and not isinstance(value, bool):
        raise BadInput(f"{where} is {value!r}: true or false would be right")
    if plain == {str} and not isinstance(value, str):
        raise BadInput(f"{where} is {value!r}: a word would be right")
    choices = sorted(one for one in plain if isinstance(one, str))
    if choices and value not in choices:
        raise BadInput(f"{where} is {value!r}: one of {', '.join(choices)} would be right")
    return value


def _number(value: Any, where: str, *, whole: bool) -> float:
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise BadInput(f"{where} is {value!r}: a number would be right")
    if whole and value != int(value):
        raise BadInput(f"{where} is {value!r}: a whole number would be right")
    return int(value) if whole else float(value)


def _known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in sorted(table.keys() - set(names)):
        near = get_close_matches(name, list(names), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadInput(f"{where} knows no {name!r}{hint}")
