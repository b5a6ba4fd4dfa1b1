"""Erasing a person's conversations: everything the person said goes, what others need stays, and one can go on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.requests import ErasureRequest
from shared.delivery.outbox import relay_stragglers
from shared.errors import NotFoundError, StateConflictError
from shared.flows import erase as flow
from shared.flows.action_reading import Reader, statement
from shared.flows.conversations import conversation, conversations
from shared.flows.erase import continue_erasures, erase
from tests.unit.flows.bench import TENANT
from tests.unit.flows.erasure_bench import ALICE, BOB, RALF, WORDS, Household

RITA = "dev:rita"
HERS = re.compile(r"(?i)quagga|okapi|impala|groceries please")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Household]:
    made = Household(tmp_path)
    await made.bought("a-1", "ZEBRAMARKET ONE")
    yield made
    await made.bench.close()


async def lived_in(home: Household) -> str:
    """Alice has talked, wished, drafted and paid; the card of what she paid."""
    await home.say("find transactions from zebramarket", note="groceries please")
    await home.say("transfer 77.77 EUR to Quagga")
    paid = await home.open_card()
    await home.answer(paid, RALF, rationale="the Quagga is known")
    await home.say("transfer 78 EUR to Quagga")
    await home.say("draft a message to Okapi saying quagga at noon")
    await home.say("turn off notifications about budgets")
    await home.say("draft a message to Impala saying hello", into="alices-other")
    return paid


async def test_everything_that_a_person_said_is_gone_and_others_talk_on(home: Household):
    await lived_in(home)
    await home.say("draft a message to Jo saying hello", by=BOB, into="bobs")
    before = await home.everything()
    assert await home.telling(HERS)
    done = await home.erase(principal=ALICE)
    assert await home.telling(HERS) == []
    assert {name: done["counts"][name] for name in ("draft", "preference", "action", "approval")} == {
        "draft": 2, "preference": 1, "action": 5, "approval": 2,
    }  # fmt: skip
    after = await home.everything()
    assert {one.kind for one in before.values()} - {one.kind for one in after.values()} == {"preference"}
    assert await home.messages() == await home.messages("alices-other") == []
    assert await home.all_of("stream_event", conversation="alices") == []
    assert [id_ for id_, one in before.items() if "bobs" in str(one) and after.get(id_) != one] == []
    assert after["transaction:a-1"] == before["transaction:a-1"]


async def test_nothing_is_left_on_the_disk(home: Household):
    await lived_in(home)
    await home.erase(principal=ALICE)
    assert set(re.findall(rb"(?i)quagga|okapi|impala|groceries please", await home.bytes_on_disk())) == set()


async def test_ids_states_and_signatures_stay_without_what_they_were_about(home: Household):
    paid = await lived_in(home)
    waiting = await home.open_card()
    await home.erase(principal=ALICE)
    card, action = await home.get(f"approval:{paid}"), await home.get(f"action:{paid}")
    assert (card["state"], action["state"], action["requested_by"]) == ("consumed", "done", ALICE)
    assert [(one["person"], one["rationale"], one["digest"]) for one in card["signatures"]] == [(RALF, "erased", "")]
    assert (await home.get(f"approval:{waiting}"))["state"] == "superseded"
    assert (await home.get(f"action:{waiting}"))["state"] == "cancelled"
    with pytest.raises(StateConflictError):
        await home.answer(waiting, RALF, card_digest="0" * 64)
    assert home.bank.performed == 1
    runs = [one.body for one in await home.all_of("run")]
    assert all("erased_at" in one for one in runs)
    assert {one["outcome_rationale"] for run in runs for one in run["stages"]} == {"erased"}


async def test_the_person_can_go_on_in_the_same_conversation(home: Household):
    await lived_in(home)
    turns = (await home.get("conversation:alices"))["next_turn"]
    await home.erase(principal=ALICE)
    listed = await conversations(home.delivery, TENANT, principal=ALICE, limit=10, cursor="")
    assert {one["conversation_id"] for one in listed["items"]} == {"alices", "alices-other"}
    home.bench.clock.forward(hours=25)  # within a day an erased transfer counts as one that nobody can tell
    assert "waits for the signature of somebody" in await home.say("transfer 50 EUR to Jo")
    assert [one["turn"] for one in await home.messages()] == [turns, turns]
    await home.answer(await home.open_card(), RALF)
    assert home.bank.performed == 2
    told = await conversation(home.delivery, TENANT, "alices", principal=ALICE, roles=[], limit=10, cursor="")
    assert [one["role"] for one in told["messages"]] == ["user", "assistant", "notice"]
    await home.check()


async def test_twice_is_once_and_a_new_erasure_takes_what_has_come_in_since(home: Household):
    await lived_in(home)
    await home.erase(principal=ALICE)
    again = await home.erase(key="k-2", principal=ALICE)
    assert again["counts"] == {}
    await home.say("draft a message to Okapi saying hello")
    later = await home.erase(key="k-3", principal=ALICE)
    assert (later["counts"]["draft"], later["counts"]["message"]) == (1, 3)
    assert await home.telling(HERS) == []


async def test_messages_that_wait_are_withdrawn(home: Household):
    for text in ("quagga?", "and the okapi?"):
        await home.post(text)
    home.bench.bus.down = True
    await home.post("still the impala?")
    await home.erase(principal=ALICE)
    home.bench.bus.down = False
    home.bench.clock.forward(seconds=60)
    await relay_stragglers(home.delivery)
    assert set(await home.deliver()) == {"duplicate"}
    assert await home.messages() == []
    stored = await home.get("conversation:alices")
    assert (stored["queue"], stored["next_turn"]) == ([], 4)


async def test_what_the_person_wrote_on_somebody_elses_card_goes_and_the_signature_counts(home: Household):
    await home.say("transfer 1500 EUR to Jo", by=BOB, into="bobs")
    card_id = await home.open_card("bobs")
    await home.answer(card_id, ALICE, rationale="the Okapi agrees")
    await home.erase(principal=ALICE)
    assert await home.telling(HERS) == []
    assert await home.telling(re.compile("Dev:Alice")) == []
    (signature,) = (await home.get(f"approval:{card_id}"))["signatures"]
    assert (signature["person"], signature["name"], signature["rationale"]) == (ALICE, "", "erased")
    assert signature["card_digest"] == (await home.get(f"approval:{card_id}"))["card_digest"]
    await home.answer(card_id, RALF)
    assert (await home.get(f"action:{card_id}"))["state"] == "done"
    assert [one["text"] for one in await home.messages("bobs") if one["role"] == "user"] != ["erased"]
    await home.check()


async def test_what_the_person_changed_on_somebody_elses_card_stays_under_the_principals_id(home: Household):
    await home.say("transfer 1500 EUR to Jo", by=BOB, into="bobs")
    card_id = await home.open_card("bobs")
    arguments = (await home.get(f"action:{card_id}"))["arguments"]
    await home.answer(card_id, ALICE, rationale="less okapi", edited_arguments={**arguments, "amount_minor": 140_000})
    await home.erase(principal=ALICE)
    card = await home.get(f"approval:{card_id}")
    assert f"{ALICE} changed Amount: 1,500.00 EUR became 1,400.00 EUR" in card["card"]["evidence"]
    assert await home.telling(re.compile("[oO]kapi|Dev:Alice")) == []
    await home.answer(card_id, RALF)
    assert (await home.get(f"action:{card_id}"))["state"] == "done"


async def test_why_the_person_said_no_goes_wherever_it_was_repeated(home: Household):
    await home.say("transfer 50 EUR to Jo", by=BOB, into="bobs")
    card_id = await home.open_card("bobs")
    await home.answer(card_id, ALICE, decision="reject", rationale="the Okapi says no")
    assert len(await home.telling(HERS)) > 4
    await home.erase(principal=ALICE)
    assert await home.telling(HERS) == []
    card, action = await home.get(f"approval:{card_id}"), await home.get(f"action:{card_id}")
    assert (card["state"], card["rejected_by"], card["rationale"]) == ("rejected", ALICE, "erased")
    assert (action["state"], action["code"], action["detail"]) == ("cancelled", "rejected_by_person", "erased")
    assert action["arguments"]["recipient"] == "Jo"


async def test_a_card_that_somebody_altered_is_not_sealed_by_an_erasure(home: Household):
    await home.say("transfer 1500 EUR to Jo", by=BOB, into="bobs")
    card_id = await home.open_card("bobs")
    await home.answer(card_id, ALICE, rationale="okapi")
    stored = await home.store.read(TENANT, f"approval:{card_id}")
    await home.store.commit(TENANT, [stored._replace(body={**stored.body, "quorum": 1})])
    done = await erase(home.delivery, TENANT, {"principal": ALICE}, key="k", by="dev:root")
    assert done["state"] == "done"
    assert await home.telling(HERS) == []
    with pytest.raises(StateConflictError) as refused:
        await home.answer(card_id, RALF)
    assert refused.value.code == "record_altered"


async def test_a_long_erasure_goes_on_by_itself(home: Household, monkeypatch: pytest.MonkeyPatch):
    await lived_in(home)
    monkeypatch.setattr(flow, "SECONDS", 0.000002)
    begun = await erase(home.delivery, TENANT, {"principal": ALICE}, key="k", by="dev:root")
    assert begun["state"] == "running"
    for _ in range(200):
        home.bench.clock.forward(seconds=61)
        if not await continue_erasures(home.delivery):
            break
    assert await home.telling(HERS) == []
    await home.check()


async def test_the_whole_tenant_leaves_nothing_of_anybodys_words(home: Household):
    await lived_in(home)
    await home.say("transfer 50 EUR to Okapi", by=BOB, into="bobs")
    await home.answer(await home.open_card("bobs"), ALICE, decision="reject", rationale="no quagga")
    await home.erase(key="k-1", principal=BOB)
    await home.erase(whole_tenant=True)
    kinds = {one.kind for one in (await home.everything()).values()}
    assert kinds == {"transaction", "run", "audit", "audit_head", "receipt", "erasure"}
    assert await home.telling(WORDS) == []
    with pytest.raises(NotFoundError):
        await conversation(home.delivery, TENANT, "alices", principal=ALICE, roles=[], limit=1, cursor="")
    assert "Jo" in await home.say("transfer 50 EUR to Jo", into="alices-new")
    stored = await home.bytes_on_disk()
    assert set(re.findall(rb"(?i)quagga|okapi|zebra", stored)) == set()


async def test_a_card_that_is_asked_for_while_a_tenant_is_erased_leaves_no_seal_behind(
    home: Household, monkeypatch: pytest.MonkeyPatch
):
    await home.say("transfer 50 EUR to Quagga")
    real = home.store.commit
    asked: list[str] = []

    async def commit(partition: str, writes: Any, *, deletes: Any = ()) -> dict[str, str]:
        if not asked and any(one.kind == "message" for one in deletes):
            asked.append("")
            asked[0] = await home.say("transfer 60 EUR to the Okapi", into="another")
        return await real(partition, writes, deletes=deletes)

    monkeypatch.setattr(home.store, "commit", commit)
    await home.erase(whole_tenant=True)
    assert "waits for the signature" in asked[0]
    assert await home.all_of("approval") == []
    await home.check()


async def test_nobodys_digest_of_what_was_sent_survives_a_tenant(home: Household):
    await home.post("quagga", key="m-1")
    await home.deliver()
    await home.say("transfer 50 EUR to Jo")
    card_id = await home.open_card()
    digest = (await home.get(f"approval:{card_id}"))["card_digest"]
    await home.answer(card_id, RALF, rationale="okapi")
    sent = [one.body["fingerprint"] for id_, one in (await home.everything()).items() if id_.startswith("receipt:po")]
    await home.erase(whole_tenant=True)
    left = str(await home.everything())
    assert [one for one in (*sent, digest) if one in left] == []


async def test_an_erased_statement_is_not_there(home: Household):
    await home.say("export my statement for February as csv")
    (action,) = await home.all_of("action")
    operator = Reader("dev:root", frozenset({"operator"}))
    assert await statement(home.delivery, TENANT, operator, action.body["action_id"])
    await home.erase(principal=ALICE)
    with pytest.raises(NotFoundError):
        await statement(home.delivery, TENANT, operator, action.body["action_id"])


def test_a_request_names_one_scope():
    assert ErasureRequest.model_validate({"principal": ALICE, "confirm": "home"}).principal == ALICE
    for body in ({"principal": ALICE, "account": "a"}, {"principal": ""}, {"principal": " blank"}, {}):
        with pytest.raises(ValueError, match="principal"):
            ErasureRequest.model_validate({**body, "confirm": "home"})
