"""The closed list of document kinds: schema version and days to live (0: never expires)."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """`schema_version` is what is written today; `days_to_live` 0 means that it never expires."""

    schema_version: int
    days_to_live: int = 0


KINDS: dict[str, Kind] = {
    # in a tenant's partition
    "profile": Kind(1),  # accounts, chart of categories, base currency, time zone: what a classification must know
    "receipt": Kind(1, 30),  # after that a terminal run is the receipt
    "run": Kind(1),
    "audit": Kind(1),
    "audit_head": Kind(1),
    "transaction": Kind(1),
    "ingestion": Kind(1, 30),
    "merchant": Kind(1),  # recent charges and amounts of one merchant
    "memory": Kind(1),  # what people's reviews taught about one merchant or neighbourhood
    "category": Kind(1),  # recent amounts of one category
    "finding": Kind(1),
    "counter": Kind(1),
    "outbox": Kind(1),  # deleted once sent: run and audit record keep what was done
    "parked": Kind(1),
    "erasure": Kind(1),  # how far the erasure of a person's data has come
    "membership": Kind(1),  # a person's roles: in the tenant as its list of members, in `system` as what counts
    "conversation": Kind(1),  # whose it is, where its turns and its stream stand
    "message": Kind(1),  # one message of a turn: a person's, the reply, or a notice
    "stream_event": Kind(1, 7),  # what one commit told the conversation's stream
    "approval": Kind(1),  # a card for one exact action
    "action": Kind(1),  # an effect on the world, from wish to outcome
    "outgoing": Kind(1, 7),  # which actions were asked for lately; gone with the policy's window
    "budget": Kind(1),  # what a category may cost in a month
    "preference": Kind(1),  # a person's notification settings
    "draft": Kind(1),  # a text for a person to send, or not
    "metric": Kind(1),  # counts per action, backend and configuration, or per turn
    # in `system`
    "breaker": Kind(1),  # whether a backend may be called
    "tenant": Kind(1),
}

SYSTEM_PARTITION = "system"
