"""Several small amounts count like one large one: what was asked for within the policy's window is read once, and
written in the commit that asks for more."""

from __future__ import annotations

from collections.abc import Collection

from shared.actions.life_cycle import action_doc_id
from shared.actions.outgoing import UNTOLD, Asked, asked_since, outgoing_doc_id, outgoing_document, sums, with_asked
from shared.delivery.handling import Work
from shared.guard.action_policy import ActionPolicy
from shared.ports.document_store import Document


class Outgoing:
    """What was asked for lately, of each action that one command asks for or edits."""

    def __init__(self, work: Work, policy: ActionPolicy | None) -> None:
        self._work, self._policy = work, policy
        self._stored: dict[str, Document | None] = {}
        self._asked: dict[str, tuple[Asked, ...]] = {}
        self._actions: dict[str, Document] = {}
        self._changed: set[str] = set()

    async def lately(self, action: str, *, but: Collection[str] = ()) -> dict[str, int]:
        """Minor units by currency, without the actions with these ids; {} where policy lets each amount count alone.
        One read of the store for each action, and one more when something was asked for."""
        if not self._hours(action):
            return {}
        if action not in self._asked:
            await self._read(action)
        ids = [one.action_id for one in self._asked[action] if one.action_id not in but]
        told = [self._actions[id_] for id_ in ids if id_ in self._actions]
        return sums(told, missing=len(told) < len(ids))

    def counts(self, stored: Document) -> None:
        """The action (its document, new or edited) counts from now on. To be called after `lately`."""
        name, action_id = stored.body["action"], stored.body["action_id"]
        if name in self._asked and stored.body["state"] != "denied":
            self._asked[name] = with_asked(self._asked[name], action_id, at=self._work.at)
            self._actions[action_id] = stored
            self._changed.add(name)

    def writes(self) -> list[Document]:
        """What to commit with the actions: whoever asked at the same moment is judged anew."""
        return [
            outgoing_document(
                self._work.partition,
                action,
                self._asked[action],
                hours=self._hours(action),
                now=self._work.now,
                stored=self._stored[action],
            )
            for action in sorted(self._changed)
        ]

    def _hours(self, action: str) -> int:
        rule = self._policy.actions.get(action) if self._policy else None
        if rule is None or (rule.two_people_above_minor is None and rule.approval_above_minor is None):
            return 0
        return rule.cumulative_hours

    async def _read(self, action: str) -> None:
        store, partition = self._work.store, self._work.partition
        stored = await store.read(partition, outgoing_doc_id(action))
        self._stored[action] = stored
        self._asked[action] = asked_since(stored, hours=self._hours(action), now=self._work.now)
        ids = [action_doc_id(one.action_id) for one in self._asked[action] if one.action_id != UNTOLD]
        if ids:
            found = await store.read_many(partition, ids)
            self._actions |= {one.body["action_id"]: one for one in found.values()}
