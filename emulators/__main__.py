"""`python -m emulators up | test | settings | stop`: the official emulators of compose.yaml, and our tests over them.

`up` waits until each answers from outside, because two of the images have no shell for a health check, then makes the
database, the container and the blob container that the settings name. Whatever is missing is one line.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from shared.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 240.0
ASK_SECONDS = 3.0
HEALTH = {"servicebus": "http://127.0.0.1:5300/health", "eventhubs": "http://127.0.0.1:5301/health"}
DATABASE, CONTAINER = "countersign-test", "documents"
JOURNEYS = ("tests/journeys/test_conversation.py", "tests/journeys/test_transfers.py")
_SAS = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"

# The keys are the ones that the emulators' documentation gives to everybody.
SETTINGS = {
    "COSMOS_ENDPOINT": "http://localhost:8081",
    "COSMOS_KEY": "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
    "COSMOS_DATABASE": DATABASE,
    "COSMOS_EMULATOR": "vnext",
    "SERVICEBUS_CONNECTION": f"Endpoint=sb://localhost:5672;{_SAS}",
    "EVENTHUB_CONNECTION": f"Endpoint=sb://localhost:5673;{_SAS}",
    "EVENTHUB_NAME": "telemetry",
    "CHECKPOINTS_URL": "http://127.0.0.1:10000/devstoreaccount1/checkpoints",
    "CHECKPOINTS_KEY": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}


def compose() -> list[str]:
    """How Compose is called here; `ConfigurationError` says what is missing."""
    if shutil.which("docker") is None:
        raise ConfigurationError("the emulators are containers: install Docker (or an engine with its command line)")
    if _quiet("docker", "info") != 0:
        raise ConfigurationError("no Docker engine answers: start it (`docker info` must work), then try again")
    for known in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(known[0]) is not None and _quiet(*known, "version") == 0:
            return [*known, "--file", str(ROOT / "compose.yaml")]
    raise ConfigurationError("Docker is here without Compose: install the plugin docker-compose-plugin")


def _quiet(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def up() -> None:
    """Start what is not running yet; returns when all of it can be used."""
    if os.environ.get("ACCEPT_EULA") != "Y":
        raise ConfigurationError(
            "read the licences that compose.yaml names, then set ACCEPT_EULA=Y in your environment"
        )
    if subprocess.run([*compose(), "up", "--detach"], cwd=ROOT, check=False).returncode != 0:
        raise ConfigurationError("the emulators could not be started: what Compose says above is why")
    end = time.monotonic() + WAIT_SECONDS
    for name, url in HEALTH.items():
        _until(lambda url=url: _healthy(url), name, end)
    _until(make_database, "cosmos", end)
    _until(make_blob_container, "azurite", end)


def _until(done: Callable[[], object], name: str, end: float) -> None:
    """Try again every second; the last thing that went wrong is told."""
    while True:
        try:
            done()
        except Exception as failed:  # what is starting may refuse in any way that its client knows
            if time.monotonic() > end:
                why = f"{type(failed).__name__}: {failed}".splitlines()[0][:200]
                hint = f"docker compose logs {name}"
                raise ConfigurationError(f"{name} was not ready in {WAIT_SECONDS:g} s ({why}): {hint}") from failed
            time.sleep(1)
        else:
            return


def _healthy(url: str) -> None:
    """Raises `OSError` unless it answers 200."""
    with urllib.request.urlopen(url, timeout=ASK_SECONDS) as answer:  # noqa: S310  our own constants
        if answer.status != 200:
            raise urllib.error.URLError(f"{url} answered {answer.status}")


def make_database() -> None:
    """Database and container as on Azure, index and time to live included; those that are there stay."""
    from azure.cosmos import CosmosClient, PartitionKey

    from shared.adapters.azure.cosmos_index import DEFAULT_TIME_TO_LIVE, PARTITION_KEY_PATH, indexing_policy

    endpoint, key = SETTINGS["COSMOS_ENDPOINT"], SETTINGS["COSMOS_KEY"]
    client = CosmosClient(endpoint, key, enable_endpoint_discovery=False, retry_total=0, connection_timeout=ASK_SECONDS)
    database = client.create_database_if_not_exists(DATABASE)
    database.create_container_if_not_exists(
        CONTAINER,
        PartitionKey(path=PARTITION_KEY_PATH),
        indexing_policy=indexing_policy(),
        default_ttl=DEFAULT_TIME_TO_LIVE,
    )


def make_blob_container() -> None:
    """Of the checkpoints; without the immutability policy, which the emulator does not have."""
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import ContainerClient

    key = SETTINGS["CHECKPOINTS_KEY"]
    with ContainerClient.from_container_url(SETTINGS["CHECKPOINTS_URL"], credential=key, retry_total=0) as container:
        try:
            container.create_container(timeout=int(ASK_SECONDS))
        except ResourceExistsError:
            return


def tests(arguments: list[str]) -> int:
    """Pytest's exit code: the live tests, then the journeys with documents, telemetry and checkpoints in emulators."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    live = subprocess.run([*pytest, "-m", "live"], cwd=ROOT, env=os.environ | SETTINGS, check=False)
    journeys = os.environ | SETTINGS | {"JOURNEYS_ON": "emulators"}
    over = subprocess.run([*pytest, *JOURNEYS], cwd=ROOT, env=journeys, check=False)
    return live.returncode or over.returncode


def stop() -> int:
    """Take them down, with what they hold."""
    accepted = os.environ | {"ACCEPT_EULA": os.environ.get("ACCEPT_EULA", "N")}  # Compose reads the file first
    return subprocess.run([*compose(), "down", "--volumes"], cwd=ROOT, env=accepted, check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    command = argparse.ArgumentParser(prog="emulators", description="The official emulators of compose.yaml.")
    command.add_argument("what", choices=("up", "test", "settings", "stop"))
    what, rest = command.parse_known_args(arguments)
    try:
        if what.what == "stop":
            return stop()
        if what.what == "up":
            up()
        if what.what == "test":
            return tests(rest)
    except ConfigurationError as wrong:
        print(f"emulators: {wrong}", file=sys.stderr)
        return 1
    for name, value in SETTINGS.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
