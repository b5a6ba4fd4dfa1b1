"""Messages between AMQP and the lanes: what a sender's transfer holds, and what a receiver is given.

Kept of a message: body, message id, session id (group id), correlation id, subject, application properties, scheduled
time. Not kept, because the lanes know no such thing: content type, reply-to, to, time to live, partition key, other
annotations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import proton

from local import amqp_values as amqp
from local.amqp_values import MalformedError, Timestamp, Value
from shared.adapters.embedded.lane_receiver import Received
from shared.adapters.embedded.lanes import NewMessage
from shared.contracts.lanes import DEAD_LETTER_SUFFIX, Lane
from shared.ports.command_bus import MAX_ID_CHARACTERS, MAX_PROPERTIES_BYTES

MAX_MESSAGE_BYTES = 262_144
"""A transfer, batch or not, with all it carries: the standard tier's limit."""
SCHEDULED = "x-opt-scheduled-enqueue-time"

NOT_FOUND, NOT_ALLOWED, NOT_IMPLEMENTED = "amqp:not-found", "amqp:not-allowed", "amqp:not-implemented"
UNAUTHORIZED, DECODE_ERROR, INVALID_FIELD = "amqp:unauthorized-access", "amqp:decode-error", "amqp:invalid-field"
TOO_LARGE = "amqp:link:message-size-exceeded"


class RefusedError(Exception):
    """What the peer asked for is not done. `condition`: the AMQP error condition that it is told."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition


def condition(name: str, description: str) -> proton.Condition:
    """An error as the peer is told it. The Python SDK reads the info map without looking whether there is one."""
    return proton.Condition(name, description, {proton.symbol("container"): "countersign"})


class _Sections(NamedTuple):
    properties: list[Value]
    application: dict[str, Value]
    annotations: dict[str, Value]
    data: list[bytes]


def sent_in(raw: bytes, lane: Lane, *, now: float) -> list[NewMessage]:
    """The messages in one transfer, all or none: `RefusedError` when one of them cannot be taken.

    The SDKs send a batch as one transfer whose data sections are whole encoded messages. Its message format
    (0x80013700) says so, but the protocol engine does not show that, so the shape decides: data that are encoded
    messages from the first byte to the last.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise RefusedError(TOO_LARGE, f"a message or batch may have {MAX_MESSAGE_BYTES} bytes, not {len(raw)}")
    try:
        outer = _read(raw)
        inner = _batch(outer.data)
        return [_message(one, lane, now) for one in inner or [outer]]
    except MalformedError as error:
        raise RefusedError(DECODE_ERROR, str(error)) from error


def encoded(received: Received, *, locked_until: float) -> bytes:
    """The transfer that hands a message out."""
    message, lock = received.message, received.lock
    properties = json.loads(message.properties) if message.properties else {}
    annotations: dict[proton.symbol, object] = {
        proton.symbol("x-opt-sequence-number"): lock.sequence,
        proton.symbol("x-opt-enqueued-time"): _timestamp(received.enqueued_at),
        proton.symbol("x-opt-locked-until"): _timestamp(locked_until),
        proton.symbol("x-opt-message-state"): proton.int32(0),
    }
    if received.dead_reason:
        properties["DeadLetterReason"] = received.dead_reason
        properties["DeadLetterErrorDescription"] = received.dead_description
        annotations[proton.symbol("x-opt-deadletter-source")] = received.queue.removesuffix(DEAD_LETTER_SUFFIX)
    outgoing = proton.Message(body=message.body, id=message.message_id, inferred=True, annotations=annotations)
    outgoing.properties = properties or None
    outgoing.subject = message.subject or None
    outgoing.correlation_id = message.correlation_id or None
    outgoing.group_id = message.session_id or None
    return _header(lock.delivery_count - 1) + bytes(outgoing.encode()).removeprefix(_EMPTY_HEADER)


_EMPTY_HEADER = b"\x00\x53\x70\x45"


def _header(delivery_count: int) -> bytes:
    """The engine leaves out a count of 0, and with it what SDKs read; on the wire the first delivery is 0."""
    return b"\x00\x53\x70\xc0\x0a\x05\x40\x40\x40\x40\x70" + delivery_count.to_bytes(4)


def _timestamp(seconds: float) -> proton.timestamp:
    return proton.timestamp(int(seconds * 1000))


def _read(raw: bytes) -> _Sections:
    found = _Sections([], {}, {}, [])
    for section, start, end in amqp.sections(raw):
        if section == amqp.DATA:
            content, _ = amqp.value_at(raw, start)
            if not isinstance(content, bytes):
                raise MalformedError("a data section holds no bytes")
            found.data.append(content)
        elif section == amqp.PROPERTIES:
            found.properties.extend(amqp.list_at(raw, start, at_most=11))
        elif section == amqp.APPLICATION_PROPERTIES:
            found.application.update(amqp.map_at(raw, start))
        elif section == amqp.MESSAGE_ANNOTATIONS and raw[start:end].find(SCHEDULED.encode()) >= 0:
            found.annotations.update(amqp.map_at(raw, start))
        elif section > amqp.DATA and section != amqp.FOOTER:
            raise RefusedError(NOT_IMPLEMENTED, "the body must be bytes (data sections), not an AMQP value or sequence")
    if not found.data:
        raise MalformedError("a message has a body")
    return found


def _batch(data: Sequence[bytes]) -> list[_Sections]:
    """The messages that the data sections are; none when one of them is something else."""
    if not all(one.startswith(b"\x00\x53") for one in data):
        return []
    try:
        return [_read(one) for one in data]
    except MalformedError:
        return []


def _message(found: _Sections, lane: Lane, now: float) -> NewMessage:
    fields = [*found.properties, *[None] * 11]
    message_id = _identifier("message-id", fields[0]) or uuid4().hex
    session_id = _identifier("group-id", fields[10])
    if lane.sessions and not session_id:
        raise RefusedError(NOT_ALLOWED, f"every message on {lane.queue} needs a session id")
    return NewMessage(
        lane.queue,
        session_id,
        _visible_at(found.annotations.get(SCHEDULED), now),
        message_id,
        _identifier("correlation-id", fields[5]),
        _identifier("subject", fields[3]),
        _properties(found.application),
        b"".join(found.data),
    )


def _identifier(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes | bool | float):
        raise RefusedError(INVALID_FIELD, f"{name} must be a text, a number or a UUID")
    if len(text := str(value)) > MAX_ID_CHARACTERS:
        raise RefusedError(INVALID_FIELD, f"{name} may have {MAX_ID_CHARACTERS} characters")
    return text


def _visible_at(scheduled: Value, now: float) -> float:
    if scheduled is None:
        return 0.0
    if not isinstance(scheduled, Timestamp):
        raise RefusedError(INVALID_FIELD, f"{SCHEDULED} must be a timestamp")
    return scheduled / 1000 if scheduled / 1000 > now else 0.0


def _properties(given: dict[str, Value]) -> str:
    """As the trigger shows them: JSON. Instants and UUIDs become texts."""
    if not given:
        return ""
    try:
        told = json.dumps({name: _plain(name, value) for name, value in given.items()}, allow_nan=False)
    except (ValueError, OverflowError) as error:
        raise RefusedError(INVALID_FIELD, f"the application properties cannot be kept: {error}") from error
    if len(told) > MAX_PROPERTIES_BYTES:
        raise RefusedError(TOO_LARGE, f"the application properties may take {MAX_PROPERTIES_BYTES} bytes together")
    return told


def _plain(name: str, value: Value) -> str | int | float | bool | None:
    if isinstance(value, Timestamp):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        raise RefusedError(INVALID_FIELD, f"application property {name!r} holds bytes: use text")
    return value
