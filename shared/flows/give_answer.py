"""A person's answer to a card, as every border hands it in; one that is refused is on the record too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shared.approvals.card import approval_doc_id, is_whole
from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.delivery.inbox import execute
from shared.delivery.one_commit import commit
from shared.errors import ForbiddenError, RetryableError, StateConflictError

if TYPE_CHECKING:
    from shared.contracts.commands import AnswerApprovalEnvelope
    from shared.delivery.handling import Delivery

log = logging.getLogger("countersign.approvals")

REFUSED = "approval_refused"


async def give_answer(delivery: Delivery, command: AnswerApprovalEnvelope, *, fingerprint: str) -> dict[str, Any]:
    """What `inbox.execute` answers. Whoever may not answer a card of the tenant, or answers one that is closed or has
    changed, is told so, and the record names them."""
    try:
        return await execute(delivery, command, fingerprint=fingerprint)
    except (ForbiddenError, StateConflictError) as refused:
        try:
            await _recorded(delivery, command, code=refused.code)
        except RetryableError as failed:  # the refusal itself stands, and has changed nothing
            log.warning("a refused answer to %s is not on the record: %s", command.payload.approval_id, failed)
        raise


async def _recorded(delivery: Delivery, command: AnswerApprovalEnvelope, *, code: str) -> None:
    answer, partition = command.payload, partition_of(command.tenant)
    card_id = approval_doc_id(answer.approval_id)
    known = await delivery.store.read_many(partition, [card_id, HEAD_ID])
    if card_id not in known:
        return
    card = known[card_id]
    ids = {
        "approval": answer.approval_id,
        "command": command.command_id,
        "correlation": command.correlation_id,
    }
    if is_whole(card):
        ids |= {"action": card.body["action_id"], "conversation": card.body["conversation_id"]}
    entry = Entry(REFUSED, {"kind": "person", "id": answer.person}, ids, {"decision": answer.decision, "code": code})
    await commit(delivery, partition, [], [entry], head=known.get(HEAD_ID))
