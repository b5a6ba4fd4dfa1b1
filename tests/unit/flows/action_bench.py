"""Actions on the test bench: a small bank behind the port, wishes and signatures as their flows commit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.actions import life_cycle
from shared.actions.action import action_id_of, proposed
from shared.actions.registry import described, mentions_of, money_of, schema_version_of, valid_arguments
from shared.approvals import life_cycle as approvals
from shared.approvals.card import Card, approval_doc_id, requested
from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.commands import envelope
from shared.contracts.instants import parse
from shared.conversation.documents import conversation
from shared.delivery.inbox import handle_once
from shared.delivery.intake import accept
from shared.delivery.parking import Incoming
from shared.errors import RetryableError
from shared.flows.perform_action import PerformActionFlow
from shared.flows.request_action import RequestActionFlow
from shared.guard.action_policy import ActionPolicy, action_policy_from
from shared.guard.disposition import judge
from shared.ports.action_backend import Effect, EffectUnknownError
from shared.ports.document_store import Body
from tests.bench import Bench, make_bench
from tests.unit.flows.bench import policy as money_policy

TENANT = "household"
CONVERSATION = "c-1"
ACTIONS_FILE = Path(__file__).parents[3] / "policies" / "actions.yaml"
TRANSFER = {
    "from_account": "giro",
    "to_account": "landlord",
    "recipient": "Jo",
    "amount_minor": 5000,
    "currency": "EUR",
}
WHO = {"kind": "test", "id": "bench"}


@cache
def policy_document() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.load(ACTIONS_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return loaded


def action_policy(**of_transfers: Any) -> ActionPolicy:
    """The policy that ships; `of_transfers` changes what it says of transfers."""
    document = dict(policy_document())
    lines = {**document["actions"], "transfer_funds": {**document["actions"]["transfer_funds"], **of_transfers}}
    return action_policy_from({**document, "actions": lines}, backends=frozenset({"bank"}))


@dataclass
class FakeBank:
    """The port in memory. trouble: what the next calls to `perform` meet, in order; then all is well.

    done_but_lost and lost: no answer comes, with and without the work done. down: nothing is done. pending, refused.
    silent: `find`, `state_of` and `ping` fail as well. repeated: how often it was asked again for what was done.
    """

    name: str = "bank"
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: dict[str, Effect] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    silent: bool = False
    performed: int = 0
    repeated: int = 0
    asked: list[str] = field(default_factory=list)

    async def perform(
        self, operation: str, arguments: Mapping[str, Any], *, key: str, timeout_seconds: float
    ) -> Effect:
        self.asked.append("perform")
        met = self.trouble.pop(0) if self.trouble else "well"
        if met == "down":
            raise RetryableError("nothing was done", code="backend_unavailable")
        if met == "lost":
            raise EffectUnknownError("no answer")
        effect = self._moved(arguments, key, met)
        if met == "done_but_lost":
            raise EffectUnknownError("no answer")
        return effect

    async def find(self, key: str, *, timeout_seconds: float) -> Effect | None:
        self.asked.append("find")
        self._speak()
        return self.effects.get(key)

    async def state_of(self, subject: str, *, timeout_seconds: float) -> Mapping[str, Any]:
        self.asked.append("state_of")
        self._speak()
        return self.accounts.get(subject, {})

    async def ping(self, *, timeout_seconds: float) -> None:
        self._speak()

    async def close(self) -> None:
        """Nothing to close."""

    def _speak(self) -> None:
        if self.silent:
            raise RetryableError("the bank does not answer", code="backend_unavailable")

    def _moved(self, arguments: Mapping[str, Any], key: str, met: str) -> Effect:
        self.repeated += key in self.effects
        if key not in self.effects:
            if met == "refused":
                self.effects[key] = Effect("refused", "r-0", "account_closed", "the account is closed")
            elif met == "pending":
                self.effects[key] = Effect("pending")
            else:
                self.performed += 1
                self.accounts[arguments["from_account"]]["balance_minor"] -= arguments["amount_minor"]
                self.effects[key] = Effect("done", f"r-{self.performed}", details={"amount_minor": 5000})
        return self.effects[key]


def bank() -> FakeBank:
    open_ = {"currency": "EUR", "status": "active", "owner_name": "Somebody"}
    return FakeBank(accounts={"giro": {**open_, "balance_minor": 100_000}, "landlord": {**open_, "balance_minor": 0}})


def flows_of(backend: FakeBank | None, rules: ActionPolicy | None, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "policy": rules,
        "backends": {"bank": backend} if backend else {},
        "chart": money_policy().chart,
        "own_accounts": {TENANT: frozenset({"giro"})},
    }
    return {"RequestAction": RequestActionFlow(**given, **more), "PerformAction": PerformActionFlow(**given)}


def action_bench(folder: Path, backend: FakeBank | None, rules: ActionPolicy | None = None, **more: Any) -> Bench:
    return make_bench(folder, flows_of(backend, rules or action_policy(), **more))


async def wish(
    bench: Bench,
    name: str = "transfer_funds",
    arguments: Mapping[str, Any] = TRANSFER,
    *,
    rules: ActionPolicy | None = None,
    roles: Sequence[str] = ("member",),
    turn: int = 1,
) -> str:
    """`alice` asks; what the guard says is committed, and an allowed action's request is on its lane."""
    told = valid_arguments(name, arguments)
    money = money_of(name, told)
    judged = judge(
        name,
        told,
        policy=rules or action_policy(),
        requester_roles=roles,
        amount_minor=money.amount_minor if money else None,
        currency=money.currency if money else "",
    )
    action_id = action_id_of(TENANT, f"m-{turn}", 0)
    ids = {"run_id": f"run-{turn}", "command_id": f"command-{turn}", "correlation_id": f"correlation-{turn}"}
    now = bench.clock()
    action = proposed(
        TENANT,
        action_id=action_id,
        name=name,
        arguments=told,
        schema_version=schema_version_of(name),
        judged=judged,
        tenant=TENANT,
        requested_by="alice",
        requester_roles=roles,
        conversation_id=CONVERSATION,
        message_id=f"m-{turn}",
        turn=turn,
        configuration={"code_version": "v1", "configuration_version": judged.policy_version},
        at=now.isoformat().replace("+00:00", "Z"),
        mentions=mentions_of(name, told),
        **ids,
    )
    documents = [action]
    if judged.outcome == "Deferred":
        shown = described(name, told)
        card = Card(shown.title, shown.what, "alice asked for it", (), shown.effects)
        documents.append(
            requested(TENANT, action.body, judged=judged, card=card, tenant=TENANT, requested_by="alice", now=now)
        )
    talk = await bench.store.read(TENANT, f"conversation:{CONVERSATION}")
    if talk is None:
        documents.append(conversation(TENANT, CONVERSATION, owner="alice", when_busy="enqueue", at=action.sort))
    commands = [request_of(bench, action_id)] if judged.outcome == "Applied" else []
    await recorded(bench, documents, commands, "action_proposed", action.body)
    return action_id


async def sign(bench: Bench, action_id: str, *people: str) -> None:
    """Each of `people`, a reviewer, signs; once they suffice the action is requested."""
    for person in people:
        card = await bench.store.read(TENANT, approval_doc_id(action_id))
        assert card is not None
        signer = approvals.Signer(person, person.title(), ("reviewer",))
        at = bench.clock().isoformat().replace("+00:00", "Z")
        signed = approvals.signed(card, signer, rationale="fine", at=at)
        documents, commands = [signed], []
        if signed.body["state"] == "approved":
            action = await bench.store.read(TENANT, life_cycle.action_doc_id(action_id))
            assert action is not None
            documents.append(life_cycle.moved(action, "requested", at=at))
            commands = [request_of(bench, action_id)]
        await recorded(bench, documents, commands, "approval_answered", signed.body)


def request_of(bench: Bench, action_id: str) -> dict[str, Any]:
    return envelope(
        "RequestAction",
        {"action_id": action_id},
        command_id=f"request-{action_id}",
        tenant=TENANT,
        source=CONVERSATION,
        issued_at=bench.clock(),
    )


async def recorded(
    bench: Bench, documents: Sequence[Any], commands: Sequence[dict[str, Any]], what: str, body: Body
) -> None:
    """One commit as a flow makes it, with its audit record and what it sends."""
    key = f"{what}-{body['action_id']}-{bench.clock().isoformat()}"
    head = await bench.store.read(TENANT, HEAD_ID)
    entries = [Entry(what, WHO, {"action": body["action_id"]}, {"state": body["state"]})]
    await accept(bench.delivery, TENANT, commands, key=key, documents=documents, entries=entries, head=head)


async def deliver(bench: Bench, *, limit: int = 20) -> list[str]:
    """Hand over what is on the lanes, in order, with what that sends; a retry is delivered when its time has come."""
    outcomes = []
    while bench.bus.sent and len(outcomes) < limit:
        outcomes.append(await deliver_one(bench))
    return outcomes


async def deliver_one(bench: Bench) -> str:
    message = bench.bus.sent[0]
    if message.scheduled_at and parse(message.scheduled_at) > bench.clock.now:
        bench.clock.now = parse(message.scheduled_at)
    incoming = Incoming(message.lane, message.body, message.message_id, 1, message.session_id)
    outcome = await handle_once(bench.delivery, incoming)
    bench.bus.sent.remove(message)
    return outcome


async def action_of(bench: Bench, action_id: str) -> Body:
    return await body_of(bench, life_cycle.action_doc_id(action_id))


async def card_of(bench: Bench, action_id: str) -> Body:
    return await body_of(bench, approval_doc_id(action_id))


async def body_of(bench: Bench, document_id: str) -> Body:
    document = await bench.store.read(TENANT, document_id)
    assert document is not None, document_id
    return document.body


async def records(bench: Bench) -> list[str]:
    """What the audit chain says happened, in order."""
    page = await bench.store.query(TENANT, "audit", limit=200)
    return [document.body["what"] for document in page.documents]


async def told(bench: Bench) -> list[str]:
    """The notices of the conversation, in order."""
    page = await bench.store.query(TENANT, "message", key=("conversation", CONVERSATION), limit=50)
    return [document.body["text"] for document in page.documents if document.body["role"] == "notice"]


async def outcomes_counted(bench: Bench) -> dict[str, int]:
    """How actions ended, by the metrics store."""
    page = await bench.store.query(TENANT, "metric", low="actions:", high="actions;", limit=10)
    counts: dict[str, int] = {}
    for document in page.documents:
        for key, number in document.body["counts"].items():
            outcome = key.rpartition("|")[2]
            counts[outcome] = counts.get(outcome, 0) + number
    return counts
