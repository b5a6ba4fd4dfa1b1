"""ClassifyTransaction: specialists propose, the guard decides, and one commit keeps all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from shared.audit.record import Entry
from shared.contracts.identity import partition_of, run_id_of
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import TerminalError
from shared.flows.classification_record import answer_json, decided_body, decision_json, finished, score
from shared.guard.decision import Answer, Decision
from shared.guard.evaluate import evaluate
from shared.guard.policy import Policy, for_tenant
from shared.ledger import transactions as ledger
from shared.ledger.descriptor import normalised
from shared.ledger.events import decision_changed
from shared.ledger.memory import memory_keys
from shared.ports.document_store import Body, Document
from shared.ports.event_publisher import CloudEvent
from shared.runs.life_cycle import Run, moved_to, stage, with_stages
from shared.specialists.registry import specialists_for
from shared.specialists.routing import lane_of
from shared.specialists.runner import Limits, propose_all
from shared.specialists.specialist import Case, Charge, Knowledge, Specialist
from shared.specialists.transfer import needs_counterparts

if TYPE_CHECKING:
    from shared.contracts.commands import ClassifyTransactionEnvelope
    from shared.contracts.transactions import TransactionFacts

MAX_TENANTS_KEPT = 1000
PARKED = "command_parked"
GUARD = {"kind": "guard", "id": "policy"}


@dataclass(frozen=True, slots=True)
class ClassifyTransactionFlow:
    """Reads once, asks the specialists side by side, lets the guard decide. Costs one `read_many`, at most one query
    (the counterparts of a possible transfer, only for tenants with several accounts) and one commit."""

    policy: Policy
    limits: Limits
    clock: Callable[[], float]
    models: Sequence[Specialist] = ()
    _tenants: dict[str, tuple[Policy, frozenset[str]]] = field(default_factory=dict)

    def needs(self, command: ClassifyTransactionEnvelope) -> tuple[str, ...]:
        facts = command.payload.transaction
        expected = expected_category(facts, self.policy)
        return (
            ledger.transaction_doc_id(facts.transaction_id),
            ledger.PROFILE_ID,
            ledger.merchant_doc_id(facts.descriptor, facts.currency),
            *([ledger.category_doc_id(expected, facts.currency)] if expected else []),
            *(memory_doc_id(key) for key in memory_keys(facts.descriptor, facts.account, facts.group)),
        )

    async def handle(self, work: Work) -> Outcome:
        facts = work.command.payload.transaction
        stored = work.documents.get(ledger.transaction_doc_id(facts.transaction_id))
        body = self._transaction(work, facts, stored)
        if body["decision_version"] and body["reason_codes"][:1] != [PARKED]:
            return _already_decided(work, facts, body)
        case = await self._case(work, facts)
        lane = lane_of(case)
        asked = specialists_for(lane, self.policy, self.models)
        answers = await propose_all(case, asked, limits=self.limits, clock=self.clock)
        decision = evaluate(
            lane=lane,
            answers=answers,
            facts=facts,
            policy=case.policy,
            chart=case.chart,
            previous_state=body["review_state"],
        )
        return self._outcome(work, body, answers, decision, etag=stored.etag if stored else "")

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        """A transaction whose classification cannot be done waits for a person like any other uncertain one. One that
        another command is to decide is left to that."""
        facts, at, run_id = command.payload.transaction, run["completed_at"], run["run_id"]
        partition = partition_of(command.tenant)
        stored = documents.get(ledger.transaction_doc_id(facts.transaction_id))
        if stored is None:
            body = ledger.unclassified(partition, facts.model_dump(), at=at, ingestion_id="", run_id=run_id).body
        elif stored.body["run_id"] == run_id and stored.body["review_state"] == "Unclassified":
            body = stored.body
        else:
            return Left()
        body = ledger.decided(body, "NeedsReview", at=at, reason_codes=[PARKED, reason])
        told = {"run_id": run_id, "correlation_id": command.correlation_id, "traceparent": command.traceparent}
        document = ledger.transaction_document(partition, body, etag=stored.etag if stored else "")
        return Left([document], [decision_changed(partition, body, at=at, **told)])

    def _transaction(self, work: Work, facts: TransactionFacts, stored: Document | None) -> Body:
        """The stored transaction; an outside producer's is new. A message that tells another story is refused."""
        told = facts.model_dump()
        if stored is None:
            run_id = work.run["run_id"]
            return ledger.unclassified(work.partition, told, at=work.at, ingestion_id="", run_id=run_id).body
        if stored.body["facts"] != told:
            raise TerminalError("facts_differ", "a transaction with this id and other facts is already stored")
        return stored.body

    async def _case(self, work: Work, facts: TransactionFacts) -> Case:
        profile = work.documents.get(ledger.PROFILE_ID)
        accounts = frozenset(profile.body["accounts"]) if profile else frozenset()
        policy, chart = self._rules_of(profile.body if profile else {})
        asks = len(accounts) > 1 and needs_counterparts(facts, policy)
        return Case(
            facts=facts,
            merchant=normalised(facts.descriptor),
            knowledge=Knowledge(
                own_accounts=accounts,
                counterparts=await _counterparts(work, facts, policy.transfer.counterpart_days) if asks else (),
                memory=_memory(work.documents),
                **_history(work.documents, facts),
            ),
            policy=policy,
            chart=chart,
        )

    def _rules_of(self, profile: Body) -> tuple[Policy, frozenset[str]]:
        """The policy and chart that judge for this tenant. Kept by their hash: most commands of a tenant share them."""
        rules = profile.get("rules", "")
        if rules not in self._tenants:
            if len(self._tenants) >= MAX_TENANTS_KEPT:
                self._tenants.clear()
            own = for_tenant(self.policy, rules, profile.get("review_limit_minor", {}))
            self._tenants[rules] = (own, frozenset(profile.get("chart", ())) or own.chart)
        return self._tenants[rules]

    def _outcome(self, work: Work, body: Body, answers: Sequence[Answer], decision: Decision, *, etag: str) -> Outcome:
        at = work.at
        changed = decided_body(body, decision, at=at, run_id=work.run["run_id"])
        run = finished(work.run, answers, decision, at=at)
        payload = {
            "facts": body["facts"],
            "decision": decision_json(decision),
            "decision_version": changed["decision_version"],
            "review_state": changed["review_state"],
            "answers": [answer_json(answer) for answer in answers],
        }
        return Outcome(
            run=run,
            entries=[Entry("transaction_decided", GUARD, _ids(work, body["facts"]["transaction_id"]), payload)],
            writes=[
                ledger.transaction_document(work.partition, changed, etag=etag),
                *self._remembered(work, changed),
            ],
            events=[decision_changed_by(work, changed)],
            scores=[score(answer, decision) for answer in answers],
        )

    def _remembered(self, work: Work, changed: Body) -> list[Document]:
        """The merchant's and the category's recent amounts, against which later ones are judged. A category that the
        rules did not expect was not read, so it is left alone."""
        facts = work.command.payload.transaction
        told = changed["facts"]
        documents = [_updated(work, "merchant", ledger.merchant_doc_id(facts.descriptor, facts.currency), told)]
        category = changed["category"]
        if category and category == expected_category(facts, self.policy):
            id_ = ledger.category_doc_id(category, facts.currency)
            documents.append(_updated(work, "category", id_, told, category))
        return [document for document in documents if document is not None]


def _already_decided(work: Work, facts: TransactionFacts, body: Body) -> Outcome:
    """The same transaction under another command id: it was decided once, and stays so."""
    at = work.at
    code = "transaction_already_decided"
    rationale = f"the transaction is {body['review_state']} since decision {body['decision_version']}"
    skipped = stage("guard", "Skipped", order=1, at=at, code=code, rationale=rationale)
    run = moved_to(with_stages(work.run, [skipped]), "Completed", at=at)
    payload = {"decision_version": body["decision_version"], "review_state": body["review_state"]}
    return Outcome(run=run, entries=[Entry(code, GUARD, _ids(work, facts.transaction_id), payload)])


def _ids(work: Work, transaction_id: str) -> dict[str, str]:
    return {
        "run": work.run["run_id"],
        "command": work.command.command_id,
        "transaction": transaction_id,
        "correlation": work.command.correlation_id,
    }


def decision_changed_by(work: Work, changed: Body) -> CloudEvent:
    """The event of `changed`, a transaction's body, caused by `work`."""
    return decision_changed(
        work.partition,
        changed,
        at=work.at,
        run_id=work.run["run_id"],
        correlation_id=work.command.correlation_id,
        traceparent=work.command.traceparent,
    )


def memory_doc_id(key: str) -> str:
    """The document that holds what memory knows under `key`."""
    return f"memory:{key}"


def expected_category(facts: TransactionFacts, policy: Policy) -> str:
    """The category that the rules point to, as far as it can be told before anything is read; "" for none."""
    by_code = policy.mcc.get(facts.mcc)
    if by_code:
        return by_code[0]
    hit = policy.lexicon.read(facts.descriptor).best("category", facts.amount_minor)
    return hit.rule.target if hit else ""


async def _counterparts(work: Work, facts: TransactionFacts, days: int) -> tuple[Charge, ...]:
    """Other transactions of the same size within a few days: the one query of a classification."""
    day = date.fromisoformat(facts.booked_on)
    page = await work.store.query(
        work.partition,
        "transaction",
        key=("amount", ledger.amount_key(facts.currency, facts.amount_minor)),
        low=str(day - timedelta(days=days)),
        high=str(day + timedelta(days=days + 1)),
        limit=11,
    )
    found = [document.body["facts"] for document in page.documents]
    others = [one for one in found if one["transaction_id"] != facts.transaction_id][:10]
    return tuple([_charge(one, one["currency"], one["descriptor"]) for one in others])


def _charge(told: dict[str, Any], currency: str, descriptor: str = "") -> Charge:
    account, amount_minor = told["account"], told["amount_minor"]
    return Charge(told["transaction_id"], account, told["booked_on"], amount_minor, currency, descriptor)


def _memory(documents: Mapping[str, Document]) -> dict[str, Body]:
    return {
        id_.removeprefix("memory:"): document.body for id_, document in documents.items() if document.kind == "memory"
    }


def _history(documents: Mapping[str, Document], facts: TransactionFacts) -> dict[str, Any]:
    """Recent charges and amounts of the merchant and of the category that the rules expect."""
    history: dict[str, Any] = {"category_amounts": {}}
    for document in documents.values():
        if document.kind == "merchant":
            history["charges"] = tuple([_charge(one, facts.currency) for one in document.body["charges"]])
            history["merchant_amounts"] = tuple(document.body["amounts"])
        elif document.kind == "category":
            history["category_amounts"] = {document.body["category"]: tuple(document.body["amounts"])}
    return history


def _updated(work: Work, kind: str, id_: str, told: dict[str, Any], category: str = "") -> Document | None:
    stored = work.documents.get(id_)
    before = stored.body if stored else None
    body = ledger.with_amount(before, category, told) if category else ledger.charged(before, told)
    if body is before:
        return None
    return Document(work.partition, id_, kind, body, etag=stored.etag if stored else "")


def run_id_for(partition: str, transaction_id: str) -> str:
    """The run that classifies a transaction."""
    return run_id_of(partition, ledger.classify_command_id(partition, transaction_id))
