"""From a method and a path to a function: ASP.NET route templates, as the real host reads them.

`{name}`, `{name:int}`, `{name?}`, `{name:guid?}`, `{*rest}`; literals match in any case; the more literal a template,
the earlier it is tried. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from shared.errors import ConfigurationError

_CONSTRAINTS = {
    "int": r"-?[0-9]{1,10}",
    "long": r"-?[0-9]{1,19}",
    "guid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "bool": r"(?:[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])",
    "alpha": r"[A-Za-z]+",
    "decimal": r"-?[0-9]+(?:\.[0-9]+)?",
    "double": r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    "float": r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
}
_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+(?:\([0-9,]*\))?))?(\?)?\}")
_LENGTH = re.compile(r"(length|minlength|maxlength)\((\d+)(?:,(\d+))?\)")


class Match(NamedTuple):
    """`name` of the function and its route parameters, decoded; optional ones that are not there are left out."""

    name: str
    parameters: dict[str, str]


class _Route(NamedTuple):
    name: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    parameters: tuple[str, ...]
    rank: tuple[int, ...]


class Router:
    """Built once from (function name, template, methods); `methods` empty means any."""

    def __init__(self, routes: Iterable[tuple[str, str, Sequence[str]]], *, prefix: str = "api") -> None:
        compiled = [_compile(name, _joined(prefix, template), methods) for name, template, methods in routes]
        self._routes = sorted(compiled, key=lambda route: route.rank)
        clashes: dict[tuple[str, str], str] = {}
        for route in self._routes:
            for method in route.methods or {"*"}:
                if (other := clashes.setdefault((route.pattern.pattern.lower(), method), route.name)) != route.name:
                    raise ConfigurationError(f"functions {other} and {route.name} have the same route and method")

    def find(self, method: str, path: str) -> Match | list[str] | None:
        """The match; or, when only the method is wrong, the methods allowed; or None."""
        allowed: set[str] = set()
        for route in self._routes:
            if (match := route.pattern.fullmatch(path)) is None:
                continue
            if route.methods and method not in route.methods:
                allowed |= route.methods
                continue
            values = zip(route.parameters, match.groups(), strict=True)
            return Match(route.name, {name: unquote(value) for name, value in values if value})
        return sorted(allowed) or None


def _joined(prefix: str, template: str) -> str:
    return "/".join(part for part in (prefix.strip("/"), template.strip("/")) if part)


def _compile(name: str, template: str, methods: Sequence[str]) -> _Route:
    pattern, parameters, rank = "", [], []
    for segment in template.split("/"):
        match = _PARAMETER.fullmatch(segment)
        if match is None:
            if "{" in segment or "}" in segment:
                raise ConfigurationError(f"function {name}: the local host does not know the route segment {segment}")
            pattern += f"/(?i:{re.escape(segment)})"
            rank.append(0)
            continue
        stars, parameter, constraint, optional = match.groups()
        parameters.append(parameter)
        if stars:
            pattern += "(?:/(.*))?"
            rank.append(3)
            continue
        value = _constraint(name, constraint) if constraint else "[^/]+"
        pattern += f"(?:/({value}))?" if optional else f"/({value})"
        rank.append(1 if constraint else 2)
    return _Route(
        name, frozenset(m.upper() for m in methods), re.compile(pattern + "/?"), tuple(parameters), tuple(rank)
    )


def _constraint(name: str, constraint: str) -> str:
    if constraint in _CONSTRAINTS:
        return _CONSTRAINTS[constraint]
    if (match := _LENGTH.fullmatch(constraint)) is None:
        raise ConfigurationError(f"function {name}: the local host does not know the route constraint {constraint}")
    kind, low, high = match.groups()
    bounds = {"length": f"{low},{high or low}", "minlength": f"{low},", "maxlength": f"0,{low}"}[kind]
    return f"[^/]{{{bounds}}}"
