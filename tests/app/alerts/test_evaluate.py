"""The pipeline: origins, silences, cooldowns, digests, edits, restarts, clocks, crowds."""

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gputape.app.alerts.evaluate import begin
from gputape.app.alerts.ledger import open_ledger, silence_of
from gputape.app.alerts.posting import Routes, fold, post_test
from gputape.app.alerts.rules import Rule, default_policy
from gputape.store.errors import TooNew

POLICY = default_policy()
DAY = timedelta(days=1)
FALL = [2.00] * 7 + [1.50] * 3
CHEAP = Rule(name="cheap", when="below 1.80")


def outbox(market: Any) -> list[Any]:
    rows: list[Any] = market.ledger.outbox.rows()
    return rows


# -- where a look comes from ------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["import", "replay"])
def test_history_that_is_brought_in_raises_nothing(market: Any, origin: str) -> None:
    """The same fall, imported or replayed, sends nothing; the backtest shows it."""
    begin(market.con, market.ledger)
    start = market.now
    for i, price in enumerate(FALL):
        market.look(price, at=start + i * DAY, origin=origin)
    market.now += len(FALL) * DAY

    assert market.evaluate(*POLICY).notices == []
    assert [m.kind for m in market.backtest().messages] == ["fired"]


def test_history_that_is_brought_in_is_measured_against(market: Any) -> None:
    """Two live looks at a lower price are told against a median of imported ones."""
    for price in [2.00] * 7:
        market.look(price, origin="import")
        market.now += DAY

    assert market.live([1.50, 1.50, 1.50], *POLICY) == [(1, "fired")]


def test_a_look_that_was_recorded_late_raises_nothing(market: Any) -> None:
    """A live look that reaches the tape more than two cadences after it was taken is history."""
    market.live([2.00] * 7, *POLICY)
    told = []
    for _ in range(3):
        market.record([market.offer(1.50)], finished_at=market.now + 3 * DAY)
        told += market.evaluate(*POLICY).notices
        market.now += DAY

    assert told == []


def test_a_rule_counts_from_when_it_is_made(market: Any) -> None:
    """A fall that was over before the first evaluation is history."""
    for price in FALL:
        market.look(price)
        market.now += DAY

    assert market.live([1.50, 1.50], *POLICY) == []


def test_after_a_long_sleep_one_message_at_most_for_each_series(market: Any) -> None:
    """Fifteen looks of two episodes taken at once: one message, of what is still true."""
    begin(market.con, market.ledger)
    for price in [2.0] * 7 + [1.5] * 2 + [2.0] * 3 + [1.5] * 3:
        market.look(price)
        market.now += DAY
    (notice,) = market.evaluate(*POLICY).notices

    assert (notice.kind, notice.rows[0].step.event.after.episode) == ("fired", 2)
    assert ("fired", "superseded") in market.log()


def test_what_is_over_when_we_wake_is_not_told(market: Any) -> None:
    """An episode that began and ended while nobody looked is in the log only."""
    begin(market.con, market.ledger)
    for price in [2.0] * 7 + [1.5] * 2 + [2.0] * 3:
        market.look(price)
        market.now += DAY

    assert market.evaluate(*POLICY).notices == []
    assert ("fired", "superseded") in market.log()


def test_a_cached_page_is_no_second_witness(market: Any) -> None:
    """The same bytes five minutes later confirm nothing; a quarter of an hour later they do."""
    market.live([2.00] * 7, *POLICY)
    market.look(1.50)
    told = [bool(market.evaluate(*POLICY).notices)]
    for minutes in (5, 10):
        market.now += timedelta(minutes=minutes)
        market.look(1.50, status="unchanged")
        told.append(bool(market.evaluate(*POLICY).notices))

    assert told == [False, False, True]


# -- sources ----------------------------------------------------------------------------------


def test_a_source_that_is_down_freezes_its_prices(market: Any) -> None:
    """Between two looks that agree five runs fail: nothing fires, nothing ends, then it is told."""
    market.live([2.00] * 7 + [1.50], *POLICY)
    for _ in range(5):
        market.fail()
        assert market.evaluate(*POLICY).notices == []
        market.now += DAY
    assert market.state() == "STALE"

    assert market.live([1.50], *POLICY) == [(0, "fired")]


def test_a_source_that_fails_three_times_is_told_and_so_is_its_return(market: Any) -> None:
    """`source_down`: after three runs; its end says how long it was away."""
    rule = Rule(name="down", when="source_down")
    market.live([2.00], rule)
    told = []
    for _ in range(4):
        market.fail()
        told += [n.kind for n in market.evaluate(rule).notices]
        market.now += timedelta(hours=1)
    market.look(2.00)
    (row,) = market.evaluate(rule).posted

    assert told == ["fired"]
    assert row.payload["title"] == "acme: seen again after 2 hours"


def test_a_source_not_seen_for_hours_is_told_once(market: Any) -> None:
    """`stale 6h` is true by time alone."""
    rule = Rule(name="old", when="stale 6h")
    market.live([2.00], rule, step=timedelta(hours=1))
    told = []
    for _ in range(12):
        told += [n.kind for n in market.evaluate(rule).notices]
        market.now += timedelta(hours=1)

    assert told == ["fired"]


def test_what_a_whole_page_does_at_once_is_held_and_said_once(market: Any) -> None:
    """8 of 12 prices fall together: one message that doubts them, and no other after it."""
    before, after = ({f"s{i}": price if i < 8 else 2.00 for i in range(12)}
                     for price in (2.00, 1.50))  # fmt: skip
    told = market.live([before] * 7 + [after] * 4, *POLICY)
    (row,) = outbox(market)

    assert told == [(8, "held")]
    assert row.payload["title"] == (
        "acme: 8 of 12 prices changed at once: probably a page change; held"
    )


# -- silences, cooldowns, quiet hours --------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "word"), [("rule", "default-list"), ("gpu", "h100"), ("provider", "acme")]
)
def test_a_silence_keeps_quiet_and_what_is_true_at_its_end_is_told(
    market: Any, kind: str, word: str
) -> None:
    """An episode that begins in a silence is told when the silence ends in the middle of it."""
    silence = silence_of(kind, word, market.now + 10 * DAY, "I know")
    market.ledger.silence(silence, market.now)
    told = market.live([2.00] * 7 + [1.50] * 5, *POLICY)

    assert told == [(10, "fired")]
    assert market.log()[0][1].startswith(f"silence of {kind} {word} until 2026-07-11")


def test_what_ended_in_a_silence_is_not_told(market: Any) -> None:
    """A silence that outlives the episode swallows it; the log has it."""
    market.ledger.silence(silence_of("gpu", "h100-sxm-80", market.now + 30 * DAY, ""), market.now)

    assert market.live([2.00] * 7 + [1.50] * 3 + [2.00] * 3, *POLICY) == []
    assert len(market.log()) == 2


def test_a_silence_of_another_thing_is_none(market: Any) -> None:
    """Silence of the A100 does not quiet the H100."""
    market.ledger.silence(silence_of("gpu", "a100", market.now + 30 * DAY, ""), market.now)

    assert market.live(FALL, *POLICY) == [(8, "fired")]


def test_a_lifted_silence_is_over(market: Any) -> None:
    """`lift` ends it, and says how many there were."""
    market.ledger.silence(silence_of("rule", "x", market.now + DAY, ""), market.now)

    assert market.ledger.lift("rule", "x", market.now) == 1
    assert market.ledger.silences(market.now) == []


def test_a_price_that_flaps_within_the_cooldown_is_told_once(market: Any) -> None:
    """Hourly in and out of a limit: one message a day, not five."""
    hour = timedelta(hours=1)
    market.live([2.00] * 3, CHEAP, step=hour)
    prices = [1.70, 1.70, 2.00, 2.00] * 5

    assert [kind for _, kind in market.live(prices, CHEAP, step=hour)] == ["fired"]


def test_what_begins_in_the_cooldown_is_told_after_it(market: Any) -> None:
    """Cheap again within a day of the last message, and still so a day after it: told then."""
    hour = timedelta(hours=1)
    market.live([2.00] * 2, CHEAP, step=hour)
    told = market.live([1.70, 1.70, 2.00, 2.00] + [1.70] * 30, CHEAP, step=hour)

    assert told == [(1, "fired"), (25, "fired")]


def test_quiet_hours_put_a_message_off(market: Any) -> None:
    """What is true at midnight waits in the outbox until seven in Berlin."""
    rule = CHEAP.model_copy(update={"quiet": "22:00-07:00 Europe/Berlin"})
    market.now = datetime(2026, 7, 1, 20, 30, tzinfo=UTC)
    market.live([2.00, 1.70, 1.70], rule, step=timedelta(minutes=30))
    (row,) = outbox(market)

    assert row.next_try == datetime(2026, 7, 2, 5, tzinfo=UTC)
    assert market.ledger.outbox.claim(datetime(2026, 7, 2, 4, 59, tzinfo=UTC), DAY) is None


def test_a_digest_gathers_a_day_into_one_message(market: Any) -> None:
    """Two falls of a day leave at nine, together, once per channel."""
    rule = CHEAP.model_copy(update={"digest": "daily 09:00 Europe/Berlin"})
    steps = [{"a": 2, "b": 2}, {"a": 1.7, "b": 2}, {"a": 1.7, "b": 1.6}, {"a": 1.7, "b": 1.6}]
    market.live(steps, rule, step=timedelta(hours=1))
    assert outbox(market) == []
    market.now = datetime(2026, 7, 2, 7, tzinfo=UTC)
    market.evaluate(rule)
    (row,) = outbox(market)

    assert row.kind == "digest"
    assert row.payload["count"] == 2
    assert row.payload["title"] == "cheap: 2 messages"


def test_a_group_waits_for_others_of_its_rule(market: Any) -> None:
    """With a minute of patience, two parts of one provider make one message."""
    routes = Routes(channels=("team",), group_wait=timedelta(minutes=1))
    market.look({"a": 2.0})
    market.evaluate(CHEAP, routes=routes)
    for second in range(2):
        for part, sku in (("one", "a"), ("two", "b")):
            market.now += timedelta(seconds=20 + 3600 * (1 - second))
            market.record([market.offer(1.7, sku)], part=part)
            market.evaluate(CHEAP, routes=routes)
    assert outbox(market) == []
    market.now += timedelta(minutes=1)
    with market.ledger.whole():
        rows = fold(market.ledger, [CHEAP], market.now)

    assert [(row.kind, row.payload["count"]) for row in rows] == [("digest", 2)]


# -- rules that change -----------------------------------------------------------------------


def test_an_absolute_rule_says_once_what_is_true_already(market: Any) -> None:
    """A new rule under whose limit a price stands already: one message, so marked."""
    market.live([1.50] * 3, *POLICY)
    first, second = market.evaluate(CHEAP, *POLICY), market.evaluate(CHEAP, *POLICY)

    assert [n.kind for n in first.notices] == ["fired"]
    assert "already true" in first.posted[0].payload["text"]
    assert second.notices == []


def test_an_absolute_rule_can_be_told_not_to(market: Any) -> None:
    """With `already_true = false` it waits until the price has been elsewhere."""
    rule = CHEAP.model_copy(update={"already_true": False})
    market.live([1.50] * 3, *POLICY)

    assert market.live([1.50, 1.50, 2.0, 2.0, 1.5, 1.5], rule) == [(5, "fired")]


def test_imported_prices_are_nothing_that_is_true_already(market: Any) -> None:
    """A new rule is not about an old table."""
    market.look(1.50, origin="import")
    market.look(1.50, origin="import", at=market.now + timedelta(hours=1))

    assert market.evaluate(CHEAP).notices == []


def test_a_rule_that_is_edited_while_it_fires_is_not_told_again(market: Any) -> None:
    """Limit 1.80 to 1.75 at 1.70: still true, told already; to 1.00: over, in silence."""
    market.live([2.0, 1.70, 1.70], CHEAP)
    nearer = CHEAP.model_copy(update={"when": "below 1.75"})
    lower = CHEAP.model_copy(update={"when": "below 1.00"})

    assert market.evaluate(nearer).notices == []
    assert market.state("cheap") == "FIRING"
    assert market.evaluate(lower).notices == []
    assert market.state("cheap") != "FIRING"


def test_a_rule_that_is_edited_says_what_became_true(market: Any) -> None:
    """A raised limit takes in a price that stood: already true, once."""
    market.live([2.0] * 4, CHEAP)
    higher = CHEAP.model_copy(update={"when": "below 2.50"})

    assert [n.kind for n in market.evaluate(higher).notices] == ["fired"]
    assert market.evaluate(higher).notices == []


def test_a_rule_that_expires_says_so_once(market: Any) -> None:
    """After its time a notice, and nothing else ever."""
    rule = CHEAP.model_copy(update={"ttl": 5 * DAY})
    market.live([2.0] * 6, rule)
    assert [row.kind for row in outbox(market)] == ["expired"]

    assert market.live([1.5] * 3, rule) == []
    assert len(outbox(market)) == 1


def test_a_rule_that_expired_does_not_come_back_with_the_clock(market: Any) -> None:
    """The clock set back by four days does not give a rule of five days its life again."""
    rule = CHEAP.model_copy(update={"ttl": 5 * DAY})
    market.live([2.0] * 6, rule)
    newest = market.now - DAY
    market.now -= 4 * DAY
    for _ in range(2):
        market.record([market.offer(1.5)], at=newest, finished_at=market.now)  # as collected
        market.evaluate(rule)

    assert [row.kind for row in outbox(market)] == ["expired"]


def test_recovery_is_told_only_when_it_is_asked_for(market: Any) -> None:
    """With the time it took and the low it reached."""
    rule = CHEAP.model_copy(update={"recovered": True})
    prices = [2.0, 1.7, 1.7, 1.6, 2.0, 2.0]

    assert market.live(prices, rule, CHEAP.model_copy(update={"name": "mute"})) == [
        (2, "fired"), (2, "fired"), (5, "recovered"),
    ]  # fmt: skip
    text = outbox(market)[-1].payload["title"]
    assert text.endswith("after 3 days, lowest $1.60")


# -- restarts, clocks, crowds ----------------------------------------------------------------


def test_a_restart_between_all_steps_changes_nothing(market: Any) -> None:
    """The ledger is closed and opened before every look: the same message, once."""
    begin(market.con, market.ledger)
    told = []
    for i, price in enumerate([2.0] * 7 + [1.5, 1.5, 1.5, 2.0, 2.0, 1.5, 1.5]):
        market.ledger.close()
        market.ledger = open_ledger(market.db)
        market.look(price)
        told += [(i, n.kind) for n in market.evaluate(*POLICY).notices]
        market.now += DAY

    assert told == [(8, "fired"), (13, "fired")]
    assert len({row.id for row in outbox(market)}) == 2


def test_a_crash_before_the_end_leaves_nothing_half_done(market: Any, monkeypatch: Any) -> None:
    """State, message and cursor are one transaction: what died is done again, with the same id."""
    from gputape.app.alerts import evaluate as module

    market.live([2.0] * 7 + [1.5], *POLICY)
    market.look(1.5)
    keep = module._keep

    def dies(*words: Any) -> None:
        keep(*words)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        market.evaluate(*POLICY)
    assert outbox(market) == []
    monkeypatch.setattr(module, "_keep", keep)

    assert [n.kind for n in market.evaluate(*POLICY).notices] == ["fired"]


def test_a_clock_that_is_set_back_passes_no_time(market: Any) -> None:
    """Two days back in the middle of an episode: no message twice, no cooldown begun anew."""
    market.live(FALL, *POLICY)
    newest = market.now - DAY
    market.now -= 3 * DAY
    for _ in range(4):
        market.record([market.offer(1.50)], at=newest, finished_at=market.now)  # as collected
        market.evaluate(*POLICY)
        market.now += timedelta(hours=1)

    assert len(outbox(market)) == 1


def test_a_clock_that_jumped_ahead_does_not_stop_the_machine(market: Any) -> None:
    """One look dated a year ahead, then the right time: a fall is told all the same."""
    market.live([2.00] * 7, CHEAP)
    right = market.now
    market.now += 365 * DAY
    market.look(2.00)
    ahead = market.now
    market.evaluate(CHEAP)
    told = []
    for i in range(3):
        market.now = right + i * DAY
        market.record([market.offer(1.50)], at=ahead, finished_at=market.now)  # as collected
        told += [n.kind for n in market.evaluate(CHEAP).notices]

    assert told == ["fired"]
    assert outbox(market)[0].next_try < right + 3 * DAY


def test_the_same_event_has_the_same_id_on_every_channel(market: Any) -> None:
    """One row per channel, one id for all, and the payload has it."""
    market.live(FALL, *POLICY, step=DAY)
    market.routes = Routes(channels=("a", "b"))
    market.live([2.0, 2.0, 2.0, 1.4, 1.4], *POLICY)
    *_, one, other = outbox(market)

    assert (one.id, one.channel, other.channel) == (other.id, "a", "b")
    assert one.payload["event"]["id"] == one.id
    json.dumps(one.payload)


def test_without_a_channel_the_log_has_it_all_the_same(market: Any) -> None:
    """Nobody is told, and what happened is in the log."""
    market.routes = Routes()
    market.live(FALL, *POLICY)

    assert outbox(market) == []
    assert market.log() == [("fired", "sent")]


def test_a_message_says_all_it_should(market: Any) -> None:
    """From what to what, per GPU and whole, confirmed how, how rare, what else, where, why."""
    for i in range(10):
        market.record([market.offer(16 if i < 7 else 12, gpu_count=Decimal(8))])
        market.record([market.offer("1.90", "x", provider="other")])
        market.evaluate(*POLICY)
        market.now += DAY
    (row,) = outbox(market)
    text = row.payload["text"]

    for said in (
        "acme h100 eu-1 on_demand: $1.50 per GPU-hour, $12.00 for 8 GPUs",
        "-25.0 % against the median of 14 days ($2.00)",
        "from $2.00 (-25.0 %), 2 looks agree since 2026-07-08 08:00 UTC",
        "lowest of all that is known, since 2026-07-01",
        "cheapest elsewhere: $1.90 per GPU-hour at other (x, eu-1)",
        "printed at https://acme.example/prices",
        "rule default-list: drop 5% of median:14d",
        "gputape alerts silence rule default-list 7d",
    ):
        assert said in text
    assert row.payload["price"] | {"unit": ""} == {
        "native": "12", "currency": "USD", "unit": "", "usd": "12",
        "previous": "16", "baseline": "16",
        "baseline_text": "the median of 14 days",
    }  # fmt: skip
    assert row.payload["evidence"]["payload_sha256"] == "ab" * 32


@pytest.mark.slow
def test_ten_thousand_series_that_fire_at_once_are_one_message(market: Any) -> None:
    """One grouped message of ten rows and `and 9990 more`, within five seconds of a processor."""
    rule = Rule(name="any", when="below 1.80")
    told, spent = [], 0.0
    for price in (2.00, 1.50, 1.50):
        still = [market.offer(2.00, f"t{i}") for i in range(25_000)]  # else it is a page change
        market.record([market.offer(price, f"s{i}") for i in range(10_000)] + still)
        began = time.process_time()
        told += market.evaluate(rule, *POLICY).notices
        spent = max(spent, time.process_time() - began)
        market.now += DAY
    (row,) = outbox(market)

    assert [len(n.rows) for n in told] == [10_000]
    assert "and 9990 more" in row.payload["text"]
    assert len(row.payload["rows"]) == 10
    assert spent < 5


# -- the ledger ------------------------------------------------------------------------------


def test_why_shows_the_last_ten_with_the_gate_of_each(market: Any) -> None:
    """Newest first, ten and no more."""
    market.live([2.00 + i / 1000 for i in range(14)], *POLICY)
    ((print_, _),) = market.ledger.subjects("default-list").items()
    found = market.ledger.journal.evaluations("default-list", print_)

    assert [row["number"] for row in found] == list(range(14, 4, -1))
    assert {row["gate"] for row in found} <= {"not true", "learning"}


def test_a_claimed_message_is_nobody_elses_until_the_lease_is_over(market: Any) -> None:
    """One takes it; a sender that died lets it run out: the same id again, tried twice."""
    post_test(market.ledger, ["team"], market.now)
    box, lease = market.ledger.outbox, timedelta(minutes=1)
    first = box.claim(market.now, lease)
    assert box.claim(market.now, lease) is None
    again = box.claim(market.now + lease, lease)

    assert (again.id, first.tries, again.tries) == (first.id, 1, 2)
    box.sent(again, market.now)
    assert box.claim(market.now + DAY, lease) is None
    assert len(box.rows("sent")) == 1


def test_a_message_is_given_back_or_buried(market: Any) -> None:
    """`retry` puts it off, `dead` ends it with its reason."""
    post_test(market.ledger, ["a", "b"], market.now)
    box, lease = market.ledger.outbox, timedelta(minutes=1)
    one, other = box.claim(market.now, lease), box.claim(market.now, lease)
    box.retry(one, "503", market.now + DAY)
    box.dead(other, "404", market.now)

    assert box.claim(market.now + timedelta(hours=23), lease) is None
    assert box.claim(market.now + DAY, lease).id == one.id
    assert [row.error for row in box.rows("dead")] == ["404"]


def test_a_ledger_of_a_later_version_is_left_alone(market: Any) -> None:
    """It says to upgrade, and changes nothing."""
    market.ledger.con.execute("pragma user_version = 99")

    with pytest.raises(TooNew, match="later gputape"):
        open_ledger(market.db)


def test_the_cost_of_a_job_is_told(market: Any, tmp_path: Path) -> None:
    """A job file that costs less than the limit in two runs fires once, with the cheapest offer."""
    job = tmp_path / "job.toml"
    job.write_text('kind = "finetune"\n[model]\nname = "llama-3.1-8b"\n[work]\ntokens = 1e8\n')
    rule = Rule(name="job", when="below 30", scope="workload", workload=str(job))

    assert market.live([20.0, 20.0, 3.0, 3.0, 3.0], rule) == [(3, "fired")]
    assert "acme h100 eu-1 on_demand" in outbox(market)[0].payload["text"]


def test_a_distance_between_sellers_is_told(market: Any) -> None:
    """`spread 3` fires when the dearest asks three times the cheapest, in two runs."""
    rule = Rule(name="wide", when="spread 3", scope="spread", gpu="h100-sxm-80")
    told = []
    for price in (3.0, 3.0, 6.5, 6.5):
        market.look({"a": 2.0}, provider="acme")
        market.look({"b": price}, provider="other")
        told += [n.kind for n in market.evaluate(rule).notices]
        market.now += timedelta(hours=1)

    assert told == ["fired"]
    assert "3.25 times" in outbox(market)[0].payload["title"]
