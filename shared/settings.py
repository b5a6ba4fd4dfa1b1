"""Every setting, read from the environment once, with its default and what is wrong when it is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.contracts.lanes import FROM_OUTSIDE
from shared.errors import ConfigurationError

AUTH_MODES = ("dev", "easyauth", "jwt")
NAMESPACES = ("SERVICEBUS_CONNECTION__fullyQualifiedNamespace", "EVENTHUB_CONNECTION__fullyQualifiedNamespace")
KEY_OF = {  # what an emulator at that address takes
    "COSMOS_ENDPOINT": "COSMOS_KEY",
    "EVENTGRID_TOPIC_ENDPOINT": "EVENTGRID_TOPIC_KEY",
    "CHECKPOINTS_URL": "CHECKPOINTS_KEY",
}
ADDRESSES = tuple(KEY_OF)
KEYS = (*KEY_OF.values(), "SERVICEBUS_CONNECTION", "EVENTHUB_CONNECTION")
ROLES = ("member", "reviewer", "auditor", "operator")


@dataclass(frozen=True, slots=True)
class ProducerLine:
    """One outside producer as written in OUTSIDE_PRODUCERS."""

    name: str
    command_types: tuple[str, ...]
    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """Where the services are; "" for what is embedded instead. Keys and connection strings are for emulators: on Azure
    the app signs in with its identity."""

    cosmos_endpoint: str  # COSMOS_ENDPOINT
    cosmos_key: str  # COSMOS_KEY
    cosmos_database: str  # COSMOS_DATABASE
    cosmos_container: str  # COSMOS_CONTAINER
    cosmos_regions: tuple[str, ...]  # COSMOS_PREFERRED_REGIONS: by commas, the nearest first
    service_bus_namespace: str  # SERVICEBUS_CONNECTION__fullyQualifiedNamespace, as the triggers take it
    service_bus_connection: str  # SERVICEBUS_CONNECTION
    event_grid_endpoint: str  # EVENTGRID_TOPIC_ENDPOINT
    event_grid_key: str  # EVENTGRID_TOPIC_KEY
    event_hubs_namespace: str  # EVENTHUB_CONNECTION__fullyQualifiedNamespace
    event_hubs_connection: str  # EVENTHUB_CONNECTION
    event_hub: str  # EVENTHUB_NAME
    checkpoints_url: str  # CHECKPOINTS_URL: of an immutable blob container
    checkpoints_key: str  # CHECKPOINTS_KEY
    client_id: str  # AZURE_CLIENT_ID: of the app's user-assigned identity


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment decides. The names in capitals are the environment's."""

    auth_mode: str  # AUTH_MODE: dev | easyauth | jwt; on Azure it must be set, and not to dev
    in_azure: bool
    data_folder: Path  # COUNTERSIGN_DATA
    policy_file: Path  # COUNTERSIGN_POLICY
    action_policy_file: Path  # COUNTERSIGN_ACTION_POLICY
    producers: tuple[ProducerLine, ...]  # OUTSIDE_PRODUCERS: JSON list of {name, command_types, tenants}
    tenant_claim: str  # TENANT_CLAIM: "tenant", "tenant:role" texts, or an object of tenant to roles; "" = memberships
    roles_claim: str  # ROLES_CLAIM: roles in every tenant of the caller
    jwt_issuer: str  # JWT_ISSUER
    jwt_audience: str  # JWT_AUDIENCE
    jwt_jwks_uri: str  # JWT_JWKS_URI
    model: str  # MODEL: model or deployment that phrases answers; "" for the grammar alone
    model_fallback: str  # MODEL_FALLBACK: asked once when the first does not answer
    model_timeout_ms: int  # MODEL_TIMEOUT_MS: of a whole turn with the model
    model_max_output_tokens: int  # MODEL_MAX_OUTPUT_TOKENS: of a whole turn
    openai_api_key: str  # OPENAI_API_KEY; without one, a model on Azure is asked with the app's identity
    openai_base_url: str  # OPENAI_BASE_URL: a compatible endpoint, or https://<resource>.openai.azure.com/openai/v1/
    bank_url: str  # BANK_URL: "" for no bank; then transfers are denied, and nothing else
    bank_token: str  # BANK_TOKEN
    bank_accounts: tuple[str, ...]  # BANK_ACCOUNTS: `tenant=account` by commas; accounts that a tenant may pay from
    code_version: str  # CODE_VERSION: of what is deployed; metrics carry it with the version of the policy
    first_operators: tuple[str, ...]  # FIRST_OPERATORS: `principal=tenant` by commas; operators to begin with
    azure: AzureSettings


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; `ConfigurationError` names the one that is missing or wrong and what it takes."""
    in_azure = bool(environment.get("WEBSITE_INSTANCE_ID") or environment.get("WEBSITE_SITE_NAME"))
    auth_mode = _auth_mode(environment, in_azure=in_azure)
    root = Path(__file__).resolve().parent.parent
    settings = Settings(
        auth_mode=auth_mode,
        in_azure=in_azure,
        data_folder=Path(environment.get("COUNTERSIGN_DATA", ".countersign")),
        policy_file=Path(environment.get("COUNTERSIGN_POLICY", str(root / "policies" / "money.yaml"))),
        action_policy_file=Path(environment.get("COUNTERSIGN_ACTION_POLICY", str(root / "policies" / "actions.yaml"))),
        producers=_producers(environment.get("OUTSIDE_PRODUCERS", "[]")),
        tenant_claim=environment.get("TENANT_CLAIM", "tenants"),
        roles_claim=environment.get("ROLES_CLAIM", "roles"),
        jwt_issuer=environment.get("JWT_ISSUER", ""),
        jwt_audience=environment.get("JWT_AUDIENCE", ""),
        jwt_jwks_uri=environment.get("JWT_JWKS_URI", ""),
        model=environment.get("MODEL", ""),
        model_fallback=environment.get("MODEL_FALLBACK", ""),
        model_timeout_ms=_integer(environment, "MODEL_TIMEOUT_MS", 8_000, low=100, high=120_000),
        model_max_output_tokens=_integer(environment, "MODEL_MAX_OUTPUT_TOKENS", 2_000, low=16, high=100_000),
        openai_api_key=environment.get("OPENAI_API_KEY", ""),
        openai_base_url=environment.get("OPENAI_BASE_URL", ""),
        bank_url=environment.get("BANK_URL", ""),
        bank_token=environment.get("BANK_TOKEN", ""),
        bank_accounts=_bank_accounts(environment.get("BANK_ACCOUNTS", "")),
        code_version=environment.get("CODE_VERSION", "") or "0.1.0",
        first_operators=_first_operators(environment.get("FIRST_OPERATORS", "")),
        azure=_azure(environment, in_azure=in_azure),
    )
    if settings.model and not (settings.openai_api_key or settings.openai_base_url):
        raise ConfigurationError("MODEL needs OPENAI_API_KEY, or OPENAI_BASE_URL of an endpoint that takes none")
    if settings.bank_url and not settings.bank_token:
        raise ConfigurationError("BANK_URL needs BANK_TOKEN")
    _check_jwt(settings, environment)
    return settings


def _azure(environment: Mapping[str, str], *, in_azure: bool) -> AzureSettings:
    regions = environment.get("COSMOS_PREFERRED_REGIONS", "").split(",")
    settings = AzureSettings(
        cosmos_endpoint=environment.get("COSMOS_ENDPOINT", ""),
        cosmos_key=environment.get("COSMOS_KEY", ""),
        cosmos_database=environment.get("COSMOS_DATABASE", "") or "countersign",
        cosmos_container=environment.get("COSMOS_CONTAINER", "") or "documents",
        cosmos_regions=tuple(region.strip() for region in regions if region.strip()),
        service_bus_namespace=environment.get("SERVICEBUS_CONNECTION__fullyQualifiedNamespace", ""),
        service_bus_connection=environment.get("SERVICEBUS_CONNECTION", ""),
        event_grid_endpoint=environment.get("EVENTGRID_TOPIC_ENDPOINT", ""),
        event_grid_key=environment.get("EVENTGRID_TOPIC_KEY", ""),
        event_hubs_namespace=environment.get("EVENTHUB_CONNECTION__fullyQualifiedNamespace", ""),
        event_hubs_connection=environment.get("EVENTHUB_CONNECTION", ""),
        event_hub=environment.get("EVENTHUB_NAME", "") or "telemetry",
        checkpoints_url=environment.get("CHECKPOINTS_URL", ""),
        checkpoints_key=environment.get("CHECKPOINTS_KEY", ""),
        client_id=environment.get("AZURE_CLIENT_ID", ""),
    )
    _check_azure(environment, in_azure=in_azure)
    return settings


def _check_azure(environment: Mapping[str, str], *, in_azure: bool) -> None:
    """On Azure every service has its address, and nothing but the app's identity opens it: there is no disk to fall
    back on, and a key in a setting is a key that somebody has."""
    schemes = ("https",) if in_azure else ("https", "http")
    for name in (*ADDRESSES, "OPENAI_BASE_URL"):
        told = environment.get(name, "")
        if told and not (urlsplit(told).hostname and urlsplit(told).scheme in schemes):
            raise ConfigurationError(f"{name} takes an address, {' or '.join(schemes)}")
    _check_ways_in(environment)
    if not in_azure:
        return
    if missing := [name for name in (*ADDRESSES, *NAMESPACES) if not environment.get(name)]:
        raise ConfigurationError(f"on Azure these must be set: {', '.join(missing)}")
    if keys := [name for name in KEYS if environment.get(name)]:
        raise ConfigurationError(f"on Azure the app signs in with its identity: remove {', '.join(keys)}")


def _check_ways_in(environment: Mapping[str, str]) -> None:
    """What the clients would only stumble over, each in words of its own."""
    for name in NAMESPACES:
        if not re.fullmatch(r"[A-Za-z0-9.-]*", environment.get(name, "")):
            raise ConfigurationError(f"{name} takes a host name, without sb:// before it")
    for name, key in KEY_OF.items():
        if urlsplit(environment.get(name, "")).scheme == "http" and not environment.get(key):
            raise ConfigurationError(f"{name} is http, and tokens travel over https alone: set {key}, for an emulator")
    for key in ("COSMOS_KEY", "CHECKPOINTS_KEY"):
        if not re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", environment.get(key, "")):
            raise ConfigurationError(f"{key} is no key: it takes base64")
    if (told := environment.get("EVENTHUB_CONNECTION", "")) and not re.match(r"Endpoint=sb://[^;]+;", told):
        raise ConfigurationError("EVENTHUB_CONNECTION takes a connection string: Endpoint=sb://...;")
    container = urlsplit(environment.get("CHECKPOINTS_URL", ""))
    needed = 2 if container.hostname in ("127.0.0.1", "localhost") else 1  # an emulator's begins with the account
    if container.hostname and len([part for part in container.path.split("/") if part]) < needed:
        raise ConfigurationError(
            "CHECKPOINTS_URL names no container: https://<account>.blob.core.windows.net/<container>"
        )


def traces_in(environment: Mapping[str, str]) -> bool:
    """Whether this process exports spans: the Functions worker's own two switches, read as it reads them."""
    switches = ("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_ENABLE_OPENTELEMETRY")
    return any(environment.get(name, "").strip().lower() in ("true", "1", "t", "y", "yes") for name in switches)


def _auth_mode(environment: Mapping[str, str], *, in_azure: bool) -> str:
    auth_mode = environment.get("AUTH_MODE", "" if in_azure else "dev")
    if auth_mode not in AUTH_MODES:
        raise ConfigurationError(f"AUTH_MODE is {auth_mode!r}; set it to one of {', '.join(AUTH_MODES)}")
    if in_azure and auth_mode == "dev":
        raise ConfigurationError("AUTH_MODE=dev lets anyone be anybody; on Azure set it to easyauth or jwt")
    if auth_mode == "easyauth" and environment.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":
        raise ConfigurationError(
            "AUTH_MODE=easyauth believes a header that only App Service authentication keeps clients from sending: "
            "switch that on (the platform then sets WEBSITE_AUTH_ENABLED=True)"
        )
    return auth_mode


def _check_jwt(settings: Settings, environment: Mapping[str, str]) -> None:
    if settings.auth_mode != "jwt":
        return
    for name in ("JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URI"):
        if not environment.get(name):
            raise ConfigurationError(f"{name} is not set; AUTH_MODE=jwt needs issuer, audience and key set address")
    where = urlsplit(settings.jwt_jwks_uri)
    if where.scheme != "https" and where.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigurationError("JWT_JWKS_URI must be https: whoever serves the keys decides who is who")


def _integer(environment: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    told = environment.get(name, "") or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", told) or not low <= int(told) <= high:
        raise ConfigurationError(f"{name} is {told!r}; it takes an integer from {low} to {high}")
    return int(told)


def _first_operators(value: str) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in value.split(",") if line.strip())
    for line in lines:
        if not re.fullmatch(r"[^=].*=[a-z0-9-]{1,40}", line):
            raise ConfigurationError(f"FIRST_OPERATORS: {line!r} is not principal=tenant (several: by commas)")
    return lines


def _bank_accounts(value: str) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in value.split(",") if line.strip())
    for line in lines:
        if not re.fullmatch(r"[a-z0-9-]{1,40}=[A-Za-z0-9._:-]{1,64}", line):
            raise ConfigurationError(f"BANK_ACCOUNTS: {line!r} is not tenant=account (several: by commas)")
    return lines


def _producers(value: str) -> tuple[ProducerLine, ...]:
    wrong = ConfigurationError("OUTSIDE_PRODUCERS must be a JSON list of {name, command_types: [...], tenants: [...]}")
    try:
        lines = [(line["name"], line["command_types"], line["tenants"]) for line in json.loads(value)]
    except (ValueError, TypeError, KeyError) as failed:
        raise wrong from failed
    for name, command_types, tenants in lines:
        if not (isinstance(name, str) and isinstance(command_types, list) and isinstance(tenants, list)):
            raise wrong
        if not (re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name) and FROM_OUTSIDE.issuperset(command_types)):
            raise ConfigurationError(f"OUTSIDE_PRODUCERS: {name!r} may list command types {sorted(FROM_OUTSIDE)}")
        if not all(isinstance(one, str) and re.fullmatch(r"[a-z0-9-]{1,40}", one) for one in tenants):
            raise ConfigurationError(f"OUTSIDE_PRODUCERS: the tenants of {name!r} are not 1 to 40 of a-z, 0-9 and -")
    return tuple(ProducerLine(name, tuple(types), tuple(tenants)) for name, types, tenants in lines)
