"""Whose wish a model's call is: the person's own words decide, whole and unquoted."""

from __future__ import annotations

import pytest

from shared.conversation.grounding import beyond, together, ungrounded, voiced_as
from shared.conversation.intent import Intent

PAY = Intent("transfer", {"amount_minor": 5000, "currency": "EUR", "recipient": "Anna"})


def changed(**slots: str | int | bool) -> Intent:
    return PAY._replace(slots={**PAY.slots, **slots})


@pytest.mark.parametrize(
    ("call", "words", "slot"),
    [
        (PAY, "send 50 EUR to Anna", ""),
        (PAY, "ANNA shall get 50,00 euros", ""),
        (changed(amount_minor=5001), "send 50 EUR to Anna", "amount_minor"),
        (changed(recipient="Ann"), "send 50 EUR to Anna", "recipient"),
        (changed(recipient=""), "send 50 EUR to Anna", "recipient"),
        (PAY, "what is “send 50 EUR to Anna”?", "amount_minor"),
        (PAY, "50 EUR? The note says: to Anna", "recipient"),
        (changed(note="for the rent"), "send 50 EUR to Anna, note “for the rent”", ""),
        (changed(account_type="x" * 61), "send 50 EUR to Anna", "account_type"),
        (changed(account_type="a\nb"), "send 50 EUR to Anna", "account_type"),
    ],
)
def test_what_was_not_said_is_named(call: Intent, words: str, slot: str):
    assert ungrounded(call, [words], currency="EUR") == slot


@pytest.mark.parametrize(
    ("call", "is_it"),
    [
        (PAY, True),
        (changed(recipient="anna"), True),
        (changed(recipient="Anna Schmidt"), True),
        (changed(note="rent"), True),
        (changed(private=True), True),
        (changed(amount_minor=5001), False),
        (changed(currency="USD"), False),
        (changed(recipient="Bob"), False),
        (changed(account_type="savings"), False),
        (PAY._replace(name="request_payment"), False),
    ],
)
def test_a_call_is_the_wish_that_it_agrees_with(call: Intent, is_it: bool):
    assert (voiced_as(call, [PAY]) is PAY) is is_it


def test_what_the_person_says_counts_and_what_the_call_adds_is_looked_at():
    call = changed(recipient="Anna Schmidt", note="rent")
    assert together(call, PAY).slots == {**PAY.slots, "note": "rent"}
    assert beyond(call, PAY).slots == {"note": "rent"}
    assert beyond(call, None) == call
