"""An action with other arguments: through the schema and past the guard again, as if it were asked for now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shared.actions import registry
from shared.actions.action import Description
from shared.errors import ForbiddenError, InvalidInputError
from shared.guard.action_policy import ActionPolicy
from shared.guard.disposition import NOTHING_LATELY, Judgement, judge
from shared.guard.reasons import REJECTED
from shared.ports.document_store import Body


class Revision(NamedTuple):
    """What the edited action is. mentions: ids of the transactions that it tells of."""

    arguments: Body
    schema_version: int
    judged: Judgement
    description: Description
    mentions: tuple[str, ...]
    lately: Mapping[str, int]


def revised(
    action: Body, arguments: Body, *, policy: ActionPolicy | None, lately: Mapping[str, int] = NOTHING_LATELY
) -> Revision:
    """`action` (the stored body) with `arguments` in place of its own; who asked stays who asked. lately: what counts
    with it.

    `InvalidInputError("arguments_invalid")` when they do not fit the action; `ForbiddenError("edit_denied")` when
    policy denies what it has become.
    """
    name = action["action"]
    try:
        told = registry.valid_arguments(name, arguments)
    except InvalidInputError as wrong:
        errors = [{**one, "pointer": f"/edited_arguments{one['pointer']}"} for one in wrong.errors]
        raise InvalidInputError(str(wrong), errors, code=wrong.code) from None
    money = registry.money_of(name, told)
    judged = judge(
        name,
        told,
        policy=policy,
        requester_roles=action["requester_roles"],
        amount_minor=money.amount_minor if money else None,
        currency=money.currency if money else "",
        lately=lately,
        edited=told != action["arguments"],
    )
    if judged.outcome == REJECTED:
        codes = ", ".join(judged.reason_codes)
        raise ForbiddenError(f"policy denies what you made of it ({codes}); the card is as it was", code="edit_denied")
    return Revision(
        arguments=told,
        schema_version=registry.schema_version_of(name),
        judged=judged,
        description=registry.described(name, told),
        mentions=registry.mentions_of(name, told),
        lately=lately,
    )
