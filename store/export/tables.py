"""What is exported: each table's question to the tape, narrowed by the filters it knows.

Together they tell the whole history: every interval, which look it came from, which bytes that
look read. What is held back and not believed, and what could not be read, stays in the tape.
"""

from dataclasses import dataclass

# `$name is null` is decided when the question is planned: a filter that is not given costs nothing
GPU = "($gpus is null or list_contains($gpus, gpu))"
PROVIDER = "($providers is null or list_contains($providers, provider))"
REACHES = (
    "($since is null or coalesce(valid_to, timestamptz 'infinity') > $since) "
    "and ($until is null or valid_from <= $until)"
)
LOOKED = "($since is null or observed_at >= $since) and ($until is null or observed_at <= $until)"
DAY = (
    "($since is null or day >= ($since::timestamptz at time zone 'UTC')::date) "
    "and ($until is null or day <= ($until::timestamptz at time zone 'UTC')::date)"
)
SERIES_FACTS = """
    select s.series_id, s.provider, s.sku, s.region, s.zone, s.option, s.tier, s.term_months,
        s.payment, s.source, coalesce(e.first_seen, s.first_seen) as first_seen,
        f.gpu, f.gpu_count, f.vcpus, f.memory_gib, f.part, f.derived, f.relay, f.source_sku
    from series s join facts_of(null::varchar[], null) f using (series_id)
    left join (
        select series_id, min(first_seen) as first_seen from series_earlier group by series_id
    ) e using (series_id)
"""
INTERRUPTIONS = """
    select provider, sku, region, low_percent, high_percent, saving_percent,
        observed_at as valid_from, lead(observed_at) over (
            partition by provider, sku, region order by observed_at, scan_id) as valid_to, scan_id
    from interruption
"""
TOKENS = """
    select * from (
        select provider, model, host, hub_id, price_in, price_out, price_cached, currency, context,
            tier_from, state, observed_at as valid_from, lead(observed_at) over (
                partition by provider, model, host order by observed_at, scan_id) as valid_to,
            origin, scan_id
        from token_price
    ) where state = 'listed' and valid_to is distinct from valid_from
"""
SCANS = """
    select scan_id, run_id, provider, part, status, sentence, observed_at, started_at, finished_at,
        stands_s, complete, origin, source, corrects, parser_revision, normaliser,
        quotes, offers, rejects, suspects, unchanged, new, changed, gone, bytes
    from scan
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One exported table."""

    name: str
    what: str
    sql: str
    order: str
    key: str | None = None
    sliced: bool = False
    """It may be too long to be sorted at once; it has `provider` and `series_id`."""

    @property
    def filters(self) -> list[str]:
        """The filters that narrow it; the others leave it whole."""
        return [name for name in ("since", "until", "gpus", "providers") if f"${name}" in self.sql]


TABLES = {
    table.name: table
    for table in (
        Table(
            "prices",
            "an interval in which a series had one price",
            f"select * from v_prices where {GPU} and {PROVIDER} and {REACHES}",
            "gpu, option, sku, region, series_id, valid_from",
            sliced=True,
        ),
        Table(
            "series",
            "one thing whose price moves, and what it was understood to be",
            f"select * from ({SERIES_FACTS}) where {GPU} and {PROVIDER}",
            "series_id",
            key="series_id",
        ),
        Table(
            "changes",
            "a move of a price; a correction is never one",
            "select * from changes_between(coalesce($since, timestamptz '-infinity'), "
            f"coalesce($until, timestamptz 'infinity')) where {GPU} and {PROVIDER}",
            "series_id, changed_at",
            sliced=True,
        ),
        Table(
            "daily",
            "a day of a provider, GPU and option",
            f"select * from v_daily where {GPU} and {PROVIDER} and {DAY}",
            "day, provider, gpu, option",
        ),
        Table(
            "scans",
            "a look at one part of a provider, and what came of it",
            f"select * from ({SCANS}) where {PROVIDER} and {LOOKED}",
            "scan_id",
            key="scan_id",
        ),
        Table(
            "pages",
            "an answer that a look read, by the SHA-256 of its bytes",
            "select * from page where scan_id in "
            f"(select scan_id from scan where {PROVIDER} and {LOOKED})",
            "scan_id, ordinal",
        ),
        Table(
            "interruptions",
            "an interval of how often spot was taken back, as published",
            f"select * from ({INTERRUPTIONS}) where {PROVIDER} and {REACHES}",
            "provider, sku, region, valid_from",
        ),
        Table(
            "tokens",
            "an interval in which a list had one price for a model's tokens",
            f"select * exclude (state) from ({TOKENS}) where {PROVIDER} and {REACHES}",
            "provider, model, host, valid_from",
        ),
        Table(
            "gpus",
            "an accelerator and its facts",
            f"select * from v_gpu_facts where {GPU}",
            "gpu",
            key="gpu",
        ),
        Table(
            "providers",
            "a seller, and how often it is asked",
            f"select * from v_providers where {PROVIDER}",
            "provider",
            key="provider",
        ),
        Table(
            "sources",
            "who kept what was imported, and under which licence",
            "select * from v_sources",
            "source",
            key="source",
        ),
        Table(
            "fx",
            "an exchange rate of a day",
            "select * from fx",
            "day, currency",
        ),
    )
}

SAME = "currency per hour, whole sku"
PER_GPU = "USD per GPU-hour"
UNITS = {
    "price": SAME,
    "old_price": SAME,
    "usd_hour": "USD per hour, whole sku",
    "usd_gpu_hour": PER_GPU,
    "gpu_hour": "currency per GPU-hour",
    "old_gpu_hour": "currency per GPU-hour",
    "upfront": "currency, once at the start of the term",
    "open_usd_gpu_hour": f"{PER_GPU}, of the cheapest series",
    "low_usd_gpu_hour": f"{PER_GPU}, of the cheapest series",
    "high_usd_gpu_hour": f"{PER_GPU}, of the dearest series",
    "close_usd_gpu_hour": f"{PER_GPU}, of the cheapest series",
    "mean_usd_gpu_hour": f"{PER_GPU}, weighted by time",
    "price_in": "currency per million input tokens",
    "price_out": "currency per million output tokens",
    "price_cached": "currency per million input tokens read from a cache",
    "context": "tokens",
    "tier_from": "input tokens of a request",
    "percent": "percent",
    "gpu_count": "GPUs in the sku",
    "term_months": "months",
    "hours": "hours of the day that were covered, of the series covered longest",
    "series_hours": "hours that were covered, of all series",
    "series": "count",
    "usd_per_unit": "USD per unit of the currency",
    "low_percent": "percent of instances in a month, at least",
    "high_percent": "percent of instances in a month, at most",
    "saving_percent": "percent below on demand, as published",
    "vcpus": "vCPUs of the sku",
    "memory_gib": "GiB (of the sku in series, of one GPU in gpus)",
    "bandwidth_gb_s": "GB/s",
    "bf16_tflops": "TFLOPS, dense",
    "fp16_tflops": "TFLOPS, dense",
    "fp8_tflops": "TFLOPS, dense",
    "tdp_w": "W",
    "scaleup_gb_s": "GB/s, both directions",
    "launch_year": "year",
    "cadence_s": "seconds",
    "stands_s": "seconds that its prices stand unseen",
    "bytes": "bytes",
    "ordinal": "count",
    "parser_revision": "count",
    "status": "HTTP status",
    "corrects": "scan_id",
    "replaces": "scan_id",
} | dict.fromkeys(
    ("quotes", "offers", "rejects", "suspects", "unchanged", "new", "changed", "gone"), "count"
)
