"""A conversation on the test bench: messages are posted as a person would, and delivered as a lane would."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import yaml

from shared.conversation.intent import Intent
from shared.conversation.stream import conversation_doc_id
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming
from shared.flows.answer_message import AnswerMessageFlow
from shared.flows.by_model import ModelLimits
from shared.flows.follow_conversation import events_after
from shared.flows.post_message import Post, Posted, post_message
from shared.flows.resolve_parked import ResolveParkedFlow
from shared.guard.action_policy import ActionPolicy, action_policy_from
from shared.ports.command_bus import OutgoingMessage
from shared.ports.language_model import LanguageModel
from shared.specialists.advisor import Advice, Advisor, Wish
from shared.specialists.advisors import ADVISORS
from shared.specialists.ledger_reader import LedgerReader
from tests.bench import Bench, make_bench

TENANT, ID, ALICE = "household", "c-1", "dev:alice"
FILE = Path(__file__).parents[3] / "policies" / "actions.yaml"
CHART = frozenset({"FOOD_AND_DRINK.FOOD_AND_DRINK_GROCERIES", "ENTERTAINMENT.ENTERTAINMENT_TV_AND_MOVIES"})


@cache
def action_policy() -> ActionPolicy:
    return action_policy_from(yaml.safe_load(FILE.read_text(encoding="utf-8")), backends=frozenset({"bank"}))


class Payer:
    """Pays from the one account that the bench's tenant may pay from."""

    name = "payer"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        slots = {name: intent.slots[name] for name in ("amount_minor", "currency", "recipient")}
        return Advice("", {}, wish=Wish("transfer_funds", {"from_account": ledger.paying_accounts[0], **slots}, ""))


def conversation_bench(
    folder: Path,
    *,
    policy: ActionPolicy | None = None,
    advisors: Mapping[str, Advisor] = MappingProxyType({**ADVISORS, "transfer": Payer()}),
    model: LanguageModel | None = None,
    limits: ModelLimits | None = None,
) -> Bench:
    made = make_bench(folder, {})
    flow = AnswerMessageFlow(
        policy=policy or action_policy(),
        chart=CHART,
        advisors=advisors,
        today=lambda now, _: now.date(),
        clock=lambda: 0.0,
        configuration={"code_version": "v1", "configuration_version": "test@1"},
        paying_accounts={TENANT: frozenset({"acc-current"})},
        model=model,
        limits=limits or ModelLimits(),
    )
    flows = {"AgentMessagePosted": flow, "ResolveParked": ResolveParkedFlow()}
    object.__setattr__(made.delivery, "flows", flows)
    return made


async def post(bench: Bench, text: str, *, key: str = "", by: str = ALICE, note: str = "", into: str = ID) -> Posted:
    one = Post(
        conversation_id=into, principal=by, roles=["member"], text=text, user_note=note,
        client_message_id=key, key=f"id:{key}" if key else "", traceparent="",
    )  # fmt: skip
    return await post_message(bench.delivery, TENANT, one, policy=action_policy())


def incoming(message: OutgoingMessage, *, count: int = 1) -> Incoming:
    return Incoming(message.lane, message.body, message.message_id, count, message.session_id)


async def deliver(bench: Bench) -> list[str]:
    """Everything that is on the message lane, in the order sent, with what that sends; other lanes' messages stay."""
    outcomes, others = [], []
    while bench.bus.sent:
        message = bench.bus.sent.pop(0)
        if orjson.loads(message.body)["command_type"] != "AgentMessagePosted":
            others.append(message)
            continue
        outcomes.append(await handle_once(bench.delivery, incoming(message)))
    bench.bus.sent.extend(others)
    return outcomes


async def conversation(bench: Bench, into: str = ID) -> dict[str, Any]:
    stored = await bench.store.read(TENANT, conversation_doc_id(into))
    assert stored is not None
    return stored.body


async def messages(bench: Bench, into: str = ID) -> list[dict[str, Any]]:
    page = await bench.store.query(TENANT, "message", key=("conversation", into), limit=200)
    return [document.body for document in page.documents]


async def statuses(bench: Bench) -> list[str]:
    return [one["status"] for one in await messages(bench) if one["role"] == "user"]


async def replies(bench: Bench) -> list[str]:
    return [one["text"] for one in await messages(bench) if one["role"] == "assistant"]


async def events(bench: Bench, into: str = ID) -> list[dict[str, Any]]:
    told, after = [], 0
    while batch := await events_after(bench.delivery, TENANT, into, after=after):
        assert [one.number for one in batch] == list(range(after + 1, after + 1 + len(batch)))
        told += [one.event for one in batch]
        after = batch[-1].number
    return told


async def run(bench: Bench, run_id: str) -> dict[str, Any]:
    stored = await bench.store.read(TENANT, f"run:{run_id}")
    assert stored is not None
    return stored.body
