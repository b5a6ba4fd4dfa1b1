"""Strict JSON Schema, as structured output takes it: which schemas may be asked for, and whether an answer fits.

A schema is *strict* when every object lists all its members as required and allows no others. The keywords are those
in `KEYWORDS`; anything else is a mistake of whoever wrote the schema, found by the first test that asks with it and
not by a provider in production. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEYWORDS = frozenset(
    (
        *("type", "enum", "const", "anyOf", "description", "title"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("minimum", "maximum", "pattern"),
    )
)
KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
Schema = Mapping[str, Any]


def require_strict(schema: Schema, at: str = "$") -> None:
    """`ValueError` names the first place where `schema` is not strict, or uses a keyword that is not known here."""
    if unknown := schema.keys() - KEYWORDS:
        raise ValueError(f"{at}: {', '.join(sorted(unknown))} is not a keyword that strict schemas may use here")
    if not schema.keys() & {"type", "enum", "const", "anyOf"}:
        raise ValueError(f"{at}: says nothing of what it allows")
    kinds = _kinds(schema)
    if unknown := set(kinds) - KINDS.keys():
        raise ValueError(f"{at}: {', '.join(sorted(unknown))} is no type")
    if "object" in kinds:
        members = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            raise ValueError(f"{at}: additionalProperties must be false")
        if sorted(schema.get("required", ())) != sorted(members):
            raise ValueError(f"{at}: every member must be required (one that may be absent is of type null too)")
    if "array" in kinds and "items" not in schema:
        raise ValueError(f"{at}: items must say what the array holds")
    for name, part in _parts(schema):
        require_strict(part, f"{at}.{name}")


def misfit(value: object, schema: Schema, at: str = "$") -> str:
    """Where and why `value` does not fit, "" when it does. Names places of the schema and never what `value` holds."""
    if (kinds := _kinds(schema)) and not any(_is(value, kind) for kind in kinds):
        return f"{at} is not of type {' or '.join(kinds)}"
    if "anyOf" in schema and all(misfit(value, option, at) for option in schema["anyOf"]):
        return f"{at} is none of what it may be"
    allowed = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    if allowed and not any(type(value) is type(one) and value == one for one in allowed):
        return f"{at} is not one of the values it may have"
    if isinstance(value, dict) and kinds:
        return _misfit_of_members(value, schema, at)
    if isinstance(value, list) and kinds:
        return _misfit_of_items(value, schema, at)
    return _misfit_of_scalar(value, schema, at)


def _misfit_of_members(value: Mapping[str, object], schema: Schema, at: str) -> str:
    members = schema.get("properties", {})
    if value.keys() - members.keys():
        return f"{at} has a member that is not listed"
    for name, part in members.items():
        if name not in value:
            return f"{at}.{name} is missing"
        if wrong := misfit(value[name], part, f"{at}.{name}"):
            return wrong
    return ""


def _misfit_of_items(value: Sequence[object], schema: Schema, at: str) -> str:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return f"{at} has too few or too many items"
    items = schema.get("items")
    wrong = (misfit(one, items, f"{at}[{n}]") for n, one in enumerate(value)) if items else iter(())
    return next(filter(None, wrong), "")


def _misfit_of_scalar(value: object, schema: Schema, at: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"{at} is too small or too large"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return f"{at} has not the form it must have"
    return ""


def _kinds(schema: Schema) -> Sequence[str]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else kind


def _is(value: object, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield from schema.get("properties", {}).items()
    if "items" in schema:
        yield "items", schema["items"]
    for n, option in enumerate(schema.get("anyOf", ())):
        yield f"anyOf[{n}]", option
