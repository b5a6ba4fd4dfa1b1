"""`resume[]` of an AG-UI run: each entry is a person's answer to one open card, as good as one given there itself.

`payload`: {"approved", "cardDigest", "rationale"?, "editedArgs"?}; a denial is `approved: false`. `cancelled` leaves
the card open: it is not answered for anybody, so that whose conversation it is may always say it. The same entries
again are the same answers.
"""

from typing import TYPE_CHECKING, Any

from functions.bodies import REFERENCE, fingerprint_of
from functions.caller import Caller
from functions.people import command_of
from functions.roles import WHO_MAY_STREAM
from functions.stream_turn import Happened, Said, Work
from shared.contracts.complaints import complaints
from shared.contracts.complaints import pointer as pointer_of
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from ag_ui.core import ResumeEntry

    from shared.contracts.approval_requests import ApprovalAnswer

MAX_ENTRIES = 20
OUTCOME_SECONDS = 25.0
"""How long a run waits for what comes of its answers; it is told in the conversation in any case."""
NAMES = {"cardDigest": "card_digest", "rationale": "rationale", "editedArgs": "edited_arguments"}

type Answers = list[tuple[str, "ApprovalAnswer"]]


def not_taken(pointer: str, message: str) -> InvalidInputError:
    """What is wrong with a `RunAgentInput`, and where."""
    return InvalidInputError("the run cannot be started", [{"pointer": pointer, "message": message}])


def resuming(conversation_id: str, entries: "list[ResumeEntry]", caller: Caller, *, traceparent: str) -> Work:
    """The turn that gives the answers and tells what comes of them. `InvalidInputError` for what is no answer."""
    answers = answers_in(entries)

    async def work(said: Said, happened: Happened) -> dict[str, Any]:
        from shared import bootstrap
        from shared.approvals.life_cycle import Signer
        from shared.conversation.stream import interrupt
        from shared.flows.follow_conversation import check_readable
        from shared.flows.resume_run import check_answers, outcomes

        del said  # a resume is told in whole events
        delivery, tenant = bootstrap.delivery(), caller.tenant
        if not caller.roles & WHO_MAY_STREAM["resume_agui"]:
            await check_readable(delivery, tenant, conversation_id, principal=caller.principal, roles=caller.roles)
        person = Signer(caller.principal, caller.name[:200], sorted(caller.roles))
        covered = [entry.interrupt_id for entry in entries]
        after = await check_answers(delivery, tenant, conversation_id, person=person, answered=covered)
        given = [await _given(one, answer, caller, traceparent) for one, answer in answers]
        answered = [one["action_id"] for one in given]
        awaited = [one["action_id"] for one in given if one["state"] in ("approved", "rejected")]
        found = await outcomes(
            delivery,
            bootstrap.waiter(),
            tenant,
            conversation_id,
            actions=answered,
            awaited=awaited,
            after=after,
            seconds=OUTCOME_SECONDS,
            happened=happened,
        )
        run_id = given[-1]["run_id"] if given else ""
        told = {"conversation_id": conversation_id, "message_id": "", "run_id": run_id, "status": "answered"}
        return {**told, "text": "", "approvals": [interrupt(card) for card in found.open_cards], "answers": given}

    return work


def answers_in(entries: "list[ResumeEntry]") -> Answers:
    """The cards' ids and the answers to them, in order."""
    ids = [entry.interrupt_id for entry in entries]
    if len(entries) > MAX_ENTRIES or len(set(ids)) != len(ids):
        raise not_taken("/resume", f"at most {MAX_ENTRIES} entries, one for each interrupt")
    if wrong := [number for number, id_ in enumerate(ids) if not REFERENCE.fullmatch(id_)]:
        raise not_taken(f"/resume/{wrong[0]}/interruptId", "not the id of an interrupt")
    return [
        (entry.interrupt_id, _answer_in(entry.payload, f"/resume/{number}/payload"))
        for number, entry in enumerate(entries)
        if entry.status == "resolved"
    ]


def _answer_in(payload: Any, pointer: str) -> "ApprovalAnswer":
    from pydantic import ValidationError

    from shared.contracts.approval_requests import ApprovalAnswer

    if not isinstance(payload, dict) or type(payload.get("approved")) is not bool:
        raise not_taken(f"{pointer}/approved", "true or false: nothing else is an answer")
    if unknown := [name for name in payload if name not in NAMES and name != "approved"]:
        raise not_taken(f"{pointer}{pointer_of((unknown[0],))}", "there is no such member")
    told = {NAMES[name]: value for name, value in payload.items() if name in NAMES}
    try:
        return ApprovalAnswer.model_validate({**told, "decision": "approve" if payload["approved"] else "reject"})
    except ValidationError as failed:
        errors = [{**error, "pointer": pointer + _theirs(error["pointer"])} for error in complaints(failed, told)]
    raise InvalidInputError("the run cannot be started", errors)


def _theirs(pointer: str) -> str:
    """The place in what the client sent: its names are not ours."""
    first, slash, rest = pointer[1:].partition("/")
    names = {ours: theirs for theirs, ours in NAMES.items()}
    return f"/{names.get(first, first)}{slash}{rest}"


async def _given(approval_id: str, answer: "ApprovalAnswer", caller: Caller, traceparent: str) -> dict[str, Any]:
    """The answer, committed; the first one's outcome when it was given before, here or at the card itself."""
    from shared import bootstrap
    from shared.contracts.commands import AnswerApprovalEnvelope
    from shared.flows.give_answer import give_answer

    payload = {"approval_id": approval_id, **answer.model_dump()}
    fingerprint = fingerprint_of("answer-approval", payload)
    delivery = bootstrap.delivery()
    person = {"person": caller.principal, "person_name": caller.name[:200], "roles": sorted(caller.roles)}
    command = command_of(
        "AnswerApproval",
        {**payload, **person},
        caller=caller,
        delivery=delivery,
        purpose="answer-approval",
        key=f"{approval_id}\x1f{fingerprint}",
        traceparent=traceparent,
    )
    return await give_answer(delivery, AnswerApprovalEnvelope.model_validate(command), fingerprint=fingerprint)
