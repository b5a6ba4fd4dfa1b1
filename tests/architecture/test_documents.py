"""What the documents name must exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"`([\w/]+\.py):(\w+)`")
PATHS = re.compile(r"`((?:functions|shared|local|tests|docs|policies|samples|evals|benchmarks)/[\w./-]*\w)`")


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_a_document_mentions_exists(document: Path):
    told = document.read_text(encoding="utf-8")
    for path, name in NAMED.findall(told):
        assert name in defined_in(ROOT / path), f"{document.name} names {path}:{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_a_document_mentions_exists(document: Path):
    missing = [path for path in PATHS.findall(document.read_text(encoding="utf-8")) if not (ROOT / path).exists()]
    assert missing == []


def test_the_architecture_names_the_whole_way_of_a_message():
    assert len(NAMED.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))) >= 20
