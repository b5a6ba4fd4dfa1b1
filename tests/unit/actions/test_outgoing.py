"""The window of what was asked for lately: what counts, for how long, and what nobody can tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.actions.outgoing import (
    MAX_ASKED,
    UNTOLD,
    Asked,
    asked_since,
    outgoing_document,
    sums,
    with_asked,
)
from shared.contracts.instants import text
from shared.ports.document_store import Document

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(**before: float) -> str:
    return text(NOW - timedelta(**before))


def transfer(state: str, amount_minor: int, currency: str = "EUR", **more: Any) -> Document:
    arguments = {"amount_minor": amount_minor, "currency": currency}
    body = {"action": "transfer_funds", "state": state, "arguments": arguments, **more}
    return Document("home", "action:a", "action", body)


def test_what_is_as_old_as_the_window_no_longer_counts():
    asked = [Asked("old", at(hours=24)), Asked("young", at(hours=23, minutes=59)), Asked("new", at())]
    stored = outgoing_document("home", "transfer_funds", asked, hours=24, now=NOW, stored=None)
    assert [one.action_id for one in asked_since(stored, hours=24, now=NOW)] == ["young", "new"]
    assert [one.action_id for one in asked_since(stored, hours=1, now=NOW)] == ["new"]
    assert asked_since(None, hours=24, now=NOW) == ()
    assert stored.expires_at == text(NOW + timedelta(hours=24)), "with its newest entry"


def test_an_edited_wish_counts_once_and_as_new():
    asked = with_asked([Asked("a", at(hours=3)), Asked("b", at(hours=2))], "a", at=at())
    assert asked == (Asked("b", at(hours=2)), Asked("a", at()))


def test_what_came_to_nothing_does_not_count_and_each_currency_counts_for_itself():
    told = [transfer("done", 100), transfer("waiting", 20), transfer("intended", 3), transfer("needs_review", 4)]
    told += [transfer(state, 9_000) for state in ("refused", "cancelled", "denied")]
    told += [transfer("requested", 700, "USD")]
    assert sums(told, missing=False) == {"EUR": 127, "USD": 700}


def test_what_was_erased_or_is_missing_is_an_amount_that_nobody_can_tell():
    erased = transfer("done", 0, erased_at=at())
    erased.body["arguments"] = {}
    assert sums([erased], missing=False) == {UNTOLD: 1}
    assert sums([transfer("done", 5)], missing=True) == {UNTOLD: 1, "EUR": 5}


def test_more_wishes_than_are_kept_make_the_sum_untold_for_as_long_as_they_would_have_counted():
    asked: tuple[Asked, ...] = ()
    for number in range(MAX_ASKED + 3):
        asked = with_asked(asked, f"a-{number}", at=at(minutes=600 - number))
    assert len(asked) == MAX_ASKED
    assert asked[0] == Asked(UNTOLD, at(minutes=600 - 3))
    assert asked[1].action_id == "a-4"
