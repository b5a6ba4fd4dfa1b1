"""Asks specialists side by side and isolates each: what one of them does cannot hurt another, nor the caller.

A plain function is called in line. One that returns a coroutine runs as a task, under a time-out that includes waiting
for its turn (`Limits`). Whatever ends badly is an `Answer` that says so; the guard turns that into a review.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.guard.decision import Answer, Concern, Proposal
from shared.guard.rules import asks_for_action, is_confidence

if TYPE_CHECKING:
    from shared.specialists.specialist import Case, Specialist

MAX_OPINIONS: Final = 8
_MAX_EVIDENCE: Final = 8
_MAX_EVIDENCE_TEXT: Final = 200
_SURELY_QUICK_SECONDS: Final = 0.02
_GRACE_SECONDS: Final = 0.25
"""How long a specialist that was told to stop may take to do so before it is left behind."""


class Limits:
    """The turns of costly specialists, shared by every case of one process: make one and keep it."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], asyncio.Semaphore] = {}

    def slot(self, name: str, concurrency: int) -> asyncio.Semaphore:
        """The semaphore of this specialist at this width; it is bound to the running loop when it first waits."""
        key = (name, concurrency)
        if key not in self._slots:
            self._slots[key] = asyncio.Semaphore(concurrency)
        return self._slots[key]


async def propose_all(
    case: Case, specialists: Sequence[Specialist], *, limits: Limits, clock: Callable[[], float]
) -> tuple[Answer, ...]:
    """One answer for each specialist, in their order. clock: monotonic seconds, for `milliseconds` alone.

    Never raises but for the caller's own cancellation, which reaches every task before it goes on.
    """
    answers: list[Answer | None] = []
    waiting: dict[int, tuple[Specialist, Awaitable[Any]]] = {}
    for specialist in specialists:
        begun = clock()
        try:
            said = specialist.propose(case)
        except Exception as error:  # noqa: BLE001 - whatever a specialist does must not reach the others
            answers.append(_failed(specialist, "raised", type(error).__name__, begun, clock()))
            continue
        if _is_late(specialist, case, clock() - begun):
            answers.append(_failed(specialist, "timed_out", "", begun, clock()))
        elif said is None:
            answers.append(Answer(specialist.name, "abstained", milliseconds=_ms(begun, clock())))
        elif isinstance(said, Proposal | Concern | tuple):
            answers.append(_checked(specialist, said, _ms(begun, clock())))
        elif isinstance(said, Awaitable):
            waiting[len(answers)] = (specialist, said)
            answers.append(None)
        else:
            answers.append(_failed(specialist, "rubbish", type(said).__name__, begun, clock()))
    if waiting:
        for at, answer in (await _side_by_side(case, waiting, limits, clock)).items():
            answers[at] = answer
    return tuple(answer for answer in answers if answer is not None)


def _is_late(specialist: Specialist, case: Case, seconds: float) -> bool:
    """A plain function cannot be stopped, but what it says too late counts as little as silence."""
    return seconds > _SURELY_QUICK_SECONDS and seconds > _bounds(specialist, case)[0]


async def _side_by_side(
    case: Case, waiting: dict[int, tuple[Specialist, Awaitable[Any]]], limits: Limits, clock: Callable[[], float]
) -> dict[int, Answer]:
    begun = clock()
    tasks: dict[int, asyncio.Task[Answer]] = {}
    longest = 0.0
    for at, (specialist, promised) in waiting.items():
        seconds, width = _bounds(specialist, case)
        longest = max(longest, seconds)
        slot = limits.slot(specialist.name, width)
        tasks[at] = asyncio.ensure_future(_one(specialist, promised, slot, seconds, clock))
    try:
        await asyncio.wait(tasks.values(), timeout=longest + _GRACE_SECONDS)
    finally:
        await _put_away(tasks.values(), [promised for _, promised in waiting.values()])
    return {at: _ended(waiting[at][0], task, begun, clock()) for at, task in tasks.items()}


def _bounds(specialist: Specialist, case: Case) -> tuple[float, int]:
    """Seconds and width: the stricter of what the specialist wishes and the policy allows."""
    rule = case.policy.specialists.get(specialist.name)
    if rule is None:
        return specialist.timeout_seconds, specialist.concurrency
    seconds = min(specialist.timeout_seconds, rule.timeout_ms / 1000)
    if rule.basis == "model":
        seconds = min(seconds, case.policy.thresholds.model_timeout_ms / 1000)
    return seconds, min(specialist.concurrency, rule.concurrency)


async def _one(
    specialist: Specialist,
    promised: Awaitable[Any],
    slot: asyncio.Semaphore,
    seconds: float,
    clock: Callable[[], float],
) -> Answer:
    begun = clock()
    scope = asyncio.timeout(seconds)
    try:
        async with scope, slot:
            said = await promised
    except Exception as error:  # noqa: BLE001 - a model's client may raise anything; the guard is told, nobody is hurt
        outcome, detail = ("timed_out", "") if scope.expired() else ("raised", type(error).__name__)
        return _failed(specialist, outcome, detail, begun, clock())
    if scope.expired():  # it swallowed the order to stop and answered late: late is late
        return _failed(specialist, "timed_out", "", begun, clock())
    if said is None:
        return Answer(specialist.name, "abstained", milliseconds=_ms(begun, clock()))
    return _checked(specialist, said, _ms(begun, clock()))


async def _put_away(tasks: Any, promises: Sequence[Awaitable[Any]]) -> None:
    """Nothing runs on that can be stopped; one that will not stop is not waited for, and its result is dropped."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        _, stubborn = await asyncio.wait(left, timeout=_GRACE_SECONDS)
        for task in stubborn:
            task.add_done_callback(_retrieved)
    for promised in promises:
        if isinstance(promised, Coroutine) and not getattr(promised, "cr_running", False):
            frame = getattr(promised, "cr_frame", None)
            if frame is not None and getattr(promised, "cr_await", None) is None:
                promised.close()  # never begun: its turn did not come


def _retrieved(task: asyncio.Task[Answer]) -> None:
    """Looks at the result, so that the loop does not report it as forgotten."""
    if not task.cancelled():
        task.exception()


def _ended(specialist: Specialist, task: asyncio.Task[Answer], begun: float, now: float) -> Answer:
    if not task.done():
        return _failed(specialist, "timed_out", "would not stop", begun, now)
    if task.cancelled():  # the caller was not cancelled, or we would not be here: it cancelled itself, or was told to
        return _failed(specialist, "timed_out", "cancelled", begun, now)
    return task.result()


def _failed(specialist: Specialist, outcome: str, detail: str, begun: float, now: float) -> Answer:
    return Answer(specialist.name, outcome, detail=detail[:200], milliseconds=_ms(begun, now))


def _ms(begun: float, now: float) -> int:
    return int((now - begun) * 1000)


def _checked(specialist: Specialist, said: object, milliseconds: int) -> Answer:
    """The answer, if every opinion is of the agreed shape; one bad opinion spoils the turn, as a bad witness does."""
    name = specialist.name
    opinions = said if isinstance(said, tuple) else (said,)
    fault = f"{len(opinions)} opinions" if len(opinions) > MAX_OPINIONS else ""
    for opinion in opinions[:MAX_OPINIONS]:
        fault = fault or fault_in(opinion, name)
    if fault:
        # what it said is dropped, but for an attempt to act: that must be denied and recorded
        denied = tuple(
            Proposal(name, str(opinion.target)[:80], 0, "external_action", "Asked for an external action.")
            for opinion in opinions[:MAX_OPINIONS]
            if isinstance(opinion, Proposal) and asks_for_action(opinion.target)
        )
        return Answer(name, "rubbish", denied, detail=fault, milliseconds=milliseconds)
    proposals = tuple(opinion for opinion in opinions if type(opinion) is Proposal)
    concerns = tuple(opinion for opinion in opinions if type(opinion) is Concern)
    outcome = "answered" if opinions else "abstained"
    return Answer(name, outcome, proposals, concerns, milliseconds=milliseconds)


def fault_in(opinion: object, name: str) -> str:
    """What is wrong with the shape of an opinion, in our own words; "" when nothing is."""
    if type(opinion) is Proposal:
        if not (is_confidence(opinion.confidence_bp) and is_confidence(opinion.runner_up_bp)):
            return "confidence is not 0 to 10000 basis points"
        code, text_ok = opinion.rationale_code, _is_text(opinion.target, 80)
    elif type(opinion) is Concern:
        code, text_ok = opinion.code, True
    else:
        return "not an opinion"
    if opinion.specialist != name:
        return "signed with another name"
    if not (text_ok and _is_text(code, 120) and _is_text(opinion.rationale, 500)):
        return "a text is missing, too long or not storable"
    evidence = opinion.evidence
    if type(evidence) is not tuple or len(evidence) > _MAX_EVIDENCE:
        return "evidence is not a tuple of at most 8"
    return "" if all(_is_text(text, _MAX_EVIDENCE_TEXT) for text in evidence) else "an evidence is not a short text"


def _is_text(value: object, limit: int) -> bool:
    """A text of at most so many characters without lone surrogates, which can be neither hashed nor stored."""
    if type(value) is not str or len(value) > limit:
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
