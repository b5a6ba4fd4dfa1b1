"""What an action is, and what it takes to carry one out. Pure.

An action has a closed shape of arguments, words for the card, a precondition on the world, and either an effect in our
own store (documents, committed together with the outcome) or an order to a backend. Neither runs without a `Permit`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.actions.life_cycle import FIRST_STATE, SETTLED, document_of
from shared.approvals.card import digest_of
from shared.contracts.identity import deterministic_id
from shared.errors import TerminalError
from shared.guard.disposition import NOTHING_LATELY
from shared.guard.reasons import APPLIED, DEFERRED
from shared.ports.document_store import Body, Document

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shared.guard.disposition import Judgement


class Description(NamedTuple):
    """What a person is shown of an action. what: label and value, in the order to show. effects: what it will do, and
    what it will not."""

    title: str
    what: tuple[tuple[str, str], ...]
    effects: tuple[str, ...]


class Money(NamedTuple):
    """What an action is about, for the policy's limits."""

    amount_minor: int
    currency: str


class Fault(NamedTuple):
    """Why the world does not fit an action now. code: of `guard.reasons`; detail: for the person."""

    code: str
    detail: str


class Situation(NamedTuple):
    """The world as an action sees it. documents: those that it asked for. states: what its backend says of each of its
    subjects. chart: the tenant's categories. own_accounts: accounts that the tenant may pay from."""

    partition: str
    documents: Mapping[str, Document] = {}
    states: Mapping[str, Mapping[str, Any]] = {}
    chart: frozenset[str] = frozenset()
    own_accounts: frozenset[str] = frozenset()
    at: str = ""
    run_id: str = ""
    correlation_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to carry out one action, once. Only the dispatcher makes them, and only of a decision that allows it.

    judgement: today's policy on the stored arguments. card: the stored card, None when policy asked for none.
    idempotency_key: what the effect is known by, however often it is asked for.
    """

    action_id: str
    action: str
    arguments: Mapping[str, Any]
    requested_by: str
    idempotency_key: str
    judgement: Judgement
    card: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        signed = self.card is not None and self.card["state"] in ("approved", "consumed")
        if not (self.judgement.outcome == APPLIED or (self.judgement.outcome == DEFERRED and signed)):
            raise TerminalError("no_permit", "nobody has allowed this action")


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does in our own store: all of it is committed with the outcome, or none.

    result: small JSON facts. told: one sentence for the conversation.
    """

    told: str
    result: Body
    writes: Sequence[Document] = ()
    events: Sequence[dict[str, Any]] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


def _nothing(_: Body) -> tuple[str, ...]:
    return ()


def _no_money(_: Body) -> Money | None:
    return None


def _no_fault(_: Body, __: Situation) -> Fault | None:
    return None


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of action. All callables are pure; arguments are those that `shape` has accepted, as a JSON object.

    documents: what of our store it looks at, given the body of the stored action; subjects: of what its backend must
    tell the state. fault: the precondition. effect: for our own store; order: what the backend is asked for, under
    `name` as the operation: one of the two. told: a backend's outcome in one sentence, given its reference. mentions:
    ids of the transactions it is about. compensation: how a person undoes it, "" when nobody can. compensating: the
    action and arguments that undo it, given arguments and result, None when there are none.
    """

    name: str
    schema_version: int
    shape: type[BaseModel]
    describe: Callable[[Body], Description]
    effect: Callable[[Permit, Situation], Effect] | None = None
    order: Callable[[Permit], Body] | None = None
    told: Callable[[Body, str], str] = lambda _, __: "Done."
    money: Callable[[Body], Money | None] = _no_money
    documents: Callable[[Body], tuple[str, ...]] = _nothing
    subjects: Callable[[Body], tuple[str, ...]] = _nothing
    fault: Callable[[Body, Situation], Fault | None] = _no_fault
    mentions: Callable[[Body], tuple[str, ...]] = _nothing
    compensation: str = ""
    compensating: Callable[[Body, Body], tuple[str, Body] | None] = lambda _, __: None

    def __post_init__(self) -> None:
        if (self.effect is None) == (self.order is None):
            raise ValueError(f"{self.name}: either an effect in our own store or an order to a backend")


def action_id_of(partition: str, message_id: str, number: int) -> str:
    """The id of a message's wish, counted from 0: a retry finds the same action."""
    return deterministic_id(partition, "action", f"{message_id}:{number}")


def proposed(
    partition: str,
    *,
    action_id: str,
    name: str,
    arguments: Body,
    schema_version: int,
    judged: Judgement,
    tenant: str,
    requested_by: str,
    requester_roles: Collection[str],
    conversation_id: str,
    message_id: str,
    turn: int,
    run_id: str,
    command_id: str,
    correlation_id: str,
    configuration: Mapping[str, str],
    at: str,
    mentions: Sequence[str] = (),
    lately: Mapping[str, int] = NOTHING_LATELY,
) -> Document:
    """The `action` document of a wish, in the state that the judgement gives it: `denied`, `waiting` or `requested`.

    schema_version: `registry.schema_version_of(name)`, 0 for what is not listed. arguments: as `valid_arguments` gave
    them; of a denied wish, whatever could be understood. configuration: {"code_version", "configuration_version"}.
    lately: what counted with it (`disposition.judge`).
    """
    digest = digest_of(
        tenant=tenant,
        action=name,
        schema_version=schema_version,
        arguments=arguments,
        run_id=run_id,
        policy_version=judged.policy_version,
    )
    body: Body = {
        **NOT_YET,
        **_pinned(judged, at),
        "action_id": action_id,
        "action": name,
        "schema_version": schema_version,
        "arguments": arguments,
        "digest": digest,
        "requested_by": requested_by,
        "requester_roles": sorted(requester_roles),
        "requested_at": at,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "turn": turn,
        "run_id": run_id,
        "command_id": command_id,
        "correlation_id": correlation_id,
        "configuration": dict(configuration),
        "approval_id": action_id if judged.outcome == DEFERRED else "",
        "mentions": list(mentions),
        "lately": dict(lately),
    }
    return document_of(partition, body)


def _pinned(judged: Judgement, at: str) -> Body:
    """What the judgement on the wish leaves in the action."""
    state = FIRST_STATE[judged.outcome]
    return {
        "state": state,
        "decision": judged.outcome,
        "reason_codes": list(judged.reason_codes),
        "risk": judged.risk,
        "policy_version": judged.policy_version,
        "backend": judged.backend,
        "code": judged.reason_codes[0],
        "finished_at": at if state in SETTLED else "",
    }


NOT_YET: Mapping[str, Any] = {
    "idempotency_key": "",
    "intent_at": "",
    "intent_run": "",
    "detail": "",
    "reference": "",
    "result": {},
    "attempts": 0,
}
"""What an action has once it is carried out."""
