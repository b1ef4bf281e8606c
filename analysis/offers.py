"""What a GPU hour costs now, or at a moment: a question, its rows, and what was left out.

    answer = offers(con, Question(gpus=select(["h100"]), option="spot"), now)

`answer.rows` are tuples in the order of `COLUMNS`; `answer.as_of` says how old they are and
what was left out and why. Prices are USD per GPU-hour before tax; NULL where no exchange
rate is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.analysis.history import in_order
from gputape.store.errors import BadInput
from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

COLUMNS = (
    "gpu", "usd_gpu_hour", "provider", "sku", "gpu_count", "option", "tier", "term_months",
    "payment", "region", "zone", "usd_hour", "price", "currency", "upfront", "gpu_memory_gib",
    "vcpus", "memory_gib", "available", "state", "reason", "held_price", "derived", "relay",
    "market", "since", "first_seen", "last_seen", "stale", "standing", "origin", "source",
    "series_id",
)  # fmt: skip
SORTS = {
    "usd-gpu-hour": "usd_gpu_hour nulls last",
    "usd-hour": "usd_hour nulls last",
    "gpu": "gpu",
    "provider": "provider",
    "last-seen": "last_seen desc",
}
INCLUDES = ("suspect", "gone", "derived", "marketplace", "fraction", "imported")
# why a row that fits the question is left out of the answer: the first that is true
LEFT_OUT = {
    "gone": "state = 'gone'",
    "unpriced": "state = 'unpriced'",
    "suspect": "state = 'suspect'",
    "imported": "(origin = 'import' or source is not null) and stale",
    "marketplace": "market = 'marketplace'",
    "derived": "derived is not null",
    "fraction": "gpu_count < 1",
    "too old": "last_seen < $at::timestamptz - $max_age::interval",
}
FOREVER = "timestamptz 'infinity'"
NICKNAMES = {"eu": "europe", "na": "north-america", "sa": "south-america", "me": "middle-east"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which offers; None means any."""

    gpus: frozenset[str] | None = None
    """Canonical ids, from `gputape.store.gpus.select`."""
    providers: frozenset[str] | None = None
    option: str | None = None
    tier: str | None = None
    term_months: int | None = None
    region: str | None = None
    """A prefix of the provider's code (`us-east`) or a continent (`europe`, `eu`)."""
    count: Decimal | None = None
    at_least_count: bool = False
    memory_min_gib: Decimal | None = None
    max_usd_gpu_hour: Decimal | None = None
    max_age: timedelta | None = None
    as_of: datetime | None = None
    as_recorded: bool = False
    """With nothing that was recorded after `as_of`: no later import, no correction."""
    include: frozenset[str] = frozenset()
    sort: str = "usd-gpu-hour"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AsOf:
    """How old an answer is and what it leaves out."""

    rows: int
    newest: datetime | None
    oldest: datetime | None
    stale: int
    left_out: dict[str, int]
    matched: int
    """Rows before `limit`."""
    cheapest_usd_gpu_hour: Decimal | None
    """Likewise."""

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.newest or not self.oldest:
            return f"nothing matched{self._rest()}"
        shown = f"{self.rows} of {self.matched} offers" if self.rows < self.matched else (
            f"{self.matched} offers"
        )  # fmt: skip
        return (
            f"as of {self.newest:%Y-%m-%d %H:%M} UTC (oldest {self.oldest:%Y-%m-%d %H:%M}): "
            f"{shown}, {self.stale} stale{self._rest()}"
        )

    def _rest(self) -> str:
        words = ", ".join(f"{n} {why}" for why, n in sorted(self.left_out.items()))
        return f"; left out: {words}" if words else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows in the order of `COLUMNS`, and the line that must stand under them."""

    rows: list[tuple[Any, ...]]
    as_of: AsOf
    columns: Sequence[str] = field(default=COLUMNS)


def offers(con: "duckdb.DuckDBPyConnection", question: Question, now: datetime) -> Answer:
    """Answer a question from the tape, cheapest first unless `sort` says otherwise."""
    if question.sort not in SORTS:
        raise BadInput(f"can not sort by {question.sort!r}: one of {', '.join(SORTS)}")
    tests, values = conditions(question)
    values |= {"at": question.as_of or now, "max_age": question.max_age}
    values.setdefault("gpus", None)
    at = "$at" if question.as_of else FOREVER
    source = f"offers_known($gpus, {at}, {'epoch_us($at)' if question.as_recorded else 'null'})"
    sql = (
        f"create or replace temp table asked as select {', '.join(COLUMNS)}, "
        f"{reasons(question.include)} as left_out from {source} "
        f"where {' and '.join(tests) or 'true'}"
    )
    con.execute(filled(sql, values))
    limit = f"limit {question.limit}" if question.limit is not None else ""
    rows = con.execute(
        f"select {', '.join(COLUMNS)} from asked where left_out is null "
        f"order by {SORTS[question.sort]}, provider, sku, region, term_months, payment, tier, "
        f"zone, series_id {limit}"
    ).fetchall()
    return Answer(rows, _as_of(con, len(rows)))


def reasons(include: frozenset[str]) -> str:
    """Return in SQL why a row is left out; what is included is no reason: the next one counts."""
    cases = [f"when {test} then '{why}'" for why, test in LEFT_OUT.items() if why not in include]
    return f"case {' '.join(cases)} end"


def _as_of(con: "duckdb.DuckDBPyConnection", rows: int) -> AsOf:
    newest, oldest, stale, matched, cheapest = con.execute(
        "select max(last_seen), min(last_seen), count(*) filter (where stale), count(*), "
        "min(usd_gpu_hour) from asked where left_out is null"
    ).fetchall()[0]
    left_out = con.execute(
        "select left_out, count(*) from asked where left_out is not null group by left_out"
    ).fetchall()
    return AsOf(rows, newest, oldest, stale, dict(left_out), matched, cheapest)


def conditions(question: Question) -> tuple[list[str], dict[str, Any]]:
    """Return SQL conditions and their values; what is None asks nothing."""
    asked: dict[str, tuple[str, Any]] = {
        "gpus": ("list_contains($gpus, gpu)", in_order(question.gpus)),
        "providers": ("list_contains($providers, provider)", in_order(question.providers)),
        "option": ("option = $option", question.option),
        "tier": ("tier = $tier", question.tier),
        "term": ("term_months = $term", question.term_months),
        "count": (
            f"gpu_count {'>=' if question.at_least_count else '='} $count", question.count
        ),
        "memory": ("gpu_memory_gib >= $memory", question.memory_min_gib),
        "price": ("usd_gpu_hour <= $price", question.max_usd_gpu_hour),
    }  # fmt: skip
    used = {name: pair for name, pair in asked.items() if pair[1] is not None}
    tests = [test for test, _ in used.values()]
    values = {name: value for name, (_, value) in used.items()}
    if question.region:
        test, more = _in_region(question.region.strip().casefold())
        return [*tests, test], values | more
    return tests, values


def _in_region(word: str) -> tuple[str, dict[str, Any]]:
    from gputape.store.regions import CONTINENTS, places_on  # noqa: PLC0415  # 5 ms of TOML

    continent = NICKNAMES.get(word, word)
    if continent not in CONTINENTS:
        return "starts_with(lower(region), $region)", {"region": word}
    places = [f"{provider}/{code}" for provider, code in places_on(continent)]
    return "list_contains($places, provider || '/' || region)", {"places": places}
