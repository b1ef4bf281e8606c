"""Any CSV of prices, with a map from our words to its columns (`csv` on the command line).

A map says, for each field of a quote, a column (`price = "price_usd"`) or, after `=`, what holds
for every row (`provider = "=aws"`). A column that is called as our field needs no line.
`source`, `licence`, `attribution` and `url` say who kept the table; `complete = true` says that
a series missing from a moment was no longer sold. Rows are grouped by provider and moment. What a
table does not say is: option on demand, region `unstated`, US dollars per hour for the whole sku.
A time without a zone is UTC. A blank price says that nothing was known, not that it was gone.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from gputape.scrapers.importers import kept
from gputape.scrapers.importers.flaws import Flaws
from gputape.scrapers.importers.sellers import slug
from gputape.scrapers.importers.snapshot import ImportOptions, ImportSource, Snapshot
from gputape.scrapers.quote import Of, Per, Quote
from gputape.store.errors import BadInput
from gputape.store.offer import Option

SOURCE = ImportSource(slug="csv", name="a table", url="", licence="not said")
REVISION = 1

TEXTS = ("zone", "tier", "payment", "gpu")
FIGURES = ("price", "upfront", "gpu_count", "gpu_memory_gib", "vcpus", "memory_gib")
NEEDED = ("provider", "sku", "price")
FIELDS = (
    *NEEDED, "observed_at", "region", "option", "currency", "per", "of", "term_months",
    "available", *TEXTS, *FIGURES[1:],
)  # fmt: skip
ABOUT = ("source", "licence", "attribution", "url", "complete")
OPTIONS = {
    "ondemand": Option.ON_DEMAND, "od": Option.ON_DEMAND, "payg": Option.ON_DEMAND,
    "spot": Option.SPOT, "preemptible": Option.SPOT, "interruptible": Option.SPOT,
    "reserved": Option.RESERVED, "commitment": Option.RESERVED,
}  # fmt: skip
YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
OUT_OF_ORDER = "rows out of time order, sorted"
ONE_MINUTE = "moments of one provider within a minute, kept apart"
BLANK = "rows without a price: nothing was known"
LEFT_OUT = "rows that can not be read, left out"


@dataclass(frozen=True, slots=True)
class Words:
    """What a map says, held against a header."""

    columns: Mapping[str, str]
    constants: Mapping[str, str]

    def said(self, name: str, row: Mapping[str, str | None]) -> str | None:
        """Return what a row says for one of our fields; None for nothing."""
        column = self.columns.get(name)
        text = self.constants.get(name, "") if column is None else row.get(column) or ""
        return text.strip() or None


@dataclass(slots=True)
class Moment:
    """What one provider charged at one time."""

    quotes: list[Quote] = field(default_factory=list)
    blank: bool = False


def source(options: ImportOptions) -> ImportSource:
    """Return who kept the table, as the map says."""
    about = {name: _constant(options.columns[name]) for name in ABOUT if name in options.columns}
    name = about.get("source") or SOURCE.name
    kebab = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    return ImportSource(
        slug=kebab if "source" in about else SOURCE.slug,
        name=name,
        url=about.get("url", SOURCE.url),
        licence=about.get("licence", SOURCE.licence),
        attribution=about.get("attribution", ""),
    )


def snapshots(path: Path, options: ImportOptions, /) -> Iterator[Snapshot]:
    """Yield a snapshot per file, moment and provider."""
    files = kept.listed(path, ".csv")
    kept.check_one_moment(files, options)
    complete = YES_NO.get(_constant(options.columns.get("complete", "no")).casefold(), False)
    for file in files:
        name = kept.called(file, path)
        flaws = Flaws()
        for (when, provider), moment in sorted(_moments(file, name, options, flaws).items()):
            flaws.note_two_prices(moment.quotes, f"{name}: {provider} {when:%Y-%m-%d}")
            yield Snapshot(
                provider=provider,
                observed_at=when,
                quotes=moment.quotes,
                file=name,
                read=file.read_bytes,
                complete=complete and not moment.blank,
                defects=flaws.take(),
            )


def _moments(
    file: Path, name: str, options: ImportOptions, flaws: Flaws
) -> dict[tuple[datetime, str], Moment]:
    text = kept.text(file)
    comma = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text), delimiter=comma)
    words = _words(options.columns, list(rows.fieldnames or ()), file)
    moments: dict[tuple[datetime, str], Moment] = defaultdict(Moment)
    times: list[tuple[datetime, str]] = []
    named = options.observed_at or kept.named_moment(file)
    for line, row in enumerate(rows, start=2):
        place = f"{name}:{line}"
        try:
            when, provider, quote = _read(words, row, options.observed_at, named)
        except ValueError as error:
            flaws.add(LEFT_OUT, f"{place}: {error}")
            continue
        times.append((when, place))
        _add(moments[when, provider], provider, quote, place, flaws)
    if not moments:
        why = (flaws.all().get(LEFT_OUT) or ("it has no rows",))[0]
        raise BadInput(f"{file} has no row that can be read ({why}): see its map")
    _note_order(times, flaws)
    _note_minutes(sorted(moments, key=lambda key: (key[1], key[0])), name, flaws)
    return moments


def _add(moment: Moment, provider: str, quote: Quote, place: str, flaws: Flaws) -> None:
    if quote.price is None:
        moment.blank = True
        flaws.add(BLANK, place)
    else:
        clean = replace(quote, price=flaws.dusted(quote.price, place))
        moment.quotes.append(flaws.by_facts(provider, clean, place))


# -- the map -------------------------------------------------------------------------------------


def _words(said: Mapping[str, Any], header: list[str], file: Path) -> Words:
    columns = {name: name for name in FIELDS if name in header}
    constants: dict[str, str] = {}
    for name, value in said.items():
        if name in ABOUT:
            continue
        if name not in FIELDS:
            _unknown(f"there is no field {name!r}", name, FIELDS)
        columns.pop(name, None)
        if not isinstance(value, str) or value.startswith("="):
            constants[name] = _constant(value)
        elif value in header:
            columns[name] = value
        else:
            _unknown(f"{file} has no column {value!r}", value, header)
    for name in NEEDED:
        if name not in columns and name not in constants:
            _unknown(f"{file}: say which column is the {name}", name, header)
    return Words(columns, constants)


def _constant(value: object) -> str:
    """Return what holds for every row: "=aws", or a number or truth value of TOML."""
    return str(value).lower() if isinstance(value, bool) else str(value).removeprefix("=")


def _unknown(sentence: str, word: str, known: Sequence[str]) -> NoReturn:

    near = get_close_matches(word.casefold(), known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise BadInput(f"{sentence}: {hint}")


# -- a row ---------------------------------------------------------------------------------------


def _read(
    words: Words, row: Mapping[str, str | None], told: datetime | None, named: datetime | None
) -> tuple[datetime, str, Quote]:
    """Return when, who and what. Raises `ValueError` saying what is missing."""
    when, provider = words.said("observed_at", row), words.said("provider", row)
    sku = words.said("sku", row)
    moment = told or (kept.moment(when) if when else named)
    if moment is None:
        raise ValueError("no time: map observed_at or say --observed-at")
    if not (provider and sku):
        raise ValueError("no provider or no sku")
    return moment, slug(provider), _quote(words, row, sku)


def _quote(words: Words, row: Mapping[str, str | None], sku: str) -> Quote:
    term = words.said("term_months", row)
    available = words.said("available", row)
    fields: dict[str, Any] = {name: words.said(name, row) for name in (*TEXTS, *FIGURES)}
    return Quote(
        sku=sku,
        option=_option(words.said("option", row)),
        region=words.said("region", row) or "unstated",
        currency=words.said("currency", row) or "USD",
        per=Per(words.said("per", row) or Per.HOUR),
        of=Of(words.said("of", row) or Of.SKU),
        term_months=int(term) if term else None,
        available=YES_NO.get(available.casefold()) if available else None,
        **fields,
    )


def _option(word: str | None) -> Option:
    folded = re.sub(r"[^a-z]", "", (word or "ondemand").casefold())
    if folded not in OPTIONS:
        raise ValueError(f"{word!r} is no option: on_demand, spot or reserved")
    return OPTIONS[folded]


# -- the order of time ---------------------------------------------------------------------------


def _note_order(times: list[tuple[datetime, str]], flaws: Flaws) -> None:
    """Note rows that step back; a table kept newest first is in order too."""
    back = [place for (before, _), (after, place) in pairwise(times) if after < before]
    onward = any(after > before for (before, _), (after, _) in pairwise(times))
    if onward:
        for place in back:
            flaws.add(OUT_OF_ORDER, place)


def _note_minutes(keys: list[tuple[datetime, str]], name: str, flaws: Flaws) -> None:
    for (before, one), (after, other) in pairwise(keys):
        if one == other and before.replace(second=0, microsecond=0) == after.replace(
            second=0, microsecond=0
        ):
            flaws.add(ONE_MINUTE, f"{name}: {one} {after:%Y-%m-%d %H:%M}")
