"""What the tests of several processes run: `process.py WHAT LAKE …`, a line for each deed."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx

from gputape.app import collecting
from gputape.app.cli.progress import Silence
from gputape.app.sharing import together
from gputape.scrapers.adapter import Adapter, Http, Provider, Source
from gputape.scrapers.archive import Archive
from gputape.scrapers.collect import Run, collect
from gputape.scrapers.http import Pace, Visit, client
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Quote
from gputape.scrapers.recording import Replay
from gputape.scrapers.registry import adapter
from gputape.store import tape
from gputape.store.offer import Option, Origin
from gputape.store.places import Where, where
from gputape.store.record import Recorder
from gputape.store.scan import Counts, Listing, Memory, Scan

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
PARTS = [f"p{n}" for n in range(6)]
# each complete scan has exactly the rows that its counts promise
TORN = """
select count(*) from (
    select s.scan_id from scan s left join price_log p using (scan_id)
    where s.status = 'ok' group by s.scan_id, s.new, s.changed, s.gone, s.suspects
    having count(p.series_id) filter (where p.state <> 'suspect') < s.new + s.changed + s.gone
        or count(*) filter (where p.state = 'suspect') <> s.suspects
)
"""


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201  # what the test reads


# -- one provider for several collectors -----------------------------------------------------


def seller(pause_s: float) -> tuple[Adapter, httpx.MockTransport]:
    """Return a provider of six parts that is slow to answer, and who answers for it."""
    provider = Provider(
        slug="acme", name="Acme", prices_at="", terms_url="", options=frozenset(Option),
        at_least=1, source=Source.API,
    )  # fmt: skip

    def fetch(http: Http) -> None:
        for part in PARTS:
            with http.part(part):
                http.get(f"https://acme.example/{part}")

    def parse(pages: Sequence[Page]) -> Iterable[Quote]:
        for sku, price in pages[0].json().items():
            yield Quote(sku=sku, option=Option.ON_DEMAND, price=price, gpu="H100 SXM")

    def answer(request: httpx.Request) -> httpx.Response:
        part = request.url.path.strip("/")
        say("asked", part)
        time.sleep(pause_s)
        return httpx.Response(200, json={f"{part}-a": "2.5", f"{part}-b": "3.5"})

    words = {"PROVIDER": provider, "REVISION": 1, "fetch": fetch, "parse": parse}
    return cast("Adapter", SimpleNamespace(**words)), httpx.MockTransport(answer)


def same(db: Where, hours: str, pause_s: str) -> None:
    """Collect the one provider, by a clock that is so many hours ahead."""
    acme, transport = seller(float(pause_s))
    cast("Any", collecting).httpx = SimpleNamespace(
        HTTPTransport=lambda **_: transport, Limits=httpx.Limits, BaseTransport=httpx.BaseTransport
    )
    plan = collecting.Plan(
        adapters=[acme], db=db, now=lambda: datetime.now(UTC) + timedelta(hours=int(hours))
    )
    for outcome in collecting.run(plan, Silence()):
        say(outcome.scan.part, outcome.scan.status, outcome.scan.sentence or "")


# -- several providers, each its own recorder ------------------------------------------------


class Kept:
    """Keeps what would be recorded."""

    def __init__(self) -> None:
        self.scans: list[tuple[Scan, Listing]] = []

    def record(self, scan: Scan, listing: Listing | None = None) -> Counts:
        if listing:
            self.scans.append((scan, listing))
        return Counts()


def recorded(slug: str, folder: Path) -> list[tuple[Scan, Listing]]:
    """Return what a real provider's recording says, part by part."""
    kept, now = Kept(), datetime.now(UTC)

    def visit(found: Adapter) -> Visit:
        pace = Pace(timedelta(), time.monotonic, time.sleep)
        answers = client(Replay(FIXTURES, found.PROVIDER.slug))
        return Visit(answers, Archive(folder), Memory(), pace, lambda: now)

    run = Run(run_id=1, visit=visit, memory=Memory(), now=lambda: now, origin=Origin.REPLAY)
    collect([adapter(slug)], run, kept, Silence())
    return kept.scans


def write(db: Where, slug: str, rounds: str, folder: str) -> None:
    """Record a provider's parts again and again, an hour apart, every other price dearer."""
    scans = recorded(slug, Path(folder))
    assert not isinstance(db, Path)
    notes: list[str] = []
    began = datetime.now(UTC) - timedelta(hours=int(rounds))
    with tape.writing(db, began) as con, together(db, con, notes) as (turns, _):
        recorder = Recorder(con, turns)
        for n in range(int(rounds)):
            for scan, listing in scans:
                at = began + timedelta(hours=n)
                looked = replace(scan, started_at=at, finished_at=at, observed_at=at, pages=(),
                                 origin=Origin.LIVE)  # fmt: skip
                offers = [
                    replace(offer, price=offer.price * (1 + Decimal(n) / 100))
                    if i % 2 and offer.price else offer for i, offer in enumerate(listing.offers)
                ]  # fmt: skip
                recorder.record(looked, replace(listing, offers=offers))
                say("recorded", scan.part)
    say("end", *notes)


def read(db: Where) -> None:
    """Look again and again whether what is there is whole."""
    scans = 0
    with tape.reading(db) as con:
        while True:
            con.begin()
            now, torn = con.execute(f"select (select count(*) from scan), ({TORN})").fetchall()[0]
            (lost,) = con.execute(
                "select count(*) from price_log anti join scan using (scan_id)"
            ).fetchall()[0]
            con.commit()
            say("looked", torn, lost, int(now < scans))
            scans = now


if __name__ == "__main__":
    {"same": same, "write": write, "read": read}[sys.argv[1]](where(sys.argv[2]), *sys.argv[3:])
