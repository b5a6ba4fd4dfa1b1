"""export_statement: a span of the tenant's transactions as CSV, for whoever asked. Own store.

Carrying it out only grants the download; the rows are read when they are downloaded, at most `MAX_ROWS`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from shared.actions.action import Action, Description, Effect, Permit, Situation
from shared.contracts.shape import Shape
from shared.ports.document_store import Body

MAX_ROWS = 5_000
FACTS = ("transaction_id", "account", "booked_on", "amount_minor", "currency", "descriptor", "mcc", "group")
COLUMNS = (*FACTS, "category", "review_state")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Day = Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]


class Arguments(Shape):
    """since, until: days, `until` excluded; "" for no bound."""

    since: Day = ""
    until: Day = ""

    @field_validator("since", "until")
    @classmethod
    def _a_real_day(cls, value: str) -> str:
        if value:
            date.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _forwards(self) -> Arguments:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("the span runs backwards")
        return self


def _span(arguments: Body) -> str:
    return f"from {arguments['since'] or 'the beginning'} to {_last_day(arguments)}"


def _last_day(arguments: Body) -> str:
    """The last day that is in it, as people say a span."""
    until = arguments["until"]
    return str(date.fromordinal(max(1, date.fromisoformat(until).toordinal() - 1))) if until else "today"


def _describe(arguments: Body) -> Description:
    return Description(
        f"Export a statement {_span(arguments)}",
        (("Since", arguments["since"] or "the beginning"), ("To", _last_day(arguments))),
        (f"You can download up to {MAX_ROWS} transactions as CSV.", "It is sent to nobody."),
    )


def _effect(permit: Permit, situation: Situation) -> Effect:
    del situation
    where = f"/api/v1/actions/{permit.action_id}/statement"
    return Effect(f"Your statement {_span(dict(permit.arguments))} is ready at {where}.", {"download": where})


def as_csv(bodies: Sequence[Body]) -> str:
    """Transactions as CSV (RFC 4180), in the columns that an upload takes, and what was decided of each.

    A text that a spreadsheet would take for a formula is given an apostrophe: descriptors come from outside.
    """
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for body in bodies:
        told = {**body["facts"], "category": body["category"], "review_state": body["review_state"]}
        writer.writerow([_cell(told[name]) for name in COLUMNS])
    return "".join(lines)


class _Lines(list[str]):
    """What a csv writer writes to."""

    write = list.append


def _cell(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


EXPORT_STATEMENT = Action(
    name="export_statement",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    effect=_effect,
    compensation="None is needed: nothing was changed.",
)
