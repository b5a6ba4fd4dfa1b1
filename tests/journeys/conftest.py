"""What journeys share for the whole run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conformance.cosmos_live import divergence
from tests.journeys.hosts import ON_EMULATORS


@pytest.fixture(scope="session", autouse=True)
def doubles_of_azure() -> Iterator[None]:
    """Stopped at the end, if any journey has asked for them."""
    yield
    for name in ("tests.doubles.serving", "tests.journeys.on_emulators"):
        if (made := sys.modules.get(name)) is not None:
            made.close()


@pytest.fixture(autouse=True)
def known_divergence(request: pytest.FixtureRequest) -> None:
    """What the emulator is known to do otherwise is expected to fail, by name."""
    if ON_EMULATORS and (why := divergence(request.node.originalname)):
        request.applymarker(pytest.mark.xfail(reason=why))
