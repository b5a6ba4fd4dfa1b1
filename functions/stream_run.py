"""What an AG-UI client hears of one run: exactly one start, one end, and every text whole. Pure.

A turn tells the same text twice: word by word while it is made, and as the events that are stored with it. Here both
become one message. Source: docs.ag-ui.com, protocol version 1.0 (events, interrupts).
"""

from collections.abc import Mapping, Sequence
from typing import Any

type Event = dict[str, Any]

PROTOCOL_VERSION = "1.0"
_ENDS = ("RUN_FINISHED", "RUN_ERROR")


class ClientRun:
    """Translates one turn into the run that the client asked for. Each method returns the events to send, in order.

    The client's own names of thread and run are used towards it; ours are told as metadata.
    """

    def __init__(self, *, thread_id: str, run_id: str, messages: Sequence[Mapping[str, Any]] = ()) -> None:
        self._names = {"threadId": thread_id, "runId": run_id}
        self._messages = list(messages)
        self._texts: dict[str, str] = {}  # what the client has heard, by message
        self._begun = False
        self._end: Event | None = None
        self._live_id = f"{run_id}:reply"
        self._live = ""  # words told so far, ahead of the stored event
        self._live_open = False
        self._stored_id = ""  # the stored message that the live words are the beginning of
        self._stored = ""
        self._skipped: set[str] = set()
        self._told_text = False

    def begin(self, **ours: str) -> list[Event]:
        """RUN_STARTED, once. ours: our names of things, for the client's records."""
        if self._begun:
            return []
        self._begun = True
        told: Event = {"type": "RUN_STARTED", **self._names, "protocolVersion": PROTOCOL_VERSION}
        return [{**told, "metadata": {"countersign": ours}} if ours else told]

    def said(self, words: str) -> list[Event]:
        """Words of the reply, ahead of the stored message."""
        events = self.begin()
        if not self._live_open:
            events.append({"type": "TEXT_MESSAGE_START", "messageId": self._live_id, "role": "assistant"})
        self._live_open = self._told_text = True
        self._live += words
        return [*events, self._content(self._live_id, words)]

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
        if kind == "TEXT_MESSAGE_START" and event.get("role") == "user":
            self._skipped.add(message_id)  # the client has said that itself
        if message_id in self._skipped:
            return []
        if kind == "TEXT_MESSAGE_START" and self._live_open and not self._stored_id:
            self._stored_id = message_id
        if message_id != self._stored_id:
            self._told_text = True
            self._texts[message_id] = self._texts.get(message_id, "") + event.get("delta", "")
            return [event]
        self._stored += event.get("delta", "")
        return self._caught_up(event) if kind == "TEXT_MESSAGE_END" else []

    def _caught_up(self, end: Event) -> list[Event]:
        """The stored message is whole: tell what the live words lacked of it; or, if it says something else, itself."""
        message_id, stored = self._stored_id, self._stored
        self._stored_id = self._stored = ""
        if stored.startswith(self._live):
            return self._closed(stored)
        closed = self._closed(self._live)
        self._texts.pop(self._live_id, None)
        return [
            *closed,
            {"type": "CUSTOM", "name": "countersign.retracted", "value": {"messageId": self._live_id}},
            {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"},
            self._content(message_id, stored),
            end,
        ]

    def _closed(self, whole: str) -> list[Event]:
        """The live message, ended; `whole` begins with what was said."""
        rest = whole[len(self._live) :]
        self._live, self._live_open = whole, False
        more = [self._content(self._live_id, rest)] if rest else []
        return [*more, {"type": "TEXT_MESSAGE_END", "messageId": self._live_id}]

    def _content(self, message_id: str, delta: str) -> Event:
        self._texts[message_id] = self._texts.get(message_id, "") + delta
        return {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": delta}

    def finish(self, answer: Mapping[str, Any]) -> list[Event]:
        """The rest, and the end. answer: of the turn."""
        text = str(answer.get("text", ""))
        events = self.begin(run_id=str(answer.get("run_id", "")))
        if self._live_open:
            events += self._closed(text if text.startswith(self._live) else self._live)
        elif not self._told_text and text:  # a resend: its reply is known already
            events += [*self.said(text), *self._closed(text)]
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
