"""The shape of a model: by name, from `models.toml`, or by its figures.

model("llama-3.1-70b")                       a published shape
sized(params=7e9, layers=32)                 your own; what is not stated is assumed, and said
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from gputape.store.errors import BadInput

# words after a name that change how a model was trained or stored, not its shape
VARIANT = re.compile(
    r"[-_ ](instruct|chat|base|hf|it|fp8|nvfp4|fp4|mxfp4|bf16|awq|gptq|int4|int8|v0\.\d|\d{4})$"
)
HEAD_DIM = 128  # of 45 of the 62 shapes in models.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What of a transformer decides its work and its memory. Counts, not bytes."""

    id: str
    name: str
    params: int
    """Every weight, embeddings too."""
    active: int
    """The weights one token touches; `params` for a dense model."""
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int | None = None
    vocab: int
    experts: int | None = None
    top_k: int | None = None
    kv_bytes_token: int
    """Bytes of KV cache that one token takes over all layers at 16 bits; 0 for an encoder."""
    max_context: int | None = None
    window: int | None = None
    """Tokens that a sliding-window layer looks back, …"""
    window_layers: int = 0
    """… and how many layers do."""
    encoder: bool = False
    hub_id: str | None = None
    source: str
    assumed: tuple[str, ...] = ()
    """Fields that nobody stated."""

    @property
    def sparse(self) -> bool:
        """Whether a token touches a part of the weights only (mixture of experts)."""
        return self.active < self.params

    @property
    def attention_dim(self) -> int:
        """Width of the attention: heads x head_dim."""
        return self.heads * self.head_dim

    @property
    def embeddings(self) -> int:
        """Weights of the input and output embeddings, as if untied."""
        return 2 * self.vocab * self.hidden


FIGURES = frozenset(field.name for field in fields(Model))


@cache
def models() -> Mapping[str, Model]:
    """Every published shape by id."""
    entries = tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))
    return MappingProxyType({id_: _model(id_, entry) for id_, entry in entries.items()})


def _model(id_: str, entry: dict[str, Any]) -> Model:
    kv = 0 if entry.get("encoder") else kv_bytes(entry["layers"], **_heads(entry))
    return Model(
        **{
            "id": id_,
            "active": entry["params"],
            "kv_bytes_token": kv,
            **{name: value for name, value in entry.items() if name in FIGURES},
        }
    )


def _heads(entry: dict[str, Any]) -> dict[str, int]:
    return {"kv_heads": entry["kv_heads"], "head_dim": entry["head_dim"]}


def kv_bytes(layers: int, kv_heads: int, head_dim: int) -> int:
    """Return bytes of keys and values of one token at 16 bits: 2 x L x H_kv x d_h x 2."""
    return 2 * layers * kv_heads * head_dim * 2


def fold(name: str) -> str:
    """Reduce a name to what names the shape: owner, variant, case and punctuation go."""
    short = name.strip().casefold().rsplit("/", 1)[-1]
    while short != (cut := VARIANT.sub("", short)):
        short = cut
    return re.sub(r"[^a-z0-9]", "", short)


@cache
def _named() -> Mapping[str, Model]:
    entries = tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))
    named = {
        fold(alias): models()[id_]
        for id_, entry in entries.items()
        for alias in (entry.get("hub_id", id_), *entry.get("aliases", ()))
    }
    return MappingProxyType(named | {fold(id_): shape for id_, shape in models().items()})


def find(name: str) -> Model | None:
    """Return the shape that a name, a Hub id or an alias means, or None."""
    whole = name.strip().casefold().rsplit("/", 1)[-1]
    return _named().get(re.sub(r"[^a-z0-9]", "", whole)) or _named().get(fold(name))


def model(name: str) -> Model:
    """Return the shape of a name; an unknown one raises BadInput with the nearest names."""
    if found := find(name):
        return found
    near = difflib.get_close_matches(name.casefold().rsplit("/", 1)[-1], models(), 4, 0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "the table has no name like it"
    raise BadInput(f"no model is called {name!r}; {hint} Or give figures: --params 7B")


def sized(params: float, active: float | None = None, **stated: int | None) -> Model:
    """Return a model from its figures; what is not stated is assumed and named in `assumed`.

    The depth and width of dense transformers follow N ≈ 12·L·h² with h ≈ 128·L (Kaplan et al.,
    arXiv 2001.08361, and the shapes of `models.toml`, within a third).
    """
    figures = {name: value for name, value in stated.items() if value is not None}
    if unknown := sorted(figures.keys() - FIGURES):
        raise BadInput(f"a model has no figure {unknown[0]!r}")
    if params <= 0 or (active is not None and not 0 < active <= params):
        raise BadInput("parameters must be above 0, and active ones at most all of them")
    shape = _guessed(active or params, figures)
    return Model(
        **{
            "id": "stated",
            "name": f"{params / 1e9:g}B parameters",
            "params": round(params),
            "active": round(active or params),
            "source": "stated",
            "assumed": tuple(name for name in shape if name not in figures),
            **shape,
            **figures,
        }
    )


def _rounded(width: float) -> int:
    """Return a width as models have them: whole heads, and eight at a time when wide."""
    step = 8 * HEAD_DIM if width > 16 * HEAD_DIM else HEAD_DIM
    return max(step, step * round(width / step))


def _guessed(size: float, figures: dict[str, int]) -> dict[str, Any]:
    """Return every figure of shape, the stated ones as they are."""
    layers = figures.get("layers") or max(1, round((size / (12 * HEAD_DIM**2)) ** (1 / 3)))
    hidden = figures.get("hidden") or _rounded((size / (12 * layers)) ** 0.5)
    head_dim = figures.get("head_dim") or HEAD_DIM
    heads = figures.get("heads") or max(1, hidden // head_dim)
    kv_heads = figures.get("kv_heads") or (8 if heads > 8 and heads % 8 == 0 else heads)
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "vocab": figures.get("vocab") or 128_256,
        "kv_bytes_token": figures.get("kv_bytes_token") or kv_bytes(layers, kv_heads, head_dim),
    }
