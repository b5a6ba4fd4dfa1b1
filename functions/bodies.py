"""Request bodies: one place that decodes them, so that whatever is sent, what is wrong with it is the client's answer.

Order: size (413), content type (415), UTF-8, JSON without NaN and without a name twice, depth, then the closed shape.
Errors name places, as JSON pointers (RFC 6901), and never repeat what was sent.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn

import azure.functions as func

from shared.audit.record import canonical
from shared.contracts.complaints import complaints
from shared.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pydantic import BaseModel

SMALL_BODY = 256 * 1024
UPLOAD_BODY = 5 * 1024 * 1024
MAX_DEPTH = 32
JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


def decoded[Model: BaseModel](
    req: func.HttpRequest, model: type[Model], *, limit: int = SMALL_BODY, may_be_empty: bool = False
) -> Model:
    """The JSON body as `model`; `InvalidInputError` says what is wrong where. may_be_empty: no body is `{}`."""
    from pydantic import ValidationError

    if may_be_empty and not req.get_body():
        return model()
    value = json_in(content(req, limit=limit, types=(JSON_TYPE,)))
    try:
        return model.model_validate(value)
    except ValidationError as failed:
        errors = complaints(failed, value)
    raise InvalidInputError("the body does not have the shape that this endpoint takes", errors)


def content(req: func.HttpRequest, *, limit: int, types: tuple[str, ...]) -> str:
    """The body as text, after size and type."""
    body = req.get_body() or b""
    if len(body) > limit:
        raise InvalidInputError(f"the body is larger than {limit} bytes", code="body_too_large")
    if not body:
        raise InvalidInputError("the body is empty", code="body_missing")
    if media_type(req) not in types:
        raise InvalidInputError(f"send Content-Type: {' or '.join(types)}", code="unsupported_media_type")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as failed:
        raise InvalidInputError(f"the body is not UTF-8 (byte {failed.start})", code="not_utf8") from None


def media_type(req: func.HttpRequest) -> str:
    """The media type without parameters, "" for one whose charset is not UTF-8."""
    kind, _, parameters = req.headers.get("Content-Type", "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([a-z0-9_-]+)", parameters)
    return kind.strip() if charset is None or charset.group(1) in ("utf-8", "utf8", "us-ascii") else ""


def json_in(text: str) -> Any:
    """The JSON value in `text` (RFC 8259, restricted to what every reader reads alike: RFC 7493)."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except InvalidInputError:
        raise
    except json.JSONDecodeError as failed:
        message = f"the body is not JSON: {failed.msg} at line {failed.lineno}, column {failed.colno}"
        raise InvalidInputError(message, code="not_json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # an integer of thousands of digits
        raise InvalidInputError("the body has a number that nobody can read", code="not_json") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidInputError("an object names a member twice: which one is meant?", code="duplicate_member")
    return value


def _no_number(_: str) -> NoReturn:
    raise InvalidInputError("NaN and Infinity are not JSON", code="not_json")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        nested = [one for one in level if isinstance(one, (dict, list))]
        if depth > MAX_DEPTH and nested:
            raise _too_deep()
        level = [child for one in nested for child in (one.values() if isinstance(one, dict) else one)]


def _too_deep() -> InvalidInputError:
    return InvalidInputError(f"the body is nested deeper than {MAX_DEPTH}", code="too_deep")


def fingerprint_of(*parts: Any) -> str:
    """sha256 over the canonical form of what was asked for: an equal resend has the same, however it is written."""
    return sha256(canonical(list(parts))).hexdigest()


def key_of(req: func.HttpRequest, fingerprint: str) -> str:
    """The `Idempotency-Key`, or the fingerprint when the client sends none."""
    told: str = req.headers.get("Idempotency-Key", "")
    if not told:
        return fingerprint
    if not KEY.fullmatch(told):
        raise InvalidInputError(
            "Idempotency-Key takes 1 to 200 printable ASCII characters", code="idempotency_key_malformed"
        )
    return told


def reference_in(req: func.HttpRequest, name: str) -> str:
    """The id in the route. One that cannot be an id is an id of nothing."""
    value: str = req.route_params.get(name, "")
    if not REFERENCE.fullmatch(value):
        raise NotFoundError("there is no such thing")
    return value


def integer_in(req: func.HttpRequest, name: str, *, default: int, low: int, high: int) -> int:
    """An integer of the query string."""
    told = req.params.get(name)
    if told is None:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", told) or not low <= int(told) <= high:
        raise InvalidInputError(f"{name} takes an integer from {low} to {high}", code="parameter_invalid")
    return int(told)


def choice_in(req: func.HttpRequest, name: str, choices: tuple[str, ...]) -> str:
    """One of `choices` from the query string, "" when it is absent."""
    told: str = req.params.get(name, "")
    if told and told not in choices:
        raise InvalidInputError(f"{name} takes one of {', '.join(choices)}", code="parameter_invalid")
    return told


def page_in(req: func.HttpRequest) -> dict[str, Any]:
    """`limit` (1 to 200, 50 when absent) and `cursor`."""
    cursor = req.params.get("cursor", "")
    if len(cursor) > 1_000 or not (cursor.isascii() and cursor.isprintable()):
        raise InvalidInputError("this cursor was not given by us; begin again without one", code="invalid_cursor")
    return {"limit": integer_in(req, "limit", default=50, low=1, high=200), "cursor": cursor}


def last_event_in(req: func.HttpRequest) -> int:
    """The number of the last event that a stream's reader has: the header of a reconnecting reader, else the parameter
    `last_event_id`, else 0."""
    told: str = req.headers.get("Last-Event-ID") or req.params.get("last_event_id") or "0"
    if not re.fullmatch(r"[0-9]{1,10}", told):
        raise InvalidInputError("Last-Event-ID takes the id of an event of this stream", code="last_event_id_malformed")
    return int(told)
