"""Which adapter serves each port: the service on Azure whose address is set, else what is embedded. Each port is chosen
by itself, so that a mixture works. Nothing is opened before its first call; libraries are imported here, on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.adapters.azure.credentials import Credential, EntraCredential
from shared.ports.tracer import UNTRACED, Tracer
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.embedded.lanes import SqliteLanes
    from shared.ports.action_backend import ActionBackend
    from shared.ports.checkpoint_log import CheckpointLog
    from shared.ports.command_bus import CommandBus
    from shared.ports.document_store import DocumentStore, Schemas
    from shared.ports.event_publisher import EventPublisher
    from shared.ports.event_waiter import EventWaiter
    from shared.ports.language_model import LanguageModel
    from shared.ports.telemetry_sink import TelemetrySink

TELEMETRY_CAPACITY = 10_000
AZURE_OPENAI_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
AZURE_OPENAI_SCOPE = "https://cognitiveservices.azure.com/.default"


class Connections:
    """The ports of one process. lanes, folder: of what is embedded, asked only when something is."""

    def __init__(
        self,
        told: Settings,
        *,
        now: Callable[[], datetime],
        tracer: Tracer,
        lanes: Callable[[], SqliteLanes],
        folder: Callable[[], Path],
    ) -> None:
        self._told, self._azure = told, told.azure
        self._now, self._tracer, self._lanes, self._folder = now, tracer, lanes, folder
        self._entra = EntraCredential(client_id=told.azure.client_id, in_azure=told.in_azure)

    def store(self, schemas: Schemas) -> DocumentStore:
        if not self._azure.cosmos_endpoint:
            from shared.adapters.embedded.document_store import SqliteDocumentStore

            return SqliteDocumentStore(self._folder() / "store.db", schemas=schemas, now=self._now)
        from shared.adapters.azure.document_store import CosmosDocumentStore

        return CosmosDocumentStore(
            endpoint=self._azure.cosmos_endpoint,
            database=self._azure.cosmos_database,
            container=self._azure.cosmos_container,
            credential=self._signed_in(self._azure.cosmos_key),
            schemas=schemas,
            now=self._now,
            preferred_regions=self._azure.cosmos_regions,
        )

    def waiter(self, store: DocumentStore) -> EventWaiter:
        """store: as `store` gave it."""
        from shared.adapters.embedded.document_store import SqliteDocumentStore

        if isinstance(store, SqliteDocumentStore):
            from shared.adapters.embedded.event_waiter import SqliteEventWaiter

            return SqliteEventWaiter(store, self._folder() / "store.db")
        from shared.adapters.azure.event_waiter import PointReadEventWaiter

        return PointReadEventWaiter(store)

    def bus(self) -> CommandBus:
        if self._azure.service_bus_namespace or self._azure.service_bus_connection:
            from shared.adapters.azure.command_bus import ServiceBusCommandBus

            return ServiceBusCommandBus(
                namespace=self._azure.service_bus_namespace,
                credential=self._entra,
                connection_string=self._azure.service_bus_connection,
            )
        from shared.adapters.embedded.command_bus import SqliteCommandBus

        return SqliteCommandBus(self._lanes())

    def publisher(self) -> EventPublisher:
        if self._azure.event_grid_endpoint:
            from shared.adapters.azure.event_publisher import EventGridEventPublisher

            return EventGridEventPublisher(
                endpoint=self._azure.event_grid_endpoint, credential=self._signed_in(self._azure.event_grid_key)
            )
        from shared.adapters.embedded.event_publisher import SqliteEventPublisher

        return SqliteEventPublisher(self._lanes())

    def telemetry(self) -> TelemetrySink:
        if self._azure.event_hubs_namespace or self._azure.event_hubs_connection:
            from shared.adapters.azure.telemetry_sink import EventHubsTelemetrySink

            return EventHubsTelemetrySink(
                namespace=self._azure.event_hubs_namespace,
                eventhub=self._azure.event_hub,
                credential=self._signed_in(self._azure.event_hubs_connection),
                capacity=TELEMETRY_CAPACITY,
            )
        from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink

        return JsonLinesTelemetrySink(self._folder() / "telemetry.jsonl", capacity=TELEMETRY_CAPACITY)

    def checkpoints(self) -> CheckpointLog:
        if self._azure.checkpoints_url:
            from shared.adapters.azure.checkpoint_log import BlobCheckpointLog

            return BlobCheckpointLog(
                container_url=self._azure.checkpoints_url, credential=self._signed_in(self._azure.checkpoints_key)
            )
        from shared.adapters.embedded.checkpoint_log import FileCheckpointLog

        return FileCheckpointLog(self._folder() / "checkpoints.jsonl")

    def backends(self) -> dict[str, ActionBackend]:
        """What carries out effects outside our own store, by the name that the action policy gives it."""
        if not self._told.bank_url:
            return {}
        from shared.adapters.web.action_backend import HttpActionBackend

        bank = HttpActionBackend(name="bank", base_url=self._told.bank_url, token=self._told.bank_token)
        return {"bank": self.seen(bank, "bank", ("perform", "find", "state_of"))}

    def model(self) -> LanguageModel | None:
        """The language model that the settings name, or None: then the grammar speaks alone. One on Azure without a
        key is asked with the app's identity."""
        told = self._told
        if not told.model:
            return None
        from shared.adapters.web.language_model import OpenAILanguageModel

        host = urlsplit(told.openai_base_url).hostname or ""
        on_azure = host.endswith(AZURE_OPENAI_HOSTS)
        by_identity = self._entra.tokens(AZURE_OPENAI_SCOPE) if on_azure and not told.openai_api_key else ""
        model = OpenAILanguageModel(
            name=told.model,
            fallback=told.model_fallback,
            api_key=told.openai_api_key or by_identity,
            base_url=told.openai_base_url,
        )
        if self._tracer is UNTRACED:
            return model
        from shared.adapters.opentelemetry.ports import TracedLanguageModel

        provider = "azure.ai.openai" if on_azure else "openai"
        return TracedLanguageModel(model, self._tracer, provider=provider, address=host)

    def seen[P](self, port: P, name: str, methods: Sequence[str]) -> P:
        """`port`, with a span around each call of `methods` while somebody watches."""
        if self._tracer is UNTRACED:
            return port
        from shared.adapters.opentelemetry.ports import traced

        return traced(port, self._tracer, name, methods)

    async def close(self) -> None:
        """The sign-in; each port is closed by whoever was given it, before."""
        await self._entra.close()

    def _signed_in(self, key: str) -> Credential:
        return key or self._entra
