"""What an authenticated identity says of itself: who it is, and which roles it has in which tenants. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from functions.roles import APPLICATION_ROLES, SYSTEM_ROLES, expanded
from shared.errors import UnauthenticatedError
from shared.settings import ROLES

Claims = dict[str, Any]
Grants = dict[str, frozenset[str]]

TENANT = re.compile(r"[a-z0-9-]{1,40}")
SYSTEM = "system"
MAX_PRINCIPAL = 160
MAX_HEADER = 32_768
_MICROSOFT = "http://schemas.microsoft.com/identity/claims/"
_XMLSOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_WS2008 = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"
REMAPPED = {
    _MICROSOFT + "objectidentifier": "oid",
    _MICROSOFT + "tenantid": "tid",
    _MICROSOFT + "scope": "scp",
    _XMLSOAP + "nameidentifier": "sub",
    _XMLSOAP + "name": "name",
    _XMLSOAP + "emailaddress": "email",
    _WS2008 + "role": "roles",
}
"""Easy Auth hands on some claims under the long names of WS-Federation."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is. principal: stable and unique across issuers. is_application: a program, no person behind it."""

    principal: str
    name: str
    is_application: bool


def identity_of(claims: Mapping[str, Any], *, provider: str = "") -> Identity:
    """The identity in verified claims: directory and object id, else issuer and subject; never a name or address,
    which can be given to somebody else. `UnauthenticatedError` when there is neither."""
    directory, object_id, subject = (_text(claims, name) for name in ("tid", "oid", "sub"))
    if directory and object_id:
        principal = f"{directory}:{object_id}"
    elif subject:
        principal = f"{_text(claims, 'iss') or provider}:{subject}"
    else:
        raise UnauthenticatedError("the identity has neither oid nor sub: it names nobody")
    name = _text(claims, "name") or _text(claims, "preferred_username") or principal
    return Identity(bounded(principal), name[:120], _is_application(claims))


def bounded(principal: str) -> str:
    """The principal, or its digest where it is too long or unprintable to be stored in ids and records."""
    if len(principal) <= MAX_PRINCIPAL and principal.isascii() and principal.isprintable():
        return principal
    return "sha256:" + sha256(principal.encode("utf-8", "surrogatepass")).hexdigest()


def _is_application(claims: Mapping[str, Any]) -> bool:
    """Whether no person has signed in. Entra: idtyp "app", or an object that is its own subject without a scope;
    others: the client credentials grant, or a client that is its own subject."""
    if _text(claims, "idtyp") == "app" or _text(claims, "gty") == "client-credentials":
        return True
    if claims.get("scp"):
        return False
    subject = _text(claims, "sub")
    clients = {_text(claims, name) for name in ("azp", "appid", "client_id")} - {""}
    is_own_object = bool(claims.get("tid")) and bool(clients) and subject == _text(claims, "oid")
    return bool(subject) and (is_own_object or subject in clients)


def grants_in(claims: Mapping[str, Any], *, tenant_claim: str, roles_claim: str) -> Grants:
    """Roles by tenant. A tenant that is named without any known role makes a member; unknown roles mean nothing."""
    everywhere = _known_roles(_texts(claims.get(roles_claim))) if roles_claim else frozenset()
    found: dict[str, set[str]] = {}
    for tenant, roles in _tenants(claims.get(tenant_claim)):
        if TENANT.fullmatch(tenant):
            found.setdefault(tenant, set()).update(_known_roles(roles))
    return {tenant: (frozenset(roles) | everywhere) or frozenset({"member"}) for tenant, roles in found.items()}


def limited(grants: Mapping[str, frozenset[str]], identity: Identity) -> Grants:
    """The grants as they count: with implied roles, within what `system` and programs can be; none that is empty."""
    counted: Grants = {}
    for tenant, roles in grants.items():
        kept = expanded(roles)
        if tenant == SYSTEM:
            kept &= SYSTEM_ROLES
        if identity.is_application:
            kept &= APPLICATION_ROLES
        if kept:
            counted[tenant] = kept
    return counted


def easyauth_claims(header: str) -> tuple[Claims, str]:
    """The claims in `X-MS-CLIENT-PRINCIPAL` (base64 of {auth_typ, claims: [{typ, val}], role_typ}), by their short
    names, and the provider. A claim that comes several times is a list."""
    wrong = UnauthenticatedError("X-MS-CLIENT-PRINCIPAL is not what Easy Auth sends")
    if len(header) > MAX_HEADER:
        raise wrong
    try:
        principal = json.loads(base64.b64decode(header, validate=True))
        told = [(str(claim["typ"]), str(claim["val"])) for claim in principal["claims"]]
        provider, role_type = str(principal.get("auth_typ") or ""), str(principal.get("role_typ") or "roles")
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as failed:
        raise wrong from failed
    claims: Claims = {}
    for kind, value in told:
        short = "roles" if kind == role_type else REMAPPED.get(kind, kind)
        claims.setdefault(short, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in claims.items()}, provider


def dev_claims(header: str) -> Claims:
    """The claims in `X-Dev-Caller: alice; tenants=household,desk:reviewer; roles=member`."""
    name, *parts = [part.strip() for part in header.split(";")]
    if not re.fullmatch(r"[A-Za-z0-9._@:-]{1,64}", name):
        raise UnauthenticatedError(f"X-Dev-Caller begins with a name. {DEV_HINT}")
    claims: Claims = {"sub": name, "name": name}
    for part in parts:
        key, _, value = part.partition("=")
        if key.strip() not in ("tenants", "roles"):
            raise UnauthenticatedError(f"X-Dev-Caller knows tenants= and roles=. {DEV_HINT}")
        if key.strip() in claims:  # or a second header, which the host joins to the first
            raise UnauthenticatedError(f"X-Dev-Caller says {key.strip()}= twice: which is meant? {DEV_HINT}")
        claims[key.strip()] = [one.strip() for one in value.split(",") if one.strip()]
    return claims


DEV_HINT = "Write it like this: X-Dev-Caller: alice; tenants=household,desk:auditor; roles=member,reviewer"


def _tenants(value: Any) -> Iterable[tuple[str, list[str]]]:
    """(tenant, roles) of "tenant" or "tenant:role" texts, or of an object of tenant to roles (or its JSON text)."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    if isinstance(value, dict):
        return [(str(tenant), _texts(roles)) for tenant, roles in value.items()]
    parted = [one.partition(":") for one in _texts(value)]
    return [(tenant, [role] if role else []) for tenant, _, role in parted]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, (list, tuple)) else []


def _known_roles(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in names) & frozenset(ROLES)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""
