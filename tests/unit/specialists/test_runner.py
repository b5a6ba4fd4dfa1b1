"""Whatever one specialist does, the others are heard and the caller gets an answer for each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.guard.decision import Answer, Concern
from shared.specialists.runner import Limits, propose_all
from shared.specialists.specialist import Case
from tests.unit.guard.policies import proposal
from tests.unit.specialists.cases import case


@dataclass(frozen=True)
class Scripted:
    """A specialist that does as it is told."""

    does: Callable[[Case], Any]
    name: str = "category_model"
    timeout_seconds: float = 0.05
    concurrency: int = 2

    def propose(self, case: Case) -> Any:
        return self.does(case)


GOOD = Scripted(lambda _: proposal(), name="categorization")


def later(value: Any, seconds: float = 0.0) -> Callable[[Case], Any]:
    async def does(_: Case) -> Any:
        await asyncio.sleep(seconds)
        return value

    return does


async def ask(*specialists: Scripted) -> tuple[Answer, ...]:
    return await propose_all(case(), specialists, limits=Limits(), clock=asyncio.get_running_loop().time)


def raises(_: Case) -> Any:
    raise ValueError("secret 4410")


async def raises_later(_: Case) -> Any:
    raise ValueError("secret 4410")


async def test_answers_come_in_the_order_of_the_specialists() -> None:
    slow = Scripted(later(proposal("category_model"), 0.01))
    answers = await ask(slow, GOOD)
    assert [(one.specialist, one.outcome) for one in answers] == [
        ("category_model", "answered"),
        ("categorization", "answered"),
    ]


async def test_nothing_to_say_is_an_abstention() -> None:
    answers = await ask(Scripted(lambda _: None), Scripted(later(None)), Scripted(lambda _: ()))
    assert [one.outcome for one in answers] == ["abstained"] * 3


@pytest.mark.parametrize("does", [raises, raises_later])
async def test_one_that_raises_is_isolated_and_its_words_are_not_repeated(does: Callable[[Case], Any]) -> None:
    broken, good = await ask(Scripted(does), GOOD)
    assert (broken.outcome, broken.detail) == ("raised", "ValueError")
    assert good.outcome == "answered"


async def test_one_that_hangs_is_timed_out_and_the_others_are_not_held_up() -> None:
    hung, good = await ask(Scripted(later(None, 3600)), GOOD)
    assert hung.outcome == "timed_out"
    assert good.outcome == "answered"


async def test_its_own_time_out_error_is_a_break_down_not_ours() -> None:
    async def does(_: Case) -> Any:
        raise TimeoutError

    (answer,) = await ask(Scripted(does))
    assert (answer.outcome, answer.detail) == ("raised", "TimeoutError")


async def test_one_that_swallows_the_order_to_stop_is_late_all_the_same() -> None:
    async def does(_: Case) -> Any:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return proposal("category_model")

    (answer,) = await ask(Scripted(does))
    assert (answer.outcome, answer.proposals) == ("timed_out", ())


async def test_one_that_will_not_stop_is_left_behind() -> None:
    release = asyncio.Event()

    async def does(_: Case) -> Any:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    stubborn, good = await asyncio.wait_for(ask(Scripted(does), GOOD), 5)
    release.set()
    await asyncio.sleep(0)
    assert (stubborn.outcome, good.outcome) == ("timed_out", "answered")


async def test_one_that_cancels_itself_does_not_cancel_the_caller() -> None:
    async def does(_: Case) -> Any:
        raise asyncio.CancelledError

    (answer,) = await ask(Scripted(does))
    assert answer.outcome == "timed_out"


BAD = proposal("category_model")


@pytest.mark.parametrize(
    "said",
    [
        "approve",
        42,
        {"target": "food.groceries"},
        [BAD],
        (BAD, "and more"),
        (BAD,) * 9,
        replace(BAD, confidence_bp=True),
        replace(BAD, confidence_bp=0.97),
        replace(BAD, confidence_bp=math.nan),
        replace(BAD, confidence_bp=None),
        replace(BAD, confidence_bp=-1),
        replace(BAD, confidence_bp=10_001),
        replace(BAD, runner_up_bp=math.inf),
        replace(BAD, specialist="categorization"),
        replace(BAD, target=None),
        replace(BAD, target="x" * 81),
        replace(BAD, rationale="x" * 501),
        replace(BAD, rationale="\ud800"),
        replace(BAD, rationale_code="x" * 121),
        replace(BAD, evidence=["a list"]),
        replace(BAD, evidence=("x",) * 9),
        replace(BAD, evidence=("x" * 201,)),
        replace(BAD, evidence=(1,)),
        Concern("category_model", "x" * 121, "Hm."),
        Concern("somebody", "duplicate_charge", "Hm."),
    ],
    ids=repr,
)
@pytest.mark.parametrize("how", ["at once", "later"])
async def test_rubbish_is_recorded_and_dropped(said: Any, how: str) -> None:
    does = later(said) if how == "later" else lambda _: said
    (answer,) = await ask(Scripted(does))
    assert (answer.outcome, answer.proposals, answer.concerns) == ("rubbish", (), ())
    assert answer.detail
    assert len(answer.detail) <= 200


async def test_an_attempt_to_act_is_kept_from_the_rubbish_to_be_denied() -> None:
    (answer,) = await ask(Scripted(lambda _: (replace(BAD, target="send_money", confidence_bp=None),)))
    assert answer.outcome == "rubbish"
    assert [one.target for one in answer.proposals] == ["send_money"]


async def test_a_costly_specialist_is_asked_by_so_many_at_once_and_no_more() -> None:
    busy = most = 0

    async def does(_: Case) -> Any:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1

    limits, one = Limits(), Scripted(does, timeout_seconds=5)
    clock = asyncio.get_running_loop().time
    await asyncio.gather(*(propose_all(case(), [one], limits=limits, clock=clock) for _ in range(6)))
    assert most == 2


async def test_whose_turn_does_not_come_in_time_is_timed_out() -> None:
    limits = Limits()
    one = Scripted(later(None, 3600), concurrency=1)
    clock = asyncio.get_running_loop().time
    answers = await asyncio.gather(*(propose_all(case(), [one], limits=limits, clock=clock) for _ in range(3)))
    assert [answer.outcome for (answer,) in answers] == ["timed_out"] * 3


async def test_cancelling_the_caller_cancels_every_specialist() -> None:
    stopped: list[str] = []

    def waits(name: str) -> Scripted:
        async def does(_: Case) -> Any:
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.append(name)

        return Scripted(does, name=name, timeout_seconds=3600)

    asking = asyncio.ensure_future(ask(waits("one"), waits("two")))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sorted(stopped) == ["one", "two"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_plain_functions_cost_no_task() -> None:
    tasks = len(asyncio.all_tasks())
    seen: list[int] = []
    await ask(Scripted(lambda _: seen.append(len(asyncio.all_tasks()))))
    assert seen == [tasks]


async def test_a_plain_function_that_answers_too_late_is_timed_out() -> None:
    now = iter([0.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    slow = Scripted(lambda _: proposal("category_model"), timeout_seconds=0.1)
    (answer,) = await propose_all(case(), [slow], limits=Limits(), clock=lambda: next(now))
    assert (answer.outcome, answer.proposals) == ("timed_out", ())
