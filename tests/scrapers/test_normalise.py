"""The one judge: units, identity, plausibility; it never raises and loses nothing."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.scrapers import normalise as judge
from gputape.scrapers.money import Unreadable, count, figure
from gputape.scrapers.normalise import Verdict, normalise
from gputape.scrapers.quote import Of, Per, Quote
from gputape.store.offer import Offer, Option
from gputape.store.rows import offer_table, unjudged_table

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def judged(*quotes: Quote, provider: str = "lambda_labs") -> Verdict:
    return normalise(provider, quotes, NOW)


def quote(price: Any = "10", **rest: Any) -> Quote:
    words: dict[str, Any] = {"sku": "a", "option": Option.ON_DEMAND, "gpu": "H100 SXM"}
    return Quote(**{**words, "price": price, **rest})


def only(*quotes: Quote, **rest: Any) -> Offer:
    (offer,) = judged(*quotes, **rest).offers
    return offer


def reason(*quotes: Quote, **rest: Any) -> str:
    verdict = judged(*quotes, **rest)
    assert not verdict.offers
    return verdict.rejects[0].reason


@pytest.mark.parametrize(
    ("printed", "number"),
    [
        ("$49.24", "49.24"),
        ("$1,234.50", "1234.50"),
        ("$$8.50/h", "8.50"),
        ("$3.90/GPU-hr", "3.90"),
        (" $3.45 ", "3.45"),
        ("4^1", "4"),
        ("256+", "256"),
        ("2,048", "2048"),
        ("9.0E-4", "0.00090"),
        ("\xa0$1.40", "1.40"),
        (5, "5"),
        (Decimal("6.88"), "6.88"),
    ],
)
def test_figures_are_read_as_printed(printed: Any, number: str) -> None:
    """Signs, separators, footnotes and units around a number are understood."""
    assert figure(printed) == Decimal(number)


@pytest.mark.parametrize(
    "printed", ["", "—", "-", "N/A", "N/A*", "Contact sales", "Request", "Talk to our team", None]
)
def test_ways_of_saying_no_price_are_none(printed: str | None) -> None:
    """What stands where a price would, and is none, is never 0."""
    assert figure(printed) is None


@pytest.mark.parametrize(
    "printed", ["from $0.79", "abc", "1.2.3", "1.234,50", "$1,23", "0x10", "１２", "12 34", "-5"]
)
def test_what_is_no_number_is_not_guessed(printed: str) -> None:
    """A floor, a foreign notation, a garbled cell: unreadable, never a near miss."""
    with pytest.raises(Unreadable):
        figure(printed)


def test_a_price_per_gpu_becomes_the_price_of_the_sku() -> None:
    """8 GPUs at 3.99 each are 31.92 an hour."""
    offer = only(quote("3.99", of=Of.GPU, gpu_count=8))
    assert (offer.price, offer.gpu_count) == (Decimal("31.92"), 8)


def test_a_price_for_the_term_is_spread_over_its_hours() -> None:
    """An Azure reservation: 551,221 for a year is 62.92 an hour."""
    offer = only(quote(551221, option=Option.RESERVED, per=Per.TERM, term_months=12))
    assert offer.price == Decimal("62.924771689")


def test_a_monthly_price_is_divided_by_730_hours() -> None:
    """A month is 730 h."""
    assert only(quote("7300", per=Per.MONTH, gpu_count=8)).price == 10


def test_upfront_and_recurring_make_the_effective_hour_and_both_are_kept() -> None:
    """58,000 upfront and 6.62 an hour over a year are 13.241 an hour."""
    offer = only(quote("6.62", upfront="58000", option=Option.RESERVED, term_months=12,
                       payment="partial", gpu_count=8))  # fmt: skip
    assert (offer.price, offer.upfront) == (Decimal("13.241004566"), 58000)


def test_all_upfront_has_no_recurring_part_and_is_not_zero() -> None:
    """0 an hour and 113,600 upfront is a price."""
    offer = only(quote("0", upfront="113600", option=Option.RESERVED, term_months=12, gpu_count=8))
    assert offer.price == Decimal("12.968036530")


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ({"price": "Contact sales"}, "no_price"),
        ({"price": 0}, "zero"),
        ({"price": "0.0000000000"}, "zero"),
        ({"price": "from $1"}, "unreadable"),
        ({"gpu": "Voodoo 2"}, "unknown_gpu"),
        ({"gpu": None, "sku": "p99.metal"}, "unknown_instance"),
        ({"currency": "dollars"}, "currency"),
        ({"option": Option.RESERVED}, "no_term"),
        ({"per": Per.TERM}, "no_term"),
        ({"price": "9999999"}, "impossible"),
        ({"gpu_count": 0}, "impossible"),
        ({"valid_from": NOW + timedelta(days=1)}, "not_in_force"),
        ({"valid_to": NOW}, "not_in_force"),
    ],
)
def test_what_can_not_be_an_offer_says_why(rest: dict[str, Any], word: str) -> None:
    """Each reason of the table in the module's docstring has its case."""
    assert reason(quote(**rest)) == word


def test_an_unknown_spelling_shows_the_line_to_add() -> None:
    """The reject's sentence is TOML for `gpus.toml`."""
    (reject,) = judged(quote(gpu="H100 SXM9")).rejects
    assert reject.sentence.startswith('aliases = ["H100 SXM9"]')
    assert '"gpu": "H100 SXM9"' in reject.quote_json


def test_a_future_price_is_remembered_by_its_date() -> None:
    """The part says when the same bytes will mean something else."""
    start = NOW + timedelta(days=3)
    assert judged(quote(), quote(valid_from=start)).next_effective_at == start


def test_equal_rows_are_one_offer() -> None:
    """A row printed twice is one price."""
    assert only(quote("10"), quote("10.00")).suspect is None


def test_two_prices_for_one_series_are_a_doubt_and_never_look_cheap() -> None:
    """The dearer one is kept, and held back."""
    offer = only(quote("30", gpu_count=8), quote("28", gpu_count=8))
    assert offer.price == 30
    assert offer.suspect
    assert "two prices" in offer.suspect


def test_a_price_outside_its_gpu_s_band_is_suspect() -> None:
    """An H100 for two cents an hour is kept, shown, and not believed."""
    assert only(quote("0.02")).suspect
    assert only(quote("2.99")).suspect is None


def test_a_price_far_from_the_same_sku_s_other_regions_is_suspect() -> None:
    """A relay that forgot the GPU's price in one region is noticed by the others."""
    regions = [quote("90", region=r, gpu_count=8) for r in "ab"]
    verdict = judged(*regions, quote("10.12", region="c", gpu_count=8))
    assert [offer.suspect is not None for offer in verdict.offers] == [False, False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sku": 7}, {"gpu": 7}, {"region": ["a"]}, {"zone": b"z"}, {"source_sku": 7},
        {"currency": None}, {"price": {"amount": 1}}, {"price": [1]}, {"price": True},
        {"price": 1.5}, {"price": float("nan")}, {"price": Decimal("1E+1000000")},
        {"price": 10**5000}, {"gpu_count": True}, {"term_months": "12"}, {"available": "yes"},
        {"option": "hourly"}, {"per": "hour "}, {"valid_from": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"valid_to": "2027-01-01"},
    ],
)  # fmt: skip
def test_what_has_no_such_type_is_unreadable_and_counted(wrong: dict[str, Any]) -> None:
    """A figure that is a dict, a float or a truth value, a time without a zone: one reject."""
    verdict = judged(quote(**{"price": "10", **wrong}))
    assert [reject.reason for reject in verdict.rejects] == ["unreadable"]
    json.loads(verdict.rejects[0].quote_json, parse_constant=pytest.fail)
    unjudged_table(verdict.rejects)


def test_a_fault_of_ours_costs_one_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with one quote, the others of the part are judged."""
    resolve = judge.resolve

    def breaks(spelling: str, *rest: Any) -> Any:
        return resolve(spelling, *rest) if spelling != "H200" else 1 // 0

    monkeypatch.setattr(judge, "resolve", breaks)
    verdict = judged(quote(sku="b", gpu="H200"), quote())
    assert [reject.reason for reject in verdict.rejects] == ["unreadable"]
    assert [offer.key.sku for offer in verdict.offers] == ["a"]


@pytest.mark.parametrize("printed", ["0.0001", "0.0009", Decimal("1E-1000000")])
def test_a_thousandth_of_a_gpu_is_the_least_there_is(printed: Any) -> None:
    """A count that no column could show as more than 0 is impossible."""
    assert reason(quote(gpu_count=printed)) == "impossible"
    assert only(quote("0.004", gpu_count="0.001")).gpu_count == Decimal("0.001")


@pytest.mark.parametrize(
    ("printed", "number"), [("1/8", "0.125"), ("3/4 GPU", "0.75"), ("1 / 2", "0.5"), ("8", "8")]
)
def test_a_count_may_be_a_fraction(printed: str, number: str) -> None:
    """An eighth of a GPU is not one GPU."""
    assert count(printed) == Decimal(number)
    assert only(quote("0.5", gpu_count=printed)).gpu_count == Decimal(number)


@pytest.mark.parametrize("printed", ["1/0", "8/node", "1/8/2", "2/hr"])
def test_what_is_no_count_is_not_guessed(printed: str) -> None:
    """A slash that makes no fraction makes no count."""
    with pytest.raises(Unreadable):
        count(printed)


@pytest.mark.parametrize(
    "printed",
    ["$2/h", "$2/hr", "$2 / hour", "$2/hrs", "$2 per hour", "$2/GPU-hr", "$2/GPU/hr",
     "$2 / GPU / H", "$2/GPU-hour", "$2 USD per GPU per hour"],
)  # fmt: skip
def test_an_hour_has_many_names(printed: str) -> None:
    """Each way of printing an hour beside a price is an hour."""
    assert only(quote(printed)).price == 2


@pytest.mark.parametrize(
    "printed", ["$1,825/month", "$0.04/min", "$0.001/sec", "$9/day", "$2/8", "1/8", "$2/GPU"]
)
def test_a_unit_that_is_no_hour_is_not_read_as_one(printed: str) -> None:
    """A month's, a minute's or a second's price is never an hour's."""
    assert reason(quote(printed)) == "unreadable"


def test_a_month_is_printed_where_a_month_is_quoted() -> None:
    """`/month` agrees with a monthly quote, `/hr` does not, and upfront has no unit."""
    assert only(quote("$1,460/month", per=Per.MONTH)).price == 2
    assert only(quote("$1,460 per mo", per=Per.MONTH)).price == 2
    assert reason(quote("$2/hr", per=Per.MONTH)) == "unreadable"
    assert reason(quote("1", upfront="$9/hr", term_months=12)) == "unreadable"


@pytest.mark.parametrize(
    ("printed", "said", "word"),
    [("€2.50", "USD", None), ("2.50 EUR", "USD", None), ("£2.50", "EUR", None),
     ("$2.50", "EUR", None), ("US$2.50", "CAD", None), ("2.50 USD", "EUR", None),
     ("€2.50", "EUR", "EUR"), ("2.50 EUR", "EUR", "EUR"), ("£2.50", "GBP", "GBP"),
     ("$2.50", "CAD", "CAD"), ("US$2.50", "USD", "USD"), ("2.50", "EUR", "EUR")],
)  # fmt: skip
def test_the_printed_sign_must_agree_with_the_currency(
    printed: str, said: str, word: str | None
) -> None:
    """Euros are never read as dollars, nor dollars as euros."""
    if word:
        assert only(quote(printed, currency=said)).currency == word
    else:
        assert reason(quote(printed, currency=said)) == "currency"


def test_a_sku_of_many_zones_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle of a sku's regions is found once, however many zones sell it."""
    asked: list[int] = []
    middle = judge.median

    def counted(prices: Any) -> Any:
        asked.append(len(prices))
        return middle(prices)

    monkeypatch.setattr(judge, "median", counted)
    judged(*(quote("3", region=str(n)) for n in range(50)))
    assert asked == [50]


TEXT = st.one_of(
    st.none(), st.text(max_size=30), st.text(alphabet="$0123456789.,eE+-^ N/A", max_size=12)
)
FIGURES = st.one_of(
    TEXT, st.integers(), st.decimals(), st.decimals(allow_nan=False, allow_infinity=False)
)
MONTHS = st.one_of(st.none(), st.integers(-(10**12), 10**12))
TIMES = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.builds(
            Quote,
            sku=st.text(max_size=20), option=st.sampled_from(Option), price=FIGURES,
            region=st.text(max_size=10), zone=TEXT, tier=TEXT, term_months=MONTHS, payment=TEXT,
            per=st.sampled_from(Per), of=st.sampled_from(Of), upfront=FIGURES,
            currency=st.one_of(st.text(max_size=4), st.just("USD")),
            gpu=st.one_of(TEXT, st.sampled_from(["H100 SXM", "A10", "NVIDIA A100 80GB", "T4"])),
            gpu_memory_gib=FIGURES, gpu_count=FIGURES, vcpus=FIGURES, memory_gib=FIGURES,
            available=st.one_of(st.none(), st.booleans()), derived=TEXT, relay=TEXT,
            source_sku=TEXT, valid_from=TIMES, valid_to=TIMES,
        ),
        max_size=5,
    ),
    st.sampled_from(["aws", "azure", "gcp", "oracle", "lambda_labs", "coreweave"]),
)  # fmt: skip
def test_nothing_that_is_quoted_can_break_the_judge(quotes: list[Quote], provider: str) -> None:
    """Any quote ends as an offer or a reject, and the tape takes both."""
    verdict = normalise(provider, quotes, NOW)
    assert len(verdict.rejects) + len(verdict.offers) <= len(quotes)
    assert bool(verdict.rejects or verdict.offers) == bool(quotes)
    assert len({offer.key for offer in verdict.offers}) == len(verdict.offers)
    assert all(offer.price > 0 for offer in verdict.offers)
    offer_table(verdict.offers, "part")
    unjudged_table(verdict.rejects)
    for reject in verdict.rejects:
        reject.quote_json.encode()
        reject.sentence.encode()
