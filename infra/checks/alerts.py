"""That alerts and workbook look for what the code really says: log lines, reason codes, names of functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from infra.checks.bicep import BicepFile, line_of
from infra.checks.lanes import BINDINGS
from shared.guard.reasons import REASONS

REQUIRED: Final = frozenset({"parked", "approval-waits", "audit-break", "server-errors", "sweep-missing"})
ON_METRICS: Final = {"dead-letters": "DeadletteredMessages", "event-dead-letters": "DeadLetteredCount"}
EVERY: Final = ("PT5M", "PT10M", "PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D")
WINDOWS: Final = (*EVERY, "P2D")
TABLES: Final = frozenset({"AppRequests", "AppTraces", "AppDependencies", "AppMetrics", "AzureMetrics"})
GRAVE: Final = ("Error", "Critical")  # the signals that shared/delivery/inbox.py logs
LOGGED: Final = re.compile(r"\blog\.(info|warning|error|exception|critical)\(\s*\"((?:[^\"\\]|\\.)*)\"")
ERROR_LEVELS: Final = ("error", "exception", "critical")
ALERTS: Final = "infra/alerts.json"
WORKBOOK: Final = "infra/workbook.json"
SECTION: Final = "docs/operations.md"


class Line(NamedTuple):
    """A log line of the code: its level, its format, and as it could look."""

    level: str
    format: str
    sample: str


def problems(root: Path) -> list[str]:
    """Alerts that could never fire, queries that look for what nobody says."""
    alerts = json.loads((root / ALERTS).read_text(encoding="utf-8"))
    lines = log_lines(root)
    found = [*_complete(root, alerts)]
    for one in alerts:
        where = f"{ALERTS}:{line_of(root / ALERTS, f'"name": "{one["name"]}"')}: {one['name']}"
        found += [
            f"{where}: {told}" for told in (*_timed(one), *_said(root, one, lines), *_asked(root, one["query"], lines))
        ]
    for query in _queries(json.loads((root / WORKBOOK).read_text(encoding="utf-8"))):
        line = line_of(root / WORKBOOK, re.escape(json.dumps(query)))
        found += [f"{WORKBOOK}:{line}: {told}" for told in _asked(root, query, lines)]
    return [*found, *_dead_letters(root)]


def log_lines(root: Path) -> tuple[Line, ...]:
    """Every format that a log call of the app has."""
    sources = [
        path.read_text(encoding="utf-8") for room in ("shared", "functions") for path in (root / room).rglob("*.py")
    ]
    found = [(level, told) for source in sources for level, told in LOGGED.findall(source)]
    return tuple(Line(level, told, _sample(told)) for level, told in found)


def _sample(told: str) -> str:
    words = iter(("ClassifyTransaction", "0f8b-1c2d", "third", "fourth", "fifth"))
    told = re.sub(r"%[0-9.]*[fdg]", "1.5", told)
    return re.sub(r"%[a-z]", lambda _: next(words), told)


def _complete(root: Path, alerts: list[dict[str, Any]]) -> Iterator[str]:
    names = [one["name"] for one in alerts]
    for name in sorted(REQUIRED - set(names)):
        yield f"{ALERTS}:1: there is no alert {name}"
    for name in {one for one in names if names.count(one) > 1}:
        yield f"{ALERTS}:1: alert {name} is there twice"
    if (root / SECTION).exists():
        told = (root / SECTION).read_text(encoding="utf-8")
        for name in (*names, *ON_METRICS):
            if not re.search(rf"^#+ .*Alert: `?{name}`?", told, re.MULTILINE):
                yield f"{SECTION}:1: has no section `Alert: {name}`, which the alert sends people to"


def _timed(alert: dict[str, Any]) -> Iterator[str]:
    if alert["every"] not in EVERY:
        yield f"every {alert['every']} is none of {', '.join(EVERY)}"
    if alert["window"] not in WINDOWS:
        yield f"window {alert['window']} is none of {', '.join(WINDOWS)}"
    if alert["every"] in EVERY and alert["window"] in WINDOWS[: EVERY.index(alert["every"])]:
        yield "looks back less far than it waits: what happens in between is never seen"


def _said(root: Path, alert: dict[str, Any], lines: tuple[Line, ...]) -> Iterator[str]:
    """`says` lists what the alert lives by: each must be in the code, and be what the query finds."""
    grave = "SeverityLevel >= 3" in alert["query"]
    functions, raised = _functions(root), _raised(root)
    codes = [told for told in alert["says"] if told in raised]
    for told in alert["says"]:
        logged = [one for one in lines if one.format.startswith(told)]
        if told in REASONS or told in raised:
            if told not in raised:
                yield f"{told} is {REASONS[told].severity}, and only signals that are {' or '.join(GRAVE)} are logged"
            if not _finds(alert["query"], f"signal {told}"):
                yield f"the query does not find 'signal {told}'"
        elif logged:
            if grave and not any(one.level in ERROR_LEVELS for one in logged):
                yield f"{told!r} is logged as {logged[0].level}, and the query wants errors"
            samples = [_sample(one.format.removesuffix("%s") + code) for one in logged for code in ("third", *codes)]
            if "signal %s" not in told and not any(_finds(alert["query"], one) for one in samples):
                yield f"the query does not find {logged[0].sample!r}"
        elif told not in functions and not _written(root, told):
            yield f"{told!r} is no log line, reason code, function or message of the code"


def _raised(root: Path) -> set[str]:
    """The codes of signals grave enough to be logged: by their reason, as findings, or where they are raised."""
    from shared.flows.request_action import LEFT_ALONE

    sweep = (root / "shared/flows/sweep_tenant.py").read_text(encoding="utf-8")
    findings = re.findall(rf'Finding\("(\w+)",.*"(?:{"|".join(GRAVE)})"', sweep)
    return {code for code, reason in REASONS.items() if reason.severity in GRAVE} | LEFT_ALONE | set(findings)


def _functions(root: Path) -> frozenset[str]:
    return frozenset(json.loads((root / BINDINGS).read_text(encoding="utf-8")))


def _written(root: Path, told: str) -> bool:
    return any(told in path.read_text(encoding="utf-8") for path in (root / "shared").rglob("*.py"))


def _conditions(query: str) -> list[re.Pattern[str]]:
    """What a query wants of `Message`, as patterns."""
    has = [re.escape(text) for text in re.findall(r"Message has '([^']*)'", query)]
    return [re.compile(one) for one in (*has, *re.findall(r"Message matches regex @'([^']*)'", query))]


def _finds(query: str, message: str) -> bool:
    return all(one.search(message) for one in _conditions(query))


def _asked(root: Path, query: str, lines: tuple[Line, ...]) -> Iterator[str]:
    """A query over tables that there are, for texts that somebody says, of functions that there are."""
    table = query.split(maxsplit=1)[0]
    if table not in TABLES:
        yield f"{table} is none of the tables {', '.join(sorted(TABLES))}"
    raised = _raised(root)
    samples = [one.sample for one in lines] + [f"signal {code}" for code in raised]
    samples.append("ClassifyTransaction 1 waits 1.5 s: bank has failed too often: it is left alone")
    for one in _conditions(query):
        if not any(one.search(sample) for sample in samples):
            yield f"nobody says {one.pattern!r}"
        for code in re.findall(r"[(|]([a-z]+_[a-z_]+)(?=[|)])", one.pattern):
            if code not in raised:
                yield f"no grave signal has the code {code}"
    functions = _functions(root)
    for name in re.findall(r"\bName == '(\w+)'", query):
        if name not in functions:
            yield f"there is no function {name}"


def _queries(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (held for name, held in value.items() if name == "query")
        for held in value.values():
            yield from _queries(held)
    elif isinstance(value, list):
        for one in value:
            yield from _queries(one)


def _dead_letters(root: Path) -> Iterator[str]:
    """What could not even be parked, and what nobody took, shows on the services alone."""
    file = BicepFile(root, "infra/alerts.bicep")
    watched = {one["metric"] for one in file.variable("metricAlerts")}
    for name, metric in ON_METRICS.items():
        if metric not in watched:
            yield f"{file.name}:{line_of(file.path, 'metricAlerts')}: no alert {name} watches {metric}"
