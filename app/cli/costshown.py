"""What `cost` prints: offers ranked, the working, days, the frontier, hosts beside."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gputape.analysis.cost.money import HOURS_MONTH
from gputape.analysis.cost.rank import Priced, Ranked
from gputape.analysis.cost.stated import Job, ServeWork, TrainWork
from gputape.analysis.cost.timeline import Timeline
from gputape.analysis.cost.what_if import Most, Point
from gputape.analysis.cost.working import working
from gputape.app.cli.ending import chosen, finish, rounded
from gputape.store.offer import half_up

if TYPE_CHECKING:
    import duckdb

    from gputape.analysis.tokens import HostedPrice

JOB = ("usd", "usd_low", "usd_high", "hours", "provider", "sku", "region", "option", "gpu", "gpus",
       "instances", "usd_hour", "term_months", "tier", "hours_low", "hours_high", "extra_usd",
       "note", "stale", "last_seen", "series_id")  # fmt: skip
JOB_TABLE = ("usd", "range", "hours", "provider", "sku", "region", "option", "gpu", "gpus",
             "usd_hour", "note")  # fmt: skip
SERVICE = ("usd_month", "usd_hour_total", "usd_million_tokens", "provider", "sku", "region",
           "option", "gpu", "gpus", "instances", "replicas", "tpot_ms", "ttft_ms", "usd_hour",
           "term_months", "tier", "note", "stale", "last_seen", "series_id")  # fmt: skip
SERVICE_TABLE = ("usd_month", "usd_million_tokens", "provider", "sku", "region", "option", "gpu",
                 "gpus", "tpot_ms", "usd_hour", "note")  # fmt: skip
DAYS = ("day", "usd", "usd_low", "usd_high", "provider", "sku", "region", "option", "gpu", "gpus",
        "instances")  # fmt: skip
FRONTIER = ("hours", "usd", "provider", "sku", "region", "option", "gpu", "gpus", "instances")


@dataclass(frozen=True, slots=True)
class Shown:
    """Where an answer goes."""

    fmt: str
    output: Path | None
    now: datetime

    def ranked(self, found: Ranked, hosts: "list[str] | None", *, explain: bool) -> None:
        """Print the offers, cheapest first, and what was left out."""
        service = isinstance(found.job.work, ServeWork)
        few, every = (SERVICE_TABLE, SERVICE) if service else (JOB_TABLE, JOB)
        columns = chosen(self.fmt, few, every)
        rows = [_row(one, found.job) for one in found.rows]
        said = [*(working(found.best, found.job) if explain and found.best else ()),
                *(hosts or ()), *_about(found)]  # fmt: skip
        finish([[row[name] for name in columns] for row in rows], columns, self.fmt, self.output,
               said)  # fmt: skip

    def history(self, found: Timeline) -> None:
        """Print a day a row, and how today ranks."""
        rows = [
            [day.day, *(half_up(x, 2) for x in (day.usd, day.usd_low, day.usd_high)), day.provider,
             day.sku, day.region, day.option, day.gpu, int(day.gpu_count) * day.instances,
             day.instances]
            for day in found.days
        ]  # fmt: skip
        finish(rows, DAYS, self.fmt, self.output, _rank_of_today(found))

    def frontier(self, points: list[Point], found: Ranked) -> None:
        """Print the cheapest way for every deadline."""
        rows = [
            [rounded(p.hours, 2), half_up(p.usd, 2), p.provider, p.sku, p.region, p.option,
             p.way.gpu, int(p.way.gpu_count) * p.way.instances, p.way.instances]
            for p in points
        ]  # fmt: skip
        finish(rows, FRONTIER, self.fmt, self.output, _about(found))

    def most(self, found: Most, ranked: Ranked) -> None:
        """Print the largest job that the money buys."""
        columns = ("most", "amount", *FRONTIER)
        point = found.point
        row = [found.sought, f"{found.amount:.3g}", rounded(point.hours, 2), half_up(point.usd, 2),
               point.provider, point.sku, point.region, point.option, point.way.gpu,
               int(point.way.gpu_count) * point.way.instances, point.way.instances]  # fmt: skip
        finish([row], columns, self.fmt, self.output, _about(ranked))

    def hosts(self, con: "duckdb.DuckDBPyConnection", ranked: Ranked, as_of: datetime) -> list[str]:
        """Return what hosts take for the same tokens, and from which volume the cheapest wins."""
        from gputape.analysis.tokens import cheapest, hosted_prices

        job = ranked.job
        work = job.work
        assert isinstance(work, ServeWork)  # noqa: S101 - asked of a service only
        prices = hosted_prices(con, job.model, as_of)
        best = cheapest(prices, work.input_tokens, work.output_tokens)
        if best is None:
            return [f"no host is known to serve {job.model.name}"]
        even = _even(ranked.best, work, best) if ranked.best else ()
        return [*_beside(best, work), *even]


def _beside(best: "HostedPrice", work: ServeWork) -> Iterator[str]:
    blended = best.usd_per_million(work.input_tokens, work.output_tokens)
    tokens_day = _tokens_day(work)
    month = half_up(blended * tokens_day / 10**6 * HOURS_MONTH / 24, 0)
    yield (
        f"hosted: {best.host} takes ${half_up(blended, 3)} a million tokens of this mix "
        f"({best.source}), ${month:,} a month for the same {tokens_day:,.0f} tokens a day"
    )


def _even(one: Priced, work: ServeWork, best: "HostedPrice") -> Iterator[str]:
    """Say from which volume the cheapest offer costs less than the host, and whether it can."""
    from gputape.analysis.tokens import break_even

    if one.way.served is None:
        return
    written = one.way.served.tokens_s.point * one.way.replicas
    capacity = written * (work.input_tokens + work.output_tokens) / work.output_tokens
    blended = best.usd_per_million(work.input_tokens, work.output_tokens)
    even = break_even(one.usd, capacity, blended)
    reach = (
        f"{half_up(even.share_of_capacity * 100, 0)} % of what it can do" if even.reachable
        else "more than it can do"
    )  # fmt: skip
    yield (
        f"break-even: {even.tokens_day:,.0f} tokens a day on {one.offer['provider']} "
        f"{one.offer['sku']}, {reach}"
    )


def _tokens_day(work: ServeWork) -> Decimal:
    rate = work.requests_s * work.load * (work.input_tokens + work.output_tokens)
    return Decimal(repr(rate)) * 86_400


def _row(one: Priced, job: Job) -> dict[str, Any]:
    offer = one.offer
    row: dict[str, Any] = {
        "usd": half_up(one.usd, 2), "usd_low": half_up(one.usd_low, 2),
        "usd_high": half_up(one.usd_high, 2),
        "range": f"{half_up(one.usd_low, 2):,} to {half_up(one.usd_high, 2):,}",
        "hours": rounded(one.hours, 2), "hours_low": rounded(one.hours_low, 2),
        "hours_high": rounded(one.hours_high, 2), "gpus": one.gpus,
        "instances": one.way.instances, "replicas": one.way.replicas,
        "note": "; ".join(_notes(one, job)),
        **{name: offer[name] for name in ("provider", "sku", "region", "option", "gpu", "tier",
                                          "term_months", "stale", "last_seen", "series_id")},
        "usd_hour": rounded(offer["usd_hour"], 4), "extra_usd": rounded(offer["extra_usd"], 2),
    }  # fmt: skip
    if isinstance(job.work, ServeWork) and one.way.served:
        per_token = one.usd * 24 / _tokens_day(job.work) * 10**6
        row |= {
            "usd_hour_total": half_up(one.usd, 4), "usd_month": half_up(one.usd * HOURS_MONTH, 0),
            "usd_million_tokens": half_up(per_token, 3),
            "tpot_ms": rounded(one.way.served.tpot_ms.point, 1),
            "ttft_ms": rounded(one.way.served.ttft_ms.point, 0),
        }  # fmt: skip
    return row


def _notes(one: Priced, job: Job) -> Iterator[str]:
    offer = one.offer
    yield from one.way.notes
    if one.way.instances > 1:
        yield f"{one.way.instances} instances{_network(one, job)}"
    if not offer["billing_known"]:
        yield "billed by the hour begun, for nobody states the step"
    if offer["option"] == "spot" and offer["rate"] == "unknown" and not job.buy.interruption:
        yield "interruptions not published"
    if offer["option"] == "reserved":
        yield _committed(one)
    if offer["relay"]:
        yield f"via {offer['relay']}"
    if offer["stale"]:
        yield f"stale: seen {offer['last_seen']:%Y-%m-%d %H:%M}"
    if offer["available"] is False:
        yield "not available"
    if (job.buy.disk_gib or job.buy.egress_gib) and offer["extra_usd"] is None:
        yield "disk and egress prices not known"


def _network(one: Priced, job: Job) -> str:
    if not isinstance(job.work, TrainWork):
        return ""
    speed = one.offer["gbit_s"]
    return f", {speed:.0f} Gbit/s" if speed else ", network not known"


def _committed(one: Priced) -> str:
    """Say what the commitment costs in all, whatever the job takes of it."""
    months = one.offer["term_months"]
    whole = Decimal(repr(one.offer["usd_hour"])) * one.way.instances * months * HOURS_MONTH
    paid = f", {one.offer['payment']} upfront" if one.offer["payment"] else ""
    return f"commits to {months} months, ${half_up(whole, 0):,} in all{paid}"


def _about(found: Ranked) -> Iterator[str]:
    """Say how old the offers are, and how many can not run the job, by reason."""
    left_out = ", ".join(f"{n} {why}" for why, n in found.left_out.items()) or "nothing"
    if not found.newest or not found.oldest:
        yield f"no offer can run it; left out: {left_out}"
        return
    shown = f"{len(found.rows)} of " if len(found.rows) < found.matched else ""
    yield (
        f"as of {found.newest:%Y-%m-%d %H:%M} UTC (oldest {found.oldest:%Y-%m-%d %H:%M}): "
        f"{shown}{found.matched} offers that can run it, {found.stale} stale; "
        f"left out: {left_out}"
    )
    if (hours := found.job.deadline_hours) and found.job.kind != "serve":
        yield f"within {hours:g} hours of wall time, set-up included"


def _rank_of_today(found: Timeline) -> Iterator[str]:
    if not found.days:
        yield "nothing that can run it was seen in those days"
        return
    last, low = found.days[-1], min(found.days, key=lambda day: day.usd)
    if found.lowest_in > 1:
        words = f"lowest in {found.lowest_in} days"
    else:
        words = f"the lowest was ${half_up(low.usd, 2):,} on {low.day}"
    yield f"{last.day}: ${half_up(last.usd, 2):,}, {words}; {len(found.days)} days with offers"
