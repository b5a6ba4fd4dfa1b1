"""The circuit breaker of one backend: pure transitions between closed, open and half-open.

closed: calls go through. After `failures` failures in a row within `window_seconds` it opens.
open: calls are refused until `retry_at`. Then the first caller becomes the probe.
half_open: the probe alone goes through. Its success closes the breaker, its failure opens it for twice as long (at
most `LONGEST_GROWTH` times the first pause). A probe that never reports is given up at `probe_until`.

The stored body: {"backend", "state", "failures", "opened_at", "retry_at", "probe_until", "changed_at"}; instants as
text, "" for never; `failures` are the instants of the failures that count. A closed breaker keeps `opened_at` and
`retry_at`: a backend that fails again soon after is given no fresh start.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.contracts.instants import after, parse, text
from shared.ports.document_store import Body

LONGEST_GROWTH = 16


class BreakerRule(NamedTuple):
    """From policy. probe_seconds: longer than the longest call to the backend takes, or two may probe at once."""

    failures: int = 5
    window_seconds: float = 60.0
    open_seconds: float = 15.0
    probe_seconds: float = 60.0


class Admitted(NamedTuple):
    """Go on; nothing to write."""


class Refused(NamedTuple):
    """Not now."""

    retry_after_seconds: float


class Probe(NamedTuple):
    """Go on, alone, if `body` can be written over what was read."""

    body: Body


def admitted(body: Body | None, *, rule: BreakerRule, now: datetime) -> Admitted | Refused | Probe:
    """Whether a call may be made now. body: None for a backend that never failed."""
    if body is None or body["state"] == "closed":
        return Admitted()
    waits_for = parse(body["retry_at" if body["state"] == "open" else "probe_until"])
    if now < waits_for:
        return Refused((waits_for - now).total_seconds())
    probing = {"state": "half_open", "probe_until": after(now, seconds=rule.probe_seconds), "changed_at": text(now)}
    return Probe(body | probing)


def after_success(body: Body | None, *, now: datetime) -> Body | None:
    """What to write after an answer of the backend, whatever it was; None for nothing.

    An open breaker stays open: the answer belongs to a call from before it opened.
    """
    if body is None or body["state"] == "open" or (body["state"] == "closed" and not body["failures"]):
        return None
    return body | {"state": "closed", "failures": [], "probe_until": "", "changed_at": text(now)}


def after_failure(body: Body | None, *, backend: str, rule: BreakerRule, now: datetime) -> Body | None:
    """What to write after a call without a usable answer; None for nothing: it is open already."""
    at = text(now)
    if body is None:
        body = {"backend": backend, "state": "closed", "failures": [], "opened_at": "", "retry_at": "",
                "probe_until": "", "changed_at": at}  # fmt: skip
    if body["state"] == "open":
        return None
    since = text(now - timedelta(seconds=rule.window_seconds))
    failures = [*(one for one in body["failures"] if one > since), at]
    if body["state"] == "closed" and len(failures) < rule.failures:
        return body | {"failures": failures, "changed_at": at}
    retry_at = after(now, seconds=_pause(body, rule, now))
    return body | {
        "state": "open",
        "failures": failures[-rule.failures :],
        "opened_at": at,
        "retry_at": retry_at,
        "probe_until": "",
        "changed_at": at,
    }


def _pause(body: Body, rule: BreakerRule, now: datetime) -> float:
    """Twice the last one, unless the backend has been well for longer than it was not."""
    if not body["retry_at"]:
        return rule.open_seconds
    retry_at = parse(body["retry_at"])
    last = (retry_at - parse(body["opened_at"])).total_seconds()
    was_well = body["state"] == "closed" and now >= retry_at + timedelta(seconds=last + rule.window_seconds)
    return rule.open_seconds if was_well else min(2 * last, LONGEST_GROWTH * rule.open_seconds)
