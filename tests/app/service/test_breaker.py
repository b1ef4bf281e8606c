"""When a source is asked again: by its cadence, after a pause that grows, by a probe."""

from datetime import UTC, datetime, timedelta

import pytest

from gputape.app.service.breaker import JITTER, LONGEST, OPENS, Course, next_ask, pause

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def failing(times: int, status: str = "unreachable") -> Course:
    course = Course().answered(NOW)
    for _ in range(times):
        course = course.failed(NOW, status, "why")
    return course


def test_who_was_never_asked_is_due_now() -> None:
    """A new provider does not wait for its cadence."""
    assert next_ask("a", Course(), HOUR) < NOW


def test_who_cannot_be_reached_is_asked_sooner_and_then_ever_later() -> None:
    """5, 10, 20, 40 minutes; then the breaker is open: 2, 4, 8, 16 hours, a day."""
    pauses = [pause(failing(n), HOUR) / MINUTE for n in range(1, 12)]

    assert pauses == [5, 10, 20, 40, 120, 240, 480, 960, 1440, 1440, 1440]


@pytest.mark.parametrize("status", ["refused", "changed"])
def test_who_answers_nothing_of_use_is_not_asked_sooner(status: str) -> None:
    """After a refusal or a changed page a cadence is soon enough."""
    assert {pause(failing(n, status), HOUR) for n in range(1, OPENS)} == {HOUR}


def test_a_slow_source_does_not_become_a_fast_one_by_failing() -> None:
    """A pause is never longer than a cadence before the breaker opens, nor shorter after."""
    for cadence in (5 * MINUTE, HOUR, timedelta(days=7)):
        pauses = [pause(failing(n), cadence) for n in range(40)]

        assert max(pauses[:OPENS]) <= cadence
        assert min(pauses[OPENS:]) >= cadence
        assert max(pauses) <= max(LONGEST, cadence)


def test_the_breaker_opens_and_one_answer_closes_it() -> None:
    """N failures open it; whatever came before, an answer closes it."""
    assert [failing(n).breaker for n in (0, 1, OPENS - 1, OPENS, 99)] == [
        "closed", "retrying", "retrying", "open", "open",
    ]  # fmt: skip
    assert failing(OPENS).answered(NOW) == Course(asked_at=NOW, good_at=NOW)


def test_the_jitter_is_small_and_the_same_after_a_restart() -> None:
    """Names spread around the cadence; asked twice, the answer is one."""
    course = Course().answered(NOW)
    due = [next_ask(f"p{n}", course, HOUR) for n in range(200)]

    assert len(set(due)) > 190
    assert all(abs(at - NOW - HOUR) <= JITTER * HOUR for at in due)
    assert due == [next_ask(f"p{n}", course, HOUR) for n in range(200)]


def test_a_pause_that_the_source_asks_for_is_kept() -> None:
    """Retry-After counts where it is longer, and for a first try too."""
    later = NOW + 5 * HOUR

    assert next_ask("a", Course().answered(NOW), HOUR, later) == later
    assert next_ask("a", Course().answered(NOW), HOUR, NOW + MINUTE) > NOW + HOUR / 2
    assert next_ask("a", Course(), HOUR, later) == later
