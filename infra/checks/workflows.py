"""That the workflows are sound: pinned actions, few rights, an end to every job, and targets and files that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from infra.checks.bicep import line_of

FOLDER: Final = ".github/workflows"
REQUIRED: Final = frozenset({"test.yml", "infra.yml", "deploy.yml"})
PINNED: Final = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
WRITES: Final = frozenset({"id-token"})  # a token of Entra's for the job; nothing here writes to the repository
SECRET: Final = frozenset({"OPENAI_API_KEY", "BANK_TOKEN"})
LONGEST_MINUTES: Final = 60


def problems(root: Path) -> list[str]:
    """What GitHub would refuse or run with more rights than it needs, and what a step would not find."""
    paths = sorted((root / FOLDER).glob("*.yml"))
    found = [f"{FOLDER}/{name}:1: is missing" for name in sorted(REQUIRED - {path.name for path in paths})]
    for path in paths:
        try:
            workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as failed:
            found.append(f"{FOLDER}/{path.name}:1: is no YAML: {str(failed).splitlines()[0]}")
            continue
        found += [f"{FOLDER}/{path.name}:{line}: {told}" for line, told in _workflow(root, path, workflow)]
    return found


def _workflow(root: Path, path: Path, workflow: dict[Any, Any]) -> Iterator[tuple[int, str]]:
    for wanted in ("name", "permissions", "concurrency", "jobs"):
        if wanted not in workflow:
            yield 1, f"has no {wanted}"
    if "on" not in workflow and True not in workflow:  # YAML 1.1 reads `on` as a truth value
        yield 1, "has no trigger"
    yield from _rights(path, workflow.get("permissions", {}))
    for name, job in workflow.get("jobs", {}).items():
        line = line_of(path, f"^  {name}:")
        if not 0 < job.get("timeout-minutes", 0) <= LONGEST_MINUTES:
            yield line, f"job {name} has no timeout-minutes of {LONGEST_MINUTES} at most"
        yield from _rights(path, job.get("permissions", {}))
        for needed in [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", []):
            if needed not in workflow["jobs"]:
                yield line, f"job {name} needs {needed}, which does not exist"
        for step in job["steps"]:
            yield from _step(root, path, step)
        yield from _told(root, path, name, job)


def _rights(path: Path, given: dict[str, str]) -> Iterator[tuple[int, str]]:
    for right, how in given.items():
        if how == "write" and right not in WRITES:
            yield line_of(path, f"{right}: write"), f"may write {right}, which nothing here needs"


def _step(root: Path, path: Path, step: dict[str, Any]) -> Iterator[tuple[int, str]]:
    if used := step.get("uses", ""):
        line = line_of(path, re.escape(used))
        if not PINNED.fullmatch(used):
            yield line, f"{used} is not pinned to a commit"
        elif not re.search(r"# v\d+\.\d+\.\d+$", path.read_text(encoding="utf-8").splitlines()[line - 1]):
            yield line, f"{used} does not say its version beside the commit"
        if used.startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False:
            yield line, "checkout leaves its token for every later step: persist-credentials is false"
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([\w./-]+)", step.get("run", "")):
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            yield line_of(path, f"make {re.escape(target)}"), f"there is no target {target} in the Makefile"
    for named in re.findall(r"\binfra/[\w./-]+", step.get("run", "")):
        if not (root / named).exists():
            yield line_of(path, re.escape(named)), f"{named} does not exist"


def _told(root: Path, path: Path, name: str, job: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """A job that provisions tells main.bicepparam everything that it reads."""
    if not any(
        "main.bicepparam" in step.get("run", "") or "azd provision" in step.get("run", "") for step in job["steps"]
    ):
        return
    if "env" not in job:
        return
    parameters = (root / "infra/main.bicepparam").read_text(encoding="utf-8")
    read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", parameters))
    for variable in sorted(read - job["env"].keys() - (set() if "environment" in job else SECRET)):
        yield line_of(path, f"^  {name}:"), f"job {name} does not tell {variable}, which infra/main.bicepparam reads"
