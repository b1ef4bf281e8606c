"""`gputape offers`: every option, every format, every way it ends."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gputape.analysis.offers import COLUMNS, INCLUDES, SORTS

Run = Callable[..., Any]


def ask(gputape: Run, *words: object, **where: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer as JSON objects."""
    ran = gputape("offers", *words, "--format", "json", **where)
    assert ran.code == 0, ran.err
    rows: list[dict[str, Any]] = ran.json
    assert rows
    return rows


def skus(gputape: Run, kinds: Path, *words: object) -> set[str]:
    """Return which skus of the tape of kinds an answer shows."""
    return {row["sku"] for row in ask(gputape, *words, db=kinds)}


# -- what is shown by default -----------------------------------------------------------------


def test_cheapest_gpu_hour_first(gputape: Run) -> None:
    """Rows rise by USD per GPU-hour."""
    prices = [row["usd_gpu_hour"] for row in ask(gputape)]

    assert prices == sorted(prices)
    assert len(prices) > 100


def test_only_what_one_can_buy_now(gputape: Run, kinds: Path) -> None:
    """Gone, suspect, derived, marketplace, fractional and old imported offers are left out."""
    assert skus(gputape, kinds) == {
        "plain", "eight", "paris", "sold-out", "jumper", "mover", "old",
    }  # fmt: skip


def test_each_kind_can_be_included(gputape: Run, kinds: Path) -> None:
    """`--include KIND` shows the one offer of that kind, and no other."""
    usual = skus(gputape, kinds)
    shown = {kind: skus(gputape, kinds, "--include", kind) - usual for kind in INCLUDES}

    assert shown == {
        "suspect": {"dubious"},
        "gone": {"leaver"},
        "derived": {"formula"},
        "marketplace": {"host-1"},
        "fraction": {"slice"},
        "imported": {"H100 80 GB"},
    }


def test_kinds_are_joined_by_commas(gputape: Run, kinds: Path) -> None:
    """`--include derived,fraction` shows both."""
    assert {"formula", "slice"} <= skus(gputape, kinds, "--include", "derived, fraction")


def test_including_one_kind_does_not_let_another_in(gputape: Run) -> None:
    """A derived fraction of a GPU is shown when both kinds are included, not with one."""

    def slices(kind: str) -> list[dict[str, Any]]:
        rows = ask(gputape, "--provider", "gcp", "--include", kind)
        return [row for row in rows if row["derived"] and row["gpu_count"] < 1]

    assert not slices("derived")
    assert not slices("fraction")
    assert slices("derived,fraction")


def test_a_price_in_doubt_is_shown_as_it_was_with_what_it_says_now(
    gputape: Run, kinds: Path
) -> None:
    """A price that jumped keeps its last firm figure, and `held_price` has the new one."""
    (row,) = [row for row in ask(gputape, db=kinds) if row["sku"] == "jumper"]

    assert (row["usd_gpu_hour"], row["held_price"], row["state"]) == (2.5, 0.9, "firm")


def test_the_note_tells_a_person_what_to_mind(gputape: Run, kinds: Path) -> None:
    """Unconfirmed, stale, unavailable, doubtful: the table's last column says it."""
    ran = gputape("offers", "--include", "suspect,derived", db=kinds)

    def line(sku: str) -> str:
        return next(text for text in ran.out.splitlines() if f" {sku} " in text)

    assert "now says 0.90 USD, unconfirmed" in line("jumper")
    assert "stale: seen" in line("old")
    assert "not available" in line("sold-out")
    assert "suspect; 0.05 USD is outside its band" in line("dubious")
    assert "derived" in line("formula")


def test_an_offer_without_an_exchange_rate_comes_last(gputape: Run, kinds: Path) -> None:
    """Euros without a rate have no USD figure and stand after everything that has one."""
    last = ask(gputape, db=kinds)[-1]

    assert (last["sku"], last["usd_gpu_hour"], last["price"], last["currency"]) == (
        "paris",
        None,
        2,
        "EUR",
    )


# -- which offers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("h100-sxm-80", {"h100-sxm-80"}),
        ("H100-SXM-80", {"h100-sxm-80"}),
        ("a100-*-40", {"a100-sxm-40", "a100-pcie-40"}),
        ("b200", {"b200-sxm-180"}),
    ],
)
def test_a_gpu_is_an_id_a_glob_or_a_family(gputape: Run, word: str, meant: set[str]) -> None:
    """`--gpu` reads ids in any case, globs, and families."""
    assert {row["gpu"] for row in ask(gputape, "--gpu", word)} == meant


def test_gpus_add_up(gputape: Run) -> None:
    """`--gpu` twice asks for both."""
    found = {row["gpu"] for row in ask(gputape, "--gpu", "t4-16", "--gpu", "l4-24")}

    assert found == {"t4-16", "l4-24"}


def test_an_unknown_gpu_is_refused_with_the_nearest(gputape: Run) -> None:
    """`--gpu h10` ends with usage and what may have been meant."""
    ran = gputape("offers", "--gpu", "h10")

    assert ran.code == 2
    assert "no GPU is called 'h10'; did you mean" in ran.err
    assert "h100" in ran.err
    assert ran.out == ""


def test_least_memory(gputape: Run) -> None:
    """`--memory-min 141` keeps GPUs of at least so many GiB each."""
    memory = {row["gpu_memory_gib"] for row in ask(gputape, "--memory-min", 141)}

    assert min(memory) == 141
    assert max(memory) > 141


def test_a_count_is_exact(gputape: Run) -> None:
    """`--count 8` keeps machines of eight."""
    assert {row["gpu_count"] for row in ask(gputape, "--count", 8)} == {8}


def test_a_count_with_a_plus_is_the_least(gputape: Run) -> None:
    """`--count 8+` keeps eight and more."""
    counts = {row["gpu_count"] for row in ask(gputape, "--count", "8+")}

    assert min(counts) == 8
    assert max(counts) > 8


@pytest.mark.parametrize("option", ["on_demand", "reserved", "spot"])
def test_one_option(gputape: Run, option: str) -> None:
    """`--option` keeps one way of buying an hour."""
    assert {row["option"] for row in ask(gputape, "--option", option)} == {option}


@pytest.mark.parametrize(("term", "months"), [("12", 12), ("12m", 12), ("1y", 12), ("3y", 36)])
def test_a_term_in_months_or_years(gputape: Run, term: str, months: int) -> None:
    """`--term` reads 12, 12m and 1y alike."""
    assert {row["term_months"] for row in ask(gputape, "--term", term)} == {months}


def test_one_provider_and_two(gputape: Run) -> None:
    """`--provider` is repeatable."""
    found = {row["provider"] for row in ask(gputape, "--provider", "aws", "--provider", "oracle")}

    assert found == {"aws", "oracle"}


def test_a_region_by_its_beginning(gputape: Run) -> None:
    """`--region us-east-1` means that region and its local zones."""
    regions = {row["region"] for row in ask(gputape, "--region", "us-east-1")}

    assert regions == {"us-east-1", "us-east-1-atl-1"}


@pytest.mark.parametrize("word", ["europe", "EU", "Europe"])
def test_a_region_by_its_continent(gputape: Run, word: str) -> None:
    """`--region europe` means every provider's regions there, whatever they are called."""
    found = {(row["provider"], row["region"]) for row in ask(gputape, "--region", word)}

    assert found == {("aws", "eu-west-1"), ("coreweave", "europe")}


def test_one_tier(gputape: Run) -> None:
    """`--tier savings_plan` keeps that variant."""
    assert {row["tier"] for row in ask(gputape, "--tier", "savings_plan")} == {"savings_plan"}


def test_a_highest_price(gputape: Run) -> None:
    """`--max-price 1` keeps what costs at most a dollar per GPU-hour."""
    assert max(row["usd_gpu_hour"] for row in ask(gputape, "--max-price", "$1")) <= 1


def test_a_reserved_price_keeps_both_its_parts(gputape: Run) -> None:
    """229,000 upfront for three years of a p4d is 8.7139 an hour, and the upfront is shown."""
    rows = ask(gputape, "--option", "reserved", "--provider", "aws", "--gpu", "a100-sxm-40")
    (row,) = [row for row in rows if row["upfront"] == 229_000]

    assert (row["payment"], row["term_months"]) == ("all", 36)
    assert row["usd_hour"] == pytest.approx(229_000 / (3 * 8760), abs=1e-6)


# -- when -------------------------------------------------------------------------------------


def test_a_moment_of_the_past(gputape: Run) -> None:
    """`--as-of 2026-08-01` knows nothing that was seen later."""
    rows = ask(gputape, "--as-of", "2026-08-01")

    assert max(row["last_seen"] for row in rows) < "2026-08-02"
    assert len(rows) < len(ask(gputape))


def test_a_bare_date_is_its_whole_day(gputape: Run) -> None:
    """What was seen at noon belongs to `--as-of` that day, and not to its morning."""
    day = ask(gputape, "--as-of", "2026-08-06", "--provider", "aws")
    morning = gputape("offers", "--as-of", "2026-08-06T06:00", "--provider", "aws")

    assert any(row["last_seen"].startswith("2026-08-06T17:30") for row in day)
    assert "2026-08-06 17:30" not in morning.out


def test_before_the_first_look_nothing_is_known(gputape: Run) -> None:
    """`--as-of` a day before the tape begins matches nothing."""
    assert gputape("offers", "--as-of", "2020-01-01").code == 4


# -- order and number -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "column"), [("usd-hour", "usd_hour"), ("gpu", "gpu"), ("provider", "provider")]
)
def test_other_orders(gputape: Run, sort: str, column: str) -> None:
    """`--sort` orders by another column, rising."""
    found = [row[column] for row in ask(gputape, "--sort", sort)]

    assert found == sorted(found)


def test_newest_first(gputape: Run) -> None:
    """`--sort last-seen` starts with what was seen last."""
    seen = [row["last_seen"] for row in ask(gputape, "--sort", "last-seen")]

    assert seen == sorted(seen, reverse=True)


def test_an_unknown_order_lists_the_known(gputape: Run) -> None:
    """`--sort price` is refused with every order there is."""
    ran = gputape("offers", "--sort", "price")

    assert ran.code == 2
    assert all(sort in ran.err for sort in SORTS)


def test_a_limit_says_how_many_there_are(gputape: Run) -> None:
    """`--limit 3` shows three rows, and the last line how many matched."""
    ran = gputape("offers", "--gpu", "h100", "--limit", 3)

    assert len(ran.out.splitlines()) == 1 + 3 + 1
    assert "3 of 3" in ran.out.splitlines()[-1]


def test_two_runs_give_the_same_bytes(gputape: Run) -> None:
    """Offers of one price keep their order from run to run."""
    assert gputape("offers").out == gputape("offers").out


# -- the last line ----------------------------------------------------------------------------


def test_the_answer_says_how_old_it_is_and_what_it_leaves_out(gputape: Run, kinds: Path) -> None:
    """Newest, oldest, how many rows, how many of them stale, and each reason with its number."""
    last = gputape("offers", db=kinds).out.splitlines()[-1]

    assert last.startswith("as of 20")
    assert "UTC (oldest 20" in last
    assert last.endswith(
        "7 offers, 1 stale; left out: 1 derived, 1 fraction, 1 gone, 1 imported, 1 marketplace, "
        "1 suspect"
    )


@pytest.mark.parametrize("fmt", ["table", "md"])
def test_people_read_the_last_line_on_stdout(gputape: Run, fmt: str) -> None:
    """For a table the as-of line is part of the answer."""
    ran = gputape("offers", "--limit", 1, "--format", fmt)

    assert ran.out.splitlines()[-1].startswith("as of ")
    assert ran.err == ""


@pytest.mark.parametrize("fmt", ["json", "jsonl", "csv"])
def test_programs_read_only_data_on_stdout(gputape: Run, fmt: str) -> None:
    """For a machine's format the as-of line goes to stderr."""
    ran = gputape("offers", "--limit", 1, "--format", fmt)

    assert "as of" not in ran.out
    assert ran.err.startswith("as of ")


# -- formats ----------------------------------------------------------------------------------


def test_json_has_every_column_and_numbers(gputape: Run) -> None:
    """`--format json` is a list of objects; money is a number, a time is ISO 8601 in UTC."""
    row = ask(gputape, "--limit", 1)[0]

    assert tuple(row) == COLUMNS
    assert isinstance(row["usd_gpu_hour"], float)
    assert row["last_seen"].endswith("+00:00")


def test_jsonl_is_an_object_a_line(gputape: Run) -> None:
    """`--format jsonl` can be read line by line."""
    lines = gputape("offers", "--limit", 3, "--format", "jsonl").out.splitlines()

    assert [tuple(json.loads(line)) for line in lines] == [COLUMNS] * 3


def test_csv_has_a_header_and_blanks_for_what_is_not_known(gputape: Run) -> None:
    """`--format csv` names its columns; NULL is empty."""
    text = gputape("offers", "--limit", 3, "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))

    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["zone"] == ""
    assert "\r" not in text


def test_md_is_a_table(gputape: Run) -> None:
    """`--format md` has a header, a rule with numbers to the right, and a line a row."""
    lines = gputape("offers", "--limit", 2, "--format", "md").out.splitlines()

    assert lines[0].startswith("| gpu | usd_gpu_hour |")
    assert lines[1].startswith("| --- | ---: |")
    assert len({line.count("|") for line in lines[:-1]}) == 1


def test_parquet_has_the_same_rows(gputape: Run, tmp_path: Path) -> None:
    """`--format parquet -o FILE` keeps every row with its exact decimals."""
    file = tmp_path / "offers.parquet"
    ran = gputape("offers", "--gpu", "h100", "--format", "parquet", "-o", file)
    table = pq.read_table(file)

    assert ran.out == ""
    assert tuple(table.column_names) == COLUMNS
    assert table.num_rows == len(ask(gputape, "--gpu", "h100"))
    assert str(table.schema.field("usd_gpu_hour").type).startswith("decimal128")


def test_parquet_wants_a_file(gputape: Run) -> None:
    """Parquet is not written to a terminal."""
    ran = gputape("offers", "--format", "parquet")

    assert ran.code == 2
    assert "--format parquet needs -o FILE" in ran.err


def test_a_file_gets_what_stdout_would(gputape: Run, tmp_path: Path) -> None:
    """`-o FILE` writes the same bytes there."""
    file = tmp_path / "offers.csv"
    gputape("offers", "--format", "csv", "-o", file)

    assert file.read_text("utf-8") == gputape("offers", "--format", "csv").out


def test_a_file_that_can_not_be_written_is_a_sentence(gputape: Run) -> None:
    """`-o` into a folder that is not there names the path and ends with 1."""
    ran = gputape("offers", "-o", "no/such/folder/x.csv")

    assert ran.code == 1
    assert ran.err == "gputape: no/such/folder/x.csv: No such file or directory\n"


# -- how it ends ------------------------------------------------------------------------------


def test_nothing_matched_is_4(gputape: Run) -> None:
    """An answer without rows says so and ends with 4."""
    ran = gputape("offers", "--max-price", "0.001")

    assert ran.code == 4
    assert ran.out == "nothing matched\n"


def test_nothing_matched_is_still_json(gputape: Run) -> None:
    """A program that reads JSON gets an empty list."""
    ran = gputape("offers", "--max-price", "0.001", "--format", "json")

    assert ran.code == 4
    assert ran.json == []


def test_all_too_old_is_5(gputape: Run, kinds: Path) -> None:
    """When `--max-age` leaves nothing, the data is too old rather than missing."""
    ran = gputape("offers", "--provider", "slow", "--max-age", "2h", db=kinds)

    assert ran.code == 5
    assert ran.out == "nothing matched; left out: 1 too old\n"


def test_too_old_is_left_out_and_counted(gputape: Run, kinds: Path) -> None:
    """`--max-age 2h` keeps what was seen since."""
    ran = gputape("offers", "--max-age", "2h", db=kinds)

    assert ran.code == 0
    assert " old " not in ran.out
    assert "1 too old" in ran.out


def test_an_included_kind_can_be_too_old(gputape: Run, kinds: Path) -> None:
    """`--include imported` does not excuse a row from `--max-age`."""
    ran = gputape("offers", "--include", "imported", "--max-age", "2h", db=kinds)

    assert "H100 80 GB" not in ran.out
    assert "2 too old" in ran.out


@pytest.mark.parametrize(("limit", "code"), [("2.51", 6), ("2.50", 0)])
def test_cheaper_than_a_limit_is_6(gputape: Run, kinds: Path, limit: str, code: int) -> None:
    """`--fail-below` ends with 6 when an offer is cheaper, and not when it costs just that."""
    ran = gputape("offers", "--fail-below", limit, db=kinds)

    assert ran.code == code
    assert "plain" in ran.out


def test_cheaper_counts_beyond_the_rows_shown(gputape: Run, kinds: Path) -> None:
    """`--limit 1` in another order does not hide the cheap offer from `--fail-below`."""
    words = ("offers", "--sort", "last-seen", "--limit", 1, "--fail-below", "2.60")

    assert gputape(*words, db=kinds).code == 6


@pytest.mark.parametrize(
    "words",
    [
        ("--option", "sopt"),
        ("--count", "none"),
        ("--count", "1e12"),
        ("--count", "0"),
        ("--term", "1x"),
        ("--max-price", "-1"),
        ("--max-price", "nan"),
        ("--max-price", "1e400"),
        ("--max-age", "99999999d"),
        ("--as-of", "yesterday"),
        ("--limit", "-1"),
        ("--limit", "99999999999999999999"),
        ("--include", "derved"),
        ("--format", "xml"),
        ("extra",),
    ],
)
def test_words_that_can_not_be_read_are_2(gputape: Run, words: tuple[str, ...]) -> None:
    """Usage is explained in a sentence, with the word that is wrong."""
    ran = gputape("offers", *words)

    assert ran.code == 2
    assert "Error: " in ran.err
    assert words[-1] in ran.err
    assert ran.out == ""


def test_without_a_tape_it_says_how_to_get_one(gputape: Run, tmp_path: Path) -> None:
    """No tape is an error that names the command to run."""
    ran = gputape("offers", db=tmp_path / "none.duckdb")

    assert ran.code == 1
    assert ran.err.startswith("gputape: there is no tape at ")
    assert "run `gputape collect`, or `gputape demo`" in ran.err


def test_a_file_that_is_no_tape_is_a_sentence(gputape: Run, tmp_path: Path) -> None:
    """A text file in the tape's place is refused without a traceback."""
    file = tmp_path / "text.duckdb"
    file.write_text("this is no database, whatever its name says\n" * 100)
    ran = gputape("offers", "--db", file)

    assert ran.code == 1
    assert ran.err.startswith(f"gputape: DuckDB can not open {file}")


def test_the_flag_wins_over_the_environment(gputape: Run, tape: Path, kinds: Path) -> None:
    """`--db` counts before `GPUTAPE_DB`."""
    ran = gputape("offers", "--db", kinds, "--provider", "bazaar", "--include", "marketplace",
                  db=tape)  # fmt: skip

    assert "host-1" in ran.out


@pytest.mark.parametrize("word", ["o'brien", "x' or '1'='1", "$at", "'); drop view v_offers; --"])
def test_words_stay_words(gputape: Run, word: str) -> None:
    """Quotes and dollar signs in a word match nothing, and do nothing else."""
    ran = gputape("offers", "--tier", word, "--region", word)

    assert (ran.code, ran.out) == (4, "nothing matched\n")


def test_a_provider_that_the_tape_does_not_know_is_refused(gputape: Run) -> None:
    """A misspelt seller is named with the nearest one, in every command that takes one."""
    for command in (["offers"], ["history", "h100"], ["changes"]):
        ran = gputape(*command, "--provider", "lamda_labs")
        assert (ran.code, ran.err) == (
            2, "gputape: this tape knows no provider 'lamda_labs': did you mean lambda_labs?\n"
        )  # fmt: skip
