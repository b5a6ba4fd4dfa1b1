"""docs/operations.md: what is pasted works; each alert has its runbook, each number its reason, each query its line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.checks import alerts
from shared.audit import verification
from tests.bench import facts
from tests.journeys.hostile import command
from tests.journeys.hosts import ROOT, LocalHost, dev, rows, wait_for
from tests.journeys.test_documented_answers import put

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PRODUCERS = [{"name": "pipeline", "command_types": ["ClassifyTransaction"], "tenants": ["household"]}]


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the pasted blocks say on a host with something of everything: parked commands, a card, a checkpoint."""
    folder = tmp_path_factory.mktemp("operations")
    with LocalHost(folder / "data", OUTSIDE_PRODUCERS=json.dumps(PRODUCERS), MODEL="") as host:
        prepared(host)
        script = "".join(re.findall(r"<!-- pasted -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
        script = script.replace("http://127.0.0.1:7071", f"http://{host.address}")
        script = script.replace("/tmp/", f"{folder}/")  # noqa: S108
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail"], input=script, cwd=ROOT, capture_output=True, text=True, timeout=90,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def prepared(host: LocalHost) -> None:
    assert host.upload(rows("t-1", "t-2")).status == 202
    host.settled(2)
    other = {"payload": {"transaction": facts("t-1", amount_minor=-1)}}
    put(host, command(1, tenant="household", command_id="p", **other))
    wait_for(lambda: host.get("/api/v1/parked?state=parked")["items"], "a parked command")
    wish = {"message": "Transfer 250 euros from acc-current to Anna"}
    assert host.call("POST", "/api/v1/agent/conversations/c-1/messages", wish, as_=dev()).status == 202
    wait_for(lambda: host.get("/api/v1/approvals?state=pending")["items"], "a card")
    assert host.call("POST", "/admin/functions/checkpoint_audit_heads", {}).status == 202
    wait_for(lambda: host.get("/api/v1/audit/checkpoints")["items"], "a checkpoint")


def test_no_pasted_command_gets_a_problem_for_an_answer(transcript: str):
    assert "urn:countersign:problem" not in transcript


@pytest.mark.parametrize(
    "told",
    ['"reason":"facts_differ"', '"state":"replayed"', '"state":"discarded"', '"ready":true', '"principal":"dev:alice"',
     '"title":"Transfer 250.00 EUR to Anna"', '"ok":true', "records verify"],
)  # fmt: skip
def test_the_pasted_commands_show_what_they_promise(transcript: str, told: str):
    assert told in transcript


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    wanted = {one["name"] for one in json.loads((ROOT / alerts.ALERTS).read_text(encoding="utf-8"))}
    assert set(re.findall(r"^### Alert: (.+)$", PAGE, re.MULTILINE)) == wanted | alerts.ON_METRICS.keys()


def numbers(told: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def test_every_value_of_host_json_is_explained_and_none_is_another():
    told = dict(numbers(json.loads((ROOT / "host.json").read_text(encoding="utf-8"))))
    section = PAGE.partition("## What host.json says")[2].partition("\n## ")[0]
    explained = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \| .{20,} \|$", section, re.MULTILINE))
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
    assert explained == {name: values[name] for name in values if name not in ("version", "extensionBundle.id")}


def test_the_settings_of_telemetry_are_those_that_are_deployed():
    deployed = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    for name, value in re.findall(r"^\| `(\w+)=([^`]+)` \|", PAGE, re.MULTILINE):
        if name != "PYTHON_ENABLE_OPENTELEMETRY":
            assert f"{name}: '{value}'" in deployed


def queries() -> list[str]:
    return re.findall(r"```kusto\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.splitlines()[-1][:40])
def test_no_query_looks_for_what_nobody_logs(query: str):
    lines = alerts.log_lines(ROOT)
    tables = set(re.findall(r"\bApp[A-Z]\w+", query))
    assert tables
    assert tables <= alerts.TABLES
    spans = ("store", "chat")  # names of spans: shared/adapters/opentelemetry/ports.py
    for said in re.findall(r'(?:has|startswith) "(\w+) "', query):
        assert said in spans or any(line.format.startswith(f"{said} ") for line in lines), said
    names = [f"{span} x" for span in ("store", "bus", "publisher", "checkpoints", "bank")]
    for pattern in re.findall(r'matches regex @"([^"]+)"', query):
        assert any(re.search(pattern, said) for said in [*names, *(line.sample for line in lines)]), pattern


def test_each_thing_a_verification_can_say_is_explained():
    source = Path(str(verification.__file__)).read_text(encoding="utf-8")
    for problem in ("truncated_after_checkpoint", "records_missing_before_head", "head_differs", "checkpoint_differs"):
        assert f'"{problem}"' in source
        assert f"`{problem}`" in PAGE


def test_what_the_templates_refer_to_is_there():
    referring = [path for path in (ROOT / "infra").rglob("*.bicep") if "operations.md" in path.read_text("utf-8")]
    sections = {
        name for path in referring for name in re.findall(r'docs/operations\.md, "([^"$]+)"', path.read_text("utf-8"))
    }
    headings = set(re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE))
    assert sections - headings == set()
    assert "Lock the checkpoints" in sections  # those of alerts have a test of their own
