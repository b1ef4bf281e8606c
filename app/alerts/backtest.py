"""The whole tape through the machine: what would have been sent, before a rule is enabled.

Imported history is played as if it had been seen live, each price as we read it now. Nothing is
sent and nothing remembered.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.app.alerts import live, sources, tapelooks
from gputape.app.alerts.engine import Engine, Happened, Key, Run, matches
from gputape.app.alerts.measures import Measure, Point, judge, measure_of
from gputape.app.alerts.messages import Writer
from gputape.app.alerts.observations import Course, Entry, Look, Series
from gputape.app.alerts.routing import Notice, route
from gputape.app.alerts.rules import Rule, default_policy
from gputape.app.alerts.states import State
from gputape.store.rates import Rates

if TYPE_CHECKING:
    import duckdb

TOGETHER = timedelta(minutes=10)  # looks of an import no further apart are one run
NAIVE = Decimal("0.9")  # "at least 10 % below the previous scrape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that would have been sent, of one series; or one doubt about many."""

    time: datetime
    provider: str
    series: str
    kind: str
    text: str
    rule: str


@dataclass(slots=True)
class Result:
    """What a backtest came to."""

    messages: list[Message] = field(default_factory=list)
    naive_messages: int = 0
    """Falls of 10 % or more from one look to the next."""
    first: datetime | None = None
    last: datetime | None = None
    looks: int = 0
    gates: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often each gate stopped what was judged."""


@dataclass(slots=True)
class History:
    """A tape in memory, as the machine plays it."""

    series: dict[int, Series]
    courses: dict[int, Course]
    runs: list[Run]

    def days(self) -> Iterator[tuple[Run, bool]]:
        """Yield each run, and whether it is the last of its day (UTC)."""
        for i, run in enumerate(self.runs):
            after = self.runs[i + 1] if i + 1 < len(self.runs) else None
            yield run, after is None or after.at.date() != run.at.date()


def backtest(
    con: "duckdb.DuckDBPyConnection", rules: Sequence[Rule] | None = None,
    since: datetime | None = None,
) -> Result:  # fmt: skip
    """Play the tape through rules, the default policy when none are given.

    What is older than `since` is only learned from. A rule about many series (scope best, spread,
    index, workload) is asked once a day. Raises `BadInput` for a job file that is none.
    """
    chosen = default_policy() if rules is None else list(rules)
    wide = {r.name: measure_of(r, played=True) for r in chosen if r.scope != "each"}
    history = read(con, chosen, _learned(chosen, since))
    rates = Rates.of(con)
    states: dict[Key, State] = {}
    engine = Engine(chosen, states, history.series, history.courses, rates)
    trails: dict[str, list[Point]] = defaultdict(list)
    writer, result = Writer(con, rates), Result()
    for run, ends_day in history.days():
        result.first, result.last = result.first or run.at, run.at
        result.looks += len(run.looks)
        result.naive_messages += _naive(history, run) if _counts(run, since) else 0
        happened = list(engine.play(run))
        happened += _of_sources(chosen, run, states)
        if ends_day:
            asked = [rule for rule in chosen if rule.name in wide]
            happened += [_ask(con, r, wide[r.name], trails[r.name], states, run) for r in asked]
        _take(happened, states, run, since, writer, result)
    return result


def days_back(con: "duckdb.DuckDBPyConnection", days: int) -> datetime | None:
    """Return the moment so many days before the newest look of a tape."""
    (newest,) = con.execute(
        "select max(observed_at) from scan where status in ('ok', 'unchanged')"
    ).fetchall()[0]
    return newest - timedelta(days=days) if newest else None


def _learned(rules: Sequence[Rule], since: datetime | None) -> datetime | None:
    """Return from when on prices are read: what is played, and a window before it."""
    return live.history_start(rules, since) if since else None


def _of_sources(rules: Sequence[Rule], run: Run, states: dict[Key, State]) -> Iterator[Happened]:
    for rule in rules:
        if rule.condition.kind == "source_down":
            yield from sources.failed(rule, run.looks, states)


def _ask(con: "duckdb.DuckDBPyConnection", rule: Rule, measure: Measure, trail: list[Point],
         states: dict[Key, State], run: Run) -> Happened:  # fmt: skip
    key = (rule.name, f"{rule.scope}:{rule.name}")
    measured = measure(con, rule, run.at)
    last = max(look.scan_id for look in run.looks)
    one = judge(con, rule, measured, trail, states.get(key, State()), run.at, last)
    states[key] = one.step.state
    if measured:
        trail.append(Point(run.at, measured.value, measured.who))
    return one


def _counts(run: Run, since: datetime | None) -> bool:
    return since is None or run.at >= since


def _take(happened: list[Happened], states: dict[Key, State], run: Run, since: datetime | None,
          writer: Writer, result: Result) -> None:  # fmt: skip
    routed = route(happened, states, (), run.at)
    if not _counts(run, since):
        return
    for _, gate in routed.gates:
        result.gates[gate] += 1
    for notice in routed.notices:
        result.messages += _messages(notice, writer)


def _messages(notice: Notice, writer: Writer) -> Iterator[Message]:
    if notice.held:
        provider = notice.rows[0].subject.provider
        yield Message(time=notice.at, provider=provider, series=f"{len(notice.rows)} series",
                      kind="held", text=writer.text(notice), rule=notice.rule.name)  # fmt: skip
        return
    for one in notice.rows:
        alone = Notice(rule=notice.rule, kind=notice.kind, rows=(one,), at=one.at)
        yield Message(time=one.at, provider=one.subject.provider, series=one.subject.words,
                      kind=notice.kind, text=writer.text(alone), rule=notice.rule.name)  # fmt: skip


def as_json(result: Result) -> dict[str, Any]:
    """Return what `alerts backtest --format json` prints."""
    return {
        "messages": [
            {"time": m.time.isoformat(), "provider": m.provider, "series": m.series,
             "kind": m.kind, "text": m.text, "rule": m.rule}
            for m in result.messages
        ],
        "naive_messages": result.naive_messages,
    }  # fmt: skip


# -- the tape as a sequence of runs ----------------------------------------------------------


def read(con: "duckdb.DuckDBPyConnection", rules: Sequence[Rule], start: datetime | None
         ) -> History:  # fmt: skip
    """Read every look and the prices of every series that a rule is about, from `start` on."""
    looks = tapelooks.looks(con, "true")
    series = {id_: one for id_, one in tapelooks.series(con).items()
              if any(matches(rule, one) for rule in rules)}  # fmt: skip
    rows = tapelooks.entries_since(con, list(series), start)
    parts = tapelooks.parts_looked_at(looks, _standing(con, looks))
    courses = {
        id_: Course(of_series, parts[series[id_].provider, series[id_].part], replayed=True)
        for id_, of_series in rows.items()
    }  # fmt: skip
    played = [look for look in looks if start is None or look.at >= start]
    return History(series, courses, _runs(played, rows))


def _standing(con: "duckdb.DuckDBPyConnection", looks: list[Look]
              ) -> dict[tuple[str, str], list[list[Entry]]]:  # fmt: skip
    """Return every price of the parts that have looks which are not complete."""
    partial = {(look.provider, look.part) for look in looks if look.seen and not look.complete}
    if not partial:
        return {}
    of_part = {id_: (one.provider, one.part) for id_, one in tapelooks.series(con).items()
               if (one.provider, one.part) in partial}  # fmt: skip
    found: dict[tuple[str, str], list[list[Entry]]] = defaultdict(list)
    for id_, rows in tapelooks.entries_since(con, list(of_part), None).items():
        found[of_part[id_]].append(rows)
    return found


def _runs(looks: list[Look], rows: dict[int, list[Entry]]) -> list[Run]:
    played = sorted((look for look in looks if not look.anew), key=lambda k: (k.at, k.scan_id))
    touched = _touched(looks, played, rows)
    runs: list[Run] = []
    together: list[Look] = []
    for look in played:
        if together and not _belongs(look, together):
            runs.append(_run(together, touched))
            together = []
        together.append(look)
    return [*runs, _run(together, touched)] if together else runs


def _belongs(look: Look, together: list[Look]) -> bool:
    last = together[-1]
    if look.origin != "import" and last.origin != "import":
        return look.run_id == last.run_id
    again = any((look.provider, look.part) == (k.provider, k.part) for k in together)
    return look.origin == last.origin and look.at - last.at <= TOGETHER and not again


def _run(looks: list[Look], touched: dict[int, set[int]]) -> Run:
    return Run(list(looks), {k.scan_id: sorted(touched.get(k.scan_id, ())) for k in looks})


def _touched(looks: list[Look], played: list[Look], rows: dict[int, list[Entry]]
             ) -> dict[int, set[int]]:  # fmt: skip
    """Return by look the series it has news of; of what was read anew, the look itself."""
    scans = {look.scan_id: look for look in looks}
    first = {(k.provider, k.part, k.at): k.scan_id for k in reversed(played) if k.seen}
    touched: dict[int, set[int]] = defaultdict(set)
    for id_, of_series in rows.items():
        for row in of_series:
            look = scans.get(row.scan_id)
            at = look and first.get((look.provider, look.part, row.at))
            if at:
                touched[at].add(id_)
    return touched


def _naive(history: History, run: Run) -> int:
    """Count falls of 10 % or more below what the look before said, held back or not."""
    return sum(
        _fell(history.courses[id_], look)
        for look in run.looks if look.seen for id_ in run.rows[look.scan_id]
        if id_ in history.courses
    )  # fmt: skip


def _fell(course: Course, look: Look) -> bool:
    now, before = course.at(look.at), course.at(look.at - timedelta(microseconds=1))
    if not (now and before and now.price and before.price and now.currency == before.currency):
        return False
    return now.price <= NAIVE * before.price
