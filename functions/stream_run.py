"""What an AG-UI client hears of one run: exactly one start, one end, and every text whole. Pure.

A turn tells the same text twice: word by word while it is made, and as the events that are stored with it. Here both
become one message. Source: docs.ag-ui.com, protocol version 1.0 (events, interrupts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

type Event = dict[str, Any]

PROTOCOL_VERSION = "1.0"
_ENDS = ("RUN_FINISHED", "RUN_ERROR")


@dataclass(slots=True)
class _Message:
    """A message that is being told. told: what the client has heard; stored: what its events have said so far."""

    id: str
    told: str = ""
    stored: str = ""
    stored_id: str = ""
    is_open: bool = False


class ClientRun:
    """Translates one turn into the run that the client asked for. Each method returns the events to send, in order.

    The client's own names of thread and run are used towards it; ours are told as metadata.
    """

    def __init__(self, *, thread_id: str, run_id: str, messages: Sequence[Mapping[str, Any]] = ()) -> None:
        self._names = {"threadId": thread_id, "runId": run_id}
        self._messages = list(messages)
        self._texts: dict[str, str] = {}  # what the client has heard, by message
        self._message: _Message | None = None
        self._not_echoed: set[str] = set()
        self._begun = False
        self._end: Event | None = None

    def begin(self, **ours: str) -> list[Event]:
        """RUN_STARTED, once. ours: our names of things, for the client's records."""
        if self._begun:
            return []
        self._begun = True
        told: Event = {"type": "RUN_STARTED", **self._names, "protocolVersion": PROTOCOL_VERSION}
        return [{**told, "metadata": {"countersign": ours}} if ours else told]

    def said(self, words: str) -> list[Event]:
        """Words of the reply, perhaps ahead of the stored message."""
        if self._message is None:
            self._message = _Message(f"{self._names['runId']}:reply-{len(self._texts) + 1}")
        return [*self.begin(), *self._tell(self._message, words)]

    def happened(self, event: Event) -> list[Event]:
        """A stored event of the turn. Its end is kept until the answer is there."""
        kind = event["type"]
        if kind == "RUN_STARTED":
            return self.begin(run_id=event["runId"])
        if kind in _ENDS:
            self._end = event
            return self.begin()
        if kind.startswith("TEXT_MESSAGE_"):
            return [*self.begin(), *self._text(kind, event)]
        return [*self.begin(), event]

    def _text(self, kind: str, event: Event) -> list[Event]:
        message_id = event["messageId"]
        if kind == "TEXT_MESSAGE_START":
            if event.get("role") == "user":
                self._not_echoed.add(message_id)  # the client has said that itself
            else:
                self._message = self._message or _Message(message_id)
                self._message.stored_id = message_id
            return []
        message = self._message
        if message_id in self._not_echoed or message is None or message.stored_id != message_id:
            return []
        if kind == "TEXT_MESSAGE_END":
            return self._whole(message)
        message.stored += event["delta"]
        return self._catch_up(message)

    def _catch_up(self, message: _Message) -> list[Event]:
        """What the stored message has more than was told, if it is the same message."""
        more = message.stored[len(message.told) :]
        return self._tell(message, more) if more and message.stored.startswith(message.told) else []

    def _whole(self, message: _Message) -> list[Event]:
        """The stored message is whole; if it says something else than was told, that is taken back."""
        self._message = None
        if message.stored.startswith(message.told):
            return [*self._catch_up(message), *self._closed(message)]
        closed = self._closed(message)
        self._texts.pop(message.id, None)
        again = _Message(message.stored_id if message.stored_id != message.id else f"{message.id}:again")
        return [
            *closed,
            {"type": "CUSTOM", "name": "countersign.retracted", "value": {"messageId": message.id}},
            *self._tell(again, message.stored),
            *self._closed(again),
        ]

    def _tell(self, message: _Message, words: str) -> list[Event]:
        opening: list[Event] = []
        if not message.is_open:
            opening = [{"type": "TEXT_MESSAGE_START", "messageId": message.id, "role": "assistant"}]
        message.is_open = True
        message.told += words
        self._texts[message.id] = message.told
        return [*opening, {"type": "TEXT_MESSAGE_CONTENT", "messageId": message.id, "delta": words}]

    @staticmethod
    def _closed(message: _Message) -> list[Event]:
        return [{"type": "TEXT_MESSAGE_END", "messageId": message.id}] if message.is_open else []

    def finish(self, answer: Mapping[str, Any]) -> list[Event]:
        """The rest, and the end. answer: of the turn."""
        text = str(answer.get("text", ""))
        events = self.begin(run_id=str(answer.get("run_id", "")))
        if self._message is None and not self._texts and text:
            events += self.said(text)  # a resend: its reply is known already
        if self._message is not None:
            self._message.stored = text if text.startswith(self._message.told) else self._message.told
            events += self._whole(self._message)
        end = {**(self._end or {"type": "RUN_FINISHED", "outcome": {"type": "success"}})}
        if end["type"] == "RUN_ERROR":
            return [*events, end]
        end.update(self._names, result=dict(answer))
        if end.get("outcome", {}).get("type") == "interrupt":
            events += self._before_interrupt(answer)
        return [*events, end]

    def _before_interrupt(self, answer: Mapping[str, Any]) -> list[Event]:
        """Where things stand, for a client that comes back to the open question later, from anywhere."""
        state = {"conversation_id": answer.get("conversation_id", ""), "approvals": answer.get("approvals", [])}
        heard = [{"id": id_, "role": "assistant", "content": text} for id_, text in self._texts.items()]
        return [
            {"type": "STATE_SNAPSHOT", "snapshot": {"countersign": state}},
            {"type": "MESSAGES_SNAPSHOT", "messages": [*self._messages, *heard]},
        ]

    def fail(self, *, code: str, message: str) -> list[Event]:
        """RUN_ERROR; what was said before it is no reply."""
        return [*self.begin(), {"type": "RUN_ERROR", "message": message, "code": code}]
