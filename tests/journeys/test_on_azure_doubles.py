"""The journeys once more, over Azure's adapters and doubles of its services, without a change to any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.serving import services
from tests.journeys.hosts import ROOT, wait_for

JOURNEYS = ("test_conversation.py", "test_transfers.py")
JOB = """
from pathlib import Path
from local import child_host, main_job

start = child_host.ChildHost.start
def started(host):
    start(host)
    told = Path({told!r}).with_suffix(".new")
    told.write_text(host.url.removeprefix("http://"), encoding="utf-8")
    told.rename({told!r})

child_host.ChildHost.start = started
child_host.AZURE = ()
main_job.main(["--folder", {demo!r}, "--limit", "180"])
"""
"""The job as it is, but that its host is told of Azure and events find the way back to it."""


@pytest.mark.parametrize("journey", JOURNEYS)
def test_a_journey_goes_as_on_one_machine(journey: str):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/journeys/{journey}"],
        cwd=ROOT, env={**os.environ, "JOURNEYS_ON": "azure"}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_main_job_goes_as_on_one_machine(tmp_path: Path):
    served, told, demo = services().of(tmp_path / "data"), tmp_path / "address", tmp_path / "demo"
    settings = {name: value for name, value in served.azure.settings.items() if name != "SERVICEBUS_CONNECTION"}
    job = subprocess.Popen(
        [sys.executable, "-c", JOB.format(told=str(told), demo=str(demo))],
        cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with job:
        wait_for(told.exists, "a host")
        served.address = told.read_text(encoding="utf-8")
        said, _ = job.communicate(timeout=200)
    assert "Everything that was expected has happened" in said, said[-2000:]
    assert not (demo / "store.db").exists()
    assert served.azure.container.blobs
    assert {event["type"] for event in served.azure.hub.events} == {"trace", "score"}
