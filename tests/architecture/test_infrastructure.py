"""Infrastructure is held to the code, and every check of it can fail: each is shown a project with one thing wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from infra import check, generate
from shared.contracts import lanes

ROOT = Path(__file__).parents[2]
FOLDERS = ("infra", "emulators", ".github", "shared", "functions", "policies", "docs")
FILES = (
    "azure.yaml", "host.json", "local.settings.sample.json", "README.md", "Makefile", ".funcignore", ".python-version",
    "function_app.py", "stream_app.py", "requirements.txt", "constraints.txt", "tests/functions/bindings.json",
)  # fmt: skip


class Wrong(NamedTuple):
    """One change to one file, and what must be said of it."""

    check: str
    file: str
    old: str
    new: str
    said: str


WRONG = (
    # references
    Wrong("references", "infra/app.bicep", "reserved: true", "reserved: [true", r"infra/app.bicep:\d+: "),
    Wrong("references", "infra/data.bicep", "defaultTtl: container.", "defaultTtl: kontainer.",
          "kontainer is not declared"),
    Wrong("references", "infra/data.bicep", "name: guid(", "name: giud(", r"giud\(\) is no function"),
    Wrong("references", "infra/main.bicep", "    workspaceId: monitoring", "    workspace: monitoring",
          "no param workspace"),
    Wrong("references", "infra/main.bicep", "capacity: modelCapacity", "capacity: '50'",
          "is string, and int is wanted"),
    Wrong("references", "infra/main.bicep", "app[0].outputs.hostName", "app[0].outputs.host",
          "app.bicep has no output host"),
    Wrong("references", "infra/main.bicep", "'gateway.bicep'", "'getaway.bicep'", "getaway.bicep does not exist"),
    Wrong("references", "infra/main.bicep", "      appSubnetId:", "      // appSubnetId:",
          "app.bicep needs appSubnetId"),
    Wrong("references", "infra/network.bicep", "var zoneNames", "var unused = 1\nvar zoneNames",
          "var unused is not used"),
    Wrong("references", "infra/data.bicep", "account:0.33.0' = {", "account:0.32.0' = {", "is 0.32.0 elsewhere"),
    Wrong("references", "infra/app.bicep", "web/site:0.24.0", "web/site", "pins no version"),
    Wrong("references", "infra/gateway.bicep", "gateway-policy.xml", "policy.xml", "policy.xml does not exist"),
    Wrong("references", "infra/main.bicepparam", "param authMode", "param authMood",
          "main.bicep has no param authMood"),
    Wrong("references", "infra/main.bicepparam", "int(readEnv", "bool(readEnv", "cosmosMaxThroughput is int"),
    Wrong("references", "infra/main.bicepparam", "'MODEL', ''", "'MODEL'", "model has a default"),
    # generated, lanes
    Wrong("generated", "infra/lanes.json", '"PT1M"', '"PT2M"', r"infra/lanes.json:5: .*make infra"),
    Wrong("generated", "infra/cosmos-container.json", "/due_at/?", "/due/?", r"cosmos-container.json:\d+: "),
    Wrong("lanes", "infra/lanes.json", '"PT1M"', '"PT2M"', r"lock_seconds is 120; .* says 60"),
    Wrong("lanes", "infra/lanes.json", "runtime-action-requested", "runtime-actions", "runtime-actions is no lane"),
    Wrong("lanes", "infra/lanes.json", '"requiresSession": true', '"requiresSession": false', "sessions is False"),
    Wrong("lanes", "infra/messaging.bicep", "queues: lanes", "queues: []", "lane runtime-.* is missing"),
    Wrong("lanes",
          "emulators/Config.json", '"MaxDeliveryCount": 10', '"MaxDeliveryCount": 3', "max_delivery_count is 3"),
    Wrong(
        "lanes", "emulators/Config.json", '"RequiresDuplicateDetection": true', '"RequiresDuplicateDetection": false',
        "duplicate_window_seconds is 0",
    ),
    Wrong(
        "lanes", "tests/functions/bindings.json", '"isSessionsEnabled": true', '"isSessionsEnabled": false',
        "action_requested: isSessionsEnabled is False",
    ),
    Wrong(
        "lanes", "tests/functions/bindings.json", "runtime-action-requested/$deadletterqueue",
        "runtime-action-requested", "runtime-action-requested has 2 functions",
    ),
    Wrong(
        "lanes", "tests/functions/bindings.json", '"connection": "SERVICEBUS_CONNECTION"', '"connection": "BUS"',
        "reads the connection BUS",
    ),
    # settings
    Wrong("settings", "infra/main.bicep", "  TENANT_CLAIM: tenantClaim", "", "main.bicep:.*: TENANT_CLAIM is missing"),
    Wrong("settings", "infra/main.bicep", "  COSMOS_DATABASE:", "  COSMOS_DB:", "COSMOS_DB is nothing that"),
    Wrong("settings", "infra/main.bicep", "  MODEL: model", "  MODEL: model\n  COSMOS_KEY: 'k'",
          "COSMOS_KEY is excused"),
    Wrong("settings", "local.settings.sample.json", '"BANK_URL": "",', "", "local.settings.sample.json:1: BANK_URL"),
    Wrong("settings", "README.md", "| `AZURE_CLIENT_ID` |", "| |", "README.md:.*: AZURE_CLIENT_ID is missing"),
    Wrong("settings", "infra/main.bicep", "httpx,httpx2,", "httpx,", "leaves httpx2 on, whose spans hold addresses"),
    Wrong("settings", "shared/settings.py", '"CODE_VERSION"', '"CODE_RELEASE"', "CODE_RELEASE is missing"),
    # access
    Wrong(
        "access", "infra/messaging.bicep", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
        "090c5cfd-751d-490a-894a-3ce6f1109419",
        "serviceBus grants Azure Service Bus Data Owner, which no adapter needs",
    ),
    Wrong(
        "access", "infra/messaging.bicep", "roleDefinitionIdOrName: busReceiver", "roleDefinitionIdOrName: busSender",
        "serviceBus does not grant Azure Service Bus Data Receiver: the triggers",
    ),
    Wrong("access", "infra/messaging.bicep", "d5a91429", "d5a91428", "is no role that"),
    Wrong("access", "infra/data.bicep", "/dbs/${databaseName}'", "'", "on more than the one database"),
    Wrong("access", "infra/data.bicep", "blobs/add/action", "blobs/delete", "checkpointWriter allows .*blobs/delete"),
    Wrong("access", "infra/messaging.bicep", "disableLocalAuth: true", "disableLocalAuth: false",
          "disableLocalAuth is False"),
    Wrong("access", "infra/data.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true",
          "SharedKeyAccess is True"),
    Wrong("access", "infra/openai.bicep", "    disableLocalAuth: true\n", "", "account: disableLocalAuth is None"),
    Wrong("access", "infra/secrets.bicep", "private ? 'Disabled' : 'Enabled'", "'Enabled'",
          "stays public within a network"),
    Wrong("access", "infra/openai.bicep", "diagnosticSettings:", "tagged:", "account has no diagnosticSettings"),
    Wrong("access", "infra/dead-letter-access.bicep", "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
          "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "access grants Storage Blob Data Owner"),
    # store
    Wrong("store", "infra/data.bicep", "'Strong'", "'Session'", "data.bicep:.* Strong"),
    Wrong("store", "infra/data.bicep", "container.defaultTtl", "3600", "the container's defaultTtl is not taken"),
    Wrong("store", "infra/data.bicep", "immutabilityPolicy:", "policy:", "have no immutability policy"),
    Wrong("store", "host.json", '"maxConcurrentCallsPerSession": 1', '"maxConcurrentCallsPerSession": 2', "overtake"),
    Wrong("store", "host.json", '"functionTimeout": "00:', '"functionTimeout": "01:', "ends before functionTimeout"),
    Wrong("store", "infra/app.bicep", "version: '3.13'", "version: '3.12'", "and .python-version says 3.13"),
    # alerts
    Wrong("alerts", "infra/alerts.json", "signal approval_escalated", "signal approval_forgotten", "nobody says"),
    Wrong("alerts", "infra/alerts.json", '"audit_break",', '"audit_brake",', "'audit_brake' is no log line"),
    Wrong("alerts", "infra/alerts.json", "record_altered|", "record_lost|", "no grave signal has the code record_lost"),
    Wrong("alerts", "infra/alerts.json", '"window": "PT15M"', '"window": "PT5M"', "looks back less far"),
    Wrong("alerts", "infra/alerts.json", "Name == 'start_nightly_sweep'", "Name == 'sweep'",
          "there is no function sweep"),
    Wrong("alerts", "infra/alerts.json", '"name": "parked"', '"name": "put-aside"', "there is no alert parked"),
    Wrong("alerts", "infra/alerts.bicep", "'DeadletteredMessages'", "'ActiveMessages'",
          "no alert dead-letters watches Deadlettered"),
    Wrong("alerts", "infra/workbook.json", "Message has 'signal'", "Message has 'sygnal'", "nobody says 'sygnal'"),
    Wrong("alerts",
          "shared/delivery/parking.py", 'log.error("parked %s %s', 'log.info("parked %s %s', "is logged as info"),
    Wrong("alerts",
          "shared/delivery/parking.py", '"parked an unreadable', '"set aside an unreadable', "is no log line"),
    # deployment
    Wrong("deployment", "azure.yaml", "  stream:", "  live:", "service live is not in infra/main.bicep"),
    Wrong("deployment", "azure.yaml", "remoteBuild: true", "remoteBuild: false", "remoteBuild is False"),
    Wrong("deployment", "infra/main.bicep", "'stream_app.py'", "'app.py'", "stream runs app.py, which does not exist"),
    Wrong("deployment", "infra/main.bicep", "PYTHON_SCRIPT_FILE_NAME: one", "OTHER: one", "both apps would run"),
    Wrong("deployment", "infra/app.bicep", "tags: tags", "tags: union(tags, { 'azd-service-name': service })",
          "the site, and nothing else, carries"),
    Wrong("deployment", ".funcignore", ".azure\n", "", r"\.azure/config.json would be deployed"),
    Wrong("deployment", ".funcignore", "infra\n", "", "infra/.* would be deployed"),
    Wrong("deployment", ".funcignore", "Makefile\n", "Makefile\npolicies\n", "policies/.* is left out"),
    Wrong("deployment", "infra/hooks/postdeploy.sh", "$HOST_STORAGE_ID", "$STORAGE", "STORAGE is no output"),
    Wrong("deployment", "infra/hooks/postdeploy.ps1", "topicName=", "topic=", "topicName is declared, and not given"),
    Wrong("deployment", "infra/event-subscription.bicep", "functions/transaction_", "functions/",
          "there is no function"),
    Wrong("deployment", "infra/event-subscription.bicep", "Changed.v1", "Changed.v2", "the function takes"),
    # workflows
    Wrong("workflows", ".github/workflows/test.yml", "3d3c42e5aac5ba805825da76410c181273ba90b1 # ", "",
          "is not pinned"),
    Wrong("workflows", ".github/workflows/test.yml", "make test", "make tests", "there is no target tests"),
    Wrong("workflows", ".github/workflows/test.yml", "timeout-minutes: 60", "", "has no timeout-minutes"),
    Wrong("workflows", ".github/workflows/test.yml", "contents: read", "contents: write", "may write contents"),
    Wrong("workflows", ".github/workflows/infra.yml", "--file infra/main.bicep ", "--file infra/mein.bicep ",
          "does not exist"),
    Wrong("workflows", ".github/workflows/infra.yml", "jobs:", "jobs: [", "is no YAML"),
    Wrong("workflows", ".github/workflows/deploy.yml", "      BANK_URL:", "      BANK:", "does not tell BANK_URL"),
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, root / file)
    return root


@pytest.mark.parametrize("name", check.CHECKS)
def test_infrastructure_agrees_with_the_code(name: str):
    assert check.CHECKS[name](ROOT) == []


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: f"{one.check}: {one.said[:40]}")
def test_what_is_wrong_is_named_with_file_and_line(wrong: Wrong, copy: Path):
    path = copy / wrong.file
    right = path.read_text(encoding="utf-8")
    assert wrong.old in right
    path.write_text(right.replace(wrong.old, wrong.new, 1), encoding="utf-8")
    try:
        found = check.CHECKS[wrong.check](copy)
    finally:
        path.write_text(right, encoding="utf-8")
    assert any(re.search(wrong.said, told) for told in found), found
    assert all(re.match(r"[\w./-]+:\d+: ", told) for told in found), found


def test_a_lane_that_changes_in_the_code_is_missed_everywhere_else(monkeypatch: pytest.MonkeyPatch):
    changed = {name: lane._replace(lock_seconds=30) for name, lane in lanes.LANES.items()}
    monkeypatch.setattr(lanes, "LANES", changed)
    found = check.CHECKS["lanes"](ROOT)
    assert {told.split(":")[0] for told in found} >= {"infra/lanes.json", "emulators/Config.json"}


def test_what_is_generated_is_what_is_committed():
    for name, document in generate.files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == generate.text_of(document), f"make infra writes {name}"


@pytest.mark.parametrize("broken", [False, True])
def test_the_command_says_what_is_wrong_and_fails(
    broken: bool, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    spoiled: Callable[[Path], list[str]] = lambda _: ["infra/app.bicep:7: is spoiled"] if broken else []  # noqa: E731
    monkeypatch.setattr(check, "CHECKS", {"spoiled": spoiled})
    assert check.main() == (1 if broken else 0)
    assert ("infra/app.bicep:7: is spoiled" in capsys.readouterr().out) is broken
