"""What a message says, for people and for programs.

What fell from what to what, in their currency and in USD, per GPU and for the whole sku; how it
was confirmed and against what; how rare it is; what is cheaper; where it is printed; which rule,
and how to silence it. Money is shown half-up to four places.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gputape.app.alerts.engine import Happened
from gputape.app.alerts.observations import Series
from gputape.app.alerts.routing import Notice
from gputape.app.alerts.tapelooks import source_url
from gputape.store.literal import filled
from gputape.store.offer import half_up
from gputape.store.rates import Rates

if TYPE_CHECKING:
    import duckdb

SCHEMA_VERSION = 1
ROWS = 10  # of a grouped message
LOWEST = """
select max(observed_at) filter (where price <= $price) as as_low_at, min(observed_at) as first_at
from price_log where series_id = $series and state = 'firm' and observed_at < $before
"""
CHEAPEST = """
select provider, sku, region, usd_gpu_hour from offers_of($gpus, $at)
where state = 'firm' and usd_gpu_hour is not null and option = $option
    and available is not false and provider <> $provider
    and not ((origin = 'import' or source is not null) and stale)
order by usd_gpu_hour, provider, sku limit 1
"""
PRINTED_AT = "select prices_at from v_providers where provider = $provider"


def event_id(rule: str, fingerprint: str, episode: int, kind: str, seq: int) -> str:
    """Return the id that stays the same however often a message is delivered."""
    said = "\x1f".join((rule, fingerprint, str(episode), kind, str(seq)))
    return hashlib.sha256(said.encode()).hexdigest()


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as a person reads it: `$2.01`, `EUR 2.73`."""
    text = f"{half_up(amount, 4 if amount < 100 else 2):,f}"
    whole, _, places = text.partition(".")
    places = places.rstrip("0")
    figure = f"{whole}.{places:0<2}"
    return f"${figure}" if currency == "USD" else f"{currency} {figure}"


def percent(now: Decimal, before: Decimal) -> str:
    """Return a move as `-12.5 %`."""
    return f"{half_up((now / before - 1) * 100, 1):+f} %"


@dataclass(slots=True)
class Writer:
    """Writes messages; asks the tape for what only a message needs."""

    con: "duckdb.DuckDBPyConnection"
    rates: Rates

    def text(self, notice: Notice) -> str:
        """Return the whole message; the first line is its title."""
        rows = [self.row(one) for one in notice.rows[:ROWS]]
        lines = [self.title(notice)]
        if len(rows) == 1 and notice.kind != "held":
            lines += self.details(notice.rows[0])
        else:
            lines += [f"· {row}" for row in rows]
            if len(notice.rows) > ROWS:
                lines.append(f"and {len(notice.rows) - ROWS} more")
        return "\n".join((*lines, *_footer(notice)))

    def title(self, notice: Notice) -> str:
        """Return one line that says what it is about."""
        if notice.held:
            return f"{notice.held}: probably a page change; held"
        if len(notice.rows) == 1:
            return self.row(notice.rows[0])
        words = {"fired": "came true", "further": "went further", "recovered": "are over",
                 "offer_gone": "are no longer offered"}  # fmt: skip
        return f"{notice.rule.name}: {len(notice.rows)} prices {words[notice.kind]}"

    def row(self, one: Happened) -> str:
        """Return one line about one subject."""
        event = one.step.event
        assert event  # noqa: S101  # narrows the type: only events are told
        if one.subject.series is None:
            return _measured(one)
        words = one.subject.words
        match event.kind:
            case "offer_gone":
                return f"{words}: no longer offered{self._lasted(one)}"
            case "recovered":
                return f"{words}: over, now {self.price(one)}{self._lasted(one)}"
        if one.rule.condition.kind == "available":
            return f"{words}: offered{self._already(one)}"
        before = event.before.sent_price if event.kind == "further" else event.after.from_price
        if event.kind == "further":
            return f"{words}: further down to {self.price(one)} from {self._native(one, before)}"
        return f"{words}: {self.price(one)}{self._against(one)}{self._already(one)}"

    def _against(self, one: Happened) -> str:
        event = one.step.event
        value = event.ground.value if event else None
        if event is None or value is None or one.seen.price is None:
            return ""
        move = percent(one.seen.price, value)
        if not one.rule.condition.relative:
            return f", {'under' if not one.rule.condition.upward else 'over'} {event.ground.text}"
        return f", {move} against {event.ground.text} ({self._native(one, value)})"

    def _already(self, one: Happened) -> str:
        event = one.step.event
        if event and event.already:
            return " (already true when the rule was made)"
        return " (still true; it could not be told before)" if event and event.again else ""

    def _lasted(self, one: Happened) -> str:
        before = one.step.event.before if one.step.event else None
        if before is None or before.fired_at is None:
            return ""
        lasted = _duration((one.at - before.fired_at).total_seconds())
        lowest = f", lowest {self._native(one, before.lowest)}" if before.lowest else ""
        return f" after {lasted}{lowest}"

    # -- figures ------------------------------------------------------------------------------

    def price(self, one: Happened) -> str:
        """Return the price per GPU-hour and for the sku, in their currency and in USD."""
        return self._native(one, one.entry.price if one.entry else one.seen.price, usd=True)

    def _native(self, one: Happened, price: Decimal | None, *, usd: bool = False) -> str:
        series, entry = one.subject.series, one.entry
        if price is None or series is None or entry is None:
            return "no price"
        said = money(price / series.gpu_count, entry.currency)
        rate = self.rates.usd(entry.currency, one.at.date())
        if usd and entry.currency != "USD" and rate:
            said += f" ({money(price / series.gpu_count * rate, 'USD')})"
        count = series.gpu_count.normalize()
        whole = "" if count == 1 else f", {money(price, entry.currency)} for {count:f} GPUs"
        return f"{said} per GPU-hour{whole}" if usd else said

    def details(self, one: Happened) -> list[str]:
        """Return what a single row's message says beside its title."""
        series = one.subject.series
        event = one.step.event
        if series is None or event is None or event.kind in ("offer_gone", "recovered"):
            return []
        before = event.before.sent_price if event.kind == "further" else event.after.from_price
        lines = []
        if before and one.seen.price and one.rule.condition.kind != "available":
            lines.append(f"from {self._native(one, before)} "
                         f"({percent(one.seen.price, before)}), {one.step.sentence} "
                         f"since {event.after.began_at:%Y-%m-%d %H:%M} UTC")  # fmt: skip
        lines.append(self.rarity(one, series))
        lines.append(self.alternative(one, series))
        url, _ = self.printed(one)
        lines.append(f"printed at {url}" if url else "")
        return [line for line in lines if line]

    def rarity(self, one: Happened, series: Series) -> str:
        """Say when it was last as low; how far back prices are known when never."""
        event = one.step.event
        began = event.after.began_at if event and event.after.began_at else one.at
        if one.entry is None or one.entry.price is None:
            return ""
        as_low, first = self._one(LOWEST, series=series.series_id, price=one.entry.price,
                                  before=began) or (None, None)  # fmt: skip
        if as_low:
            return f"lowest since {as_low:%Y-%m-%d}"
        return f"lowest of all that is known, since {first:%Y-%m-%d}" if first else ""

    def alternative(self, one: Happened, series: Series) -> str:
        """Name the cheapest other seller of the same GPU and option."""
        found = self._one(CHEAPEST, gpus=[series.gpu], at=one.at, option=series.option,
                          provider=series.provider)  # fmt: skip
        if not found:
            return f"nobody else sells {series.gpu} {series.option} here"
        provider, sku, region, usd = found
        return (
            f"cheapest elsewhere: {money(usd, 'USD')} per GPU-hour at {provider} ({sku}, {region})"
        )

    def printed(self, one: Happened) -> tuple[str | None, str | None]:
        """Return where the price is printed, and the hash of the bytes."""
        url, sha256 = source_url(self.con, one.look.scan_id) if one.look else (None, None)
        page = self._one(PRINTED_AT, provider=one.subject.provider)
        return (page[0] if page else url), sha256

    def _one(self, sql: str, **values: Any) -> tuple[Any, ...] | None:
        return self.con.execute(filled(sql, values)).fetchone()

    # -- for programs -------------------------------------------------------------------------

    def payload(self, notice: Notice, id_: str, now: datetime) -> dict[str, Any]:
        """Return the message as JSON knows it: what a webhook is sent."""
        first = notice.rows[0] if notice.rows else None
        event = first.step.event if first else None
        return {
            "schema_version": SCHEMA_VERSION,
            "event": {"id": id_, "kind": notice.kind,
                      "episode": event.after.episode if event else 0,
                      "at": notice.at.isoformat(), "written_at": now.isoformat()},
            "rule": {"name": notice.rule.name, "when": notice.rule.when,
                     "late": notice.rule.late},
            "title": self.title(notice) if first else "",
            "text": f"{self.text(notice)}\nevent {id_[:16]}" if first else "",
            "count": len(notice.rows),
            "rows": [self._row_payload(one) for one in notice.rows[:ROWS]],
        } | (self._row_payload(first) if first else {})  # fmt: skip

    def _row_payload(self, one: Happened) -> dict[str, Any]:
        url, sha256 = self.printed(one)
        return {
            "series": _series(one),
            "price": self._price_payload(one),
            "evidence": {
                "observation_ids": [one.look.scan_id] if one.look else [],
                "fetched_at": one.at.isoformat(),
                "source_url": url,
                "payload_sha256": sha256,
            },
        }

    def _price_payload(self, one: Happened) -> dict[str, Any]:
        entry, event = one.entry, one.step.event
        assert event  # noqa: S101  # narrows the type: only events are told
        native = entry.price if entry else one.seen.price
        currency = entry.currency if entry else None
        rate = self.rates.usd(currency, one.at.date()) if currency else None
        return {
            "native": _text(native),
            "currency": currency,
            "unit": one.subject.unit,
            "usd": _text(half_up(native * rate, 6)) if native is not None and rate else None,
            "previous": _text(event.after.from_price or event.before.from_price),
            "baseline": _text(event.ground.value),
            "baseline_text": event.ground.text,
        }


def _series(one: Happened) -> dict[str, Any]:
    series = one.subject.series
    known = {"fingerprint": one.subject.fingerprint, "words": one.subject.words}
    if series is None:
        return known | {"provider": one.subject.provider or None}
    return known | {
        "provider": series.provider, "sku": series.sku, "region": series.region,
        "zone": series.zone, "option": series.option, "tier": series.tier,
        "term_months": series.term_months, "gpu": series.gpu,
        "gpu_count": _text(series.gpu_count),
    }  # fmt: skip


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def _measured(one: Happened) -> str:
    """Return a line about what is not one series: the best of many, a ratio, an index, a source."""
    event, price = one.step.event, one.seen.price
    assert event  # noqa: S101  # narrows the type: only events are told
    notes = "".join(f"; {note}" for note in one.notes if note != "superseded")
    match event.kind, one.subject.unit:
        case ("recovered", "failures" | "hours"):
            since = event.before.fired_at
            lasted = _duration((one.at - since).total_seconds()) if since else "a while"
            return f"{one.subject.words}: seen again after {lasted}"
        case (_, "failures" | "hours"):
            return f"{one.subject.words}{notes}"
        case ("offer_gone", _):
            return (
                f"{one.subject.words}: the cheapest offer is gone, now {_figure(price, one)}{notes}"
            )
    baseline = event.ground.value
    against = f", {percent(price, baseline)} against {event.ground.text}" if (
        price is not None and baseline and one.rule.condition.relative) else ""  # fmt: skip
    return f"{one.subject.words}: {_figure(price, one)}{against}{notes}"


def _figure(price: Decimal | None, one: Happened) -> str:
    if price is None:
        return "nothing"
    match one.subject.unit:
        case "ratio":
            return f"{half_up(price, 2)} times"
        case "index":
            return f"{half_up(price, 2)}"
        case "usd_gpu_hour":
            return f"{money(price, 'USD')} per GPU-hour"
    return money(price, "USD")


def _duration(seconds: float) -> str:
    hours = round(seconds / 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours != 1 else "an hour"


def _footer(notice: Notice) -> Sequence[str]:
    name = notice.rule.name
    return (f"rule {name}: {notice.rule.when} ({notice.rule.selector_words()})",
            f"quiet it: gputape alerts silence rule {name} 7d")  # fmt: skip
