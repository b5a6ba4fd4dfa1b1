"""The one configuration of every pydantic shape that crosses a process boundary: frozen, closed and strict."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 7493)."""


class Shape(BaseModel):
    """Unknown fields are refused, nothing is coerced (`"3"` is no integer, `3.0` neither), nothing can be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


TenantId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
ReferenceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
MinorUnits = Annotated[int, Field(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]
