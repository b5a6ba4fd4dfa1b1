"""What a sender is told of a value that is not taken: the place in what was sent, and words that are no Python."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, StringConstraints, ValidationError, field_validator

from shared.contracts.complaints import IN_WORDS, complaints
from shared.contracts.shape import Shape

SECRET_VALUE = "hunter2"  # noqa: S105


class Said(Shape):
    role: Literal["user"]
    text: Annotated[str, StringConstraints(pattern=r"\S")] | list[int]


class Noted(Shape):
    role: Literal["note"]
    user: str


class Wish(Shape):
    items: list[Annotated[Said | Noted, Field(discriminator="role")]]
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("is not odd")
        return value


def told(sent: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        Wish.model_validate(sent)
    found = complaints(caught.value, sent)
    assert SECRET_VALUE not in repr(found)
    return [(one["pointer"], one["message"]) for one in found]


@pytest.mark.parametrize(
    ("sent", "pointer", "message"),
    [
        (None, "", "Input should be an object"),
        ([], "", "Input should be an object"),
        ({}, "/items", "Field required"),
        ({"items": [7]}, "/items/0", "Input should be an object"),
        ({"items": [{"role": SECRET_VALUE}]}, "/items/0", "is not a valid value"),
        ({"items": [{"role": "user"}]}, "/items/0/text", "Field required"),
        ({"items": [{"role": "user", "text": " "}]}, "/items/0/text", "String should not be blank"),
        ({"items": [{"role": "user", "text": [1, "x"]}]}, "/items/0/text/1", "Input should be a valid integer"),
        ({"items": [{"role": "note", "user": 7}]}, "/items/0/user", "Input should be a valid string"),
        ({"items": [{"role": "note", "user": "x", "a/b~": 1}]}, "/items/0/a~1b~0", "Extra inputs are not permitted"),
        ({"items": [], "odd": 2}, "/odd", "is not odd"),
        ({"items": [{"role": "user", "text": "\ud800"}]}, "/items/0/text", IN_WORDS["string_unicode"]),
        ({"items": [], "\xe9": 1}, "/\\xe9", "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_a_complaint_names_the_place_in_what_was_sent(sent: Any, pointer: str, message: str):
    assert (pointer, message) in told(sent)


def test_no_pointer_leads_through_the_name_of_an_alternative():
    for pointer, _ in told({"items": [{"role": "user", "text": None}, {"role": "user", "text": ["x"]}]}):
        assert pointer in ("/items/0/text", "/items/1/text", "/items/1/text/0")


def test_there_are_never_more_than_twenty():
    assert len(told({"items": [{}] * 50})) == 20
