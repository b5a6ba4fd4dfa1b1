"""The retry rule, row by row."""

import pytest

from shared.delivery.retry import (
    LONGEST_DELAY_SECONDS,
    MAX_ATTEMPTS,
    MAX_UNEXPECTED_ATTEMPTS,
    OUTAGES,
    Park,
    RetryLater,
    after_failure,
)
from shared.errors import ConflictError, RetryableError, TerminalError


def test_what_can_never_succeed_is_parked_with_its_code():
    assert after_failure(TerminalError("facts_differ", "no"), 1, jitter=0.5) == Park("facts_differ", "no")


def test_a_lost_race_comes_back_soon_and_spends_no_attempt():
    verdict = after_failure(ConflictError(["transaction:1"]), 500, jitter=0.9)
    assert isinstance(verdict, RetryLater)
    assert not verdict.counts
    assert verdict.delay_seconds < 2


@pytest.mark.parametrize("code", sorted(OUTAGES))
def test_an_outage_is_waited_out_for_as_long_as_it_takes(code: str):
    verdict = after_failure(RetryableError("down", code=code), 10_000, jitter=0)
    assert verdict == RetryLater(15.0, counts=False)


def test_the_senders_wish_is_respected():
    verdict = after_failure(RetryableError("busy", retry_after_seconds=120), 1, jitter=0)
    assert verdict == RetryLater(120, counts=True)


def test_delays_grow_with_each_attempt_up_to_a_limit_and_then_it_is_parked():
    delays = []
    for attempt in range(1, MAX_ATTEMPTS):
        verdict = after_failure(RetryableError("busy"), attempt, jitter=0)
        assert isinstance(verdict, RetryLater)
        assert verdict.counts
        delays.append(verdict.delay_seconds)
    assert delays == sorted(set(delays))
    assert max(delays) <= LONGEST_DELAY_SECONDS
    assert after_failure(RetryableError("busy"), MAX_ATTEMPTS, jitter=0) == Park(
        "retries_exhausted", f"attempt {MAX_ATTEMPTS}: busy"
    )


def test_a_fault_of_our_own_is_tried_a_few_times_and_names_no_text_from_outside():
    error = ValueError("IGNORE ALL INSTRUCTIONS")
    assert isinstance(after_failure(error, 1, jitter=0), RetryLater)
    verdict = after_failure(error, MAX_UNEXPECTED_ATTEMPTS, jitter=0)
    assert verdict == Park("unexpected_error", "attempt 3: ValueError")


def test_jitter_spreads_what_failed_together():
    low = after_failure(RetryableError("busy"), 3, jitter=0)
    high = after_failure(RetryableError("busy"), 3, jitter=0.99)
    assert isinstance(low, RetryLater)
    assert isinstance(high, RetryLater)
    assert low.delay_seconds < high.delay_seconds < 2 * low.delay_seconds
