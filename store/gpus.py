"""Which GPU a spelling means, and what is known about it.

Identity is data: `gpus.toml` holds one entry per part that is priced apart. A spelling resolves
by exact folded alias, never by substring, and memory decides between entries that share one.
Figures are dense peaks without sparsity; a figure that is not known is None.
"""

import difflib
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gputape.store.errors import BadInput

MAKERS = frozenset({"nvidia", "amd", "intel", "google", "aws", "habana", "qualcomm"})
UNNAMING = MAKERS | {"tesla", "geforce", "instinct", "radeon", "gpu"}
"""Words that name no part: no two entries differ by one of them alone."""

MEMORY = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?(?:gib|gb|g)(?![a-z0-9.])")
# "A100 80GB", "V100 32G", "H100_80GB", "A100 (40 GB)"; not the "1g.5gb" of a MIG slice

NOMINAL = (Decimal("0.92"), Decimal("1.08"))
# stated / ours: an L4 of 24 reports 22888 MiB (0.931); a B300 of 270 is sold as 288 (1.067)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One part as it is priced. Figures are per unit that clouds count as one GPU or chip."""

    id: str
    name: str
    vendor: str
    family: str
    """What people type to mean every variant: `h100`."""
    architecture: str | None = None
    memory_gib: Decimal
    """Usable memory as sold: 24 for an L4, 180 for a B200."""
    memory_type: str | None = None
    bandwidth_gb_s: Decimal | None = None
    bf16_tflops: Decimal | None = None
    fp16_tflops: Decimal | None = None
    """With FP32 accumulation; `fp16acc16_tflops` where half-precision sums run faster."""
    fp16acc16_tflops: Decimal | None = None
    tf32_tflops: Decimal | None = None
    fp32_tflops: Decimal | None = None
    fp8_tflops: Decimal | None = None
    fp4_tflops: Decimal | None = None
    int8_tops: Decimal | None = None
    tdp_w: Decimal | None = None
    scaleup_gb_s: Decimal | None = None
    """Both directions together, to the other GPUs of its NVLink, IF or ICI domain; 0 is none."""
    scaleup_link: str | None = None
    form_factor: str | None = None
    launch_year: int | None = None
    cuda_cc: str | None = None
    units_per_board: int = 1
    either: tuple[str, ...] = ()
    """The parts it may be, for a source that does not say which; its figures are theirs."""
    notes: str = ""
    source: str
    checked: date
    band_usd_gpu_hour: tuple[Decimal, Decimal]
    """No true price of a whole GPU-hour lies outside, host included."""
    aliases: tuple[str, ...] = ()
    says: Mapping[str, tuple[str, ...]] = field(hash=False)
    """Provider → spellings that mean this part in that provider's mouth only.

    One with its maker's name holds only with it: "NVIDIA H100" is not "H100".
    """


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every known GPU by id."""
    text = _text()
    entries = tomllib.loads(text, parse_float=Decimal)
    return MappingProxyType({id_: _gpu(id_, entry) for id_, entry in entries.items()})


FIGURES = frozenset(name for name, kind in Gpu.__annotations__.items() if kind == Decimal | None)


def _gpu(id_: str, entry: dict[str, Any]) -> Gpu:
    figures = {name: Decimal(entry[name]) for name in FIGURES & entry.keys()}
    low, high = entry["band_usd_gpu_hour"]
    fields: dict[str, Any] = {
        "id": id_,
        **entry,
        **figures,
        "memory_gib": Decimal(entry["memory_gib"]),
        "either": tuple(entry.get("either", ())),
        "aliases": tuple(entry.get("aliases", ())),
        "says": {slug: tuple(said) for slug, said in entry.get("says", {}).items()},
        "band_usd_gpu_hour": (Decimal(low), Decimal(high)),
    }
    return Gpu(**fields)


def fold(spelling: str) -> str:
    """Reduce a spelling to what names the part.

    Case, punctuation and spaces go, and whole words of makers and brands:
    "NVIDIA GeForce RTX 4090", "RTX-4090" and "rtx4090" are one. "Quadro", "Ada", "PRO" stay,
    because an RTX 6000 is another part with each of them.
    """
    return "".join(_naming(_words(spelling)))


def _words(spelling: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", spelling.casefold())


def _naming(words: list[str]) -> list[str]:
    return [word for word in words if word not in UNNAMING]


def _read(spelling: str) -> tuple[list[str], Decimal | None]:
    """Return the words and the memory, which is split off when exactly one is stated."""
    text = spelling.casefold()
    stated = MEMORY.findall(text)
    if len(stated) != 1:
        return _words(text), None
    return _words(MEMORY.sub(" ", text)), Decimal(stated[0])


def spellings(gpu: Gpu) -> list[str]:
    """Return an entry's id, name and aliases, each also with its form factor: "L40S PCIe"."""
    plain = [gpu.id, gpu.name, *gpu.aliases]
    return plain + [f"{spelling} {gpu.form_factor}" for spelling in plain if gpu.form_factor]


class _Named(NamedTuple):
    gpu: Gpu
    with_memory: bool
    """The alias states a memory, so it is no match for a spelling without one."""

    def fits(self, stated: list[Decimal]) -> bool:
        return bool(stated or not self.with_memory) and all(
            NOMINAL[0] <= memory / self.gpu.memory_gib <= NOMINAL[1] for memory in stated
        )


@cache
def _named() -> Mapping[str, list[_Named]]:
    """Folded spelling → the entries it may mean."""
    named: dict[str, list[_Named]] = defaultdict(list)
    for gpu in gpus().values():
        for spelling in spellings(gpu):
            words, memory = _read(spelling)
            named["".join(_naming(words))].append(_Named(gpu, memory is not None))
    return dict(named)


@cache
def _said() -> Mapping[tuple[str | None, str], list[_Named]]:
    """Return the same for one provider's mouth, where makers' words count."""
    said: dict[tuple[str | None, str], list[_Named]] = defaultdict(list)
    for gpu in gpus().values():
        for provider, told in gpu.says.items():
            for spelling in told:
                words, memory = _read(spelling)
                said[provider, "".join(words)].append(_Named(gpu, memory is not None))
    return dict(said)


def resolve(
    spelling: str, memory_gib: Decimal | None = None, provider: str | None = None
) -> Gpu | None:
    """Return the one GPU that a spelling means, or None.

    What the provider is known to mean by it comes first, word for word and then without makers'
    words; then the aliases that hold for everyone. Memory, in the spelling or beside it, must
    agree with the entry within `NOMINAL`.
    """
    words, inside = _read(spelling)
    naming = "".join(_naming(words))
    stated = [memory for memory in (inside, memory_gib) if memory is not None]
    for candidates in (
        _said().get((provider, "".join(words)), []),
        _said().get((provider, naming), []),
        _named().get(naming, []),
    ):
        meant = {named.gpu.id: named.gpu for named in candidates if named.fits(stated)}
        if len(meant) == 1:
            return meant.popitem()[1]
    return None


@lru_cache(maxsize=1024)  # 6 ms a call, and a catalogue repeats its one unknown spelling
def suggestion(spelling: str, memory_gib: Decimal | None = None) -> str:
    """Return the line that would teach `gpus.toml` a spelling, with the ids it looks like."""
    near = difflib.get_close_matches(fold(spelling), _named(), n=3, cutoff=0.5)
    ids = dict.fromkeys(named.gpu.id for key in near for named in _named()[key])
    memory = f"{memory_gib:f} GiB; " if memory_gib is not None else ""
    where = f"under its own [id] or one of {', '.join(ids)}" if ids else "under its own [id]"
    return f"aliases = [{json.dumps(spelling, ensure_ascii=False)}]  # {memory}{where}"


def select(words: Iterable[str]) -> frozenset[str]:
    """Return the ids that a person's words mean together: ids, families and globs (`h100*`)."""
    return frozenset(id_ for word in words for id_ in _selected(word))


def _selected(word: str) -> list[str]:
    pattern = word.strip().casefold()
    found = [
        id_ for id_, family in families().items() if family == pattern or fnmatchcase(id_, pattern)
    ]
    if not found:
        raise BadInput(f"no GPU is called {word!r}; {_nearest(word)}")
    return found


@cache
def families() -> Mapping[str, str]:
    """Return id → family of every entry.

    By two patterns over the file instead of a TOML parser: 0.5 ms instead of 18, of which a
    cold `gputape offers --gpu` takes notice. A test holds it to what the parser reads.
    """
    pairs = re.findall(r'^\[([a-z0-9-]+)\]$|^family = "([^"]+)"$', _text(), re.MULTILINE)
    ids = [id_ for id_, _ in pairs if id_]
    return MappingProxyType(dict(zip(ids, (family for _, family in pairs if family), strict=True)))


def _nearest(word: str) -> str:
    known = sorted({name for pair in families().items() for name in pair})
    near = difflib.get_close_matches(word.casefold(), known, n=4, cutoff=0.5)
    meant = resolve(word)
    names = dict.fromkeys([meant.id, *near] if meant else near)
    return f"did you mean {', '.join(names)}?" if names else "`gputape gpus` lists them all"


@cache
def _text() -> str:
    # a path beside this file: importlib.resources costs 8 ms of a cold start
    return Path(__file__).with_name("gpus.toml").read_text("utf-8")
