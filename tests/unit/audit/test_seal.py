"""A document held against its records: what was committed of it is on the chain."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from shared.audit.record import Entry
from shared.audit.seal import MAX_RECORDS, alteration, record_ids, sealed
from shared.audit.trail import HEAD_ID, append, audit_id, head_of
from shared.errors import TerminalError
from shared.ports.document_store import Document

WHO = {"kind": "test", "id": "bench"}


class Chain:
    """A chain in memory, and the document that its commits write."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    def commit(self, document: Document | None, *, entries: int = 1) -> Document | None:
        told = [Entry("noted", WHO, {}, {"number": number}) for number in range(entries)]
        head = self.documents.get(HEAD_ID)
        given = [document] if document else []
        stamped, told = sealed(given, told, sequence=head_of(head).sequence + 1)  # type: ignore[assignment]
        for one in append("home", head, told, at="2026-03-01T12:00:00Z", salts=["0" * 32] * len(told)):
            self.documents[one.id] = one
        return stamped[0] if stamped else None

    def change(self, id_: str, change: Callable[[dict[str, Any]], Any]) -> None:
        body = copy.deepcopy(self.documents[id_].body)
        change(body)
        self.documents[id_] = self.documents[id_]._replace(body=body)


def action(**body: Any) -> Document:
    return Document("home", "action:a-1", "action", {"state": "waiting", **body})


@pytest.fixture
def chain() -> Chain:
    return Chain()


def committed(chain: Chain, times: int = 1) -> Document:
    document = action()
    for number in range(times):
        chain.commit(None, entries=2)
        again = chain.commit(document._replace(body={**document.body, "step": number}))
        assert again is not None
        document = again
    return document


def test_what_was_committed_is_as_it_was(chain: Chain):
    document = committed(chain, times=3)
    assert document.body["records"] == [3, 6, 9]
    assert alteration(document, chain.documents) == ""
    chain.commit(None, entries=3)
    assert alteration(document, chain.documents) == ""


def test_only_the_records_that_matter_are_looked_at(chain: Chain):
    document = committed(chain, times=2)
    assert record_ids(document) == (audit_id(3), audit_id(4), audit_id(6), audit_id(7))


@pytest.mark.parametrize("change", [{"state": "done"}, {"step": 1}, {"new": ""}, {"records": [3, 4]}])
def test_a_changed_document_is_noticed(chain: Chain, change: dict[str, Any]):
    document = committed(chain)
    chain.commit(None)
    assert alteration(document._replace(body={**document.body, **change}), chain.documents)


def test_an_older_version_put_back_is_noticed(chain: Chain):
    first = committed(chain)
    second = chain.commit(first._replace(body={**first.body, "state": "done"}))
    assert second is not None
    assert alteration(second, chain.documents) == ""
    assert alteration(second._replace(body={**first.body, "records": second.body["records"]}), chain.documents)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["payload"].update(number=7),
        lambda body: body.update(payload_hash="0" * 64),
        lambda body: body.update(hash="0" * 64),
        lambda body: body.update(what="noticed"),
        lambda body: body.update(sequence=5),
        lambda body: body.update(salt="1" * 32),
    ],
)
def test_a_changed_record_is_noticed_and_named(chain: Chain, change: Callable[[dict[str, Any]], Any]):
    document = committed(chain, times=2)
    chain.change(audit_id(3), change)
    assert alteration(document, chain.documents).startswith("audit record 3: ")


def test_a_missing_record_is_noticed(chain: Chain):
    document = committed(chain, times=2)
    del chain.documents[audit_id(3)]
    assert alteration(document, chain.documents) == "audit record 3: missing"


def test_a_head_that_stands_before_the_record_is_noticed(chain: Chain):
    document = committed(chain)
    chain.change(HEAD_ID, lambda body: body.update(sequence=2))
    assert alteration(document, chain.documents) == "audit record 3: head_before_record"


def test_a_document_that_no_commit_of_ours_wrote_is_not_believed(chain: Chain):
    assert alteration(action(), chain.documents) == "action:a-1 is on no audit record"


def test_nothing_sealed_is_written_without_a_record():
    with pytest.raises(TerminalError, match="only together with an audit record"):
        sealed([action()], [], sequence=1)


def test_other_documents_are_left_as_they_are():
    document = Document("home", "draft:d-1", "draft", {"text": "x"})
    entry = Entry("noted", WHO, {}, {})
    assert sealed([document], [entry], sequence=1) == ([document], [entry])


def test_a_document_remembers_a_bounded_number_of_records(chain: Chain):
    document = committed(chain, times=MAX_RECORDS + 5)
    assert len(document.body["records"]) == MAX_RECORDS
    assert alteration(document, chain.documents) == ""
