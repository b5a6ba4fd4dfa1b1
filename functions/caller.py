"""Who is calling, or 401; for which tenant, or 400 and 403; and the ids under which a call is traced.

dev: the header `X-Dev-Caller`, refused on Azure. easyauth: the platform's `X-MS-CLIENT-PRINCIPAL`, believed in this
mode alone, because only then does the platform strip what a client sends under that name. jwt: a bearer token.
A program without a person behind it may submit and read (member, auditor); reviewing and operating are a person's acts.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import azure.functions as func

from functions.claims import (
    DEV_HINT,
    TENANT,
    Claims,
    Grants,
    Identity,
    dev_claims,
    easyauth_claims,
    grants_in,
    identity_of,
    limited,
)
from shared.errors import ForbiddenError, InvalidInputError, UnauthenticatedError
from shared.settings import Settings

CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
MEMBERSHIP_SECONDS = 60.0
MAX_REMEMBERED = 1_000

_remembered: dict[str, tuple[float, Grants]] = {}


@dataclass(frozen=True, slots=True)
class Caller:
    """principal: the stable id that records name. roles: in `tenant`, with implied ones. tenants: all own ones."""

    principal: str
    name: str
    tenant: str
    roles: frozenset[str]
    tenants: tuple[str, ...]


async def caller_of(req: func.HttpRequest, *, needs: frozenset[str]) -> Caller:
    """The caller, who has one of the roles in `needs` (a row of `roles.WHO_MAY`) in the tenant that was chosen.

    Raises `UnauthenticatedError`, `ForbiddenError`, `InvalidInputError("tenant_ambiguous")`, and `RetryableError` when
    memberships or keys cannot be read: nobody is let in because a store is down.
    """
    from shared import bootstrap

    settings = bootstrap.settings()
    claims, provider = await _authenticated(req, settings)
    identity = identity_of(claims, provider=provider)
    grants = await _grants(identity, claims, settings)
    tenant = _chosen(req.headers.get("X-Tenant", ""), grants)
    if not grants[tenant] & needs:
        wanted = " or ".join(sorted(needs))
        raise ForbiddenError(f"in tenant {tenant} this takes the role {wanted}", code="role_missing")
    return Caller(identity.principal, identity.name, tenant, grants[tenant], tuple(sorted(grants)))


async def _authenticated(req: func.HttpRequest, settings: Settings) -> tuple[Claims, str]:
    """The claims that this deployment's way of signing in vouches for, and who vouches."""
    if settings.auth_mode == "easyauth":
        header = req.headers.get("X-MS-CLIENT-PRINCIPAL", "")
        if not header:
            raise UnauthenticatedError("nobody is signed in: Easy Auth sent no X-MS-CLIENT-PRINCIPAL")
        return easyauth_claims(header)
    if settings.auth_mode == "jwt":
        from functions.tokens import verified_claims

        scheme, _, token = req.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError("send Authorization: Bearer <token>")
        return await verified_claims(token.strip(), settings), settings.jwt_issuer
    header = req.headers.get("X-Dev-Caller", "")
    if not header:
        raise UnauthenticatedError(f"AUTH_MODE=dev takes the caller from a header. {DEV_HINT}")
    return dev_claims(header), "dev"


async def _grants(identity: Identity, claims: Claims, settings: Settings) -> Grants:
    """Roles by tenant: from claims or membership documents, and from FIRST_OPERATORS."""
    if settings.auth_mode == "dev":
        grants = grants_in(claims, tenant_claim="tenants", roles_claim="roles")
    elif settings.tenant_claim:
        grants = grants_in(claims, tenant_claim=settings.tenant_claim, roles_claim=settings.roles_claim)
    else:
        grants = await _memberships(identity.principal)
    for tenant in first_operator_of(identity.principal, settings):
        grants = {**grants, tenant: grants.get(tenant, frozenset()) | {"operator"}}
    return limited(grants, identity)


def first_operator_of(principal: str, settings: Settings) -> list[str]:
    """The tenants that FIRST_OPERATORS (`principal=tenant`, by commas) gives to `principal`."""
    parted = [line.rpartition("=") for line in settings.first_operators]
    return [tenant for who, _, tenant in parted if who == principal]


async def _memberships(principal: str) -> Grants:
    """The stored memberships, remembered for a minute: a removal counts after that at the latest."""
    from shared import bootstrap
    from shared.flows.members import roles_of

    now = time.monotonic()
    until, known = _remembered.get(principal, (0.0, {}))
    if now < until:
        return known
    stored = await roles_of(bootstrap.delivery(), principal)
    grants = {tenant: frozenset(roles) for tenant, roles in stored.items() if roles}
    if len(_remembered) >= MAX_REMEMBERED:
        _remembered.clear()
    _remembered[principal] = (now + MEMBERSHIP_SECONDS, grants)
    return grants


def forget(principal: str = "") -> None:
    """Read the memberships of `principal` (of everybody without one) again on the next call."""
    if principal:
        _remembered.pop(principal, None)
    else:
        _remembered.clear()


def _chosen(wish: str, grants: Mapping[str, frozenset[str]]) -> str:
    """The tenant of this call. Another's tenant and one that does not exist get the same answer."""
    if not grants:
        raise ForbiddenError("you belong to no tenant here", code="no_tenant")
    if not wish:
        if len(grants) > 1:
            raise InvalidInputError("you belong to several tenants: name one in X-Tenant", code="tenant_ambiguous")
        return next(iter(grants))
    if not TENANT.fullmatch(wish):
        raise InvalidInputError("X-Tenant takes 1 to 40 of a-z, 0-9 and -", code="tenant_malformed")
    if wish not in grants:
        raise ForbiddenError("X-Tenant names no tenant of yours", code="tenant_not_yours")
    return wish


def correlation_of(req: func.HttpRequest) -> str:
    """The client's `X-Correlation-Id` if it is well formed, else the trace's id, else a new one. Never raises."""
    told: str = req.headers.get("X-Correlation-Id", "")
    if CORRELATION.fullmatch(told):
        return told
    traced = TRACEPARENT.fullmatch(req.headers.get("traceparent", ""))
    return traced.group(1) if traced else uuid.uuid4().hex


def sent_traceparent(req: func.HttpRequest) -> str:
    """The caller's W3C trace context, or "" when there is none or it is malformed."""
    told: str = req.headers.get("traceparent", "")
    return told if TRACEPARENT.fullmatch(told) else ""


def traceparent_of(req: func.HttpRequest) -> str:
    """The W3C trace context under which what this call causes goes on: our own span's, else the caller's, else ""."""
    from shared import bootstrap

    return bootstrap.tracer().here().traceparent or sent_traceparent(req)
