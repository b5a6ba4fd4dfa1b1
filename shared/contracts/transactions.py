"""What a bank statement says of one transaction, as it travels and as it is stored."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, field_validator

from shared.contracts.shape import Currency, MinorUnits, ReferenceId, Shape

Descriptor = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]


class TransactionFacts(Shape):
    """The facts a bank gives; nobody here ever changes them.

    amount_minor: integer in the currency's minor unit (ISO 4217 exponent), negative when money leaves the account.
    booked_on: the statement's day, `YYYY-MM-DD` (1900 to 2199), without a zone. descriptor: text from outside.
    mcc: merchant category code (ISO 18245), "" when the statement has none. group: a department or card group, or "".
    """

    transaction_id: ReferenceId
    account: ReferenceId
    booked_on: Annotated[str, Field(pattern=r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$")]
    amount_minor: MinorUnits
    currency: Currency
    descriptor: Descriptor
    mcc: Annotated[str, Field(pattern=r"^([0-9]{4})?$")] = ""
    group: Annotated[str, Field(max_length=60)] = ""

    @field_validator("booked_on")
    @classmethod
    def _a_real_day(cls, value: str) -> str:
        try:
            date.fromisoformat(value)
        except ValueError:
            raise ValueError("is no day of the calendar") from None
        return value

    @field_validator("descriptor", "group")
    @classmethod
    def _storable_text(cls, value: str) -> str:
        try:
            value.encode()
        except ValueError:
            raise ValueError("holds half a surrogate pair, which cannot be stored") from None
        return value
