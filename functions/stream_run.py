"""What an AG-UI client hears of one run: exactly one start, one end, and every text whole. Pure.

A turn tells the same text twice: word by word while it is made, and as the events that are stored with it. Here both
become one message. Source: docs.ag-ui.com, protocol version 1.0 (events, interrupts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

type Event = dict[str, Any]

PROTOCOL_VERSION = "1.0"


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

    The client's own names of thread and run are used towards it; ours are in the result. state: the client's own.
    """

    def __init__(
        self, *, thread_id: str, run_id: str, messages: Sequence[Mapping[str, Any]] = (), state: Any = None
    ) -> None:
        self._names = {"threadId": thread_id, "runId": run_id}
        self._messages = list(messages)
        self._state: Mapping[str, Any] = state if isinstance(state, Mapping) else {}
        self._texts: dict[str, str] = {}  # what the client has heard, by message
        self._message: _Message | None = None
        self._not_echoed: set[str] = set()
        self._open_steps: dict[str, Event] = {}  # what closes each of them
        self._begun = self._retracted = False
        self._error: Event | None = None

    def begin(self) -> list[Event]:
        """RUN_STARTED, once."""
        if self._begun:
            return []
        self._begun = True
        return [{"type": "RUN_STARTED", **self._names, "protocolVersion": PROTOCOL_VERSION}]

    def said(self, words: str) -> list[Event]:
        """Words of the reply, perhaps ahead of the stored message."""
        if self._message is None:
            self._message = _Message(f"{self._names['runId']}:reply-{len(self._texts) + 1}")
        return [*self.begin(), *self._tell(self._message, words)]

    def happened(self, event: Event) -> list[Event]:
        """A stored event of the turn. How the run ends, the turn's answer says; an error is kept until then."""
        kind = event["type"]
        if kind.startswith("RUN_"):
            self._error = event if kind == "RUN_ERROR" else None
            return self.begin()
        if kind.startswith("TEXT_MESSAGE_"):
            return [*self.begin(), *self._text(kind, event)]
        if kind.startswith("STEP_"):
            return [*self.begin(), *self._step(kind, event)]
        return [*self.begin(), event]

    def _step(self, kind: str, event: Event) -> list[Event]:
        """Begun once and ended once, also when a turn that broke off here was taken up elsewhere."""
        name = event["stepName"]
        if (kind == "STEP_STARTED") == (name in self._open_steps):
            return []
        if kind == "STEP_STARTED":
            self._open_steps[name] = {"type": "STEP_FINISHED", "stepName": name}
        else:
            del self._open_steps[name]
        return [event]

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
        self._retracted = True
        again = _Message(message.stored_id if message.stored_id not in ("", message.id) else f"{message.id}:again")
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
        """The rest, and the end. answer: of the turn; `approvals`: the interrupts that it ends with; `left`: the cards
        that wait for others."""
        text = str(answer.get("text", ""))
        events = self.begin()
        if self._message is None and not self._texts and text:
            events += self.said(text)  # a resend: its reply is known already
        if self._message is not None:
            self._message.stored = text or self._message.told
            events += self._whole(self._message)
        if self._error is not None:
            return [*events, self._error]
        events += self._open_steps.values()
        interrupts = list(answer.get("approvals", []))
        if interrupts or answer.get("left") or "countersign" in self._state:
            events += self._where_things_stand(answer)
        if interrupts or self._retracted:
            events += self._messages_now()
        outcome = {"type": "interrupt", "interrupts": interrupts} if interrupts else {"type": "success"}
        return [*events, {"type": "RUN_FINISHED", **self._names, "outcome": outcome, "result": dict(answer)}]

    def _where_things_stand(self, answer: Mapping[str, Any]) -> list[Event]:
        """For a client that comes back to the open question later, from anywhere. What else it keeps stays."""
        ours = {"conversation_id": answer.get("conversation_id", ""), "approvals": answer.get("approvals", [])}
        ours |= {"left": answer.get("left", [])}
        return [{"type": "STATE_SNAPSHOT", "snapshot": {**self._state, "countersign": ours}}]

    def _messages_now(self) -> list[Event]:
        """All messages; one that is not among them is taken off by the client."""
        heard = [{"id": id_, "role": "assistant", "content": text} for id_, text in self._texts.items()]
        return [{"type": "MESSAGES_SNAPSHOT", "messages": [*self._messages, *heard]}]

    def fail(self, *, code: str, message: str) -> list[Event]:
        """RUN_ERROR; what was said before it is no reply."""
        return [*self.begin(), {"type": "RUN_ERROR", "message": message, "code": code}]
