"""What each intent needs to know, read from the words that belong to it: one small function per intent. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from shared.conversation.accounts import Sides, account_named_in, account_reached_in, sides_in
from shared.conversation.asides import AFFIRM, DENY
from shared.conversation.categories import category_in
from shared.conversation.intent import OWN_ACCOUNT, Intent, Slots
from shared.conversation.marks import Marked
from shared.conversation.merchants import merchant_in, transaction_id_in
from shared.conversation.notices import notice_in
from shared.conversation.patterns import any_of, plain, words
from shared.conversation.people import addressee_in, payee_in, payer_in

_PRIVATE: Final = any_of(("private|privately|secret|secretly|hidden", "not public|visible", "only me"))
_PUBLIC: Final = any_of(("public|publicly", "not private", "everyone .. see"))
_COMPARED: Final = re.compile(r"\b(?:than|with|to|versus|vs|against|from|over)\s+[\ue200-\ue2ff]")
_COMPARING: Final = any_of(("compare|compared|comparison|versus|vs|than", "more|less than", "up|down from"))
_WAITING: Final = any_of(
    ("needs|need|wait|waits|waiting|open .. review|reviews|reviewing|reviewed", "to|be review|reviewed")
)
_RELATIVE: Final = any_of(("by <amount>", "<amount> more|less|extra|higher|lower", "another|extra|additional <amount>"))
_MOST_WORDS: Final = 4
"""Words of an answer that is nothing but a name."""
_LOOSE_NUMBER: Final = re.compile(
    r"(?<![\w.#@:/-])(?<!account )(?<!number )(?<!invoice )"
    r"(?<!ending )(?<!ending in )(?<!card )(?<!order )[0-9][0-9.,]*(?!\w*@)"
)
_NOTE: Final = re.compile(
    r"\b(?:note|memo|reference|message|description|comment)\s+"
    r"(?:of\s+|saying\s+|that\s+says\s+|is\s+)?([\ue100-\ue1ff])"
)
_WORDED: Final = re.compile(
    r"(?:\b(?:saying|that says|says|telling (?:him|her|them)|to say|asking|to ask|that)|:)\s+(.+)\Z", re.DOTALL
)
_AFTER_COLON: Final = re.compile(r"([^:]*?)(?::|\s[-\u2013\u2014]\s)\s*(\S.*)\Z", re.DOTALL)
"""A draft's text behind its addressee: "to Anna: the rent is on its way"."""
_YES_OR_NO: Final = any_of((*AFFIRM, *DENY))
_COURTESIES: Final = words(
    "please thanks the my our it's its is it from to account one use that this transaction with id"
)


class Said(NamedTuple):
    """The words of one intent. text: as written, marked. asked: the slot that our last reply asked for.

    pending: the intent of this kind that is talked about already, which they may answer or correct.
    """

    text: str
    marked: Marked
    chart: tuple[str, ...]
    asked: str
    pending: Intent | None = None

    @property
    def words(self) -> str:
        return plain(self.text)

    @property
    def named(self) -> str:
        """The recipient that has been named before."""
        return str(self.pending.slots.get("recipient", "")) if self.pending else ""

    def lacks(self, slot: str) -> bool:
        """Whether the pending intent lacks this slot, so that a bare word may be it."""
        return self.pending is not None and slot in self.pending.missing


class Heard(NamedTuple):
    """The slots that were named. problem: what must be asked back before anything is done with them; unclear: about
    which slots, where they are not simply left out.
    """

    slots: Slots
    problem: str = ""
    unclear: tuple[str, ...] = ()


def heard_in(name: str, said: Said) -> Heard:
    """The slots of this intent in these words."""
    reading = _READERS.get(name)
    return reading(said) if reading else Heard({})


def visibility(text: str) -> bool:
    """Whether it says who may see a payment."""
    words = plain(text)
    return bool(_PRIVATE.search(words) or _PUBLIC.search(words))


def _money(said: Said, *, bounds: tuple[str, ...] = ()) -> Heard:
    amounts = said.marked.amounts_of(said.text)
    if not amounts:
        return Heard({})
    money = amounts[0]
    if len(set(amounts)) > 1:
        return Heard({}, "several amounts are named")
    if money.problem or (money.bound and money.bound not in bounds):
        return Heard({}, money.problem or "the amount is not exact")
    return Heard({"amount_minor": money.minor, "currency": money.currency})


def _days(said: Said, *, ahead: bool = True) -> Heard:
    spans = said.marked.days_of(said.text)
    if not spans:
        return Heard({})
    slots: dict[str, str | int | bool] = {}
    first = spans[0]
    compared = _COMPARED.search(said.text) is not None
    if first.since is not None and not (compared and len(spans) == 1):
        slots["since"] = first.since.isoformat()
    if first.until is not None and not (compared and len(spans) == 1):
        slots["until"] = first.until.isoformat()
    problem = first.problem or ("several spans of days are named" if len(spans) > 1 + compared else "")
    return Heard(slots if ahead else {}, problem)


def _transfer(said: Said) -> Heard:
    named = payee_in(said.text, lacking=said.lacks("recipient"), asked=said.asked == "recipient")
    sides = sides_in(said.text, asked=said.asked)
    slots: dict[str, str | int | bool] = {}
    problem = named.problem or sides.problem
    unclear: tuple[str, ...] = ("account_type",) if sides.problem else ()
    reached = "" if named.name or said.named else account_reached_in(said.text)
    recipient = named.name or (OWN_ACCOUNT if (sides.own or reached) and not said.named else "")
    if (sides.own and recipient != OWN_ACCOUNT) or (named.name and said.named == OWN_ACCOUNT):
        problem = problem or "it names a person and an account of one's own"
        unclear, sides = ("account_type", "recipient_account_type"), Sides()
    if recipient == OWN_ACCOUNT and not (sides.source or reached):
        problem, unclear = problem or "from which account", ("account_type",)
    if named.name.islower() and category_in(named.name, said.chart, leaf=False).name:
        recipient, problem = "", problem or "a category is named where a person should be"
    if recipient:
        slots["recipient"] = recipient
    if (
        source := account_named_in(said.text)
        or sides.source
        or ("" if sides.target else _answered(said, "account_type"))
    ):
        slots["account_type"] = source
    if target := reached or sides.target or _answered(said, "recipient_account_type"):
        slots["recipient_account_type"] = target
    return _paid(said, slots, problem)._replace(unclear=unclear)


def _request(said: Said) -> Heard:
    named = payer_in(said.text, lacking=said.lacks("recipient"), asked=said.asked == "recipient")
    sides = sides_in(said.text)
    paying = "a request takes no money from an account of one's own" if sides.source else ""
    slots: dict[str, str | int | bool] = {"recipient": named.name} if named.name and not paying else {}
    return _paid(said, slots, named.problem or paying)


def _paid(said: Said, slots: dict[str, str | int | bool], problem: str) -> Heard:
    """The amount, who may see it and a note, which both kinds of payment have."""
    money = _money(said)
    if visibility(said.text):
        slots["private"] = _PUBLIC.search(said.words) is None
    note = _NOTE.search(said.text)
    if note:
        slots["note"] = said.marked.quotes_of(note[1])[0][:140]
    loose = "there is a number in it that I cannot place" if _LOOSE_NUMBER.search(said.text) else ""
    return Heard({**slots, **money.slots}, problem or money.problem or loose)


def _budget(said: Said) -> Heard:
    category = category_in(said.words, said.chart, leaf=True)
    money = _money(said, bounds=("at_most",))
    relative = "by how much it changes is said, not to what" if _RELATIVE.search(said.words) else ""
    slots = {} if relative else dict(money.slots)
    if category.name:
        slots["category"] = category.name
    return Heard(slots, category.problem or relative or money.problem)


def _recategorise(said: Said) -> Heard:
    text, target = said.text, said.words
    split = re.search(
        r"\b(?:as|under|into|to|in)\b(?!.*\b(?:as|under|into|to)\b)(.*)\Z", text, re.DOTALL | re.IGNORECASE
    )
    if split:
        text, target = text[: split.start()], plain(split[1])
    category = category_in(target, said.chart, leaf=True)
    slots: dict[str, str | int | bool] = {"category": category.name} if category.name else {}
    slots |= _which(said, text)
    days = _days(said)
    return Heard({**slots, **days.slots}, category.problem or days.problem)


def _ledger(said: Said, *, leaf: bool = False) -> Heard:
    """Days, category and merchant, as every question about the ledger may name them."""
    days = _days(said)
    merchant = merchant_in(said.text, said.marked)
    category = category_in(said.words, said.chart, leaf=leaf)
    slots: dict[str, str | int | bool] = dict(days.slots)
    if category.name and category.name.rpartition(".")[2] not in merchant.lower().split():
        slots["category"] = category.name
    if merchant and not category_in(plain(merchant), said.chart, leaf=False).name:
        slots["merchant"] = merchant
    return Heard(slots, days.problem or category.problem)


def _spending(said: Said) -> Heard:
    heard = _ledger(said)
    return heard._replace(slots={**heard.slots, "compare": True}) if _COMPARING.search(said.words) else heard


def _find(said: Said) -> Heard:
    heard = _ledger(said)
    money = _money(said, bounds=("at_least", "at_most"))
    bound = next((one.bound for one in said.marked.amounts_of(said.text)), "")
    slots = {**heard.slots, **money.slots}
    if money.slots and bound:
        slots["bound"] = bound
    if _WAITING.search(said.words):
        slots["waiting"] = True
    return Heard(slots, heard.problem or money.problem)


def _explain(said: Said) -> Heard:
    return Heard(_which(said, said.text))


def _which(said: Said, text: str) -> dict[str, str | int | bool]:
    """The transactions that are meant: by an id, or by their merchant."""
    if identity := transaction_id_in(text):
        return {"transaction_id": identity}
    merchant = merchant_in(text, said.marked, verb_ahead=True) or _answered(said, "merchant", "transaction_id")
    return {"merchant": merchant} if merchant else {}


def _answered(said: Said, *slots: str) -> str:
    """A name that is the whole answer to our question for one of these slots, "" when it is none."""
    words = [word for word in said.text.strip(" .,!?").split() if word.lower() not in _COURTESIES]
    named = said.asked in slots and 0 < len(words) <= _MOST_WORDS and not _YES_OR_NO.search(said.words)
    return " ".join(words)[:80] if named and not said.marked.amounts_of(said.text) else ""


def _budget_status(said: Said) -> Heard:
    category = category_in(said.words, said.chart, leaf=False)
    return Heard({"category": category.name} if category.name else {}, category.problem)


def _balance(said: Said) -> Heard:
    sides = sides_in(said.text)
    kind = account_named_in(said.text, asking=True) or sides.source or sides.target
    return Heard({"account_type": kind} if kind and not sides.problem else {})


def _notifications(said: Said) -> Heard:
    notice = notice_in(said.words)
    enabled = said.pending is None or notice.switched
    slots: dict[str, str | int | bool] = {"enabled": notice.enabled} if enabled else {}
    slots |= {"topic": notice.topics[0]} if notice.topics else {}
    slots |= {"channel": notice.channels[0]} if notice.channels else {}
    several = max(len(notice.topics), len(notice.channels)) > 1
    unclear = ("channel",) if notice.no_such_channel else ()
    return Heard(slots, "several topics or channels are named" if several else "", unclear)


def _draft(said: Said) -> Heard:
    worded = _WORDED.search(said.text)
    colon = None if worded else _AFTER_COLON.match(said.text)
    before = said.text[: worded.start()] if worded else colon[1] if colon else said.text
    named, quotes = addressee_in(before), said.marked.quotes_of(said.text)
    slots: dict[str, str | int | bool] = {"recipient": named.name} if named.name else {}
    if len(quotes) == 1:
        slots["text"] = said.marked.restored(quotes[0])
    elif worded:
        slots["text"] = said.marked.restored(worded[1]).strip()
    elif colon:
        slots["text"] = said.marked.restored(colon[2]).strip()
    return Heard(slots, "several quotations are named" if len(quotes) > 1 else "")


_READERS: Final[Mapping[str, Callable[[Said], Heard]]] = {
    "transfer": _transfer, "request_payment": _request, "set_budget": _budget, "recategorise": _recategorise,
    "spending": _spending, "find_transactions": _find, "explain_decision": _explain, "budget_status": _budget_status,
    "cash_pressure": _days, "balance": _balance, "change_notifications": _notifications, "draft_message": _draft,
    "export_statement": _days,
}  # fmt: skip
