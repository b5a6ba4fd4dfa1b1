"""Understands a message without a model: which of the known intents it voices, with which slots. Pure, deterministic.

`read` goes from top to bottom: set aside quotations, days and amounts (`marks.py`); cut into clauses and tell the mood
of each (`clauses.py`); group them by intent and read its slots (`slots.py`); join them with what is still open; and
fail closed: a doubt about a wish asks back. A message that names no intent may answer or correct (`answers.py`).
Nothing here approves anything: "yes" is the intent `affirm`; an approval is a signed-in person's answer to a card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.conversation import answers
from shared.conversation.asides import AFFIRM, CORRECTION, DENY, TAKING_BACK
from shared.conversation.clauses import DOUBTS, Clause, clauses_of
from shared.conversation.context import WISH, Context, intent_of
from shared.conversation.intent import INTENTS, Intent, Reading
from shared.conversation.marks import Marked, mark
from shared.conversation.patterns import any_of, plain
from shared.conversation.slots import Heard, Said, heard_in, visibility

__all__ = ["WISH", "Context", "read"]

MOST_INTENTS: Final = 3
_CORRECTION: Final = any_of(CORRECTION)
_AFFIRM: Final = any_of(AFFIRM)
_DENY: Final = any_of(DENY)
_TAKING_BACK: Final = any_of(TAKING_BACK)
_POINTING: Final = any_of(("it|that|this|them|the",))
_ANOTHER: Final = any_of(("another|also|too|more|second|additional|extra", "as well"))


class Group(NamedTuple):
    """Everything in a message that is about one intent. mood: as of its clause."""

    name: str
    mood: str
    text: str


def read(text: str, *, heard: Context) -> Reading:
    """How a message is understood. `text` is data: at most it becomes intents that the guard and people decide on.

    A bare number that corrects a wish is in the wish's own currency.
    """
    currency = heard.pending.slots.get("currency", "") if heard.pending else ""
    if isinstance(currency, str) and currency not in ("", heard.currency):
        revising = _read(text, heard._replace(currency=currency))
        if revising.revises is not None:
            return revising
    return _read(text, heard)


def _read(text: str, heard: Context) -> Reading:
    worded = answers.free_text(text, heard)
    if worded is not None:
        return worded
    marked = mark(text, home=heard.currency, today=heard.today, expected=heard.expects_money)
    if marked.crowded:
        return answers.unsure("it says more at once than I can follow")
    clauses = clauses_of(marked, heard.today)
    chosen = answers.choice(marked, clauses, heard)
    if chosen is not None:
        return chosen
    groups = _groups(clauses, heard, answering=heard.pending is not None)
    if not groups:
        answer = answers.reading(marked, clauses, heard)
        groups = _groups(clauses, heard, answering=False) if answer.unsure and not answer.candidate else []
        if not groups:
            return answer
    doubted = _doubted(groups, clauses, marked, heard)
    return doubted or _joined(_merged(groups, marked, heard), clauses, heard)


def corrects(text: str) -> bool:
    """Whether its words may correct what was said before, whatever that was."""
    return _CORRECTION.search(plain(text)) is not None


def takes_back(text: str) -> bool:
    """Whether a refusal says that what waits already is not wanted any more."""
    return _TAKING_BACK.search(plain(text)) is not None


def _groups(clauses: Sequence[Clause], heard: Context, *, answering: bool) -> list[Group]:
    """Each clause that names an intent, with the clauses around it that name none.

    answering: we talk about something, so what is no question by its form is part of the answer.
    """
    answering = answering or any(clause.mood == "wish" for clause in clauses)
    groups: list[Group] = []
    ahead: list[str] = []
    for clause in clauses:
        name = "" if answering and clause.mood == "question" and not clause.firm else _name(clause, groups, heard)
        if name:
            groups.append(Group(name, clause.mood, " , ".join([*ahead, clause.text])))
            ahead = []
        elif "not" in clause.moods and not visibility(clause.text):
            continue  # "not to Bob": what it names is excluded
        elif groups:
            groups[-1] = groups[-1]._replace(text=f"{groups[-1].text} , {clause.text}")
        else:
            ahead.append(clause.text)
    return groups


def _name(clause: Clause, groups: Sequence[Group], heard: Context) -> str:
    """The clause's intent, "" for none."""
    if clause.name == "transaction":
        talked = groups[-1].name if groups else heard.pending.name if heard.pending else ""
        return "request_payment" if talked == "request_payment" else "transfer"
    return clause.name


def _doubted(groups: Sequence[Group], clauses: Sequence[Clause], marked: Marked, heard: Context) -> Reading | None:
    """What to ask back when the mood of a wish is not plain, None when all is."""
    wishes = [group for group in groups if group.mood != "question"]
    doubts = [group for group in wishes if group.mood != "wish"]
    if wishes and _taken_back(clauses):
        return answers.unsure(DOUBTS["taken back"])
    if not doubts:
        return None
    if all(group.mood == "not" for group in wishes):
        return answers.sure(Intent("deny", {}))
    if len(wishes) > 1 or doubts[0].mood == "not":
        return answers.unsure("it wants one thing and not another")
    found = _found(doubts[0], marked, heard)
    about = heard.pending is not None and heard.pending.name == doubts[0].name and not found.slots
    if about:
        return answers.unsure(DOUBTS[doubts[0].mood])
    candidate, goes_on = _intent(doubts[0], found, heard)
    doubted = answers.unsure(DOUBTS[doubts[0].mood], candidate)
    return answers.revising(doubted, candidate) if goes_on else doubted


def _taken_back(clauses: Sequence[Clause]) -> bool:
    """Whether something after the first wish takes it back: "send $50 to Anna. Wait, no"."""
    first = next(at for at, clause in enumerate(clauses) if clause.name)
    later = clauses[first + 1 :]
    if clauses[first].name == "draft_message":
        return False
    refusals = (not clause.name and _DENY.match(plain(clause.text)) and not visibility(clause.text) for clause in later)
    return any("taken back" in clause.vetoes for clause in later) or any(refusals)


def _intent(group: Group, found: Heard, heard: Context) -> tuple[Intent, bool]:
    """The group's intent; together with the pending one, when it goes on with that, and whether it does."""
    pending, intent = heard.pending, intent_of(group.name, found.slots, found.unclear)
    goes_on = pending is not None and pending.name == group.name and _goes_on(pending, group, intent)
    if pending and goes_on:
        intent = answers.filled_in(pending, found)
    if group.name == "transfer" and "account_type" in heard.recent and "account_type" not in intent.missing:
        intent = intent._replace(slots={"account_type": heard.recent["account_type"], **intent.slots})
    return intent, goes_on


def _goes_on(pending: Intent, group: Group, alone: Intent) -> bool:
    """Whether a wish completes or corrects the pending one of its kind, or is a new one beside it."""
    words = plain(group.text)
    if pending.missing or _CORRECTION.search(words):
        return True
    refers = bool(alone.slots) or _POINTING.search(words) is not None
    return bool(alone.missing) and refers and not _ANOTHER.search(words)


def _found(group: Group, marked: Marked, heard: Context) -> Heard:
    pending = heard.pending if heard.pending and heard.pending.name == group.name else None
    return heard_in(group.name, Said(group.text, marked, heard.categories, heard.asked if pending else "", pending))


def _merged(groups: Sequence[Group], marked: Marked, heard: Context) -> list[tuple[Group, Heard]]:
    """Each group with its slots. Two that speak of one wish become one: of one kind, and they agree, or the later
    corrects the earlier.
    """
    merged: list[tuple[Group, Heard]] = []
    for group in groups:
        found = _found(group, marked, heard)
        if not merged or merged[-1][0].name != group.name:
            merged.append((group, found))
            continue
        first = merged[-1][1]
        agree = all(first.slots.get(slot, value) == value for slot, value in found.slots.items())
        complete = not intent_of(group.name, found.slots).missing
        if agree or (not complete and _CORRECTION.search(plain(group.text))):
            both = Heard({**first.slots, **found.slots}, first.problem or found.problem, first.unclear + found.unclear)
            merged[-1] = (merged[-1][0], both)
        else:
            problem = "" if complete or not INTENTS[group.name].acts else "it says two things about one wish"
            merged.append((group, found._replace(problem=found.problem or problem)))
    return merged


def _joined(merged: Sequence[tuple[Group, Heard]], clauses: Sequence[Clause], heard: Context) -> Reading:
    """All intents, or what to ask back: for a problem with any of them, or for too many."""
    read_as = [_intent(group, found, heard) for group, found in merged]
    intents, revised = [intent for intent, _ in read_as], [intent for intent, goes_on in read_as if goes_on]
    problem = next((found.problem for _, found in merged if found.problem), "")
    if problem:
        candidate = intents[0] if len(intents) == 1 and intents[0].acts else None
        return answers.unsure(problem, candidate)._replace(revises=candidate if revised else None)
    if len(intents) > MOST_INTENTS:
        return answers.unsure("it asks for more than three things at once")
    pending = heard.pending
    if pending is not None and pending.acts and not pending.missing and heard.waiting and intents == [pending]:
        return answers.sure(Intent("affirm", {}))  # said again what the card says already
    reading = answers.sure(*_answer_ahead(clauses, merged, heard), *intents)
    return reading._replace(revises=revised[0] if revised else None)


def _answer_ahead(
    clauses: Sequence[Clause], merged: Sequence[tuple[Group, Heard]], heard: Context
) -> tuple[Intent, ...]:
    """A "yes" or "no" to our last reply before a question, or what takes a wish back before another one."""
    talking = heard.pending is not None or heard.asked
    words = plain(clauses[0].text)
    if not talking or clauses[0].name:
        return ()
    if any(group.mood != "question" for group, _ in merged):  # "Cancel that. Send 20 EUR to Tom."
        return (Intent("deny", {}),) if _DENY.match(words) and takes_back(words) else ()
    if _DENY.match(words):
        return (Intent("deny", {}),)
    return (Intent("affirm", {}),) if _AFFIRM.match(words) else ()
