"""transfer_funds: money leaves an account that the tenant may pay from. High risk; by the backend `bank`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from shared.actions.action import Action, Description, Fault, Money, Permit, Situation
from shared.contracts.currencies import EXPONENTS, money_text
from shared.contracts.shape import SAFE_INTEGER, Currency, ReferenceId, Shape
from shared.ports.document_store import Body


class Arguments(Shape):
    """to_account: the bank's id of the receiving account; without one `recipient` is it. note: for the recipient."""

    from_account: ReferenceId
    to_account: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{0,64}$")] = ""
    recipient: Annotated[str, Field(max_length=100)] = ""
    amount_minor: Annotated[int, Field(gt=0, le=SAFE_INTEGER)]
    currency: Currency
    note: Annotated[str, Field(max_length=140)] = ""

    @field_validator("currency")
    @classmethod
    def _listed(cls, value: str) -> str:
        if value not in EXPONENTS:
            raise ValueError("not an ISO 4217 code")
        return value

    @field_validator("recipient", "note")
    @classmethod
    def _as_it_looks(cls, value: str) -> str:
        """What is signed is what is seen: nothing that turns the line round, breaks it or cannot be seen at all."""
        if not value.isprintable() or value != value.strip():
            raise ValueError("holds what cannot be seen")
        return value

    @model_validator(mode="after")
    def _to_somebody(self) -> Arguments:
        if not (self.to_account or self.recipient):
            raise ValueError("a transfer goes to an account or a recipient")
        return self


def payee(arguments: Body) -> str:
    """What the bank is given as the receiving account."""
    return str(arguments["to_account"] or arguments["recipient"])


def _money(arguments: Body) -> Money:
    return Money(arguments["amount_minor"], arguments["currency"])


def _describe(arguments: Body) -> Description:
    amount, to = money_text(*_money(arguments)), arguments["recipient"] or arguments["to_account"]
    account = (("To account", arguments["to_account"]),) if arguments["to_account"] and arguments["recipient"] else ()
    note = (("Note", arguments["note"]),) if arguments["note"] else ()
    return Description(
        f"Transfer {amount} to {to}",
        (("Amount", amount), ("From account", arguments["from_account"]), ("To", to), *account, *note),
        (f"{amount} will leave account {arguments['from_account']} once.", "It cannot be taken back from here."),
    )


def _fault(arguments: Body, situation: Situation) -> Fault | None:
    """The paying account must be the tenant's, known, active, and hold enough in the same currency. What the bank does
    not know of the receiving one is the bank's to refuse."""
    source = arguments["from_account"]
    if source not in situation.own_accounts:
        return Fault("account_not_own", f"payments from account {source} are not set up for this tenant")
    paying = situation.states.get(source, {})
    if not paying:
        return Fault("account_unknown", f"the bank knows no account {source}")
    for account, state in ((source, paying), (payee(arguments), situation.states.get(payee(arguments), {}))):
        if state and state["status"] != "active":
            return Fault("account_not_active", f"account {account} is {state['status']}")
        if state and state["currency"] != arguments["currency"]:
            return Fault("currency_mismatch", f"account {account} is kept in {state['currency']}")
    if paying["balance_minor"] < arguments["amount_minor"]:
        return Fault("insufficient_funds", f"account {source} holds less than {money_text(*_money(arguments))}")
    return None


def _order(permit: Permit) -> Body:
    told = permit.arguments
    order: Body = {name: told[name] for name in ("from_account", "amount_minor", "currency", "note")}
    return {**order, "to_account": payee(dict(told))}


def _told(arguments: Body, reference: str) -> str:
    to = arguments["recipient"] or arguments["to_account"]
    return f"Done: {money_text(*_money(arguments))} went to {to}. The bank's reference is {reference}."


TRANSFER_FUNDS = Action(
    name="transfer_funds",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    order=_order,
    told=_told,
    money=_money,
    subjects=lambda arguments: (arguments["from_account"], payee(arguments)),
    fault=_fault,
    compensation="Only the recipient can send it back.",
)
