"""Admission: the tenant, key and rule of a request, decided by its head alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from shared.core.errors import BODY_TOO_LONG, KEY_NOT_ACTIVE, Rejection, make_rejection
from shared.core.http_tokens import CHALLENGE, LABEL, PORT
from shared.core.memo import Memo
from shared.http.cors import is_preflight, preflight_headers
from shared.http.forwarding import passed_here
from shared.http.paths import normalize_path
from shared.model.config import CLIENT, ApiKey, Cors, Scope
from shared.model.messages import Headers, Response
from shared.routing.client_keys import has_key, query_without_keys, sent_key, without_stray_keys
from shared.routing.compile import Gateway, Route
from shared.routing.router import allowed_methods, match_method
from shared.secrets.api_keys import MARK, PepperedHasher, match_hash

_LABEL = re.compile(LABEL)
_NO_PAGE = Cors(())

#: One body for a malformed key, an unknown key, another tenant's key and an unknown tenant.
INVALID_KEY = make_rejection(
    "invalid_api_key",
    "The API key is not valid. Check the key, and that it belongs to the called tenant.",
    CHALLENGE,
)
MISSING_KEY = make_rejection(
    "missing_api_key",
    "An API key is required. Send it as 'Authorization: Bearer <key>', or in the header x-api-key, api-key, "
    "x-goog-api-key or X-Gateway-Key.",
    CHALLENGE,
)
#: A rule with ``credential: client``, and a valid key that did not come in the header for it.
OWN_HEADER_NEEDED = make_rejection(
    "missing_api_key",
    "This rule forwards the client's own credentials. Send the API key of the gateway in the header "
    "X-Gateway-Key.",
    CHALLENGE,
)
#: A path with an encoded slash, and a rule that rejects it.
SLASH_REJECTED = make_rejection(
    "bad_request",
    "The path contains %2F (an encoded slash), which this rule rejects. To allow it, set the rule's field "
    "encoded_slashes to 'allow'.",
)
KEY_IN_PATH = make_rejection("bad_request", "The path must not contain an API key. Send it in a header.")


@dataclass(frozen=True, slots=True)
class HostRules:
    """How Host headers name tenants.

    Under a host in `shared`, and with `any_address` under an IP address, the API key names the tenant.
    """

    base_domain: str
    shared: tuple[str, ...]
    any_address: bool
    _known: Memo[str, str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", Memo(self._parse))

    def parse(self, host: str) -> str | None:
        """The subdomain of the tenant; None under a shared host.

        Raises ValueError for every other Host: unknown names, several labels, invalid characters.
        """
        return self._known[host]

    def _parse(self, host: str) -> str | None:
        name = PORT.sub("", host.lower())
        if self.any_address and _is_address(name):
            return None
        name = name.removesuffix(".")
        if name in self.shared:
            return None
        for domain in (self.base_domain, "localhost"):
            label = name.removesuffix("." + domain)
            if label != name and _LABEL.fullmatch(label):
                return label
        raise ValueError(
            f"The Host must be <tenant>.{self.base_domain}, or one of the setting server.shared_hosts."
        )


def _is_address(name: str) -> bool:
    """Whether this is an IPv4 address, or an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    bracketed = name.startswith("[") and name.endswith("]") and "%" not in name
    kind, text = (IPv6Address, name[1:-1]) if bracketed else (IPv4Address, name)
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


class Call(NamedTuple):
    """The tenant, path and key that a head names, before any look-up.

    Attributes:
        subdomain: None under a shared host.
        path: normalized.
        target: as it was sent, without keys in the query.
        headers: the head, without keys in headers that are no credentials.
        has_key: True if there is any credential.
        key_hash: None without a well-formed key.
        is_own: the key came in X-Gateway-Key.
    """

    subdomain: str | None
    path: str
    target: str
    headers: Headers
    has_key: bool
    key_hash: str | None
    is_own: bool = False


def read_call(
    headers: Headers, target: str, hosts: HostRules, hasher: PepperedHasher, via: str
) -> Call | Rejection:
    """Read a head that has a Host. `target` is as it was sent; `via` is the name of this deployment."""
    try:
        subdomain = hosts.parse(headers["host"])
    except ValueError as error:
        return make_rejection("invalid_host", str(error))
    sent_path, _, query = target.partition("?")
    try:
        path = normalize_path(sent_path)
    except ValueError as error:
        return make_rejection("bad_request", str(error))
    if MARK in path and has_key(path):
        return KEY_IN_PATH
    if passed_here(headers, via):
        return make_rejection("loop_detected")
    is_any, key, is_own = sent_key(headers, query)
    if query and (kept := query_without_keys(query)) is not query:
        target = f"{sent_path}?{kept}" if kept else sent_path
    return Call(
        subdomain, path, target, without_stray_keys(headers), is_any, hasher(key) if key else None, is_own
    )


def with_stored_hash(call: Call, gateway: Gateway | None) -> Call:
    """The call with the hash that the tenant has of its key, which an older pepper may have made."""
    if gateway is None or call.key_hash is None or call.key_hash in gateway.keys:
        return call
    stored = match_hash(call.key_hash, gateway.keys)
    return call if stored is None else call._replace(key_hash=stored)


def too_large(limit: int) -> Rejection:
    """The rejection of a body above `limit` bytes."""
    return make_rejection("body_too_large", BODY_TOO_LONG.format(limit))


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may be forwarded by `route`. `key` is None on a public rule without a key."""

    gateway: Gateway
    route: Route
    key: ApiKey | None

    @property
    def is_lasting(self) -> bool:
        """Whether the same head is admitted as long as the tenant's configuration stays the same."""
        return not self.gateway.has_cors and (self.key is None or self.key.expires_at is None)


def admit(gateway: Gateway | None, call: Call, method: str, now: float) -> Admitted | Rejection:
    """Decide a request. `gateway` is None if the tenant is unknown.

    Without a valid key a caller learns only that the key is not valid: the order of the checks ensures this.
    """
    if gateway is None:
        return INVALID_KEY if call.has_key else MISSING_KEY
    routes = gateway.router.match_path(call.path)
    route = match_method(routes, method)
    key = gateway.keys.get(call.key_hash) if call.key_hash else None
    rejection = _check_key(key, call.has_key, now)
    if route is not None and route.rule.credential == CLIENT and not call.is_own:
        rejection = rejection or OWN_HEADER_NEEDED
    if route is not None and route.rule.public:
        key, rejection = (None if rejection else key), None
    if rejection:
        return rejection
    if gateway.snapshot.tenant.status != "active":
        return make_rejection("tenant_disabled", "This tenant is disabled. Ask the operator of the gateway.")
    return _check_route(gateway, routes, route, key, call.path)


def cors_of(gateway: Gateway, path: str, method: str) -> Cors | None:
    """The web pages that may call this path; for a path without a rule, those of the tenant."""
    routes = gateway.router.match_path(path)
    if not routes:
        return gateway.snapshot.tenant.cors
    return (match_method(routes, method) or routes[0]).cors


def preflight(gateway: Gateway | None, call: Call, method: str) -> Response | None:
    """The response to a preflight, which browsers send without a key; None for all other requests.

    Under a shared host it does not name its tenant, so no page may call.
    """
    if not is_preflight(method, call.headers):
        return None
    if call.subdomain is None and not call.has_key:
        return Response(204, preflight_headers(_NO_PAGE, call.headers))
    if gateway is None or not gateway.has_cors:
        return None
    cors = cors_of(gateway, call.path, call.headers["access-control-request-method"].upper())
    return Response(204, preflight_headers(cors, call.headers)) if cors else None


def _check_key(key: ApiKey | None, has_key: bool, now: float) -> Rejection | None:
    if key is None:
        return INVALID_KEY if has_key else MISSING_KEY
    status = key.status(now)
    if status != "active":
        message = KEY_NOT_ACTIVE.format(key.prefix, status)
        return make_rejection(f"api_key_{status}", message, CHALLENGE)
    if Scope.PROXY not in key.scopes:
        return make_rejection(
            "forbidden", f"The API key {key.prefix}… lacks the scope 'proxy'. Use another key."
        )
    return None


def _check_route(
    gateway: Gateway, routes: Sequence[Route], route: Route | None, key: ApiKey | None, path: str
) -> Admitted | Rejection:
    if not routes:
        return make_rejection("no_matching_rule", f"No rule of this tenant matches the path {path[:200]}.")
    if "%2F" in path and (route is None or route.rule.encoded_slashes != "allow"):
        return SLASH_REJECTED
    if route is None:
        allow = allowed_methods(routes)
        return make_rejection("method_not_allowed", f"This path allows only {allow}.", {"Allow": allow})
    if route.fault is not None:
        return make_rejection(
            "config_unavailable", "The configuration of this rule cannot be used. Ask its owner."
        )
    return Admitted(gateway, route, key)
