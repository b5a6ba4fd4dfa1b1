"""What clients send over HTTP: closed shapes, whose JSON Schemas are part of docs/openapi.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.contracts.currencies import EXPONENTS
from shared.contracts.shape import SAFE_INTEGER, Currency, ReferenceId, Shape, TenantId
from shared.contracts.transactions import TransactionFacts

MAX_ROWS = 5_000
MAX_CHART = 300
MAX_OWN_ACCOUNTS = 64
MAX_ERASED_IDS = 500

Note = Annotated[str, StringConstraints(max_length=600)]
CategoryName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=120, pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
    ),
]
"""Without control characters, and without blanks around it."""
Principal = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,158}[\x21-\x7e])?$")]
LimitMinor = Annotated[int, Field(ge=0, le=SAFE_INTEGER)]
Role = Literal["member", "reviewer", "auditor", "operator"]


def distinct(values: list[str]) -> list[str]:
    """The values; `ValueError` when one comes twice."""
    if len(set(values)) != len(values):
        raise ValueError("each may be named once")
    return values


class TransactionBatch(Shape):
    """A statement. Rows that are stored already with equal facts are counted as duplicates."""

    transactions: Annotated[list[TransactionFacts], Field(min_length=1, max_length=MAX_ROWS)]


class ReviewRequest(Shape):
    """approve the suggestion, reclassify into `category`, or route back to a person's list.

    decision_version: the version that was on the reviewer's screen; another one in the store is a 409.
    """

    action: Literal["approve", "reclassify", "route"]
    decision_version: Annotated[int, Field(ge=0, le=2**53 - 1)]
    category: Annotated[str, StringConstraints(max_length=120)] = ""
    note: Note = ""


class ResolutionRequest(Shape):
    """Why a parked command is replayed or discarded."""

    note: Note = ""


class FindingClosure(Shape):
    """What a person found out."""

    note: Annotated[str, StringConstraints(min_length=1, max_length=600)]


class VerificationRequest(Shape):
    """from: the sequence of a record known to be good, 0 for the beginning. from_hash: its hash as an earlier
    verification told it; without one the stored hash is taken."""

    from_: Annotated[int, Field(ge=0, le=2**53 - 1, alias="from")] = 0
    from_hash: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""


class ProfileUpdate(Shape):
    """The whole profile. chart: the tenant's own categories, [] for the policy's. base_currency: "" for none.

    review_limit_minor: the tenant's own amounts above which a person must look, by currency, in minor units; they
    replace the policy's for these currencies.
    """

    chart: Annotated[list[CategoryName], Field(max_length=MAX_CHART)]
    base_currency: str
    time_zone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$")]
    accounts: Annotated[list[ReferenceId], Field(max_length=MAX_OWN_ACCOUNTS)]
    review_limit_minor: Annotated[dict[Currency, LimitMinor], Field(max_length=20, default_factory=dict)]

    _distinct = field_validator("chart", "accounts")(distinct)

    @field_validator("base_currency")
    @classmethod
    def _listed(cls, value: str) -> str:
        if value and value not in EXPONENTS:
            raise ValueError("not an ISO 4217 code")
        return value


class MemberUpdate(Shape):
    """A person's roles in this tenant; [] removes the person."""

    principal: Principal
    roles: Annotated[list[Role], Field(max_length=4)]

    _distinct = field_validator("roles")(distinct)


class ErasureRequest(Shape):
    """Exactly one of account, transaction_ids, principal (whose conversations) and whole_tenant. confirm: the tenant,
    written out."""

    account: ReferenceId | None = None
    transaction_ids: Annotated[list[ReferenceId], Field(min_length=1, max_length=MAX_ERASED_IDS)] | None = None
    principal: Principal | None = None
    whole_tenant: Literal[True] | None = None
    confirm: TenantId

    @model_validator(mode="after")
    def _one_scope(self) -> ErasureRequest:
        scopes = (self.account, self.transaction_ids, self.principal, self.whole_tenant)
        if sum(one is not None for one in scopes) != 1:
            raise ValueError("exactly one of account, transaction_ids, principal, whole_tenant")
        return self
