"""What is deployed is enough: both apps, from the files that .funcignore leaves and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pathspec
import pytest

ROOT = Path(__file__).parents[2]
TRY = """
import importlib, json, pkgutil, sys
app = importlib.import_module(sys.argv[1])
names = sorted(function.get_function_name() for function in app.app.get_functions())
import functions, shared
for package in (functions, shared):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
from functions.openapi import document
from shared import bootstrap
print(json.dumps({
    "functions": names,
    "policies": [bootstrap.policy().version, bootstrap.action_policy().version],
    "paths": len(document()["paths"]),
    "elsewhere": sorted(name for name, module in sys.modules.items()
        if (getattr(module, "__file__", None) or "").startswith(sys.argv[2])),
}))
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.splitlines() or [str(one.relative_to(ROOT)) for one in ROOT.rglob("*") if one.is_file()]
    folder = tmp_path_factory.mktemp("wwwroot")
    for name in names:
        if not ignored.match_file(name) and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize(("script", "snapshot"), [("function_app", "bindings"), ("stream_app", "stream_bindings")])
def test_both_apps_run_from_what_is_deployed(deployed: Path, script: str, snapshot: str):
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", TRY, script, str(ROOT / "shared")],
        cwd=deployed,
        env=kept | {"COUNTERSIGN_DATA": str(deployed / ".countersign"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    bindings = json.loads((Path(__file__).parent / f"{snapshot}.json").read_text(encoding="utf-8"))
    assert told["functions"] == sorted(bindings)
    assert all(told["policies"])
    assert told["paths"] > 20
    assert told["elsewhere"] == []


def test_what_is_deployed_is_small(deployed: Path):
    size = sum(one.stat().st_size for one in deployed.rglob("*") if one.is_file())
    assert size < 3_000_000
    assert {one.name for one in deployed.iterdir() if one.name != ".countersign"} == {
        "function_app.py", "stream_app.py", "host.json", "requirements.txt", "constraints.txt", "functions", "shared",
        "policies",
    }  # fmt: skip
