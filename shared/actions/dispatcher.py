"""The dispatcher: the last check before an effect. Only here is a `Permit` made. Pure.

Nothing that was stored is believed: the action and its card are held against the audit chain, digests are made anew,
today's policy judges again (the stricter of pinned and current counts), and the world is looked at once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.actions.action import Permit, Situation
from shared.actions.registry import ACTIONS, money_of, valid_arguments
from shared.approvals.card import digest_of_action, valid_for
from shared.audit.seal import alteration
from shared.contracts.identity import deterministic_id
from shared.contracts.instants import parse
from shared.errors import InvalidInputError, TerminalError
from shared.guard.action_policy import ActionPolicy
from shared.guard.disposition import Judgement, has_role, is_stricter, judge
from shared.guard.reasons import APPLIED
from shared.ports.document_store import Body, Document

Roles = Mapping[str, frozenset[str]]
NO_POLICY = "policy_context_missing"


class Stored(NamedTuple):
    """An action as it is in the store. card: its approval, None for none. records: the audit records of both."""

    tenant: str
    action: Document
    card: Document | None
    records: Mapping[str, Document]


class Refusal(NamedTuple):
    """Why an action is not carried out. code: of `guard.reasons` or of `approvals.card.valid_for`."""

    code: str
    detail: str


NO_CARD = Refusal("approval_missing", "there is no card for this action")


def effect_key(partition: str, action: Body) -> str:
    """What an effect is known by at its backend: the same action with the same digest always has the same one."""
    return deterministic_id(partition, "effect", f"{action['action_id']}\x1f{action['digest']}")


def permit_for(
    stored: Stored, *, policy: ActionPolicy | None, situation: Situation, roles_now: Roles | None, now: datetime
) -> Permit | Refusal:
    """The permit for a requested action, or why there is none.

    roles_now: the present roles of whoever asked and signed, None where only sign-in knows them.
    """
    body, card = stored.action.body, _body_of(stored.card)
    refusal = unsound(stored) or _unsigned(stored, now) or _withdrawn(body, card, roles_now)
    if refusal is not None:
        return refusal
    roles = roles_now[body["requested_by"]] if roles_now is not None else frozenset(body["requester_roles"])
    judged = _judged(body, card, policy, roles)
    refusal = _beyond_policy(judged, body, card, now) or _misfit(body, situation)
    return refusal or _permit(stored, judged)


def permit_again(stored: Stored, *, policy: ActionPolicy | None, situation: Situation) -> Permit | Refusal:
    """The permit of an action whose intent is on the record: nothing may have changed since, and policy still allows
    it. For our own store the world is looked at once more, in the commit that changes it."""
    body, card = stored.action.body, _body_of(stored.card)
    refusal = unsound(stored)
    if refusal is None and body["idempotency_key"] != effect_key(stored.action.partition, body):
        refusal = Refusal("record_altered", "the idempotency key is not the action's")
    if refusal is None and card is not None and card["consumed_run"] != body["intent_run"]:
        refusal = Refusal("approval_mismatch", "the card was used by another run")
    if refusal is None and card is None and body["decision"] != APPLIED:
        refusal = NO_CARD
    if refusal is not None:
        return refusal
    judged = _judged(body, card, policy, frozenset(body["requester_roles"]))
    refusal = _stricter(judged, card)
    if refusal is None and ACTIONS[body["action"]].effect is not None:
        refusal = _misfit(body, situation)
    return refusal or _permit(stored, judged)


def unsound(stored: Stored) -> Refusal | None:
    """Whether action, card or record are not what was committed, or are no longer an action of ours."""
    for document in (stored.action, stored.card):
        altered = alteration(document, stored.records) if document is not None else ""
        if altered:
            return Refusal("record_altered", altered)
    body = stored.action.body
    try:
        if digest_of_action(body, tenant=stored.tenant) != body["digest"]:
            return Refusal("action_changed", "the action is not the one that its digest names")
        if valid_arguments(body["action"], body["arguments"]) != body["arguments"]:
            return Refusal("action_invalid", "the arguments have gained members since they were stored")
        if ACTIONS[body["action"]].schema_version != body["schema_version"]:
            return Refusal("action_invalid", "the arguments are of another version of the action")
    except InvalidInputError as failed:
        return Refusal("action_invalid", str(failed))
    except TerminalError as failed:
        return Refusal("record_altered", str(failed))
    return None


def _unsigned(stored: Stored, now: datetime) -> Refusal | None:
    """An action that had to wait for people needs its card: approved, unexpired, unused, and for exactly this."""
    body, card = stored.action.body, _body_of(stored.card)
    if body["decision"] == APPLIED:
        return None if card is None else Refusal("approval_mismatch", "an action that needed no card has one")
    if card is None:
        return NO_CARD
    code = valid_for(card, body, tenant=stored.tenant, now=now)
    return Refusal(code, f"the card does not allow it: {code.replace('_', ' ')}") if code else None


def _withdrawn(body: Body, card: Body | None, roles_now: Roles | None) -> Refusal | None:
    """Whether a signer's role does not suffice: as it was when they signed, or as it is now."""
    for signature in card["signatures"] if card else ():
        held = [frozenset(signature["roles"])]
        if roles_now is not None:
            held.append(roles_now.get(signature["person"], frozenset()))
        if card and not all(has_role(roles, card["role"]) for roles in held):
            return Refusal("permission_withdrawn", f"{signature['name'] or signature['person']} may not sign this")
    if roles_now is not None and not roles_now.get(body["requested_by"]):
        return Refusal("permission_withdrawn", "whoever asked is no longer a member")
    return None


def _judged(body: Body, card: Body | None, policy: ActionPolicy | None, roles: frozenset[str]) -> Judgement:
    money = money_of(body["action"], body["arguments"])
    return judge(
        body["action"],
        body["arguments"],
        policy=policy,
        requester_roles=roles,
        amount_minor=money.amount_minor if money else None,
        currency=money.currency if money else "",
        lately=body.get("lately", {}),
        edited=bool(card and card.get("edited_by")),
    )


def _beyond_policy(judged: Judgement, body: Body, card: Body | None, now: datetime) -> Refusal | None:
    """Whether today's policy asks for more than was agreed to, or lets requests live for less long."""
    refusal = _stricter(judged, card)
    if refusal is None and now >= parse(body["requested_at"]) + timedelta(seconds=judged.expires_seconds):
        return Refusal("action_expired", "the request is older than the policy allows")
    return refusal


def _stricter(judged: Judgement, card: Body | None) -> Refusal | None:
    if not is_stricter(judged, card):
        return None
    if judged.reason_codes == (NO_POLICY,):
        return Refusal(NO_POLICY, "there is no policy to judge it by")
    return Refusal("policy_stricter", f"today's policy: {', '.join(judged.reason_codes)}")


def _misfit(body: Body, situation: Situation) -> Refusal | None:
    fault = ACTIONS[body["action"]].fault(body["arguments"], situation)
    return Refusal(fault.code, fault.detail) if fault else None


def _permit(stored: Stored, judged: Judgement) -> Permit:
    body = stored.action.body
    return Permit(
        action_id=body["action_id"],
        action=body["action"],
        arguments=body["arguments"],
        requested_by=body["requested_by"],
        idempotency_key=effect_key(stored.action.partition, body),
        judgement=judged,
        card=_body_of(stored.card),
    )


def _body_of(document: Document | None) -> Body | None:
    return document.body if document else None
