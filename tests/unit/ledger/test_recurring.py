"""What comes again, found in movements: examples, and what holds for every series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.ledger.recurring import MAX_DUES, PERIODS, Period, Recurring, dues, later, months_later, recurring_in

TODAY = date(2026, 3, 31)
MONTHLY = next(one for one in PERIODS if one.name == "monthly")


class Booked(NamedTuple):
    transaction_id: str
    booked_on: str
    amount_minor: int
    currency: str = "EUR"
    merchant: str = "netflix"


def booked(days: Sequence[str | date], amounts: int | Sequence[int] = -1599, merchant: str = "netflix") -> list[Booked]:
    sizes = [amounts] * len(days) if isinstance(amounts, int) else list(amounts)
    return [
        Booked(f"{merchant}-{at}", str(day), size, merchant=merchant)
        for at, (day, size) in enumerate(zip(days, sizes, strict=True))
    ]


def one_of(movements: Sequence[Booked], today: date = TODAY) -> Recurring:
    found = recurring_in(movements, today)
    assert len(found) == 1, found
    return found[0]


def on(period: Period, first: date, count: int) -> list[date]:
    return [later(first, period, step) for step in range(count)]


def test_three_equal_charges_on_one_day_of_the_month_are_monthly() -> None:
    found = one_of(booked(["2026-01-08", "2026-02-08", "2026-03-08"]))
    assert (found.period.name, found.amount_minor, found.next_on) == ("monthly", -1599, date(2026, 4, 8))
    assert found.transaction_ids == ("netflix-0", "netflix-1", "netflix-2")
    assert dues(found, date(2026, 7, 1)) == (date(2026, 4, 8), date(2026, 5, 8), date(2026, 6, 8))


def test_two_are_not_enough() -> None:
    assert recurring_in(booked(["2026-02-08", "2026-03-08"]), TODAY) == ()


@pytest.mark.parametrize("period", PERIODS, ids=lambda one: one.name)
def test_every_period_is_recognised_by_its_name(period: Period) -> None:
    first = date(2020, 1, 15)
    days = on(period, first, 6)
    found = one_of(booked(days), today=days[-1])
    assert found.period.name == period.name
    assert found.next_on == later(first, period, 6)


def test_the_end_of_the_month_stays_the_end_of_the_month() -> None:
    found = one_of(booked(["2025-12-31", "2026-01-31", "2026-02-28"]), today=date(2026, 3, 1))
    assert dues(found, date(2026, 6, 1)) == (date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31))


def test_a_weekend_may_move_a_charge() -> None:
    assert one_of(booked(["2026-01-08", "2026-02-10", "2026-03-06"])).period.name == "monthly"


def test_bills_of_varying_size_are_one_series_and_the_usual_one_is_expected() -> None:
    found = one_of(booked(["2026-01-12", "2026-02-11", "2026-03-12"], [-14218, -13702, -11866]))
    assert (found.amount_minor, found.least_minor, found.most_minor) == (-13702, 11866, 14218)


def test_a_new_price_is_expected_once_it_came_twice() -> None:
    days = on(MONTHLY, date(2025, 10, 8), 6)
    assert one_of(booked(days, [-1599] * 4 + [-1799] * 2)).amount_minor == -1799


def test_one_missing_month_among_many_does_not_end_a_series() -> None:
    days = on(MONTHLY, date(2025, 7, 8), 9)
    assert one_of(booked([*days[:4], *days[5:]])).period.name == "monthly"


def test_a_subscription_is_found_among_other_purchases_at_the_same_shop() -> None:
    shopping = booked(["2026-01-03", "2026-01-19", "2026-02-21", "2026-03-02"], [-3499, -1250, -9900, -640], "amzn")
    prime = booked(["2026-01-15", "2026-02-15", "2026-03-15"], -899, "amzn")
    named = [one._replace(transaction_id=f"prime-{at}") for at, one in enumerate(prime)]
    found = one_of([*shopping, *named])
    assert found.transaction_ids == ("prime-0", "prime-1", "prime-2")


def test_a_weekly_shop_is_a_habit_and_no_charge() -> None:
    days = [TODAY - timedelta(days=7 * back) for back in range(12)]
    assert recurring_in(booked(days, [-5420 - 97 * (at % 5) for at in range(12)], "circle k"), TODAY) == ()
    assert one_of(booked(days, -1200, "box")).period.name == "weekly"


def test_irregular_days_or_amounts_are_no_series() -> None:
    assert recurring_in(booked(["2026-01-02", "2026-01-20", "2026-03-04"]), TODAY) == ()
    assert recurring_in(booked(["2026-01-08", "2026-02-08", "2026-03-08"], [-900, -4200, -12000]), TODAY) == ()


def test_money_in_and_out_and_other_currencies_are_apart() -> None:
    days = ["2026-01-08", "2026-02-08", "2026-03-08"]
    mixed = booked(days, [-1599, 1599, -1599])
    assert recurring_in(mixed, TODAY) == ()
    assert recurring_in([*booked(days)[:2], booked(days)[2]._replace(currency="USD")], TODAY) == ()


def test_what_has_ended_is_not_expected_but_an_old_record_ends_nothing() -> None:
    old = booked(["2025-09-08", "2025-10-08", "2025-11-08"])
    assert recurring_in([*old, *booked(["2026-03-30"], -500, "shop")], TODAY) == ()
    found = one_of(old)  # the newest day on record is 8 November: nothing says that it ended
    assert found.next_on == date(2026, 4, 8)


def test_a_charge_that_is_late_is_due_today() -> None:
    found = one_of(booked(["2025-12-28", "2026-01-28", "2026-02-28"]))
    assert found.next_on == TODAY
    assert dues(found, date(2026, 5, 1)) == (TODAY, date(2026, 4, 28))


def test_what_is_booked_ahead_is_not_looked_at() -> None:
    days = ["2026-01-08", "2026-02-08", "2026-04-08"]
    assert recurring_in(booked(days), TODAY) == ()


def test_the_list_of_dues_has_a_limit() -> None:
    days = [TODAY - timedelta(days=7 * back) for back in range(5)]
    assert len(dues(one_of(booked(days)), date(2100, 1, 1))) == MAX_DUES


def test_months_are_counted_over_years_both_ways() -> None:
    assert months_later(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert months_later(date(2026, 1, 31), -2) == date(2025, 11, 30)
    assert months_later(date(2024, 2, 29), 12) == date(2025, 2, 28)


periods = some.sampled_from(PERIODS)
firsts = some.dates(date(2015, 1, 1), date(2020, 12, 31))


@given(periods, firsts, some.integers(5, 12), some.integers(1, 10**9), some.data())
def test_a_series_that_keeps_its_days_within_half_the_tolerance_is_always_found(
    period: Period, first: date, count: int, amount: int, data: some.DataObject
) -> None:
    wobble = period.tolerance // 2
    days = [day + timedelta(days=data.draw(some.integers(-wobble, wobble))) for day in on(period, first, count)]
    found = one_of(booked(days, -amount), today=days[-1])
    assert found.amount_minor == -amount
    assert len(found.transaction_ids) == count
    off = abs((found.next_on - later(first, period, count)).days)
    assert off <= 2 * period.tolerance + 1


noise = some.lists(
    some.builds(
        Booked,
        transaction_id=some.text("abc", min_size=1, max_size=6),
        booked_on=some.dates(date(2025, 1, 1), date(2026, 6, 30)).map(str),
        amount_minor=some.integers(-5000, 5000),
        currency=some.sampled_from(["EUR", "USD"]),
        merchant=some.sampled_from(["a", "b"]),
    ),
    max_size=30,
    unique_by=lambda one: one.transaction_id,
)


@some.composite
def movements(draw: some.DrawFn) -> list[Booked]:
    """Noise of two merchants, and up to three series of theirs or others', of which some days are off or missing."""
    found = draw(noise)
    for at in range(draw(some.integers(0, 3))):
        days = on(draw(periods), date(2025, 1, 1) + timedelta(days=draw(some.integers(0, 300))), 16)
        days = [day + timedelta(days=draw(some.integers(-2, 2))) for day in days if day < date(2026, 4, 5)]
        series = booked(days, draw(some.integers(1, 5000)) * draw(some.sampled_from([1, -1])), f"s{at}")
        name = draw(some.sampled_from(["a", "c"]))
        found += [one._replace(merchant=name) for one in series if draw(some.integers(0, 9))]
    return found


@given(movements(), some.randoms(use_true_random=False))
def test_the_order_of_movements_does_not_matter(found: list[Booked], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert recurring_in(shuffled, TODAY) == recurring_in(found, TODAY)


@given(movements())
def test_whatever_comes_in_what_is_told_of_a_series_is_true_of_its_movements(found: list[Booked]) -> None:
    ours = {one.transaction_id: one for one in found}
    for series in recurring_in(found, TODAY):
        own = [ours[id_] for id_ in series.transaction_ids]
        assert len(own) >= series.period.least >= 3
        assert {one.merchant for one in own} == {series.merchant}
        assert {one.currency for one in own} == {series.currency}
        assert all((one.amount_minor > 0) == series.is_income for one in own)
        sizes = [abs(one.amount_minor) for one in own]
        assert series.least_minor == min(sizes) <= abs(series.amount_minor) <= max(sizes) == series.most_minor
        assert [one.booked_on for one in own] == sorted(one.booked_on for one in own)
        assert series.first_on <= series.last_on <= TODAY <= series.next_on
        expected = dues(series, TODAY + timedelta(days=800))
        assert list(expected) == sorted(set(expected))
        assert all(day >= series.next_on for day in expected)


@given(movements(), some.integers(2, 1000))
def test_the_unit_of_money_does_not_matter(found: list[Booked], times: int) -> None:
    larger = [one._replace(amount_minor=one.amount_minor * times) for one in found]
    ours = [(one.period, one.transaction_ids, one.amount_minor * times) for one in recurring_in(found, TODAY)]
    assert sorted(ours) == sorted(
        (one.period, one.transaction_ids, one.amount_minor) for one in recurring_in(larger, TODAY)
    )


@given(movements())
def test_other_merchants_change_nothing(found: list[Booked]) -> None:
    other = booked(["2026-03-31"], -100, "somebody else")  # the newest day on record stays the same
    alone = recurring_in([*found, *other], TODAY)
    beside = recurring_in([*found, *other, *booked(["2026-01-05", "2026-02-05", "2026-03-05"], -50, "z")], TODAY)
    assert [one for one in beside if one.merchant != "z"] == list(alone)
