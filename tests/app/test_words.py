"""Words that people type: moments, spans, money, terms and counts."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputape.app.cli.words import Count, Moment, Money, Span, Term

LAST = {"hour": 23, "minute": 59, "second": 59, "microsecond": 999_999}


def read(kind: click.ParamType[Any], word: str) -> Any:
    return kind.convert(word, None, None)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("2026-08-01", datetime(2026, 8, 1, **LAST, tzinfo=UTC)),
        ("20260801", datetime(2026, 8, 1, **LAST, tzinfo=UTC)),
        ("2026-08-01T06:00", datetime(2026, 8, 1, 6, tzinfo=UTC)),
        ("2026-08-01 06:00:30", datetime(2026, 8, 1, 6, 0, 30, tzinfo=UTC)),
        ("2026-08-01T06:00Z", datetime(2026, 8, 1, 6, tzinfo=UTC)),
        ("2026-08-01T06:00+02:00", datetime(2026, 8, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_moment(word: str, meant: datetime) -> None:
    """A bare date is the end of its day; a time without a zone is UTC."""
    assert read(Moment(), word) == meant


@pytest.mark.parametrize("word", ["", "yesterday", "2026-13-01", "2026-02-30", "7d", "1754000000"])
def test_what_is_no_moment(word: str) -> None:
    """The refusal shows what to write."""
    with pytest.raises(click.BadParameter, match="write 2026-08-01 or 2026-08-01T06:00"):
        read(Moment(), word)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("90m", timedelta(minutes=90)),
        ("90min", timedelta(minutes=90)),
        ("6h", timedelta(hours=6)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        (" 2 w ", timedelta(weeks=2)),
        ("0d", timedelta()),
    ],
)
def test_a_span(word: str, meant: timedelta) -> None:
    """Minutes, hours, days and weeks."""
    assert read(Span(), word) == meant


@pytest.mark.parametrize("word", ["", "7", "d", "-7d", "7y", "1e3d", "7d6h", "9" * 30 + "d"])
def test_what_is_no_span(word: str) -> None:
    """The refusal shows what to write."""
    with pytest.raises(click.BadParameter, match="write 90m, 6h, 7d or 2w"):
        read(Span(), word)


def test_a_span_ends_after_a_hundred_years() -> None:
    """Anything that can be read can also be subtracted from now."""
    assert datetime.now(UTC) - read(Span(), "36500d")
    with pytest.raises(click.BadParameter, match="longer than a hundred years"):
        read(Span(), "36501d")


@pytest.mark.parametrize(("word", "meant"), [("2.50", "2.50"), ("$2.5", "2.5"), (".5", "0.5")])
def test_money(word: str, meant: str) -> None:
    """With or without a dollar sign, exact."""
    assert read(Money(), word) == Decimal(meant)


@pytest.mark.parametrize("word", ["", "0", "0.00", "-1", "nan", "inf", "1e3", "1_000", "2,5", "٢"])
def test_what_is_no_money(word: str) -> None:
    """Neither nothing, nor less than nothing, nor a spelling that DuckDB reads otherwise."""
    with pytest.raises(click.BadParameter, match=r"write 2\.50"):
        read(Money(), word)


@given(st.decimals("0.01", "999999", places=2))
def test_money_is_what_was_written(amount: Decimal) -> None:
    """Every amount of cents is read exactly."""
    assert read(Money(), f"{amount:f}") == amount


@pytest.mark.parametrize(
    ("word", "months"),
    [("12", 12), ("12m", 12), ("12 months", 12), ("1y", 12), ("3 years", 36), ("1mo", 1)],
)
def test_a_term(word: str, months: int) -> None:
    """Months unless it says years."""
    assert read(Term(), word) == months


@pytest.mark.parametrize("word", ["", "0", "0y", "-12", "1.5y", "12x", "999", "9" * 5000])
def test_what_is_no_term(word: str) -> None:
    """The refusal shows what to write."""
    with pytest.raises(click.BadParameter, match="write 12, 12m or 1y"):
        read(Term(), word)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("8", (8, False)), ("8+", (8, True)), ("0.5", (Decimal("0.5"), False)), (".125+",
     (Decimal("0.125"), True))],
)  # fmt: skip
def test_a_count(word: str, meant: tuple[object, bool]) -> None:
    """Exactly so many, or at least; a part of a GPU is a decimal."""
    assert read(Count(), word) == meant


@pytest.mark.parametrize("word", ["", "+", "0", "0+", "-8", "8++", "1e12", "nan", "half", "1/8"])
def test_what_is_no_count(word: str) -> None:
    """The refusal shows what to write."""
    with pytest.raises(click.BadParameter, match=r"write 8, or 8\+ for at least 8"):
        read(Count(), word)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Moment(), datetime(2026, 8, 1, tzinfo=timezone(timedelta(hours=2)))),
        (Span(), timedelta(days=1)),
        (Term(), 12),
        (Count(), (Decimal(8), True)),
    ],
)
def test_what_was_read_is_not_read_again(kind: click.ParamType[Any], value: Any) -> None:
    """Defaults are converted a second time by click: a value passes unchanged."""
    assert kind.convert(value, None, None) is value
