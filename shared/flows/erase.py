"""An operator has a person's data erased: of an account, of some transactions, of a person's conversations, or of the
whole tenant. `docs/erasure.md` says what goes, what stays and why.

Bounded commits, each with the progress made: after a crash, or when the time of one call is up, the timer or the same
request goes on where the last commit ended.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import batched
from typing import Any

from shared.audit.record import canonical
from shared.audit.trail import HEAD_ID, head_of
from shared.contracts.identity import deterministic_id, partition_of
from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS, SYSTEM_PARTITION
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.errors import (
    ConflictError,
    IdempotencyMismatchError,
    InvalidInputError,
    NotFoundError,
    RetryableError,
    TerminalError,
)
from shared.flows import erasure_of_conversations as conversations
from shared.flows import erasure_of_person as person
from shared.flows.erased_documents import receipt_left
from shared.flows.erasure_of_turns import receipt_ids
from shared.flows.erasure_progress import AT_ONCE, PAGE, advance, entry, moved_on, scope_of, worked_at
from shared.flows.erasure_rules import ALTERED_IN_WHOLE, Look, Rule, Scope, rules_for, run_stub
from shared.flows.erasure_statistics import Changes, without_account, without_transactions
from shared.ports.document_store import Body, Document

log = logging.getLogger("countersign.erasure")

TRANSACTIONS_AT_ONCE = 8
"""Transactions changed by one commit: each takes up to ten others with it (merchant, memory, categories ...)."""
SECONDS = 20.0
"""How long one call works before it answers with what is done so far."""
TRIES = 8
ANSWERED = ("erasure_id", "state", "scope_kind", "counts", "started_at", "completed_at", "requested_by")
Step = Callable[[Delivery, Document], Awaitable[Document]]
"""One bounded piece of the erasure whose document it is given; the document after it."""


async def erase(delivery: Delivery, tenant: str, wish: Mapping[str, Any], *, key: str, by: str) -> dict[str, Any]:
    """Begin an erasure, or go on with it; the answer's `state` is `done` or `running`.

    wish: one of {"account"}, {"transaction_ids"}, {"principal"}, {"whole_tenant": True}. key: the caller's idempotency
    key; a repeat after the end gives the first answer, a new key erases what has come in since.
    """
    if tenant == SYSTEM_PARTITION:
        raise InvalidInputError("the tenant system holds no person's data", code="nothing_to_erase")
    state = await _go_on(delivery, await _begun(delivery, partition_of(tenant), wish, key, by))
    return {name: state.body[name] for name in ANSWERED}


async def continue_erasures(delivery: Delivery, *, limit: int = 5) -> int:
    """Go on with erasures that nobody works at; returns how many were looked at. For the timer."""
    waiting = await delivery.store.due("erasure", before=text(delivery.now()), limit=limit)
    for document in waiting:
        try:
            await _go_on(delivery, document)
        except RetryableError as failed:
            log.warning("%s of %s waits: %s", document.id, document.partition, failed)
    return len(waiting)


async def _go_on(delivery: Delivery, state: Document) -> Document:
    """Step by step until it is done or the time of one call is up."""
    until = after(delivery.now(), seconds=SECONDS)
    lost = 0
    while state.body["state"] == "running" and text(delivery.now()) < until:
        try:
            state = await _step(delivery, state)
            lost = 0
        except ConflictError:
            lost += 1
            if lost == TRIES:
                raise
            state = await _read(delivery, state.partition, state.id)
    if state.body["state"] == "running":
        # what was looked at in vain is progress too
        etags = await delivery.store.commit(state.partition, [worked_at(delivery, state)])
        state = state._replace(etag=etags[state.id])
    return state


async def erasure(delivery: Delivery, tenant: str, erasure_id: str) -> dict[str, Any]:
    """How far an erasure has come; `NotFoundError`."""
    state = await _read(delivery, partition_of(tenant), f"erasure:{erasure_id}")
    return {name: state.body[name] for name in ANSWERED}


async def _read(delivery: Delivery, partition: str, document_id: str) -> Document:
    stored = await delivery.store.read(partition, document_id)
    if stored is None:
        raise NotFoundError("there is no such erasure")
    return stored


async def _begun(delivery: Delivery, partition: str, wish: Mapping[str, Any], key: str, by: str) -> Document:
    """The erasure's document: as it stands, or a new one, committed with the record that it was asked for."""
    digest = sha256(canonical(dict(wish))).hexdigest()
    erasure_id = deterministic_id(partition, "erasure", f"{by}\x1f{key}")
    documents = await delivery.store.read_many(partition, [f"erasure:{erasure_id}", HEAD_ID])
    stored = documents.get(f"erasure:{erasure_id}")
    if stored is not None:
        if stored.body["scope_digest"] != digest:
            raise IdempotencyMismatchError("this idempotency key was used with another body; take a new key")
        return stored
    at = text(delivery.now())
    kind = next(iter(wish))
    body: Body = {
        "erasure_id": erasure_id,
        "state": "running",
        "scope_kind": kind,
        "scope_digest": digest,
        "scope": dict(wish),
        "phase": 0,
        "cursor": "",
        "chain_from": head_of(documents.get(HEAD_ID)).sequence,
        "counts": {},
        "started_at": at,
        "completed_at": "",
        "requested_by": by,
    }
    document = worked_at(delivery, Document(partition, f"erasure:{erasure_id}", "erasure", body, sort=at))
    started = entry(body, "erasure_started", {"scope_kind": kind, "scope_digest": digest})
    etags = await commit(delivery, partition, [document], [started], head=documents.get(HEAD_ID))
    return document._replace(etag=etags[document.id])


def _steps(state: Document) -> list[Step]:
    """What there is to do, in order."""
    scope = scope_of(state.body)
    if scope.principal:
        return [person.conversations_of, person.cards_answered_by, person.drafts_of]
    ruled: list[Step] = [partial(_by_rule, kind=kind, rule=rule) for kind, rule in rules_for(scope, KINDS).items()]
    if not scope.whole:
        return [ruled[0], conversations.turns_about, *ruled[1:]]
    # what was recorded while the rest went: it may seal what is gone
    since = f"{state.body['chain_from'] + 1:012d}"
    return [*ruled, partial(_by_rule, kind="audit", rule=ALTERED_IN_WHOLE["audit"], low=since)]


async def _step(delivery: Delivery, state: Document) -> Document:
    """The state after it. What is not stored of its progress would only be looked at again."""
    steps = _steps(state)
    if state.body["phase"] >= len(steps):
        return await _finish(delivery, state)
    return await steps[state.body["phase"]](delivery, state)


async def _by_rule(delivery: Delivery, state: Document, *, kind: str, rule: Rule, low: str = "") -> Document:
    """One page of one kind."""
    scope = scope_of(state.body)
    page = await delivery.store.query(state.partition, kind, low=low, limit=PAGE, cursor=state.body["cursor"])
    look = await _look(delivery, state, scope, rule, page.documents)
    changed = [(old, new) for old in page.documents if (new := rule.left(old, look)) is not old]
    size = TRANSACTIONS_AT_ONCE if kind == "transaction" else AT_ONCE
    for few in batched(changed, size, strict=False):
        state = await _commit(delivery, state, kind, few, look)
    return moved_on(state, page.cursor)


async def _look(delivery: Delivery, state: Document, scope: Scope, rule: Rule, documents: Sequence[Document]) -> Look:
    """Which of the transactions that a page mentions are erased."""
    mentioned = set() if scope.whole else {id_ for document in documents for id_ in rule.mentions(document.body)}
    gone = await conversations.gone_of(delivery.store, state.partition, mentioned)
    return Look(scope, gone, text(delivery.now()), state.body["requested_by"])


async def _commit(
    delivery: Delivery, state: Document, kind: str, few: Sequence[tuple[Document, Document | None]], look: Look
) -> Document:
    """One commit: what is left of a few documents, what hangs on them, and the progress."""
    writes, deletes = await _hanging_on(delivery, kind, [old for old, _ in few], look)
    writes += [new for _, new in few if new is not None]
    deletes += [old for old, new in few if new is None]
    try:
        return await advance(delivery, state, writes, deletes=deletes, done=[old for old, _ in few])
    except TerminalError as failed:
        if failed.code != "commit_too_large" or len(few) == 1:
            raise
        half = len(few) // 2
        state = await _commit(delivery, state, kind, few[:half], look)
        return await _commit(delivery, state, kind, few[half:], look)


async def _hanging_on(delivery: Delivery, kind: str, documents: Sequence[Document], look: Look) -> Changes:
    """What must change in the same commit: the statistics of transactions, the receipts that remember what somebody
    sent, the runs of audit records and of parked commands (for the whole tenant runs have their own turn)."""
    if kind == "transaction":
        return await without_transactions(delivery, documents, look.scope)
    partition = documents[0].partition
    if look.scope.whole:
        receipts = await delivery.store.read_many(partition, ids) if (ids := receipt_ids(documents)) else {}
        return [left for one in receipts.values() if (left := receipt_left(one)) is not one], []
    if kind not in ("audit", "parked"):
        return [], []
    named = (one.body["ids"].get("run", "") if kind == "audit" else one.body["run_id"] for one in documents)
    ids = sorted({f"run:{run_id}" for run_id in named if run_id})
    stored = await delivery.store.read_many(partition, ids) if ids else {}
    stubs = [(run, run_stub(run, at=look.at)) for run in stored.values()]
    return [stub for run, stub in stubs if stub is not run], []


async def _finish(delivery: Delivery, state: Document) -> Document:
    """What stands under fixed ids goes, the scope itself is forgotten, and the record says what was done."""
    body = {**state.body, "state": "done", "scope": {}, "completed_at": text(delivery.now())}
    payload = {name: body[name] for name in ("scope_kind", "scope_digest", "counts")}
    head = await delivery.store.read(state.partition, HEAD_ID)
    completed = entry(body, "erasure_completed", payload)
    writes, deletes = await without_account(delivery, state.partition, scope_of(state.body))
    writes.append(state._replace(body=body, due_at=""))
    etags = await commit(delivery, state.partition, writes, [completed], head=head, deletes=deletes)
    return state._replace(body=body, etag=etags[state.id])
