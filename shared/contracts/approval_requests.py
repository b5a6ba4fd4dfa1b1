"""What people send to a card."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticCustomError

from shared.contracts.shape import SAFE_INTEGER, Shape

type Argument = (
    Annotated[str, Field(max_length=2_000)]
    | Annotated[int, Field(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]
    | bool
    | Annotated[list[Argument], Field(max_length=500)]
    | dict[ArgumentName, Argument]
    | None
)
"""JSON with one canonical form everywhere, so that it can be signed: no fractions, no integer beyond 2^53-1."""
NOT_CANONICAL = "takes the action's whole arguments: an object without fractions, nor integers beyond 2^53-1"
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class ApprovalAnswer(Shape):
    """A person's answer. card_digest: of the card that was shown; another one in the store is a 409.

    edited_arguments: with `approve` alone; they replace the action's arguments entirely, are checked and judged anew,
    and void every earlier signature. Amounts are integers in the currency's minor unit.
    """

    decision: Literal["approve", "reject"]
    card_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    rationale: Annotated[str, StringConstraints(max_length=500)] = ""
    edited_arguments: Annotated[dict[ArgumentName, Argument], Field(max_length=50)] | None = None

    @field_validator("edited_arguments", mode="wrap")
    @classmethod
    def _in_one_sentence(cls, value: Any, accepted: ValidatorFunctionWrapHandler) -> Any:
        """One complaint, instead of one for each kind of value that an argument is not."""
        try:
            return accepted(value)
        except ValidationError:
            raise PydanticCustomError("not_canonical", NOT_CANONICAL) from None
