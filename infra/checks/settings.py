"""That shared/settings.py, infra/main.bicep, local.settings.sample.json and README.md name the same settings."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from infra.checks.bicep import BicepFile, line_of

NAME: Final = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9](__[A-Za-z]+)?|MODEL")
IN_README: Final = re.compile(r"`([A-Z][A-Za-z0-9_]+)`")

SET_BY_THE_PLATFORM: Final = frozenset({"WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "WEBSITE_AUTH_ENABLED"})
NOT_DEPLOYED: Final = {
    "COUNTERSIGN_DATA": "the embedded store's folder: on Azure there is none",
    "COUNTERSIGN_POLICY": "the policy is deployed with the code, where it is looked for",
    "COUNTERSIGN_ACTION_POLICY": "the policy is deployed with the code, where it is looked for",
    "COSMOS_PREFERRED_REGIONS": "there is one region; an account in several sets it by hand",
    "COSMOS_KEY": "of an emulator; refused on Azure",
    "EVENTGRID_TOPIC_KEY": "of an emulator; refused on Azure",
    "CHECKPOINTS_KEY": "of an emulator; refused on Azure",
    "SERVICEBUS_CONNECTION": "of an emulator; refused on Azure",
    "EVENTHUB_CONNECTION": "of an emulator; refused on Azure",
    "PYTHON_ENABLE_OPENTELEMETRY": "for an exporter of one's own; Azure Monitor has the other switch",
}
NOT_LOCAL: Final = {
    "COUNTERSIGN_DATA": "an environment variable, or --data: the settings file may lie in that folder",
}
OF_THE_PLATFORM: Final = {
    "FUNCTIONS_WORKER_RUNTIME": "local tools ask for it; Flex Consumption has functionAppConfig.runtime",
    "PYTHON_SCRIPT_FILE_NAME": "which of the two entry scripts an app runs",
    "SERVICEBUS_CONNECTION__credential": "the triggers sign in with the app's identity",
    "SERVICEBUS_CONNECTION__clientId": "the triggers sign in with the app's identity",
    "AzureWebJobsStorage__blobServiceUri": "the host's own storage",
    "AzureWebJobsStorage__credential": "the host's own storage",
    "AzureWebJobsStorage__clientId": "the host's own storage",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the host and the worker export to it",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "they sign in with the app's identity",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "the Azure Monitor distro reads it",
}
TELL_ADDRESSES: Final = frozenset({"azure_sdk", "fastapi", "httpx", "httpx2", "requests", "urllib", "urllib3"})
"""Instrumentations that the distro switches on for itself, and whose spans hold the address of every call."""


def problems(root: Path) -> list[str]:
    """Settings that one of the four knows and another does not."""
    read = set(_read_by_code(root)) - SET_BY_THE_PLATFORM
    deployed = _deployed(root)
    sample = json.loads((root / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    told = set(IN_README.findall((root / "README.md").read_text(encoding="utf-8")))
    return [
        *_missing(
            read - NOT_DEPLOYED.keys(), deployed, "infra/main.bicep", _line(root, "infra/main.bicep", "var settings")
        ),
        *_missing(read - NOT_LOCAL.keys(), sample.keys(), "local.settings.sample.json", 1),
        *_missing(read, told, "README.md", _line(root, "README.md", "COUNTERSIGN_DATA")),
        *_unread(root, "infra/main.bicep", deployed, read),
        *_unread(root, "local.settings.sample.json", sample.keys(), read),
        *_exempted(read, deployed),
        *_told_by_others(root),
    ]


def _read_by_code(root: Path) -> Iterator[str]:
    """The names that stand as texts of their own in the module that reads the environment."""
    tree = ast.parse((root / "shared/settings.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value


def _deployed(root: Path) -> set[str]:
    """The settings of both apps: those they share, and those each adds."""
    main = BicepFile(root, "infra/main.bicep")
    names = set(main.variable("settings"))
    for module in main.modules():
        given = module.params.get("settings")
        names |= set(given) if isinstance(given, dict) else set()
    return names


def _missing(wanted: set[str], known: Iterable[str], file: str, line: int) -> Iterator[str]:
    for name in sorted(wanted - set(known)):
        yield f"{file}:{line}: {name} is missing, and shared/settings.py reads it"


def _unread(root: Path, file: str, known: Iterable[str], read: set[str]) -> Iterator[str]:
    for name in sorted(set(known) - read - OF_THE_PLATFORM.keys()):
        yield f"{file}:{_line(root, file, rf'\b{name}\b')}: {name} is nothing that shared/settings.py reads"


def _exempted(read: set[str], deployed: set[str]) -> Iterator[str]:
    """An exemption that excuses nothing any more goes."""
    here = "infra/checks/settings.py:1"
    for name in sorted((NOT_DEPLOYED.keys() | NOT_LOCAL.keys()) - read):
        yield f"{here}: {name} is excused, and shared/settings.py does not read it"
    for name in sorted(NOT_DEPLOYED.keys() & deployed):
        yield f"{here}: {name} is excused from infra/main.bicep, and stands there: {NOT_DEPLOYED[name]}"


def _told_by_others(root: Path) -> Iterator[str]:
    """A bank's addresses hold account numbers, and a document's hold ids that others have chosen."""
    file, name = "infra/main.bicep", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    off = str(BicepFile(root, file).variable("settings").get(name, "")).split(",")
    for missing in sorted(TELL_ADDRESSES - set(off)):
        yield f"{file}:{_line(root, file, 'var settings')}: {name} leaves {missing} on, whose spans hold addresses"


def _line(root: Path, file: str, pattern: str) -> int:
    return line_of(root / file, pattern)
