"""That every file parses, that what it names exists, and that modules are given what they declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import tree_sitter

from infra.checks.bicep import BicepFile, Block, Either, Module, bicep_files, text_of, walk

FUNCTIONS: Final = frozenset({
    "any", "array", "base64", "bool", "concat", "contains", "deployment", "empty", "endsWith", "environment", "filter",
    "first", "format", "guid", "indexOf", "int", "intersection", "items", "join", "json", "last", "length",
    "loadFileAsBase64", "loadJsonContent", "loadTextContent", "loadYamlContent", "map", "max", "min", "padLeft",
    "range", "reduce", "replace", "resourceGroup", "resourceId", "skip", "sort", "split", "startsWith", "string",
    "subscription", "subscriptionResourceId", "substring", "take", "tenant", "toLower", "toObject", "toUpper", "trim",
    "union", "uniqueString", "uri",
})  # fmt: skip
LOADED: Final = ("loadJsonContent", "loadTextContent")
TEXT_LIMIT: Final = 131_072  # characters that loadTextContent takes; loadJsonContent takes eight times as many
PUBLIC: Final = re.compile(r"br/public:avm/res/([a-z0-9/-]+):(\d+\.\d+\.\d+)")
API_VERSION: Final = re.compile(r"[A-Za-z.]+(/[A-Za-z]+)+@\d{4}-\d{2}-\d{2}(-preview)?")
PARAMETER: Final = re.compile(
    r"param (?P<name>\w+) = (?P<type>bool|int)?\(?readEnvironmentVariable\('[A-Z0-9_]+'(?P<default>, '[^']*')?\)\)?"
)


def problems(root: Path) -> list[str]:
    """What does not parse, does not exist or does not fit."""
    files = bicep_files(root)
    broken = [told for file in files for told in _syntax(file)]
    if broken:
        return broken
    by_name = {file.name: file for file in files}
    found = [told for file in files for told in (*_names(file), *_modules(file, by_name), *_outputs(file, by_name))]
    return [*found, *_versions(files), *_parameters(root, by_name["infra/main.bicep"])]


def _syntax(file: BicepFile) -> Iterator[str]:
    for node in walk(file.tree):
        if node.is_error or node.is_missing:
            told = "is missing something" if node.is_missing else f"does not parse: {text_of(node)[:60]!r}"
            yield file.at(node.start_point.row + 1, told)


def _names(file: BicepFile) -> Iterator[str]:
    names = {one.name for one in file.declared if one.kind != "output"}
    loops = {text_of(child.named_children[0]) for child in walk(file.tree) if child.type == "for_statement"}
    used: set[str] = set()
    source = file.path.read_bytes()
    for node in walk(file.tree):
        if node.type != "identifier":
            continue
        name, role = text_of(node), _role(node)
        if role == "symbol" and source[node.end_byte : node.end_byte + 1] == b"(":
            role = "function"  # the grammar loses a call that stands alone in an array
        if role == "function" and name not in FUNCTIONS:
            yield file.at(node.start_point.row + 1, f"{name}() is no function that these checks know")
        elif role == "symbol":
            used.add(name)
            if name not in names | loops:
                yield file.at(node.start_point.row + 1, f"{name} is not declared")
    yield from _spare(file, used)
    yield from _loaded(file)


def _spare(file: BicepFile, used: set[str]) -> Iterator[str]:
    for one in file.declared:
        if one.kind in ("param", "var") and one.name not in used:
            yield file.at(one.line, f"{one.kind} {one.name} is not used")
    for kind in ("param", "var", "output"):
        named = [one for one in file.declared if one.kind == kind]
        for one in named:
            if any(other.name == one.name and other.line < one.line for other in named):
                yield file.at(one.line, f"{kind} {one.name} is declared twice")


def _role(node: tree_sitter.Node) -> str:
    """What an identifier is where it stands: a symbol, the name of a function, or a name that is declared there."""
    parent = node.parent
    if parent is None or parent.type.endswith("_declaration"):
        first = parent is not None and parent.named_children[0] == node
        return "name" if first else "symbol"
    first = parent.named_children[0] == node
    if parent.type == "call_expression" and first:
        inside = parent.parent
        return "decorator" if inside is not None and inside.type == "decorator" else "function"
    if parent.type in ("object_property", "for_statement") and first:
        return "name"
    return "symbol" if parent.type != "resource_expression" or first else "name"


def _loaded(file: BicepFile) -> Iterator[str]:
    for node in walk(file.tree):
        if node.type != "call_expression" or text_of(node.named_children[0]) not in LOADED:
            continue
        name = text_of(node.named_children[1].named_children[0]).strip("'")
        path, line = file.path.parent / name, node.start_point.row + 1
        if not path.exists():
            yield file.at(line, f"{name} does not exist")
        elif len(path.read_text(encoding="utf-8")) > TEXT_LIMIT:
            yield file.at(line, f"{name} is longer than the {TEXT_LIMIT} characters that Bicep loads")


def _modules(file: BicepFile, by_name: dict[str, BicepFile]) -> Iterator[str]:
    for module in file.modules():
        block = module.block
        if block.kind == "resource":
            if "@" in block.source and not API_VERSION.fullmatch(block.source):
                yield file.at(block.line, f"{block.source} names no API version")
            continue
        if PUBLIC.fullmatch(block.source):
            continue
        other = by_name.get(f"infra/{block.source}")
        if other is None:
            yield file.at(block.line, f"module {block.source} does not exist, or pins no version")
        else:
            yield from _given(file, module, other)


def _given(file: BicepFile, module: Module, other: BicepFile) -> Iterator[str]:
    declared, source = other.of("param"), module.block.source
    for name, line in module.lines.items():
        if name not in declared:
            yield file.at(line, f"{source} has no param {name}")
        elif told := _misfit(module.params[name], declared[name]):
            yield file.at(line, f"{name}: {told}")
    for one in declared.values():
        if one.required and one.name not in module.params:
            yield file.at(module.block.line, f"{source} needs {one.name}")


def _misfit(given: object, wanted: Block) -> str:
    """Why a value whose type shows does not fit a param."""
    if isinstance(given, Either):
        return _misfit(given.yes, wanted) or _misfit(given.no, wanted)
    known = {str: "string", int: "int", bool: "bool", list: "array", dict: "object"}
    is_type = known.get(type(given), wanted.type)
    return "" if is_type == wanted.type or "|" in wanted.type else f"is {is_type}, and {wanted.type} is wanted"


def _outputs(file: BicepFile, by_name: dict[str, BicepFile]) -> Iterator[str]:
    modules = file.of("module")
    for node in walk(file.tree):
        found = re.fullmatch(r"(\w+)(?:\[\d+\])?!?\.outputs\.\??(\w+)", text_of(node))
        if node.type != "member_expression" or not found or found[1] not in modules:
            continue
        other = by_name.get(f"infra/{modules[found[1]].source}")
        if other is not None and found[2] not in other.of("output"):
            yield file.at(node.start_point.row + 1, f"{other.name} has no output {found[2]}")


def _versions(files: list[BicepFile]) -> Iterator[str]:
    """One version of a module everywhere."""
    seen: dict[str, str] = {}
    for file in files:
        for block in file.of("module").values():
            if (found := PUBLIC.fullmatch(block.source)) and seen.setdefault(found[1], found[2]) != found[2]:
                yield file.at(block.line, f"{found[1]} is {seen[found[1]]} elsewhere")


def _parameters(root: Path, main: BicepFile) -> Iterator[str]:
    """main.bicepparam, which the grammar does not know: every line is one param of main.bicep from one variable."""
    name = "infra/main.bicepparam"
    declared, given = main.of("param"), set()
    for number, line in enumerate((root / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("//") or line == "using './main.bicep'":
            continue
        found = PARAMETER.fullmatch(line)
        if not found:
            yield f"{name}:{number}: is not `param NAME = readEnvironmentVariable('VARIABLE', 'default')`"
            continue
        given.add(found["name"])
        if found["name"] not in declared:
            yield f"{name}:{number}: main.bicep has no param {found['name']}"
        elif (declared[found["name"]].type, found["type"]) not in {("string", None), ("int", "int"), ("bool", "bool")}:
            yield f"{name}:{number}: {found['name']} is {declared[found['name']].type}"
        elif not declared[found["name"]].required and not found["default"]:
            yield f"{name}:{number}: {found['name']} has a default in main.bicep and needs one here"
    for one in declared.values():
        if one.required and one.name not in given:
            yield f"{name}:1: {one.name} is not given"
