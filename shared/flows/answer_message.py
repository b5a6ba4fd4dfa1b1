"""AgentMessagePosted: plan, specialists, guard, reply; and one commit keeps all of it. The store keeps the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.contracts.identity import partition_of
from shared.contracts.instants import parse
from shared.conversation import documents as talk
from shared.conversation import stream, wording
from shared.conversation.stream import conversation_doc_id
from shared.conversation.turn_metrics import Measured, counted
from shared.delivery.handling import Left, Outcome, Work
from shared.flows import by_grammar, by_model
from shared.flows.by_model import STANDARD, ModelLimits
from shared.flows.outgoing_lately import Outgoing
from shared.flows.turn import Book, Draft, Happened, Said, Turn, finishing, nobody_listens, turn_of
from shared.flows.turn_record import answered, judgement_told, skipped
from shared.flows.wishes import MAX_WISHES, Granted, granted, outcomes, weighed
from shared.guard.action_policy import ActionPolicy
from shared.guard.disposition import ADVISORY_ONLY, APPROVAL_REQUIRED
from shared.ledger.transactions import PROFILE_ID
from shared.ports.document_store import Document
from shared.ports.language_model import LanguageModel, ModelUnavailableError
from shared.runs.life_cycle import Run
from shared.specialists.advisor import Advisor

if TYPE_CHECKING:
    from shared.contracts.commands import AgentMessagePostedEnvelope

NO_ACCOUNTS: Mapping[str, frozenset[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AnswerMessageFlow:
    """policy: None leaves nothing but advice. chart: the categories of a tenant without its own. advisors: who is
    asked, by intent. today: the day in a time zone. clock: seconds that only grow. configuration: {"code_version",
    "configuration_version"}. paying_accounts: of each tenant, that it may pay from. model: None works by the grammar.
    said, happened: a live turn that listens.
    """

    policy: ActionPolicy | None
    chart: frozenset[str]
    advisors: Mapping[str, Advisor]
    today: Callable[[datetime, str], date]
    clock: Callable[[], float]
    configuration: Mapping[str, str]
    paying_accounts: Mapping[str, frozenset[str]] = NO_ACCOUNTS
    model: LanguageModel | None = None
    limits: ModelLimits = STANDARD
    said: Said = nobody_listens
    happened: Happened = nobody_listens

    def needs(self, command: AgentMessagePostedEnvelope) -> tuple[str, ...]:
        told = command.payload
        message_id = talk.message_doc_id(told.conversation_id, told.turn)
        metric = f"metric:turns:{command.issued_at[:10]}"
        return (conversation_doc_id(told.conversation_id), message_id, PROFILE_ID, metric)

    async def handle(self, work: Work) -> Outcome:
        begun = self.clock()
        paying = self.paying_accounts.get(work.command.tenant, frozenset())
        turn = turn_of(work, chart=self.chart, today=self.today, paying_accounts=paying)
        if turn is None:
            return skipped(work)
        book = Book(turn, said=self.said, happened=self.happened)
        await book.began()
        draft = await self._draft(turn, book)
        outgoing = Outgoing(work, self.policy)
        wishes = await self._judged(turn, book, draft, outgoing)
        text = await _spoken(book, draft, wishes)
        outcome = answered(turn, book, draft, wishes, text=text, disposition=self._disposition, policy=self.policy)
        outcome.writes.extend(outgoing.writes())
        measured = Measured(
            self.configuration["configuration_version"],
            round((self.clock() - begun) * 1000),
            degraded=draft.degraded,
            input_tokens=draft.tokens[0],
            output_tokens=draft.tokens[1],
        )
        outcome.merges.append(counted(work.partition, work.command.issued_at[:10], measured))
        return outcome

    def when_parked(
        self,
        command: AgentMessagePostedEnvelope,
        documents: Mapping[str, Document],
        *,
        run: Run,
        reason: str,
    ) -> Left:
        """The message has failed; the person is told, and the next message has its turn."""
        told, partition = command.payload, partition_of(command.tenant)
        conversation = documents.get(conversation_doc_id(told.conversation_id))
        message = documents.get(talk.message_doc_id(told.conversation_id, told.turn))
        if conversation is None or message is None or message.body["status"] != "queued":
            return Left()
        now = parse(run["completed_at"])
        ids = {"run_id": run["run_id"], "command_id": command.command_id, "correlation_id": command.correlation_id}
        notice = talk.notice(
            partition, told.conversation_id, turn=told.turn, key="failed", text=wording.FAILED,
            at=run["completed_at"], **ids,
        )  # fmt: skip
        events = [
            stream.run_started(told.conversation_id, run["run_id"]),
            *stream.text(notice.body["message_id"], [wording.FAILED]),
            stream.run_error(wording.FAILED, reason),
        ]
        ending = finishing(partition, told.conversation_id, told.turn, events, now=now, change=stream.unchanged)
        measured = Measured(self.configuration["configuration_version"], 0, failed=True)
        return Left(
            [talk.ended(message, "failed"), notice],
            merges=[ending, counted(partition, command.issued_at[:10], measured)],
        )

    @property
    def _disposition(self) -> str:
        return ADVISORY_ONLY if self.policy is None else APPROVAL_REQUIRED

    async def _draft(self, turn: Turn, book: Book) -> Draft:
        """By the model where there is one; without its answer by the grammar, and then nothing is asked for."""
        if self.model is None:
            return await by_grammar.drafted(turn, book, self.advisors)
        try:
            return await by_model.drafted(
                turn,
                book,
                self.advisors,
                self.model,
                limits=self.limits,
                disposition=self._disposition,
                preview=lambda wish: judgement_told(weighed(wish, turn, self.policy)),
            )
        except ModelUnavailableError:
            draft = await by_grammar.drafted(turn, book, self.advisors, acting=False)
        return draft._replace(degraded=True)

    async def _judged(self, turn: Turn, book: Book, draft: Draft, outgoing: Outgoing) -> list[Granted]:
        """What the guard makes of each wish, as one stage."""
        if not draft.wishes:
            return []
        name = await book.entered("guard")
        made: list[Granted] = []
        gone = [one.action.body["action_id"] for one in draft.gone]
        for number, wish in enumerate(draft.wishes[:MAX_WISHES]):
            waiting = len(turn.conversation["open_approvals"]) - len(draft.gone)
            waiting += sum(one.card is not None for one in made)
            one = weighed(wish, turn, self.policy, lately=await outgoing.lately(wish.action, but=gone))
            made.append(granted(turn, one, number, configuration=self.configuration, waiting=waiting))
            if made[-1].action is not None:
                outgoing.counts(made[-1].action)
        first = made[0].weighed.judged
        code = first.reason_codes[0] if first else "arguments_invalid"
        asks = any(one.action is None or (one.card is not None) for one in made)
        await book.left(
            name,
            "NeedsReview" if asks else "Succeeded",
            code=code,
            rationale=" ".join(one.said for one in made)[:500],
            details={"decisions": outcomes(made)},
        )
        return made


async def _spoken(book: Book, draft: Draft, wishes: Sequence[Granted]) -> str:
    """The reply's text. What becomes of a wish is always said in our own words, whatever a model has said of it."""
    name = await book.entered("reply")
    lines = [one.said for one in wishes]
    if len(draft.wishes) > MAX_WISHES:
        lines.append(f"I do {MAX_WISHES} things at a time; tell me the rest again.")
    text = "\n\n".join(part for part in (draft.text, *lines) if part)
    already = draft.text if draft.said else ""
    await book.say(text[len(already) :])
    await book.left(name, "Succeeded", code="replied", rationale=f"{len(text)} characters")
    return text
