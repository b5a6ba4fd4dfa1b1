"""How an answered turn is written down: the reply, the actions and cards, the run, the record and the stream. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.approvals import record as cards
from shared.audit.record import Entry
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.delivery.handling import Outcome, Work
from shared.flows.turn import Book, Draft, Turn, finishing
from shared.flows.wishes import Granted, Weighed, outcomes
from shared.guard.action_policy import ActionPolicy
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
    events = [*book.events, *_told(book, reply.body, text, actions, open_cards)]
    return Outcome(
        run=_run(work, book, draft, open_cards, policy),
        entries=[_entry(turn, draft, wishes, disposition), *(entry for one in wishes for entry in one.entries)],
        writes=[talk.ended(turn.message, "answered"), reply, *actions, *open_cards],
        commands=[one.command for one in wishes if one.command],
        merges=[_merge(turn, draft, events, open_cards)],
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


def _merge(turn: Turn, draft: Draft, events: list[stream.Event], cards_: Sequence[Document]) -> Merge:
    work, body = turn.work, turn.message.body
    change = talk.together(
        talk.heard(draft.pending, draft.asked, draft.recent),
        talk.opened([card.body["approval_id"] for card in cards_]),
    )
    if turn.late:
        return stream.told(body["conversation_id"], events, now=work.now, change=change)
    return finishing(work.partition, body["conversation_id"], body["turn"], events, now=work.now, change=change)


def _told(
    book: Book, reply: Body, text: str, actions: Sequence[Document], open_cards: Sequence[Document]
) -> list[stream.Event]:
    """The rest of the run's events: words, what became of wishes, and the end."""
    pieces = book.pieces if "".join(book.pieces) == text else [text]
    others = len(book.events) + len(actions) + len(open_cards) + 3
    if len(pieces) > stream.MAX_EVENTS - others or pieces == [text]:
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    return [
        *stream.text(reply["message_id"], pieces),
        *(stream.custom("action", _action_told(action.body)) for action in actions),
        *(stream.custom("approval", cards.told(card.body)) for card in open_cards),
        stream.run_finished(book.conversation_id, book.run_id, cards=[card.body for card in open_cards]),
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
