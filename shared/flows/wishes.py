"""A wish becomes an action, or not: its arguments are checked, the guard judges, and what comes of it is written down.

The grammar's wishes and a model's come through here alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.actions import life_cycle, registry
from shared.actions.action import action_id_of, proposed
from shared.actions.outgoing import UNTOLD
from shared.approvals.card import Card, requested
from shared.approvals.record import requested_entry
from shared.audit.record import Entry
from shared.contracts.currencies import money_text
from shared.conversation import wording
from shared.conversation.documents import MAX_OPEN_APPROVALS
from shared.errors import InvalidInputError
from shared.flows.stored_action import request_of
from shared.flows.turn import Turn
from shared.guard.action_policy import ActionPolicy
from shared.guard.disposition import NOTHING_LATELY, Judgement, judge
from shared.guard.reasons import APPLIED, DEFERRED, REASONS, REJECTED
from shared.ports.document_store import Body, Document
from shared.specialists.advisor import Wish

GUARD = {"kind": "guard", "id": "policy"}
MAX_WISHES = 3
"""Actions that one message may ask for."""


class Weighed(NamedTuple):
    """A wish as the guard sees it. problem: why it cannot be judged as it stands, a sentence; then `judged` is None.
    lately: what counted with it."""

    wish: Wish
    arguments: Body
    judged: Judgement | None
    problem: str = ""
    lately: Mapping[str, int] = NOTHING_LATELY


class Granted(NamedTuple):
    """What to write for one wish, and what to say. Nothing is written for one that is asked back."""

    weighed: Weighed
    said: str
    action: Document | None = None
    card: Document | None = None
    entries: tuple[Entry, ...] = ()
    command: dict[str, Any] | None = None


def weighed(
    wish: Wish, turn: Turn, policy: ActionPolicy | None, *, lately: Mapping[str, int] = NOTHING_LATELY
) -> Weighed:
    """Valid arguments, then the judgement; what is not in the registry is judged as it came, to be denied on record."""
    arguments: Body = dict(wish.arguments)
    if wish.action in registry.ACTIONS:
        try:
            arguments = registry.valid_arguments(wish.action, wish.arguments)
        except InvalidInputError as failed:
            return Weighed(wish, arguments, None, _what_is_wrong(failed))
    money = registry.money_of(wish.action, arguments)
    judged = judge(
        wish.action,
        arguments,
        policy=policy,
        requester_roles=turn.message.body["roles"],
        amount_minor=money.amount_minor if money else None,
        currency=money.currency if money else "",
        lately=lately,
    )
    return Weighed(wish, arguments, judged, lately=lately)


def granted(turn: Turn, one: Weighed, number: int, *, configuration: Mapping[str, str], waiting: int) -> Granted:
    """number: of the wish in its message, from 0. waiting: cards of this conversation that are open already."""
    if one.judged is None:
        return Granted(one, one.problem)
    shown = registry.described(one.wish.action, one.arguments)
    if one.judged.outcome == DEFERRED and waiting >= MAX_OPEN_APPROVALS:
        return Granted(one, f"{shown.title}: {waiting} cards wait already; let somebody answer them first.")
    action = _action(turn, one, one.judged, number, configuration)
    entry = _entry("action_proposed", turn, action, decision=one.judged.outcome, reasons=list(one.judged.reason_codes))
    if one.judged.outcome == REJECTED:
        reasons = [REASONS[code].explanation for code in one.judged.reason_codes if code in REASONS]
        return Granted(one, wording.denied(shown.title, reasons), action, None, (entry,))
    if one.judged.outcome == APPLIED:
        return Granted(one, wording.applied(shown.title), action, None, (entry,), request_of(turn.work, action.body))
    work = turn.work
    why = one.wish.why or f'Asked for in the conversation: "{turn.text[:200]}"'
    card = requested(
        work.partition,
        action.body,
        judged=one.judged,
        card=Card(shown.title, shown.what, why, (*one.wish.evidence, *_together(one)), shown.effects),
        tenant=work.command.tenant,
        requested_by=turn.message.body["author"],
        now=work.now,
    )
    ids = {"run_id": work.run["run_id"], "command_id": work.command.command_id}
    asked = requested_entry(card.body, who=GUARD, correlation_id=work.command.correlation_id, **ids)
    said = wording.deferred(shown.title, role=one.judged.role, quorum=one.judged.quorum)
    return Granted(one, said, action, card, (entry, asked))


def outcomes(all_of: Sequence[Granted]) -> dict[str, int]:
    """How many wishes were decided how."""
    counted: dict[str, int] = {}
    for one in all_of:
        name = one.weighed.judged.outcome if one.action and one.weighed.judged else "AskedBack"
        counted[name] = counted.get(name, 0) + 1
    return counted


def _action(turn: Turn, one: Weighed, judged: Judgement, number: int, configuration: Mapping[str, str]) -> Document:
    work, message = turn.work, turn.message.body
    return proposed(
        work.partition,
        action_id=action_id_of(work.partition, message["message_id"], number),
        name=one.wish.action,
        arguments=one.arguments,
        schema_version=registry.schema_version_of(one.wish.action),
        judged=judged,
        tenant=work.command.tenant,
        requested_by=message["author"],
        requester_roles=message["roles"],
        conversation_id=message["conversation_id"],
        message_id=message["message_id"],
        turn=message["turn"],
        run_id=work.run["run_id"],
        command_id=work.command.command_id,
        correlation_id=work.command.correlation_id,
        configuration=configuration,
        at=work.at,
        mentions=registry.mentions_of(one.wish.action, one.arguments),
        lately=one.lately,
    )


def _together(one: Weighed) -> list[str]:
    """What the card says of amounts that count together."""
    if one.judged is None or "several_together" not in one.judged.reason_codes:
        return []
    amounts = sorted((currency, amount) for currency, amount in one.lately.items() if currency != UNTOLD)
    told = [money_text(amount, currency) for currency, amount in amounts]
    before = " and ".join([*told, *(["an amount that nobody can tell"] if UNTOLD in one.lately else [])])
    return [f"{before} was asked for shortly before this; together it takes two people's signatures."]


def _entry(what: str, turn: Turn, action: Document, **payload: Any) -> Entry:
    work = turn.work
    return life_cycle.entry(
        what,
        action.body,
        who=GUARD,
        run_id=work.run["run_id"],
        command_id=work.command.command_id,
        correlation_id=work.command.correlation_id,
        arguments=action.body["arguments"],
        **payload,
    )


def _what_is_wrong(failed: InvalidInputError) -> str:
    """Places and rules only: what was sent is not repeated."""
    places = [f"{one['pointer'].strip('/').replace('_', ' ') or 'it'}: {one['message']}" for one in failed.errors]
    return f"I cannot do that as it stands ({'; '.join(places) or failed}). Could you say it again with more detail?"
