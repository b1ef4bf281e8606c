"""The backtest: real history, typed history through the importer, and the command that plays it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gputape.app import importing
from gputape.app.alerts.backtest import as_json, backtest
from gputape.app.alerts.ledger import open_ledger
from gputape.app.alerts.rules import Rule
from gputape.app.cli.alerts import alerts
from gputape.scrapers.importers.snapshot import ImportOptions
from gputape.store import tape
from gputape.store.errors import BadInput

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "history" / "gpu-rental-prices"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
HEADER = "provider,sku,gpu,price,observed_at"


def bring(db: Path, fmt: str, path: Path) -> None:
    plan = importing.ImportPlan(fmt=fmt, path=path, db=db, options=ImportOptions(), now=NOW)
    importing.run(plan, lambda _snapshot, _done: None)


def csv(folder: Path, prices: list[str], provider: str = "acme") -> Path:
    file = folder / "prices.csv"
    rows = [f"{provider},x,H100 SXM 80GB,{price},2026-07-{day:02}T08:00:00+00:00"
            for day, price in enumerate(prices, 1) if price]  # fmt: skip
    file.write_text("\n".join((HEADER, *rows)) + "\n", "utf-8")
    return file


@pytest.fixture(scope="module")
def rentals(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real history of 34 sellers, day by day; read-only."""
    if not REAL.exists():
        pytest.skip("needs the folder of real histories")
    db = tmp_path_factory.mktemp("rentals") / "tape.duckdb"
    bring(db, "gpurentalprices", REAL)
    with tape.reading(db) as con:
        yield con


@pytest.mark.slow
def test_the_default_policy_is_quiet_where_the_naive_one_sends_dozens(rentals: Any) -> None:
    """27 days of 34 sellers: at most eight messages against forty and more."""
    result = backtest(rentals)

    assert 3 <= len(result.messages) <= 8
    assert result.naive_messages > 36
    assert {m.kind for m in result.messages} <= {"fired", "held", "offer_gone"}
    for message in result.messages:
        assert "median of 14 days" in message.text or message.kind == "offer_gone"


@pytest.mark.slow
def test_the_fix_of_aws_is_no_alert(rentals: Any) -> None:
    """2026-07-18: halved prices of a corrected fetcher; nothing of AWS on any day."""
    messages = backtest(rentals).messages

    assert [m for m in messages if m.provider == "aws"] == []
    assert [m for m in messages if m.time.date().isoformat() == "2026-07-18"] == []


@pytest.mark.slow
def test_the_real_spikes_and_wobbles_are_silent(rentals: Any) -> None:
    """Spheron h100 on demand, sfcompute h100 spot, scaleway h100, digitalocean, runpod: none."""
    told = {(m.provider, m.series) for m in backtest(rentals).messages if m.kind != "held"}

    assert {provider for provider, _ in told} == {"spheron"}
    assert "spheron h100 80 GB on_demand" not in {series for _, series in told}


@pytest.mark.slow
def test_the_rename_of_runpod_is_neither_gone_nor_new(rentals: Any) -> None:
    """Runpod h100 is h100-sxm from 2026-07-18 on: a rule that tells of gone offers stays silent."""
    rule = Rule(name="any", when="below 5", provider=("runpod",), gpu=("h100",))
    gone = [m for m in backtest(rentals, [rule]).messages if m.kind == "offer_gone"]

    assert [m for m in gone if m.time.date().isoformat() == "2026-07-18"] == []


def test_a_typed_history_is_played_through_the_command(tmp_path: Path, home: Path) -> None:
    """`backtest --format json`: messages and the naive count, of a table of one series."""
    db = tmp_path / "tape.duckdb"
    bring(db, "csv", csv(tmp_path, ["2.00"] * 8 + ["1.70", "2.00", "1.70", "1.70", "1.70"]))
    ran = CliRunner().invoke(alerts, ["backtest", "--format", "json", "--db", str(db)])
    said = json.loads(ran.stdout)

    assert (ran.exit_code, said["naive_messages"]) == (0, 2)
    ((message),) = said["messages"]
    assert message["time"] == "2026-07-12T08:00:00+00:00"
    assert (message["provider"], message["kind"]) == ("acme", "fired")
    assert set(message) >= {"time", "provider", "series", "kind", "text"}
    assert "1 messages in 13 looks" in ran.stderr


def test_days_count_from_the_newest_look(tmp_path: Path, home: Path) -> None:
    """What is older is learned from and not told."""
    db = tmp_path / "tape.duckdb"
    bring(db, "csv", csv(tmp_path, ["2.00"] * 7 + ["1.70"] * 3 + ["2.00"] * 3 + ["1.60"] * 3))
    whole, part = (
        json.loads(CliRunner().invoke(
            alerts, ["backtest", "--format", "json", "--db", str(db), *words]).stdout)
        for words in ([], ["--days", "3"])
    )  # fmt: skip

    assert [m["time"][:10] for m in whole["messages"]] == ["2026-07-09", "2026-07-15"]
    assert part["messages"] == whole["messages"][1:]


def test_a_backtest_changes_nothing(market: Any) -> None:
    """No state, no message, no log."""
    market.play([2.0] * 7 + [1.5] * 3)

    assert market.ledger.outbox.rows() == []
    assert market.log() == []
    assert market.ledger.active() == {}


def test_a_rule_about_many_series_is_played_day_by_day(market: Any) -> None:
    """The best of two sellers under a limit: told on the second day."""
    rule = Rule(name="best", when="below 1.80", scope="best", gpu=("h100-sxm-80",))
    prices = [{"a": 2.0, "b": 2.1}] * 2 + [{"a": 2.0, "b": 1.7}] * 3

    assert market.play(prices, rule) == [(3, "fired")]


JOB = """
kind = "finetune"
[model]
name = "llama-3.1-8b"
[work]
tokens = 100e6
"""


def test_the_cost_of_a_whole_job_is_played(market: Any, tmp_path: Path) -> None:
    """A job that falls from $80 to $12 is told once, when the price is believed and seen again."""
    (tmp_path / "job.toml").write_text(JOB)
    rule = Rule(name="job", when="below 30", scope="workload", workload=str(tmp_path / "job.toml"))

    assert market.play([20.0, 20.0, 3.0, 3.0, 3.0, 3.0], rule) == [(5, "fired")]


def test_a_job_that_is_none_is_refused(market: Any) -> None:
    """A rule whose job file is not there says so before anything is played."""
    rule = Rule(name="job", when="below 800", scope="workload", workload="job.toml")

    with pytest.raises(BadInput, match=r"can not read the job job\.toml"):
        market.backtest(rule)


def test_what_is_played_is_what_would_have_been_sent(market: Any) -> None:
    """The same looks, live and played afterwards, tell the same at the same times."""
    prices = [2.0] * 7 + [1.5, 2.0, 1.4, 1.4, 1.1, 1.1, 2.0, 2.0, 2.0, 1.2, 1.2, 1.2, None, 2.0]
    start = market.now
    told = market.live(prices, *market_policy())
    played = [((m.time - start).days, m.kind) for m in market.backtest().messages]

    assert told
    assert played == told


def market_policy() -> list[Rule]:
    from gputape.app.alerts.rules import default_policy

    return default_policy()


def test_an_empty_tape_has_nothing_to_play(market: Any) -> None:
    """No look, no message, no error."""
    assert as_json(market.backtest()) == {"messages": [], "naive_messages": 0}


def test_a_ledger_is_beside_its_tape(tmp_path: Path) -> None:
    """`tape.duckdb` has `tape.alerts.db`."""
    open_ledger(tmp_path / "tape.duckdb").close()

    assert (tmp_path / "tape.alerts.db").exists()
