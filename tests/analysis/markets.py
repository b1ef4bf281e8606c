"""Small markets, typed in a test and recorded by the real recorder."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from gputape.store import tape as store
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.record import Recorder
from gputape.store.scan import Listing, RateRow, Scan

GPU = "h100-sxm-80"
ARTICLE_DAY = datetime(2023, 4, 7, tzinfo=UTC)
# the published table of 2023-04-07: on demand, reserved for a year, spot; USD per GPU-hour
ARTICLE = (
    "a100-80 aws 5.12 3.00 -",
    "a100-80 azure 4.10 3.53 2.25",
    "a100-80 oracle 4.00 - 2.00",
    "a100-80 gcp 3.93 - 1.25",
    "a100-80 coreweave 2.21 1.80 -",
    "a100-80 lambda_labs 1.50 1.36 -",
    "a100-80 fluidstack 1.49 1.19 -",
    "a100-40 aws 4.10 2.40 1.22",
    "a100-40 azure 3.40 2.82 2.04",
    "a100-40 oracle 3.05 - 1.52",
    "a100-40 gcp 2.93 1.03 0.88",
    "a100-40 coreweave 2.06 1.77 -",
    "a100-40 fluidstack 1.73 1.44 -",
    "a100-40 lambda_labs 1.10 1.05 -",
    "a10-24 azure 3.20 2.66 1.28",
    "a10-24 oracle 2.00 - 1.00",
    "a10-24 aws 1.00 0.60 0.49",
    "a10-24 lambda_labs 0.60 - -",
)


def at(day: int, hour: int = 12, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def offer(provider: str, price: str, sku: str = "one", **more: Any) -> Offer:
    words = {name: more.pop(name) for name in ("region", "zone", "option", "tier", "term_months",
                                               "payment", "source") if name in more}  # fmt: skip
    key = SeriesKey(**{"region": "eu", "option": Option.ON_DEMAND, "provider": provider,
                       "sku": sku} | words)  # fmt: skip
    return Offer(key=key, price=Decimal(price), **{"gpu": GPU, "gpu_count": Decimal(1)} | more)


def scan(provider: str, when: datetime, **more: Any) -> Scan:
    known = {"run_id": 1, "provider": provider, "part": "list", "started_at": when,
             "finished_at": when, "observed_at": when, "status": "ok", "parser_revision": 1,
             "normaliser": "1", "stands_s": 7200}  # fmt: skip
    return Scan(**known | more)


class Market:
    """A tape being told what sellers listed; written when it is read."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._untold: list[tuple[Scan, Listing]] = []
        self._kinds: dict[str, str] = {}

    @property
    def db(self) -> Path:
        if self._untold:
            with store.writing(self._db, self._untold[0][0].observed_at) as con:
                recorder = Recorder(con)
                facts = [(slug, slug, kind, 3600, "https://x.example", "https://x.example")
                         for slug, kind in self._kinds.items()]  # fmt: skip
                recorder.note_facts("test", [], facts, self._untold[0][0].observed_at)
                for look, listing in self._untold:
                    recorder.record(look, listing)
                store.publish(con, self._db)
            self._untold = []
        return self._db

    def tell(self, *looks: tuple[Scan, Iterable[Offer]], kinds: dict[str, str] | None = None,
             rates: dict[date, str] | None = None) -> "Market":  # fmt: skip
        """Record looks in their order; `kinds`: provider → list, marketplace or broker."""
        self._kinds |= kinds or {}
        self._untold += [(look, Listing(offers=list(listed))) for look, listed in looks]
        for day, rate in (rates or {}).items():
            row = RateRow(day=day, currency="EUR", usd_per_unit=Decimal(rate))
            ecb = scan("ecb", datetime(day.year, day.month, day.day, tzinfo=UTC))
            self._untold.append((ecb, Listing(rates=[row])))
        return self

    def day(self, when: datetime, *, revision: int = 1, **prices: str) -> "Market":
        """Record one look at each seller that lists one price."""
        return self.tell(*((scan(name, when, parser_revision=revision), [offer(name, price)])
                           for name, price in prices.items()))  # fmt: skip


def article(db: Path) -> Market:
    """Record the table of 2023-04-07, a look a seller."""
    rows = [row.split() for row in ARTICLE]
    options = (("on_demand", None), ("reserved", 12), ("spot", None))
    looks = [
        (
            scan(seller, ARTICLE_DAY, part="import/article", source="article",
                 origin=Origin.IMPORT, stands_s=86_400),
            [
                offer(seller, price, gpu, gpu=gpu, option=Option(option), term_months=term,
                      region="unstated", source="article", relay="an article's table")
                for gpu, provider, *prices in rows if provider == seller
                for price, (option, term) in zip(prices, options, strict=True) if price != "-"
            ],
        )
        for seller in sorted({row[1] for row in rows})
    ]  # fmt: skip
    return Market(db).tell(*looks)
