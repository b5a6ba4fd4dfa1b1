"""Which part of a file is history, and what the progress of a job shows where nobody watches a terminal."""

from __future__ import annotations

import pytest

from local.job import Deadline, JobFailedError, wait_until
from local.own_job import LAST_MONTHS_NEW, Judged, show_months, split_rows
from local.sample_job import amount
from local.screen import Screen
from local.statement_rows import StatementRow


def row(day: str, category: str = "food") -> StatementRow:
    return StatementRow(1, f"t-{day}", "main", day, -100, "EUR", "shop", "", "", category)


@pytest.mark.parametrize(
    ("last", "until"),
    [
        ("2017-03-31", "2016-12-31"),
        ("2017-03-01", "2016-12-31"),
        ("2016-12-15", "2016-09-30"),
        ("2024-05-02", "2024-02-29"),
    ],
)
def test_the_last_three_calendar_months_are_new(last: str, until: str):
    split = split_rows([row("2015-01-01"), row(last)], LAST_MONTHS_NEW)
    assert split.until == until
    assert ([one.booked_on for one in split.history], [one.booked_on for one in split.new]) == (["2015-01-01"], [last])


def test_an_old_row_without_a_category_teaches_nothing_and_is_new():
    split = split_rows([row("2016-01-01", ""), row("2016-01-02"), row("2016-06-01")], "2016-01-31")
    assert [one.booked_on for one in split.history] == ["2016-01-02"]
    assert [one.booked_on for one in split.new] == ["2016-01-01", "2016-06-01"]


def test_without_categories_everything_is_new_and_a_day_after_the_end_is_refused():
    assert len(split_rows([row("2016-01-01")], "").new) == 1
    with pytest.raises(JobFailedError, match="--history-until"):
        split_rows([row("2016-01-01")], "2020-01-01")


def test_the_table_by_month_counts_agreement_among_what_was_decided_alone(capsys):
    judged = [
        Judged("2017-01", alone=True, agrees=True, code="semantic_accepted"),
        Judged("2017-01", alone=True, agrees=False, code="semantic_accepted"),
        Judged("2017-02", alone=False, agrees=True, code="no_proposal"),
        Judged("2017-02", alone=True, agrees=True, code="semantic_accepted"),
    ]
    show_months(Screen(), judged, labelled=True)
    lines = {
        line.split("│")[0].strip(): line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()
    }
    assert lines["2017-01"][1:] == ["2", "2", "100.0", "%", "50.0", "%"]
    assert lines["in all"][2:] == ["4", "3", "75.0", "%", "66.7", "%"]


def test_progress_without_a_terminal_is_a_few_plain_lines(capsys):
    with Screen().progress("decided", 100) as show:
        for done in range(101):
            show(done)
        show(100)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "100 of 100" in lines[-1]


def test_amounts_are_shown_with_their_currencys_decimals():
    shown = [
        amount({"amount_minor": minor, "currency": code})
        for minor, code in ((-5, "EUR"), (-123456789, "JPY"), (1, "KWD"))
    ]
    assert shown == ["-0.05 EUR", "-123,456,789 JPY", "0.001 KWD"]


def test_waiting_ends_with_what_was_expected():
    with pytest.raises(JobFailedError, match=r"within 0\.01 seconds: a miracle"):
        wait_until(lambda: None, seconds=0.01, deadline=Deadline(5), what="a miracle")
    with pytest.raises(JobFailedError, match="--limit"):
        wait_until(lambda: None, seconds=1, deadline=Deadline(0), what="anything")
