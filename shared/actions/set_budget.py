"""set_budget: what a category may cost in a month. A number to compare with; nothing is blocked by it. Own store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from shared.actions.action import Action, Description, Effect, Fault, Money, Permit, Situation
from shared.contracts.currencies import EXPONENTS, money_text
from shared.contracts.shape import SAFE_INTEGER, Currency, Shape
from shared.ledger.budgets import budget_doc_id, budget_document, is_budgeted
from shared.ports.document_store import Body


class Arguments(Shape):
    """category: of the tenant's chart, or a group of it. limit_minor: per calendar month."""

    category: Annotated[str, Field(min_length=1, max_length=120)]
    limit_minor: Annotated[int, Field(ge=0, le=SAFE_INTEGER)]
    currency: Currency

    @field_validator("currency")
    @classmethod
    def _listed(cls, value: str) -> str:
        if value not in EXPONENTS:
            raise ValueError("not an ISO 4217 code")
        return value


def _money(arguments: Body) -> Money:
    return Money(arguments["limit_minor"], arguments["currency"])


def _describe(arguments: Body) -> Description:
    limit = money_text(*_money(arguments))
    return Description(
        f"Set the budget for {arguments['category']} to {limit} a month",
        (("Category", arguments["category"]), ("Per month", limit)),
        ("Replaces the category's budget, if it has one.", "Blocks no payment."),
    )


def _fault(arguments: Body, situation: Situation) -> Fault | None:
    if not is_budgeted(arguments["category"], situation.chart):
        return Fault("category_unknown", f"there is no category {arguments['category']}")
    return None


def _effect(permit: Permit, situation: Situation) -> Effect:
    arguments = dict(permit.arguments)
    stored = situation.documents.get(budget_doc_id(arguments["category"]))
    document = budget_document(
        situation.partition,
        **arguments,
        at=situation.at,
        set_by=permit.requested_by,
        action_id=permit.action_id,
        stored=stored,
    )
    was = {name: stored.body[name] for name in ("limit_minor", "currency")} if stored else {}
    told = f"Done: the budget for {arguments['category']} is {money_text(*_money(arguments))} a month."
    return Effect(told, {"was": was}, [document], record={"was": was})


def _compensating(arguments: Body, result: Body) -> tuple[str, Body] | None:
    return ("set_budget", {**arguments, **result["was"]}) if result.get("was") else None


SET_BUDGET = Action(
    name="set_budget",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    documents=lambda action: (budget_doc_id(action["arguments"]["category"]),),
    fault=_fault,
    effect=_effect,
    money=_money,
    compensation="Set the budget to what it was before.",
    compensating=_compensating,
)
