"""What the platform sees of the second app: its bindings as reviewed, and an import that stays light."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "stream_bindings.json"
HEAVY = (
    "openai",
    "ag_ui",
    "yaml",
    "rapidfuzz",
    "jwt",
    "azure.cosmos",
    "azure.servicebus",
    "azure.identity",
    "cryptography",
)
INDEX = """
import json, sys
import stream_app
found = {}
for function in stream_app.app.get_functions():
    found[function.get_function_name()] = json.loads(function.get_function_json())["bindings"]
print(json.dumps({"bindings": found, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", INDEX], cwd=ROOT, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_bindings_are_those_that_were_reviewed(index: dict[str, Any]):
    """A deliberate change is written with: UPDATE_SNAPSHOTS=1 pytest tests/functions/test_stream_indexing.py"""
    text = json.dumps(index["bindings"], indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_importing_it_pulls_in_nothing_that_the_extension_does_not(index: dict[str, Any]):
    loaded = set(index["modules"])
    assert [name for name in HEAVY if name in loaded] == []
    assert not [name for name in loaded if name.startswith(("shared.adapters", "shared.flows"))]


def test_every_function_authenticates_itself_and_streams_over_http_alone(index: dict[str, Any]):
    from functions.roles import WHO_MAY_STREAM

    triggers = [one for bindings in index["bindings"].values() for one in bindings if one["direction"] == "IN"]
    assert {(one["type"], one["authLevel"].lower()) for one in triggers} == {("httpTrigger", "anonymous")}
    assert set(index["bindings"]) <= set(WHO_MAY_STREAM)


def test_the_first_app_does_not_know_the_extension():
    """It would change every HTTP function of that app, and slow its start."""
    code = "import sys, function_app; print([m for m in sys.modules if m.startswith('azurefunctions')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
