"""How an answered turn is written down: the reply, the actions and cards, the run, the record and the stream. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.actions.registry import reaches_outside
from shared.approvals import record as cards
from shared.approvals.card import OPEN
from shared.audit.record import Entry
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.conversation.talked_about import heard, intent_in, remembered
from shared.delivery.handling import Outcome, Work
from shared.flows.turn import Book, Draft, Turn, finishing
from shared.flows.wishes import Granted, Weighed, outcomes
from shared.guard.action_policy import ActionPolicy
from shared.guard.reasons import APPLIED
from shared.ports.document_store import Body, Document, Merge
from shared.runs.life_cycle import Run, moved_to, signal, stage, with_signals, with_stages

ORCHESTRATOR = {"kind": "worker", "id": "conversation"}
PIECE = 400
"""Characters of one piece of a reply that was not heard live."""


def answered(
    turn: Turn,
    book: Book,
    draft: Draft,
    wishes: Sequence[Granted],
    *,
    text: str,
    disposition: str,
    policy: ActionPolicy | None,
) -> Outcome:
    """Everything that one answered message leaves."""
    work, message = turn.work, turn.message.body
    actions = [one.action for one in wishes if one.action]
    open_cards = [one.card for one in wishes if one.card]
    reply = talk.reply(
        work.partition,
        message | {"run_id": work.run["run_id"]},
        text=text,
        provenance=talk.Provenance(draft.source, draft.specialists, disposition),
        at=work.at,
        approvals=[card.body["approval_id"] for card in open_cards],
        actions=[action.body["action_id"] for action in actions],
        mentions=draft.mentions[:50],
    )
    gone = [document for one in draft.gone for document in (one.card, one.action)]
    events = [*book.events, *_told(book, reply.body, text, [*gone, *actions, *open_cards])]
    return Outcome(
        run=_run(work, book, draft, open_cards, policy),
        entries=[
            _entry(turn, draft, wishes, disposition),
            *(entry for one in draft.gone for entry in one.entries),
            *(entry for one in wishes for entry in one.entries),
        ],
        writes=[talk.ended(turn.message, "answered"), reply, *gone, *actions, *open_cards],
        commands=[one.command for one in wishes if one.command],
        merges=[_merge(turn, draft, events, wishes)],
    )


def skipped(work: Work) -> Outcome:
    """The message was answered or superseded before: nothing is said twice."""
    code = "message_done_with"
    done = stage("plan", "Skipped", order=1, at=work.at, code=code, rationale="the message was done with before")
    run = moved_to(with_stages(work.run, [done]), "Completed", at=work.at)
    told = work.command.payload
    ids = {"run": work.run["run_id"], "command": work.command.command_id, "conversation": told.conversation_id}
    return Outcome(run=run, entries=[Entry(code, ORCHESTRATOR, ids, {"turn": told.turn})])


def judgement_told(one: Weighed) -> Body:
    """What a model is told of the guard's judgement on its wish."""
    if one.judged is None:
        return {"outcome": "AskBack", "problem": one.problem}
    return {
        "outcome": one.judged.outcome,
        "disposition": one.judged.disposition,
        "reason_codes": list(one.judged.reason_codes),
    }


def _merge(turn: Turn, draft: Draft, events: list[stream.Event], wishes: Sequence[Granted]) -> Merge:
    work, body = turn.work, turn.message.body
    pending, wished = _talked_about(draft, wishes)
    change = talk.together(
        talk.opened([one.card.body["approval_id"] for one in wishes if one.card]),
        *(talk.closed(one.card.body["approval_id"]) for one in draft.gone),
        heard(pending, draft.still.asked, draft.recent, wished=wished, question=draft.still.question),
    )
    if turn.late:
        return stream.told(body["conversation_id"], events, now=work.now, change=change)
    return finishing(work.partition, body["conversation_id"], body["turn"], events, now=work.now, change=change)


def _talked_about(draft: Draft, wishes: Sequence[Granted]) -> tuple[Body | None, Body | None]:
    """What the conversation keeps of what is pending, and of the wish that was put before the guard."""
    still = draft.still
    if still.pending is None:
        return None, None
    made = next((one for one in wishes if one.weighed.wish is still.wished), None)
    if made is not None and made.action is not None:
        action = made.action.body
        fixed = made.card is not None or (action["decision"] == APPLIED and reaches_outside(action["action"]))
        action_id = action["action_id"] if fixed else ""
        told = remembered(still.pending, action_id=action_id, outcome=action["decision"])
        return told, told
    gone = {one.card.body["approval_id"] for one in draft.gone}
    if still.held is None or still.held["action_id"] in gone or made is not None:
        return remembered(still.pending), None
    same = still.pending == intent_in(still.held)
    outcome = still.held["outcome"] if same else ""
    return remembered(still.pending, action_id=still.held["action_id"], outcome=outcome), None


def _told(book: Book, reply: Body, text: str, changed: Sequence[Document]) -> list[stream.Event]:
    """The rest of the run's events: words, what became of actions and cards, and the end."""
    pieces = book.pieces if "".join(book.pieces) == text else [text]
    others = len(book.events) + len(changed) + 3
    if len(pieces) > stream.MAX_EVENTS - others or pieces == [text]:
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    cards_ = [one.body for one in changed if one.kind == "approval"]
    waiting = [body for body in cards_ if body["state"] in OPEN]
    return [
        *stream.text(reply["message_id"], pieces),
        *(stream.custom("action", _action_told(one.body)) for one in changed if one.kind == "action"),
        *(stream.custom("approval", cards.told(body)) for body in cards_),
        stream.run_finished(book.conversation_id, book.run_id, cards=waiting),
    ]


def _action_told(body: Body) -> Body:
    return {name: body[name] for name in ("action_id", "action", "state", "code", "approval_id")}


def _run(work: Work, book: Book, draft: Draft, open_cards: Sequence[Document], policy: ActionPolicy | None) -> Run:
    run = {**work.run, "policy_version": policy.version if policy else ""}
    raised = [
        signal("approval_required", "Info", f"waits for a signature: {card.body['card']['title']}", at=work.at,
               requires_human=True)
        for card in open_cards
    ]  # fmt: skip
    if draft.degraded:
        said = "the model gave no answer: advice by the grammar, nothing asked for"
        raised.append(signal("model_unavailable", "Warning", said, at=work.at))
    return moved_to(with_signals(with_stages(run, book.stages), raised), "Completed", at=work.at)


def _entry(turn: Turn, draft: Draft, wishes: Sequence[Granted], disposition: str) -> Entry:
    work, message = turn.work, turn.message.body
    ids = {
        "run": work.run["run_id"],
        "command": work.command.command_id,
        "correlation": work.command.correlation_id,
        "conversation": message["conversation_id"],
        "message": message["message_id"],
    }
    payload = {
        "turn": message["turn"],
        "source": draft.source,
        "specialists": list(draft.specialists),
        "disposition": disposition,
        "degraded": draft.degraded,
        "decisions": outcomes(wishes),
    }
    return Entry("message_answered", ORCHESTRATOR, ids, payload)
