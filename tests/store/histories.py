"""Random histories, told to a tape and to the model of it (`naive_model`) at once."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import strategies as st

from gputape.store import tape
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Reject, Scan

sys.path.insert(0, str(Path(__file__).parent))
from naive_model import EUR, UNPRICED, UNREAD, Look, Naive, State, Thing

START = datetime(2025, 1, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
D = Decimal


def thing(place: str, sku: str, base: str, **more: Any) -> Thing:
    provider, part = place.split()
    return Thing(provider=provider, part=part, sku=sku, base=D(base), **more)


# the first two of a part are always listed: a list that loses half waits for a second look
PARTS = {
    "p one": (
        thing("p one", "a", "20", count=D(8)),
        thing("p one", "b", "2.5"),
        thing("p one", "a", "10", count=D(8), option="spot"),
        thing("p one", "c", "3", currency="EUR"),
    ),
    "p two": (
        thing("p two", "d", "0.5", count=D("0.125")),
        thing("p two", "e", "2", currency="EUR", gpu="a100-sxm-80"),
        thing("p two", "f", "2.2"),
        thing("p two", "f", "1.5", option="reserved", term=12, upfront=D(100)),
    ),
    "q one": (
        thing("q one", "a", "2", currency="EUR"),
        thing("q one", "g", "30", count=D(16), gpu="a100-sxm-80"),
        thing("q one", "h", "1.1", gpu="a100-sxm-80"),
        thing("q one", "h", "0.6", gpu="a100-sxm-80", option="spot"),
    ),
}
THINGS = tuple(one for things in PARTS.values() for one in things)
NAMED = {one.name: one for one in THINGS}
CALM = (State("firm", D("1"), True), State("firm", D("1.05")), State("firm", D("1.2"), True),
        State("firm", D("1.2"), False))  # fmt: skip
WILD = (*CALM, State("firm", D("2")), State("firm", D("0.1")), State("firm", D("0.105")))


def priced(one: Thing, factor: State | str | None) -> State | str | None:
    if not isinstance(factor, State) or factor.price is None:
        return factor
    return replace(factor, price=factor.price * one.base)


# -- the tape, told of the same looks as the model ------------------------------------------------


class Pair:
    """A tape and its model."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tape.duckdb"
        self.naive = Naive(THINGS)
        self.clock, self.told = START, START
        self.reopened()
        rates = [(day, "EUR", rate, "test") for day, rate in EUR.items()]
        self.con.executemany("insert into fx values (?, ?, ?, ?)", rates)

    def close(self) -> None:
        self.opened.__exit__(None, None, None)

    def reopened(self) -> None:
        if hasattr(self, "opened"):
            self.close()
        self.opened = tape.writing(self.path, START)
        self.con = self.opened.__enter__()
        self.con.execute("set threads = 1")  # there is nothing to share out
        self.recorder = Recorder(self.con)

    def tell(
        self, place: str, at: datetime, said: Any = (), *, origin: Origin = Origin.LIVE,
        status: str = "ok", complete: bool = True, alone: bool = True,
    ) -> Scan:  # fmt: skip
        """Record a look, in the tape and in the model."""
        self.told = max(self.told + MINUTE, at + MINUTE)
        provider, part = place.split()
        if status == "unchanged":
            last = self.naive.looks_at(provider, part)[-1]
            said, complete = last.said, last.complete
        look = Look(
            provider=provider, part=part, at=at, told=self.told, status=status,
            said=dict(said) if status in ("ok", "unchanged") else {},
            complete=complete, correction=origin is Origin.CORRECTION,
            stands=HOUR * (2, 50, 5)[at.hour % 3],
        )  # fmt: skip
        scan = Scan(
            run_id=1, provider=provider, part=part, started_at=self.told, finished_at=self.told,
            observed_at=at, status=status, parser_revision=1, normaliser="1", origin=origin,
            complete=complete, stands_s=int(look.stands.total_seconds()),
        )  # fmt: skip
        self.recorder.record(scan, listing(look) if status == "ok" else None, alone=alone)
        self.naive.looks.append(look)
        return scan

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.con.execute(sql, values).fetchall()


def listing(look: Look) -> Listing:
    offers, rejects = [], []
    for one, said in look.said.items():
        key = SeriesKey(provider=one.provider, sku=one.sku, region="r", option=Option(one.option),
                        term_months=one.term)  # fmt: skip
        if isinstance(said, State) and said.price:
            offers.append(
                Offer(key=key, gpu=one.gpu, gpu_count=one.count, price=said.price,
                      currency=one.currency, upfront=one.upfront, available=said.available)
            )  # fmt: skip
        else:
            reason = "no_price" if said == UNPRICED else "unknown_gpu"
            rejects.append(Reject(key=key, reason=reason, sentence="", quote_json="{}"))
    return Listing(offers=offers, rejects=rejects)


# -- what may happen ------------------------------------------------------------------------------


def lists(levels: tuple[State, ...], *, silent: bool, anchored: bool) -> st.SearchStrategy[Any]:
    """Return what a look may list, for any part: four states."""
    sure = st.sampled_from(levels)
    silence: tuple[Any, ...] = (UNPRICED, UNREAD) if silent else ()
    rest = st.sampled_from([*levels, None, None, *silence])
    return st.tuples(*[sure if anchored else rest] * 2, rest, rest)


def steps(levels: tuple[State, ...], *, past: bool, silent: bool, anchored: bool) -> Any:
    said = lists(levels, silent=silent, anchored=anchored)
    place = st.sampled_from([*PARTS, "p one"])
    gap = st.sampled_from([0, 1, 6, 13, 26, 70])
    back = st.sampled_from([0, 1, 5, 14, 30, 60, 100]) if past else st.just(0)
    kinds = ["ok", "ok", "ok", "unchanged", "unreachable", "skipped", "whole"]
    kind = st.sampled_from([*kinds, *["partial"] * silent])
    return st.lists(
        st.one_of(
            st.tuples(st.just("look"), place, gap, kind, said),
            st.tuples(st.just("look"), place, gap, kind, said),
            st.tuples(st.just("import"), place, gap if not past else back, said),
            st.tuples(
                st.just("correct"), place, st.integers(0, 3) if past else st.just(0),
                st.lists(said, min_size=1, max_size=3 if past else 1), st.booleans(),
            ),
            st.tuples(st.sampled_from(["settle", "reopen"])),
        ),
        min_size=5,
        max_size=16,
    )  # fmt: skip


def step(pair: Pair, what: tuple[Any, ...], *, past: bool) -> None:
    """Do one thing, to the tape and to the model."""
    if what[0] == "settle":
        pair.recorder.settle(pair.told)
    elif what[0] == "reopen":
        pair.reopened()
    elif what[0] == "look":
        _, place, gap, kind, said = what
        pair.clock += gap * HOUR
        _look(pair, place, kind, _said(place, said))
    elif what[0] == "import":
        _, place, hours, said = what
        pair.clock += (not past) * hours * HOUR
        pair.tell(place, pair.clock - past * hours * HOUR, _said(place, said),
                  origin=Origin.IMPORT)  # fmt: skip
    else:
        _, place, back, said, alone = what
        _correct(pair, place, back, [_said(place, one) for one in said], alone=alone)


def _said(place: str, said: tuple[Any, ...]) -> dict[Thing, Any]:
    both = zip(PARTS[place], said, strict=True)
    return {one: priced(one, state) for one, state in both if state is not None}


def _look(pair: Pair, place: str, kind: str, said: dict[Thing, Any]) -> None:
    provider = place.split(maxsplit=1)[0]
    if kind == "whole":
        pair.tell(f"{provider} *", pair.clock, status="refused")
    elif kind == "partial":
        # what has no price is only said by a complete list
        readable = {one: state for one, state in said.items() if state != UNPRICED}
        pair.tell(place, pair.clock, readable, complete=False)
    elif kind != "unchanged" or pair.naive.looks_at(*place.split()):
        pair.tell(place, pair.clock, said, status=kind)


def _correct(pair: Pair, place: str, back: int, said: list[Any], *, alone: bool) -> None:
    """Read old bytes anew, from so many looks ago on."""
    moments = sorted({look.at for look in pair.naive.looks_at(*place.split())})
    if not moments:
        return
    first = pair.recorder._last_id + 1
    begin = max(0, len(moments) - 1 - back)
    scans = [
        pair.tell(place, at, one, origin=Origin.CORRECTION, alone=alone)
        for at, one in zip(moments[begin:], said, strict=False)
    ]
    if not alone:
        pair.recorder.rejoin(scans[-1], first)


@contextmanager
def playing(template: Path) -> Iterator[Pair]:
    """Yield an empty tape that takes frames often, and its model."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("gputape.store.roll.FRAME_LEAST", 5)
        patch.setattr("gputape.store.roll.FRAME_EVERY", 0)
        shutil.copyfile(template, Path(folder) / "tape.writer.duckdb")
        pair = Pair(Path(folder))

        try:
            yield pair
        finally:
            pair.close()
