"""What the steps of an action share: everything stored that its check looks at, and what people are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from shared.actions import life_cycle
from shared.actions.action import Situation
from shared.actions.breaker import BreakerRule
from shared.actions.carrying_out import Line
from shared.actions.dispatcher import Stored
from shared.actions.registry import ACTIONS, described
from shared.actions.tally import counted
from shared.approvals.card import approval_doc_id
from shared.approvals.record import told as card_told
from shared.audit.record import Entry
from shared.audit.seal import alteration, proof_ids
from shared.contracts.commands import envelope
from shared.contracts.identity import deterministic_id
from shared.contracts.instants import parse, text
from shared.conversation import stream
from shared.conversation.documents import closed, notice, notice_events
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import RetryableError, TerminalError
from shared.guard.action_policy import ActionPolicy
from shared.ledger.transactions import PROFILE_ID
from shared.ports.action_backend import ActionBackend
from shared.ports.document_store import Body, Document, Merge
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

ON_THE_WAY = ("requested", "intended")
"""States of an action that its backend may keep waiting."""
DISPATCHER = {"kind": "system", "id": "dispatcher"}


class Gathered(NamedTuple):
    """An action with its card and records, and the world as our own store knows it."""

    stored: Stored
    situation: Situation


async def gathered(
    work: Work, action: Document, *, chart: frozenset[str], own_accounts: Mapping[str, frozenset[str]]
) -> Gathered:
    """Two round trips: the action's records, card and documents; then the card's records, with a newer head."""
    body, kind = action.body, ACTIONS.get(action.body["action"])
    card_id = approval_doc_id(body["approval_id"]) if body["approval_id"] else ""
    wanted = [PROFILE_ID, *proof_ids(action), *([card_id] if card_id else [])]
    found = await work.store.read_many(work.partition, [*wanted, *(kind.documents(body) if kind else ())])
    card = found.get(card_id)
    records = {**found}
    if card is not None:
        records |= await work.store.read_many(work.partition, proof_ids(card))
    profile = found.get(PROFILE_ID)
    situation = Situation(
        partition=work.partition,
        documents=found,
        chart=frozenset(profile.body["chart"] if profile else ()) or chart,
        own_accounts=own_accounts.get(work.command.tenant, frozenset()),
        at=work.at,
        run_id=work.run["run_id"],
        correlation_id=work.command.correlation_id,
        traceparent=work.command.traceparent,
    )
    return Gathered(Stored(work.command.tenant, action, card, records), situation)


def line_to(work: Work, backend: ActionBackend, policy: ActionPolicy | None, name: str) -> Line:
    """How action `name` reaches its backend. What policy no longer lists can still be asked about, briefly."""
    rule = policy.actions.get(name) if policy else None
    seconds = rule.timeout_seconds if rule else 5.0
    pauses = BreakerRule(*policy.breaker) if policy else BreakerRule()
    return Line(backend, pauses, seconds, work.store, work.now)


def entry_of(what: str, work: Work, body: Body, **payload: Any) -> Entry:
    """The audit entry of a step of the action by this command."""
    return life_cycle.entry(
        what,
        body,
        who=DISPATCHER,
        run_id=work.run["run_id"],
        command_id=work.command.command_id,
        correlation_id=work.command.correlation_id,
        **payload,
    )


def request_of(work: Work, body: Body) -> dict[str, Any]:
    """The command that checks the action (its body, or its card's) for the last time; always the same one."""
    return envelope(
        "RequestAction",
        {"action_id": body["action_id"]},
        command_id=deterministic_id(work.partition, "request_action", body["action_id"]),
        tenant=work.command.tenant,
        source=body["conversation_id"],
        issued_at=work.now,
        causation_id=work.command.command_id,
        traceparent=work.command.traceparent,
    )


def feedback(
    partition: str,
    body: Body,
    words: str,
    *,
    run: Run,
    at: str,
    now: datetime,
    cards: Sequence[Body] = (),
    key: str = "",
    waits_for: str = "",
) -> tuple[list[Document], list[Merge]]:
    """What the conversation is told of the action's new state: a notice, and the stream. Nothing without one.

    cards: bodies of the cards that changed with it. key: what is told once; "" for once in each run. waits_for: why it
    waits, a code."""
    conversation_id = body["conversation_id"]
    if not conversation_id:
        return [], []
    told = notice(
        partition,
        conversation_id,
        turn=body["turn"],
        key=f"{body['action_id']}-{key or run['run_id']}",  # not the state: a person may have to look twice
        text=words,
        at=at,
        run_id=run["run_id"],
        command_id=run["command_id"],
        correlation_id=run["correlation_id"],
        approvals=[body["approval_id"]] if body["approval_id"] else [],
        actions=[body["action_id"]],
        mentions=body["mentions"],
    )
    happened = [stream.custom("approval", card_told(card)) for card in cards]
    waiting = {"waits_for": waits_for} if waits_for else {}
    events = notice_events(told.body, [*happened, stream.custom("action", {**shown(body), **waiting})])
    change = closed(body["approval_id"]) if body["approval_id"] and not waits_for else stream.unchanged
    return [told], [stream.told(conversation_id, events, now=now, change=change)]


def shown(body: Body) -> dict[str, Any]:
    """The action's state as the stream tells it."""
    return {name: body[name] for name in ("action_id", "action", "state", "code", "detail", "reference", "finished_at")}


def stored_action(work: Work) -> Document:
    """The action of the command; without one, or with the ruin of one, the command can never succeed."""
    action = work.documents.get(life_cycle.action_doc_id(work.command.payload.action_id))
    if action is None:
        raise TerminalError("action_missing", "there is no such action")
    if not life_cycle.is_whole(action):
        raise TerminalError("record_altered", f"{action.id} is no action any more")
    return action


async def is_erased(work: Work, action: Document) -> bool:
    """Whether nobody can tell any more what the action was: it is never tried (again). `TerminalError` for one that
    only says so."""
    if "erased_at" not in action.body:
        return False
    records = await work.store.read_many(work.partition, proof_ids(action))
    if wrong := alteration(action, records):
        raise TerminalError("record_altered", wrong)
    return True


def in_state(documents: Mapping[str, Document], action_id: str, state: str) -> Document | None:
    """The action if it is whole and in `state`."""
    action = documents.get(life_cycle.action_doc_id(action_id))
    return action if action and life_cycle.is_whole(action) and action.body["state"] == state else None


def settled_already(work: Work, body: Body) -> Outcome:
    """A redelivery, or a step that was taken otherwise: recorded, and nothing more."""
    rationale = f"the action is {body['state']}: nothing is done again"
    skipped = stage("dispatch", "Skipped", order=1, at=work.at, code="action_settled", rationale=rationale)
    run = moved_to(with_stages(work.run, [skipped]), "Completed", at=work.at)
    return Outcome(run=run, entries=[entry_of("action_settled", work, body)])


def left_for_review(partition: str, action: Document, *, run: Run, reason: str) -> Left:
    """An action whose command was parked: a person must look, and the conversation says so."""
    at = run["completed_at"]
    body = action.body
    title = described_safely(body)
    was_tried = body["intent_at"] and body["backend"]
    unknown = "nobody can tell yet whether it was done" if was_tried else "nothing was done"
    said = f"{title}: this could not be finished ({reason.replace('_', ' ')}), and {unknown}. A person must look."
    left = life_cycle.moved(action, "needs_review", at=at, code=reason, detail=said)
    notices, merges = feedback(partition, left.body, said, run=run, at=at, now=parse(at))
    return Left([left, *notices], merges=[counted(partition, left.body, outcome="needs_review", at=at), *merges])


WAITS_FOR: Mapping[str, str] = {
    "backend_unavailable": "the {backend} cannot be reached",
    "breaker_open": "the {backend} has failed too often just now, and is left alone for a while",
    "effect_unknown": "the {backend} did not say whether it was done; it is asked that, and never to do it twice",
    "effect_pending": "the {backend} is still working on it",
}
"""Why an action waits for its backend, by the error's code. Whatever else delays it is not for people to know."""


def left_waiting(
    command: Any, documents: Mapping[str, Document], *, run: Run, why: RetryableError, now: datetime
) -> Left:
    """What people are told, once for each action, when its backend keeps it waiting."""
    action = documents.get(life_cycle.action_doc_id(command.payload.action_id))
    if action is None or why.code not in WAITS_FOR or not life_cycle.is_whole(action) or "erased_at" in action.body:
        return Left()
    body, at = action.body, text(now)
    if body["state"] not in ON_THE_WAY:
        return Left()  # settled by another delivery of the command, or a person's to look at
    reason = WAITS_FOR[why.code].format(backend=body["backend"])
    said = f"{described_safely(body)}: this waits, because {reason}. It goes on by itself, and you will be told."
    notices, merges = feedback(action.partition, body, said, run=run, at=at, now=now, key="waiting", waits_for=why.code)
    ids = {"run_id": run["run_id"], "command_id": command.command_id, "correlation_id": command.correlation_id}
    entry = life_cycle.entry("action_waiting", body, who=DISPATCHER, waits_for=why.code, **ids)
    return Left(notices, merges=merges, entries=[entry])


def described_safely(body: Body) -> str:
    """The action in words, also when its arguments are no longer what they should be."""
    try:
        return described(body["action"], body["arguments"]).title
    except (KeyError, TypeError, ValueError, AttributeError):
        return str(body["action"]).replace("_", " ")
