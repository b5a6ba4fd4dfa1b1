"""What clients send to the streaming chat."""

from __future__ import annotations

from shared.contracts.conversation_requests import MessagePost
from shared.contracts.shape import ReferenceId


class ChatPost(MessagePost):
    """A message whose answer is streamed. conversation_id: None begins a new conversation, named in the answer."""

    conversation_id: ReferenceId | None = None
