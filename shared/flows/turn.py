"""One turn while it is worked: whose it is, what it was told, and the book that is kept of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from shared.conversation import documents as talk
from shared.conversation import stream
from shared.conversation.context import Context
from shared.conversation.intent import Intent, Slots
from shared.conversation.stream import Event, conversation_doc_id, told
from shared.conversation.talked_about import intent_in, pending_of
from shared.delivery import outbox
from shared.delivery.handling import Work
from shared.errors import EarlyError, TerminalError
from shared.flows.making_way import Gone
from shared.ledger.transactions import PROFILE_ID
from shared.ports.document_store import Body, Document, Merge
from shared.runs.life_cycle import Stage, stage
from shared.specialists.advisor import Wish
from shared.specialists.ledger_reader import LedgerReader

NO_SLOTS: Slots = MappingProxyType({})
Said = Callable[[str], Awaitable[None]]
Happened = Callable[[Event], Awaitable[None]]


async def nobody_listens(_: Any) -> None:
    """What is said and what happens, when no live turn listens: the stream tells it after the commit."""


class Turn(NamedTuple):
    """A message whose turn it is. late: its turn was over (it had failed), and an operator has asked for it again."""

    work: Work
    conversation: Body
    message: Document
    profile: Body
    context: Context
    chart: frozenset[str]
    paying_accounts: tuple[str, ...]
    late: bool

    @property
    def text(self) -> str:
        return str(self.message.body["text"])

    def ledger(self) -> LedgerReader:
        """A reader for one question."""
        heard = self.context
        accounts = tuple(self.profile["accounts"])
        return LedgerReader(
            store=self.work.store,
            partition=self.work.partition,
            today=heard.today,
            currency=heard.currency,
            chart=self.chart,
            accounts=accounts,
            paying_accounts=self.paying_accounts,
        )


class Still(NamedTuple):
    """What stays talked about. pending and asked: as `Context` has them for the next message. wished: the wish that
    `pending` has become, None while nothing is asked for. held: what was pending before, as the conversation keeps it,
    where `pending` is that or what became of it. question: the last one that was asked about the ledger.
    """

    pending: Intent | None = None
    asked: str = ""
    wished: Wish | None = None
    held: Body | None = None
    question: Intent | None = None


class Draft(NamedTuple):
    """What the specialists, or the model with them, have made of the message; nothing is decided yet.

    said: whether `text` was told live already. still: what stays talked about. recent: what the next message may lean
    on. gone: cards that make way for what the message says.
    """

    text: str
    source: str
    specialists: tuple[str, ...]
    mentions: tuple[str, ...] = ()
    wishes: tuple[Wish, ...] = ()
    still: Still = Still()
    gone: tuple[Gone, ...] = ()
    recent: Slots = NO_SLOTS
    said: bool = False
    tokens: tuple[int, int] = (0, 0)
    degraded: bool = False


def turn_of(
    work: Work, *, chart: frozenset[str], today: Callable[[datetime, str], date], paying_accounts: frozenset[str]
) -> Turn | None:
    """The turn, or None when the message is done with. `EarlyError` when another one goes before it."""
    told_of = work.command.payload
    conversation = work.documents.get(conversation_doc_id(told_of.conversation_id))
    message = work.documents.get(talk.message_doc_id(told_of.conversation_id, told_of.turn))
    if conversation is None or message is None:
        raise TerminalError("message_missing", "there is no such message (any more)")
    place = talk.place_in_queue(conversation.body, told_of.turn)
    if place > 0:
        raise EarlyError(f"{place} messages go before turn {told_of.turn}")
    if place < 0 and (message.body["status"] != "failed" or "erased_at" in message.body):
        return None
    stored = work.documents.get(PROFILE_ID)
    profile: Body = stored.body if stored else {"base_currency": "", "time_zone": "UTC", "chart": [], "accounts": []}
    own_chart = frozenset(profile["chart"]) or chart
    held = pending_of(conversation.body)
    context = Context(
        today=today(work.now, profile["time_zone"]),
        currency=profile["base_currency"],
        categories=tuple(sorted(own_chart)),
        pending=intent_in(held) if held else None,
        asked=conversation.body["asked"] if held else "",
        recent=conversation.body["recent"],
        waiting=bool(held and held["action_id"]),
        question=intent_in(question) if (question := conversation.body.get("question")) else None,
    )
    paying = tuple(sorted(paying_accounts))
    return Turn(work, conversation.body, message, profile, context, own_chart, paying, late=place < 0)


class Book:
    """What is kept of a turn: its stages and the events of its stream, told live to whoever listens."""

    def __init__(self, turn: Turn, *, said: Said, happened: Happened) -> None:
        self._at = turn.work.at
        self._said, self._happened = said, happened
        self._names: dict[str, int] = {}
        self.conversation_id: str = turn.conversation["conversation_id"]
        self.run_id: str = turn.work.run["run_id"]
        self.stages: list[Stage] = []
        self.events: list[Event] = []
        self.pieces: list[str] = []

    async def began(self) -> None:
        await self._tell(stream.run_started(self.conversation_id, self.run_id))

    async def say(self, words: str) -> None:
        """Words of the reply, as they come."""
        if words:
            self.pieces.append(words)
            await self._said(words)

    async def entered(self, name: str) -> str:
        """A stage begins; the name under which it is kept, which is its own."""
        self._names[name] = self._names.get(name, 0) + 1
        own = name if self._names[name] == 1 else f"{name} {self._names[name]}"
        await self._tell(stream.step_started(own))
        return own

    async def left(
        self, name: str, status: str, *, code: str, rationale: str, details: Body | None = None,
        confidence_bp: int | None = None,
    ) -> None:  # fmt: skip
        """The stage has ended."""
        made = stage(
            name, status, order=len(self.stages) + 1, at=self._at, code=code, rationale=rationale, details=details,
            confidence_bp=confidence_bp,
        )  # fmt: skip
        self.stages.append(made)
        await self._tell(stream.step_finished(name))

    async def _tell(self, event: Event) -> None:
        self.events.append(event)
        await self._happened(event)


def finishing(
    partition: str, conversation_id: str, turn: int, events: Sequence[Event], *, now: datetime, change: stream.Change
) -> Merge:
    """Tells the stream, ends the turn, and wakes the next message in the same commit: whoever posts meanwhile finds
    the turn ended, and whoever ends it finds what was posted. A wake-up is the command as it was accepted."""
    telling = told(conversation_id, events, now=now, change=talk.together(talk.finished(turn), change))

    def made(known: Mapping[str, Document]) -> list[Document]:
        documents = list(telling.made(known))
        if not documents:
            return []
        woken = talk.to_wake(known[documents[0].id].body, documents[0].body)
        if woken is None:
            return documents
        key = f"wake:{woken.command['command_id']}"
        wake_up = outbox.document_for(partition, key, commands=[woken.command], events=[], now=now, nonce=woken.nonce)
        return [*documents, *wake_up]

    return Merge(telling.ids, made)
