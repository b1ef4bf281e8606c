"""What a service shows to Prometheus, as OpenMetrics.

Labels are bounded: `source` and `job` are names of the registry, `status` words of a scan,
`gpu` an id of `gpus.toml`, `option` one of three.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from gputape.app.service import alerting
from gputape.app.service.service import Service
from gputape.store.errors import GputapeError
from gputape.store.tape import reading

if TYPE_CHECKING:
    import duckdb

BREAKER = ("closed", "retrying", "open")
BEST = """
select gpu, option, min(usd_gpu_hour) from v_offers
where state = 'firm' and not stale and usd_gpu_hour is not null and derived is null
    and available is not false
group by gpu, option order by gpu, option
"""
REJECTS = "select count(distinct sku) from v_rejects where present and reason = 'unknown_gpu'"
HELD = "select count(*) from v_offers where state = 'suspect' or held_reason is not null"


def exposed(service: Service) -> bytes:
    """Return all metrics in the OpenMetrics text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(service))
    return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]  # theirs


def gauge(
    name: str, says: str, rows: Iterable[tuple[Iterable[str], float | None]], *labels: str
) -> Metric:
    """Return a gauge with the rows that have a value."""
    found = GaugeMetricFamily(f"gputape_{name}", says, labels=labels)
    for words, value in rows:
        if value is not None:
            found.add_metric(list(words), value)
    return found


def _s(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


class _Metrics(Collector):
    """Reads a service when it is asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield InfoMetricFamily("gputape_build", "This program.", {"version": version("gputape")})
        yield from self._jobs()
        yield from self._tape()
        yield from self._alerts()

    def _jobs(self) -> Iterator[Metric]:
        lines = [((name,), line) for name, line in list(self._service.lines.items())]
        for name, says, value in (
            ("source_up", "1 when the last try answered, 0 when it failed.",
             lambda line: float(not line.course.failures) if line.course.asked_at else None),
            ("source_last_success_timestamp_seconds", "When a try last answered.",
             lambda line: _s(line.course.good_at)),
            ("source_last_try_timestamp_seconds", "When it was asked last.",
             lambda line: _s(line.course.asked_at)),
            ("source_next_try_timestamp_seconds", "When it is asked next.",
             lambda line: _s(line.due) if line.course.asked_at else None),
            ("source_consecutive_failures", "Tries in a row that failed.",
             lambda line: line.course.failures),
            ("source_rows", "Prices that the last try listed.",
             lambda line: sum(o.scan.quotes for o in line.last.outcomes) if line.last else None),
            ("source_running", "1 while it is being asked.",
             lambda line: float(line.running_since is not None)),
        ):  # fmt: skip
            yield gauge(name, says, ((words, value(line)) for words, line in lines), "source")
        yield gauge("source_breaker", "1 for the state that the breaker is in.", (
            ((*words, state), float(line.course.breaker == state))
            for words, line in lines for state in BREAKER
        ), "source", "state")  # fmt: skip
        parts = CounterMetricFamily("gputape_parts", "Parts by what they came to.",
                                    labels=("source", "status"))  # fmt: skip
        took = SummaryMetricFamily("gputape_collect_duration_seconds", "How long runs took.",
                                   labels=("source",))  # fmt: skip
        for words, line in lines:
            took.add_metric(words, line.runs, line.seconds)
            for status, count in sorted(line.results.items()):
                parts.add_metric([*words, status], count)
        yield from (parts, took)

    def _tape(self) -> Iterator[Metric]:
        db = self._service.db
        if isinstance(db, Path) and db.exists():
            yield gauge("db_bytes", "Size of the published tape.", [((), db.stat().st_size)])
        try:
            with reading(db) as con:
                yield gauge("best_price_usd", "Cheapest firm price of a GPU hour.",
                            _best(con), "gpu", "option")  # fmt: skip
                for name, says, sql in (
                    ("source_unknown_gpu_names", "Skus whose GPU no alias knows.", REJECTS),
                    ("quarantined_rows", "Prices that wait for a second fetch.", HELD),
                ):
                    yield gauge(name, says, [((), con.execute(sql).fetchall()[0][0])])
        except GputapeError:  # /readyz says why
            return

    def _alerts(self) -> Iterator[Metric]:
        service = self._service
        try:
            found = alerting.standing(service.db, service.watch.loaded.config, service.now())
        except GputapeError:
            found = alerting.Standing()
        oldest = (service.now() - found.oldest).total_seconds() if found.oldest else 0.0
        for name, says, value in (
            ("alerts_firing", "Series that a rule is firing for.", found.firing),
            ("outbox_waiting", "Messages that wait to be sent.", found.waiting),
            ("outbox_dead", "Messages that were given up.", found.dead),
            ("outbox_oldest_seconds", "Age of the oldest message that waits.", oldest),
            ("config_refused", "1 when a changed configuration was not taken.",
             float(service.watch.refused is not None)),
        ):  # fmt: skip
            yield gauge(name, says, [((), value)])


def _best(con: "duckdb.DuckDBPyConnection") -> Iterator[tuple[list[str], float]]:
    for gpu, option, price in con.execute(BEST).fetchall():
        yield [gpu, option], float(price)
