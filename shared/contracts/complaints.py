"""What is wrong with a value from outside, for whoever sent it: where, as JSON pointers (RFC 6901), and what is taken.

Nothing that was sent is repeated; so what a shape's own validators say must not quote it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST = 20
IN_WORDS = {
    "dict_type": "Input should be an object",
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "string_unicode": "Input should be Unicode text: it holds half a surrogate pair",
    "union_tag_invalid": "is not a valid value",
}
"""By pydantic's type of error, where its own words are about Python, or quote."""
BLANK = "String should match pattern '\\S'"
_NOTHING = object()


def complaints(failed: ValidationError, sent: Any = _NOTHING) -> list[dict[str, str]]:
    """Pointer and message of at most `MOST` findings. sent: what was validated, so that pointers lead to what is there
    and not through the names that a union has for its alternatives."""
    found = failed.errors(include_url=False, include_input=False, include_context=False)[:MOST]
    return [
        {"pointer": pointer(tuple(_places(error["loc"], sent))), "message": _message(error["type"], error["msg"])}
        for error in found
    ]


def pointer(parts: tuple[int | str, ...]) -> str:
    """The JSON pointer of a place, as printable ASCII; "" for the whole."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join("/" + part.encode("ascii", "backslashreplace").decode()[:80] for part in escaped)[:200]


def _places(parts: Sequence[int | str], sent: Any) -> Iterator[int | str]:
    here = sent
    for number, part in enumerate(parts, 1):
        if here is _NOTHING:
            yield part
        elif _has(here, part):
            yield part
            here = here[part]
        elif isinstance(here, Mapping) and number == len(parts):  # a member that is missing
            yield part


def _has(here: Any, part: int | str) -> bool:
    if isinstance(here, Mapping):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


def _message(kind: str, message: str) -> str:
    if message == BLANK:
        return "String should not be blank"
    return IN_WORDS.get(kind, message.removeprefix("Value error, "))[:200]
