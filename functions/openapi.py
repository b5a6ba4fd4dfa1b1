"""The OpenAPI 3.1 document, from the bindings that the platform indexes and the shapes that cross the border.

`python -m functions.openapi` writes it to docs/openapi.json, and the JSON Schemas of commands and events beside it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import azure.functions as func

JsonObject = dict[str, Any]

REF = "#/components/schemas/{model}"
PROBLEM_OF = {
    400: "what was sent is not valid",
    401: "nobody, or nobody that can be verified, is calling",
    403: "the caller may not do this",
    404: "there is no such thing in the caller's tenant",
    409: "it is not in a state for this, or somebody else was first: read it again",
    413: "too large",
    415: "another media type",
    422: "the idempotency key was used with another body",
    500: "an unexpected error; it was logged",
    503: "not available now; `Retry-After` says when",
}


class Endpoint(NamedTuple):
    """One HTTP function as the platform sees it."""

    name: str
    method: str
    path: str
    says: str


SECOND_APP = (
    Endpoint("post_agui", "post", "/api/v1/agui", "A `RunAgentInput`, answered with the events of its run."),
    Endpoint(
        "post_chat",
        "post",
        "/api/v1/chat",
        "Ask, and hear the reply while it is made. Actions it leads to are queued, never run here.",
    ),
)
"""What `stream_app.py` has beside the conversations' streams. Written out, and compared by a test: to import it would
make an HTTP v2 app of the first one, which serves this document."""


def endpoints() -> list[Endpoint]:
    """Every HTTP function, by path and method."""
    from functions import BLUEPRINTS

    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for blueprint in BLUEPRINTS:
        app.register_functions(blueprint)
    found = list(SECOND_APP)
    for function in app.get_functions():
        trigger = function.get_trigger()
        told = trigger.get_dict_repr() if trigger else {}
        if told.get("type") == "httpTrigger":
            says = " ".join((function.get_user_function().__doc__ or "").split())
            methods = [str(getattr(method, "value", method)).lower() for method in told.get("methods") or ["get"]]
            found += [
                Endpoint(function.get_function_name() or "", one, f"/api/{told['route']}", says) for one in methods
            ]
    return sorted(found, key=lambda endpoint: (endpoint.path, endpoint.method))


@cache
def document() -> JsonObject:
    """The document; the same for the same code."""
    from pydantic.json_schema import models_json_schema

    from functions.operations import OPERATIONS
    from shared.contracts.answers import Problem

    models: dict[tuple[Any, Any], None] = {(Problem, "serialization"): None}
    for operation in OPERATIONS.values():
        models |= {(one, mode): None for one, mode in ((operation.takes, "validation"), (operation.gives, "serialization")) if one}  # noqa: E501  # fmt: skip
    refs, shared_schemas = models_json_schema(list(models), by_alias=True, ref_template=REF)
    paths: JsonObject = {}
    for endpoint in endpoints():
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign",
            "version": "1",
            "description": "Agents propose. Policy decides. A person countersigns. Every step is on the record.",
        },
        "paths": paths,
        "components": {"schemas": shared_schemas.get("$defs", {}), "securitySchemes": _SECURITY},
    }


_SECURITY: JsonObject = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "dev": {"type": "apiKey", "in": "header", "name": "X-Dev-Caller"},
    "easyauth": {
        "type": "apiKey",
        "in": "cookie",
        "name": "AppServiceAuthSession",
        "description": "App Service authentication (Easy Auth): the platform verifies the session and puts "
        "`X-MS-CLIENT-PRINCIPAL` before the app, which reads it only with AUTH_MODE=easyauth.",
    },
}


def _operation(endpoint: Endpoint, refs: Any) -> JsonObject:
    from functions.operations import OPERATIONS
    from functions.roles import WHO_MAY, WHO_MAY_STREAM, expanded

    operation, needs = OPERATIONS[endpoint.name], (WHO_MAY | WHO_MAY_STREAM)[endpoint.name]
    told: JsonObject = {"operationId": endpoint.name, "summary": endpoint.says}
    roles = [role for role in ("member", "reviewer", "auditor", "operator") if expanded(frozenset({role})) & needs]
    if roles:
        told["description"] = f"Roles: {', '.join(roles)}."
        told["x-roles"] = roles
    told["security"] = [{name: []} for name in _SECURITY] if roles else []
    parameters = _parameters(endpoint, operation, signed=bool(roles))
    if parameters:
        told["parameters"] = parameters
    if operation.takes:
        content: JsonObject = {"application/json": {"schema": refs[operation.takes, "validation"]}}
        content |= {kind: {"schema": {"type": "string"}} for kind in operation.other_takes}
        told["requestBody"] = {"required": not operation.may_be_empty, "content": content}
    told["responses"] = _responses(endpoint, operation, refs, signed=bool(roles))
    return told


def _parameters(endpoint: Endpoint, operation: Any, *, signed: bool) -> list[JsonObject]:
    from functions.operations import EVENT_STREAM

    reference = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"}
    found: list[JsonObject] = [
        {"name": name, "in": "path", "required": True, "schema": reference}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    found += [{"name": one.name, "in": "query", "schema": _query_schema(one)} for one in operation.query]
    headers = {"X-Tenant": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"}} if signed else {}
    if operation.idempotent:
        headers["Idempotency-Key"] = {"type": "string", "minLength": 1, "maxLength": 200}  # type: ignore[dict-item]
    if "ETag" in operation.headers and operation.takes:
        headers["If-Match"] = {"type": "string"}
    if operation.gives_type == EVENT_STREAM and not operation.takes:
        headers["Last-Event-ID"] = {"type": "string", "pattern": "^[0-9]{1,10}$"}
        found.append({"name": "live", "in": "query", "schema": {"type": "string", "enum": ["true"]}})
    headers["X-Correlation-Id"] = reference
    return [*found, *({"name": name, "in": "header", "schema": schema} for name, schema in headers.items())]


def _query_schema(query: Any) -> JsonObject:
    if query.choices:
        return {"type": "string", "enum": list(query.choices)}
    if not query.high:
        return {"type": "string", "maxLength": 1000}
    return {"type": "integer", "minimum": query.low, "maximum": query.high, "default": query.default}


def _responses(endpoint: Endpoint, operation: Any, refs: Any, *, signed: bool) -> JsonObject:
    schema = refs[operation.gives, "serialization"] if operation.gives else {"type": operation.untyped}
    good: JsonObject = {"description": operation.told, "content": {operation.gives_type: {"schema": schema}}}
    if operation.headers:
        good["headers"] = {name: {"schema": {"type": "string"}} for name in operation.headers}
    responses: JsonObject = {str(operation.status): good}
    if operation.also:
        responses[str(operation.also)] = good
    codes = {400, 401, 403, 500, 503, *operation.refuses} if signed else {500}
    codes |= {404} if "{" in endpoint.path else set()
    codes |= {409, 413, 415} if operation.takes else set()
    codes |= {422} if operation.idempotent else set()
    for code in sorted(codes):
        problem = {"schema": refs[_problem_model(), "serialization"]}
        content = {"application/problem+json": problem}
        responses.setdefault(str(code), {"description": PROBLEM_OF[code], "content": content})
    return dict(sorted(responses.items()))


def _problem_model() -> Any:
    from shared.contracts.answers import Problem

    return Problem


def schemas() -> dict[str, JsonObject]:
    """The JSON Schemas (2020-12) of what travels beside HTTP, by file name."""
    from pydantic import TypeAdapter

    from shared.contracts.commands import envelope_adapter
    from shared.contracts.decision_event import TransactionDecisionChanged
    from shared.contracts.telemetry import Score, Trace

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "command-envelope.json": {**dialect, "title": "CommandEnvelope", **envelope_adapter().json_schema()},
        "transaction-decision-changed.json": {**dialect, **TransactionDecisionChanged.model_json_schema()},
        "telemetry.json": {**dialect, "title": "Telemetry", **TypeAdapter(Trace | Score).json_schema()},
    }


def written(value: JsonObject) -> str:
    """As it is committed: readable, and the same on every machine."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write everything anew."""
    docs = Path(__file__).resolve().parent.parent / "docs"
    (docs / "schemas").mkdir(parents=True, exist_ok=True)
    (docs / "openapi.json").write_text(written(document()), encoding="utf-8")
    for name, schema in schemas().items():
        (docs / "schemas" / name).write_text(written(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
