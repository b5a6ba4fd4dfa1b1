"""The people of a round of transfers: one asks, others sign, and all repeat themselves until they have an answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from local.chaos_host import exchange
from local.chaos_wishes import TENANT, Wish

CARDS = "/api/v1/approvals"
ALICE = "alice; roles=member"
SIGNER = "{name}; roles=reviewer"
PAUSE_SECONDS = 0.02
SIGNED = 2
"""Whoever is not sure that a signature arrived gives it again: the same one, under the same key."""
COME_BACK = (429, 503)


class People(threading.Thread):
    """Alice asks for the wish's transfer; its signers read the card and answer it. address: of the host, "" while it is
    down. They give up at `until` (`time.monotonic`)."""

    def __init__(self, wish: Wish, address: Callable[[], str], until: float) -> None:
        super().__init__(daemon=True)
        self._wish = wish
        self._address = address
        self._until = until
        self._talk = f"/api/v1/agent/conversations/{wish.conversation}"

    def run(self) -> None:
        wish = self._wish
        wish.begun = True
        wish.accepted = self._spoken() if wish.is_spoken else self._posted()
        card_id = self._card_id() if wish.accepted else ""
        if not card_id:
            return
        for name in wish.signers:
            time.sleep(wish.think_seconds)
            who = SIGNER.format(name=name)
            card = self._asked("GET", f"{CARDS}/{card_id}", who=who)
            if card is None:
                return
            body = {"decision": wish.decision, "card_digest": card["card_digest"], "rationale": "as agreed"}
            for _ in range(SIGNED):
                answer = self._asked("POST", f"{CARDS}/{card_id}/answer", body, who=who, key=name)
                wish.answers.setdefault(name, []).extend([answer] if answer is not None else [])

    def _posted(self) -> bool:
        body = {"message": self._wish.words}
        return self._asked("POST", f"{self._talk}/messages", body, who=ALICE, key="wish") is not None

    def _spoken(self) -> bool:
        """In the chat; a stream that ends without its last event is asked for again."""
        talk = self._wish.conversation
        body = {"message": self._wish.words, "conversation_id": talk, "client_message_id": talk}
        while time.monotonic() < self._until:
            status, told = self._tried("POST", "/api/v1/chat", body, who=ALICE, key="")
            if status == 200 and b"event: done" in told:
                return True
            if status not in (200, *COME_BACK):
                self._wish.refused.append(f"the chat answered {status}: {told!r}")
                return False
            time.sleep(PAUSE_SECONDS)
        return False

    def _card_id(self) -> str:
        """Of the card that the reply names."""
        while time.monotonic() < self._until:
            told = self._asked("GET", self._talk, who=ALICE)
            replies = [one for one in told["messages"] if one["role"] == "assistant"] if told else []
            if replies and not replies[0]["approvals"]:
                self._wish.refused.append(f"a reply without a card: {replies[0]['text']}")
                return ""
            if replies:
                return str(replies[0]["approvals"][0])
            time.sleep(PAUSE_SECONDS)
        return ""

    def _asked(self, method: str, path: str, body: Any = None, *, who: str, key: str = "") -> Any:
        """The body of a 2xx, asked for until it comes; None when it never does, or when something else does."""
        while time.monotonic() < self._until:
            status, told = self._tried(method, path, body, who=who, key=key)
            if status in (200, 202):
                return json.loads(told)
            if status not in COME_BACK:
                self._wish.refused.append(f"{method} {path} answered {status}: {told!r}")
                return None
            time.sleep(PAUSE_SECONDS)
        return None

    def _tried(self, method: str, path: str, body: Any, *, who: str, key: str) -> tuple[int, bytes]:
        """Status and content; 503 as well when the host has died, or is not back yet."""
        try:
            if url := self._address():
                return exchange(url, method, path, body, tenant=TENANT, key=key, who=who)
        except (OSError, http.client.HTTPException):
            return 503, b""
        return 503, b""
