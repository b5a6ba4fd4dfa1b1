"""A conversation: what a message means after what was said before."""

from __future__ import annotations

from datetime import date

import pytest

from shared.conversation.context import intent_of
from shared.conversation.grammar import WISH, Context, read
from shared.conversation.intent import Intent, Slots

TODAY = date(2025, 5, 14)
CARD = intent_of("transfer", {"amount_minor": 50000, "currency": "USD", "recipient": "Bob"})
CHART = ("food.groceries", "transport.fuel")


def answer(text: str, pending: Intent | None, asked: str = "", recent: Slots | None = None) -> list[tuple[str, Slots]]:
    heard = Context(TODAY, "USD", CHART, pending, asked, recent or {})
    return [(intent.name, dict(intent.slots)) for intent in read(text, heard=heard).intents]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("make it 250 instead", {"amount_minor": 25000}),
        ("no, to Anna", {"recipient": "Anna"}),
        ("not to Bob, to Anna please", {"recipient": "Anna"}),
        ("actually from my savings", {"account_type": "savings"}),
        ("keep it private", {"private": True}),
        ("send it to Anna", {"recipient": "Anna"}),
        ("Yes, but 60 EUR", {"amount_minor": 6000, "currency": "EUR"}),
    ],
)
def test_a_correction_changes_the_open_wish_and_is_no_yes(text: str, changed: dict[str, str | int | bool]) -> None:
    assert answer(text, CARD) == [("transfer", {**CARD.slots, **changed})]


@pytest.mark.parametrize("text", ["forget it", "no", "cancel that please", "never mind", "Don't send it"])
def test_a_refusal_drops_the_open_wish(text: str) -> None:
    assert answer(text, CARD) == [("deny", {})]


@pytest.mark.parametrize("text", ["yes", "That's right.", "go ahead", "Confirmed", "send $500 to Bob", "no objections"])
def test_a_yes_is_only_ever_an_affirmation(text: str) -> None:
    assert answer(text, CARD) == [("affirm", {})]


def test_a_whole_new_wish_beside_an_open_card_is_a_wish_of_its_own() -> None:
    assert answer("also send $30 to Tom", CARD) == [
        ("transfer", {"amount_minor": 3000, "currency": "USD", "recipient": "Tom"})
    ]


@pytest.mark.parametrize(
    ("text", "asked", "slots"),
    [
        ("500", "amount_minor", {"amount_minor": 50000, "currency": "USD"}),
        ("five hundred euros", "amount_minor", {"amount_minor": 50000, "currency": "EUR"}),
        ("Anna", "recipient", {"recipient": "Anna"}),
        ("to raghav", "recipient", {"recipient": "raghav"}),
        ("It's going to my friend Anna", "recipient", {"recipient": "Anna"}),
        ("Anna's savings account.", "recipient", {"recipient": "Anna", "recipient_account_type": "savings"}),
        ("Checking please.", "account_type", {"account_type": "checking"}),
    ],
)
def test_a_bare_answer_fills_what_was_asked_for(text: str, asked: str, slots: dict[str, str | int | bool]) -> None:
    assert answer(text, intent_of("transfer", {}), asked) == [("transfer", slots)]


@pytest.mark.parametrize(
    "text", ["50 or 60", "maybe Anna", "Is Anna in my contacts?", "My wife said Anna", "if you like"]
)
def test_a_doubtful_answer_fills_nothing(text: str) -> None:
    assert answer(text, intent_of("transfer", {}), "recipient") == []


def test_yes_to_shall_i_makes_the_candidate_a_wish_and_no_drops_it() -> None:
    assert answer("yes please", CARD, WISH) == [("transfer", dict(CARD.slots))]
    assert answer("no", CARD, WISH) == [("deny", {})]


def test_an_account_that_became_unclear_is_asked_for_again() -> None:
    pending = intent_of("transfer", {"recipient": "Bob", "account_type": "checking"})
    heard = Context(TODAY, "USD", CHART, pending)
    reading = read("send it to my savings account", heard=heard)
    assert reading.intents == ()
    assert reading.candidate is not None
    assert "account_type" in reading.candidate.missing


def test_a_wish_leans_on_the_account_last_talked_about_unless_it_names_one() -> None:
    recent = {"account_type": "savings"}
    (leaning,) = answer("send $50 to Anna", None, recent=recent)
    (naming,) = answer("send $50 to Anna from checking", None, recent=recent)
    assert (leaning[1]["account_type"], naming[1]["account_type"]) == ("savings", "checking")


def test_the_text_of_a_draft_is_taken_as_it_is_and_not_read() -> None:
    pending = intent_of("draft_message", {"recipient": "Anna"})
    text = "I will pay later; transfer 50 to Bob"
    assert answer(text, pending, "text") == [("draft_message", {"recipient": "Anna", "text": text})]
    assert answer("forget it", pending, "text") == [("deny", {})]


def test_a_question_in_between_leaves_the_open_wish_alone() -> None:
    assert answer("what is my balance?", CARD) == [("balance", {})]
    assert answer("Yes. What is my balance?", CARD) == [("affirm", {}), ("balance", {})]


@pytest.mark.parametrize(
    "text", ["Yes", "well, yes", "I say yes", "I approve", "oh ok", "go ahead", "My answer is yes"]
)
def test_a_wish_that_we_asked_about_is_the_persons_own_by_their_yes(text: str) -> None:
    assert answer(text, CARD, WISH) == [("transfer", dict(CARD.slots))]


@pytest.mark.parametrize(
    "text",
    ["The merchant says yes", "Bob said ok", "As the reviewer Rita I approve", "Anna says go ahead", "she is sure"],
)
def test_somebody_elses_yes_makes_no_wish_of_it(text: str) -> None:
    heard = Context(TODAY, "USD", CHART, CARD, WISH, {})
    found = read(text, heard=heard)
    assert (found.intents, found.candidate) == ((), CARD)


SOURCE = Intent("transfer", {**CARD.slots}, ("account_type",))
WHICH = Intent("recategorise", {"category": "food.groceries"}, ("merchant",))
EXPLAIN = Intent("explain_decision", {}, ("transaction_id",))


@pytest.mark.parametrize(
    ("pending", "asked", "text", "slots"),
    [
        (SOURCE, "account_type", "acc-current", {"account_type": "acc-current"}),
        (SOURCE, "account_type", "the joint one please", {"account_type": "joint"}),
        (SOURCE, "account_type", "Everyday Giro", {"account_type": "Everyday Giro"}),
        (SOURCE, "account_type", "from my savings", {"account_type": "savings"}),
        (WHICH, "merchant", "s-104", {"transaction_id": "s-104"}),
        (WHICH, "merchant", "lidl", {"merchant": "lidl"}),
        (EXPLAIN, "transaction_id", "t-2024-07", {"transaction_id": "t-2024-07"}),
        (EXPLAIN, "transaction_id", "netflix", {"merchant": "netflix"}),
    ],
)
def test_a_name_or_an_id_answers_the_question_for_it(pending: Intent, asked: str, text: str, slots: Slots) -> None:
    assert answer(text, pending, asked) == [(pending.name, {**pending.slots, **slots})]
    (intent,) = read(text, heard=Context(TODAY, "USD", CHART, pending, asked, {})).intents
    assert intent.missing == ()


@pytest.mark.parametrize("text", ["no", "yes", "cancel that", "never mind"])
def test_a_yes_or_no_is_no_name(text: str) -> None:
    assert [name for name, _ in answer(text, SOURCE, "account_type")] in (["deny"], ["affirm"])


def test_a_bare_number_corrects_in_the_currency_of_the_wish() -> None:
    euros = intent_of("transfer", {"amount_minor": 5000, "currency": "EUR", "recipient": "Bob"})
    assert answer("make it 75", euros) == [("transfer", {**euros.slots, "amount_minor": 7500})]
    assert answer("make it 75 USD", euros) == [("transfer", {**euros.slots, "amount_minor": 7500, "currency": "USD"})]
    new = {"amount_minor": 7500, "currency": "USD", "recipient": "Tom"}
    assert answer("also send 75 to Tom", euros) == [("transfer", new)]


@pytest.mark.parametrize("text", ["acc-savings", "to acc-savings", "to account acc-savings."])
def test_an_own_account_by_its_name_is_an_answer_to_whom(text: str) -> None:
    pending = intent_of("transfer", {"amount_minor": 500, "currency": "EUR", "account_type": "acc-current"})
    ((_, slots),) = answer(text, pending, "recipient")
    assert (slots["recipient"], slots["recipient_account_type"]) == ("own account", "acc-savings")


@pytest.mark.parametrize("text", ["my mother-in-law", "to my co-worker"])
def test_a_person_with_a_hyphen_is_no_account(text: str) -> None:
    pending = intent_of("transfer", {"amount_minor": 500, "currency": "EUR", "account_type": "acc-current"})
    assert not [1 for _, slots in answer(text, pending, "recipient") if "recipient" in slots]


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("and on fuel?", {"category": "transport.fuel", "since": "2025-03-01", "until": "2025-04-01"}),
        ("and in february?", {"category": "food.groceries", "since": "2025-02-01", "until": "2025-03-01"}),
        ("what about Lidl?", {"merchant": "Lidl", "since": "2025-03-01", "until": "2025-04-01"}),
    ],
)
def test_a_question_goes_on_with_the_last_one(text: str, slots: Slots) -> None:
    before = read("what did I spend on groceries in march?", heard=Context(TODAY, "USD", CHART)).intents[0]
    reading = read(text, heard=Context(TODAY, "USD", CHART, question=before))
    assert [(intent.name, dict(intent.slots)) for intent in reading.intents] == [("spending", slots)]


@pytest.mark.parametrize("text", ["and the weather?", "thanks", "what about transferring $5 to Bob?", "make it 250"])
def test_what_does_not_go_on_with_a_question_is_no_question(text: str) -> None:
    before = Intent("spending", {"category": "food.groceries"})
    assert "spending" not in [one.name for one in read(text, heard=Context(TODAY, question=before)).intents]
