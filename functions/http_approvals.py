"""Approvals over HTTP: what waits for people, one card with everything to judge it by, and a person's answer."""

from typing import TYPE_CHECKING

import azure.functions as func

from functions.bodies import choice_in, decoded, fingerprint_of, integer_in, key_of, page_in, reference_in
from functions.caller import Caller, caller_of, traceparent_of
from functions.people import command_of
from functions.replies import answering, json_reply
from functions.roles import WHO_MAY

if TYPE_CHECKING:
    from shared.approvals.life_cycle import Signer

blueprint = func.Blueprint()

STATES = ("pending", "modified", "approved", "rejected", "expired", "superseded", "consumed")
RISKS = ("low", "medium", "high", "critical")
ROLES = ("reviewer", "operator")
OLDEST_MINUTES = 60 * 24 * 366


@blueprint.route(route="v1/approvals", methods=["GET"])
@answering
async def list_approvals(req: func.HttpRequest) -> func.HttpResponse:
    """Cards that wait for people (or are in another state), the longest waiting first; a member sees the own ones.

    A card leaves those that wait the moment its time is over, and is among the expired ones once a timer has recorded
    that: half a minute later at most, while the timer runs.
    """
    from shared import bootstrap
    from shared.flows.approval_inbox import Filter, inbox

    caller = await caller_of(req, needs=WHO_MAY["list_approvals"])
    wanted = Filter(
        state=choice_in(req, "state", STATES),
        risk=choice_in(req, "risk", RISKS),
        role=choice_in(req, "role", ROLES),
        older_than_minutes=integer_in(req, "older_than", default=0, low=0, high=OLDEST_MINUTES),
    )
    reader = _signer(caller)
    can_sign = bootstrap.action_policy() is not None
    found = await inbox(bootstrap.delivery(), caller.tenant, reader, wanted, can_sign=can_sign, **page_in(req))
    return json_reply(found)


@blueprint.route(route="v1/approvals/{id}", methods=["GET"])
@answering
async def get_approval(req: func.HttpRequest) -> func.HttpResponse:
    """One card: what exactly, who asked and why, what it will do, until when, who signed, and whether you may."""
    from shared import bootstrap
    from shared.flows.approval_inbox import one_card

    caller = await caller_of(req, needs=WHO_MAY["get_approval"])
    key, can_sign = reference_in(req, "id"), bootstrap.action_policy() is not None
    card = await one_card(bootstrap.delivery(), caller.tenant, key, reader=_signer(caller), can_sign=can_sign)
    return json_reply(card)


@blueprint.route(route="v1/approvals/{id}/answer", methods=["POST"])
@answering
async def answer_approval(req: func.HttpRequest) -> func.HttpResponse:
    """A person signs, edits and signs, or refuses; who it is comes from signing in. 200: the card as it is now."""
    return await _answered(req, await caller_of(req, needs=WHO_MAY["answer_approval"]))


@blueprint.route(route="v1/agent/conversations/{conversation}/approvals/{id}", methods=["POST"])
@answering
async def answer_conversation_approval(req: func.HttpRequest) -> func.HttpResponse:
    """The same answer, where the card was asked for."""
    caller = await caller_of(req, needs=WHO_MAY["answer_conversation_approval"])
    return await _answered(req, caller, conversation_id=reference_in(req, "conversation"))


@blueprint.route(route="v1/assistant/conversations/{conversation}/approvals/{id}", methods=["POST"])
@answering
async def answer_assistant_approval(req: func.HttpRequest) -> func.HttpResponse:
    """The same answer under the conversation's other address."""
    caller = await caller_of(req, needs=WHO_MAY["answer_assistant_approval"])
    return await _answered(req, caller, conversation_id=reference_in(req, "conversation"))


def _signer(caller: Caller) -> "Signer":
    from shared.approvals.life_cycle import Signer

    return Signer(caller.principal, caller.name[:200], sorted(caller.roles))


async def _answered(req: func.HttpRequest, caller: Caller, *, conversation_id: str = "") -> func.HttpResponse:
    """conversation_id: the card must be of this conversation; "" for any."""
    from shared import bootstrap
    from shared.contracts.approval_requests import ApprovalAnswer
    from shared.contracts.commands import AnswerApprovalEnvelope
    from shared.flows.approval_inbox import one_card
    from shared.flows.give_answer import give_answer

    delivery, signer, approval_id = bootstrap.delivery(), _signer(caller), reference_in(req, "id")
    payload = {"approval_id": approval_id, **decoded(req, ApprovalAnswer).model_dump()}
    if conversation_id:
        await one_card(delivery, caller.tenant, approval_id, reader=signer, conversation_id=conversation_id)
    fingerprint = fingerprint_of("answer-approval", payload)
    command = command_of(
        "AnswerApproval",
        {**payload, "person": signer.person, "person_name": signer.name, "roles": signer.roles},
        caller=caller,
        delivery=delivery,
        purpose="answer-approval",
        key=f"{approval_id}\x1f{key_of(req, fingerprint)}",
        traceparent=traceparent_of(req),
    )
    envelope = AnswerApprovalEnvelope.model_validate(command)
    return json_reply(await give_answer(delivery, envelope, fingerprint=fingerprint))
