"""The Python API: a tape that is open for questions, and the rows that answer one.

    open ──▶ Tape ──offers · at · history · changes · daily · sql──▶ Rows ──df · arrow · rows──▶

A question is asked of the tape when its rows are first needed, and then its answer is kept:
`len`, `.df()`, `.arrow()` and `.rows()` of one `Rows` agree with each other.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from gputape.store import moments
from gputape.store.answer import Rows, Source
from gputape.store.errors import BadInput
from gputape.store.gpus import select
from gputape.store.literal import filled
from gputape.store.moments import When
from gputape.store.offer import Option
from gputape.store.places import default_tape, where
from gputape.store.tape import reading

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

Words = str | Iterable[str]
EVENTS = ("price", "new", "gone", "unpriced", "back")
SERIES = "provider, sku, region, zone, option, tier, term_months, payment, series_id"
# what may be rented as far as is known: believed, priced, and no old table that nobody renews
CURRENT = "state = 'firm' and not (origin = 'import' and stale)"
FILTERS = {
    "gpu": "list_contains($gpu, gpu)",
    "provider": "list_contains($provider, provider)",
    "option": "list_contains($option, option)",
    "sku": "list_contains($sku, sku)",
    "tier": "list_contains($tier, tier)",
    "region": "starts_with(lower(region), $region)",
    "term_months": "term_months = $term_months",
}


class Which(TypedDict, total=False):
    """Which series; what is left out, or None, is any."""

    gpu: Words | None
    """Ids, families (`h100`) and globs (`rtx-*`)."""
    provider: Words | None
    option: Words | None
    """`on_demand`, `reserved`, `spot`."""
    region: str | None
    """A prefix of the provider's code: `us-east`."""
    sku: Words | None
    tier: Words | None
    term_months: int | None


class Tape(Source):
    """A tape that is open for questions. `gputape.store.open` makes one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    @property
    def newest_look(self) -> "datetime | None":
        """When this copy's newest look at any provider was; None on an empty tape."""
        rows = Rows(
            self,
            "select max(observed_at) as newest from scan where status in ('ok', 'unchanged')",
        ).rows()
        newest: datetime | None = rows[0]["newest"]
        return newest

    def offers(self, *, everything: bool = False, **which: Unpack[Which]) -> Rows:
        """Return what a GPU hour costs now, a series a row, cheapest first.

        Firm prices only, and no imported table that nobody renews; `everything` also has what
        is gone, unpriced and not yet believed: see `state`.
        """
        return self._offers(
            "offers_of($ids, timestamptz 'infinity')", which, {}, everything=everything
        )

    def at(
        self,
        moment: When,
        *,
        everything: bool = False,
        as_recorded: bool = False,
        **which: Unpack[Which],
    ) -> Rows:
        """Return the same as it was at a moment; a bare date is the end of that day.

        `as_recorded`: as it was believed then, before any later import or correction.
        """
        source = "offers_as_recorded($at)" if as_recorded else "offers_of($ids, $at)"
        return self._offers(source, which, {"at": moments.end(moment)}, everything=everything)

    def history(
        self,
        what: Words | None = None,
        *,
        since: When | None = None,
        until: When | None = None,
        as_recorded: bool = False,
        **which: Unpack[Which],
    ) -> Rows:
        """Return price intervals that reach into a period, whole, series by series.

        `what` is GPUs, as `gpu` has them, or a provider's skus. `valid_to` is None for the
        present. `as_recorded`: without corrections of our own reading.
        """
        tests, values = self._read(which)
        if what is not None:
            tests.append("(list_contains($gpus, gpu) or list_contains($skus, sku))")
            values |= self._gpus_or_skus(_words(what))
        if since is not None:
            tests.append("coalesce(valid_to, timestamptz 'infinity') > $since")
            values["since"] = moments.start(since)
        if until is not None:
            tests.append("valid_from <= $until")
            values["until"] = moments.end(until)
        source = "prices_as_recorded()" if as_recorded else "v_prices"
        return self._rows(source, tests, f"{SERIES}, valid_from", values)

    def changes(
        self,
        since: When,
        until: When | None = None,
        *,
        event: Words = "price",
        **which: Unpack[Which],
    ) -> Rows:
        """Return what moved after `since` and until `until`, newest first; no correction ever.

        `event`: any of `price`, `new`, `gone`, `unpriced`, `back`.
        """
        tests, values = self._read(which)
        events = _words(event)
        _check(events, EVENTS, "event")
        values |= {"since": moments.start(since), "until": moments.end(until or "9999-12-30")}
        source = "changes_between($since, $until)"
        order = f"changed_at desc, {SERIES}"
        return self._rows(
            source, [*tests, "list_contains($event, event)"], order, values | {"event": events}
        )

    def daily(
        self,
        *,
        gpu: Words | None = None,
        provider: Words | None = None,
        option: Words | None = None,
        since: When | None = None,
        until: When | None = None,
    ) -> Rows:
        """Return a day a row for each provider, GPU and option, oldest first, in USD per GPU-hour.

        The first and the last day are both counted; today's is not over.
        """
        tests, values = self._read(Which(gpu=gpu, provider=provider, option=option))
        if since is not None:
            tests.append("day >= $since::date")
            values["since"] = f"{moments.start(since):%Y-%m-%d}"
        if until is not None:
            tests.append("day <= $until::date")
            values["until"] = f"{moments.end(until):%Y-%m-%d}"
        return self._rows("v_daily", tests, "day, provider, gpu, option", values)

    def sql(self, query: str) -> Rows:
        """Return the rows of one `select` of yours; the tape is only read.

        Raises `BadInput` with DuckDB's own words.
        """
        from duckdb import StatementType  # noqa: PLC0415  # 80 ms that `--help` need not pay

        with self.in_words(asked=True):
            statements = self._con.extract_statements(query)
            if [statement.type for statement in statements] != [StatementType.SELECT]:
                raise BadInput("one select is asked at a time, and nothing else: the tape is read")
        rows = Rows(self, query, asked=True)
        twice = sorted({name for name in rows.columns if rows.columns.count(name) > 1})
        if twice:  # and what is not understood has been said by now
            raise BadInput(f"two columns are called {twice[0]!r}: rename one with `as`")
        return rows

    # -- how a question is put ------------------------------------------------------------

    def _offers(
        self,
        source: str,
        which: Which,
        values: dict[str, Any],
        *,
        everything: bool,
    ) -> Rows:
        tests, more = self._read(which)
        if not everything:
            tests.append(CURRENT)
        order = f"usd_gpu_hour nulls last, gpu, {SERIES}"
        return self._rows(source, tests, order, values | {"ids": more.get("gpu")} | more)

    def _rows(self, source: str, tests: list[str], order: str, values: dict[str, Any]) -> Rows:
        where = f" where {' and '.join(tests)}" if tests else ""
        return Rows(self, filled(f"from {source}{where} order by {order}", values))

    def _read(self, which: Which) -> tuple[list[str], dict[str, Any]]:
        """Return conditions and their values. Raises `BadInput` for a word that means nothing."""
        asked: dict[str, Any] = {name: word for name, word in which.items() if word is not None}
        if unknown := sorted(asked.keys() - FILTERS):
            raise BadInput(f"there is no filter {unknown[0]!r}: one of {', '.join(FILTERS)}")
        for name in asked.keys() & {"gpu", "provider", "option", "sku", "tier"}:
            asked[name] = _words(asked[name])
        if "gpu" in asked:
            asked["gpu"] = sorted(select(asked["gpu"]))
        if "region" in asked:
            asked["region"] = asked["region"].strip().lower()
        _check(asked.get("option", ()), [str(option) for option in Option], "option")
        if "provider" in asked:
            _check(asked["provider"], self._providers, "provider")
        return [FILTERS[name] for name in FILTERS if name in asked], asked

    @cached_property
    def _providers(self) -> list[str]:
        known = "select provider from v_providers union select provider from series order by 1"
        return [row["provider"] for row in Rows(self, known)]

    def _gpus_or_skus(self, words: list[str]) -> dict[str, list[str]]:
        gpus: set[str] = set()
        skus: list[str] = []
        for word in words:
            try:
                gpus |= select([word])
            except BadInput:
                sku = filled("from series where sku = $sku limit 1", {"sku": word})
                if not len(Rows(self, sku)):
                    raise
                skus.append(word)
        return {"gpus": sorted(gpus), "skus": skus}


def open_tape(path: str | os.PathLike[str] | None) -> Tape:
    """Open the published copy, or the default one: `GPUTAPE_DB`, else the data folder's."""
    db = where(path or os.environ.get("GPUTAPE_DB") or default_tape())
    return Tape(reading(db), db)


def _words(words: Words) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _check(words: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raise `BadInput` with the nearest word for one that is not known."""
    known = list(known)
    for word in words:
        if word not in known:
            near = get_close_matches(word.casefold(), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"there is no {kind} {word!r} here: {hint}")
