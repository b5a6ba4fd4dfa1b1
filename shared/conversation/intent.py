"""What a person wants, as the grammar or a model understood it: the one shape that plans are made of. Pure.

`INTENTS` is closed: what is not listed is not understood. A slot's value is text, an integer or a boolean; money is
`amount_minor` with `currency`, and `bound` (`at_least`, `at_most`) where it is a limit; a span of days is `since` and
`until` (ISO days, `until` excluded).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Slots = Mapping[str, str | int | bool]


class Kind(NamedTuple):
    """needs: slots without which nothing can be done. may: further ones. acts: the action it asks for, "" for none."""

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    acts: str = ""


SPAN = ("since", "until")
OWN_ACCOUNT = "own account"
"""The recipient of a transfer between two accounts of the speaker."""

INTENTS: Mapping[str, Kind] = {
    # questions, answered from the tenant's own ledger
    "spending": Kind(may=(*SPAN, "category", "merchant", "compare")),
    "find_transactions": Kind(may=(*SPAN, "category", "merchant", "amount_minor", "currency", "bound", "waiting")),
    "explain_decision": Kind(may=("transaction_id", "merchant")),
    "budget_status": Kind(may=("category",)),
    "cash_pressure": Kind(may=SPAN),
    "balance": Kind(may=("account_type",)),
    # wishes, each an action that the guard and perhaps people decide on
    "transfer": Kind(
        ("amount_minor", "currency", "recipient"),
        ("account_type", "recipient_account_type", "private", "note"),
        "transfer_funds",
    ),
    "request_payment": Kind(("amount_minor", "currency", "recipient"), ("private",), "send_payment_request"),
    "recategorise": Kind(("category",), ("merchant", "transaction_id", *SPAN), "recategorise_transactions"),
    "set_budget": Kind(("category", "amount_minor", "currency"), (), "set_budget"),
    "change_notifications": Kind(("topic", "enabled"), ("channel",), "change_notifications"),
    "draft_message": Kind(("recipient", "text"), (), "draft_message"),
    "export_statement": Kind((), SPAN, "export_statement"),
    # about the conversation itself
    "affirm": Kind(),
    "deny": Kind(),
    "help": Kind(),
    "goodbye": Kind(),
    "status": Kind(),
}


NOT_UNDERSTOOD = "I did not understand it"
NOTHING_TO_CHANGE = "nothing is open that it could change"


class Intent(NamedTuple):
    """missing: the needed slots that nobody has named yet; asking for them is the reply."""

    name: str
    slots: Slots
    missing: tuple[str, ...] = ()

    @property
    def acts(self) -> str:
        """The action it asks for, "" for a question."""
        return INTENTS[self.name].acts


class Reading(NamedTuple):
    """How one message was understood: at most three intents in the order said; `unsure` asks back instead of acting.

    source: `grammar` or the model's name. confidence_bp: of the least certain intent. candidate: what it may have been,
    when `unsure`: the reply can ask "shall I?" and keep it as pending; it is never acted on as it stands.
    revises: that of `intents`, or the candidate, which completes or corrects what was pending.
    """

    intents: tuple[Intent, ...]
    source: str
    confidence_bp: int
    unsure: str = ""
    candidate: Intent | None = None
    revises: Intent | None = None
