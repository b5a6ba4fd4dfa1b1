"""What real triggers send, decoded by the platform's library and handled by our functions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MESSAGES = sorted((ROOT / "tests" / "messages").glob("*.json"))
PRODUCERS = [
    {"name": "bank-feed", "command_types": ["ClassifyTransaction", "IngestionCompleted"], "tenants": ["household"]}
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory):
    environment = {
        **os.environ,
        "AUTH_MODE": "dev",
        "COUNTERSIGN_DATA": str(tmp_path_factory.mktemp("data")),
        "OUTSIDE_PRODUCERS": json.dumps(PRODUCERS),
        "PYTHONPATH": str(ROOT),
    }
    program = [sys.executable, "tests/functions/messages_app.py"]
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.name)
def test_each_sample_is_decoded_and_handled(report, path: Path):
    assert report["outcomes"][path.name] == "ok"


def test_a_command_of_a_listed_producer_is_decided(report):
    assert report["decided"] == {"bank-2026-03-14-0042": "food.groceries"}
    assert report["learned"] == ["Categorized"], "both event schemas lead to the same reaction, once"
    assert report["runs"] == 2


def test_a_command_in_our_own_name_that_nobody_accepted_is_parked(report):
    assert report["parked"] == ["unauthenticated_command"]
