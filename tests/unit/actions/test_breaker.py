"""The breaker's transitions, as values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.actions.breaker import (
    LONGEST_GROWTH,
    Admitted,
    BreakerRule,
    Probe,
    Refused,
    admitted,
    after_failure,
    after_success,
)
from shared.contracts.instants import parse
from shared.ports.document_store import Body

RULE = BreakerRule(failures=3, window_seconds=60, open_seconds=10, probe_seconds=20)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def failed(*seconds: float, body: Body | None = None) -> Body | None:
    for one in seconds:
        body = after_failure(body, backend="bank", rule=RULE, now=at(one)) or body
    return body


def ask(body: Body | None, seconds: float) -> Admitted | Refused | Probe:
    return admitted(body, rule=RULE, now=at(seconds))


def probing(body: Body | None, seconds: float) -> Body:
    verdict = ask(body, seconds)
    assert isinstance(verdict, Probe)
    return verdict.body


def test_a_backend_that_never_failed_is_called_and_nothing_is_written():
    assert ask(None, 0) == Admitted()
    assert after_success(None, now=START) is None


def test_a_few_failures_are_borne_and_a_success_forgets_them():
    body = failed(0, 1)
    assert ask(body, 2) == Admitted()
    healed = after_success(body, now=at(2))
    assert healed is not None
    assert ask(failed(3, 4, body=healed), 5) == Admitted()
    assert after_success(healed, now=at(6)) is None


def test_it_opens_when_enough_calls_in_a_row_failed():
    assert ask(failed(0, 1, 2), 2) == Refused(10)
    assert ask(failed(0, 1, 2), 11.5) == Refused(0.5)


def test_failures_long_apart_do_not_open_it():
    assert ask(failed(0, 30, 61, 92), 92) == Admitted()


def test_a_failure_of_a_call_from_before_it_opened_does_not_lengthen_the_pause():
    body = failed(0, 1, 2)
    assert after_failure(body, backend="bank", rule=RULE, now=at(9)) is None


def test_a_success_of_a_call_from_before_it_opened_does_not_close_it():
    assert after_success(failed(0, 1, 2), now=at(3)) is None


def test_after_the_pause_one_call_is_let_through_and_the_others_wait_for_it():
    body = probing(failed(0, 1, 2), 12)
    assert body["state"] == "half_open"
    assert ask(body, 12) == Refused(20)


def test_a_probe_that_never_reports_is_given_up():
    body = probing(failed(0, 1, 2), 12)
    assert probing(body, 32)["probe_until"] > body["probe_until"]


def test_a_good_probe_closes_it():
    closed = after_success(probing(failed(0, 1, 2), 12), now=at(13))
    assert closed is not None
    assert (closed["state"], closed["failures"]) == ("closed", [])
    assert ask(closed, 13) == Admitted()


def test_failed_probes_double_the_pause_up_to_a_limit():
    body, now, pauses = failed(0, 1, 2), 2.0, []
    for _ in range(7):
        verdict = ask(body, now)
        assert isinstance(verdict, Refused)
        pauses.append(verdict.retry_after_seconds)
        now += verdict.retry_after_seconds
        body = failed(now, body=probing(body, now))
    assert pauses == [10, 20, 40, 80, 160, 160, 160]
    assert pauses[-1] == LONGEST_GROWTH * RULE.open_seconds


def test_a_backend_that_fails_again_soon_after_is_given_no_fresh_start():
    closed = after_success(probing(failed(0, 1, 2), 12), now=at(13))
    assert ask(failed(14, 15, 16, body=closed), 16) == Refused(20)


def test_a_backend_that_was_well_for_long_starts_afresh():
    closed = after_success(probing(failed(0, 1, 2), 12), now=at(13))
    assert ask(failed(1000, 1001, 1002, body=closed), 1002) == Refused(10)


@pytest.mark.parametrize("state", ["closed", "open", "half_open"])
def test_every_state_says_which_backend_it_is_of_and_since_when(state: str):
    body = {"closed": failed(0), "open": failed(0, 1, 2), "half_open": probing(failed(0, 1, 2), 12)}[state]
    assert body is not None
    assert (body["state"], body["backend"]) == (state, "bank")
    assert parse(body["changed_at"]) == at({"closed": 0, "open": 2, "half_open": 12}[state])


@given(st.lists(st.tuples(st.sampled_from(["ask", "success", "failure"]), st.floats(0, 200)), max_size=60))
def test_whatever_happens_no_pause_is_longer_than_the_limit_and_a_due_breaker_lets_somebody_try(
    steps: list[tuple[str, float]],
):
    body, now = None, 0.0
    for step, pause in steps:
        now += pause
        match step:
            case "success":
                body = after_success(body, now=at(now)) or body
            case "failure":
                body = failed(now, body=body)
            case _:
                verdict = ask(body, now)
                body = verdict.body if isinstance(verdict, Probe) else body
                if isinstance(verdict, Refused):
                    assert 0 < verdict.retry_after_seconds <= LONGEST_GROWTH * RULE.open_seconds
                    assert not isinstance(ask(body, now + verdict.retry_after_seconds), Refused)
        assert body is None or len(body["failures"]) <= RULE.failures
