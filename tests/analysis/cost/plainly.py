"""The plain model of a ranking: every offer, in every way, one after another."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gputape.analysis.cost.choice import wall
from gputape.analysis.cost.facts import billing, networks
from gputape.analysis.cost.spot import rates
from gputape.analysis.cost.stated import Job, TrainWork
from gputape.analysis.cost.ways import Misfit, Way, ways
from gputape.store.gpus import gpus


@dataclass
class Plain:
    """What each series costs, and how many have none by which reason."""

    usd: dict[int, float] = field(default_factory=dict)
    outside: Counter[str] = field(default_factory=Counter)
    unable: int = 0


def plainly(con: Any, job: Job, as_of: datetime | None = None) -> Plain:
    found = Plain()
    moment = f"timestamptz '{as_of.isoformat()}'" if as_of else "'infinity'::timestamptz"
    con.execute(f"select * from offers_known(null, {moment}, null)")
    names, rows = [column[0] for column in con.description], con.fetchall()
    often = dict(con.execute(
        "select provider || '/' || sku || '/' || region, low_percent from v_interruptions"
    ).fetchall())  # fmt: skip
    for values in rows:
        one = dict(zip(names, values, strict=True))
        if why := outside(job, one):
            found.outside[why] += 1
            continue
        costs = [usd for way in able(job, one) if (usd := cost(job, one, way, often)) is not None]
        if costs and (job.buy.budget_usd is None or min(costs) <= job.buy.budget_usd):
            found.usd[one["series_id"]] = min(costs)
        else:
            found.unable += 1
    return found


def outside(job: Job, one: dict[str, Any]) -> str | None:
    """Return the first reason for which an offer is not even looked at."""
    buy = job.buy
    reasons = {
        "gone": one["state"] == "gone",
        "unpriced": one["state"] == "unpriced",
        "suspect": one["state"] == "suspect" and "suspect" not in buy.include,
        "imported": (one["origin"] == "import" or one["source"]) and one["stale"],
        "marketplace": one["market"] == "marketplace" and "marketplace" not in buy.include,
        "derived": one["derived"] and "derived" not in buy.include,
        "fraction": one["gpu_count"] < 1,
        f"{one['option']}, not asked for": one["option"] not in buy.allowed,
        "longer term": (one["term_months"] or 0) > (buy.term_months or 0),
        "not available": one["available"] is False and "unavailable" not in buy.include,
        "no rate of exchange": one["usd_hour"] is None,
    }
    return next((why for why, true in reasons.items() if true), None)


def able(job: Job, one: dict[str, Any]) -> list[Way]:
    found = ways(job, gpus()[one["gpu"]], one["gpu_count"])
    return [] if isinstance(found, Misfit) else found


def cost(job: Job, one: dict[str, Any], way: Way, often: dict[str, int]) -> float | None:
    """Return the dollars of one way on one offer, or None when it can not go that way."""
    buy = job.buy
    if isinstance(job.work, TrainWork) and way.instances > 1:
        speed = networks().get((one["provider"], one["sku"]))
        if speed is None and buy.network == "known":
            return None
        if speed is not None and speed < 100 * one["gpu_count"]:
            return None
    hours = wall(job, way, rates(job)[rate(one, often)]).point
    if job.kind == "serve":
        per_run, setup, runs = 1.0, 0.0, 1.0
    else:
        setup, runs = buy.setup_hours, buy.runs
        if job.deadline_hours and hours + setup > job.deadline_hours:
            return None
        facts = billing().get(one["provider"])
        step, least = (facts.step_s, facts.least_s) if facts else (3600, 3600)
        per_run = max(least, math.ceil((hours + setup) * 3600 / step) * step) / 3600
    used = buy.utilisation if one["option"] == "reserved" else 1.0
    machines = float(one["usd_hour"]) * way.instances * per_run * runs / used
    facts = billing().get(one["provider"])
    if facts is None or facts.disk_usd_gib_month is None or facts.egress_usd_gib is None:
        return machines
    egress = buy.egress_gib * (runs if job.kind != "serve" else 1 / 730)
    disk = buy.disk_gib * facts.disk_usd_gib_month * (hours + setup) * runs / 730
    return machines + disk + egress * facts.egress_usd_gib


def rate(one: dict[str, Any], often: dict[str, int]) -> str:
    if one["option"] != "spot":
        return "none"
    low = often.get(f"{one['provider']}/{one['sku']}/{one['region']}")
    if one["provider"] == "aws" and low is not None:
        return f"aws {low}"
    return one["provider"] if one["provider"] in ("gcp", "azure") else "unknown"
