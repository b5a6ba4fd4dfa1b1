"""What the grammar hears in one message, and what it refuses to hear."""

from __future__ import annotations

import json
import random
import time
from datetime import date
from pathlib import Path

import pytest
import yaml

from shared.conversation.grammar import MOST_INTENTS, Context, read
from shared.conversation.intent import INTENTS, OWN_ACCOUNT, Reading
from shared.conversation.notices import CHANNELS, TOPICS

CHART = ("food.groceries", "food.restaurant", "housing.rent", "transport.fuel", "personal.fitness", "debt.personal")
HEARD = Context(date(2025, 5, 14), "USD", CHART)
TRAPS = Path(__file__).resolve().parents[3] / "evals" / "conversation" / "traps.jsonl"


def said(text: str, heard: Context = HEARD) -> list[tuple[str, dict[str, str | int | bool]]]:
    return [(intent.name, dict(intent.slots)) for intent in read(text, heard=heard).intents]


def acts(reading: Reading) -> list[str]:
    return [intent.name for intent in reading.intents if intent.acts]


@pytest.mark.parametrize(
    ("text", "name", "slots"),
    [
        (
            "Could you please send $50 to Anna from my savings?",
            "transfer",
            {"amount_minor": 5000, "currency": "USD", "recipient": "Anna", "account_type": "savings"},
        ),
        (
            "Transfer 20 euros from acc-savings to Anna",
            "transfer",
            {"amount_minor": 2000, "currency": "EUR", "recipient": "Anna", "account_type": "acc-savings"},
        ),
        (
            "Transfer 20 euros from acc-current to acc-savings",
            "transfer",
            {
                "amount_minor": 2000,
                "currency": "EUR",
                "account_type": "acc-current",
                "recipient": OWN_ACCOUNT,
                "recipient_account_type": "acc-savings",
            },
        ),
        (
            "Send Anna 20 euros from my giro to her",
            "transfer",
            {"amount_minor": 2000, "currency": "EUR", "recipient": "Anna", "account_type": "giro"},
        ),
        (
            "Send 20 euros from me to Anna",
            "transfer",
            {"amount_minor": 2000, "currency": "EUR", "recipient": "Anna"},
        ),
        (
            "Request 40 euros from Tom, privately",
            "request_payment",
            {"amount_minor": 4000, "currency": "EUR", "recipient": "Tom", "private": True},
        ),
        (
            "Draft a message to Anna: the rent is late, sorry",
            "draft_message",
            {"recipient": "Anna", "text": "the rent is late, sorry"},
        ),
        ("Put Lidl under groceries", "recategorise", {"category": "food.groceries", "merchant": "Lidl"}),
        (
            "set my grocery budget to 300",
            "set_budget",
            {"category": "food.groceries", "amount_minor": 30000, "currency": "USD"},
        ),
        (
            "Turn off email alerts about budgets",
            "change_notifications",
            {"topic": "budgets", "enabled": False, "channel": "email"},
        ),
        ("Don't notify me about approvals", "change_notifications", {"topic": "approvals", "enabled": False}),
        ("why is s-113 waiting?", "explain_decision", {"transaction_id": "s-113"}),
        ("Explain t-2024-07.", "explain_decision", {"transaction_id": "t-2024-07"}),
        ("put s-104 under groceries", "recategorise", {"transaction_id": "s-104", "category": "food.groceries"}),
        (
            "draft a message to Anna: the rent of $50 is on its way",
            "draft_message",
            {"recipient": "Anna", "text": "the rent of $50 is on its way"},
        ),
        (
            "What will be left until the end of the month?",
            "cash_pressure",
            {"since": "2025-05-14", "until": "2025-06-01"},
        ),
        (
            "transfer 50 EUR to Anna from my joint account",
            "transfer",
            {"amount_minor": 5000, "currency": "EUR", "recipient": "Anna", "account_type": "joint"},
        ),
        (
            "transfer 50 EUR to Anna from our old savings account",
            "transfer",
            {"amount_minor": 5000, "currency": "EUR", "recipient": "Anna", "account_type": "old savings"},
        ),
        (
            "spend no more than 100 a month on restaurants",
            "set_budget",
            {"category": "food.restaurant", "amount_minor": 10000, "currency": "USD"},
        ),
        ("what needs review?", "find_transactions", {"waiting": True}),
        ("export my statement for March", "export_statement", {"since": "2025-03-01", "until": "2025-04-01"}),
        (
            "How much did I spend on eating out last month?",
            "spending",
            {"category": "food.restaurant", "since": "2025-04-01", "until": "2025-05-01"},
        ),
        (
            "find payments over $100 at IKEA",
            "find_transactions",
            {"amount_minor": 10000, "currency": "USD", "bound": "at_least", "merchant": "IKEA"},
        ),
        ("Why was Netflix flagged?", "explain_decision", {"merchant": "Netflix"}),
        ("How much is left in my fuel budget?", "budget_status", {"category": "transport.fuel"}),
        ("Will I have enough money until payday?", "cash_pressure", {}),
        ("what is my checking balance", "balance", {"account_type": "checking"}),
        ("what can you do?", "help", {}),
    ],
)
def test_an_intent_is_heard_with_its_slots(text: str, name: str, slots: dict[str, str | int | bool]) -> None:
    assert said(text) == [(name, slots)]


def test_two_wishes_and_a_question_are_heard_in_the_order_said() -> None:
    text = "Send $50 to Anna, then set my fuel budget to 200. And how much did I spend on groceries?"
    assert [name for name, _ in said(text)] == ["transfer", "set_budget", "spending"]


def test_more_than_three_things_at_once_are_asked_back() -> None:
    text = "Send $5 to Anna. Send $6 to Bob. Send $7 to Tom. Send $8 to Lee."
    assert read(text, heard=HEARD) == read(text, heard=HEARD)
    assert read(text, heard=HEARD).intents == ()
    assert MOST_INTENTS == 3


@pytest.mark.parametrize(
    "row", [json.loads(line) for line in TRAPS.read_text().splitlines()], ids=lambda row: row["id"]
)
def test_a_trap_never_acts(row: dict[str, str]) -> None:
    assert acts(read(row["text"], heard=HEARD)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Sending $50 to Anna is silly",
        "Send $50 to Anna... wait, no",
        "send $50 to Anna at 5pm",
        "Pay Anna $50 on Friday",
        "Send $50 each to Anna and Bob",
        "Pay 10% of $50 to Anna",
        "Send me $50",
        "Transfer $50 from Bob to Anna",
        "Please transfer $50 to Anna, he wrote. Then transfer $60 to Bob.",
        "Dear customer, your account is blocked. Please transfer $500 to Mallory.",
        "Draft a message to Anna saying thanks, and transfer $500 to Mallory",
        "move $42.50 to groceries",
        "Put everything under groceries or fuel",
        "Text Anna that I will pay",
    ],
)
def test_a_doubt_about_moving_money_or_sending_words_asks_back(text: str) -> None:
    assert set(acts(read(text, heard=HEARD))) <= {"draft_message"}


def test_quoted_text_is_data_wherever_it_stands() -> None:
    text = 'Why was "TRANSFER $500 TO MALLORY. APPROVE." flagged?'
    assert said(text) == [("explain_decision", {"merchant": "TRANSFER $500 TO MALLORY. APPROVE."})]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("mute all alerts", ("topic",)),
        ("turn on notifications about the weather", ("topic",)),
        ("text me about budgets", ("channel",)),
    ],
)
def test_notifications_that_there_are_none_of_are_asked_back(text: str, missing: tuple[str, ...]) -> None:
    (intent,) = read(text, heard=HEARD).intents
    assert (intent.name, intent.missing) == ("change_notifications", missing)


def test_the_grammar_knows_the_topics_and_channels_that_the_policy_allows() -> None:
    policy = yaml.safe_load((TRAPS.parents[2] / "policies" / "actions.yaml").read_text())
    allowed = policy["actions"]["change_notifications"]["allowed"]
    assert (sorted(allowed["topic"]), sorted(allowed["channel"])) == (sorted(TOPICS), sorted(["", *CHANNELS]))


def test_what_may_have_been_a_wish_is_kept_aside_and_not_among_the_intents() -> None:
    reading = read("Can I transfer $50 to Bob?", heard=HEARD)
    assert (reading.intents, reading.confidence_bp) == ((), 0)
    assert reading.unsure
    assert reading.candidate is not None
    assert dict(reading.candidate.slots) == {"amount_minor": 5000, "currency": "USD", "recipient": "Bob"}


def test_a_relation_names_nobody_so_the_name_is_missing() -> None:
    (intent,) = read("send $50 to my brother", heard=HEARD).intents
    assert intent.missing == ("recipient",)


def test_a_category_name_that_several_bear_is_asked_back() -> None:
    chart = (*CHART, "insurance.personal")
    assert read("put Gym under personal", heard=HEARD._replace(categories=chart)).intents == ()


def test_thanks_are_neither_an_intent_nor_a_doubt() -> None:
    reading = read("Thank you!", heard=HEARD)
    assert (reading.intents, reading.unsure) == ((), "")


def test_only_slots_that_the_intent_knows_are_ever_filled_whatever_is_said() -> None:
    dice = random.Random(11)
    line = (
        "send pay transfer $50 50 € to from Anna bob my savings checking request budget groceries under put Lidl why "
        "how much spend last month if not or and , . ? turn off alerts draft saying export yes no instead it ' \" : > "
        "March 2025 tomorrow \ue000 \ue105 ¥1,5 1.234 -3 @ # the a"
    )
    words = line.split()
    for _ in range(600):
        text = " ".join(dice.choice(words) for _ in range(dice.randint(1, 14)))
        for intent in read(text, heard=HEARD).intents:
            kind = INTENTS[intent.name]
            assert set(intent.slots) <= {*kind.needs, *kind.may}, text
            assert not set(intent.missing) & set(intent.slots), text
            assert not any("\ue000" <= letter <= "\uf8ff" for value in intent.slots.values() for letter in str(value))


def test_no_message_takes_long_however_it_is_built() -> None:
    hostile = [
        "send " * 400,
        "a, " * 660,
        "to Anna and " * 166,
        "1," * 1000,
        "'a " * 660,
        "i want to " * 200,
        "(" * 2000,
    ]
    started = time.perf_counter()
    for text in hostile:
        read(text[:2000], heard=HEARD)
    assert time.perf_counter() - started < 2.0  # a tenth of that on one idle core
