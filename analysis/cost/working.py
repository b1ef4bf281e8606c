"""The working of one figure: from the model to the dollars, every number with where it is from."""

from collections.abc import Iterator
from decimal import Decimal

from gputape.analysis.cost.choice import joined, wall
from gputape.analysis.cost.facts import UNKNOWN_STEP_S, billing
from gputape.analysis.cost.rank import Priced
from gputape.analysis.cost.spot import rates
from gputape.analysis.cost.stated import Job, TrainWork
from gputape.analysis.workload.work import request_flop, training_flop
from gputape.store.offer import half_up


def working(one: Priced, job: Job) -> Iterator[str]:
    """Yield lines that lead from the job to the cost of one offer."""
    yield f"How ${half_up(one.usd, 2):,} comes about:"
    yield from (f"  {line}" for line in (*_work(job), *_time(one, job), *_money(one, job)))


def _work(job: Job) -> Iterator[str]:
    shape = job.model
    active = f", {shape.active / 1e9:g}B active" if shape.sparse else ""
    yield f"model: {shape.name}, {shape.params / 1e9:g}B parameters{active} ({shape.source})"
    if shape.assumed:
        yield f"assumed of its shape: {', '.join(shape.assumed)}"
    work = job.work
    if isinstance(work, TrainWork):
        training = job.training
        flop = training_flop(training)
        plain = 6 * shape.active * training.positions
        yield (
            f"work: {flop:.3g} FLOP for {training.positions:.3g} tokens by {work.method} "
            f"(6·N·D alone is {plain:.3g})"
        )
    else:
        flop = request_flop(shape, work.input_tokens, work.output_tokens)
        yield f"work: {flop:.3g} FLOP a request of {work.input_tokens:g} + {work.output_tokens:g}"


def _time(one: Priced, job: Job) -> Iterator[str]:
    way = one.way
    yield f"on: {way.instances} x {way.gpu_count:f} {way.gpu} ({'; '.join(way.notes)})"
    if way.served:
        speed = way.served.tokens_s
        yield (
            f"speed: {speed.point:,.0f} tokens/s a replica (80 %: {speed.low:,.0f} to "
            f"{speed.high:,.0f}), {way.replicas} replicas"
        )
    if job.kind != "serve":
        yield (
            f"time: {way.hours.point:.4g} hours without interruptions "
            f"(80 %: {way.hours.low:.4g} to {way.hours.high:.4g})"
        )
        if one.hours > way.hours.point:
            yield f"with interruptions: {one.hours:.4g} hours"
    for said in wall(job, way, rates(job)[one.offer["rate"]]).assumptions:
        if said.name != "interconnect":  # what physics can not know, and the offer may
            yield f"rests on {said.name} = {said.value} [{said.source}]"
    if joined(job, way):
        yield f"network: {_network(one)}"


def _network(one: Priced) -> str:
    speed = one.offer["gbit_s"]
    if speed is None:
        return "nobody states it; 100 to 400 Gbit/s a GPU are assumed (--network any)"
    return f"{speed:g} Gbit/s an instance, {speed / float(one.way.gpu_count):g} a GPU [facts.toml]"


def _money(one: Priced, job: Job) -> Iterator[str]:
    offer, buy = one.offer, job.buy
    parts = [
        f"${offer['usd_hour']:.6g} an hour",
        f"{one.way.instances} instances",
        _billed(one, job),
    ]
    if buy.runs != 1 and job.kind != "serve":
        parts.append(f"{buy.runs:g} runs")
    line = " x ".join(parts)
    if offer["option"] == "reserved" and buy.utilisation != 1:
        line += f" / {buy.utilisation:g} used"
    if offer["extra_usd"]:
        line += f" + ${half_up(Decimal(repr(offer['extra_usd'])), 2):,} disk and egress"
    yield f"money: {line} = ${half_up(one.usd, 2):,}"
    yield f"price: {offer['provider']} {offer['sku']} {offer['region']}, {offer['option']}"


def _billed(one: Priced, job: Job) -> str:
    if job.kind == "serve":
        return "1 hour"
    facts = billing().get(one.offer["provider"])
    step = facts.step_s if facts else UNKNOWN_STEP_S
    setup = f" with {job.buy.setup_hours:g} of set-up" if job.buy.setup_hours else ""
    return f"{one.hours + job.buy.setup_hours:.4g} hours{setup} in steps of {step} s"
