"""What the platform sees: the same bindings as were reviewed, indexed quickly, in any environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "bindings.json"
HEAVY = (
    "pydantic", "yaml", "rapidfuzz", "jwt", "openai", "azure.cosmos", "azure.servicebus", "azure.identity", "fastapi",
    "azure.core", "azure.eventgrid", "azure.eventhub", "azure.storage", "aiohttp", "opentelemetry", "cryptography",
)  # fmt: skip
INDEX = """
import json, sys
import function_app
found = {}
for function in function_app.app.get_functions():
    found[function.get_function_name()] = json.loads(function.get_function_json())["bindings"]
print(json.dumps({"bindings": found, "modules": sorted(sys.modules)}))
"""


def indexed(**environment: str) -> dict[str, Any]:
    """The app as indexed by a fresh process."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", INDEX], cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    return indexed()


def test_the_bindings_are_those_that_were_reviewed(index: dict[str, Any]):
    """A deliberate change is written with: UPDATE_SNAPSHOTS=1 pytest tests/functions/test_indexing.py"""
    text = json.dumps(index["bindings"], indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_importing_the_app_pulls_in_nothing_heavy(index: dict[str, Any]):
    loaded = set(index["modules"])
    assert [name for name in HEAVY if name in loaded] == []
    assert not [name for name in loaded if name.startswith(("shared.adapters", "shared.flows"))]


@pytest.mark.parametrize(
    "environment",
    [{"AUTH_MODE": "nonsense"}, {"WEBSITE_SITE_NAME": "x"}, {"OUTSIDE_PRODUCERS": "{"}, {"FIRST_OPERATORS": "="}],
)
def test_a_wrong_setting_hides_no_function(index: dict[str, Any], environment: dict[str, str]):
    assert indexed(**environment)["bindings"] == index["bindings"]


def test_every_function_authenticates_itself(index: dict[str, Any]):
    triggers = [one for bindings in index["bindings"].values() for one in bindings if one["type"] == "httpTrigger"]
    assert {one["authLevel"].lower() for one in triggers} == {"anonymous"}
    assert {one["route"].split("/")[0] for one in triggers} == {"v1", "health", "ready", "openapi.json"}
