"""An operator has a person's data erased: of an account, of some transactions, or of the whole tenant.

Erased: the facts, decision and note of each transaction; rationale, evidence and summaries in runs; the payloads and
salts of audit records about them; parked messages; charges, amounts, habits and lessons that came from them; findings
about them; the account in the profile. For the whole tenant also the profile, uploads, statistics, memory, counters,
and every kind that is added later without a rule of its own.

Kept, and nothing else: each transaction's id with the time of its erasure (so that it is not taken in again) and the
id of its run; each run's ids, types, states, codes and times (so that a message still on its way finds it done); each
audit record's sequence, hashes, time, kind, actor and ids, with the chain's head and its checkpoints (so that the chain
still verifies and shows `erased`); receipts (30 days: what the caller of a review was told, without amount or text);
who the tenant's members are; and the record of this erasure: who, what kind of scope, its digest, the counts. For a
part of a tenant also: the list of ids that an upload accepted or refused, what was learned under a merchant's name
from others, and the profile's own history on the record.

Not reached: messages that were parked as unreadable, because nobody can tell whose they are; a batch of an outside
pipeline that is on its way while this runs, which arrives afterwards as new data; copies outside (events already sent).

Bounded commits, each with the progress made: after a crash, or when the time of one call is up, the timer or the same
request goes on where the last commit ended.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import batched
from typing import Any

from shared.audit.record import Entry, canonical
from shared.audit.trail import HEAD_ID
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
from shared.flows.erasure_rules import Look, Rule, Scope, rules_for, run_stub
from shared.flows.erasure_statistics import Changes, without_account, without_transactions
from shared.ledger import transactions as ledger
from shared.ports.document_store import Body, Document

log = logging.getLogger("countersign.erasure")

PAGE = 50
AT_ONCE = 40
TRANSACTIONS_AT_ONCE = 8
"""Documents changed by one commit: a transaction takes up to ten others with it (merchant, memory, categories ...)."""
SECONDS = 20.0
"""How long one call works before it answers with what is done so far."""
LEFT_ALONE_SECONDS = 60.0
"""After so long without progress the timer goes on with an erasure."""
TRIES = 8
ANSWERED = ("erasure_id", "state", "scope_kind", "counts", "started_at", "completed_at", "requested_by")


async def erase(delivery: Delivery, tenant: str, wish: Mapping[str, Any], *, key: str, by: str) -> dict[str, Any]:
    """Begin an erasure, or go on with it; the answer's `state` is `done` or `running`.

    wish: one of {"account"}, {"transaction_ids"}, {"whole_tenant": True}. key: the caller's idempotency key; a repeat
    after the end gives the first answer, a new key erases what has come in since.
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
        etags = await delivery.store.commit(state.partition, [_worked_at(delivery, state)])
        state = state._replace(etag=etags[state.id])
    return state


def _worked_at(delivery: Delivery, state: Document) -> Document:
    """The state to write; the timer leaves it alone for a while."""
    return state._replace(due_at=after(delivery.now(), seconds=LEFT_ALONE_SECONDS))


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
        "counts": {},
        "started_at": at,
        "completed_at": "",
        "requested_by": by,
    }
    document = _worked_at(delivery, Document(partition, f"erasure:{erasure_id}", "erasure", body, sort=at))
    entry = _entry(body, "erasure_started", {"scope_kind": kind, "scope_digest": digest})
    etags = await commit(delivery, partition, [document], [entry], head=documents.get(HEAD_ID))
    return document._replace(etag=etags[document.id])


def _entry(body: Body, what: str, payload: dict[str, Any]) -> Entry:
    return Entry(what, {"kind": "person", "id": body["requested_by"]}, {"erasure": body["erasure_id"]}, payload)


def _scope_of(body: Body) -> Scope:
    wish = body["scope"]
    return Scope(
        wish.get("account", ""), frozenset(wish.get("transaction_ids", ())), bool(wish.get("whole_tenant", False))
    )


async def _step(delivery: Delivery, state: Document) -> Document:
    """One page of one kind; the state after it. What is not stored of its progress would only be looked at again."""
    scope = _scope_of(state.body)
    rules = list(rules_for(scope, KINDS).items())
    if state.body["phase"] >= len(rules):
        return await _finish(delivery, state)
    kind, rule = rules[state.body["phase"]]
    page = await delivery.store.query(state.partition, kind, limit=PAGE, cursor=state.body["cursor"])
    look = await _look(delivery, state, scope, rule, page.documents)
    changed = [(old, new) for old in page.documents if (new := rule.left(old, look)) is not old]
    size = TRANSACTIONS_AT_ONCE if kind == "transaction" else AT_ONCE
    for few in batched(changed, size, strict=False):
        state = await _commit(delivery, state, kind, few, look)
    phase = state.body["phase"] + (not page.cursor)
    return state._replace(body={**state.body, "phase": phase, "cursor": page.cursor})


async def _look(delivery: Delivery, state: Document, scope: Scope, rule: Rule, documents: Sequence[Document]) -> Look:
    """Which of the transactions that a page mentions are erased."""
    gone: set[str] = set()
    if not scope.whole:
        mentioned = sorted({id_ for document in documents for id_ in rule.mentions(document.body)})
        for some in batched(mentioned, 100, strict=False):
            ids = [ledger.transaction_doc_id(one) for one in some if len(one) <= 64]
            stored = await delivery.store.read_many(state.partition, ids)
            gone |= {
                one.body["facts"]["transaction_id"]
                for one in stored.values()
                if one.body["review_state"] == ledger.ERASED
            }
    return Look(scope, frozenset(gone), text(delivery.now()), state.body["requested_by"])


async def _commit(
    delivery: Delivery, state: Document, kind: str, few: Sequence[tuple[Document, Document | None]], look: Look
) -> Document:
    """One commit: what is left of a few documents, what hangs on them, and the progress."""
    writes, deletes = await _hanging_on(delivery, kind, [old for old, _ in few], look)
    writes += [new for _, new in few if new is not None]
    deletes += [old for old, new in few if new is None]
    counts = {**state.body["counts"]}
    counts[kind] = counts.get(kind, 0) + len(few)
    body = {**state.body, "counts": counts}
    try:
        etags = await delivery.store.commit(
            state.partition, [*writes, _worked_at(delivery, state._replace(body=body))], deletes=deletes
        )
    except TerminalError as failed:
        if failed.code != "commit_too_large" or len(few) == 1:
            raise
        half = len(few) // 2
        state = await _commit(delivery, state, kind, few[:half], look)
        return await _commit(delivery, state, kind, few[half:], look)
    return state._replace(body=body, etag=etags[state.id])


async def _hanging_on(delivery: Delivery, kind: str, documents: Sequence[Document], look: Look) -> Changes:
    """What must change in the same commit: the statistics of transactions, the runs of audit records and of parked
    commands (for the whole tenant runs have their own turn)."""
    if kind == "transaction":
        return await without_transactions(delivery, documents, look.scope)
    if look.scope.whole or kind not in ("audit", "parked"):
        return [], []
    named = (one.body["ids"].get("run", "") if kind == "audit" else one.body["run_id"] for one in documents)
    ids = sorted({f"run:{run_id}" for run_id in named if run_id})
    stored = await delivery.store.read_many(documents[0].partition, ids) if ids else {}
    stubs = [(run, run_stub(run, at=look.at)) for run in stored.values()]
    return [stub for run, stub in stubs if stub is not run], []


async def _finish(delivery: Delivery, state: Document) -> Document:
    """What stands under fixed ids goes, the scope itself is forgotten, and the record says what was done."""
    body = {**state.body, "state": "done", "scope": {}, "completed_at": text(delivery.now())}
    payload = {name: body[name] for name in ("scope_kind", "scope_digest", "counts")}
    head = await delivery.store.read(state.partition, HEAD_ID)
    entry = _entry(body, "erasure_completed", payload)
    writes, deletes = await without_account(delivery, state.partition, _scope_of(state.body))
    writes.append(state._replace(body=body, due_at=""))
    etags = await commit(delivery, state.partition, writes, [entry], head=head, deletes=deletes)
    return state._replace(body=body, etag=etags[state.id])
