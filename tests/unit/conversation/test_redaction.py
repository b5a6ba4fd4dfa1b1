"""Account numbers stay here: what is hidden from a model, what is not, and that all of it comes back."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.conversation.redaction import Restoring, redact, redact_values, restored, restored_values

OWN = ("NL91ABNA0417164300", "acc-current", "savings-2", "12345678", "7")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("from NL91ABNA0417164300 please", "from [account 2] please"),
        ("from nl91 abna 0417 1643 00 please", "from [account 2] please"),
        ("from 1234 5678 to savings-2", "from [account 1] to [account 3]"),
        ("pay GB29 NWBK 6016 1331 9268 19 now", "pay [iban 1] now"),
        ("pay BE71096123456769.", "pay [iban 1]."),
        ("to12 GB29NWBK60161331926819", "to12 [iban 1]"),
        ("IBAN:DE89370400440532013000, his", "IBAN:[iban 1], his"),
        ("a mistyped DE89370400440532013001", "a mistyped DE[number 1]"),
        ("card 4111 1111 1111 1111 ends", "card [card 1] ends"),
        ("card 4111-1111-1111-1111", "card [card 1]"),
        ("amex 378282246310005, 3782 822463 10005", "amex [card 1], [card 1]"),
        ("not a card 4111 1111 1111 1112", "not a card [number 1]"),
        ("account 87654321 sort 12-34-56", "account [number 1] sort 12-34-56"),
        ("my EUR 87654321 account", "my EUR [number 1] account"),
        ("ref12345678901x", "ref[number 1]x"),
        ("SSN 123-45-6789", "SSN [number 1]"),
        ("call +44 20 7946 0958", "call +[number 1]"),
        ("write to Mary.O'Neil+x@mail.example.ie!", "write to Mary.O'[email 1]!"),
        ("٤١١١١١١١١١١١١١١١", "[card 1]"),
        ("sent to [account 1]", "sent to [text 1]"),
    ],
)
def test_numbers_of_accounts_cards_and_people_are_hidden(text: str, left: str):
    assert redact(text, OWN).text == left


@pytest.mark.parametrize(
    "text",
    [
        "TESCO STORES 5512 RATHMINES -64.12 EUR on 2026-03-01 12:30",
        "between 2026-03-01 and 2026-03-31, or 2026-03-01 2026-03-31",
        "1.234.567,89 and 25,000,000.00 and €25000000 and 25000000.00 and $ 22345678.",
        "acc-current is a name, and so is 7 of 10",
        "transaction 550e8400-e29b-41d4-a716-446655440000",
        "2026-03-01T12:00:00.123456Z",
        "card ending 1111, 24 x 60",
        "[receipt 1] [1] [account] [account 0]",
        "user@localhost @handle",
        "",
    ],
)
def test_merchants_amounts_dates_and_names_stay(text: str):
    assert redact(text, OWN) == (text, {})


def test_an_account_keeps_its_placeholder_wherever_and_however_it_is_written():
    first = redact("87654321 and 12345678", OWN)
    second = redact("12345678, then GB29NWBK60161331926819, then 8765 4321 and 8765-4321", OWN, first.hidden)
    assert first.text == "[number 1] and [account 1]"
    assert second.text == "[account 1], then [iban 1], then 8765 4321 and 8765-4321"
    third = redact("GB29 NWBK 6016 1331 9268 19 or 11112222", OWN, second.hidden)
    assert third.text == "[iban 1] or [number 2]"


def test_a_placeholder_never_changes_its_meaning_when_an_account_is_added():
    before = redact("12345678", ("12345678",))
    after = redact("11112222 and 12345678", ("11112222", "12345678"), before.hidden)
    assert after.text == "[account 2] and [account 1]"
    assert restored(after.text, after.hidden) == "11112222 and 12345678"


def test_an_own_account_comes_back_as_the_ledger_spells_it():
    told = redact("from nl91 abna 0417 1643 00", OWN)
    assert restored("Paid from [Account 2].", told.hidden) == "Paid from NL91ABNA0417164300."


def test_nobody_can_write_a_placeholder_that_turns_into_a_number():
    told = redact("12345678 is mine; the merchant is called [account 1]", OWN)
    assert told.text == "[account 1] is mine; the merchant is called [text 1]"
    assert restored("You paid [text 1].", told.hidden) == "You paid [account 1]."


def test_a_placeholder_that_a_model_made_up_stands_for_nothing():
    assert restored("[account 9] [card 1]", redact("12345678", OWN).hidden) == "[account 9] [card 1]"


def test_two_addresses_that_differ_by_a_dot_are_two():
    told = redact("a.b@x.ie ab@x.ie a.b@x.ie", OWN)
    assert told.text == "[email 1] [email 2] [email 1]"
    assert restored(told.text, told.hidden) == "a.b@x.ie ab@x.ie a.b@x.ie"


def test_values_are_redacted_text_by_text_and_numbers_stay():
    value = {"account": "12345678", "amount_minor": 123456789, "rows": [{"to": "87654321", "ok": True, "none": None}]}
    left, hidden = redact_values(value, OWN)
    expected = {"account": "[account 1]", "amount_minor": 123456789}
    assert left == {**expected, "rows": [{"to": "[number 1]", "ok": True, "none": None}]}
    assert restored_values(left, hidden) == value


def test_long_hostile_text_takes_no_longer_than_other_text():
    for text in ("AB12 " * 400, "1-" * 1000, "a.a-" * 500 + "@", "1234 " * 400, "[" * 2000):
        assert restored(*redact(text, OWN)) == text


PIECES = st.sampled_from(
    ["GB29 NWBK 6016 1331 9268 19", "4111111111111111", "[account 1]", "[text 2]", "a@b.ie", "8765-4321-99", "12", " "]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=12), st.from_regex(r"[0-9 .-]{1,24}", fullmatch=True))).map("".join)


@given(TEXTS)
def test_everything_comes_back_but_for_the_spacing_of_a_number_written_twice(text: str):
    told = redact(text, ())
    assert re.sub(r"[ .-]", "", restored(told.text, told.hidden)) == re.sub(r"[ .-]", "", text)


@given(TEXTS)
def test_what_leaves_holds_no_long_run_of_digits(text: str):
    left = re.sub(r"[$€£¥₹] ?[+-]?\d+|\d+([.,]\d\d| ?[$€£¥₹])", "", redact(text, ()).text)
    left = re.sub(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "", left)
    assert not re.search(r"\d{8}", left)


@given(TEXTS, st.sampled_from(OWN[:1] + OWN[2:4]), TEXTS)
def test_an_own_account_never_leaves(before: str, account: str, after: str):
    assert account not in redact(f"{before} {account} {after}", OWN).text


@given(
    st.lists(st.sampled_from(["12345678", "x@y.ie", "[card 3]", " paid [", "] ", "[account ", "1]"])).map("".join),
    st.data(),
)
def test_words_restored_as_they_arrive_are_the_text_restored_whole(text: str, data: st.DataObject):
    left, hidden = redact(text, OWN)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(left)), max_size=8)))
    ends = zip([0, *cuts], [*cuts, len(left)], strict=True)
    restoring = Restoring(hidden)
    assert "".join([*(restoring.feed(left[a:b]) for a, b in ends), restoring.rest()]) == restored(left, hidden)


def test_only_what_may_become_a_placeholder_is_held_back():
    restoring = Restoring(redact("12345678", OWN).hidden)
    said = [
        restoring.feed(piece) for piece in ["From ", "[", "acc", "ount", " 1", "]", " to [see the note above", "]."]
    ]
    assert said == ["From ", "", "", "", "", "12345678", " to [see the note above", "]."]
    assert restoring.rest() == ""


def test_what_is_hidden_survives_being_stored():
    told = redact("12345678 a@b.ie", OWN)
    assert restored(told.text, json.loads(json.dumps(dict(told.hidden)))) == "12345678 a@b.ie"
