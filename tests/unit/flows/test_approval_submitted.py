"""A card was answered: the stored card, not the message, says what happens next."""

from __future__ import annotations

import orjson

from tests.bench import Bench
from tests.unit.approvals.bench import (
    TENANT,
    action_of,
    altered,
    answer,
    ask,
    card_of,
    deliver,
    notices,
    recorded,
    sent,
    told,
)


async def test_an_approved_action_is_requested(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    assert await deliver(bench) == ["committed"]
    assert (await action_of(bench.delivery, approval_id))["state"] == "requested"
    assert sent(bench) == ["RequestAction"]
    assert orjson.loads(bench.bus.sent[0].body)["payload"] == {"action_id": approval_id}
    assert (await recorded(bench.delivery))[-2:] == ["approval_applied", "action_released"]


async def test_a_redelivered_answer_releases_nothing_twice(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    again = list(bench.bus.sent)
    await deliver(bench)
    bench.bus.sent.extend(again)
    assert await deliver(bench) == ["duplicate"]
    assert sent(bench) == ["RequestAction"]


async def test_a_rejected_action_is_cancelled_and_the_conversation_is_told(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, decision="reject", rationale="not this month")
    assert await deliver(bench) == ["committed"]
    action = await action_of(bench.delivery, approval_id)
    assert (action["state"], action["code"], action["detail"]) == ("cancelled", "rejected_by_person", "not this month")
    assert sent(bench) == []
    assert await notices(bench.delivery) == [
        "Not done: Transfer 50.00 EUR to Bob. The request was turned down: not this month"
    ]
    texts = [event.get("delta", "") for event in await told(bench.delivery)]
    assert any("not this month" in text for text in texts)


async def test_a_first_signature_of_two_is_recorded_and_no_more(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    await answer(bench.delivery, approval_id, "rita")
    assert await deliver(bench) == ["committed"]
    assert ((await action_of(bench.delivery, approval_id))["state"], sent(bench)) == ("waiting", [])
    await answer(bench.delivery, approval_id, "ralf")
    await deliver(bench)
    assert sent(bench) == ["RequestAction"]


async def test_messages_out_of_order_release_the_action_once(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    await answer(bench.delivery, approval_id, "rita")
    await answer(bench.delivery, approval_id, "ralf")
    bench.bus.sent.reverse()
    assert await deliver(bench) == ["committed", "committed"]
    assert sent(bench) == ["RequestAction"]


async def test_a_card_that_expired_in_the_meantime_releases_nothing(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    bench.clock.forward(minutes=240)
    from shared.flows.age_approval import age_approvals

    assert await age_approvals(bench.delivery) == 1
    assert await deliver(bench) == ["committed"]
    assert ((await action_of(bench.delivery, approval_id))["state"], sent(bench)) == ("cancelled", [])


async def test_a_message_that_nobody_committed_is_parked(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    message = bench.bus.sent[0]
    forged = {**orjson.loads(message.body), "command_id": "forged-1", "causation_id": ""}
    bench.bus.sent[:] = [message._replace(body=orjson.dumps(forged))]
    assert await deliver(bench) == ["parked"]
    assert (await action_of(bench.delivery, approval_id))["state"] == "waiting"


async def test_an_action_altered_after_its_signature_is_never_released(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    action = await action_of(bench.delivery, approval_id)
    await altered(bench.delivery, f"action:{approval_id}", arguments={**action["arguments"], "recipient": "Eve"})
    assert await deliver(bench) == ["parked"]
    assert ((await action_of(bench.delivery, approval_id))["state"], sent(bench)) == ("waiting", [])
    parked = (await bench.store.query(TENANT, "parked", key=("state", "parked"))).documents
    assert [(one.body["reason"], f"action:{approval_id}" in one.body["detail"]) for one in parked] == [
        ("record_altered", True)
    ]
    assert "an operator must look" in (await notices(bench.delivery))[0]
    assert (await card_of(bench.delivery, approval_id))["state"] == "approved"
