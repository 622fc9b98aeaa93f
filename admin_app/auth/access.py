"""Who calls, and whether it may: each view declares what it needs, and a view that does not is closed."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from flask import current_app, g, request

from admin_app.auth.hosts import is_loopback_peer, is_own_host
from admin_app.http.errors import ApiError, not_found, too_many
from admin_app.services import current, failed_logins
from shared.model.config import ApiKey, Scope
from shared.secrets.api_keys import parse_key

# What a proxy adds to a call that it passes on.
_PASSED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Access(StrEnum):
    """What a view asks of its caller. The platform may do everything."""

    PUBLIC = "nothing"
    READ = "the scope read or admin"
    ADMIN = "the scope admin"
    PLATFORM = "the platform's key"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever passed the door. `tenant_id` is None for the platform."""

    actor: str
    tenant_id: str | None = None
    scopes: tuple[Scope, ...] = ()

    @property
    def is_platform(self) -> bool:
        return self.tenant_id is None

    def may(self, access: Access) -> bool:
        if self.is_platform or access is Access.PUBLIC:
            return True
        if access is Access.READ:
            return Scope.READ in self.scopes or Scope.ADMIN in self.scopes
        return access is Access.ADMIN and Scope.ADMIN in self.scopes


_PLATFORM = Caller("platform")


def needs[View: Callable[..., Any]](access: Access) -> Callable[[View], View]:
    """Declare what a view asks of its caller, to the guard and to the documentation."""

    def mark(view: View) -> View:
        view.access = access  # type: ignore[attr-defined]
        # Where flask-smorest collects what it documents about a view.
        view._apidoc = {**getattr(view, "_apidoc", {}), "access": access}  # type: ignore[attr-defined]
        return view

    return mark


def access_of(endpoint: str, method: str) -> Access | None:
    """What the view behind `endpoint` asks; None when it does not say."""
    view: Any = current_app.view_functions[endpoint]
    if hasattr(view, "view_class"):
        name = "get" if method == "HEAD" else method.lower()
        view = getattr(view.view_class, name, None)
    return cast("Access | None", getattr(view, "access", None))


def caller() -> Caller:
    """Who makes the current request."""
    return cast(Caller, g.caller)


def own_tenant(tenant_id: str) -> None:
    """Raise 404 when the caller is a tenant, and another one."""
    if caller().tenant_id not in (None, tenant_id):
        raise not_found("tenant")


def guard() -> None:
    """Let the current request pass, or raise `ApiError`. Runs before every view."""
    bearer = request.headers.get("Authorization")
    access: Access | None = Access.PUBLIC  # an unknown address: the 404 that follows tells nothing
    if request.endpoint is not None:
        access = access_of(request.endpoint, request.method)
    if (bearer is None or access is Access.PUBLIC) and not _is_own_host():
        raise ApiError(
            403, "host_not_allowed", "The admin API does not answer under this Host without a key."
        )
    if access is Access.PUBLIC:
        return
    g.caller = _anonymous() if bearer is None else _authenticate(bearer)
    if access is None or not g.caller.may(access):
        raise ApiError(403, "forbidden", f"This call needs {access or 'what nobody has'}.")


def _is_own_host() -> bool:
    return is_own_host(request.headers.get("Host"), current().settings.server.admin_host)


def _anonymous() -> Caller:
    """The platform on its own machine, as long as no token is set.

    A proxy on this machine speaks for others, and says so in one of these headers.
    """
    is_passed_on = any(name in request.headers for name in _PASSED_ON)
    if current().settings.admin.token is None and is_loopback_peer(request.remote_addr) and not is_passed_on:
        return _PLATFORM
    raise ApiError(401, "missing_api_key", "Send a key as 'Authorization: Bearer <key>'.", headers=_CHALLENGE)


def _authenticate(header: str) -> Caller:
    scheme, _, text = header.partition(" ")
    secret = text.strip() if scheme.lower() == "bearer" else ""
    found = _find_key(secret)
    if found is not None:
        return _tenant_caller(*found)
    # A tenant's key cannot be guessed, so it is never locked out; a token may be weak.
    if wait := failed_logins().wait(request.remote_addr):
        raise too_many(wait)
    token = current().settings.admin.token
    if token is not None and hmac.compare_digest(secret.encode(), token.encode()):
        return _PLATFORM
    failed_logins().note(request.remote_addr)
    raise ApiError(401, "invalid_api_key", "The key is not valid.", headers=_CHALLENGE)


def _find_key(secret: str) -> tuple[str, str, ApiKey] | None:
    """The tenant's id, its status, and the key; None when `secret` is no tenant's key."""
    services = current()
    try:
        key_hash = services.hasher(parse_key(secret))
    except ValueError:
        return None
    ids = services.store.find_key(key_hash)
    snapshot = services.store.read(ids[0]) if ids else None
    if snapshot is None:
        return None
    for key in snapshot.keys:
        if hmac.compare_digest(key.hash, key_hash):
            return snapshot.tenant.id, snapshot.tenant.status, key
    return None


def _tenant_caller(tenant_id: str, tenant_status: str, key: ApiKey) -> Caller:
    status = key.status(current().clock.now())
    if status != "active":
        detail = f"The API key {key.prefix}… is {status}. Ask for a new one."
        raise ApiError(401, f"api_key_{status}", detail, headers=_CHALLENGE)
    if tenant_status != "active":
        raise ApiError(403, "tenant_disabled", "This tenant is disabled. Ask the operator of the gateway.")
    return Caller(f"key:{key.id}", tenant_id, key.scopes)
