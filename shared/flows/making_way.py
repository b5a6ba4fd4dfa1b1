"""What a message says about a wish that waits: a correction or a refusal ends its card, in the commit of the reply.

Superseded cards and cancelled actions are all on the record. Once a card is settled nothing can be taken back, and
nothing new is asked for on the strength of a correction: the person is told, and asked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.actions import life_cycle as actions
from shared.approvals import card as cards
from shared.approvals import record
from shared.audit.record import Entry
from shared.audit.seal import alteration, proof_ids
from shared.conversation import grammar, wording
from shared.conversation.intent import Intent, Reading
from shared.conversation.talked_about import intent_in, pending_of, settled_of, too_late
from shared.flows.stored_action import described_safely
from shared.guard.reasons import APPLIED
from shared.ports.document_store import Body, Document, DocumentStore

if TYPE_CHECKING:
    from shared.flows.turn import Turn

log = logging.getLogger("countersign.conversation")
_SHORTEST: Final = 3
"""Letters of a word that may name a card."""


class Why(NamedTuple):
    """code: what the card and its action say of it; said: the same for people."""

    code: str
    said: str


CORRECTED: Final = Why("corrected_by_requester", "the requester said it otherwise")
WITHDRAWN: Final = Why("withdrawn_by_requester", "the requester took it back")


class Gone(NamedTuple):
    """A card that counts no longer, its cancelled action, and their entries."""

    card: Document
    action: Document
    entries: tuple[Entry, ...]


class Understood(NamedTuple):
    """A message, less what it says too late. gone: cards that make way for it. said: what became of earlier wishes."""

    reading: Reading
    gone: tuple[Gone, ...] = ()
    said: str = ""


async def understood(turn: Turn) -> Understood:
    """How the grammar reads the message, and which cards make way for it.

    Only the requester talks in a conversation, so nobody else is asked: taking back moves nothing.
    """
    reading = grammar.read(turn.text, heard=turn.context)
    held, settled = pending_of(turn.conversation), settled_of(turn.conversation)
    if any(intent.name == "deny" for intent in reading.intents):
        return await _refused(turn, reading, held, settled)
    if held and held["action_id"] and reading.revises is not None and reading.revises in reading.intents:
        gone = await _gone(turn, [held["action_id"]], CORRECTED)
        if gone:
            return Understood(reading, gone, wording.replaced(_title(gone[0].card)))
        return await _too_late(turn, reading, reading.revises, held["action_id"])
    if settled is not None:
        intended = too_late(turn.text, turn.context, reading, intent_in(settled), turn.conversation["asked"])
        if intended is not None:
            return await _too_late(turn, reading, intended, settled["action_id"])
    return Understood(reading)


async def cards_gone(
    store: DocumentStore,
    partition: str,
    approval_ids: Sequence[str],
    *,
    by: str,
    why: Why,
    ids: Mapping[str, str],
    at: str,
) -> list[Gone]:
    """Those of these cards that wait, superseded. by: the principal. ids: `run_id`, `command_id`, `correlation_id`.

    A card whose time has run out is left to the timer, which says so. One that somebody has altered by hand is left as
    it is, for people to find: nothing is ever carried out on it.
    """
    wanted = [id_ for one in approval_ids for id_ in (cards.approval_doc_id(one), actions.action_doc_id(one))]
    documents = await store.read_many(partition, wanted) if wanted else {}
    records = await store.read_many(partition, proof_ids(*documents.values())) if wanted else {}
    who, found = {"kind": "person", "id": by}, []
    for one in approval_ids:
        card, action = (documents.get(id_) for id_ in (cards.approval_doc_id(one), actions.action_doc_id(one)))
        if card is None or action is None or card.body["state"] not in cards.OPEN:
            continue
        wrong = alteration(card, records) or alteration(action, records)
        if wrong:
            log.error("card %s is not superseded: %s", one, wrong)
            continue
        if cards.has_expired(card.body, at=at):
            continue
        gone = cards.superseded(card, why=why.code, by=ids["command_id"], at=at)
        cancelled = actions.moved(action, "cancelled", at=at, code=why.code, detail=why.said)
        told = record.entry("approval_superseded", gone.body, who=who, why=why.code, **ids)
        found.append(Gone(gone, cancelled, (told, actions.entry("action_cancelled", cancelled.body, who=who, **ids))))
    return found


async def open_cards(turn: Turn) -> list[Body]:
    """The cards of this conversation that wait for people, in the order in which they were asked for."""
    ids = [cards.approval_doc_id(one) for one in turn.conversation["open_approvals"]]
    found = await turn.work.store.read_many(turn.work.partition, ids) if ids else {}
    return [found[id_].body for id_ in ids if id_ in found]


async def status(turn: Turn) -> str:
    """What waits for people, and what has become of the last wish."""
    cards_, wished = await open_cards(turn), turn.conversation.get("wished")
    parts = [wording.waiting(cards_)] if cards_ else []
    if wished and wished["action_id"] and wished["action_id"] not in turn.conversation["open_approvals"]:
        parts.append(f"{await _became(turn, wished['action_id'])}.")
    return "\n".join(parts) or wording.NOTHING_WAITS


async def _refused(turn: Turn, reading: Reading, held: Body | None, settled: Body | None) -> Understood:
    """A no takes back the card that it names, or the wish that was talked about last. One that does not say so by its
    words ("no thanks") may only mean that nothing else is wanted."""
    waiting = await open_cards(turn)
    titles = [card["card"]["title"] for card in waiting]
    takes_back = grammar.takes_back(turn.text)
    if held and not held["action_id"] and held["outcome"] == APPLIED and takes_back:
        return Understood(reading, said=wording.DONE_AT_ONCE)
    asked_back = turn.context.asked != "" or bool(held and not held["action_id"])
    if waiting and (asked_back or not takes_back):
        return Understood(reading, said=wording.still_waits(titles))
    if asked_back:
        return Understood(reading, said=wording.DROPPED)
    wishes_too = any(intent.acts for intent in reading.intents)  # then what is named may be of the new wish
    meant = _meant("" if wishes_too else turn.text, waiting, held or settled)
    if not any(meant):
        return Understood(reading, said=wording.which_card(titles) if waiting else "")
    gone = await _gone(turn, meant, WITHDRAWN)
    said = [wording.withdrawn(_title(one.card)) for one in gone]
    left = set(meant) - {one.card.body["approval_id"] for one in gone}
    said += [wording.cannot_be_called_off(await _became(turn, one)) for one in sorted(left)]
    return Understood(reading, gone, "\n".join(said))


def _meant(text: str, waiting: Sequence[Body], last: Body | None) -> list[str]:
    """What a no is about: the cards that it names, else the wish that was talked about last, else the only card."""
    said = frozenset(text.casefold().replace(",", " ").replace(".", " ").split())
    if said & {"all", "both", "everything"}:
        return [card["approval_id"] for card in waiting]
    named = {card["approval_id"]: len(said & _words(card)) for card in waiting}
    most = max(named.values(), default=0)
    best = [one for one, hits in named.items() if most and hits == most]
    if len(best) == 1:
        return best
    if last is not None:
        return [last["action_id"]]
    return list(named) if len(named) == 1 else []


def _words(card: Body) -> frozenset[str]:
    """What tells a card from the others: the values that it shows, less what any card could show."""
    values = " ".join(value for _, value in card["card"]["what"])
    return frozenset(word for word in values.casefold().split() if len(word) >= _SHORTEST)


async def _gone(turn: Turn, approval_ids: Sequence[str], why: Why) -> tuple[Gone, ...]:
    work = turn.work
    ids = {"run_id": work.run["run_id"], "command_id": work.command.command_id}
    ids |= {"correlation_id": work.command.correlation_id}
    by = turn.message.body["author"]
    return tuple(await cards_gone(work.store, work.partition, approval_ids, by=by, why=why, ids=ids, at=work.at))


async def _too_late(turn: Turn, reading: Reading, intended: Intent, action_id: str) -> Understood:
    """Nothing is changed. Where nothing was done either, the person is asked whether it shall be asked for anew."""
    became = await _became(turn, action_id)
    others = tuple(intent for intent in reading.intents if intent.name != intended.name)
    again = intended if became.nothing_done and not intended.missing and not others else None
    left = reading._replace(intents=others, unsure="", candidate=again, revises=None)
    return Understood(left, said=wording.too_late(became, again))


async def _became(turn: Turn, action_id: str) -> wording.Became:
    """What has become of an action and its card, as they are stored now."""
    ids = cards.approval_doc_id(action_id), actions.action_doc_id(action_id)
    found = await turn.work.store.read_many(turn.work.partition, ids)
    card, action = (found.get(id_) for id_ in ids)
    if action is None:
        return wording.Became("", "gone")
    title, state = described_safely(action.body), action.body["state"]
    if state not in ("waiting", "cancelled") or card is None:
        return wording.Became(title, state)
    if state == "cancelled" and card.body["state"] not in cards.ENDED:
        return wording.Became(title, state)
    if cards.has_expired(card.body, at=turn.work.at):
        return wording.Became(title, "expired")
    return wording.Became(title, card.body["state"])


def _title(card: Document) -> str:
    return str(card.body["card"]["title"])
