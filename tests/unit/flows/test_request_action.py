"""The last check before an effect: what must be as it was, and what is done when it is not."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.actions import life_cycle
from shared.actions.life_cycle import action_doc_id
from shared.approvals.card import approval_doc_id
from shared.audit.record import payload_hash, record_hash
from shared.audit.trail import audit_id
from shared.audit.verification import verify
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming
from shared.flows.members import membership_id, set_member
from shared.guard.action_policy import action_policy_from
from shared.ports.document_store import Document
from tests.bench import Bench
from tests.unit.flows.action_bench import (
    TENANT,
    FakeBank,
    action_bench,
    action_of,
    action_policy,
    bank,
    card_of,
    deliver,
    deliver_one,
    flows_of,
    outcomes_counted,
    policy_document,
    recorded,
    records,
    request_of,
    sign,
    told,
    wish,
)


@pytest.fixture
def backend() -> FakeBank:
    return bank()


@pytest.fixture
async def bench(tmp_path: Path, backend: FakeBank) -> AsyncIterator[Bench]:
    made = action_bench(tmp_path, backend)
    yield made
    await made.close()


async def _signed(bench: Bench, **more: Any) -> str:
    action_id = await wish(bench, **more)
    await sign(bench, action_id, "bob")
    return action_id


async def _refused(bench: Bench, backend: FakeBank, action_id: str) -> str:
    """Deliver everything; nothing may have moved. Returns the code that the action was cancelled with."""
    found = await _stopped(bench, backend)
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"], action["detail"]) == ("cancelled", found["code"], found["detail"])
    return str(found["code"])


async def _stopped(bench: Bench, backend: FakeBank) -> dict[str, Any]:
    """Deliver everything; nothing may have moved. Returns what the record says of the refusal."""
    await deliver(bench)
    assert "perform" not in backend.asked
    assert await outcomes_counted(bench) == {"cancelled": 1}
    page = await bench.store.query(TENANT, "audit", limit=50)
    (refusal,) = [one.body["payload"] for one in page.documents if one.body["what"] == "action_refused"]
    assert (await told(bench))[-1].startswith("Not done: ")
    return dict(refusal)


async def test_a_signed_transfer_is_carried_out_once_and_everybody_is_told(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    assert await deliver(bench) == ["committed", "committed"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["reference"], action["attempts"]) == ("done", "r-1", 1)
    assert backend.accounts["giro"]["balance_minor"] == 95_000
    assert (await card_of(bench, action_id))["state"] == "consumed"
    assert await records(bench) == [
        "action_proposed", "approval_answered", "approval_consumed", "effect_intent", "effect_outcome",
    ]  # fmt: skip
    assert await told(bench) == ["Done: 50.00 EUR went to Jo. The bank's reference is r-1."]
    assert await outcomes_counted(bench) == {"done": 1}


async def test_the_same_request_delivered_again_finds_everything_done(bench: Bench, backend: FakeBank):
    await _signed(bench)
    first = bench.bus.sent[0]
    await deliver(bench)
    bench.bus.sent.append(first)
    assert await deliver(bench) == ["duplicate"]
    assert backend.performed == 1


async def test_fifty_deliveries_of_one_request_at_once_move_the_money_once(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    for _ in range(2):  # the request, then what it sends
        message = bench.bus.sent[0]
        incoming = Incoming(message.lane, message.body, message.message_id, 1, message.session_id)
        outcomes = await asyncio.gather(*(handle_once(bench.delivery, incoming) for _ in range(50)))
        assert outcomes.count("committed") == 1
        bench.bus.sent = [one for one in bench.bus.sent if one.subject == "PerformAction" and not one.scheduled_at]
    assert (backend.performed, backend.accounts["giro"]["balance_minor"]) == (1, 95_000)
    assert (await action_of(bench, action_id))["state"] == "done"
    written = await records(bench)
    assert (written.count("effect_intent"), written.count("effect_outcome")) == (1, 1)


async def test_the_intent_is_on_the_record_before_the_bank_is_asked_for_anything(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    assert await deliver_one(bench) == "committed"
    action = await action_of(bench, action_id)
    assert action["state"] == "intended"
    assert action["idempotency_key"]
    assert (await records(bench))[-1] == "effect_intent"
    assert (await card_of(bench, action_id))["state"] == "consumed"
    assert backend.asked == ["state_of", "state_of"]


async def test_an_unsigned_transfer_is_not_carried_out_whoever_requests_it(bench: Bench, backend: FakeBank):
    action_id = await wish(bench)
    action = await bench.store.read(TENANT, action_doc_id(action_id))
    assert action is not None
    released = life_cycle.moved(action, "requested", at="2026-03-01T12:00:01.000000Z")
    await recorded(bench, [released], [request_of(bench, action_id)], "action_released", released.body)
    assert await _refused(bench, backend, action_id) == "approval_not_given"


async def test_two_people_must_have_signed_above_the_limit(bench: Bench, backend: FakeBank):
    backend.accounts["giro"]["balance_minor"] = 1_000_000
    big = {"from_account": "giro", "to_account": "landlord", "amount_minor": 200_000, "currency": "EUR"}
    action_id = await wish(bench, arguments=big)
    await sign(bench, action_id, "bob")
    assert await deliver(bench) == []
    assert (await action_of(bench, action_id))["state"] == "waiting"
    await sign(bench, action_id, "carol")
    await deliver(bench)
    assert (await action_of(bench, action_id))["state"] == "done"


def _in(kind: Callable[[str], str], change: Callable[[dict[str, Any]], Any]) -> tuple[Any, Any]:
    return kind, change


TAMPERED = {
    "the amount": _in(action_doc_id, lambda body: body["arguments"].update(amount_minor=5001)),
    "the payee": _in(action_doc_id, lambda body: body["arguments"].update(to_account="landlore")),
    "who asked": _in(action_doc_id, lambda body: body.update(requested_by="alicf")),
    "that it needed a card": _in(action_doc_id, lambda body: body.update(decision="Applied", approval_id="")),
    "its digest": _in(action_doc_id, lambda body: body.update(digest=body["digest"][::-1])),
    "the turn": _in(action_doc_id, lambda body: body.update(turn=2)),
    "its records": _in(action_doc_id, lambda body: body.update(records=body["records"][:-1])),
    "the card's quorum": _in(approval_doc_id, lambda body: body.update(quorum=0)),
    "the card's words": _in(approval_doc_id, lambda body: body["card"].update(title="Transfer 5.00 EUR to Jo")),
    "a signer": _in(approval_doc_id, lambda body: body["signatures"][0].update(person="bobb")),
    "the card's time": _in(approval_doc_id, lambda body: body.update(expires_at="2027-03-01T12:00:00.000000Z")),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_byte_changed_by_hand_stops_the_action(bench: Bench, backend: FakeBank, what: str):
    place, change = TAMPERED[what]
    action_id = await _signed(bench)
    await _rewrite(bench, place(action_id), change)
    before = await bench.store.read(TENANT, place(action_id))
    found = await _stopped(bench, backend)
    assert (found["code"], found["altered"][0]["document"]) == ("record_altered", place(action_id))
    assert found["altered"][0]["expected"] != found["altered"][0]["found"]
    assert await bench.store.read(TENANT, place(action_id)) == before, "it is left as evidence"
    assert (await card_of(bench, action_id))["state"] == "approved"
    verified = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert verified.document == place(action_id), "and goes on being named"


@pytest.mark.parametrize("sequence", [1, 2])
async def test_a_byte_changed_in_a_record_of_the_action_stops_it_and_verify_names_it(
    bench: Bench, backend: FakeBank, sequence: int
):
    await _signed(bench)
    await _rewrite(bench, audit_id(sequence), lambda body: body["payload"].update(state="approvee"))
    refused = await _stopped(bench, backend)
    assert (refused["code"], f"audit record {sequence}" in refused["detail"]) == ("record_altered", True)
    found = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert (found.broken_at, found.problem) == (sequence, "payload_differs")


async def test_a_record_rewritten_with_matching_hashes_stops_it_all_the_same(bench: Bench, backend: FakeBank):
    def forge(body: dict[str, Any]) -> None:
        body["payload"]["state"] = "approvee"
        body["payload_hash"] = payload_hash(body["payload"], body["salt"])
        body["hash"] = record_hash(body)

    action_id = await _signed(bench)
    await _rewrite(bench, audit_id(1), forge)
    assert (await _stopped(bench, backend))["code"] == "record_altered"
    assert (await action_of(bench, action_id))["state"] == "requested"


async def test_an_expired_card_denies_by_time(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    bench.clock.forward(hours=5)
    assert await _refused(bench, backend, action_id) == "approval_expired"
    card = await card_of(bench, action_id)
    assert (card["state"], card["rejected_by"], card["superseded_by"]) == ("expired", "", "")
    assert "approval_expired" in await records(bench)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"enabled": False}, "policy_stricter"),
        ({"quorum": 2}, "policy_stricter"),
        ({"role": "operator"}, "policy_stricter"),
        ({"risk": "critical"}, "policy_stricter"),
        ({"deny_above_minor": {"EUR": 4999}}, "policy_stricter"),
        ({"two_people_above_minor": {"EUR": 4999}}, "policy_stricter"),
        ({"requester_role": "reviewer"}, "policy_stricter"),
        ({"times": {"warn_minutes": 1, "escalate_minutes": 1, "expires_minutes": 2}}, "action_expired"),
    ],
)
async def test_a_stricter_policy_of_today_supersedes_what_was_signed(
    bench: Bench, backend: FakeBank, change: dict[str, Any], code: str
):
    action_id = await _signed(bench)
    bench.clock.forward(minutes=3)
    object.__setattr__(bench.delivery, "flows", flows_of(backend, action_policy(**change)))
    assert await _refused(bench, backend, action_id) == code
    card = await card_of(bench, action_id)
    assert (card["state"], card["superseded_why"]) == ("superseded", code)
    assert "approval_superseded" in await records(bench)


async def test_an_edit_signed_by_one_is_superseded_once_policy_asks_for_two(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    card = await bench.store.read(TENANT, approval_doc_id(action_id))
    assert card is not None
    edited = card._replace(body={**card.body, "edited_by": ["bob"]})
    await recorded(bench, [edited], [], "approval_edited", card.body)
    assert await _refused(bench, backend, action_id) == "policy_stricter"
    assert (await card_of(bench, action_id))["superseded_why"] == "policy_stricter"


async def test_what_counted_with_it_when_it_was_asked_for_counts_under_todays_policy_too(
    bench: Bench, backend: FakeBank
):
    action_id = await wish(bench, rules=action_policy(cumulative_hours=0))
    stored = await bench.store.read(TENANT, action_doc_id(action_id))
    assert stored is not None
    together = stored._replace(body={**stored.body, "lately": {"EUR": 99_999}})
    await recorded(bench, [together], [], "action_proposed", stored.body)
    await sign(bench, action_id, "bob")
    assert await _refused(bench, backend, action_id) == "policy_stricter"


async def test_a_looser_policy_of_today_changes_nothing_that_was_agreed(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    looser = action_policy(approval="never", risk="low")
    object.__setattr__(bench.delivery, "flows", flows_of(backend, looser))
    await deliver(bench)
    assert (await action_of(bench, action_id))["state"] == "done"


@pytest.mark.parametrize(
    ("account", "change", "code"),
    [
        ("giro", {"balance_minor": 4999}, "insufficient_funds"),
        ("giro", {"status": "frozen"}, "account_not_active"),
        ("giro", {"currency": "USD"}, "currency_mismatch"),
        ("landlord", {"status": "closed"}, "account_not_active"),
    ],
)
async def test_a_world_that_has_changed_since_the_signature_stops_it(
    bench: Bench, backend: FakeBank, account: str, change: dict[str, Any], code: str
):
    action_id = await _signed(bench)
    backend.accounts[account].update(change)
    assert await _refused(bench, backend, action_id) == code


async def test_nobody_pays_from_an_account_that_is_not_the_tenants(bench: Bench, backend: FakeBank):
    backend.accounts["neighbour"] = dict(backend.accounts["giro"])
    theirs = {"from_account": "neighbour", "to_account": "landlord", "amount_minor": 1, "currency": "EUR"}
    action_id = await _signed(bench, arguments=theirs)
    assert await _refused(bench, backend, action_id) == "account_not_own"


async def test_without_a_bank_a_transfer_is_denied_before_anybody_is_asked(bench: Bench):
    action_id = await wish(bench, rules=action_policy_from(policy_document()))
    action = await action_of(bench, action_id)
    assert (action["state"], action["reason_codes"]) == ("denied", ["backend_not_configured"])
    assert bench.bus.sent == []


async def test_a_signer_who_lost_the_role_stops_it_where_memberships_count(tmp_path: Path, backend: FakeBank):
    bench = action_bench(tmp_path, backend, memberships=True)
    for person, roles in (("alice", ["member"]), ("bob", ["reviewer"]), ("root", ["operator"])):
        await set_member(bench.delivery, TENANT, person, roles, by="root")
    action_id = await _signed(bench)
    await set_member(bench.delivery, TENANT, "bob", ["member"], by="root")
    assert await _refused(bench, backend, action_id) == "permission_withdrawn"
    await bench.close()


async def test_memberships_that_still_hold_let_it_pass(tmp_path: Path, backend: FakeBank):
    bench = action_bench(tmp_path, backend, memberships=True)
    for person, roles in (("alice", ["member"]), ("bob", ["reviewer"])):
        await set_member(bench.delivery, TENANT, person, roles, by="root")
    assert await bench.store.read(SYSTEM_PARTITION, membership_id("bob")) is not None
    action_id = await _signed(bench)
    await deliver(bench)
    assert (await action_of(bench, action_id))["state"] == "done"
    await bench.close()


async def test_a_bank_that_is_down_is_asked_later_and_at_last_a_person_looks(bench: Bench, backend: FakeBank):
    action_id = await _signed(bench)
    backend.silent = True
    outcomes = await deliver(bench, limit=40)
    assert outcomes[-1] == "parked"
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("needs_review", "retries_exhausted")
    assert "nothing was done" in (await told(bench))[-1]
    assert (await card_of(bench, action_id))["state"] == "approved"
    assert backend.performed == 0


async def _rewrite(bench: Bench, document_id: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """As somebody with the database would: past the flows, with no record of it."""
    stored = await bench.store.read(TENANT, document_id)
    assert stored is not None
    body = copy.deepcopy(stored.body)
    change(body)
    assert body != stored.body
    altered: Document = stored._replace(body=body)
    await bench.store.commit(TENANT, [altered])
