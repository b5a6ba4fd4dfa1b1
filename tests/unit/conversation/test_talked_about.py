"""What stays talked about, so that the next message may answer or correct it."""

from __future__ import annotations

from datetime import date

import pytest

from shared.conversation.context import WISH, Context, intent_of
from shared.conversation.grammar import read
from shared.conversation.intent import Intent
from shared.conversation.talked_about import Kept, kept, pending_of, remembered, settled_of, too_late

HEARD = Context(date(2025, 5, 14), "EUR", ("food.groceries",))
WHOLE = intent_of("transfer", {"amount_minor": 5000, "currency": "EUR", "recipient": "Anna"})
LACKING = intent_of("transfer", {"amount_minor": 5000, "currency": "EUR"})


def after(text: str, pending: Intent | None = None, asked: str = "", asking: tuple[Intent, ...] = ()) -> Kept:
    heard = HEARD._replace(pending=pending, asked=asked)
    return kept(heard, read(text, heard=heard), asking=asking)


def test_a_wish_stays_talked_about_when_nothing_is_missing_any_more():
    assert after("transfer 50 EUR to Anna") == Kept(WHOLE)
    assert after("thanks", WHOLE) == Kept(WHOLE)
    assert after("what is my balance?", WHOLE) == Kept(WHOLE)


def test_what_is_missing_is_asked_for_until_it_is_said_or_refused():
    assert after("transfer 50 EUR") == Kept(LACKING, "recipient")
    assert after("yes", LACKING, "recipient") == Kept(LACKING, "recipient")
    assert after("no, forget it", LACKING, "recipient") == Kept()


def test_a_doubt_about_the_mood_asks_whether_a_doubt_about_a_slot_asks_for_it():
    assert after("can I transfer 50 EUR to Anna?") == Kept(WHOLE, WISH)
    assert after("transfer 50 or 60 EUR to Anna").asked == WISH
    assert after("transfer about 50 EUR to Anna").asked == "amount_minor"


def test_a_question_of_ours_is_open_for_one_message_only():
    assert after("what is my balance?", WHOLE, WISH) == Kept()
    assert after("qwerty uiop", WHOLE, WISH) == Kept(WHOLE, WISH)


def test_a_question_is_talked_about_only_while_a_slot_is_asked_for():
    which = Intent("explain_decision", {}, ("merchant",))
    assert after("why was it flagged?", asking=(which,)) == Kept(which, "merchant")
    assert after("thanks", which, "merchant") == Kept()


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("make it 60", {"amount_minor": 6000, "recipient": "Anna"}),
        ("to Bob instead", {"amount_minor": 5000, "recipient": "Bob"}),
        ("transfer 60 instead", {"amount_minor": 6000, "recipient": "Anna"}),
        ("transfer 60 EUR to Bob", None),
        ("transfer 60", None),
        ("what is my balance?", None),
        ("thanks", None),
    ],
)
def test_what_comes_too_late_is_told_from_what_is_new(text: str, becomes: dict[str, object] | None):
    intended = too_late(text, HEARD, read(text, heard=HEARD), WHOLE, "")
    assert (intended and dict(intended.slots)) == (becomes and {"currency": "EUR", **becomes})


def test_a_wish_is_settled_once_its_card_no_longer_waits():
    told = remembered(WHOLE, action_id="a-1", outcome="Deferred")
    waits = {"pending": None, "wished": told, "open_approvals": ["a-1"]}
    assert (pending_of(waits), settled_of(waits)) == (told, None)
    signed = {**waits, "open_approvals": []}
    assert (pending_of(signed), settled_of(signed)) == (None, told)
    other = remembered(LACKING)
    assert pending_of({**signed, "pending": other}) == other
