"""`parse`: the loop of somebody who writes an adapter."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import format_options, write

if TYPE_CHECKING:
    from gputape.scrapers.page import Page
    from gputape.store.offer import Offer
    from gputape.store.scan import Reject

OFFER = (
    "provider", "sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu",
    "gpu_count", "price", "currency", "usd_hour", "usd_gpu_hour", "upfront", "available",
    "derived", "relay", "source_sku", "vcpus", "memory_gib", "suspect",
)  # fmt: skip
REJECT = ("provider", "sku", "region", "option", "reason", "sentence", "quote")
TABLE = ("sku", "region", "zone", "option", "tier", "term_months", "payment", "gpu", "gpu_count",
         "price", "currency", "usd_gpu_hour", "suspect")  # fmt: skip
NOTHING = 4


@click.command()
@click.argument("slug")
@click.argument("files", nargs=-1, required=True,
                type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.option(
    "--url", default="", help="Where the bytes came from, if that matters to the adapter."
)
@click.option("--rejects", is_flag=True, help="Print what could not become an offer, and why.")
@format_options
def parse(
    slug: str, files: tuple[Path, ...], url: str, rejects: bool,  # noqa: FBT001  # click's way
    fmt: str, output: Path | None,
) -> None:  # fmt: skip
    """Read saved responses FILES of provider SLUG and print offers, without storing.

    \b
    gputape parse coreweave pricing.html
    gputape parse aws spot.json --format json
    """
    from gputape.scrapers.normalise import normalise
    from gputape.scrapers.reading import read
    from gputape.scrapers.registry import adapter

    pages = [_page(file, url) for file in files]
    said = read(adapter(slug), pages)
    quotes, risks = said.quotes, said.interruptions
    verdict = normalise(slug, quotes, max(page.fetched_at for page in pages))
    if rejects:
        write([_reject(reject) for reject in verdict.rejects], REJECT, fmt, output)
    else:
        _write_offers([offer_row(offer) for offer in verdict.offers], fmt, output)
    click.echo(
        f"{len(quotes)} quotes: {len(verdict.offers)} offers, {len(verdict.rejects)} rejects"
        + (f"; {len(risks)} interruption figures" if risks else ""),
        err=True,
    )
    if not quotes and not risks:
        raise click.exceptions.Exit(NOTHING)


def _write_offers(rows: list[list[Any]], fmt: str, output: Path | None) -> None:
    if fmt in ("table", "md"):
        places = [OFFER.index(name) for name in TABLE]
        write([[row[i] for i in places] for row in rows], TABLE, fmt, output)
    else:
        write(rows, OFFER, fmt, output)


def _page(file: Path, url: str) -> "Page":
    from gputape.scrapers.page import Page

    modified = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return Page(url=url or file.as_uri() if file.is_absolute() else url or str(file),
                fetched_at=modified, read=file.read_bytes, path=file)  # fmt: skip


def offer_row(offer: "Offer") -> list[Any]:
    """Return an offer as the columns of `OFFER`; a foreign currency has no USD without a tape."""
    key = offer.key
    usd = offer.price if offer.currency == "USD" else None
    return [
        key.provider, key.sku, key.region, key.zone, key.option.value, key.tier, key.term_months,
        key.payment, offer.gpu, offer.gpu_count, offer.price, offer.currency, usd,
        usd and round(usd / offer.gpu_count, 6), offer.upfront, offer.available, offer.derived,
        offer.relay, offer.source_sku, offer.vcpus, offer.memory_gib, offer.suspect,
    ]  # fmt: skip


def _reject(reject: "Reject") -> list[Any]:
    key = reject.key
    return [key.provider, key.sku, key.region, key.option.value, reject.reason, reject.sentence,
            reject.quote_json]  # fmt: skip
