"""What advisors say when a name means nothing here, and when not everything was read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.conversation.categories import SPOKEN
from shared.specialists.advisor import Advice
from shared.specialists.ledger_reader import MAX_PAGES, Found, LedgerReader
from shared.specialists.selection import branch
from shared.specialists.wording import category_text, day_text, listed, nearest, quoted, visible


def unknown_category(category: str, chart: Iterable[str], *, leaf: bool = False) -> Advice:
    """Asks for another category. leaf: a whole branch will not do."""
    names = sorted(chart)
    within = [one for one in names if branch(one) == category] if leaf else []
    near = within[:8] or _like(category, names if leaf else sorted({*names, *map(branch, names)}))
    if within:
        text = f"{quoted(category)} is a whole group of categories."
    else:
        text = f"There is no category {quoted(category)} here."
    hint = f" Do you mean {_either(near)}?" if near else " Which of your categories do you mean?"
    return Advice(text + hint, {"unknown_category": visible(category), "nearest": near}, asks="category")


def _like(category: str, names: Sequence[str]) -> list[str]:
    """The categories whose name, or another word that people use for them, is most like this."""
    spoken = {name: name for name in names}
    for name in names:
        spoken |= {other: name for other in SPOKEN.get(name.rpartition(".")[2], ()) if other not in spoken}
    return list(dict.fromkeys(spoken[one] for one in nearest(category, spoken)))


def unknown_merchant(merchant: str, names: Iterable[str], when: str, unread: Sequence[str] = ()) -> Advice:
    """Nothing of this merchant; of `names`, the merchants on record, those that are most like it."""
    near = nearest(merchant, names)
    text = f"I find nothing from {quoted(merchant)} {when}."
    if near:
        text += f" Do you mean {listed([quoted(one) for one in near], 'or')}?"
    facts = {"merchant": visible(merchant), "transactions": 0, "nearest": near, "complete": not unread}
    return Advice(" ".join([text, *unread]), facts)


def unread(found: Found) -> Sequence[str]:
    """What was not read, when the question's pages were used up; else nothing."""
    if found.complete or not found.rows:
        return () if found.complete else (f"I read {MAX_PAGES} pages and no further.",)
    oldest = day_text(found.rows[-1].booked_on)
    return (f"I read the newest {len(found.rows):,} transactions, back to {oldest}; what is older is not in this.",)


async def newest_on_record(ledger: LedgerReader) -> str:
    """For a span without anything: how far the record goes. One more page of one."""
    found = await ledger.transactions(most=1)
    if not found.rows:
        return "There is no transaction on record yet." if found.complete else ""
    return f"The newest transaction on record is of {day_text(found.rows[0].booked_on)}."


def _either(names: Sequence[str]) -> str:
    return listed([f"{category_text(one)} ({one})" for one in names], "or")
