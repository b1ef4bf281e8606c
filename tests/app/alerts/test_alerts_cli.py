"""`gputape alerts …`: every verb, its words, its exit code."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gputape.app.cli.alerts import alerts
from gputape.store import tape
from gputape.store.errors import BadInput

from ..receiving import Receiver  # noqa: TID252  # tests have no name of their own

JOB = """
kind = "finetune"
[model]
name = "llama-3.1-8b"
[work]
tokens = 100e6
"""
Run = Callable[..., Result]


@pytest.fixture
def run(home: Path, kinds: Path, tmp_path: Path) -> Run:
    """Run `alerts` on a tape of one offer of each kind, with a ledger of its own."""
    db = tmp_path / "tape.duckdb"
    db.symlink_to(kinds)

    def call(*words: object) -> Result:
        return CliRunner().invoke(alerts, [*map(str, words), "--db", str(db)])

    call.db = db  # type: ignore[attr-defined]
    return call


def rows(ran: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_a_rule_is_added_listed_and_removed(run: Run) -> None:
    """With where it comes from; afterwards it is not there."""
    added = run("add", "cheap", "below 2", "--gpu", "h100", "--channel", "team")
    listed = rows(run("list", "--format", "json"))
    removed = run("remove", "cheap")

    assert (added.exit_code, removed.exit_code) == (0, 0)
    assert "cheap: below 2, h100" in added.stderr
    assert [(r["rule"], r["from"]) for r in listed] == [
        ("default-list", "default policy"), ("default-market", "default policy"),
        ("cheap", "command"),
    ]  # fmt: skip
    assert len(rows(run("list", "--format", "json"))) == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("add", "x", "bellow 2"), "did you mean 'below 2.50'"),
        (("add", "x", "below 2", "--gpu", "h100-sxm-8"), "did you mean h100-sxm-80"),
        (("add", "x", "below 2", "--provider", "acmee"), "did you mean acme"),
        (("add", "x", "below 2", "--scope", "workload", "--workload", "j.toml"), "can not read"),
        (("remove", "default-lists"), "there is no rule"),
        (("why", "default-lits", "acme"), "did you mean 'default-list'"),
        (("why", "default-list", "acme"), "has judged nothing"),
        (("backtest", "nix"), "there is no rule 'nix'"),
        (("silence", "rule", "nix", "7d"), "there is no rule 'nix'"),
        (("silence", "gpu", "h100-sxm-8", "7d"), "did you mean"),
        (("test",), "no channel is configured"),
    ],
)
def test_a_word_that_means_nothing_is_refused_with_the_nearest(
    run: Run, words: tuple[str, ...], hint: str
) -> None:
    """Each refusal says what would be right."""
    ran = run(*words)

    assert isinstance(ran.exception, BadInput)
    assert hint in str(ran.exception)


def test_check_ends_with_6_when_something_is_true(run: Run) -> None:
    """And lists it: the offers under the limit, whatever was told of them."""
    run("add", "cheap", "below 2", "--gpu", "h100", "--provider", "bazaar")
    ran = run("check", "cheap", "--format", "json")

    assert ran.exit_code == 6
    assert [(r["subject"], r["price"]) for r in rows(ran)] == [
        ("bazaar host-1 eu-1 on_demand", 1.8)
    ]


def test_check_ends_with_0_when_nothing_is(run: Run) -> None:
    """An empty list, as JSON too."""
    run("add", "cheap", "below 0.5", "--gpu", "h100", "--provider", "bazaar")
    ran = run("check", "cheap", "--format", "json")

    assert (ran.exit_code, rows(ran)) == (0, [])
    assert "0 true of 1 rules" in ran.stderr


def test_a_best_price_is_checked_too(run: Run) -> None:
    """Scope `best`: the cheapest of the selection, by name."""
    run("add", "floor", "below 1.9", "--gpu", "h100-sxm-80", "--scope", "best", "--provider",
        "bazaar")  # fmt: skip
    ran = run("check", "floor", "--format", "json")

    assert ran.exit_code == 6
    assert rows(ran)[0]["subject"] == "cheapest of h100-sxm-80, bazaar (bazaar host-1 eu-1)"


def test_a_silence_is_listed_and_lifted(run: Run) -> None:
    """It says until when and why."""
    assert run("silence", "gpu", "h100", "7d", "moving house").exit_code == 0
    assert "gpu h100: moving house" in run("list").stderr
    assert "lifted 1" in run("silence", "gpu", "h100", "--lift").stderr
    assert "silent" not in run("list").stderr
    assert run("silence", "gpu", "h100").exit_code == 2


@pytest.fixture
def hook(home: Path) -> Iterator[list[dict[str, Any]]]:
    """A web server on loopback that takes one channel's messages, and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        Path("gputape.toml").write_text(
            f'[alerts.channels.team]\nurl = "webhook+http://127.0.0.1:{server.server_port}/"\n'
            "allow_private = true\n", "utf-8")  # fmt: skip
        yield taken
        server.shutdown()


def test_a_test_message_is_sent_to_each_channel(hook: list[dict[str, Any]], run: Run) -> None:
    """It arrives, and what came of it is said; an unknown channel is refused by name."""
    ran = run("test")

    assert (ran.exit_code, ran.stderr) == (0, "team sent\n")
    assert [said["event"]["kind"] for said in hook] == ["test"]
    assert "did you mean 'team'" in str(run("test", "--channel", "teem").exception)


def test_what_happened_is_logged_and_explained(market: Any, home: Path) -> None:
    """`log --json` a line per event, `why` the gates; both end with 0."""
    from gputape.app.alerts.rules import default_policy

    market.now = datetime.now(UTC) - timedelta(days=10)
    market.live([2.00] * 7 + [1.50] * 3, *default_policy())
    words = ["--db", str(market.db)]
    log = CliRunner().invoke(alerts, ["log", "--json", *words])
    why = CliRunner().invoke(
        alerts, ["why", "default-list", "acme h100", "--format", "json", *words]
    )

    ((event),) = [json.loads(line) for line in log.stdout.splitlines()]
    assert (event["kind"], event["gate"]) == ("fired", "sent")
    assert [row["gate"] for row in rows(why)] == [
        "told already",
        "sent",
        "confirmation",
        "learning",
    ]
    assert "acme h100 eu-1 on_demand [" in why.stderr


def test_an_empty_log_ends_with_4(run: Run) -> None:
    """Nothing happened."""
    ran = run("log")

    assert (ran.exit_code, ran.stderr) == (4, "nothing happened\n")


def test_a_rule_may_be_made_before_there_is_a_tape(home: Path, tmp_path: Path) -> None:
    """It waits for the first collection."""
    ran = CliRunner().invoke(alerts, ["add", "x", "below 2", "--db", str(tmp_path / "none.duckdb")])

    assert ran.exit_code == 0
    assert "there is no tape yet" in ran.stderr


def test_check_puts_what_follows_into_the_outbox(market: Any, home: Path) -> None:
    """Two looks that agree and a `check`: one message for the channel that the rule names."""
    market.now = datetime.now(UTC) - timedelta(hours=4)
    words = ["--db", str(market.db)]
    market.look(2.00)
    tape.publish(market.con, market.db)
    added = CliRunner().invoke(alerts, ["add", "x", "below 1.8", "--channel", "team", *words])
    for price in (1.70, 1.70):
        market.now += timedelta(hours=1)
        market.look(price)
    tape.publish(market.con, market.db)
    ran = CliRunner().invoke(alerts, ["check", "x", *words])

    assert added.exit_code == 0
    assert ran.exit_code == 6
    assert "FIRING" in ran.stdout
    assert [row.channel for row in market.ledger.outbox.rows()] == ["team"]


def test_a_job_file_is_remembered_with_its_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that was added here finds its job file when the service runs elsewhere."""
    (tmp_path / "job.toml").write_text(JOB)
    added = run("add", "mine", "below 9", "--scope", "workload", "--workload", "job.toml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = run("check", "mine", "--format", "json")

    assert added.exit_code == 0, added.exception
    assert ran.exit_code in (0, 6), ran.exception


def test_check_sends_when_it_is_told_to(
    market: Any, home: Path, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check --send` is the way of a cron without a service: the second look that agrees tells."""
    monkeypatch.setenv("HOOK", receiver.url())
    (tmp_path / "gputape.toml").write_text(
        '[alerts.channels.team]\nurl = "${HOOK}"\nkind = "webhook"\nallow_private = true\n'
    )
    words = ["--db", str(market.db)]
    market.look(2.00)
    tape.publish(market.con, market.db)
    CliRunner().invoke(alerts, ["add", "x", "below 1.8", *words])
    ran = []
    for _ in range(3):
        market.now += timedelta(hours=1)
        market.look(1.70)
        tape.publish(market.con, market.db)
        ran.append(CliRunner().invoke(alerts, ["check", "--send", *words]))

    assert [one.exit_code for one in ran] == [6, 6, 6]
    assert ["team sent" in one.stderr for one in ran] == [False, True, False]
    assert [one.json["rule"]["name"] for one in receiver.got] == ["x"]
