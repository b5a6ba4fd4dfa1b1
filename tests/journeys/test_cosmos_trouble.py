"""The whole app with its documents in Cosmos DB, while Cosmos DB throttles, fails, hangs up and loses answers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.doubles.cosmos import running
from tests.doubles.cosmos_requests import KEY
from tests.doubles.cosmos_served import Trouble
from tests.journeys.hosts import SHORT_WAITS, LocalHost, rows, wait_for

ROWS = 120
TROUBLES = (
    Trouble(status=429, retry_after_ms=5),
    Trouble(status=449),
    Trouble(status=503),
    Trouble("batch", status=429, in_batch=True, retry_after_ms=5),
    Trouble(drop="before"),
    Trouble(drop="after"),
    Trouble(seconds=0.05),
)


def test_nothing_is_lost_or_done_twice_while_every_fourth_request_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    account, database = running(), f"trouble-{tmp_path.name}"
    served = account.container(database)
    luck, made = random.Random(1), []

    def trouble(operation: str) -> Trouble:
        one = luck.choice(TROUBLES) if luck.random() < 0.25 else Trouble()
        if one.operation not in ("", operation):
            return Trouble()
        made.append(one)
        return one

    monkeypatch.setattr(served, "next_trouble", trouble)
    settings = {"COSMOS_ENDPOINT": account.endpoint, "COSMOS_KEY": KEY, "COSMOS_DATABASE": database}
    with LocalHost(tmp_path / "data", before=SHORT_WAITS, **settings) as host:
        ids = [f"t-{n:03}" for n in range(ROWS)]
        assert host.upload(rows(*ids), key="first").status == 202
        assert host.upload(rows(*ids), key="first").status == 202  # a caller that was not sure
        wait_for(host.counted, "a first decision", 60)
        host.kill()
        host.start()
        wait_for(lambda: sum(host.counted().values()) == ROWS, "all decisions", 60)
        monkeypatch.undo()
        assert sum(host.settled(ROWS).values()) == ROWS
        host.verified()
        wait_for(lambda: host.on_lanes() == 0, "empty lanes", 60)
    stored = list(served.items.partitions["household"].values())
    records = [item["body"] for item in stored if item["kind"] == "audit"]
    decided = [record["ids"]["transaction"] for record in records if record["what"] == "transaction_decided"]
    assert sorted(decided) == ids
    assert sum(one != Trouble() for one in made) > ROWS / 4
