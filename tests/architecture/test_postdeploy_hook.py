"""The hook after a deployment, run by a shell, with an `az` that only writes down what it is asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "infra/hooks/postdeploy.sh"
GIVEN = {
    "AZURE_SUBSCRIPTION_ID": "sub", "AZURE_RESOURCE_GROUP": "rg-prod", "EVENTGRID_TOPIC_NAME": "evgt-1",
    "FUNCTION_APP_ID": "/subscriptions/sub/sites/func-1", "HOST_STORAGE_ID": "/subscriptions/sub/storage/st1",
    "DEAD_LETTER_CONTAINER": "event-dead-letters", "SERVICE_FUNCTIONS_URI": "https://func-1.example",
}  # fmt: skip


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """`az` fails as often as the file `failures` says; `sleep` does not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "failures").write_text("0")
    scripts = {
        "az": f'echo "$@" >> {tmp_path}/asked; n=$(cat {tmp_path}/failures); [ "$n" -gt 0 ] || exit 0; '
        f"echo $((n - 1)) > {tmp_path}/failures; exit 1",
        "sleep": f'echo "$1" >> {tmp_path}/slept',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def run(tools: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", **GIVEN, **more}
    return subprocess.run(["sh", str(HOOK)], env=environment, capture_output=True, text=True, check=False, timeout=30)


def lines(tools: Path, name: str) -> list[str]:
    path = tools.parent / name
    return path.read_text().splitlines() if path.exists() else []


def test_the_subscription_is_made_with_what_was_deployed(tools: Path):
    done = run(tools)
    assert (done.returncode, done.stderr) == (0, "")
    (asked,) = lines(tools, "asked")
    for told in ("deployment group create", "--resource-group rg-prod", "topicName=evgt-1", "functionAppId=/subsc"):
        assert told in asked
    (template,) = [word for word in asked.split() if word.endswith("event-subscription.bicep")]
    assert Path(template).exists()
    assert "https://func-1.example/api/ready" in done.stdout


def test_a_function_that_is_not_listed_yet_is_waited_for(tools: Path):
    (tools.parent / "failures").write_text("2")
    assert run(tools).returncode == 0
    assert (len(lines(tools, "asked")), lines(tools, "slept")) == (3, ["30", "60"])


def test_it_fails_when_the_subscription_cannot_be_made_and_imports_nothing(tools: Path):
    (tools.parent / "failures").write_text("9")
    done = run(tools, API_MANAGEMENT_NAME="apim-1")
    assert done.returncode == 1
    assert "the event subscription could not be made" in done.stderr
    assert not [one for one in lines(tools, "asked") if one.startswith("apim")]


def test_the_gateway_gets_the_description_of_the_api(tools: Path):
    assert run(tools, API_MANAGEMENT_NAME="apim-1").returncode == 0
    imported = lines(tools, "asked")[1]
    assert imported.startswith("apim api import")
    (description,) = [word for word in imported.split() if word.endswith("openapi.json")]
    assert Path(description).exists()


def test_outside_azd_it_says_how_it_is_run(tools: Path):
    done = run(tools, AZURE_RESOURCE_GROUP="")
    assert done.returncode != 0
    assert "azd hooks run postdeploy" in done.stderr
    assert lines(tools, "asked") == []
