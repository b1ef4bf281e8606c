"""What a GPU hour costs: the question, its rows, and the line under them."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.analysis.offers import COLUMNS, INCLUDES, LEFT_OUT, SORTS, Answer, Question, offers
from gputape.store.errors import BadInput
from gputape.store.gpus import select
from gputape.store.tape import reading

NOW = datetime.now(UTC)
EVERYTHING = frozenset(INCLUDES)


@pytest.fixture
def con(tape: Path) -> Iterator[Any]:
    """A reader of the recorded tape."""
    with reading(tape) as opened:
        yield opened


@pytest.fixture
def apart(kinds: Path) -> Iterator[Any]:
    """A reader of the tape with one offer of each kind."""
    with reading(kinds) as opened:
        yield opened


def dicts(answer: Answer) -> list[dict[str, Any]]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def test_what_can_be_included_is_what_is_left_out() -> None:
    """Every reason can be included but a missing price and an age, which have nothing to show."""
    assert set(LEFT_OUT) - set(INCLUDES) == {"unpriced", "too old"}


def test_every_row_is_shown_or_counted(con: Any) -> None:
    """Rows and what was left out add up to every series of the tape."""
    answer = offers(con, Question(), NOW)
    (total,) = con.execute("select count(*) from v_offers").fetchone()

    assert len(answer.rows) + sum(answer.as_of.left_out.values()) == total


def test_everything_included_leaves_nothing_out(con: Any) -> None:
    """With every kind included only what has no price is missing."""
    assert offers(con, Question(include=EVERYTHING), NOW).as_of.left_out == {}


def test_each_row_is_left_out_for_one_reason(apart: Any) -> None:
    """One series of each kind: each reason counts once."""
    assert offers(apart, Question(), NOW).as_of.left_out == dict.fromkeys(INCLUDES, 1)


def test_the_first_reason_that_is_not_included_counts(con: Any) -> None:
    """A derived fraction is counted as derived, and as a fraction once derived is included."""
    plain = offers(con, Question(), NOW).as_of.left_out
    derived = offers(con, Question(include=frozenset({"derived"})), NOW).as_of.left_out

    assert plain["fraction"] < derived["fraction"]
    assert "derived" not in derived


def test_a_row_has_the_columns_it_promises(con: Any) -> None:
    """Rows are tuples in the order of `COLUMNS`."""
    answer = offers(con, Question(limit=1), NOW)

    assert answer.columns == COLUMNS
    assert len(answer.rows[0]) == len(COLUMNS)


def test_money_is_exact(con: Any) -> None:
    """Prices are Decimals, and a GPU-hour is the hour over the GPUs, to a millionth."""
    for row in dicts(offers(con, Question(include=EVERYTHING), NOW)):
        assert isinstance(row["usd_gpu_hour"], Decimal)
        assert abs(row["usd_gpu_hour"] * row["gpu_count"] - row["usd_hour"]) <= Decimal(
            "0.000001"
        ) * max(row["gpu_count"], 1)


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_orders_all_rows(con: Any, sort: str) -> None:
    """An order changes the order and nothing else."""
    usual = offers(con, Question(), NOW)
    sorted_otherwise = offers(con, Question(sort=sort), NOW)

    assert Counter(sorted_otherwise.rows) == Counter(usual.rows)
    assert sorted_otherwise.as_of == usual.as_of


def test_an_unknown_order_is_refused(con: Any) -> None:
    """The refusal lists the orders."""
    with pytest.raises(BadInput, match="one of usd-gpu-hour, usd-hour"):
        offers(con, Question(sort="price"), NOW)


def test_conditions_narrow_together(con: Any) -> None:
    """Each answer to several conditions meets all of them."""
    question = Question(
        gpus=select(["h100"]), providers=frozenset({"aws", "azure", "gcp"}), option="reserved",
        term_months=36, count=Decimal(8), memory_min_gib=Decimal(80),
        max_usd_gpu_hour=Decimal(6),
    )  # fmt: skip
    rows = dicts(offers(con, question, NOW))

    assert rows
    for row in rows:
        assert row["gpu"].startswith("h100")
        assert row["provider"] in ("aws", "azure", "gcp")
        assert (row["option"], row["term_months"], row["gpu_count"]) == ("reserved", 36, 8)
        assert row["gpu_memory_gib"] >= 80
        assert row["usd_gpu_hour"] <= 6


def test_no_gpus_is_not_any_gpu(con: Any) -> None:
    """An empty set of GPUs matches nothing, None matches all."""
    assert not offers(con, Question(gpus=frozenset()), NOW).rows
    assert offers(con, Question(gpus=None), NOW).rows


def test_a_limit_keeps_the_first(con: Any) -> None:
    """A limit shortens the rows, not what is said of them."""
    whole, short = offers(con, Question(), NOW), offers(con, Question(limit=5), NOW)

    assert short.rows == whole.rows[:5]
    assert short.as_of.matched == whole.as_of.matched == len(whole.rows)
    assert str(short.as_of).split(": ")[1].startswith(f"5 of {len(whole.rows)} offers")


def test_the_cheapest_is_known_beyond_the_limit(con: Any) -> None:
    """`as_of` keeps the cheapest price of all rows that match."""
    answer = offers(con, Question(sort="last-seen", limit=1), NOW)
    cheapest = dicts(offers(con, Question(limit=1), NOW))[0]["usd_gpu_hour"]

    assert answer.as_of.cheapest_usd_gpu_hour == cheapest


def test_the_past_knows_only_what_was_known(con: Any) -> None:
    """At a moment each price is the newest of those seen by then."""
    moment = datetime(2026, 8, 1, tzinfo=UTC)
    rows = dicts(offers(con, Question(as_of=moment, include=EVERYTHING), NOW))
    (known,) = con.execute(
        "select count(distinct series_id) from price_log where observed_at <= ?", [moment]
    ).fetchone()

    assert len(rows) == known
    assert all(row["since"] <= moment and row["last_seen"] <= moment for row in rows)


def test_the_future_is_now(con: Any) -> None:
    """A moment after the last look gives what is known now."""
    later = Question(as_of=datetime(2099, 1, 1, tzinfo=UTC))

    assert offers(con, later, NOW).rows == offers(con, Question(), NOW).rows


def test_a_price_before_it_moved(apart: Any) -> None:
    """An hour ago the mover cost 3.20, now 2.80."""
    (now,) = [r for r in dicts(offers(apart, Question(), NOW)) if r["sku"] == "mover"]
    then = Question(as_of=NOW - timedelta(hours=1))
    (before,) = [r for r in dicts(offers(apart, then, NOW)) if r["sku"] == "mover"]

    assert (before["usd_gpu_hour"], now["usd_gpu_hour"]) == (Decimal("3.2"), Decimal("2.8"))


def test_age_is_measured_from_the_moment_asked_for(con: Any) -> None:
    """What was fresh then is not too old then."""
    then = datetime(2026, 7, 30, 1, tzinfo=UTC)
    question = Question(as_of=then, max_age=timedelta(hours=2))
    rows = dicts(offers(con, question, NOW))

    assert {row["provider"] for row in rows} == {"gcp"}
    assert not any(row["stale"] for row in rows)


def test_the_longest_age_before_the_first_day(con: Any) -> None:
    """A cut-off before the calendar begins is no error."""
    first = datetime(1, 1, 1, tzinfo=UTC)

    assert not offers(con, Question(as_of=first, max_age=timedelta(days=36_500)), NOW).rows


@pytest.mark.parametrize("region", ["EUROPE", " eu ", "europe"])
def test_a_continent_in_any_spelling(con: Any, region: str) -> None:
    """Continents have a nickname and no case."""
    found = {row["region"] for row in dicts(offers(con, Question(region=region), NOW))}

    assert found == {"eu-west-1", "europe"}


def test_nothing_matched_says_what_was_left_out(apart: Any) -> None:
    """An empty answer still gives its reasons."""
    answer = offers(apart, Question(providers=frozenset({"bazaar"})), NOW)

    assert answer.rows == []
    assert str(answer.as_of) == "nothing matched; left out: 1 marketplace"


def test_two_questions_on_one_connection(con: Any) -> None:
    """An answer leaves nothing behind that a second question would see."""
    first = offers(con, Question(), NOW)
    offers(con, Question(gpus=select(["t4"])), NOW)

    assert offers(con, Question(), NOW) == first
