"""Which schemas a model may be asked for, and what fits them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.strict_schema import misfit, require_strict

NAME: dict[str, Any] = {"type": "string", "pattern": "^[a-z]+$"}


def closed(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


ROWS = {"type": "array", "items": closed(name=NAME), "minItems": 1, "maxItems": 2}
EVERYTHING = closed(
    name=NAME,
    count={"type": "integer", "minimum": 1, "maximum": 9},
    share={"type": "number"},
    sure={"type": "boolean"},
    note={"type": ["string", "null"], "description": "or nothing"},
    kind={"enum": ["a", 1, None]},
    fixed={"const": 1},
    rows=ROWS,
    target={"anyOf": [closed(id={"type": "integer"}), {"type": "null"}]},
)
GOOD: dict[str, Any] = {
    "name": "x",
    "count": 1,
    "share": 0.5,
    "sure": True,
    "note": None,
    "kind": 1,
    "fixed": 1,
    "rows": [{"name": "y"}],
    "target": {"id": 1},
}


def test_what_fits_fits():
    require_strict(EVERYTHING)
    assert misfit(GOOD, EVERYTHING) == ""
    assert misfit({**GOOD, "target": None, "share": 2, "note": "n", "kind": None, "count": 9}, EVERYTHING) == ""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"name": 5}, "$.name is not of type string"),
        ({"name": "SECRET"}, "$.name has not the form it must have"),
        ({"count": True}, "$.count is not of type integer"),
        ({"count": 1.0}, "$.count is not of type integer"),
        ({"count": 10}, "$.count is too small or too large"),
        ({"count": 0}, "$.count is too small or too large"),
        ({"share": "1"}, "$.share is not of type number"),
        ({"share": False}, "$.share is not of type number"),
        ({"sure": 1}, "$.sure is not of type boolean"),
        ({"note": 5}, "$.note is not of type string or null"),
        ({"kind": True}, "$.kind is not one of the values it may have"),
        ({"kind": "SECRET"}, "$.kind is not one of the values it may have"),
        ({"fixed": True}, "$.fixed is not one of the values it may have"),
        ({"rows": []}, "$.rows has too few or too many items"),
        ({"rows": [{"name": "y"}] * 3}, "$.rows has too few or too many items"),
        ({"rows": [{"name": "y"}, {}]}, "$.rows[1].name is missing"),
        ({"rows": {"name": "y"}}, "$.rows is not of type array"),
        ({"target": {"id": "1"}}, "$.target is none of what it may be"),
        ({"target": {"id": 1, "SECRET": 1}}, "$.target is none of what it may be"),
        ({"SECRET": 1}, "$ has a member that is not listed"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place_and_never_quoted(change: dict[str, Any], wrong: str):
    assert misfit({**GOOD, **change}, EVERYTHING) == wrong


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_only_an_object_is_an_object(value: object):
    assert misfit(value, closed()) == "$ is not of type object"


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({**closed(name=NAME), "additionalProperties": True}, r"^\$: additionalProperties must be false"),
        ({"type": "object", "properties": {}}, r"^\$: additionalProperties must be false"),
        ({**closed(name=NAME), "required": []}, r"^\$: every member must be required"),
        (closed(inner={**closed(a=NAME), "required": []}), r"^\$\.inner: every member must be required"),
        (closed(day={"type": "string", "format": "date"}), r"^\$\.day: format is not a keyword"),
        (closed(rows={"type": "array"}), r"^\$\.rows: items must say what"),
        (closed(rows={"type": "array", "items": {}}), r"^\$\.rows\.items: says nothing"),
        (closed(x={"anyOf": [{"type": "text"}]}), r"^\$\.x\.anyOf\[0\]: text is no type"),
    ],
)
def test_a_schema_that_is_not_strict_is_refused_with_the_place(schema: dict[str, Any], wrong: str):
    with pytest.raises(ValueError, match=wrong):
        require_strict(schema)
