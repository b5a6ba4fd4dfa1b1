"""Erasing what one turn of a conversation has left. All of it is found by ids and look-ups.

In this order, so that a crash anywhere loses nothing: actions and cards first, sealed anew by the record that says so;
then records, runs, receipts, drafts, stream; at last the messages, by which the turn is found again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import batched
from typing import NamedTuple

import orjson

from shared.actions.draft_message import draft_doc_id
from shared.actions.life_cycle import action_doc_id
from shared.actions.life_cycle import is_whole as is_whole_action
from shared.approvals.card import approval_doc_id
from shared.approvals.card import is_whole as is_whole_card
from shared.audit.record import erased as erased_record
from shared.audit.seal import alteration, newest_record, proof_ids
from shared.audit.trail import audit_id
from shared.contracts.identity import run_id_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.flows.erased_documents import action_left, card_left, parked_left, receipt_left
from shared.flows.erasure_progress import AT_ONCE, advance, entry
from shared.flows.erasure_rules import SEALING, is_kept_record, run_stub
from shared.flows.read_all import read_all
from shared.ports.document_store import MAX_PAGE, Document, DocumentStore

ANSWERED_OVER_HTTP = "AnswerApproval"
"""The command whose receipt remembers what a person sent."""
Left = tuple[Document, Document]
"""A document as it is stored, and what is to be left of it."""


class Turn(NamedTuple):
    """A turn with everything that hangs on it. sealed: actions and cards; ruins: what is none any more, though it has
    the id of one."""

    conversation_id: str
    number: int
    messages: tuple[Document, ...]
    sealed: tuple[Document, ...]
    ruins: tuple[Document, ...]
    runs: tuple[Document, ...]
    records: tuple[Document, ...]


async def turn_of(store: DocumentStore, partition: str, conversation_id: str, number: int) -> Turn:
    """Everything stored of a turn, as it is now."""
    span = {"low": f"{number:08d}:", "high": f"{number:08d};"}
    messages = tuple(
        [one async for one in pages(store, partition, "message", ("conversation", conversation_id), **span)]
    )
    ids = list(dict.fromkeys(id_ for one in messages for id_ in one.body["actions"]))
    found = await read_all(store, partition, [make(id_) for id_ in ids for make in (action_doc_id, approval_doc_id)])
    sealed = tuple(one for one in found.values() if is_whole(one))
    ruins = tuple(one for one in found.values() if not is_whole(one))
    run_ids = {one.body["run_id"] for one in (*messages, *sealed)}
    runs = await runs_of(store, partition, run_ids, subjects=ids)
    records = await records_of(store, partition, runs, sealed)
    return Turn(conversation_id, number, messages, sealed, ruins, runs, records)


async def erase_sealed(delivery: Delivery, state: Document, turn: Turn) -> Document:
    """The actions and cards of the turn, in one commit."""
    at, by = text(delivery.now()), state.body["erasure_id"]
    changes = [
        (one, action_left(one, at=at) if one.kind == "action" else card_left(one, by=by, at=at))
        for one in turn.sealed
        if "erased_at" not in one.body
    ]
    state = await seal_anew(delivery, state, changes, turn.records, {"conversation": turn.conversation_id})
    return await erase_some(delivery, state, [], turn.ruins)


def is_whole(document: Document) -> bool:
    """Whether it is an action or card that any code of ours has written."""
    return is_whole_action(document) if document.kind == "action" else is_whole_card(document)


async def erase_traces(delivery: Delivery, state: Document, turn: Turn) -> Document:
    """Everything else but messages and stream."""
    posted = receipt_ids(turn.messages)
    drafts = [draft_doc_id(one.body["action_id"]) for one in turn.sealed if one.kind == "action"]
    found = await read_all(delivery.store, state.partition, [*posted, *drafts])
    gone = [one for one in found.values() if one.kind == "draft"]
    left = [(one, receipt_left(one)) for one in found.values() if one.kind == "receipt"]
    left += await handled_left(delivery, state, turn.runs)
    return await erase_some(delivery, state, [*left, *records_left(delivery, state, turn.records)], gone)


def receipt_ids(documents: Sequence[Document]) -> list[str]:
    """The receipts that remember what a person sent, of messages and runs: as a digest, or in the answer."""
    asked = [one for one in documents if one.kind == "message" and one.body["role"] == "user"]
    answered = [one for one in documents if one.kind == "run" and one.body["command_type"] == ANSWERED_OVER_HTTP]
    return [
        *(f"receipt:posted:{one.body['command_id']}" for one in asked),
        *(f"receipt:{one.body['command_id']}" for one in answered),
    ]


async def handled_left(delivery: Delivery, state: Document, runs: Sequence[Document]) -> list[Left]:
    """What is left of runs, of the receipts of people's answers, and of their commands where they were parked."""
    at, by = text(delivery.now()), state.body["requested_by"]
    parked = [f"parked:{one.body['command_id']}" for one in runs]
    found = await read_all(delivery.store, state.partition, [*parked, *receipt_ids(runs)])
    return [
        *((one, run_stub(one, at=at)) for one in runs),
        *(
            (one, receipt_left(one) if one.kind == "receipt" else parked_left(one, at=at, by=by))
            for one in found.values()
        ),
    ]


def records_left(delivery: Delivery, state: Document, records: Sequence[Document]) -> list[Left]:
    """The audit records without what they tell."""
    at, by = text(delivery.now()), state.body["requested_by"]
    return [(one, one._replace(body=erased_record(one.body, at=at, by=by))) for one in records]


async def erase_some(
    delivery: Delivery, state: Document, left: Sequence[Left], gone: Sequence[Document] = ()
) -> Document:
    """left: each document as it was and as it is to be; what stays as it is costs nothing. gone: to be deleted."""
    changes: list[tuple[Document, Document | None]] = [(old, new) for old, new in left if new is not old]
    changes += [(old, None) for old in gone]
    for few in batched(changes, AT_ONCE, strict=False):
        writes, deletes = [new for _, new in few if new], [old for old, new in few if new is None]
        state = await advance(delivery, state, writes, deletes=deletes, done=[old for old, _ in few])
    return state


async def seal_anew(
    delivery: Delivery,
    state: Document,
    changes: Sequence[Left],
    records: Sequence[Document],
    ids: Mapping[str, str],
) -> Document:
    """Changed actions and cards, with the record that seals them from now on.

    records: those that will lose their payload. Other actions and cards whose newest seal is on one of them are sealed
    anew as they are. What is not as it was committed is named on the record and not sealed again, so that it stays
    visible that somebody has altered it. ids: for the record.
    """
    store, partition = delivery.store, state.partition
    own = {old.id for old, _ in changes}
    told = {int(one.body["sequence"]): (one.body["payload"] or {}).get("seals", {}) for one in records}
    elsewhere = sorted({id_ for seals in told.values() for id_ in seals} - own)
    found = await read_all(store, partition, elsewhere)
    others = [(one, one) for one in found.values() if newest_record(one) in told]
    every = [*changes, *others]
    if not every:
        return state
    proof = await read_all(store, partition, proof_ids(*(old for old, _ in every)))
    altered = sorted(old.id for old, _ in every if alteration(old, proof))
    unsealed = [(old, new) for old, new in changes if old.id in altered]
    state = await erase_some(delivery, state, unsealed)
    ended = {new.id: new.body["state"] for old, new in changes if new.body["state"] != old.body["state"]}
    applied = entry(state.body, SEALING, {"ended": ended, "altered": altered}, ids)
    writes = [new for old, new in every if old.id not in altered]
    done = [old for old, _ in changes if old.id not in altered]
    return await advance(delivery, state, writes, entries=[applied], done=done)


async def runs_of(
    store: DocumentStore, partition: str, run_ids: Iterable[str], *, subjects: Iterable[str]
) -> tuple[Document, ...]:
    """These runs, those about `subjects` (ids of actions, which are their cards'), and replays of any of them."""
    fresh: dict[str, Document] = {}
    for subject in subjects:
        fresh |= {one.id: one async for one in pages(store, partition, "run", ("subject", subject))}
    found: dict[str, Document] = {}
    waiting = {f"run:{run_id}" for run_id in run_ids if run_id}
    while True:
        fresh |= await read_all(store, partition, sorted(waiting - fresh.keys() - found.keys()))
        found |= fresh
        if not fresh:
            return tuple(found.values())
        parked = await read_all(store, partition, [f"parked:{one.body['command_id']}" for one in fresh.values()])
        replays = [one.body["replayed_as"] for one in parked.values()]
        waiting = {f"run:{run_id_of(partition, id_)}" for id_ in replays if id_}
        fresh = {}


async def records_of(
    store: DocumentStore, partition: str, runs: Iterable[Document], sealed: Iterable[Document]
) -> tuple[Document, ...]:
    """The audit records of the runs, and those that seal the actions and cards, as far as they still tell anything."""
    sequences = {number for one in sealed for number in one.body.get("records", ())}
    found = await read_all(store, partition, [audit_id(number) for number in sorted(sequences)])
    for run in runs:
        key = ("run", run.body["run_id"])
        found |= {one.id: one async for one in pages(store, partition, "audit", key)}
    return tuple(one for one in found.values() if not is_kept_record(one.body))


async def stream_of(
    store: DocumentStore, partition: str, conversation_id: str, ids: Iterable[str]
) -> tuple[Document, ...]:
    """The stored parts of a conversation's stream in which any of `ids` (of runs, messages, actions) is told of."""
    wanted = [one for one in ids if one]
    return tuple(
        [
            one
            async for one in pages(store, partition, "stream_event", ("conversation", conversation_id))
            if _tells_of(one, wanted)
        ]
    )


def _tells_of(batch: Document, ids: Sequence[str]) -> bool:
    told = orjson.dumps(batch.body["events"]).decode()
    return any(id_ in told for id_ in ids)


async def pages(
    store: DocumentStore, partition: str, kind: str, key: tuple[str, str], *, low: str = "", high: str = ""
) -> AsyncIterator[Document]:
    """All documents of a kind with this key, page by page."""
    cursor = ""
    while True:
        page = await store.query(partition, kind, key=key, low=low, high=high, limit=MAX_PAGE, cursor=cursor)
        for document in page.documents:
            yield document
        cursor = page.cursor
        if not cursor:
            return
