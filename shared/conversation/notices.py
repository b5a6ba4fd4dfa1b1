"""Which notifications somebody speaks of: their topic, their channel, on or off. Pure.

The topics and channels are those that the action policy allows; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from shared.conversation.patterns import any_of

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "approvals": (
        "approval|approvals|countersign|countersignature|signature|signatures",
        "needs|need|waits|waiting .. sign|signing|approving",
    ),
    "budgets": ("budget|budgets|overspending|overspend|overspent",),
    "cash_pressure": (
        "cash pressure|flow|crunch", "low|short of|on? <money>|balance|balances",
        "<money>|balance|account .. low|below|drops|falls|short|out", "overdrawn|overdraft",
        "run|running out|short|low",
    ),
    "duplicates": ("duplicate|duplicates|duplicated|twice|double|doubled",),
    "large_transactions": ("large|larger|big|bigger|huge|high .. <entries>",),
    "weekly_summary": (
        "weekly .. summary|summaries|report|reports|overview|digest", "summary|report|overview of|for the week",
    ),
}  # fmt: skip
CHANNELS: Final = {"email": ("email|emails|mail|mails",), "app": ("push|phone|app|in-app",)}
_TOPICS: Final = {name: any_of(phrases) for name, phrases in TOPICS.items()}
_CHANNELS: Final = {name: any_of(phrases) for name, phrases in CHANNELS.items()}
_OTHER_CHANNEL: Final = any_of(("sms|text|texts|whatsapp|post|letter|call|fax",))
_OFF: Final = any_of(
    (
        "off",
        "disable|mute|deactivate|silence|stop|unsubscribe|without|not|never|cancel",
        "no more|longer",
        "no|fewer .. emails|notifications|alerts|texts|sms|push|reminders",
    )
)
_ON: Final = any_of(("on|enable|unmute|activate|reactivate|start|again",))


class Notice(NamedTuple):
    """enabled: on, unless they say off; switched: whether they say either. no_such_channel: one is named that is none
    of ours."""

    topics: tuple[str, ...]
    channels: tuple[str, ...]
    enabled: bool
    switched: bool
    no_such_channel: bool


def notice_in(words: str) -> Notice:
    """What plain words say of notifications."""
    topics = tuple(name for name, found in _TOPICS.items() if found.search(words))
    channels = tuple(name for name, found in _CHANNELS.items() if found.search(words))
    off = _OFF.search(words) is not None
    switched = off or _ON.search(words) is not None
    no_such = not channels and _OTHER_CHANNEL.search(words) is not None
    return Notice(topics, channels, not off, switched, no_such)
