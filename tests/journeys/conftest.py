"""What journeys share for the whole run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def doubles_of_azure() -> Iterator[None]:
    """Stopped at the end, if any journey has asked for them."""
    yield
    if (serving := sys.modules.get("tests.doubles.serving")) is not None:
        serving.close()
