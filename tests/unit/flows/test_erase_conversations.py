"""Erasing transactions and accounts out of conversations: the turns that tell of them, their cards, actions, stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.language_model import Calls, Says, ScriptedLanguageModel, Turn
from shared.approvals.life_cycle import Signer
from shared.contracts import action_answers, approval_answers, conversation_answers
from shared.contracts.commands import ResolveParkedEnvelope, envelope, parse_envelope
from shared.conversation import documents as talk
from shared.conversation.stream import conversation_doc_id
from shared.delivery.inbox import execute, handle_once
from shared.delivery.outbox import relay_stragglers
from shared.delivery.parking import Incoming, park_command
from shared.delivery.retry import Park
from shared.errors import ConflictError, IdempotencyMismatchError, StateConflictError
from shared.flows import erasure_of_turns
from shared.flows.action_reading import Reader, one_action
from shared.flows.approval_inbox import Filter, inbox, one_card
from shared.flows.conversations import conversation
from shared.flows.erase import continue_erasures, erase
from shared.ports.language_model import ToolCall
from tests.unit.flows.bench import TENANT
from tests.unit.flows.erasure_bench import ALICE, BOB, GIRO, OTHER, RALF, Household, erased_through_crashes

ZEBRA = re.compile(r"(?i)zebra|7,?777")
QUAGGA = re.compile(r"(?i)quagga|77\.77|7777\b")
OPERATOR = Reader("dev:root", frozenset({"operator"}))


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Household]:
    made = Household(tmp_path)
    await made.bought("a-1", "ZEBRAMARKET ONE")
    await made.bought("b-1", "LIDL", account=OTHER, amount_minor=-500)
    yield made
    await made.bench.close()


async def states(home: Household, kind: str) -> list[str]:
    return [one.body["state"] for one in await home.all_of(kind)]


def stages(body: dict[str, Any]) -> list[str]:
    return [one["outcome_code"] for one in body["stages"]]


async def test_the_turns_that_tell_of_a_transaction_lose_what_they_tell(home: Household):
    await home.say("find transactions from zebramarket", note="my zebra")
    await home.say("find transactions at LIDL")
    await home.say("put zebramarket under groceries")
    before = {one["message_id"]: one for one in await home.messages()}
    assert await home.telling(ZEBRA)
    done = await home.erase(transaction_ids=["a-1"])
    assert await home.telling(ZEBRA) == []
    assert (done["counts"]["message"], done["counts"]["approval"], done["counts"]["action"]) == (4, 1, 1)
    after = await home.messages()
    assert [(one["turn"], one["text"]) for one in after if one["text"] == "erased"] == [
        (turn, "erased") for turn in (1, 1, 3, 3)
    ]
    kept = ("message_id", "turn", "role", "author", "at", "status", "run_id", "approvals", "actions", "provenance")
    assert [{name: one[name] for name in kept} for one in after] == [
        {name: before[one["message_id"]][name] for name in kept} for one in after
    ]
    assert [one for one in after if one["turn"] == 2] == [one for one in before.values() if one["turn"] == 2]


async def test_an_open_card_about_it_is_superseded_its_action_cancelled_and_the_stream_told(home: Household):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    seen = (await home.get(conversation_doc_id("alices")))["last_sequence"]
    await home.erase(transaction_ids=["a-1"])
    card, action = await home.get(f"approval:{card_id}"), await home.get(f"action:{card_id}")
    assert (card["state"], card["superseded_why"], card["card"]["title"]) == ("superseded", "data_erased", "erased")
    assert (action["state"], action["code"], action["arguments"]) == ("cancelled", "data_erased", {})
    assert (card["digest"], card["card_digest"], action["digest"], action["mentions"]) == ("", "", "", [])
    applied = [one.body for one in await home.all_of("audit") if one.body["what"] == "erasure_applied"]
    assert [(one["who"]["id"], one["payload"]["ended"], one["payload"]["altered"]) for one in applied] == [
        ("dev:root", {f"action:{card_id}": "cancelled", f"approval:{card_id}": "superseded"}, [])
    ]
    stored = await home.get(conversation_doc_id("alices"))
    assert (stored["open_approvals"], stored["pending"], stored["recent"]) == ([], None, {})
    told = [event for one in await home.all_of("stream_event") for event in one.body["events"]]
    assert [event["type"] for event in told] == ["RUN_STARTED", "CUSTOM", "CUSTOM", "RUN_FINISHED"]
    assert stored["last_sequence"] == seen + 4
    with pytest.raises(StateConflictError):
        await home.answer(card_id, RALF, card_digest="0" * 64)


async def test_people_can_still_look_at_what_is_left(home: Household):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    await home.say("export my statement for February as csv")
    await home.erase(account=GIRO)
    reader = Signer(RALF, "Ralf", ("reviewer",))
    shown = await one_card(home.delivery, TENANT, card_id, reader=reader)
    assert approval_answers.Approval.model_validate(shown).erased_at
    assert (await inbox(home.delivery, TENANT, reader, Filter(), limit=10, cursor=""))["items"] == []
    assert action_answers.Action.model_validate(await one_action(home.delivery, TENANT, OPERATOR, card_id)).erased_at
    talked = await conversation(home.delivery, TENANT, "alices", principal=ALICE, roles=["member"], limit=50, cursor="")
    assert conversation_answers.Conversation.model_validate(talked).messages[0].erased_at


async def test_an_erased_account_takes_the_transfers_from_it_along(home: Household):
    await home.say("transfer 77.77 EUR to Quagga")
    card_id = await home.open_card()
    await home.answer(card_id, RALF, rationale="fine, Quagga is her landlord")
    assert (await home.get(f"action:{card_id}"))["state"] == "done"
    await home.say(f"is {GIRO} my account?")
    await home.erase(account=GIRO)
    assert await home.telling(QUAGGA) == []
    assert await home.telling(re.compile(rf'"{GIRO}"|my account|landlord')) == []
    action, card = await home.get(f"action:{card_id}"), await home.get(f"approval:{card_id}")
    assert (action["state"], action["reference"]) == ("done", "r-1")
    assert (action["idempotency_key"], action["result"], action["arguments"]) == ("", {}, {})
    (signature,) = card["signatures"]
    assert (card["state"], signature["person"], signature["rationale"]) == ("consumed", RALF, "erased")
    assert (signature["digest"], signature["card_digest"]) == ("", "")


async def test_what_was_not_erased_can_still_be_signed_and_carried_out(home: Household):
    await home.say("transfer 50 EUR to Jo")
    transfer = await home.open_card()
    await home.say("put zebramarket under groceries")
    await home.erase(transaction_ids=["a-1"])
    await home.answer(transfer, RALF)
    assert (await home.get(f"action:{transfer}"))["state"] == "done"
    assert home.bank.performed == 1


async def test_a_card_of_another_turn_whose_seal_is_on_an_erased_record_is_sealed_anew(home: Household):
    """A message that supersedes a card seals it on its own record."""
    await home.say("transfer 50 EUR to Jo")
    transfer = await home.open_card()
    talk = await home.store.read(TENANT, conversation_doc_id("alices"))
    await home.store.commit(TENANT, [talk._replace(body={**talk.body, "when_busy": "supersede"})])
    await home.say("find transactions from zebramarket")
    before = await home.get(f"approval:{transfer}")
    assert before["state"] == "superseded"
    await home.erase(transaction_ids=["a-1"])
    after = await home.get(f"approval:{transfer}")
    assert {**after, "records": []} == {**before, "records": []}
    assert len(after["records"]) == len(before["records"]) + 1


async def test_records_of_other_turns_that_seal_what_is_erased_lose_their_payload(home: Household):
    await home.say("put zebramarket under groceries")
    talk_ = await home.store.read(TENANT, conversation_doc_id("alices"))
    await home.store.commit(TENANT, [talk_._replace(body={**talk_.body, "when_busy": "supersede"})])
    await home.say("help")
    await home.erase(transaction_ids=["a-1"])
    posted = [one.body for one in await home.all_of("audit") if one.body["what"] == "message_posted"]
    assert [one["payload"] for one in posted] == [None, None]
    assert [one["text"] for one in await home.messages() if one["role"] == "user"] == ["erased", "help"]


@pytest.mark.parametrize("handled", [0, 1])
async def test_an_action_on_its_way_is_refused_cleanly(home: Household, handled: int):
    """handled: 0, signed and not released yet; 1, released and about to be checked."""
    card_id, held = await signed_and_held(home, "transfer 77.77 EUR to Quagga", handled=handled)
    await home.erase(account=GIRO)
    outcomes = await held()
    assert set(outcomes) == {"committed"}
    assert home.bank.performed == 0
    assert (await home.get(f"action:{card_id}"))["state"] == "cancelled"
    assert await states(home, "parked") == []
    await home.check()


@pytest.mark.parametrize(("trouble", "state"), [("well", "done"), ("lost", "needs_review"), ("refused", "refused")])
async def test_an_effect_that_may_have_happened_is_asked_for_and_never_repeated(
    home: Household, trouble: str, state: str
):
    card_id, held = await signed_and_held(home, "transfer 77.77 EUR to Quagga", handled=2)
    key = (await home.get(f"action:{card_id}"))["idempotency_key"]
    if trouble != "lost":
        home.bank.trouble = [trouble]
        order = {"from_account": GIRO, "to_account": "landlord", "amount_minor": 7777, "currency": "EUR"}
        await home.bank.perform("transfer_funds", order, key=key, timeout_seconds=1)
    performed = home.bank.performed
    await home.erase(account=GIRO)
    action = await home.get(f"action:{card_id}")
    assert (action["state"], action["idempotency_key"], action["arguments"]) == ("needs_review", key, {})
    assert await held() == ["committed"]
    assert (await home.get(f"action:{card_id}"))["state"] == state
    assert home.bank.performed == performed
    assert await home.telling(QUAGGA) == []
    await home.check()


async def test_an_effect_in_our_own_store_that_has_no_outcome_never_happened(home: Household):
    card_id, held = await signed_and_held(home, "put zebramarket under groceries", handled=2)
    assert (await home.get(f"action:{card_id}"))["state"] == "intended"
    await home.erase(transaction_ids=["a-1"])
    action = await home.get(f"action:{card_id}")
    assert (action["state"], action["code"], action["idempotency_key"]) == ("refused", "data_erased", "")
    assert await held() == ["committed"]
    assert await states(home, "parked") == []
    await home.check()


async def test_a_turn_with_more_notices_than_one_commit_takes_is_erased_whole(home: Household):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    many = [
        talk.notice(TENANT, "alices", turn=1, key=f"{card_id}-{number}", text="zebra!", at="2026-03-01", run_id="")
        for number in range(90)
    ]
    await home.store.commit(TENANT, many)
    done = await home.erase(transaction_ids=["a-1"])
    assert done["counts"]["message"] == 92
    assert await home.telling(ZEBRA) == []


async def test_an_erased_action_that_somebody_altered_by_hand_is_not_believed(home: Household):
    card_id, held = await signed_and_held(home, "transfer 77.77 EUR to Quagga", handled=2)
    await home.erase(account=GIRO)
    stored = await home.store.read(TENANT, f"action:{card_id}")
    await home.store.commit(TENANT, [stored._replace(body={**stored.body, "idempotency_key": "another"})])
    assert await held() == ["parked"]
    (parked,) = await home.all_of("parked")
    assert parked.body["reason"] == "record_altered"


async def test_what_somebody_altered_by_hand_is_erased_and_not_sealed_again(home: Household):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    stored = await home.store.read(TENANT, f"approval:{card_id}")
    await home.store.commit(TENANT, [stored._replace(body={**stored.body, "quorum": 0})])
    done = await erase(home.delivery, TENANT, {"transaction_ids": ["a-1"]}, key="k", by="dev:root")
    assert done["state"] == "done"
    assert await home.telling(ZEBRA) == []
    applied = [one.body for one in await home.all_of("audit") if one.body["what"] == "erasure_applied"]
    assert [one["payload"]["altered"] for one in applied] == [[f"approval:{card_id}"]]
    with pytest.raises(StateConflictError) as refused:
        await home.answer(card_id, RALF, card_digest="0" * 64)
    assert refused.value.code == "record_altered"


async def test_the_ruin_of_a_card_goes_altogether(home: Household):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    stored = await home.store.read(TENANT, f"approval:{card_id}")
    await home.store.commit(TENANT, [stored._replace(body={"state": "approved", "why": "zebra"})])
    await home.erase(transaction_ids=["a-1"])
    assert await home.store.read(TENANT, f"approval:{card_id}") is None
    assert await home.telling(ZEBRA) == []


async def test_a_message_that_waits_is_withdrawn_and_the_next_one_answered(home: Household):
    await home.post(f"what left {GIRO}?")
    await home.post("find transactions at LIDL")
    first, second = home.bench.bus.sent
    home.bench.bus.sent[:] = [second]
    assert await home.deliver() == ["early"]
    await home.erase(account=GIRO)
    home.bench.bus.sent.insert(0, first)
    assert sorted(await home.deliver()) == ["committed", "duplicate"]
    assert [(one["turn"], one["role"], one["status"]) for one in await home.messages()] == [
        (1, "user", "superseded"), (2, "user", "answered"), (2, "assistant", "told"),
    ]  # fmt: skip


async def test_a_failed_message_is_not_answered_after_its_erasure(home: Household):
    posted = await home.post(f"what left {GIRO}?")
    await park_first(home)
    await home.erase(account=GIRO)
    parked = await home.get(f"parked:{posted.answer['command_id']}")
    assert (parked["state"], parked["message"], parked["detail"]) == ("discarded", "", "erased")
    assert await home.telling(re.compile(rf"{GIRO}\b")) == []


@pytest.mark.parametrize("fails_again", [True, False])
async def test_a_message_that_an_operator_has_sent_round_again_is_not_answered_either(
    home: Household, fails_again: bool
):
    posted = await home.post(f"what left {GIRO}?")
    parked_id = posted.answer["command_id"]
    await park_first(home)
    payload = {"parked_id": parked_id, "resolution": "replay", "operator": "dev:root", "note": ""}
    command = envelope("ResolveParked", payload, command_id="r-1", tenant=TENANT, source="http",
                       issued_at=home.bench.clock())  # fmt: skip
    await execute(home.delivery, ResolveParkedEnvelope.model_validate(command), fingerprint="r-1")
    if fails_again:
        await park_first(home)
    await home.erase(account=GIRO)
    assert await home.telling(re.compile(rf"{GIRO}\b")) == []
    assert await home.deliver() == ([] if fails_again else ["committed"])
    assert [one["role"] for one in await home.messages()] == ["user", "notice"]


async def test_a_draft_goes_with_the_turn_that_asked_for_it(home: Household):
    await home.say(f"draft a message to Jo saying it left {GIRO}")
    await home.say("draft a message to Jo saying hello")
    await home.erase(account=GIRO)
    assert [one.body["text"] for one in await home.all_of("draft")] == ["hello"]


async def test_what_waits_in_the_outbox_finds_itself_done(home: Household):
    home.bench.bus.down = True
    await home.post(f"what left {GIRO}?")
    await home.erase(account=GIRO)
    home.bench.bus.down = False
    home.bench.clock.forward(seconds=60)
    assert await relay_stragglers(home.delivery) == 1
    assert await home.deliver() == ["duplicate"]
    assert [one["status"] for one in await home.messages()] == ["superseded"]


async def test_an_equal_resend_of_something_erased_is_told_to_take_a_new_key(home: Household):
    await home.post("find transactions from zebramarket", key="m-1")
    await home.deliver()
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    digest = (await home.get(f"approval:{card_id}"))["card_digest"]
    signed = {"key": "s-1", "card_digest": digest, "rationale": "zebra is fine"}
    await home.answer(card_id, RALF, **signed)
    await home.erase(transaction_ids=["a-1"])
    with pytest.raises(IdempotencyMismatchError):
        await home.post("find transactions from zebramarket", key="m-1")
    with pytest.raises(IdempotencyMismatchError):
        await home.answer(card_id, RALF, **signed)
    assert digest not in str(await home.everything())


async def test_the_conversation_goes_on(home: Household):
    await home.say("put zebramarket under groceries")
    await home.erase(transaction_ids=["a-1"])
    assert "LIDL" in await home.say("find transactions at LIDL")
    assert "waits for the signature" in await home.say("transfer 50 EUR to Jo")
    await home.answer(await home.open_card(), RALF)
    assert home.bank.performed == 1
    await home.check()


async def test_a_second_erasure_finds_nothing_and_a_later_one_what_has_come_in_since(home: Household):
    await home.say("put zebramarket under groceries")
    await home.erase(account=GIRO)
    before = await home.everything()
    again = await home.erase(account=GIRO, key="k-2")
    assert again["counts"] == {}
    after = await home.everything()
    assert {id_ for id_ in before if before[id_].body != after[id_].body} <= {"audit_head:head"}
    await home.say("transfer 50 EUR to Jo")
    later = await home.erase(account=GIRO, key="k-3")
    assert (later["counts"]["action"], later["counts"]["message"]) == (1, 2)


async def test_bobs_conversation_stays_as_it_is(home: Household):
    await home.say("find transactions at LIDL", by=BOB, into="bobs")
    await home.say("draft a message to Jo saying hello", by=BOB, into="bobs")
    before = await home.everything()
    await home.say("put zebramarket under groceries")
    await home.erase(transaction_ids=["a-1"])
    after = await home.everything()
    assert [id_ for id_, one in before.items() if "bobs" in str(one) and after.get(id_) != one] == []
    assert await home.all_of("draft", subject=BOB)


def find(call_id: str = "1") -> ToolCall:
    slots = ("since", "until", "category", "amount_minor", "currency", "bound", "waiting")
    return ToolCall(call_id, "find_transactions", {**dict.fromkeys(slots), "merchant": "zebramarket"})


def said(reply: str) -> Says:
    return Says({"reply": reply, "response_summary": f"said: {reply}", "outcome_code": "answered"})


async def test_what_a_model_has_told_again_goes_too(tmp_path: Path):
    model = ScriptedLanguageModel(
        [
            Turn("hello", said("Good day.")),
            Turn("what was it?", Calls((find(),)), said("A zebra for 7,777.00 EUR.")),
            Turn("say it again", said("As I said: a zebra.")),
            Turn("and now?", said("I remember nothing.")),
        ]
    )
    home = Household(tmp_path, model=model)
    await home.bought("a-1", "ZEBRAMARKET ONE")
    for text in ("hello", "what was it?", "say it again"):
        await home.say(text)
    await home.erase(transaction_ids=["a-1"])
    assert await home.telling(ZEBRA) == []
    assert [one["text"] for one in await home.messages()] == ["hello", "Good day.", *["erased"] * 4]
    await home.say("and now?")
    assert "erased" not in str(model.asked[-1].lines)
    await home.erase(account=GIRO, key="k-2")
    assert (await home.messages())[-1]["text"] == "I remember nothing."
    await home.bench.close()


async def test_nothing_is_left_on_the_disk(home: Household):
    await home.say("put zebramarket under groceries", note="zebra")
    await home.say("transfer 77.77 EUR to Quagga")
    await home.answer(await home.open_card(), RALF, decision="reject", rationale="no Quagga, no zebra")
    await home.erase(account=GIRO)
    stored = await home.bytes_on_disk()
    assert re.findall(rb"(?i)zebra|quagga|77\.77|7,777", stored) == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [({"account": GIRO}, "(?i)zebra|quagga"), ({"principal": ALICE}, "(?i)zebra in|quagga|okapi|under groceries")],
)
async def test_it_goes_on_after_a_crash_at_any_commit(
    home: Household, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any], words: str
):
    await home.say("put zebramarket under groceries")
    await home.say("transfer 77.77 EUR to Quagga")
    await home.answer(await home.open_card(), RALF, rationale="Quagga is fine")
    await home.say("draft a message to Okapi saying hello")
    await home.post(f"zebra in {GIRO}?")
    monkeypatch.setattr(erasure_of_turns, "AT_ONCE", 2)
    done, crashes = await erased_through_crashes(home.delivery, monkeypatch, wish, tenant=TENANT)
    assert (crashes > 30, done["state"]) == (True, "done")
    assert await home.telling(re.compile(words)) == []
    await home.check()
    assert await home.deliver() in (["duplicate"], [])


async def test_somebody_who_signs_meanwhile_loses_nothing_and_keeps_nothing(
    home: Household, monkeypatch: pytest.MonkeyPatch
):
    await home.say("put zebramarket under groceries")
    card_id = await home.open_card()
    real, signed = home.store.commit, []

    async def commit(partition: str, writes: Any, **kwargs: Any) -> dict[str, str]:
        if not signed and any("erased_at" in one.body for one in writes if one.kind == "approval"):
            signed.append(1)
            monkeypatch.setattr(home.store, "commit", real)
            await home.answer(card_id, RALF, rationale="zebra!")
        return await real(partition, writes, **kwargs)

    monkeypatch.setattr(home.store, "commit", commit)
    await home.erase(transaction_ids=["a-1"])
    assert signed
    assert (await home.get(f"approval:{card_id}"))["signatures"][0]["person"] == RALF
    assert await home.telling(ZEBRA) == []


async def test_the_timer_finishes_a_turn_that_was_left_half_erased(home: Household, monkeypatch: pytest.MonkeyPatch):
    await home.say("put zebramarket under groceries")
    real = home.store.commit

    async def commit(partition: str, writes: Any, **kwargs: Any) -> dict[str, str]:
        if any(one.kind == "message" for one in writes):
            raise ConflictError(["message:1"])
        return await real(partition, writes, **kwargs)

    monkeypatch.setattr(home.store, "commit", commit)
    with pytest.raises(ConflictError):
        await erase(home.delivery, TENANT, {"transaction_ids": ["a-1"]}, key="k", by="dev:root")
    await home.check()
    monkeypatch.setattr(home.store, "commit", real)
    home.bench.clock.forward(seconds=61)
    assert await continue_erasures(home.delivery) == 1
    assert await home.telling(ZEBRA) == []
    await home.check()


async def nothing() -> list[str]:
    return []


async def park_first(home: Household) -> None:
    """What is on the lanes fails for good, with an error that tells too much."""
    message = home.bench.bus.sent.pop(0)
    incoming = Incoming(message.lane, message.body, message.message_id)
    await park_command(home.delivery, incoming, parse_envelope(message.body), Park("broken", f"{GIRO} broke"))


async def signed_and_held(
    home: Household, wish: str, *, handled: int
) -> tuple[str, Callable[[], Awaitable[list[str]]]]:
    """The card of `wish`, signed, `handled` messages later; and what delivers the rest."""
    await home.say(wish)
    card_id = await home.open_card()
    held, home.deliver = home.deliver, nothing
    await home.answer(card_id, RALF)
    for _ in range(handled):
        await deliver_one(home)
    return card_id, held


async def deliver_one(home: Household) -> None:
    message = home.bench.bus.sent.pop(0)
    await handle_once(home.delivery, Incoming(message.lane, message.body, message.message_id, 1, message.session_id))
