"""Cards on the test bench: asked for as a message's answer asks for them, answered as HTTP does."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import yaml

from shared.actions import life_cycle as actions
from shared.actions import registry
from shared.actions.action import action_id_of, proposed
from shared.approvals.card import Card, approval_doc_id, requested
from shared.approvals.record import requested_entry
from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.audit.verification import verify
from shared.contracts.commands import AnswerApprovalEnvelope, envelope
from shared.contracts.identity import deterministic_id
from shared.contracts.instants import text
from shared.conversation import documents as talk
from shared.conversation.stream import conversation_doc_id, stream_doc_id
from shared.delivery.handling import Delivery
from shared.delivery.inbox import handle_once
from shared.delivery.one_commit import commit
from shared.delivery.parking import Incoming
from shared.flows.age_approval import AgeApprovalFlow
from shared.flows.answer_approval import AnswerApprovalFlow
from shared.flows.approval_submitted import ApprovalSubmittedFlow
from shared.flows.give_answer import give_answer
from shared.guard.action_policy import ActionPolicy, action_policy_from
from shared.guard.disposition import judge
from shared.ports.document_store import Body, Document
from tests.bench import Bench, make_bench

TENANT, CONVERSATION, REQUESTER = "household", "talk-1", "alice"
POLICY_FILE = Path(__file__).parents[3] / "policies" / "actions.yaml"
TRANSFER = {"from_account": "acc-1", "recipient": "Bob", "amount_minor": 5_000, "currency": "EUR"}


@cache
def policy() -> ActionPolicy:
    """The policy that ships, with a bank."""
    document = yaml.load(POLICY_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return action_policy_from(document, backends=frozenset({"bank"}))


def policy_with(**changes: Any) -> ActionPolicy:
    """The policy that ships, with other rules for transfers."""
    rules = {**policy().actions, "transfer_funds": replace(policy().actions["transfer_funds"], **changes)}
    return replace(policy(), actions=MappingProxyType(rules), version="actions@changed")


def approval_bench(folder: Path, *, rules: ActionPolicy | None = None) -> Bench:
    flows = {
        "AnswerApproval": AnswerApprovalFlow(rules or policy()),
        "AgentApprovalSubmitted": ApprovalSubmittedFlow(),
        "AgeApproval": AgeApprovalFlow(),
    }
    return make_bench(folder, flows)


async def ask(
    delivery: Delivery,
    *,
    number: int = 0,
    tenant: str = TENANT,
    requester: str = REQUESTER,
    conversation: str = CONVERSATION,
    rules: ActionPolicy | None = None,
    **arguments: Any,
) -> str:
    """A transfer that waits for people; the id of its card."""
    now, at = delivery.now(), text(delivery.now())
    told = registry.valid_arguments("transfer_funds", {**TRANSFER, **arguments})
    judged = judge(
        "transfer_funds", told, policy=rules or policy(), requester_roles=["member"],
        amount_minor=told["amount_minor"], currency=told["currency"],
    )  # fmt: skip
    action = proposed(
        tenant, action_id=action_id_of(tenant, f"{conversation}-m1", number), name="transfer_funds", arguments=told,
        schema_version=registry.schema_version_of("transfer_funds"), judged=judged, tenant=tenant,
        requested_by=requester, requester_roles=["member"], conversation_id=conversation, message_id="m1", turn=1,
        run_id="run-1", command_id="command-1", correlation_id="correlation-1", configuration={}, at=at,
    )  # fmt: skip
    shown = registry.described("transfer_funds", told)
    card = requested(
        tenant, action.body, judged=judged, card=Card(shown.title, shown.what, "pay Bob", ("said so",), shown.effects),
        tenant=tenant, requested_by=requester, now=now,
    )  # fmt: skip
    ids = {"run_id": "run-1", "command_id": "command-1", "correlation_id": "correlation-1"}
    who = {"kind": "guard", "id": "policy"}
    known = await delivery.store.read_many(tenant, [HEAD_ID, conversation_doc_id(conversation)])
    stored = known.get(conversation_doc_id(conversation)) or talk.conversation(
        tenant, conversation, owner=requester, at=at, when_busy="enqueue"
    )
    opened = stored._replace(body=talk.opened([card.body["approval_id"]])(stored.body))
    entries = [
        actions.entry("action_proposed", action.body, who=who, **ids),
        requested_entry(card.body, who=who, **ids),
    ]
    await commit(delivery, tenant, [opened, action, card], entries, head=known.get(HEAD_ID))
    return str(card.body["approval_id"])


async def answer(
    delivery: Delivery,
    approval_id: str,
    person: str = "rita",
    decision: str = "approve",
    *,
    key: str = "",
    roles: tuple[str, ...] = ("member", "reviewer"),
    card_digest: str = "",
    tenant: str = TENANT,
    **more: Any,
) -> dict[str, Any]:
    """What `person` is told. Without a key each different answer is one of its own."""
    payload = {
        "approval_id": approval_id, "decision": decision, "person": person, "person_name": person.title(),
        "card_digest": card_digest or (await card_of(delivery, approval_id, tenant))["card_digest"],
        "roles": list(roles), "rationale": "", **more,
    }  # fmt: skip
    fingerprint = deterministic_id(tenant, "fingerprint", orjson.dumps(payload).decode())
    command = envelope(
        "AnswerApproval",
        payload,
        command_id=deterministic_id(tenant, "answer-approval", f"{person}|{approval_id}|{key or fingerprint}"),
        tenant=tenant,
        source="http",
        issued_at=delivery.now(),
    )
    return await give_answer(delivery, AnswerApprovalEnvelope.model_validate(command), fingerprint=fingerprint)


async def deliver(bench: Bench, *, lanes: tuple[str, ...] = ("runtime-agent-message-posted",)) -> list[str]:
    """Hands what is on `lanes` to the inbox; the rest stays on the bus."""
    outcomes = []
    for message in [one for one in bench.bus.sent if one.lane in lanes]:
        bench.bus.sent.remove(message)
        incoming = Incoming(message.lane, message.body, message.message_id, 1, message.session_id)
        outcomes.append(await handle_once(bench.delivery, incoming))
    return outcomes


def sent(bench: Bench) -> list[str]:
    """The command types on the bus."""
    return [orjson.loads(message.body)["command_type"] for message in bench.bus.sent]


async def card_of(delivery: Delivery, approval_id: str, tenant: str = TENANT) -> Body:
    return (await stored(delivery, approval_doc_id(approval_id), tenant)).body


async def action_of(delivery: Delivery, approval_id: str) -> Body:
    return (await stored(delivery, actions.action_doc_id(approval_id))).body


async def stored(delivery: Delivery, document_id: str, tenant: str = TENANT) -> Document:
    document = await delivery.store.read(tenant, document_id)
    assert document is not None, document_id
    return document


async def altered(delivery: Delivery, document_id: str, **changes: Any) -> None:
    """Somebody writes into the store by hand, past everything."""
    document = await stored(delivery, document_id)
    await delivery.store.commit(TENANT, [document._replace(body={**document.body, **changes})])


async def written(delivery: Delivery, document_id: str, **changes: Any) -> None:
    """A flow writes, with a record of it."""
    document, head = await stored(delivery, document_id), await stored(delivery, HEAD_ID)
    changed = document._replace(body={**document.body, **changes})
    entry = Entry("bench_written", {"kind": "test", "id": "bench"}, {"document": document_id}, {})
    await commit(delivery, TENANT, [changed], [entry], head=head)


async def recorded(delivery: Delivery, *, altered: str = "") -> list[str]:
    """What the audit chain says happened, in order; the chain holds, and names what was altered by hand."""
    found = await verify(TENANT, store=delivery.store, checkpoints=delivery.checkpoints)
    assert (found.document, bool(found.problem)) == (altered, bool(altered))
    page = await delivery.store.query(TENANT, "audit", limit=200)
    return [document.body["what"] for document in page.documents]


async def told(delivery: Delivery) -> list[dict[str, Any]]:
    """Every event of the conversation's stream, numbered without a gap."""
    conversation = (await stored(delivery, conversation_doc_id(CONVERSATION))).body
    page = await delivery.store.query(TENANT, "stream_event", key=("conversation", CONVERSATION), limit=200)
    events = [event for document in page.documents for event in document.body["events"]]
    assert len(events) == conversation["last_sequence"]
    assert not page.documents or page.documents[-1].id == stream_doc_id(CONVERSATION, len(events))
    return events


async def notices(delivery: Delivery) -> list[str]:
    page = await delivery.store.query(TENANT, "message", key=("conversation", CONVERSATION), limit=200)
    return [document.body["text"] for document in page.documents if document.body["role"] == "notice"]


async def at_once(*answers: Any, seed: int = 1) -> list[Any]:
    """All answers side by side, in a shuffled order; an error is a result."""
    shuffled = list(answers)
    random.Random(seed).shuffle(shuffled)
    return await asyncio.gather(*shuffled, return_exceptions=True)
