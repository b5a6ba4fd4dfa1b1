"""Spans of days, said on Wednesday 14 May 2025."""

from __future__ import annotations

from datetime import date

import pytest

from shared.conversation.days import spans_in

TODAY = date(2025, 5, 14)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("last month", "2025-04-01", "2025-05-01"),
        ("this month so far", "2025-05-01", "2025-06-01"),
        ("since March", "2025-03-01", "2025-05-15"),
        ("in March 2024", "2024-03-01", "2024-04-01"),
        ("in December", "2024-12-01", "2025-01-01"),
        ("january 2025", "2025-01-01", "2025-02-01"),
        ("the last 30 days", "2025-04-14", "2025-05-15"),
        ("last week", "2025-05-05", "2025-05-12"),
        ("two weeks ago", "2025-04-28", "2025-05-05"),
        ("yesterday", "2025-05-13", "2025-05-14"),
        ("on monday", "2025-05-12", "2025-05-13"),
        ("next friday", "2025-05-16", "2025-05-17"),
        ("between 1 May and 15 May", "2025-05-01", "2025-05-16"),
        ("from November to January", "2024-11-01", "2025-02-01"),
        ("from November 2024 to January", "2024-11-01", "2025-02-01"),
        ("from November to January 2025", "2024-11-01", "2025-02-01"),
        ("from 2024-11-03 to 2025-01-02", "2024-11-03", "2025-01-03"),
        ("Q1", "2025-01-01", "2025-04-01"),
        ("year to date", "2025-01-01", "2025-05-15"),
        ("until the 5th of June", "None", "2025-06-06"),
        ("before March", "None", "2025-03-01"),
        ("the end of the month", "2025-05-14", "2025-06-01"),
        ("25/12/2024", "2024-12-25", "2024-12-26"),
    ],
)
def test_a_span_is_read_with_its_end_excluded(text: str, since: str, until: str) -> None:
    (found,) = spans_in(text, TODAY)
    assert (str(found.span.since), str(found.span.until), found.span.problem) == (since, until, "")


@pytest.mark.parametrize("text", [
    "03/04/2025", "on 31 February", "since 0000-00-00", "from 2025-03-01 to 2025-01-01",
    "between May 2025 and April 2024",
])  # fmt: skip
def test_a_day_with_two_readings_or_none_is_asked_back(text: str) -> None:
    assert [found.span.problem != "" for found in spans_in(text, TODAY)] == [True]


@pytest.mark.parametrize("text", ["May I ask", "march on", "a second", "the 1st"])
def test_words_that_only_look_like_days_are_none(text: str) -> None:
    assert spans_in(text, TODAY) == ()


def test_the_last_day_of_a_short_month_is_no_error() -> None:
    (found,) = spans_in("the past month", date(2025, 3, 31))
    assert str(found.span.since) == "2025-02-28"
