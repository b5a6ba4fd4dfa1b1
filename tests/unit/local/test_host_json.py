"""host.json: what is honoured, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.host_json import read
from shared.errors import ConfigurationError

ROOT = Path(__file__).parents[3]


def written(folder: Path, content: object) -> Path:
    path = folder / "host.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_an_empty_file_means_the_platforms_defaults(tmp_path: Path):
    options = read(written(tmp_path, {"version": "2.0"}))
    assert options.route_prefix == "api"
    assert options.service_bus.max_concurrent_sessions == 8
    assert options.service_bus.max_auto_lock_renewal_seconds == 300


def test_time_spans_are_dotnets(tmp_path: Path):
    bus = {"maxAutoLockRenewalDuration": "1.02:03:04.5", "sessionIdleTimeout": "00:00:05"}
    options = read(written(tmp_path, {"version": "2.0", "functionTimeout": "-1", "extensions": {"serviceBus": bus}}))
    assert options.function_timeout_seconds == float("inf")
    assert options.service_bus.max_auto_lock_renewal_seconds == 93784.5
    bus = {"maxAutoLockRenewalDuration": "-00:00:00.0010000"}
    options = read(written(tmp_path, {"version": "2.0", "extensions": {"serviceBus": bus}}))
    assert options.service_bus.max_auto_lock_renewal_seconds == float("inf")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is not JSON"),
        ([], "version"),
        ({"version": "1.0"}, "version"),
        ({"version": "2.0", "functionTimeout": "5 minutes"}, "functionTimeout"),
        ({"version": "2.0", "functionTimeout": 300}, "functionTimeout"),
        ({"version": "2.0", "extensions": []}, "extensions"),
        ({"version": "2.0", "extensions": {"http": {"routePrefix": 1}}}, "routePrefix"),
        ({"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}, "maxConcurrentCalls"),
        ({"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentSessions": True}}}, "maxConcurrentSessions"),
        ({"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCallsPerSession": 2}}}, "CallsPerSession"),
        ({"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": False}}}, "autoCompleteMessages"),
        ({"version": "2.0", "extensions": {"serviceBus": {"sessionIdleTimeout": "soon"}}}, "sessionIdleTimeout"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, content: object, named: str):
    with pytest.raises(ConfigurationError, match=named):
        read(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"host\.json cannot be read"):
        read(tmp_path / "host.json")


def test_the_projects_own_lock_outlives_any_function(tmp_path: Path):
    options = read(ROOT / "host.json")
    assert options.service_bus.max_auto_lock_renewal_seconds > options.function_timeout_seconds
