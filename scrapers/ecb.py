"""European Central Bank: the day's reference rates, so that a foreign price has dollars.

Source: https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/
One XML file, euro to 30 currencies, published around 16:00 CET on working days.
It sells nothing, so it is not in the registry; a collection asks it when the tape holds a
price in another currency than dollars. The rate counts for at most eight days.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal

from gputape.scrapers.adapter import Http, Provider
from gputape.scrapers.page import Page
from gputape.scrapers.quote import Rate

PROVIDER = Provider(
    slug="ecb",
    name="European Central Bank",
    prices_at="https://www.ecb.europa.eu/stats/eurofxref/",
    terms_url="https://www.ecb.europa.eu/services/using-our-site/disclaimer/html/index.en.html",
    options=frozenset(),
    cadence=timedelta(days=1),
    at_least=0,
)
REVISION = 1
URL = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"


def fetch(http: Http) -> None:
    """Ask for the newest rates."""
    with http.part("rates"):
        http.get(URL)


def parse(pages: Sequence[Page]) -> Iterator[Rate]:
    """Turn "so many units for a euro" into dollars for a unit."""
    (page,) = pages
    # <Cube time="2026-11-20"><Cube currency="USD" rate="1.1571"/>…
    (dated,) = page.all("Cube[time]")
    day = date.fromisoformat(str(dated["time"]))
    per_euro = {
        str(cube["currency"]): Decimal(str(cube["rate"])) for cube in page.all("Cube[currency]")
    }
    usd = per_euro["USD"]
    for currency, units in {**per_euro, "EUR": Decimal(1)}.items():
        yield Rate(day=day, currency=currency, usd_per_unit=(usd / units).quantize(Decimal("1e-9")))
