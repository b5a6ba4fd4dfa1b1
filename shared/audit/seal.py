"""Documents that a person's signature or money depends on are sealed: what was committed is on the audit chain.

Each commit of such a document notes in it the sequence of the audit record of the same commit (`records`), and that
record's payload holds the sha256 of the document's canonical body. Before anything is carried out the document is held
against its records, so that a change by hand of either is noticed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from shared.audit.record import Entry, Head, broken, canonical
from shared.audit.trail import HEAD_ID, audit_id, head_of
from shared.errors import TerminalError
from shared.ports.document_store import Body, Document

SEALED = frozenset({"action", "approval"})
MAX_RECORDS = 64
"""Records that a document remembers; the newest holds its seal."""


def sealed(
    documents: Sequence[Document], entries: Sequence[Entry], *, sequence: int
) -> tuple[Sequence[Document], Sequence[Entry]]:
    """What to commit of `documents` and `entries`. sequence: that the first entry will have.

    `TerminalError("unrecorded")` for a sealed document without an entry beside it.
    """
    if not any(document.kind in SEALED for document in documents):
        return documents, entries
    if not entries:
        raise TerminalError("unrecorded", "an action or a card changes only together with an audit record")
    stamped = [_stamped(one, sequence) if one.kind in SEALED else one for one in documents]
    seals = {one.id: seal_of(one.body) for one in stamped if one.kind in SEALED}
    first = entries[0]
    return stamped, [first._replace(payload={**first.payload, "seals": seals}), *entries[1:]]


def seal_of(body: Body) -> str:
    """sha256 over the canonical body, as hex."""
    return sha256(canonical(body)).hexdigest()


def record_ids(document: Document) -> tuple[str, ...]:
    """The records that seal the document: its own and each one's successor."""
    wanted = {number for sequence in _sequences(document) for number in (sequence, sequence + 1)}
    return tuple(audit_id(number) for number in sorted(wanted))


def proof_ids(*documents: Document) -> tuple[str, ...]:
    """All that `alteration` holds the documents against: the chain's head, and the `record_ids` of each."""
    return (HEAD_ID, *sorted({id_ for document in documents for id_ in record_ids(document)}))


def newest_record(document: Document) -> int:
    """The sequence of the record that seals the document as it is, by its own word; 0 when it names none."""
    return max(_sequences(document), default=0)


def alteration(document: Document, records: Mapping[str, Document]) -> str:
    """What is not as it was committed, in words that name it, or "". records: of `proof_ids`."""
    sequences = _sequences(document)
    if not sequences:
        return f"{document.id} is on no audit record"
    for sequence in sequences:
        wrong = _wrong_with(sequence, records)
        if wrong:
            return f"audit record {sequence}: {wrong}"
    payload = records[audit_id(sequences[-1])].body["payload"]
    seals = payload.get("seals", {}) if payload else {}
    if seals.get(document.id) != seal_of(document.body):
        return f"{document.id} differs from what audit record {sequences[-1]} says of it"
    return ""


def evidence(document: Document, records: Mapping[str, Document]) -> Body:
    """Of a document that somebody has altered, for the record: {"document", "expected", "found"}: the hash that its
    newest record holds of it ("" for none), and that of what was found. It is left as it was found: writing it anew
    would seal whatever it says."""
    record = records.get(audit_id(newest_record(document)))
    payload = record.body.get("payload") if record is not None else None
    seals = payload.get("seals") if isinstance(payload, dict) else None
    expected = str(seals.get(document.id, "")) if isinstance(seals, dict) else ""
    return {"document": document.id, "expected": expected, "found": seal_of(document.body)}


def altered(documents: Sequence[Document], records: Mapping[str, Document]) -> dict[str, Body]:
    """`evidence` of those of the documents that are not as they were committed, by id."""
    return {one.id: evidence(one, records) for one in documents if alteration(one, records)}


def as_evidence(found: Mapping[str, Body]) -> dict[str, list[Body]]:
    """What an audit entry's payload is told of `altered`; nothing when there is nothing."""
    return {"altered": list(found.values())} if found else {}


def _sequences(document: Document) -> tuple[int, ...]:
    """What the document says of its records; nothing when that is not a list of positive integers."""
    told = document.body.get("records")
    if not isinstance(told, list) or not all(type(one) is int and one > 0 for one in told):
        return ()
    return tuple(told)


def _stamped(document: Document, sequence: int) -> Document:
    records = [*_sequences(document), sequence][-MAX_RECORDS:]
    return document._replace(body={**document.body, "records": records})


def _wrong_with(sequence: int, records: Mapping[str, Document]) -> str:
    """Why a record cannot be believed: its own hashes, or that what follows does not follow it."""
    found = records.get(audit_id(sequence))
    if found is None:
        return "missing"
    record = found.body
    problem = broken(record, Head(sequence - 1, str(record.get("previous_hash"))))
    if problem:
        return problem
    follower = records.get(audit_id(sequence + 1))
    if follower is not None:
        return "" if follower.body.get("previous_hash") == record["hash"] else "next_record_differs"
    head = head_of(records.get(HEAD_ID))
    if head.sequence < sequence:
        return "head_before_record"
    return "head_differs" if head.sequence == sequence and head.hash != record["hash"] else ""
