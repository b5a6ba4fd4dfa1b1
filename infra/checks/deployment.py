"""That `azd up` deploys both apps, whole and nothing else, and that the hooks after it name what there is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pathspec
import yaml

from infra.checks.bicep import BicepFile, line_of
from infra.checks.lanes import BINDINGS
from shared.ledger.events import DECISION_CHANGED

SHIPPED: Final = frozenset({
    "function_app.py", "stream_app.py", "host.json", "requirements.txt", "constraints.txt", "functions", "shared",
    "policies",
})  # fmt: skip
"""What an app is: nothing else of the project goes to Azure."""
LEFTOVERS: Final = (
    ".azure/prod/.env", ".azure/config.json", ".env", ".mypy_cache/x.json",
    ".git/config", ".github/workflows/test.yml", ".venv/bin/python", "local.settings.json",
    ".countersign/store.db", ".ruff_cache/x", ".pytest_cache/x", ".hypothesis/x",
    ".import_linter_cache/x", ".bench/x", "shared/__pycache__/settings.cpython-313.pyc", "emulators/Config.json",
)  # fmt: skip
"""What may lie on a developer's machine."""
GIVEN_BY_AZD: Final = frozenset({"AZURE_SUBSCRIPTION_ID", "AZURE_ENV_NAME"})
HOOKS: Final = ("infra/hooks/postdeploy.sh", "infra/hooks/postdeploy.ps1")
VARIABLES: Final = {".sh": r"\$\{?([A-Z][A-Z0-9_]+)", ".ps1": r"\$env:([A-Z][A-Z0-9_]+)"}
SUBSCRIPTION: Final = "infra/event-subscription.bicep"


def problems(root: Path) -> list[str]:
    """What a deployment would leave out, take along or not find."""
    main = BicepFile(root, "infra/main.bicep")
    return [*_services(root, main), *_package(root), *_hooks(root, main), *_subscription(root)]


def _services(root: Path, main: BicepFile) -> Iterator[str]:
    project = yaml.safe_load((root / "azure.yaml").read_text(encoding="utf-8"))
    services: dict[str, dict[str, Any]] = project["services"]
    apps: dict[str, dict[str, Any]] = {one["service"]: one for one in main.variable("apps")}
    for name in services.keys() ^ apps.keys():
        here, there = ("azure.yaml", "infra/main.bicep") if name in services else ("infra/main.bicep", "azure.yaml")
        yield f"{here}:{line_of(root / here, rf'\b{name}\b')}: service {name} is not in {there}"
    for name, service in services.items():
        for key, wanted in (("project", "."), ("language", "python"), ("host", "function"), ("remoteBuild", True)):
            if service.get(key) != wanted:
                line = line_of(root / "azure.yaml", f"^  {name}:")
                yield f"azure.yaml:{line}: {name}: {key} is {service.get(key)}; {wanted} deploys the code"
    yield from _apps(root, main, apps)


def _apps(root: Path, main: BicepFile, apps: dict[str, dict[str, Any]]) -> Iterator[str]:
    containers = re.findall(r"\{ name: '([a-z-]+)' \}", (root / "infra/data.bicep").read_text(encoding="utf-8"))
    for name, app in apps.items():
        line = line_of(main.path, f"'{name}'")
        if not (root / app["script"]).exists():
            yield main.at(line, f"{name} runs {app['script']}, which does not exist")
        if app["package"] not in containers:
            yield main.at(line, f"{name} is deployed to {app['package']}, a container that data.bicep does not make")
    for one in BicepFile(root, "infra/app.bicep").modules():
        tagged = "azd-service-name" in str(one.params.get("tags"))
        if tagged is not (one.block.name == "site"):
            yield f"infra/app.bicep:{one.block.line}: the site, and nothing else, carries azd-service-name"
    module = next(one for one in main.modules() if one.block.source == "app.bicep")
    given = module.params.get("settings")
    if not isinstance(given, dict) or "PYTHON_SCRIPT_FILE_NAME" not in given:
        yield main.at(module.block.line, "PYTHON_SCRIPT_FILE_NAME is not set: both apps would run function_app.py")


def _package(root: Path) -> Iterator[str]:
    """.funcignore leaves the app, whole, and nothing beside it."""
    lines = (root / ".funcignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    told_of: set[str] = set()
    for name in _files(root):
        top = name.partition("/")[0]
        if top in told_of:
            continue
        if ignored.match_file(name) is (top in SHIPPED):
            told = "is left out of the deployment, and the app needs it" if top in SHIPPED else "would be deployed"
            told_of.add(top)  # one is enough to go and look
            yield f".funcignore:{len(lines)}: {name} {told}"
    for name in LEFTOVERS:
        if not ignored.match_file(name):
            yield f".funcignore:{len(lines)}: {name} would be deployed if it were there"
    for name in SHIPPED:
        if not (root / name).exists():
            yield f".funcignore:1: {name} does not exist, and the app needs it"


def _files(root: Path) -> Iterator[str]:
    """The project's files, but for what is never committed."""
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if one != "__pycache__" and (not one.startswith(".") or one == ".ci")]
        for name in names:
            path = (Path(folder) / name).relative_to(root).as_posix()
            if not name.endswith(".pyc") and path != ".git":
                yield path


def _hooks(root: Path, main: BicepFile) -> Iterator[str]:
    outputs = main.of("output").keys() | GIVEN_BY_AZD
    wanted = BicepFile(root, SUBSCRIPTION).of("param")
    run = yaml.safe_load((root / "azure.yaml").read_text(encoding="utf-8"))["hooks"]["postdeploy"]
    for system, name in zip(("posix", "windows"), HOOKS, strict=True):
        if run[system]["run"] != f"./{name}":
            line = line_of(root / "azure.yaml", "postdeploy")
            yield f"azure.yaml:{line}: {system} runs {run[system]['run']}, not {name}"
        path = root / name
        text = path.read_text(encoding="utf-8")
        for variable in sorted(set(re.findall(VARIABLES[path.suffix], text)) - outputs):
            yield f"{name}:{line_of(path, variable)}: {variable} is no output of infra/main.bicep"
        given = set(re.findall(r"^ +([a-z]\w+)=\S+ [\\`]$", text, re.MULTILINE))
        for one in sorted(given ^ wanted.keys()):
            told = "is given, and not declared" if one in given else "is declared, and not given"
            yield f"{name}:{line_of(path, '--parameters')}: {one} {told} in {SUBSCRIPTION}"
        for told in re.findall(r"(?:\.\./)+[\w./-]+", text):
            if not (path.parent / told).exists():
                yield f"{name}:{line_of(path, re.escape(told))}: {told} does not exist"


def _subscription(root: Path) -> Iterator[str]:
    file = BicepFile(root, SUBSCRIPTION)
    made = next(one for one in file.modules() if one.block.name == "subscription")
    properties, line = made.params["properties"], made.block.line
    destination = properties["destination"]["properties"]["resourceId"].text
    if destination.rpartition("/")[2] not in json.loads((root / BINDINGS).read_text(encoding="utf-8")):
        yield file.at(line_of(file.path, "/functions/"), f"there is no function {destination.rpartition('/')[2]}")
    if properties["filter"]["includedEventTypes"] != [DECISION_CHANGED]:
        yield file.at(line_of(file.path, "includedEventTypes"), f"the function takes {DECISION_CHANGED}")
    if properties["eventDeliverySchema"] != "CloudEventSchemaV1_0":
        yield file.at(line_of(file.path, "eventDeliverySchema"), "events are CloudEvents")
    if "deadLetterWithResourceIdentity" not in properties:
        yield file.at(line, "an event that nobody could deliver would be gone: there is no dead-letter destination")
    topic = next(one for one in BicepFile(root, "infra/messaging.bicep").modules() if one.block.name == "topic")
    if topic.params.get("inputSchema") != "CloudEventSchemaV1_0":
        yield f"infra/messaging.bicep:{topic.block.line}: the topic does not take CloudEvents, which is what is sent"
