"""Every import format, by the name that people give it."""

from difflib import get_close_matches

from gputape.scrapers.importers import (
    article,
    aws_offer,
    aws_spot_history,
    fsdl,
    gcosts,
    gpuhunt,
    gpurentalprices,
    skypilot,
    table,
)
from gputape.scrapers.importers.snapshot import Importer, ImportOptions, ImportSource
from gputape.store.errors import BadInput

IMPORTERS: dict[str, Importer] = {
    "skypilot": skypilot,
    "gpurentalprices": gpurentalprices,
    "gcosts": gcosts,
    "fsdl": fsdl,
    "gpuhunt": gpuhunt,
    "aws-spot-history": aws_spot_history,
    "aws-offer": aws_offer,
    "csv": table,
    "article": article,
}


def importer(name: str) -> Importer:
    """Return a format's module. Raises `BadInput` with the nearest name."""
    if name in IMPORTERS:
        return IMPORTERS[name]
    near = get_close_matches(name.casefold(), IMPORTERS, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(IMPORTERS)}"
    raise BadInput(f"there is no import format {name!r}: {hint}")


def source(name: str, options: ImportOptions) -> ImportSource:
    """Return who kept a history; a table's map says so itself."""
    return table.source(options) if name == "csv" else importer(name).SOURCE
