"""Authentication and authorization: every view declares the access it requires; others are forbidden."""

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from flask import current_app, g, request

from admin_app.auth.attempts import check_changes
from admin_app.auth.events import UNKNOWN, note_event
from admin_app.auth.failed_logins import failed_logins
from admin_app.auth.sessions import check_no_foreign_page, check_own_page, session_key
from admin_app.context import services
from admin_app.http.errors import ApiError, not_found, too_many_failed_logins
from admin_app.http.forwarded import client
from shared.core.addresses import is_loopback, is_own_name
from shared.core.errors import KEY_NOT_ACTIVE, StoreDown
from shared.core.http_tokens import CHALLENGE, PORT
from shared.model.config import ApiKey, PlatformScope, PlatformToken, Scope, Snapshot
from shared.secrets.api_keys import all_hashes, is_key, parse_key

# Headers that a proxy adds to a forwarded request, and the beginning of all others.
_FORWARDING = ("Forwarded", "Via", "X-Real-IP")
_FORWARDED = "x-forwarded"


class Access(StrEnum):
    """The access that a view requires. The platform key has all of them.

    A platform token with the scope write has all but the last one. One with the scope read may only read.
    """

    PUBLIC = "no key"
    READ = "an API key with scope read or admin"
    ADMIN = "an API key with scope admin"
    PLATFORM = "the platform key"
    TOKENS = "the platform key, or a platform token with the scope admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        actor: its name in the audit log: ``platform``, ``token:<name>`` or ``key:<id>``.
        tenant_id: None for the platform.
        scopes: those of its key or token. The platform's own key has none, and all rights.
        is_session: a browser that has logged in.
    """

    actor: str
    tenant_id: str | None = None
    scopes: tuple[Scope | PlatformScope, ...] = ()
    is_session: bool = False

    @property
    def is_platform(self) -> bool:
        return self.tenant_id is None

    def may(self, access: Access, *, only_reads: bool = False) -> bool:
        """Whether it has this access. `only_reads`: the call changes nothing, by its method."""
        if access is Access.PUBLIC or (self.is_platform and not self.scopes):
            return True
        if self.is_platform:
            needed = {Access.TOKENS: {PlatformScope.ADMIN}}.get(access, _CHANGING)
            return only_reads or access is Access.READ or not needed.isdisjoint(self.scopes)
        if access is Access.READ:
            return Scope.READ in self.scopes or Scope.ADMIN in self.scopes
        return access is Access.ADMIN and Scope.ADMIN in self.scopes


_PLATFORM = Caller("platform")
_CHANGING = frozenset({PlatformScope.ADMIN, PlatformScope.WRITE})
_SAFE = frozenset({"GET", "HEAD"})
# Seconds from one note of the last use of a token to the next.
_USED_EVERY = 60.0


def requires[View: Callable[..., Any]](access: Access) -> Callable[[View], View]:
    """Declare the access that a view requires, for the guard and for the OpenAPI document."""

    def mark(view: View) -> View:
        view.access = access  # type: ignore[attr-defined]
        # flask-smorest collects a view's documentation in this attribute.
        view._apidoc = {**getattr(view, "_apidoc", {}), "access": access}  # type: ignore[attr-defined]
        return view

    return mark


def required_access(endpoint: str, method: str) -> Access | None:
    """The access that the view behind `endpoint` requires; None when it declares none."""
    return cast("Access | None", getattr(_view(endpoint, method), "access", None))


def operation_name() -> str:
    """The name of the current operation in the OpenAPI document."""
    return str(getattr(_view(request.endpoint or "", request.method), "operation", ""))


def _view(endpoint: str, method: str) -> Any:
    view: Any = current_app.view_functions[endpoint]
    if hasattr(view, "view_class"):
        name = "get" if method == "HEAD" else method.lower()
        view = getattr(view.view_class, name, None)
    return view


def caller() -> Caller:
    """The caller of the current request."""
    return cast(Caller, g.caller)


def check_tenant_access(tenant_id: str) -> None:
    """Raise 404 when the caller is another tenant."""
    if caller().tenant_id not in (None, tenant_id):
        raise not_found("tenant")


def guard() -> None:
    """Authorize the current request, or raise `ApiError`. Runs before every view."""
    access: Access | None = Access.PUBLIC  # an unknown path: the 404 that follows discloses nothing
    if request.endpoint is not None:
        access = required_access(request.endpoint, request.method)
    if access is Access.PUBLIC:
        return
    g.caller = _identify()
    if access is None:
        raise ApiError("forbidden", "Forbidden.")
    if not g.caller.may(access, only_reads=request.method in _SAFE):
        needed: str = access
        if g.caller.is_platform and access is not Access.TOKENS:
            needed = "a platform token with the scope write or admin"
        raise ApiError("forbidden", f"This operation requires {needed}.")
    if access is Access.ADMIN and request.method not in _SAFE and g.caller.tenant_id:
        check_changes(g.caller.tenant_id)


def _identify() -> Caller:
    """The caller, by its key; by its session if it sends none; or as one on this machine."""
    if (header := request.headers.get("Authorization")) is not None:
        return _authenticate(header)
    if (key := session_key()) is not None:
        check_own_page()
        return _of_session(key)
    caller = _anonymous()
    check_no_foreign_page()
    return caller


def log_in(key: str) -> Caller:
    """The caller with this key. Raises `ApiError`, as for a call with it."""
    return _authenticate(f"Bearer {key}")


def _of_session(key: str) -> Caller:
    """The caller of a session. Its key was right once, so it is no attempt to guess one."""
    if found := _find(key):
        caller = found
    elif _is_token(key):
        caller = _PLATFORM
    else:
        raise ApiError("invalid_api_key", "The key of this session is no longer valid. Log in again.")
    return replace(caller, is_session=True)


def _is_own_host() -> bool:
    """Whether the Host names this machine: localhost or a loopback address.

    By DNS rebinding a web page can make a browser call this machine under the page's own host name. Without
    a key such a call would have the platform's rights.
    """
    name = PORT.sub("", request.headers.get("Host", "").lower())
    if name.startswith("["):
        name = name.removeprefix("[").removesuffix("]")
    elif ":" in name:
        return False
    return is_own_name(name)


def is_operator() -> bool:
    """Whether a page that is open to all may show more: to the platform's key, and on this machine."""
    header, key = request.headers.get("Authorization"), session_key()
    try:
        if header or key:
            return (_authenticate(header) if header else _of_session(key or "")).is_platform
        return _is_local_call() and _is_own_host()
    except (ApiError, StoreDown):
        return False


def _is_local_call() -> bool:
    """Whether the caller is on this machine.

    A proxy on this machine forwards requests of other machines, and adds one of these headers. Without any
    configuration, nginx adds none, but speaks HTTP/1.0.
    """
    is_forwarded = any(name in request.headers for name in _FORWARDING)
    is_forwarded |= any(name.lower().startswith(_FORWARDED) for name, _ in request.headers)
    is_forwarded |= request.environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    return is_loopback(request.remote_addr or "") and not is_forwarded


def _anonymous() -> Caller:
    """The platform, when no token is set and the request comes from this machine."""
    if services().settings.admin.token is None and _is_local_call():
        if _is_own_host():
            return _PLATFORM
        port = services().settings.server.admin_port
        detail = f"Without a key, call http://localhost:{port} on this machine. Or send a key."
        raise ApiError("host_not_allowed", detail)
    detail = "The API key is missing. Send it as 'Authorization: Bearer <key>'."
    raise ApiError("missing_api_key", detail, headers=CHALLENGE)


def _authenticate(header: str) -> Caller:
    scheme, _, text = header.partition(" ")
    secret = text.strip() if scheme.lower() == "bearer" else ""
    if found := _find(secret):
        return found
    # Keys that we have made cannot be guessed, so nobody who has one is locked out; admin.token may be weak.
    is_token = _is_token(secret)
    if not is_token and failed_logins().is_sample(client()):
        note_event("failLogIn", UNKNOWN, "a wrong key or token")
    # Neither can one that was deleted: a program that still has it locks out nobody behind its address.
    is_deleted = not is_token and is_key(secret)
    if not is_deleted and (retry_after := failed_logins().attempt(client(), failed=not is_token)):
        raise too_many_failed_logins(retry_after)
    if is_token:
        return _PLATFORM
    if "," in header:
        # WSGI joins headers of one name.
        detail = "Send Authorization once, as 'Authorization: Bearer <key>'."
        raise ApiError("bad_request", detail)
    raise ApiError("invalid_api_key", "The API key is invalid. Check the key.", headers=CHALLENGE)


def _is_token(secret: str) -> bool:
    token = services().settings.admin.token
    return token is not None and hmac.compare_digest(secret.encode(), token.encode())


def _find(secret: str) -> Caller | None:
    """The caller with a key of a tenant, or with a token of the platform; None when `secret` is neither."""
    try:
        key_hash = services().hasher(parse_key(secret))
    except ValueError:
        return None
    if found := _find_key(key_hash):
        return _tenant_caller(*found)
    token = services().store.tokens.find(key_hash)
    return None if token is None else _token_caller(token)


def _token_caller(token: PlatformToken) -> Caller:
    now = services().clock.now()
    if (status := token.status(now)) != "active":
        detail = KEY_NOT_ACTIVE.format(token.prefix, status)
        raise ApiError(f"api_key_{status}", detail, headers=CHALLENGE)
    if token.last_used_at is None or now - token.last_used_at >= _USED_EVERY:
        with suppress(StoreDown):
            services().store.tokens.touch(token, now)
    return Caller(f"token:{token.name}", scopes=token.scopes)


def _find_key(key_hash: str) -> tuple[Snapshot, ApiKey] | None:
    """The key with that hash, and its tenant."""
    ids = services().store.find_key(key_hash)
    snapshot = services().store.read(ids[0]) if ids else None
    if snapshot is None:
        return None
    hashes = all_hashes(key_hash)
    found = (key for key in snapshot.keys if any(hmac.compare_digest(key.hash, one) for one in hashes))
    return next(((snapshot, key) for key in found), None)


def _tenant_caller(snapshot: Snapshot, key: ApiKey) -> Caller:
    status = key.status(services().clock.now())
    if status != "active":
        detail = KEY_NOT_ACTIVE.format(key.prefix, status)
        raise ApiError(f"api_key_{status}", detail, headers=CHALLENGE)
    if snapshot.tenant.status != "active":
        raise ApiError("tenant_disabled", "This tenant is disabled. Contact the gateway's operator.")
    return Caller(f"key:{key.id}", snapshot.tenant.id, key.scopes)
