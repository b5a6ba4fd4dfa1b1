"""The people of a round of transfers: one asks, one signs, and both repeat themselves until they have an answer."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

from local.chaos_host import call
from local.chaos_wishes import TENANT, Wish

ALICE = "alice; roles=member"
CARDS = "/api/v1/approvals"
BOB = "bob; roles=reviewer"
PAUSE_SECONDS = 0.02
SIGNED = 2
"""Whoever is not sure that a signature arrived gives it again: the same one, under the same key."""
COME_BACK = (429, 503)


class People(threading.Thread):
    """Alice asks for the wish's transfer; bob reads the card and answers it. address: of the host, "" while it is down.
    They give up at `until` (`time.monotonic`)."""

    def __init__(self, wish: Wish, address: Callable[[], str], until: float) -> None:
        super().__init__(daemon=True)
        self._wish = wish
        self._address = address
        self._until = until
        self._talk = f"/api/v1/agent/conversations/{wish.conversation}"

    def run(self) -> None:
        wish = self._wish
        wish.begun = True
        if self._asked("POST", f"{self._talk}/messages", wish.message, who=ALICE, key=wish.conversation) is None:
            return
        wish.accepted = True
        card = self._card()
        if card is None:
            return
        time.sleep(wish.think_seconds)
        body = {"decision": wish.decision, "card_digest": card["card_digest"], "rationale": "as agreed"}
        for _ in range(SIGNED):
            answer = self._asked("POST", f"{CARDS}/{card['approval_id']}/answer", body, who=BOB, key="bob")
            if answer is not None:
                wish.answers.append(answer)

    def _card(self) -> dict[str, Any] | None:
        """The card that the reply names, as bob is shown it."""
        while time.monotonic() < self._until:
            told = self._asked("GET", self._talk, who=ALICE)
            replies = [one for one in told["messages"] if one["role"] == "assistant"] if told else []
            if replies and not replies[0]["approvals"]:
                self._wish.refused.append(f"a reply without a card: {replies[0]['text']}")
                return None
            if replies:
                card: dict[str, Any] | None = self._asked(
                    "GET", f"/api/v1/approvals/{replies[0]['approvals'][0]}", who=BOB
                )
                return card
            time.sleep(PAUSE_SECONDS)
        return None

    def _asked(self, method: str, path: str, body: Any = None, *, who: str, key: str = "") -> Any:
        """The body of a 2xx, asked for until it comes; None when it never does, or when something else does."""
        while time.monotonic() < self._until:
            url = self._address()
            try:
                status, told = call(url, method, path, body, tenant=TENANT, key=key, who=who) if url else (503, None)
            except (OSError, http.client.HTTPException, ValueError):
                status, told = 503, None  # the host died, or is not back yet
            if status in (200, 202):
                return told
            if status not in COME_BACK:
                self._wish.refused.append(f"{method} {path} answered {status}: {told}")
                return None
            time.sleep(PAUSE_SECONDS)
        return None
