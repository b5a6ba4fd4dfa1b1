"""A household on the test bench that has talked, wished, signed, drafted and paid: what an erasure has to reach."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import batched
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from shared.audit.verification import verify
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Delivery
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming
from shared.errors import RetryableError
from shared.flows.age_approval import AgeApprovalFlow
from shared.flows.answer_approval import AnswerApprovalFlow
from shared.flows.answer_message import AnswerMessageFlow
from shared.flows.approval_submitted import ApprovalSubmittedFlow
from shared.flows.erase import erase
from shared.flows.perform_action import PerformActionFlow
from shared.flows.post_message import Post, Posted, post_message
from shared.flows.request_action import RequestActionFlow
from shared.guard.action_policy import ActionPolicy
from shared.ledger.transactions import unclassified
from shared.ports.document_store import Body, Document
from shared.ports.language_model import LanguageModel
from shared.specialists.advisors import ADVISORS
from tests.bench import Bench, facts
from tests.unit.approvals.bench import answer
from tests.unit.flows.action_bench import FakeBank, action_policy, bank
from tests.unit.flows.bench import TENANT, money_bench, policy
from tests.unit.flows.conversation_bench import Payer

ALICE, BOB, RALF = "dev:alice", "dev:bob", "dev:ralf"
GIRO, OTHER = "giro", "other-account"
WORDS = re.compile(r"(?i)zebra|quagga|7,?777|okapi")
"""What only Alice has ever said, bought, drafted or been told."""
OWN = frozenset({GIRO})


async def erased_through_crashes(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, wish: Mapping[str, Any], *, tenant: str
) -> tuple[dict[str, Any], int]:
    """What an erasure says in the end, tried again after a crash at each of its commits, and how many there were: every
    second time before the commit, else after it."""
    real = delivery.store.commit
    for crashes in range(400):
        made = 0

        async def commit(*args: Any, before: bool = bool(crashes % 2), **kwargs: Any) -> dict[str, str]:
            nonlocal made
            made += 1
            if made == 1 and before:
                raise RetryableError("the power went out before the commit")
            etags = await real(*args, **kwargs)
            if made == 1:
                raise RetryableError("the power went out after the commit")
            return etags

        monkeypatch.setattr(delivery.store, "commit", commit)
        with suppress(RetryableError):
            done = await erase(delivery, tenant, dict(wish), key="k", by="dev:root")
            monkeypatch.setattr(delivery.store, "commit", real)
            return done, crashes
    raise AssertionError("it never came to an end")


class Household:
    """A bench with every flow of conversations, and what has happened on it. bank: moves the money."""

    def __init__(self, folder: Path, *, model: LanguageModel | None = None, rules: ActionPolicy | None = None) -> None:
        self.folder, self.bank = folder, bank()
        self.bank.accounts[GIRO]["balance_minor"] = 1_000_000
        self.bench: Bench = money_bench(folder)
        object.__setattr__(
            self.bench.delivery,
            "flows",
            {**self.bench.delivery.flows, **_flows(self.bank, model, rules or action_policy())},
        )
        self.delivery, self.store = self.bench.delivery, self.bench.store

    async def bought(self, id_: str, descriptor: str, *, account: str = GIRO, amount_minor: int = -777_700) -> None:
        """A decided transaction in the ledger."""
        row = facts(id_, account=account, descriptor=descriptor, amount_minor=amount_minor, booked_on="2026-02-20")
        document = unclassified(TENANT, row, at="2026-02-21T00:00:00.000000Z", ingestion_id="i", run_id="r")
        chosen = {"review_state": "Categorized", "category": "FOOD_AND_DRINK.FOOD_AND_DRINK_GROCERIES"}
        await self.store.commit(TENANT, [document._replace(body={**document.body, **chosen})])

    async def post(self, text: str, *, by: str = ALICE, into: str = "alices", key: str = "", note: str = "") -> Posted:
        one = Post(
            conversation_id=into, principal=by, roles=["member"], text=text, user_note=note,
            client_message_id=key, key=f"id:{key}" if key else "",
        )  # fmt: skip
        return await post_message(self.delivery, TENANT, one, policy=action_policy())

    async def say(self, text: str, *, by: str = ALICE, into: str = "alices", note: str = "") -> str:
        """The reply, once everything that it leads to has been handled."""
        posted = await self.post(text, by=by, into=into, note=note)
        await self.deliver()
        found = await self.get(f"message:{into}:{posted.answer['turn']:08d}:1")
        return str(found["text"])

    async def deliver(self) -> list[str]:
        outcomes, bus = [], self.bench.bus
        while bus.sent:
            message = bus.sent.pop(0)
            incoming = Incoming(message.lane, message.body, message.message_id, 1, message.session_id)
            outcomes.append(await handle_once(self.delivery, incoming))
        return outcomes

    async def answer(self, approval_id: str, person: str, decision: str = "approve", **more: Any) -> dict[str, Any]:
        told = await answer(self.delivery, approval_id, person, decision, tenant=TENANT, **more)
        await self.deliver()
        return told

    async def get(self, document_id: str) -> Body:
        document = await self.store.read(TENANT, document_id)
        assert document is not None, document_id
        return document.body

    async def open_card(self, into: str = "alices") -> str:
        """The card that was opened last."""
        return str((await self.get(conversation_doc_id(into)))["open_approvals"][-1])

    async def all_of(self, kind: str, **key: str) -> list[Document]:
        pair = next(iter(key.items()), None)
        return (await self.store.query(TENANT, kind, key=pair, limit=200)).documents

    async def messages(self, into: str = "alices") -> list[Body]:
        return [one.body for one in await self.all_of("message", conversation=into)]

    async def erase(self, key: str = "k", **wish: Any) -> dict[str, Any]:
        done = await erase(self.delivery, TENANT, wish, key=key, by="dev:root")
        assert done["state"] == "done"
        await self.check()
        return done

    async def check(self) -> None:
        """The chain holds, and every action and card is what the chain says of it."""
        found = await verify(TENANT, store=self.store, checkpoints=self.delivery.checkpoints)
        assert (found.problem, found.document) == ("", "")

    async def everything(self) -> dict[str, Document]:
        """Every document of the tenant, also those that no query lists."""
        with closing(sqlite3.connect(self.folder / "store.db")) as file:
            ids = [row[0] for row in file.execute("SELECT id FROM documents WHERE partition = ?", (TENANT,))]
        found: dict[str, Document] = {}
        for some in batched(ids, 100, strict=False):
            found |= await self.store.read_many(TENANT, some)
        return found

    async def telling(self, pattern: re.Pattern[str] = WORDS) -> list[str]:
        """The documents that still tell something."""
        return sorted(
            id_ for id_, one in (await self.everything()).items() if pattern.search(json.dumps(one._asdict()))
        )

    async def bytes_on_disk(self) -> bytes:
        """Everything in the folder, once the store has given up the space of what was deleted."""
        await self.store.purge()
        await self.bench.close()
        with closing(sqlite3.connect(self.folder / "store.db", isolation_level=None)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            file.execute("VACUUM")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()) if path.is_file())


def _flows(moves: FakeBank, model: LanguageModel | None, rules: ActionPolicy) -> Mapping[str, Any]:
    message = AnswerMessageFlow(
        policy=rules,
        chart=policy().chart,
        advisors=MappingProxyType({**ADVISORS, "transfer": Payer()}),
        today=lambda now, _: now.date(),
        clock=lambda: 0.0,
        configuration={"code_version": "v1", "configuration_version": "test@1"},
        paying_accounts={TENANT: OWN},
        model=model,
    )
    given: dict[str, Any] = {
        "policy": rules, "backends": {"bank": moves}, "chart": policy().chart, "own_accounts": {TENANT: OWN},
    }  # fmt: skip
    return {
        "AgentMessagePosted": message,
        "AnswerApproval": AnswerApprovalFlow(rules),
        "AgentApprovalSubmitted": ApprovalSubmittedFlow(),
        "AgeApproval": AgeApprovalFlow(),
        "RequestAction": RequestActionFlow(**given),
        "PerformAction": PerformActionFlow(**given),
    }


def types_sent(bench: Bench) -> list[str]:
    return [orjson.loads(message.body)["command_type"] for message in bench.bus.sent]
