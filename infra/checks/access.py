"""Who may do what on Azure: the roles that the adapters need and no other, no keys anywhere, no door left open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra.checks.bicep import BicepFile, Module, bicep_files, chosen, line_of

ROLES: Final = {
    "00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor",
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Azure Service Bus Data Sender",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Azure Service Bus Data Receiver",
    "090c5cfd-751d-490a-894a-3ce6f1109419": "Azure Service Bus Data Owner",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
    "2b629674-e913-4c01-ae53-ef4638d8f975": "Azure Event Hubs Data Sender",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd": "Cognitive Services OpenAI User",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}
"""Built-in roles by id; the same in every directory."""
WRITER: Final = "checkpointWriter"
NEEDED: Final = {
    "infra/data.bicep cosmos": {"Cosmos DB Built-in Data Contributor": "documents are read and written"},
    "infra/data.bicep hostStorage": {"Storage Blob Data Owner": "the host's locks, its keys and the deployed packages"},
    "infra/data.bicep checkpoints": {WRITER: "checkpoints are added and read, never overwritten"},
    "infra/messaging.bicep serviceBus": {
        "Azure Service Bus Data Sender": "the relay sends",
        "Azure Service Bus Data Receiver": "the triggers receive and settle",
    },
    "infra/messaging.bicep eventHubs": {"Azure Event Hubs Data Sender": "telemetry is sent"},
    "infra/messaging.bicep topic": {"EventGrid Data Sender": "decisions are published"},
    "infra/monitoring.bicep insights": {"Monitoring Metrics Publisher": "host and worker export"},
    "infra/openai.bicep account": {"Cognitive Services OpenAI User": "the model is asked"},
    "infra/secrets.bicep vault": {"Key Vault Secrets User": "settings refer to secrets"},
    "infra/dead-letter-access.bicep access": {
        "Storage Blob Data Contributor": "Event Grid keeps what it cannot deliver"
    },
}
ADDS_ONLY: Final = {
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
}

BY_IDENTITY: Final[Mapping[str, Mapping[str, Any]]] = {
    "service-bus/namespace": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
    "event-hub/namespace": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
    "event-grid/topic": {"disableLocalAuth": True, "minimumTlsVersionAllowed": "1.2"},
    "document-db/database-account": {"disableLocalAuthentication": True, "disableKeyBasedMetadataWriteAccess": True},
    "storage/storage-account": {
        "allowSharedKeyAccess": False, "allowBlobPublicAccess": False, "minimumTlsVersion": "TLS1_2",
    },
    "cognitive-services/account": {"disableLocalAuth": True},
    "insights/component": {"disableLocalAuth": True},
    "operational-insights/workspace": {"features": {"disableLocalAuth": True}},
    "key-vault/vault": {"enableRbacAuthorization": True, "enablePurgeProtection": True},
    "web/site": {
        "httpsOnly": True,
        "basicPublishingCredentialsPolicies": [{"name": "ftp", "allow": False}, {"name": "scm", "allow": False}],
    },
}  # fmt: skip
"""By module: what closes every way in but a token of Entra's."""
WITHOUT_KEYS: Final = frozenset({
    "managed-identity/user-assigned-identity", "network/virtual-network", "network/private-dns-zone", "web/serverfarm",
    "insights/action-group", "insights/scheduled-query-rule", "insights/metric-alert", "api-management/service",
})  # fmt: skip
OPEN_WITHIN_A_NETWORK: Final = {
    "infra/app.bicep site": "Event Grid cannot deliver through a private endpoint: it alone is let in",
    "infra/data.bicep hostStorage": "Event Grid writes dead letters as a trusted service: all others are denied",
}
UNWATCHED: Final = frozenset({"insights/component", "operational-insights/workspace"})
"""They are what the others' diagnostics go to."""


def problems(root: Path) -> list[str]:
    """A role too many or too few, a key that opens something, a service that nobody can watch."""
    files = bicep_files(root)
    return [
        *_ids(files),
        *(told for file in files for module in file.modules() for told in _granted(file, module)),
        *_forgotten(files),
        *_writer(next(file for file in files if file.name == "infra/data.bicep")),
        *(told for file in files for module in file.modules() for told in _closed(file, module)),
    ]


def _ids(files: list[BicepFile]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.path.read_text(encoding="utf-8").splitlines(), 1):
            for found in re.findall(r"'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'", line):
                if found not in ROLES:
                    yield file.at(number, f"{found} is no role that infra/checks/access.py knows by name")


def _assigned(module: Module) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, assignment) of a module or resource, whichever depth of its params they stand at."""
    if module.block.source.startswith("Microsoft.Authorization/roleAssignments"):
        properties = module.params["properties"]
        found = [one for one in ROLES if one in str(properties["roleDefinitionId"])]
        return [(ROLES[found[0]] if found else _role(properties["roleDefinitionId"]), properties)]
    assignments = list(_under(module.params, ("roleAssignments", "sqlRoleAssignments")))
    return [(_role(one.get("roleDefinitionIdOrName", one.get("roleDefinitionId"))), one) for one in assignments]


def _role(given: Any) -> str:
    text = given if isinstance(given, str) else given.text
    return ROLES.get(text, text.removesuffix(".id"))


def _under(value: Any, names: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        for name, held in value.items():
            yield from held if name in names else _under(held, names)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _under(one, names)


def _granted(file: BicepFile, module: Module) -> Iterator[str]:
    key = f"{file.name} {module.block.name}"
    given, wanted = _assigned(module), NEEDED.get(key, {})
    if file.name == "infra/dead-letter-access.bicep" and given:
        given = [(_of_variable(file, role), one) for role, one in given]
    names = [role for role, _ in given]
    for role in names:
        if role not in wanted:
            yield file.at(module.block.line, f"{module.block.name} grants {role}, which no adapter needs")
    for role, why in wanted.items():
        if role not in names:
            yield file.at(module.block.line, f"{module.block.name} does not grant {role}: {why}")
    for role, one in given:
        if str(getattr(one["principalId"], "text", "")) != "principalId":
            yield file.at(module.block.line, f"{module.block.name} grants {role} to somebody else than principalId")
        if role.startswith("Cosmos") and not str(getattr(one.get("scope"), "text", "")).endswith(
            "/dbs/${databaseName}"
        ):
            yield file.at(module.block.line, f"{module.block.name} grants {role} on more than the one database")


def _of_variable(file: BicepFile, role: str) -> str:
    """The role in `subscriptionResourceId(..., name)`."""
    named = [name for name in file.of("var") if re.search(rf"\b{name}\b", role)]
    return ROLES.get(str(file.variable(named[0])), role) if named else role


def _forgotten(files: list[BicepFile]) -> Iterator[str]:
    made = {f"{file.name} {one.name}" for file in files for one in file.declared}
    for key in NEEDED.keys() - made:
        yield f"{key.split()[0]}:1: {key.split()[1]} is gone, and with it {', '.join(NEEDED[key])}"


def _writer(file: BicepFile) -> Iterator[str]:
    """The custom role for checkpoints adds and reads; it neither overwrites nor deletes."""
    for module in file.modules():
        if module.block.name == WRITER:
            (rights,) = module.params["properties"]["permissions"]
            for right in set(rights["dataActions"]) ^ ADDS_ONLY:
                has = "allows" if right in rights["dataActions"] else "does not allow"
                yield file.at(line_of(file.path, "dataActions"), f"{WRITER} {has} {right}")


def _closed(file: BicepFile, module: Module) -> Iterator[str]:
    found = re.match(r"br/public:avm/res/([a-z0-9/-]+):", module.block.source)
    if not found:
        return
    kind, line = found[1], module.block.line
    if kind not in BY_IDENTITY and kind not in WITHOUT_KEYS:
        yield file.at(line, f"infra/checks/access.py does not know what closes {kind}")
    for name, wanted in BY_IDENTITY.get(kind, {}).items():
        given = module.params.get(name)
        if given != wanted:
            where = module.lines.get(name, line)
            yield file.at(
                where, f"{module.block.name}: {name} is {given}, and {wanted} keeps keys and old protocols out"
            )
    if "publicNetworkAccess" in module.params and f"{file.name} {module.block.name}" not in OPEN_WITHIN_A_NETWORK:
        inside = chosen(module.params["publicNetworkAccess"], "private", holds=True)
        if inside != "Disabled":
            yield file.at(module.lines["publicNetworkAccess"], f"{module.block.name} stays public within a network")
    if kind in BY_IDENTITY and kind not in UNWATCHED and not list(_under(module.params, ("diagnosticSettings",))):
        yield file.at(line, f"{module.block.name} has no diagnosticSettings")
