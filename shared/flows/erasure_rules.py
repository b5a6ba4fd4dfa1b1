"""What erasing a person's data means for each kind of document. Pure.

`Scope` says whose data: an account's, some transactions', a person's, or the whole tenant's. A rule gives what is left
of a document: the document itself when it carries nothing of the scope, another in its place, or None to delete it.
A kind without a rule and not listed as kept is caught by a test: whoever adds a kind decides here. What conversations
leave goes turn by turn (`erasure_of_conversations.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from shared.audit.record import erased as erased_record
from shared.ledger.transactions import tombstone
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, is_terminal

ERASED_TEXT = "erased"
OWN_RECORDS = ("erasure_started", "erasure_applied", "erasure_completed")
"""Audit records of erasures themselves keep their payload: it names no person."""
SEALING = "erasure_applied"
"""The one of them that seals actions and cards: it goes with these, when a whole tenant is erased."""
_WORDS = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Scope(NamedTuple):
    """Exactly one of the four. principal: whose conversations."""

    account: str = ""
    transaction_ids: frozenset[str] = frozenset()
    principal: str = ""
    whole: bool = False

    def covers(self, facts: Mapping[str, Any]) -> bool:
        """Whether a transaction with these facts (or what is left of them) is to be erased."""
        if self.whole:
            return True
        if self.account:
            return bool(facts.get("account") == self.account)
        return facts.get("transaction_id") in self.transaction_ids


class Look(NamedTuple):
    """What a rule may know beside the document. gone: ids of erased transactions, of those that the page mentions."""

    scope: Scope
    gone: frozenset[str]
    at: str
    by: str


class Rule(NamedTuple):
    """mentions: the transaction ids that a document speaks of. left: what is left of it."""

    left: Callable[[Document, Look], Document | None]
    mentions: Callable[[Body], set[str]] = lambda _: set()


def deleted(document: Document, look: Look) -> None:
    """Nothing is left, whatever the document."""
    del document, look


def _transaction(document: Document, look: Look) -> Document:
    if "erased_at" in document.body or not look.scope.covers(document.body["facts"]):
        return document
    return tombstone(document, at=look.at)


def _audit(document: Document, look: Look) -> Document:
    record = document.body
    if is_kept_record(record, whole=look.scope.whole):
        return document
    if not look.scope.whole and not _audited_ids(record) & look.gone:
        return document
    return document._replace(body=erased_record(record, at=look.at, by=look.by))


def is_kept_record(record: Body, *, whole: bool = False) -> bool:
    """Whether nothing (more) is to be taken from an audit record."""
    return "erased_at" in record or (record["what"] in OWN_RECORDS and not (whole and record["what"] == SEALING))


def _audited_ids(record: Body) -> set[str]:
    """The transactions that a record tells more of than their ids: those it is about, and those in findings."""
    told = {record["ids"].get("transaction", "")}
    for finding in (record["payload"] or {}).get("findings", []):
        told |= _named(finding)
    return told - {""}


def _named(finding: Mapping[str, Any]) -> set[str]:
    return {str(finding["subject"]), *words(str(finding["summary"]))}


def words(text: str) -> set[str]:
    """What may be an id in `text`, with and without the punctuation around it."""
    found = _WORDS.findall(text)
    return {*found, *(one.strip("._:-") for one in found)} - {""}


def _run(document: Document, look: Look) -> Document:
    if look.scope.whole or document.body["subject"] in look.gone:
        return run_stub(document, at=look.at)
    return document


def run_stub(document: Document, *, at: str) -> Document:
    """The run without what anybody said in it. One that waits is cancelled, so that its message finds it done."""
    run: Run = document.body
    if run.get("erased_at"):
        return document
    stages = [{**one, "outcome_rationale": ERASED_TEXT, "confidence_bp": None, "details": {}} for one in run["stages"]]
    signals = [{**one, "summary": ERASED_TEXT} for one in run["signals"]]
    stub = {**run, "stages": stages, "signals": signals, "erased_at": at}
    if not is_terminal(run):
        stub |= {"status": "Cancelled", "completed_at": at, "failure_code": ERASED_TEXT}
    if stub["failure_code"]:
        stub["failure_rationale"] = ERASED_TEXT
    return document._replace(body=stub, keys={**document.keys, "state": stub["status"]})


def _parked(document: Document, look: Look) -> Document:
    """The parked message without the scope's transactions; one that speaks of nothing else is discarded."""
    try:
        message = orjson.loads(document.body["message"])
        payload = message["payload"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return document
    single, batch = payload.get("transaction"), payload.get("transactions") or []
    kept = [one for one in batch if not look.scope.covers(one)]
    if kept and len(kept) < len(batch):
        text = orjson.dumps({**message, "payload": {**payload, "transactions": kept}}).decode()
        return document._replace(body={**document.body, "message": text})
    if len(kept) == len(batch) and not (single and look.scope.covers(single)):
        return document
    return discarded(document, at=look.at, by=look.by)


def discarded(document: Document, *, at: str, by: str) -> Document:
    """A parked message that nobody can read or send round again."""
    state = "discarded" if document.body["state"] == "parked" else document.body["state"]
    body = {**document.body, "message": "", "detail": ERASED_TEXT, "state": state, "command_id": ""}
    if state != document.body["state"]:
        body |= {"resolved_at": at, "resolved_by": by}
    return document._replace(body=body, keys={"state": state})


def _finding(document: Document, look: Look) -> Document | None:
    if document.body["subject"] in look.gone:
        return None
    if _named(document.body) & look.gone:
        return document._replace(body={**document.body, "summary": f"part of this was {ERASED_TEXT}"})
    return document


_TRANSACTION = Rule(_transaction)
_AUDIT = Rule(_audit, _audited_ids)
_RUN = Rule(_run, lambda body: {body["subject"]} - {""})

IN_PART: Mapping[str, Rule] = {
    "transaction": _TRANSACTION,  # first: the others ask which transactions are gone
    "audit": _AUDIT,
    "run": _RUN,
    "parked": Rule(_parked),
    "finding": Rule(_finding, _named),
}
WITH_TRANSACTIONS = frozenset({"merchant", "category", "memory", "counter", "profile"})
"""Statistics: found by id from each transaction, or under one fixed id; see `erasure_statistics`."""
WITH_TURNS = frozenset({"conversation", "message", "stream_event", "approval", "action", "draft"})
"""Found from the messages that tell of the transactions; see `erasure_of_conversations`."""
KEPT_IN_PART = frozenset({"ingestion", "budget", "preference", "metric", "outgoing"})
"""They name at most ids. (A person's preferences go with the person.)"""
ALTERED_IN_WHOLE: Mapping[str, Rule] = {"transaction": _TRANSACTION, "audit": _AUDIT, "run": _RUN}
KEPT_ALWAYS = frozenset({"audit_head", "receipt", "erasure", "membership", "tenant", "outbox", "breaker"})
"""An outbox document is deleted when it is sent, and what it sends finds its run cancelled."""


def rules_for(scope: Scope, kinds: Iterable[str]) -> dict[str, Rule]:
    """The rule of each kind that is gone through page by page, in order. Such kinds have a `sort`."""
    if not scope.whole:
        return dict(IN_PART)
    spared = KEPT_ALWAYS | WITH_TRANSACTIONS | set(ALTERED_IN_WHOLE)
    return {**ALTERED_IN_WHOLE, **{kind: Rule(deleted) for kind in kinds if kind not in spared}}
