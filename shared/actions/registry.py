"""The one list of actions, a line each. What is not here does not exist; what policy does not list is denied.

For flows: what a wish may ask for, and how it is shown. Carrying one out takes a `Permit`, which only the dispatcher
makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shared.actions.action import Action, Description, Money
from shared.actions.change_notifications import CHANGE_NOTIFICATIONS
from shared.actions.draft_message import DRAFT_MESSAGE
from shared.actions.export_statement import EXPORT_STATEMENT
from shared.actions.recategorise_transactions import RECATEGORISE_TRANSACTIONS
from shared.actions.set_budget import SET_BUDGET
from shared.actions.transfer_funds import TRANSFER_FUNDS
from shared.audit.record import canonical
from shared.contracts.complaints import complaints
from shared.errors import InvalidInputError
from shared.ports.document_store import Body

ACTIONS: Mapping[str, Action] = {
    "recategorise_transactions": RECATEGORISE_TRANSACTIONS,
    "set_budget": SET_BUDGET,
    "change_notifications": CHANGE_NOTIFICATIONS,
    "draft_message": DRAFT_MESSAGE,
    "transfer_funds": TRANSFER_FUNDS,
    "export_statement": EXPORT_STATEMENT,
}


def schema_version_of(name: str) -> int:
    """The version of the action's arguments that is written today; 0 for what is not listed."""
    return ACTIONS[name].schema_version if name in ACTIONS else 0


def valid_arguments(name: str, arguments: Mapping[str, Any]) -> Body:
    """The arguments with every member, in the action's closed shape.

    `InvalidInputError("action_not_listed")`, or "arguments_invalid" with what is wrong where.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise InvalidInputError(f"there is no action {name[:80]!r}", code="action_not_listed")
    try:
        told: Body = action.shape.model_validate(dict(arguments)).model_dump()
        canonical(told)
    except ValidationError as failed:
        errors = complaints(failed, arguments)
        raise InvalidInputError("the arguments do not fit the action", errors, code="arguments_invalid") from None
    except TypeError:  # a lone surrogate cannot be hashed or stored
        raise InvalidInputError("the arguments hold text that is no Unicode", code="arguments_invalid") from None
    return told


def money_of(name: str, arguments: Body) -> Money | None:
    """The money that a listed action with valid arguments is about, None for none."""
    return ACTIONS[name].money(arguments) if name in ACTIONS else None


def reaches_outside(name: str) -> bool:
    """Whether a listed action asks a backend for something: then it cannot simply be said anew."""
    return name in ACTIONS and ACTIONS[name].order is not None


def mentions_of(name: str, arguments: Body) -> tuple[str, ...]:
    """The ids of the transactions that a listed action is about."""
    return ACTIONS[name].mentions(arguments) if name in ACTIONS else ()


def described(name: str, arguments: Body) -> Description:
    """What a person is shown of the action: title, what exactly, and what it will do."""
    action = ACTIONS.get(name)
    if action is None:
        return Description(name, (), ("Nothing: there is no such action.",))
    return action.describe(arguments)
