"""`providers` and `gpus`: what the program knows without asking anybody."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gputape.app.cli.output import format_options, write

if TYPE_CHECKING:
    from gputape.app.config import Config
    from gputape.scrapers.adapter import Provider

PROVIDERS = ("provider", "name", "on", "options", "market", "every", "keys", "prices_at",
             "terms_url", "note")  # fmt: skip
GPUS = ("gpu", "name", "family", "memory_gib", "bandwidth_gb_s", "bf16_tflops", "fp16_tflops",
        "fp8_tflops", "tdp_w", "form_factor", "launch_year")  # fmt: skip


@click.command()
@format_options
def providers(fmt: str, output: Path | None) -> None:
    """List providers: what they sell, who is on, and why not."""
    from gputape.app import config
    from gputape.scrapers.registry import ADAPTERS

    settings, _ = config.load()
    rows = [_provider(found.PROVIDER, settings) for found in ADAPTERS]
    if fmt == "table":
        shown = [0, 2, 3, 5, 6, 9]
        write([[row[i] for i in shown] for row in rows], [PROVIDERS[i] for i in shown], fmt, output)
        return
    write(rows, PROVIDERS, fmt, output)


def _provider(provider: "Provider", settings: "Config") -> list[object]:
    hours = provider.cadence.total_seconds() / 3600
    found = [
        f"{key} {'set' if os.environ.get(key) or os.environ.get(f'{key}_FILE') else 'not set'}"
        for key in provider.keys
    ]
    return [
        provider.slug,
        provider.name,
        is_on(provider, settings),
        ", ".join(sorted(provider.options)),
        provider.market.value,
        f"{hours:g} h",
        ", ".join(found),
        provider.prices_at,
        provider.terms_url,
        " ".join(filter(None, (provider.note, provider.opt_in))),
    ]


def is_on(provider: "Provider", settings: "Config") -> str:
    """Say whether a plain `collect` asks this provider."""
    if provider.slug in settings.enabled(False):
        return "no (configuration)"
    if not provider.opt_in:
        return "yes"
    return "yes (configuration)" if provider.slug in settings.enabled() else "opt-in"


@click.command()
@click.argument("words", nargs=-1)
@format_options
def gpus(words: tuple[str, ...], fmt: str, output: Path | None) -> None:
    """List accelerators and their facts; WORDS are ids, families or globs."""
    from gputape.store import gpus as facts

    chosen = facts.select(words or ["*"])
    rows = [
        [gpu.id, *(getattr(gpu, column) for column in GPUS[1:])]
        for gpu in facts.gpus().values()
        if gpu.id in chosen
    ]
    write(rows, GPUS, fmt, output)
