"""Bicep files as values: parsed by the tree-sitter grammar, not compiled. What cannot be known before a deployment is
an `Expression`; what a switch decides is an `Either`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import tree_sitter
import tree_sitter_bicep

DECLARED = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


class Expression(NamedTuple):
    """Known at deployment alone; its text."""

    text: str


class Either(NamedTuple):
    """What a condition decides between."""

    condition: str
    yes: Any
    no: Any


class Block(NamedTuple):
    """One declaration. kind: param, var, resource, module or output. source: what a module is, or a resource's type and
    version. required: a param without a default. type: of a param or output, as written."""

    kind: str
    name: str
    line: int
    node: tree_sitter.Node
    source: str = ""
    type: str = ""
    required: bool = False


class Module(NamedTuple):
    """A module or resource with its values. loop: it is made for every item of a list."""

    block: Block
    params: Mapping[str, Any]
    lines: Mapping[str, int]
    loop: bool


@cache
def _language() -> tree_sitter.Language:
    return tree_sitter.Language(tree_sitter_bicep.language())


def text_of(node: tree_sitter.Node) -> str:
    """As it stands in the file."""
    return (node.text or b"").decode()


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The node and everything in it, from top to bottom."""
    yield node
    for child in node.children:
        yield from walk(child)


def _values(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    return [child for child in node.named_children if child.type != "comment"]


class BicepFile:
    """One file. `name` is its path from the project's root."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.path = root / name
        self.tree = tree_sitter.Parser(_language()).parse(self.path.read_bytes()).root_node
        self.declared = list(self._blocks())
        self._read: dict[str, Callable[[tree_sitter.Node], Any]] = {
            "object": self._object,
            "array": lambda node: [self.value(one) for one in _values(node)],
            "string": self._string,
            "number": lambda node: int(text_of(node)),
            "boolean": lambda node: text_of(node) == "true",
            "null": lambda _: None,
            "parenthesized_expression": lambda node: self.value(_values(node)[0]),
            "ternary_expression": self._either,
            "identifier": self._named,
            "call_expression": self._call,
        }

    def at(self, line: int, problem: str) -> str:
        """A problem, as an editor finds it."""
        return f"{self.name}:{line}: {problem}"

    def of(self, kind: str) -> dict[str, Block]:
        """Everything declared of that kind, by name."""
        return {one.name: one for one in self.declared if one.kind == kind}

    def value(self, node: tree_sitter.Node) -> Any:
        """What an expression is, as far as it is known."""
        read = self._read.get(node.type)
        return read(node) if read else Expression(text_of(node))

    def variable(self, name: str) -> Any:
        """The value of a variable; KeyError when there is none."""
        return self.value(_values(self.of("var")[name].node)[-1])

    def modules(self) -> list[Module]:
        """Modules with their params, and resources with their properties (nested resources are not opened)."""
        return [self._module(one) for one in self.declared if one.kind in ("module", "resource")]

    def _module(self, block: Block) -> Module:
        loop = any(child.type == "for_statement" for child in block.node.named_children)
        body = next((node for node in walk(block.node) if node.type == "object"), None)
        if body is not None and block.kind == "module":
            wanted = [one for one in _properties(body) if text_of(_values(one)[0]) == "params"]
            body = _values(wanted[0])[-1] if wanted else None
        if body is None or body.type != "object":
            return Module(block, {}, {}, loop)
        lines = {text_of(_values(one)[0]).strip("'"): one.start_point.row + 1 for one in _properties(body)}
        return Module(block, self._object(body), lines, loop)

    def _blocks(self) -> Iterator[Block]:
        for node in walk(self.tree):
            if node.type not in DECLARED:
                continue
            children = _values(node)
            kind, name = DECLARED[node.type], text_of(children[0])
            line = node.start_point.row + 1
            if kind in ("module", "resource"):
                yield Block(kind, name, line, node, source=text_of(children[1]).strip("'"))
            elif kind in ("param", "output"):
                required = kind == "param" and not any(child.type == "=" for child in node.children)
                yield Block(kind, name, line, node, type=text_of(children[1]), required=required)
            else:
                yield Block(kind, name, line, node)

    def _object(self, node: tree_sitter.Node) -> dict[str, Any]:
        pairs = [_values(one) for one in _properties(node)]
        return {text_of(key).strip("'"): self.value(held[-1]) for key, *held in pairs}

    def _string(self, node: tree_sitter.Node) -> Any:
        if any(child.type == "interpolation" for child in node.named_children):
            return Expression(text_of(node).strip("'"))
        return "".join(text_of(child) for child in node.named_children)

    def _either(self, node: tree_sitter.Node) -> Any:
        condition, yes, no = _values(node)
        return Either(text_of(condition), self.value(yes), self.value(no))

    def _named(self, node: tree_sitter.Node) -> Any:
        name = text_of(node)
        return self.variable(name) if name in self.of("var") else Expression(name)

    def _call(self, node: tree_sitter.Node) -> Any:
        function, arguments = _values(node)[0], _values(_values(node)[-1])
        if text_of(function) == "loadJsonContent":
            return json.loads((self.path.parent / text_of(arguments[0]).strip("'")).read_text(encoding="utf-8"))
        if text_of(function) == "concat":
            return [one for argument in arguments for one in _items(self.value(argument))]
        if text_of(function) == "union":
            parts = [self.value(one) for one in arguments]
            return {name: held for part in parts if isinstance(part, dict) for name, held in part.items()}
        return Expression(text_of(node))


def _properties(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    pairs = [child for child in node.named_children if child.type == "object_property"]
    return [one for one in pairs if len(_values(one)) > 1]  # not a resource declared inside another


def _items(value: Any) -> list[Any]:
    """Those of a list, whichever way its switches stand."""
    if isinstance(value, Either):
        return [*_items(value.yes), *_items(value.no)]
    return value if isinstance(value, list) else [value]


def chosen(value: Any, condition: str, *, holds: bool) -> Any:
    """The value with one switch set."""
    if isinstance(value, Either) and value.condition == condition:
        return chosen(value.yes if holds else value.no, condition, holds=holds)
    if isinstance(value, dict):
        return {name: chosen(one, condition, holds=holds) for name, one in value.items()}
    if isinstance(value, list):
        return [chosen(one, condition, holds=holds) for one in value]
    return value


def bicep_files(root: Path) -> list[BicepFile]:
    """Every Bicep file of the project, by name."""
    return [BicepFile(root, f"infra/{path.name}") for path in sorted((root / "infra").glob("*.bicep"))]


def line_of(path: Path, pattern: str) -> int:
    """The first line of a text file that has it; 1 when none has."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if re.search(pattern, line)), 1)
