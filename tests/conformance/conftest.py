"""Fixtures of the document store, telemetry sink and checkpoint log suites; the adapters are listed in adapters.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.ports.document_store import DocumentStore
from tests.conformance.adapters import (
    CHECKPOINT_LOGS,
    DOCUMENT_STORES,
    TELEMETRY_SINKS,
    Clock,
    OpenLog,
    OpenSink,
    Stores,
)
from tests.conformance.cosmos_live import divergence
from tests.doubles.hurried_sdk import hurried


def listed(adapters: Iterable[str]) -> list[Any]:
    """As parameters; one that needs an emulator or a live service is marked so."""
    return [pytest.param(name, marks=[pytest.mark.live] if name.endswith("-live") else []) for name in adapters]


@pytest.fixture(scope="session", autouse=True)
def hurried_sdks() -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture(params=listed(DOCUMENT_STORES))
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "cosmos-live" and (why := divergence(request.node.originalname)):
        request.applymarker(pytest.mark.xfail(reason=why))
    opened = Stores(DOCUMENT_STORES[request.param], tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def store(stores: Stores) -> DocumentStore:
    return stores.open()


@pytest.fixture
def clock(stores: Stores) -> Clock:
    return stores.clock


@pytest.fixture(params=listed(TELEMETRY_SINKS))
async def open_sink(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenSink]:
    async with TELEMETRY_SINKS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture(params=listed(CHECKPOINT_LOGS))
async def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLog]:
    async with CHECKPOINT_LOGS[request.param](tmp_path) as opened:
        yield opened
