"""How prices went: intervals of a GPU or a sku, and the moves between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gputape.store.literal import filled

if TYPE_CHECKING:
    import duckdb

INTERVAL = (
    "provider", "sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu",
    "gpu_count", "usd_gpu_hour", "price", "currency", "state", "valid_from", "valid_to", "origin",
    "source", "replaces", "series_id",
)  # fmt: skip
CHANGE = (
    "changed_at",
    "event",
    "provider",
    "sku",
    "region",
    "zone",
    "option",
    "tier",
    "term_months",
    "payment",
    "gpu",
    "gpu_count",
    "old_gpu_hour",
    "gpu_hour",
    "currency",
    "percent",
    "old_price",
    "price",
    "old_since",
    "origin",
    "source",
    "series_id",
)
SUMMARY = (
    "provider", "sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu",
    "gpu_count", "currency", "price", "low", "high", "mean", "all_time_low", "all_time_low_at",
    "all_time_high", "hours_covered", "hours", "first_seen", "last_seen", "state", "source",
    "series_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and the names of their columns."""

    rows: list[tuple[Any, ...]]
    columns: Sequence[str]


def history(
    con: "duckdb.DuckDBPyConnection",
    *,
    since: datetime,
    gpus: frozenset[str] = frozenset(),
    skus: frozenset[str] = frozenset(),
    option: str | None = None,
    provider: str | None = None,
    as_recorded: bool = False,
) -> Table:
    """Return the price intervals of some GPUs or skus that reach past `since`, series by series.

    `usd_gpu_hour` is NULL where no exchange rate is known; `valid_to` is NULL for the present.
    `as_recorded` leaves out corrections: what was said at the time.
    """
    sql = filled(
        f"select {', '.join(INTERVAL)} from prices_of({str(as_recorded).lower()}) "
        "where (list_contains($gpus, gpu) or list_contains($skus, sku)) "
        "and coalesce(valid_to, 'infinity'::timestamptz) > $since "
        "and option = coalesce($option, option) and provider = coalesce($provider, provider) "
        "order by provider, sku, region, zone, option, tier, term_months, payment, series_id, "
        "valid_from",
        {"gpus": sorted(gpus), "skus": sorted(skus), "since": since, "option": option,
         "provider": provider},
    )  # fmt: skip
    return Table(con.execute(sql).fetchall(), INTERVAL)


def summary(
    con: "duckdb.DuckDBPyConnection",
    *,
    since: datetime,
    until: datetime,
    gpus: frozenset[str] = frozenset(),
    skus: frozenset[str] = frozenset(),
    option: str | None = None,
    provider: str | None = None,
) -> Table:
    """Return a row per series: its low, high and time-weighted mean from `since` to `until`.

    Prices are native, for the whole sku, per hour. `hours_covered` of `hours` were covered by
    looks; the mean is of those, and nothing stands for the others.
    """
    sql = filled(
        f"select {', '.join(SUMMARY)} from summary_of($all_gpus, $since, $until) "
        "where (list_contains($gpus, gpu) or list_contains($skus, sku)) "
        "and option = coalesce($option, option) and provider = coalesce($provider, provider) "
        "order by low / gpu_count, provider, sku, region, series_id",
        {"gpus": sorted(gpus), "skus": sorted(skus), "since": since, "until": until,
         "option": option, "provider": provider, "all_gpus": sorted(gpus) or None},
    )  # fmt: skip
    return Table(con.execute(sql).fetchall(), SUMMARY)


def changes(
    con: "duckdb.DuckDBPyConnection",
    *,
    since: datetime,
    gpus: frozenset[str] | None = None,
    provider: str | None = None,
    option: str | None = None,
    events: Sequence[str] = ("price",),
) -> Table:
    """Return what moved after `since`, newest first; corrections are never among it.

    `gpu_hour` and `old_gpu_hour` are in the native currency. `events`: `price`, `new`, `gone`,
    `unpriced`, `back`.
    """
    sql = filled(
        f"select {', '.join(CHANGE)} from changes_between($since, 'infinity'::timestamptz) "
        "where list_contains($events, event) "
        "and ($gpus is null or list_contains($gpus, gpu)) "
        "and option = coalesce($option, option) and provider = coalesce($provider, provider) "
        "order by changed_at desc, provider, sku, region, series_id",
        {"since": since, "events": list(events), "gpus": in_order(gpus), "option": option,
         "provider": provider},
    )  # fmt: skip
    return Table(con.execute(sql).fetchall(), CHANGE)


def in_order(words: frozenset[str] | None) -> list[str] | None:
    """Return words as a list for SQL; none at all stays an empty list, any stays None."""
    return None if words is None else sorted(words)
