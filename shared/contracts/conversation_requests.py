"""What clients send to a conversation: closed shapes, whose JSON Schemas are part of docs/openapi.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from shared.contracts.shape import Shape

MAX_MESSAGE = 2000
MAX_USER_NOTE = 600
MAX_CLIENT_MESSAGE_ID = 120

MessageText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE, pattern=r"\S")]
UserNote = Annotated[str, StringConstraints(max_length=MAX_USER_NOTE)]
ClientMessageId = Annotated[
    str, StringConstraints(max_length=MAX_CLIENT_MESSAGE_ID, pattern=r"^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$")
]


class MessagePost(Shape):
    """A message. user_note: what the person wants to be kept beside it. client_message_id: the client's own id, by
    which a resend is known; "" for none (then `Idempotency-Key`, if there is one)."""

    message: MessageText
    user_note: UserNote = ""
    client_message_id: ClientMessageId = ""


class ConversationSettings(Shape):
    """What happens to a message that comes while an earlier one is being answered or a card is open: it waits in line,
    is refused (409), or supersedes what is waiting and what is open."""

    when_busy: Literal["enqueue", "reject", "supersede"]
