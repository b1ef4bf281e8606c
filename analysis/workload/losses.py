"""What real serving loses against the ideal: fitted multiples, factors and their doubt.

    fit("online").seconds(ideal, traits_of(work, "vllm", "0.18.0"))

`fitted_serving.toml` holds four sets, each fitted apart: `online` (time per token of a busy
server), `offline` (highest throughput), `single` (one sequence alone) and `prompt` (reading one
prompt with llama.cpp). A set has a multiple of every ideal time and factors for what the work is
and runs on; a factor that nobody measured is 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gputape.analysis.workload.constants import Constant, constant, constants
from gputape.analysis.workload.figure import Estimate, within
from gputape.analysis.workload.steptime import Work
from gputape.store.gpus import Gpu


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted set: a multiple of every term, and factors for what the work is and runs on."""

    name: str
    base: Mapping[str, float]
    factors: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Term, or `all`; then the trait; then its value: the factor."""

    def seconds(self, ideal: Mapping[str, float], traits: Mapping[str, str]) -> float:
        """Return the real time of ideal ones; a trait nobody measured has the factor 1."""
        total = sum(
            self.base.get(term, 0.0) * self._factor(term, traits) * time
            for term, time in ideal.items()
        )
        return total * self._factor("all", traits)

    def _factor(self, term: str, traits: Mapping[str, str]) -> float:
        kinds = self.factors.get(term, {})
        return math.prod(values.get(traits[kind], 1.0) for kind, values in kinds.items())


@cache
def fit(name: str) -> Fit:
    """Return a fitted set by name."""
    base: dict[str, float] = {}
    factors: dict[str, dict[str, dict[str, float]]] = {}
    for path, found in constants().items():
        match path.split(".", 5):
            case ["serving", set_, "base", term] if set_ == name:
                base[term] = found.value
            case ["serving", set_, "factor", term, kind, value] if set_ == name:
                factors.setdefault(term, {}).setdefault(kind, {})[value] = found.value
    return Fit(name, base, factors)


def doubt(name: str, work: Work, engine: str) -> Constant:
    """Return the interval of a set, wider for an engine or a generation it never saw."""
    traits = traits_of(work, engine)
    known = constants()
    seen = all(f"serving.{name}.seen.{kind}.{traits[kind]}" in known for kind in SEEN)
    return constant(f"serving.{name}.{'error' if seen else 'error_new'}")


SEEN = ("engine", "generation")

GENERATIONS = {
    "7": "volta-turing",
    "8.0": "ampere",
    "8.6": "ampere-gddr",
    "8.9": "ada",
    "9.0": "hopper",
    "10": "blackwell",
    "12": "blackwell-gddr",
}


def generation(gpu: Gpu) -> str:
    """Return the generation that a factor is fitted for: by compute capability, else the maker."""
    capability = gpu.cuda_cc or ""
    return next(
        (name for start, name in GENERATIONS.items() if capability.startswith(start)),
        gpu.vendor.casefold(),
    )


def traits_of(work: Work, engine: str, version: str = "") -> dict[str, str]:
    """Return what a factor may hang on."""
    stacked = "hbm" if "HBM" in (work.gpu.memory_type or "") else "gddr"
    return {
        "engine": engine,
        "version": f"{engine} {version}".strip(),
        "generation": generation(work.gpu),
        "format": f"{engine} {work.precision.format}",
        "memory": f"{engine} {stacked}",
        "width": "16-bit" if work.precision.bits >= 16 else "packed",
    }


def rated(seconds: float, per: float, unit: str, error: Constant) -> Estimate:
    """Return `per` things a second with the interval of a set; the ratios are those of the rate."""
    return within(per / seconds, unit, error.ratios, error.assumption)


def timed(seconds: float, error: Constant) -> Estimate:
    """Return a time in milliseconds with the interval of a set; its ratios are those of a rate."""
    low, high = error.ratios
    return within(seconds * 1e3, "ms", (1 / high, 1 / low), error.assumption)
