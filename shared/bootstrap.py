"""The one composition root: the only module that knows the adapters. Built on first use, never at import."""

from __future__ import annotations

import logging
import os
import random
import secrets
import time
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.settings import Settings, settings_from, traces_in

if TYPE_CHECKING:
    from pathlib import Path

    from shared.adapters.embedded.lanes import SqliteLanes
    from shared.connections import Connections
    from shared.delivery.handling import Delivery, Flow
    from shared.guard.action_policy import ActionPolicy
    from shared.guard.policy import Policy
    from shared.ports.action_backend import ActionBackend
    from shared.ports.checkpoint_log import CheckpointLog
    from shared.ports.document_store import DocumentStore
    from shared.ports.event_waiter import EventWaiter
    from shared.ports.language_model import LanguageModel
    from shared.ports.tracer import Tracer

log = logging.getLogger("countersign.bootstrap")


@cache
def settings() -> Settings:
    """The settings of this process."""
    return settings_from(os.environ)


@cache
def tracer() -> Tracer:
    """Spans when the worker exports telemetry, else none at no cost. Never raises."""
    from shared.ports.tracer import UNTRACED

    if not traces_in(os.environ):
        return UNTRACED
    from shared.adapters.opentelemetry.tracer import OpenTelemetryTracer

    return OpenTelemetryTracer()


@cache
def policy() -> Policy:
    """The policy that judges, loaded from its file once."""
    from shared.guard.policy import policy_from

    return policy_from(_yaml("COUNTERSIGN_POLICY", settings().policy_file))


@cache
def action_policy() -> ActionPolicy | None:
    """The policy that says which actions there may be and who must sign them, loaded from its file once.

    None when that is missing or wrong: then nothing is done or signed, and questions are answered all the same.
    """
    from shared.errors import ConfigurationError
    from shared.guard.action_policy import action_policy_from

    named = frozenset(backends())
    try:
        return action_policy_from(_yaml("COUNTERSIGN_ACTION_POLICY", settings().action_policy_file), backends=named)
    except ConfigurationError as failed:
        log.error("there is no action policy, so nothing can be done or signed: %s", failed)  # noqa: TRY400  told whole
        return None


@cache
def backends() -> dict[str, ActionBackend]:
    """What carries out effects outside our own store, by the name that the action policy gives it."""
    return connections().backends()


def configuration() -> dict[str, str]:
    """What an action is judged and counted under: the code and the policy that are deployed together."""
    rules = action_policy()
    return {"code_version": settings().code_version, "configuration_version": rules.version if rules else "none"}


def own_accounts() -> dict[str, frozenset[str]]:
    """The accounts that each tenant may pay from."""
    found: dict[str, set[str]] = {}
    for line in settings().bank_accounts:
        tenant, _, account = line.partition("=")
        found.setdefault(tenant, set()).add(account)
    return {tenant: frozenset(accounts) for tenant, accounts in found.items()}


def _yaml(setting: str, path: Path) -> dict[str, Any]:
    """The document in the file that `setting` names."""
    import yaml

    from shared.errors import ConfigurationError

    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  safe, and 8 x faster
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failed:
        raise ConfigurationError(f"{setting}: {path} cannot be read: {failed}") from failed
    if not isinstance(document, dict):
        raise ConfigurationError(f"{setting}: {path} is no mapping")
    return document


@cache
def model() -> LanguageModel | None:
    """The language model that the settings name, or None: then the grammar speaks alone. Nothing is called yet."""
    return connections().model()


@cache
def lanes() -> SqliteLanes:
    """The embedded lanes and topic: one SQLite file that the local host delivers from."""
    from shared.adapters.embedded.lanes import SqliteLanes

    return SqliteLanes(_data_folder() / "lanes.db")


@cache
def connections() -> Connections:
    """Which adapter serves each port of this process. Nothing is opened yet."""
    from shared.connections import Connections

    return Connections(settings(), now=_now, tracer=tracer(), lanes=lanes, folder=_data_folder)


@cache
def _store() -> DocumentStore:
    from shared.contracts.kinds import KINDS
    from shared.ports.document_store import Schemas

    return connections().store(Schemas({name: kind.schema_version for name, kind in KINDS.items()}))


@cache
def waiter() -> EventWaiter:
    """Waits for what is new in a conversation's stream, beside the store of `delivery`."""
    return connections().waiter(_store())


@cache
def delivery() -> Delivery:
    """Everything that triggers work with."""
    from shared.delivery.handling import Delivery, Producer

    _log_discreetly()
    ports = connections()
    checkpoints = ports.seen(ports.checkpoints(), "checkpoints", ("append", "latest", "all"))
    return Delivery(
        store=ports.seen(_store(), "store", ("read", "read_many", "query", "due", "commit", "purge")),
        bus=ports.seen(ports.bus(), "bus", ("send",)),
        events=ports.seen(ports.publisher(), "publisher", ("publish",)),
        telemetry=ports.telemetry(),
        checkpoints=checkpoints,
        now=_now,
        new_salt=_new_salt,
        jitter=random.random,
        flows=_flows(checkpoints),
        producers=tuple(
            Producer(line.name, frozenset(line.command_types), frozenset(line.tenants)) for line in settings().producers
        ),
        tracer=tracer(),
    )


def _log_discreetly() -> None:
    """On Azure every line is JSON and holds nobody's words; a developer's own machine logs as its host does."""
    if settings().in_azure:
        from shared.adapters import log_lines

        log_lines.set_up()


def is_built() -> bool:
    """Whether this process has opened its store and lanes."""
    return bool(delivery.cache_info().currsize)


async def shutdown() -> None:
    """Close what was opened, in an order that loses nothing; the next use builds anew."""
    if waiter.cache_info().currsize:
        await waiter().close()
    if is_built():
        made = delivery()
        for port in (made.telemetry, made.bus, made.events, made.checkpoints, made.store):
            await port.close()
    if lanes.cache_info().currsize:
        await lanes().close()
    if model.cache_info().currsize and (asked := model()) is not None:
        await asked.close()
    if backends.cache_info().currsize:
        for backend in backends().values():
            await backend.close()
    if connections.cache_info().currsize:
        await connections().close()
    for built in (
        waiter,
        delivery,
        _store,
        connections,
        lanes,
        model,
        policy,
        action_policy,
        backends,
        tracer,
        settings,
    ):
        built.cache_clear()


def _data_folder() -> Path:
    folder = settings().data_folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _flows(checkpoints: CheckpointLog) -> dict[str, Flow]:
    """One line per command."""
    from shared.flows.age_approval import AgeApprovalFlow
    from shared.flows.answer_approval import AnswerApprovalFlow
    from shared.flows.approval_submitted import ApprovalSubmittedFlow
    from shared.flows.classify_transaction import ClassifyTransactionFlow
    from shared.flows.ingestion_completed import IngestionCompletedFlow
    from shared.flows.perform_action import PerformActionFlow
    from shared.flows.request_action import RequestActionFlow
    from shared.flows.resolve_parked import ResolveParkedFlow
    from shared.flows.review_transaction import ReviewTransactionFlow
    from shared.flows.sweep_tenant import SweepTenantFlow
    from shared.specialists.merchant_memory import memory_thresholds
    from shared.specialists.runner import Limits

    rules = policy()
    memory_thresholds(rules)  # a name that memory does not know is refused now, not when memory judges
    return {
        "ClassifyTransaction": ClassifyTransactionFlow(rules, Limits(), time.perf_counter),
        "IngestionCompleted": IngestionCompletedFlow(),
        "SweepTenant": SweepTenantFlow(rules, checkpoints),
        "ReviewTransaction": ReviewTransactionFlow(rules),
        "ResolveParked": ResolveParkedFlow(),
        "AgentMessagePosted": _conversation(rules),
        "AnswerApproval": AnswerApprovalFlow(action_policy()),
        "AgentApprovalSubmitted": ApprovalSubmittedFlow(),
        "AgeApproval": AgeApprovalFlow(),
        "RequestAction": RequestActionFlow(
            action_policy(),
            backends(),
            rules.chart,
            own_accounts(),
            memberships=not settings().tenant_claim and settings().auth_mode != "dev",
            first_operators=frozenset(settings().first_operators),
        ),
        "PerformAction": PerformActionFlow(action_policy(), backends(), rules.chart, own_accounts()),
    }


def _conversation(rules: Policy) -> Flow:
    from shared.flows.answer_message import AnswerMessageFlow
    from shared.flows.by_model import ModelLimits
    from shared.specialists.advisors import ADVISORS

    told = settings()
    return AnswerMessageFlow(
        policy=action_policy(),
        chart=rules.chart,
        advisors=ADVISORS,
        today=_day_in,
        clock=time.perf_counter,
        configuration=configuration(),
        paying_accounts=own_accounts(),
        model=model(),
        limits=ModelLimits(seconds=told.model_timeout_ms / 1000, max_output_tokens=told.model_max_output_tokens),
    )


def _day_in(now: datetime, time_zone: str) -> date:
    """The day in an IANA time zone; of UTC on a machine whose database does not know the zone."""
    import zoneinfo

    try:
        return now.astimezone(zoneinfo.ZoneInfo(time_zone)).date()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return now.date()


def _now() -> datetime:
    return datetime.now(UTC)


def _new_salt() -> str:
    return secrets.token_hex(16)
