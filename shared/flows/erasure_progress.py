"""What every step of an erasure shares: whose data, how far it has come, and the commit that keeps both together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.instants import after
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.flows.erasure_rules import Scope
from shared.ports.document_store import Body, Document, Merge

PAGE = 50
AT_ONCE = 40
"""Documents that one commit changes, beside what hangs on them."""
LEFT_ALONE_SECONDS = 60.0
"""After so long without progress the timer goes on with an erasure."""
NO_IDS: Mapping[str, str] = {}


def scope_of(body: Body) -> Scope:
    """Whose data the erasure with this body is about."""
    wish = body["scope"]
    return Scope(
        account=wish.get("account", ""),
        transaction_ids=frozenset(wish.get("transaction_ids", ())),
        principal=wish.get("principal", ""),
        whole=bool(wish.get("whole_tenant", False)),
    )


def entry(body: Body, what: str, payload: dict[str, Any], ids: Mapping[str, str] = NO_IDS) -> Entry:
    """The audit entry of a step; what it tells names nobody but the operator."""
    who = {"kind": "person", "id": body["requested_by"]}
    return Entry(what, who, {"erasure": body["erasure_id"], **ids}, payload)


def worked_at(delivery: Delivery, state: Document) -> Document:
    """The state to write; the timer leaves it alone for a while."""
    return state._replace(due_at=after(delivery.now(), seconds=LEFT_ALONE_SECONDS))


def moved_on(state: Document, cursor: str) -> Document:
    """The state after a page. cursor: of the next one; "" where the next phase begins."""
    return state._replace(body={**state.body, "phase": state.body["phase"] + (not cursor), "cursor": cursor})


async def advance(
    delivery: Delivery,
    state: Document,
    writes: Sequence[Document],
    *,
    deletes: Sequence[Document] = (),
    entries: Sequence[Entry] = (),
    merges: Sequence[Merge] = (),
    done: Iterable[Document] = (),
) -> Document:
    """One commit, with the progress that it makes; the state as it is stored then. done: what is counted as erased.

    Raises `ConflictError` for what somebody else wrote first, `TerminalError("commit_too_large")`.
    """
    counts: Counter[str] = Counter(state.body["counts"])
    counts.update(document.kind for document in done)
    stored = worked_at(delivery, state._replace(body={**state.body, "counts": dict(counts)}))
    documents = [*writes, stored]
    if entries or merges:
        head = await delivery.store.read(state.partition, HEAD_ID)
        etags = await commit(delivery, state.partition, documents, entries, head=head, deletes=deletes, merges=merges)
    else:
        etags = await delivery.store.commit(state.partition, documents, deletes=deletes)
    return stored._replace(etag=etags[stored.id])
