"""`spread`, `index`, `commit` and `buy` as a person types them."""

import csv
import io
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from markets import GPU, Market, article, at, offer, scan

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of the table of 2023-04-07."""
    return article(tmp_path_factory.mktemp("printed") / "tape.duckdb").db


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of three sellers over three days; one also sells a year, and spot."""
    market = Market(tmp_path_factory.mktemp("sold") / "tape.duckdb")
    market.day(at(1), one="2.00", two="3.00", three="4.00")
    market.day(at(2), one="2.20", two="3.30", three="4.40")
    market.day(at(3), one="2.20", two="3.30", three="4.40")
    year = offer("one", "1.10", option="reserved", term_months=12, payment="all",
                 upfront=Decimal(9636))  # fmt: skip
    market.tell(
        (scan("one", at(3), part="reserved"), [year]),
        (scan("one", at(3), part="spot"), [offer("one", "0.80", option="spot")]),
    )
    return market.db


THEN = ("--as-of", "2023-04-07T00:00")
NOW = ("--as-of", "2026-03-03T13:00")


# -- spread -----------------------------------------------------------------------------------


def test_the_spread_of_2023(gputape: Run, printed: Path) -> None:
    """Who is cheapest, who is dearest, how far apart, how loud, and how many."""
    ran = gputape("spread", "a100-40", "--option", "on_demand", *THEN, "--format", "json",
                  db=printed)  # fmt: skip
    (row,) = ran.json

    assert ran.code == 0
    assert (row["ratio"], row["flag"], row["sellers"]) == (3.73, "loud", 7)
    assert (row["low_provider"], row["low_usd_gpu_hour"]) == ("lambda_labs", 1.1)
    assert (row["high_provider"], row["high_usd_gpu_hour"]) == ("aws", 4.1)
    assert row["average_usd_gpu_hour"] == 2.62
    assert "form factor not stated" in row["differences"]
    assert ran.err.endswith("7 sellers' best, 0 stale; 0 flagged (1.5x), 1 loud (3x)\n")


def test_an_anomaly_and_a_misprint_stand_under_the_table(gputape: Run, printed: Path) -> None:
    """Azure's A10 and the article's 2.27 are lines beginning with !, before the as-of line."""
    ran = gputape("spread", *THEN, db=printed)
    said = [line for line in ran.out.splitlines() if line.startswith("! ")]

    assert "! azure: a10-24 on_demand at 3.20 is nearly its own a100-40 at 3.40 (1.06x)" in said
    assert any("2.27" in line and "2.18" in line for line in said)
    assert ran.out.splitlines()[-1].startswith("as of 2023-04-07 00:00 UTC")


def test_anomalies_as_rows(gputape: Run, printed: Path) -> None:
    """`--anomalies` is for programs."""
    ran = gputape("spread", "--anomalies", "--option", "on_demand", *THEN, "--format", "json",
                  db=printed)  # fmt: skip

    assert [(r["provider"], r["gpu"], r["stronger"], r["ratio"]) for r in ran.json] == [
        ("azure", "a10-24", "a100-40", 1.06)
    ]


def test_one_gpu_beside_another(gputape: Run, printed: Path) -> None:
    """`--against` shows each seller's own ratio: AWS 4.1, Azure 1.06."""
    ran = gputape("spread", "a100-40", "--against", "a10-24", "--option", "on_demand", *THEN,
                  "--format", "json", db=printed)  # fmt: skip
    ratios = {row["provider"]: row["ratio"] for row in ran.json}

    assert (ratios["aws"], ratios["azure"]) == (4.1, 1.06)
    assert {row["other"] for row in ran.json} == {"a10-24"}


def test_averages_of_few_are_asked_for(gputape: Run, printed: Path) -> None:
    """Four sellers have no average until `--fewest 4`: 1.415 is 1.42."""
    words = ("spread", "a100-40", "--option", "spot", *THEN, "--format", "json")

    assert gputape(*words, db=printed).json[0]["average_usd_gpu_hour"] is None
    assert gputape(*words, "--fewest", 4, db=printed).json[0]["average_usd_gpu_hour"] == 1.42


def test_the_history_of_a_spread(gputape: Run, sold: Path) -> None:
    """`--history` is a row a day."""
    ran = gputape("spread", GPU, "--history", "7d", *NOW, "--format", "json", db=sold)

    assert [(row["day"], row["ratio"], row["flag"]) for row in ran.json] == [
        ("2026-03-01", 2, "flagged"), ("2026-03-02", 2, "flagged"), ("2026-03-03", 2, "flagged")
    ]  # fmt: skip


def test_of_many_anomalies_the_worst_five_are_named(gputape: Run, tmp_path: Path) -> None:
    """The notes stay short: the worst first, and how many more there are."""
    weak = ("t4-16", "l4-24", "a10-24", "a2-16", "a16-16", "a40-48", "l40s-48")
    listed = [offer("one", f"{2 + n / 10}", gpu, gpu=gpu) for n, gpu in enumerate(weak)]
    market = Market(tmp_path / "t.duckdb").day(at(3), two="3.00")
    market.tell((scan("one", at(3)), [*listed, offer("one", "1.50")]))
    ran = gputape("spread", *NOW, db=market.db)
    notes = [line for line in ran.out.splitlines() if line.startswith("! ")]

    assert len(notes) == 6
    assert notes[-1] == "! and 2 more like these: gputape spread --anomalies"
    assert "l40s-48 on_demand at 2.60" in notes[0]


# -- index ------------------------------------------------------------------------------------


def test_an_index_day_by_day(gputape: Run, sold: Path) -> None:
    """Level, index, link and the hash of what it is made of."""
    rows = gputape("index", GPU, "--days", 5, *NOW, "--format", "json", db=sold).json

    assert [(r["day"], r["level_usd_gpu_hour"], r["index"]) for r in rows] == [
        ("2026-03-01", 3, 100), ("2026-03-02", 3.3, 110), ("2026-03-03", 3.3, 110)
    ]  # fmt: skip
    assert [r["link"] for r in rows] == [None, 1.1, 1]
    assert all(len(r["constituents"]) == 64 for r in rows)


def test_a_base_is_kept(gputape: Run, sold: Path) -> None:
    """`--base` fixes what is 100, though fewer days are shown."""
    rows = gputape("index", GPU, "--days", 1, "--base", "2026-03-01", *NOW, "--format", "json",
                   db=sold).json  # fmt: skip

    assert [(r["day"], r["index"]) for r in rows] == [("2026-03-03", 110)]


def test_people_see_a_short_hash_and_how_to_verify(gputape: Run, sold: Path) -> None:
    """The table is narrow and ends with the command that proves it."""
    ran = gputape("index", GPU, "--days", 5, *NOW, db=sold)
    last = ran.out.splitlines()[-1]

    assert last == (
        "as of 2026-03-03: 3 of 3 points have an index; verify one with "
        f"`gputape index verify {GPU} 2026-03-03`"
    )
    assert len(ran.out.splitlines()) == 1 + 3 + 1


def test_too_few_sellers_have_a_reason(gputape: Run, sold: Path) -> None:
    """One seller of spot is no market: neither level nor index."""
    (row,) = gputape("index", GPU, "--option", "spot", *NOW, "--format", "json", db=sold).json

    assert (row["level_usd_gpu_hour"], row["index"]) == (None, None)
    assert row["reason"] == "1 seller, 3 are the fewest"


def test_a_point_is_verified(gputape: Run, sold: Path) -> None:
    """The published hash is computed again from the tape, and its series are shown."""
    rows = gputape("index", GPU, "--days", 5, *NOW, "--format", "json", db=sold).json
    words = ("index", "verify", GPU, "2026-03-02", "--format", "csv")
    ran = gputape(*words, "--hash", rows[1]["constituents"][:12], db=sold)
    made_of = list(csv.DictReader(io.StringIO(ran.out)))

    assert ran.code == 0
    assert ran.err.endswith(f"3 sellers, sha256 {rows[1]['constituents']}: holds\n")
    assert "link 1.100000 since 2026-03-01" in ran.err
    assert {row["provider"]: row["price"] for row in made_of} == {
        "one": "2.2", "two": "3.3", "three": "4.4"
    }  # fmt: skip


def test_another_hash_differs(gputape: Run, sold: Path) -> None:
    """A hash that the tape does not give ends with 1 and both hashes."""
    ran = gputape("index", "verify", GPU, "2026-03-02", "--hash", "abcd", db=sold)

    assert ran.code == 1
    assert "DIFFERS in hash: published abcd, computed " in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("index", "h10"), "no GPU is called 'h10'"),
        (("index", GPU, "--option", "reserved"), "needs its term: --term 12"),
        (("index", GPU, "--term", "1y"), "on_demand prices have no term"),
        (("index", "verify", "h100", "2026-03-02"), "h100 is several GPUs, a point is of one"),
        (("index", "verify", GPU, "yesterday"), "yesterday"),
        (("spread", "--history", "7d"), "--history and --against need a GPU"),
        (("commit", GPU, "--utilisation", "0"), "share of the hours"),
        (("commit", GPU, "--utilisation", "most"), "'most' is no share: write 0.7 or 70%"),
        (("commit", GPU, "--price-fall", "150%"), "prices can not fall by 1.5 a year"),
        (("commit", GPU, "--term", "7"), "a term of 7 months: sold are 12"),
        (("commit", GPU, "--provider", "oen"), "did you mean one?"),
        (("buy",), "which GPU?"),
        (("buy", "l4"), "give --card-price"),
        (("buy", "h100", "--pue", "x"), "'x' is no number: write 30000"),
    ],
)
def test_wrong_words_are_2(gputape: Run, sold: Path, words: tuple[str, ...], said: str) -> None:
    """Each refusal says what would be right."""
    at_then = NOW if words[0] == "commit" else ()
    ran = gputape(*words, *at_then, db=sold)

    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("spread", "l4"),
        ("spread", "l4", "--history", "9d"),
        ("index", "l4"),
        ("index", "verify", "l4", "2026-03-02"),
        ("commit", "l4"),
    ],
)
def test_nothing_matched_is_4(gputape: Run, sold: Path, words: tuple[str, ...]) -> None:
    """Nothing to show is a line and a code; JSON is an empty list."""
    ran = gputape(*words, db=sold)

    assert ran.code == 4
    assert len(ran.out.splitlines()) == 1
    assert gputape(*words, "--format", "json", db=sold).json == []


# -- commit -----------------------------------------------------------------------------------


def test_a_commitment(gputape: Run, sold: Path) -> None:
    """1.10 against 2.20 is a break-even of a half; 9,636 upfront against 0.7 of the hours."""
    ran = gputape("commit", GPU, "--utilisation", "70%", "--price-fall", "0", *NOW, "--format",
                  "json", db=sold)  # fmt: skip
    (row,) = ran.json

    assert (row["break_even_utilisation"], row["effective_usd_gpu_hour"]) == (0.5, 1.571429)
    assert row["npv_usd_gpu"] == pytest.approx(0.7 * 8760 * 2.20 - 9636)
    assert (row["recurring_usd_gpu_hour"], row["upfront_usd_gpu"]) == (0, 9636)
    assert row["npv_spot_usd_gpu"] == pytest.approx(0.7 * 8760 * 0.80 - 9636)
    assert (row["spot_days"], row["verdict"], row["twin"]) == (1, "commit", "the same sku")


def test_an_unknown_fall_is_said(gputape: Run, sold: Path) -> None:
    """Three days of prices do not tell how they fall, and the answer says what was taken."""
    ran = gputape("commit", GPU, *NOW, db=sold)

    assert (
        f"{GPU}: how on-demand prices will fall is unknown: today's price is taken for the whole "
        "term" in ran.out
    )
    assert ran.out.splitlines()[-1].startswith("as of 2026-03-03 12:00 UTC")


def test_a_steep_fall_turns_the_verdict(gputape: Run, sold: Path) -> None:
    """When on-demand prices fall by 80 % a year, committing loses."""
    ran = gputape("commit", GPU, "--price-fall", "80%", "--utilisation", "0.8", *NOW, "--format",
                  "json", db=sold)  # fmt: skip

    assert ran.json[0]["npv_usd_gpu"] < 0
    assert ran.json[0]["verdict"] == "on demand"


# -- buy --------------------------------------------------------------------------------------


def test_buying_beside_the_tape(gputape: Run, sold: Path) -> None:
    """Own cost with its interval, and the break-even against the cheapest of each way to rent."""
    ran = gputape("buy", GPU, "--years", 3, "--operations", 0, *NOW, "--format", "json", db=sold)
    rows = {row["against"]: row for row in ran.json}

    assert {name: (r["market_usd_gpu_hour"], r["provider"]) for name, r in rows.items()} == {
        "on_demand": (2.2, "one"), "reserved 12 months": (1.1, "one")
    }  # fmt: skip
    assert rows["on_demand"]["own_usd_gpu_hour"] == 1.9522
    assert rows["on_demand"]["break_even_utilisation"] == round(
        (1.9522 - 0.0813) / (2.20 - 0.0813), 3
    )
    assert rows["reserved 12 months"]["break_even_utilisation"] > 1
    assert "1.95 (" in ran.err


def test_buying_against_a_stated_price_needs_no_tape(gputape: Run, tmp_path: Path) -> None:
    """`--against` compares with a price that somebody was quoted."""
    ran = gputape("buy", "rtx-3080-ti", "--against", "9.99", db=tmp_path / "none.duckdb")

    assert ran.code == 0
    assert "buy" in ran.out.splitlines()[1]


def test_the_working_and_its_sources(gputape: Run, sold: Path) -> None:
    """`--explain` shows each step with its numbers, and where each constant was read."""
    ran = gputape("buy", GPU, "--years", 3, "--explain", *NOW, db=sold)

    assert "30,000 x 1.64 / (1 - 0)" in ran.out
    assert "700 W x 0.75 x 1.5 x 1.25 x 0.0826 USD/kWh" in ran.out
    assert "buy.server_overhead = 1.64 x the card: Epoch AI" in ran.out
    assert "buy.years" not in ran.out


def test_the_example_of_the_article(gputape: Run) -> None:
    """Both figures, and which of them the article confused."""
    ran = gputape("buy", "--example", "--format", "json")
    figures = {row["figure"]: row for row in ran.json}

    assert figures["energy a year"]["value"] == 3504
    assert figures["energy in 3 years"]["value"] == 10512
    assert figures["electricity in 3 years"]["value"] == 1051.2
    assert "that is one year's" in figures["energy a year"]["note"]
