"""`gputape cost` as a person types it, on the tape of everything in `fixtures/`."""

import csv
import io
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.app.cli import costshown

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from markets import Market, at, offer, scan

Run = Callable[..., Any]
TUNE = ("finetune", "--model", "llama-3.1-8b", "--tokens", "50M")
GPT_3 = ("train", "--model", "gpt-3-175b", "--tokens", "300B")
SERVE = ("serve", "--model", "llama-3.1-8b", "--input-tokens", "1000", "--output-tokens", "300")


@pytest.fixture
def cost(gputape: Run) -> Run:
    """Run `gputape cost` with words."""
    return lambda *words, **more: gputape("cost", *words, **more)


def rows(ran: Any) -> list[dict[str, Any]]:
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = ran.json
    return found


def of(cost: Run, *words: str, **more: Any) -> list[dict[str, Any]]:
    return rows(cost(*words, "--format", "json", "--limit", "100000", **more))


# -- rows -------------------------------------------------------------------------------------


def test_the_cheapest_stands_first(cost: Run) -> None:
    """Rows rise by dollars, with every column that a program may want."""
    found = of(cost, *TUNE)
    dollars = [row["usd"] for row in found]

    assert list(found[0]) == list(costshown.JOB)
    assert dollars == sorted(dollars)
    assert all(row["usd_low"] <= row["usd"] <= row["usd_high"] for row in found)
    assert {row["option"] for row in found} == {"on_demand", "spot"}


def test_gpt_3_on_the_offers_of_the_fixtures(cost: Run) -> None:
    """279,558 A100-hours at 100 % are two to three times as many at honest utilisation."""
    every = of(cost, *GPT_3, "--network", "any", "--option", "on_demand", "--max-nodes", "1024")
    a100 = of(cost, *GPT_3, "--network", "any", "--gpu", "a100")

    assert 560_000 / 2 < every[0]["usd"] < 560_000 * 10
    assert a100[0]["usd"] > every[0]["usd"]
    assert all(row["hours"] <= 2160 for row in every)
    assert all(279_558 / 0.5 < row["hours"] * row["gpus"] < 279_558 / 0.3
               for row in a100 if row["option"] == "on_demand")  # fmt: skip


def test_offers_are_ranked_or_counted(cost: Run, gputape: Run) -> None:
    """What can run it and what is left out are together all that the tape knows."""
    ran = cost(*TUNE, "--format", "json")
    (able,) = re.findall(r"(\d+) offers that can run it", ran.err)
    reasons = re.findall(r"(\d+) [^,]+(?:, not asked for)?", ran.err.split("left out: ")[1])
    (every,) = gputape("sql", "select count(*) as n from v_offers", "--format", "json").json

    assert int(able) + sum(map(int, reasons)) == every["n"]


def test_a_table_for_people_ends_with_its_age(cost: Run) -> None:
    """Rows, then how old they are, how many are stale, and what was left out."""
    ran = cost(*TUNE, "--limit", "3")

    assert ran.code == 0
    assert ran.err == ""
    assert re.search(
        r"as of \d{4}-.* UTC \(oldest .*\): 3 of \d+ offers that can run it, ", ran.out
    )
    assert re.search(r", \d+ stale; left out: \d+ ", ran.out)


def test_nothing_that_fits_is_code_4(cost: Run) -> None:
    """No row is an answer too: it counts the reasons."""
    ran = cost(*TUNE, "--budget", "0.01")

    assert ran.code == 4
    assert re.search(r"no offer can run it; left out: .*\d+ over the budget", ran.out)


@pytest.mark.parametrize("fmt", ["json", "jsonl", "csv"])
def test_data_on_stdout_and_talk_beside(cost: Run, fmt: str) -> None:
    """A program's format holds data only."""
    ran = cost(*TUNE, "--format", fmt, "--explain")

    assert "How $" in ran.err
    assert "How $" not in ran.out
    if fmt == "csv":
        assert next(csv.reader(io.StringIO(ran.out))) == list(costshown.JOB)


# -- how it may be bought ---------------------------------------------------------------------


def test_a_deadline_takes_what_keeps_it(cost: Run) -> None:
    """Hours are within, and fewer offers keep a shorter deadline."""
    long, short = (of(cost, *TUNE, "--deadline", span) for span in ("36h", "90m"))

    assert all(row["hours"] <= 1.5 for row in short)
    assert 0 < len(short) < len(long)


def test_a_deadline_and_a_budget_with_spot(cost: Run) -> None:
    """All three hold at once; expected interruptions are in the hours."""
    found = of(cost, *TUNE, "--deadline", "12h", "--budget", "8", "--option", "spot",
               "--interruption", "20%/day")  # fmt: skip

    assert found
    assert all(row["usd"] <= 8 and row["hours"] <= 12 and row["option"] == "spot" for row in found)


def test_interruptions_take_time(cost: Run) -> None:
    """The same offer costs more the oftener it is taken back."""
    calm, rough = (
        {
            row["series_id"]: row["hours"]
            for row in of(cost, *TUNE, "--option", "spot", "--interruption", rate)
        }
        for rate in ("1%/day", "60%/hour")
    )

    assert calm.keys() == rough.keys()
    assert all(rough[series] > hours for series, hours in calm.items())


def test_many_tries_with_a_disk(cost: Run) -> None:
    """Ten runs cost ten times one, and disk and egress are apart."""
    once = {row["series_id"]: row for row in of(cost, *TUNE)}
    many = {row["series_id"]: row for row in of(cost, *TUNE, "--runs", "10", "--disk", "1000",
                                                "--egress", "50")}  # fmt: skip
    (aws,) = [one for one in once if once[one]["provider"] == "aws"][:1]

    assert many[aws]["extra_usd"] > 10 * 50 * 0.08
    assert many[aws]["usd"] == pytest.approx(
        10 * once[aws]["usd"] + many[aws]["extra_usd"], abs=0.06
    )


def test_set_up_is_paid(cost: Run) -> None:
    """Two idle hours are two hours of the machine more."""
    plain = {row["series_id"]: row for row in of(cost, *TUNE, "--provider", "aws")}
    idle = {row["series_id"]: row for row in of(cost, *TUNE, "--provider", "aws", "--setup", "2h")}

    assert all(
        idle[one]["usd"] - row["usd"] == pytest.approx(2 * row["usd_hour"], abs=0.02)
        for one, row in plain.items()
    )


def test_a_term_allows_reserved(cost: Run) -> None:
    """With a term commitments are ranked too, no longer ones, and each says what it commits to."""
    found = [row for row in of(cost, *TUNE, "--term", "1y") if row["option"] == "reserved"]

    assert found
    assert all(row["term_months"] <= 12 for row in found)
    assert all("commits to" in row["note"] for row in found)


def test_the_cheapest_of_each_seller(cost: Run) -> None:
    """One row a seller."""
    sellers = [row["provider"] for row in of(cost, *TUNE, "--each-provider")]

    assert len(sellers) == len(set(sellers)) > 3


def test_only_what_is_asked(cost: Run) -> None:
    """A GPU, a seller and a region narrow the offers."""
    found = of(
        cost, *TUNE, "--gpu", "h100", "--gpu", "a100", "--provider", "aws", "--region", "us-"
    )

    assert found
    assert all(row["gpu"].startswith(("h100", "a100")) and row["provider"] == "aws"
               and row["region"].startswith("us-") for row in found)  # fmt: skip


# -- files ------------------------------------------------------------------------------------


def test_a_job_file_is_the_same_job(cost: Run, tmp_path: Path) -> None:
    """What `--write-job` writes `--job` reads, and options go over it."""
    file = tmp_path / "job.toml"
    plain = of(cost, *TUNE, "--deadline", "10h", "--write-job", str(file))

    assert "tokens = 50000000.0" in file.read_text()
    assert of(cost, "finetune", "--job", str(file)) == plain
    assert len(of(cost, "finetune", "--job", str(file), "--deadline", "1h")) < len(plain)
    other = of(cost, "finetune", "--job", str(file), "--params", "1B")
    assert other[0]["usd"] < plain[0]["usd"]


def test_a_file_of_another_kind(cost: Run, tmp_path: Path) -> None:
    """A fine-tune is no batch; where it can be written and read is said."""
    file = tmp_path / "job.toml"
    cost(*TUNE, "--write-job", str(file))

    assert "gputape cost finetune" in cost("batch", "--job", str(file)).err
    assert "can not read the job" in cost("batch", "--job", "none.toml").err
    assert "can not write" in cost(*TUNE, "--write-job", str(tmp_path / "no" / "job.toml")).err


# -- other questions --------------------------------------------------------------------------


def test_the_days_of_a_job(cost: Run, tmp_path: Path) -> None:
    """A row a day, today's rank below; a span of three days is three days."""
    market = Market(tmp_path / "tape.duckdb")
    for day, price in enumerate(("3.00", "2.80", "2.60", "2.90"), 1):
        market.day(at(day), one=price)
    ran = cost(*TUNE, "--history", "3d", "--as-of", "2026-03-04", "--format", "json", db=market.db)

    assert [row["day"][:10] for row in rows(ran)] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert "the lowest was $" in ran.err
    assert "on 2026-03-03; 3 days with offers" in ran.err


def test_a_frontier_and_the_most(cost: Run) -> None:
    """Cheapest for every deadline, and the most for an amount."""
    faster = rows(cost(*TUNE, "--frontier", "--format", "json"))
    (most,) = rows(cost("train", "--params", "1B", "--tokens", "1B", "--most", "tokens",
                        "--spend", "$1000", "--format", "json"))  # fmt: skip

    assert [row["hours"] for row in faster] == sorted(row["hours"] for row in faster)
    assert most["usd"] <= 1000
    assert float(most["amount"]) > 1e9


def test_the_most_needs_an_amount(cost: Run) -> None:
    """Without dollars the question has no end."""
    ran = cost("train", "--params", "1B", "--tokens", "1B", "--most", "tokens")

    assert ran.code == 2
    assert "--spend 100000" in ran.err


def test_a_service_beside_hosts(cost: Run) -> None:
    """A month, a million tokens, and what hosts take for the same."""
    ran = cost(*SERVE, "--users", "10000", "--format", "json")
    found = rows(ran)[0]

    assert found["usd_month"] == pytest.approx(730 * found["usd_hour_total"], rel=0.01)
    assert found["tpot_ms"] <= 50
    assert "hosted: " in ran.err


def test_ten_thousand_users_are_their_requests(cost: Run) -> None:
    """Users times requests an hour is a rate."""
    by_users = of(cost, *SERVE, "--users", "3600", "--requests-user-hour", "10")
    by_rate = of(cost, *SERVE, "--requests-s", "10")

    assert by_users == by_rate


def test_the_past(cost: Run, tmp_path: Path) -> None:
    """`--as-of` prices with the offers of a moment."""
    market = Market(tmp_path / "tape.duckdb").day(at(1), one="2.00").day(at(2), one="3.00")
    then, now = (of(cost, *TUNE, *when, db=market.db) for when in (("--as-of", "2026-03-01"), ()))

    assert now[0]["usd"] / then[0]["usd"] == pytest.approx(1.5)


def test_marketplaces_are_asked_for(cost: Run, tmp_path: Path) -> None:
    """A marketplace is left out until it is included."""
    market = Market(tmp_path / "tape.duckdb").tell(
        (scan("bazaar", at(1)), [offer("bazaar", "1.00")]), kinds={"bazaar": "marketplace"}
    )

    assert cost(*TUNE, db=market.db).code == 4
    assert len(of(cost, *TUNE, "--include", "marketplace", db=market.db)) == 1


def test_a_commitment_says_all_it_costs(cost: Run, tmp_path: Path) -> None:
    """A dollar an hour for a year is $8,760, whatever the job takes of it."""
    year = offer("one", "1.00", option="reserved", term_months=12, payment="all",
                 upfront=Decimal(8760))  # fmt: skip
    market = Market(tmp_path / "tape.duckdb").tell((scan("one", at(1)), [year]))
    (row,) = of(cost, *TUNE, "--option", "reserved", "--term", "12m", db=market.db)

    assert "commits to 12 months, $8,760 in all, all upfront" in row["note"]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--gpu", "h1000"), "h100"),
        (("--provider", "asw"), "did you mean aws?"),
        (("--region", "us-esat-1"), "did you mean us-east"),
        (("--provider", "aws", "--term", "1m"), "at most 1 months of these: sold are 12"),
        (("--option", "reserved"), "--term 12m"),
        (("--utilisation", "150%"), "--utilisation 0.6"),
        (("--interruption", "often"), "5%/month, 10%/day or 2%/hour"),
        (("--include", "markets"), "did you mean marketplace?"),
        (("--precision", "fp7"), "no precision is called"),
        (("--optimizer", "adam8"), "optimizer 'adam8' is not known"),
        (("--seq-len", "1M"), "more than Llama-3.1-8B has context"),
        (("--params", "8B"), "give one of them"),
        (("--deadline", "soon"), "is no span"),
        (("--runs", "0"), "runs is 0"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(
    cost: Run, words: tuple[str, ...], wrong: str
) -> None:
    """Each mistake ends with a sentence, never with a trace."""
    ran = cost(*TUNE, *words)

    assert ran.code == 2
    assert wrong in ran.err
    assert "Traceback" not in ran.err


def test_unknown_models_have_neighbours(cost: Run) -> None:
    """A name is answered with the nearest, or with what else to give."""
    assert (
        "did you mean llama-3.1-8b" in cost("train", "--model", "lama-3.1-8b", "--tokens", "1B").err
    )
    assert "a job needs a model" in cost("train", "--tokens", "1B").err
    assert "--tokens would" in cost("train", "--params", "1B").err
