"""A tape that a test writes look by look, with a clock that the test turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.app.alerts.backtest import Result, backtest
from gputape.app.alerts.evaluate import Evaluated, begin, evaluate
from gputape.app.alerts.ledger import Ledger, open_ledger
from gputape.app.alerts.posting import Routes
from gputape.app.alerts.rules import Rule
from gputape.app.collecting import gpu_rows
from gputape.store import tape
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, PageRow, Reject, Scan

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 7, 1, 8, tzinfo=UTC)
PROVIDERS = [
    (slug, slug, market, 3600, f"https://{slug}.example/prices", f"https://{slug}.example/terms")
    for slug, market in (
        ("acme", "list"), ("bazaar", "marketplace"), ("other", "list"), ("third", "list"),
    )
]  # fmt: skip


@dataclass
class Market:
    """A tape, its ledger, and what a provider prints at a time."""

    db: Path
    con: Any
    recorder: Recorder
    ledger: Ledger
    now: datetime = START
    runs: int = 0
    routes: Routes = field(default_factory=lambda: Routes(channels=("team",)))

    def offer(self, price: object, sku: str = "h100", **words: Any) -> Offer:
        """One offer; `words` are of its key or of the offer itself."""
        names = SeriesKey.__dataclass_fields__.keys() & words.keys()
        key = {"provider": "acme", "region": "eu-1", "option": Option.ON_DEMAND} | {
            name: words.pop(name) for name in names
        }
        rest = {"gpu": "h100-sxm-80", "gpu_count": Decimal(1)} | words
        return Offer(key=SeriesKey(sku=sku, **key), price=Decimal(str(price)), **rest)

    def scan(self, status: str = "ok", at: datetime | None = None, provider: str = "acme",
             part: str = "list", origin: str = "live", **more: Any) -> Scan:  # fmt: skip
        at = at or self.now
        page = PageRow(
            method="GET",
            url=f"https://{provider}.example/api",
            status=200,
            fetched_at=at,
            etag=None,
            last_modified=None,
            sha256="ab" * 32,
            bytes=9,
        )
        known = {
            "run_id": self.runs, "provider": provider, "part": part, "started_at": at,
            "finished_at": at, "observed_at": at, "status": status, "parser_revision": 1,
            "normaliser": "1", "origin": Origin(origin), "stands_s": 2 * 86_400, "pages": (page,),
        }  # fmt: skip
        return Scan(**(known | more))  # type: ignore[arg-type]

    def record(self, offers: Sequence[Offer], rejects: Sequence[Reject] = (), **scan: Any) -> None:
        """Record one look as a run of its own."""
        self.runs += 1
        provider = offers[0].key.provider if offers else scan.pop("provider", "acme")
        made = self.scan(provider=provider, quotes=len(offers), **scan)
        self.recorder.record(made, Listing(offers=offers, rejects=rejects))

    def look(self, prices: Mapping[str, object] | object, **words: Any) -> None:
        """Print prices by sku (or one of `h100`), now; a sku that is left out is gone."""
        by_sku = prices if isinstance(prices, Mapping) else {"h100": prices}
        scan = {key: words.pop(key) for key in ("origin", "at", "status") if key in words}
        offers = [self.offer(price, sku, **words) for sku, price in by_sku.items()]
        self.record(offers, **scan)

    def fail(self, status: str = "unreachable", provider: str = "acme") -> None:
        """A run in which the provider can not be asked."""
        self.runs += 1
        self.recorder.record(self.scan(status, provider=provider, sentence="it hangs"))

    def evaluate(self, *rules: Rule, **more: Any) -> Evaluated:
        return evaluate(
            self.con, self.ledger, rules, self.now, more.pop("routes", self.routes), **more
        )

    def live(
        self, prices: Sequence[object], *rules: Rule, step: timedelta = DAY, **words: Any
    ) -> list[tuple[int, str]]:
        """Look once a step and evaluate after each; return (look, kind) of what was told."""
        begin(self.con, self.ledger)
        told = []
        for i, price in enumerate(prices):
            if price is not None:
                self.look(price, **words)
            told += [(i, notice.kind) for notice in self.evaluate(*rules).notices]
            self.now += step
        return told

    def play(
        self,
        prices: Sequence[object],
        *rules: Rule,
        step: timedelta = DAY,
        origin: str = "import",
        **words: Any,
    ) -> list[tuple[int, str]]:
        """Import a history of a look a step; return (look, kind) of what a backtest tells."""
        at = self.now
        for i, price in enumerate(prices):
            if price is not None:
                self.look(price, at=at + i * step, origin=origin, **words)
        found = self.backtest(*rules)
        return [((m.time - at) // step, m.kind) for m in found.messages]

    def backtest(self, *rules: Rule) -> Result:
        return backtest(self.con, rules or None)

    def log(self) -> list[tuple[str, str]]:
        """What was logged, oldest first: kind and gate."""
        rows = self.ledger.journal.log(datetime(2000, 1, 1, tzinfo=UTC))
        return [(row["kind"], row["gate"]) for row in reversed(rows)]

    def state(self, rule: str = "default-list") -> str:
        """The one remembered state of a rule."""
        rows = self.ledger.con.execute("select name from state where rule = ?", [rule]).fetchall()
        (name,) = {name for (name,) in rows}
        return str(name)


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    """An empty tape that knows two sellers with lists and a marketplace."""
    monkeypatch.setitem(tape.CONFIG, "threads", "1")  # its questions are small
    monkeypatch.setattr(Recorder, "_checkpoint", lambda _: None)  # nobody reads its file
    db = tmp_path / "tape.duckdb"
    with tape.writing(db, START) as con:
        recorder = Recorder(con)
        recorder.note_facts("test", gpu_rows(), PROVIDERS, START)
        ledger = open_ledger(db)
        yield Market(db, con, recorder, ledger)
        ledger.close()


@pytest.fixture
def reject() -> Callable[..., Reject]:
    """A quote without a price that can be used."""

    def make(sku: str = "h100", reason: str = "zero") -> Reject:
        key = SeriesKey(provider="acme", sku=sku, region="eu-1", option=Option.ON_DEMAND)
        return Reject(key=key, reason=reason, sentence="a price of 0 is no price", quote_json="{}")

    return make
