"""Words that people type, read: moments, spans, money. Each refusal says what would be right."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from gputape.store import moments
from gputape.store.errors import BadInput

# plain digits only: DuckDB 1.5.5 reads Decimal("1E+2") as 1.00
FIGURE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
SPAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?)\s*(m|min|h|d|w)")
SPANS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)
TERM = re.compile(r"([0-9]{1,3})\s*(y|yr|year|years|m|mo|month|months)?")


class Moment(click.ParamType["datetime"]):
    """2026-08-01, 2026-08-01T06:00, with or without a zone (UTC when without)."""

    name = "time"
    read = staticmethod(moments.end)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a moment in UTC; a bare date means the end of that day."""
        if isinstance(value, datetime):
            return value
        try:
            return self.read(value)
        except BadInput as error:
            self.fail(str(error), param, ctx)


class Start(Moment):
    """As `Moment`, but a bare date means its beginning: what `--since` starts with."""

    read = staticmethod(moments.start)


class Span(click.ParamType["timedelta"]):
    """90m, 6h, 7d, 2w."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a timedelta of at most a hundred years."""
        if isinstance(value, timedelta):
            return value
        found = SPAN.fullmatch(value.strip())
        if not found:
            self.fail(f"{value!r} is no span: write 90m, 6h, 7d or 2w", param, ctx)
        span = timedelta(**{SPANS[found[2]]: float(found[1])})
        if span > LONGEST:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return span


class Money(click.ParamType["Decimal"]):
    """2.50 or $2.50."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a positive Decimal."""
        amount = _figure(str(value).removeprefix("$"))
        if not amount:
            self.fail(f"{value!r} is no amount: write 2.50", param, ctx)
        return amount


class Term(click.ParamType["int"]):
    """12, 12m, 1y."""

    name = "term"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return months."""
        if isinstance(value, int):
            return value
        found = TERM.fullmatch(value.strip())
        if not found or not 0 < int(found[1]) <= 120:
            self.fail(f"{value!r} is no term: write 12, 12m or 1y", param, ctx)
        return int(found[1]) * (12 if (found[2] or "m").startswith("y") else 1)


class Count(click.ParamType["tuple[Decimal, bool]"]):
    """8 (exactly) or 8+ (at least); 0.5 for half a GPU."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (Decimal, whether at least)."""
        if isinstance(value, tuple):
            return value
        count = _figure(value.removesuffix("+"))
        if not count:
            self.fail(f"{value!r} is no count: write 8, or 8+ for at least 8", param, ctx)
        return count, value.endswith("+")


def _figure(text: str) -> Decimal:
    """Return plain digits as an amount, 0 for anything else."""
    return Decimal(text if FIGURE.fullmatch(text) else 0)
