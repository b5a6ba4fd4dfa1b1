"""Explains how a transaction was decided, from the audit records of its decision and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from shared.conversation.intent import Intent
from shared.guard.decision import BASIS_POINTS
from shared.guard.reasons import REASONS
from shared.ports.document_store import Body
from shared.specialists.advisor import Advice
from shared.specialists.asking_back import unknown_merchant, unread
from shared.specialists.find_transactions import row_facts, row_line
from shared.specialists.ledger_reader import Explained, Found, LedgerReader, Row, row_of_body
from shared.specialists.selection import by_merchant, slot
from shared.specialists.wording import category_text, count_text, day_text, listed, quoted, visible

MAX_SAID: Final = 160
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CANDIDATES: Final = 10
_SILENT: Final = {
    "abstained": "had nothing to say",
    "timed_out": "did not answer in time",
    "raised": "broke down",
    "rubbish": "answered something unusable",
}


class ExplainDecision:
    """Tells what each specialist proposed, what the guard made of it under which policy, and what people did then."""

    name: Final = "explain_decision"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """By id: one read and one to three queries. By merchant, pages back to the tenth of its transactions before:
        the newest that waits for review is meant, else the newest."""
        transaction_id, merchant = slot(intent.slots, "transaction_id"), slot(intent.slots, "merchant")
        if not transaction_id and not merchant:
            return Advice("Which transaction? Tell me its merchant or its id.", {}, asks="merchant")
        others = 0
        if not transaction_id:
            seen: set[str] = set()
            found = await ledger.transactions(wanted=_noting(by_merchant(merchant), seen), most=_CANDIDATES)
            if not found.rows:
                return unknown_merchant(merchant, seen, "on record", unread(found))
            transaction_id, others = _meant(found), len(found.rows) - 1
        explained = await ledger.explained(transaction_id) if _ID.fullmatch(transaction_id) else None
        if explained is None:
            text = f"There is no transaction {quoted(transaction_id)}. Which one? Tell me its merchant or its id."
            return Advice(text, {"unknown_transaction": visible(transaction_id)}, asks="transaction_id")
        return _told(explained, others, merchant)


def _noting(is_meant: Callable[[Row], bool], seen: set[str]) -> Callable[[Row], bool]:
    """The same, but the names that went by are kept, to suggest one when none is meant."""

    def wanted(row: Row) -> bool:
        seen.add(row.merchant)
        return is_meant(row)

    return wanted


def _meant(found: Found) -> str:
    waiting: Iterable[Row] = (row for row in found.rows if row.is_open)
    return next(iter(waiting), found.rows[0]).transaction_id


def _told(explained: Explained, others: int, merchant: str) -> Advice:
    row = row_of_body(explained.transaction)
    lines = [f"{row_line(row)}."]
    if others:
        lines.append(
            f"(Of the newest {count_text(others + 1, 'transaction')} from {quoted(merchant)} I take this one.)"
        )
    for record in explained.records:
        lines += _record_lines(record)
    if not explained.records:
        lines.append(_without_records(explained.transaction))
    elif explained.transaction["decision_version"] > len(explained.records):
        times = explained.transaction["decision_version"]
        lines.append(f"It was decided {times} times; what is not told here is in the audit log.")
    sequences = [record["sequence"] for record in explained.records]
    facts = {
        "transaction": row_facts(row),
        "reason_codes": list(row.reasons),
        "policy_version": explained.transaction["policy_version"],
        "decided_by": row.decided_by,
        "reviewed_by": visible(explained.transaction["reviewed_by"]),
        "records": [_record_facts(record) for record in explained.records],
    }
    evidence = tuple(f"Audit record {sequence}." for sequence in sequences)
    return Advice("\n".join(lines), facts, (row.transaction_id,), evidence)


def _without_records(body: Body) -> str:
    if body["reason_codes"]:
        return " ".join(_reason(code) for code in body["reason_codes"])
    return "It has not been decided yet, so there is no record to explain it from."


def _record_lines(record: Body) -> Iterator[str]:
    at = f"{day_text(record['at'][:10])}, {record['at'][11:16]} UTC"
    head = f"Record {record['sequence']}, {at}"
    payload = record["payload"]
    if payload is None:
        yield f"{head}: what this record said was erased; that it was there is still proven."
    elif record["what"] == "transaction_decided":
        yield f"{head}: the specialists proposed and the guard decided."
        yield from _answers(payload["answers"])
        yield from _decision(payload["decision"])
    elif record["what"] == "transaction_reviewed":
        yield f"{head}: {_person(record)} {_review(payload)}"
    elif record["what"] == "command_parked":
        yield f"{head}: the classification could not be carried out. {_reason(str(payload.get('reason', '')))}"
    else:
        about = "".join(f", {visible(str(payload[name]))}" for name in ("action", "state") if name in payload)
        yield f"{head}: {visible(record['what']).replace('_', ' ')}{about}, by {_person(record)}."


def _answers(answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    silent: dict[str, list[str]] = {}
    for answer in answers:
        name = visible(answer["specialist"]).replace("_", " ")
        for one in answer["proposals"]:
            percent = percent_text(one["confidence_bp"])
            target = category_text(visible(one["target"]))
            yield f"- {name} proposed {target} at {percent}: {quoted(one['rationale'], MAX_SAID)}"
        for one in answer["concerns"]:
            yield f"- {name} warned: {quoted(one['rationale'], MAX_SAID)}"
        if not answer["proposals"] and not answer["concerns"]:
            silent.setdefault(_SILENT.get(answer["outcome"], "had nothing to say"), []).append(name)
    for what, names in silent.items():
        yield f"- {listed(names)} {what}"


def _decision(decision: Mapping[str, Any]) -> Iterator[str]:
    if decision["outcome"] == "Applied":
        what = f"put it under {category_text(decision['category'])}"
    else:
        what = "sent it to a person" if decision["outcome"] == "NeedsReview" else "refused"
    yield f"The guard {what}, under policy {visible(decision['policy_version'], 80)}:"
    for code in decision["reason_codes"]:
        yield f"- {_reason(code)}"


def _review(payload: Mapping[str, Any]) -> str:
    was, now = payload["was"], payload["is"]
    note = f" Note: {quoted(payload['note'], MAX_SAID)}" if payload["note"] else ""
    if payload["action"] == "route":
        return f"sent it (back) to the list of reviews.{note}"
    if payload["action"] == "approve":
        return f"approved the suggestion: {category_text(now['category'])}.{note}"
    before = f" instead of {category_text(was['category'])}" if was["category"] else ""
    return f"put it under {category_text(now['category'])}{before}.{note}"


def _person(record: Body) -> str:
    who = record["who"]
    return quoted(who["id"]) if who["kind"] == "person" else f"{visible(who['kind'])} {visible(who['id'])}"


def _reason(code: str) -> str:
    known = REASONS.get(code)
    return f"{known.explanation} ({code})" if known else f"({visible(code)})"


def percent_text(basis_points: int) -> str:
    """9850 is "98.5 %"."""
    whole, part = divmod(basis_points * 100, BASIS_POINTS)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".") + " %"


def _record_facts(record: Body) -> dict[str, Any]:
    payload = record["payload"] or {}
    told: dict[str, Any] = {"sequence": record["sequence"], "what": record["what"], "at": record["at"]}
    if record["what"] == "transaction_decided" and payload:
        told["outcome"] = payload["decision"]["outcome"]
        told["reason_codes"] = payload["decision"]["reason_codes"]
        told["policy_version"] = payload["decision"]["policy_version"]
        told["proposals"] = [
            {"specialist": answer["specialist"], "target": one["target"], "confidence_bp": one["confidence_bp"]}
            for answer in payload["answers"]
            for one in answer["proposals"]
        ]
    return told
