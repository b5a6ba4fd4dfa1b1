"""`host.json`, as far as the local host honours it. A wrong value is refused in one line, never replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import ConfigurationError

_TIMESPAN = re.compile(r"(-?)(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,7})?)")


class ServiceBusOptions(NamedTuple):
    """Durations in seconds; the defaults are the extension's own (5.x)."""

    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    max_auto_lock_renewal_seconds: float = 300.0


class HostJson(NamedTuple):
    """What is honoured here; the rest of the file is for the platform."""

    route_prefix: str = "api"
    function_timeout_seconds: float = 1800.0
    service_bus: ServiceBusOptions = ServiceBusOptions()


def read(path: Path) -> HostJson:
    """Parse and check the file; `ConfigurationError` names the member that is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("version") != "2.0":
        raise ConfigurationError(f'{path}: "version" must be "2.0"')
    extensions = _object(path, content, "extensions")
    http = _object(path, extensions, "http")
    prefix = http.get("routePrefix", "api")
    if not isinstance(prefix, str):
        raise ConfigurationError(f"{path}: extensions.http.routePrefix must be text")
    return HostJson(
        route_prefix=prefix,
        function_timeout_seconds=_seconds(path, content, "functionTimeout", 1800.0),
        service_bus=_service_bus(path, _object(path, extensions, "serviceBus")),
    )


def _service_bus(path: Path, options: Mapping[str, Any]) -> ServiceBusOptions:
    if _count(path, options, "maxConcurrentCallsPerSession", 1) != 1:
        raise ConfigurationError(f"{path}: maxConcurrentCallsPerSession must be 1, to keep a session's order")
    if options.get("autoCompleteMessages", True) is not True:
        raise ConfigurationError(f"{path}: autoCompleteMessages must be true in Python")
    _seconds(path, options, "sessionIdleTimeout", 60.0)  # checked only: here an idle session holds no slot
    return ServiceBusOptions(
        max_concurrent_calls=_count(path, options, "maxConcurrentCalls", 16),
        max_concurrent_sessions=_count(path, options, "maxConcurrentSessions", 8),
        max_auto_lock_renewal_seconds=_seconds(path, options, "maxAutoLockRenewalDuration", 300.0),
    )


def _object(path: Path, parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: {name} must be an object")
    return value


def _count(path: Path, options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if type(value) is not int or not 1 <= value <= 1000:
        raise ConfigurationError(f"{path}: {name} must be a number from 1 to 1000")
    return value


def _seconds(path: Path, options: Mapping[str, Any], name: str, default: float) -> float:
    """A .NET TimeSpan, `[-][d.]hh:mm:ss[.fffffff]`; negative (or "-1") means without end."""
    if name not in options:
        return default
    value = options[name]
    if value == "-1":
        return float("inf")
    match = _TIMESPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConfigurationError(f'{path}: {name} must be a time span such as "00:05:00"')
    sign, days, hours, minutes, seconds = match.groups()
    if sign:
        return float("inf")
    return int(days or 0) * 86_400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
