"""Fixtures of the document store, telemetry sink and checkpoint log suites; the adapters are listed in adapters.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

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


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.live] if name == "cosmos-live" else []) for name in DOCUMENT_STORES]
)
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


@pytest.fixture(params=TELEMETRY_SINKS)
async def open_sink(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenSink]:
    async with TELEMETRY_SINKS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture(params=CHECKPOINT_LOGS)
async def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLog]:
    async with CHECKPOINT_LOGS[request.param](tmp_path) as opened:
        yield opened
